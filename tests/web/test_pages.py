"""What pages do when they are used, and misused."""

import re
from collections.abc import Callable

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalog.approvals.models import Decision
from catalog.audit.models import AuditEntry
from catalog.ipam import networks
from catalog.ipam.models import Prefix
from catalog.orders.models import Order
from catalog.orders.states import OrderState
from catalog.placement.selectors import locate_rows
from catalog.tenancy.models import User
from tests.factories import NOW, TESTER, HostFactory
from tests.ipam.test_networks import SERVER
from tests.web.story import Story

AsUser = Callable[[User], Client]
MOST_QUERIES = 15


def _text(response: object) -> str:
    content: bytes = response.content  # type: ignore[attr-defined]
    return re.sub(r"\s+", " ", content.decode())


def _order_body(client: Client, **changes: str) -> dict[str, str]:
    key = re.search(r'name="key" value="([^"]+)"', _text(client.get("/catalog/postgresql/")))
    assert key is not None
    body = {
        "plan": "shared-small", "project": "capital/loan", "name": "loan-pg", "zone": "", "lease": "604800",
        "key": key.group(1), "p-database": "appdb", "p-max_connections": "30", "p-shared_buffers_percent": "25",
        "p-timezone": "Asia/Seoul", "p-locale": "C.UTF-8", "p-comment": "",
    }  # fmt: skip
    return body | changes


def test_a_form_sent_twice_places_one_order(story: Story, as_user: AsUser) -> None:
    client = as_user(story.dana)
    body = _order_body(client)
    first, second = client.post("/catalog/postgresql/", body), client.post("/catalog/postgresql/", body)
    order = Order.objects.get()
    assert [first.status_code, second.status_code] == [302, 302]
    assert first.headers["Location"] == second.headers["Location"] == f"/orders/{order.pk}/"
    assert order.parameters["max_connections"] == 30
    assert (order.lease_seconds, order.requested_by) == (604_800, story.dana)


WRONG = [
    ({"p-max_connections": "41"}, "Must be at most 40."),
    ({"p-max_connections": "many"}, "Enter a whole number."),
    ({"p-database": "postgres"}, "Is not allowed here."),
    ({"p-database": "DROP TABLE"}, "Must match"),
    ({"p-comment": "a\x07b"}, "Contains a control character."),
    ({"p-timezone": "Mars/Olympus"}, "not one of the available choices"),
    ({"name": "X"}, "The name must have 3 to 40"),
    ({"name": ""}, "This field is required."),
    ({"project": "card/points"}, "not one of the available choices"),
    ({"zone": "nowhere"}, "not one of the available choices"),
    ({"lease": "1"}, "not one of the available choices"),
    ({"allow_from": "0.0.0.0/0"}, "does not allow a service that is open to everyone"),
    ({"allow_from": "10.99.0.0/16"}, "is neither your affiliate&#x27;s nor the zone&#x27;s"),
    ({"allow_from": "everybody, please"}, "This is no network that could connect."),
    ({"allow_from": "<script>"}, "This is no network that could connect."),
]


def test_a_wrong_value_is_told_beside_its_field_and_nothing_is_ordered(story: Story, as_user: AsUser) -> None:
    client = as_user(story.dana)
    for changes, said in WRONG:
        response = client.post("/catalog/postgresql/", _order_body(client, **changes))
        text = _text(response)
        assert response.status_code == 422, changes
        assert said in text, changes
        assert "Nothing was ordered yet." in text, changes
        assert text.count('class="field-error"') == 1, changes
    assert not Order.objects.exists()


def test_an_order_says_who_may_connect_and_everybody_reads_it(story: Story, as_user: AsUser) -> None:
    client = as_user(story.dana)
    network = Prefix.objects.earliest("zone__slug").cidr
    assert "those of your affiliate and of the zone (" in _text(client.get("/catalog/postgresql/"))
    first = network.replace(".0/24", ".7")
    client.post("/catalog/postgresql/", _order_body(client, allow_from=f" {first},\n{network} "))
    order = Order.objects.get()
    assert order.allow_from == [network]
    page = _text(client.get(f"/orders/{order.pk}/"))
    assert f"Who may connect</th> <td> {network} </td>" in page
    client.post("/catalog/postgresql/", _order_body(client, name="loan-two"))
    page = _text(client.get(f"/orders/{Order.objects.get(name='loan-two').pk}/"))
    assert "networks of the affiliate and of the zone" in page


def test_a_service_is_shown_by_its_name(story: Story, as_user: AsUser) -> None:
    for prefix in Prefix.objects.all():
        networks.set_zone_network(TESTER, prefix.zone, open_to_anyone=False, names=SERVER, now=NOW)
    order = story.built(name="loan-pg")
    page = _text(as_user(story.dana).get(f"/services/{order.instance_id}/"))
    assert "Host name</th> <td><code>loan-pg.loan.capital.pumasi.internal</code>" in page
    assert "psql &#x27;host=loan-pg.loan.capital.pumasi.internal port=20000" in page


def test_a_taken_name_is_told_in_the_readers_language(story: Story, as_user: AsUser) -> None:
    story.order(name="loan-pg")
    client = as_user(story.dana)
    client.cookies["django_language"] = "ko"
    response = client.post("/catalog/postgresql/", _order_body(client))
    assert response.status_code == 422
    assert "계열사에 같은 이름의 서비스가 이미 있습니다. 다른 이름을 고르세요." in _text(response)
    assert Order.objects.count() == 1


def test_what_was_typed_survives_another_plan(story: Story, as_user: AsUser) -> None:
    text = _text(as_user(story.dana).get("/catalog/postgresql/?plan=dedicated-small&name=kept&p-database=mydb"))
    assert 'value="kept"' in text
    assert 'value="mydb"' in text
    assert "It must be approved because" in text


def test_a_plan_that_is_not_on_sale_is_not_found(story: Story, as_user: AsUser) -> None:
    client = as_user(story.dana)
    assert client.get("/catalog/postgresql/?plan=huge").status_code == 404
    assert client.get("/catalog/oracle/").status_code == 404


def test_an_expired_token_is_explained_and_does_nothing(story: Story) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(story.dana)
    response = client.post("/catalog/postgresql/", {"name": "loan-pg"})
    assert response.status_code == 403
    assert "This page was open too long" in _text(response)
    assert not Order.objects.exists()


def test_approving_takes_exactly_what_was_shown(story: Story, as_user: AsUser) -> None:
    order = story.order(plan="dedicated-small", name="loan-prod")
    client = as_user(story.arun)
    assert "loan-prod" in _text(client.get("/approvals/"))
    stale = client.post(f"/orders/{order.pk}/approve/", {"content_hash": "0" * 64}, follow=True)
    assert "The order has changed since it was shown to you." in _text(stale)
    order.refresh_from_db()
    assert order.state == OrderState.PENDING_APPROVAL
    body = {"content_hash": order.content_hash, "comment": "go", "from": "inbox"}
    done = client.post(f"/orders/{order.pk}/approve/", body, follow=True)
    assert done.redirect_chain == [("/approvals/", 302)]
    assert "Approved. The order goes on at once." in _text(done)
    order.refresh_from_db()
    assert (order.state, Decision.objects.get().comment) == (OrderState.DISPATCHED, "go")


def test_a_secret_is_shown_once_and_that_is_recorded(story: Story, as_user: AsUser) -> None:
    instance = story.built().instance
    assert instance is not None
    client = as_user(story.dana)
    page = client.get(f"/services/{instance.pk}/")
    shown = client.post(f"/services/{instance.pk}/reveal/")
    found = re.search(r'<th scope="row">Password</th> ?<td><code>(\w{32})</code>', _text(shown))
    assert found is not None
    assert shown.headers["Cache-Control"] == "no-store"
    secret = found.group(1)
    assert secret not in _text(page)
    again = client.post(f"/services/{instance.pk}/reveal/", follow=True)
    assert secret not in _text(again)
    assert "These credentials were shown once already and cannot be shown again." in _text(again)
    assert AuditEntry.objects.filter(action="binding.reveal", actor="dana", subject_id=str(instance.pk)).count() == 1


def test_giving_back_wants_the_name_typed_and_happens_once(story: Story, as_user: AsUser) -> None:
    instance = story.built(name="loan-pg").instance
    assert instance is not None
    client, path = as_user(story.dana), f"/services/{instance.pk}/give-back/"
    key = re.search(r'name="key" value="([^"]+)"', _text(client.get(path)))
    assert key is not None
    wrong = client.post(path, {"typed": "loan", "key": key.group(1)})
    assert wrong.status_code == 409
    assert "That is not the name of this service; nothing was done." in _text(wrong)
    assert Order.objects.filter(kind="decommission").count() == 0
    body = {"typed": "loan-pg", "key": key.group(1), "reason": "done with it"}
    first, second = client.post(path, body), client.post(path, body)
    order = Order.objects.get(kind="decommission")
    assert order.reason == "done with it"
    assert first.headers["Location"] == second.headers["Location"] == f"/orders/{order.pk}/"
    third = client.post(path, {"typed": "loan-pg", "key": "another"})
    assert "This service is being given back already, or is gone." in _text(third)


def test_a_lease_is_extended(story: Story, as_user: AsUser) -> None:
    instance = story.built().instance
    assert instance is not None
    before = instance.lease.ends_at
    client = as_user(story.dana)
    client.post(f"/services/{instance.pk}/extend/", {"seconds": "86400"})
    instance.lease.refresh_from_db()
    assert (instance.lease.ends_at - before).days == 1
    refused = client.post(f"/services/{instance.pk}/extend/", {"seconds": str(400 * 86_400)}, follow=True)
    assert "A service may stay 365 days from its start." in _text(refused)
    nonsense = client.post(f"/services/{instance.pk}/extend/", {"seconds": "-1"}, follow=True)
    assert "The time must be at least one second" in _text(nonsense)


def test_cancelling_and_retrying(story: Story, as_user: AsUser) -> None:
    client, order = as_user(story.dana), story.order(plan="dedicated-small")
    client.post(f"/orders/{order.pk}/cancel/")
    order.refresh_from_db()
    assert order.state == OrderState.CANCELLED
    refused = client.post(f"/orders/{order.pk}/cancel/", follow=True)
    assert "This order has ended; it cannot be cancelled any more." in _text(refused)
    failed = story.order()
    story.begin(failed)
    story.fail(failed, code="playbook-failed", detail="Install: no such package")
    page = _text(client.get(f"/orders/{failed.pk}/"))
    assert "A task of the build failed." in page
    assert "Try again" in page
    client.post(f"/orders/{failed.pk}/retry/")
    failed.refresh_from_db()
    assert failed.state == OrderState.DISPATCHED


def _last(response: object) -> str:
    found = re.search(r'data-last="(\d+)"', _text(response))
    assert found is not None
    return found.group(1)


def test_following_an_order_gives_each_line_once(story: Story, as_user: AsUser) -> None:
    client, order = as_user(story.dana), story.order()
    live = f"/orders/{order.pk}/live/"
    page = client.get(f"/orders/{order.pk}/")
    assert client.get(live, {"after": _last(page)}).status_code == 204
    story.begin(order)
    story.task(order, "Install the PostgreSQL packages", "started")
    first = client.get(live, {"after": _last(page)})
    story.task(order, "Install the PostgreSQL packages", "changed")
    story.finish(order)
    order.refresh_from_db()
    second = client.get(live, {"after": _last(first)})
    seen = [number for each in (page, first, second) for number in re.findall(r'<li id="e(\d+)"', _text(each))]
    assert seen == [str(number) for number in range(1, order.seq + 1)]
    assert "hx-trigger" in _text(first)
    assert "hx-trigger" not in _text(second)
    assert client.get(live, {"after": "x"}).status_code == 404


def test_pages_go_on_where_the_last_one_ended(story: Story, as_user: AsUser) -> None:
    for number in range(53):
        story.order(name=f"order-{number:02}", plan="dedicated-small")
    client = as_user(story.dana)
    first = client.get("/orders/")
    older = re.search(r'href="\?only=&amp;before=([^"]+)"', _text(first))
    assert older is not None
    second = client.get(f"/orders/?before={older.group(1)}")
    rows = [re.findall(r">(order-\d\d)</a>", _text(page)) for page in (first, second)]
    assert [len(page) for page in rows] == [50, 3]
    assert sorted(rows[0] + rows[1]) == [f"order-{number:02}" for number in range(53)]
    assert client.get("/orders/?before=rubbish").status_code == 200


PAGES = [
    ("dana", "/"), ("dana", "/catalog/"), ("dana", "/catalog/postgresql/"), ("dana", "/orders/"), ("dana", "/services/"),
    ("dana", "/orders/{order}/"), ("dana", "/orders/{order}/live/?after=0"), ("dana", "/services/{instance}/"),
    ("arun", "/approvals/"), ("arun", "/"), ("otto", "/pool/"), ("otto", "/pool/hosts/{host}/"), ("otto", "/services/"),
]  # fmt: skip


def _queries(story: Story, as_user: AsUser, order: Order) -> dict[tuple[str, str], int]:
    counts = {}
    host = locate_rows(order.instance_id).get()
    for who, address in PAGES:
        client = as_user(getattr(story, who))
        with CaptureQueriesContext(connection) as asked:
            path = address.format(order=order.pk, instance=order.instance_id, host=host.pk)
            assert client.get(path).status_code == 200, address
        counts[who, address] = len(asked)
    return counts


def test_a_page_asks_the_database_as_often_for_much_as_for_little(story: Story, as_user: AsUser) -> None:
    order = story.built()
    story.order(plan="dedicated-small")
    _queries(story, as_user, order)  # who looks by a role of the group is recorded once in a while, here the first time
    little = _queries(story, as_user, order)
    for _number in range(5):
        story.built()
        story.order(plan="dedicated-small")
    HostFactory(zone=story.zone)
    assert _queries(story, as_user, order) == little
    assert max(little.values()) <= MOST_QUERIES


def test_language_and_theme_are_kept(story: Story, as_user: AsUser) -> None:
    client = as_user(story.dana)
    response = client.post("/preferences/language/", {"language": "ko", "next": "/orders/"})
    assert response.headers["Location"] == "/orders/"
    assert '<html lang="ko"' in _text(client.get("/orders/"))
    story.dana.refresh_from_db()
    assert story.dana.language == "ko"
    client.post("/preferences/theme/", {"theme": "dark", "next": "//evil.example/"})
    assert 'data-bs-theme="dark"' in _text(client.get("/"))
    assert client.post("/preferences/theme/", {"theme": "dark", "next": "//evil.example/"}).headers["Location"] == "/"
    assert client.post("/preferences/language/", {"language": "xx"}).cookies == {}
    assert client.get("/preferences/theme/").status_code == 405


def test_signing_in_and_out(story: Story, client: Client) -> None:
    wrong = client.post("/login/", {"username": "dana", "password": "no"}, headers={"accept-language": "en"})
    assert "User name and password do not match." in _text(wrong)
    right = client.post(
        "/login/?next=/orders/", {"username": "dana", "password": "four-cats-on-a-mat", "next": "/orders/"}
    )
    assert right.headers["Location"] == "/orders/"
    assert right.cookies["django_language"].value == "en"
    assert client.post("/logout/").headers["Location"] == "/login/"
    assert client.get("/").status_code == 302


def test_pages_for_what_went_wrong_speak_the_readers_language(story: Story, as_user: AsUser) -> None:
    client = as_user(story.dana)
    client.cookies["django_language"] = "ko"
    missing = client.get("/no/such/page/")
    assert (missing.status_code, "페이지를 찾을 수 없습니다" in _text(missing)) == (404, True)
    forbidden = client.get("/pool/")
    assert (forbidden.status_code, "권한이 없습니다" in _text(forbidden)) == (403, True)
