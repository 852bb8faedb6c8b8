"""Which tests share a worker, and which are worth running again on another database."""

from pathlib import Path

import pytest

FOLDERS_WITH_HOSTS = ("rack", "playbooks", "flows", "e2e", "stack")
"""Each keeps its own hosts for as long as its worker lives, so its tests stay together."""

ALONE = ("playbooks/test_lifecycle.py", "playbooks/test_networks.py")
"""Each takes as long as a third of its folder: it has a worker, and hosts, of its own."""

LONGEST = ("e2e", "playbooks", "flows", "rack", "stack", "architecture", "dispatch")
"""What takes longest begins first, so that at the end no worker has much left while the others have nothing."""

SERVICES = Path(__file__).resolve().parents[2] / "playbooks" / "services"
BY_SERVICE = ("slug", "built", "found")
"""What tests that every service on sale goes through take it by. Its own are in ``test_<slug>.py``, _ for -."""

FACES = ("web", "api", "admin")
DATABASE = {"db", "transactional_db", "live_server"}
"""What they ask the database is asked below them too, so one of the two databases is enough for them in every run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--another-database``: the rest was run on one already."""
    parser.addoption(
        "--another-database", action="store_true",
        help="only tests of hosts and whole stacks, and those that the database matters to",
    )  # fmt: skip
    parser.addoption(
        "--without-pages", action="store_true",
        help="no tests of faces that ask the database: they are run on another one",
    )  # fmt: skip
    parser.addoption(
        "--turn", type=int,
        help="of the tests that build every service on hosts, only those of the service whose turn it is, by this number",
    )  # fmt: skip


def _services() -> list[str]:
    return sorted(path.parent.name for path in SERVICES.glob("*/service.yml"))


def whose_turn(number: int) -> str:
    """The service whose turn it is: each comes round."""
    services = _services()
    return services[number % len(services)]


def _is_due(item: pytest.Item, number: int) -> bool:
    if not _needs_hosts(item):
        return True
    given = item.callspec.params if hasattr(item, "callspec") else {}
    about = [given[name] for name in BY_SERVICE if name in given]
    about += [slug for slug in _services() if item.path.stem == f"test_{slug.replace('-', '_')}"]
    return all(slug == whose_turn(number) for slug in about)


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(Path(item.config.rootpath) / "tests").parts[0]


def _needs_hosts(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ("rack", "stack"))


def _asks_a_database(item: pytest.Item) -> bool:
    marked = any(item.get_closest_marker(name) for name in ("django_db", "postgresql"))
    return marked or not DATABASE.isdisjoint(getattr(item, "fixturenames", ()))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give tests that share hosts, or a Prefect server, a group, before xdist reads the groups of all."""
    folder = _folder(item)
    if _needs_hosts(item) and not item.get_closest_marker("xdist_group"):
        assert folder in FOLDERS_WITH_HOSTS, f"{item.nodeid} needs hosts, and its folder has none"
        alone = f"{folder}/{item.path.name}"
        item.add_marker(pytest.mark.xdist_group(alone if alone in ALONE else folder))
    elif "engine" in getattr(item, "fixturenames", ()):
        # A Prefect server takes longer to start than most of its tests take.
        item.add_marker(pytest.mark.xdist_group(f"engine of {item.path.name}"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest first; and leave out what says the same on every database, if only another one is asked about.

    A worker that has started a browser has an event loop running for the rest of its life, and nothing else can be awaited in
    it: so pages in a browser come last.
    """
    places = {folder: place for place, folder in enumerate(LONGEST)}

    def place(item: pytest.Item) -> tuple[bool, bool, int]:
        in_a_browser = "browser" in getattr(item, "fixturenames", ())
        return in_a_browser, not _needs_hosts(item), places.get(_folder(item), len(places))

    items.sort(key=place)
    turn = config.getoption("--turn")
    due = items if turn is None else [item for item in items if _is_due(item, turn)]
    if config.getoption("--another-database"):
        kept = [item for item in due if _needs_hosts(item) or _asks_a_database(item)]
    elif config.getoption("--without-pages"):
        kept = [item for item in due if _folder(item) not in FACES or not _asks_a_database(item)]
    else:
        kept = due
    left = set(kept)
    config.hook.pytest_deselected(items=[item for item in items if item not in left])
    items[:] = kept
