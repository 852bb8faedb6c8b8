"""Why here and why not, in the reader's words. The books keep codes and numbers, so that everybody reads their own language."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from catalog.common.data import DataClass
from catalog.common.isolation import Isolation

Told = Mapping[str, Any]

_FILTERS: dict[str, Callable[[Told], str]] = {
    "zone-asked-for": lambda said: (
        _("in the zone %s") % said["zone"] if "zone" in said else _("in a zone of the group")
    ),
    "zone-open": lambda said: _("in a zone open to your affiliate"),
    "zone-takes-new": lambda said: _("in a zone that takes new services"),
    "zone-data": lambda said: _("in a zone that may hold %s") % DataClass(said["data_class"]).label,
    "isolation": lambda said: {
        Isolation.DEDICATED: _("free to take"),
        Isolation.AFFILIATE: _("free to take, or used by your affiliate"),
        Isolation.GROUP: _("free to take, or shared by affiliates"),
    }[Isolation(said["isolation"])],
    "reachable": lambda said: _("not in a network kept for another affiliate"),
    "traits": lambda said: _("has the traits %s") % ", ".join(said["traits"]),
    "room": lambda said: f"{said['resource_class']} ≥ {said['amount']}",
    "unclaimed": lambda said: _("nothing of it is used"),
    "shortlist": lambda said: _("among the tightest, compared one by one"),
    "sound": lambda said: _("answers, and no build failed there lately"),
    "apart": lambda said: _("apart from the other members of the service"),
}

_WEIGHERS: dict[str, Callable[[], str]] = {
    "scarcity": lambda: _("what is scarce is left to those who need it"),
    "host-hours": lambda: _("leases that end together stand together"),
    "hosts-in-use": lambda: _("beside others rather than on a clean host"),
    "best-fit": lambda: _("little room is left over"),
}

_WHERE: dict[str, Callable[[], str]] = {
    "clean-host": lambda: _("a clean host"),
    "beside-own-services": lambda: _("beside services of your affiliate"),
    "beside-the-group": lambda: _("beside services of several affiliates"),
}


def filter_said(told: Told) -> str:
    """One filter, as what a host that passes it is."""
    known = _FILTERS.get(str(told.get("code")))
    return known(told) if known else str(told.get("filter", told.get("code", "")))


def weigher_said(code: str) -> str:
    """One weigher, as what speaks for a host."""
    known = _WEIGHERS.get(code)
    return known() if known else code


def with_words(filters: Sequence[Told]) -> list[dict[str, Any]]:
    """The filters with what each means, for those who read no codes."""
    return [{**each, "filter": filter_said(each)} for each in filters]


def why_not_said(filters: Sequence[Told]) -> str:
    """Which filter left nothing, for the person who asked."""
    before: Told | None = None
    for each in filters:
        if each["left"] == 0:
            if before is None:
                return _("No host stands in the zones your affiliate may use.")
            return _("Of %(count)d hosts (%(before)s) none passes: %(filter)s.") % {
                "count": before["left"], "before": filter_said(before), "filter": filter_said(each),
            }  # fmt: skip
        before = each
    return _("Others took the last room while this was being decided.")


def why_here_said(explanation: Told) -> list[str]:
    """Why a member of a service stands where it does, sentence by sentence. Empty where nothing was explained."""
    if "host" not in explanation:
        return [line for each in explanation.get("members", ()) for line in why_here_said(each)]
    said = [
        _("%(host)s in %(zone)s: %(where)s.")
        % {
            "host": explanation["host"],
            "zone": explanation.get("zone", ""),
            "where": _WHERE.get(explanation.get("where", ""), lambda: explanation.get("where", ""))(),
        }
    ]
    if len(explanation.get("member", "main")) and explanation.get("member", "main") != "main":
        said[0] = f"{explanation['member']}: {said[0]}"
    return said + [_filter_line(each) for each in explanation.get("filters", ())] + _weigher_lines(explanation)


def _filter_line(told: Told) -> str:
    if "left" not in told:
        return _("It had to be: %s.") % filter_said(told)
    return _("%(filter)s: %(left)d left.") % {"filter": filter_said(told), "left": told["left"]}


def _weigher_lines(explanation: Told) -> list[str]:
    other = explanation.get("runner_up")
    if not other:
        return [_("No other host was left to choose from.")] if explanation.get("weighers") else []
    return [
        _("%(weigher)s: %(chosen)s against %(other)s for %(host)s, the next best (the lower, the better).")
        % {
            "weigher": weigher_said(each["code"]),
            "chosen": f"{each['chosen']:.2f}",
            "other": f"{each['runner_up']:.2f}",
            "host": other,
        }
        for each in explanation.get("weighers", ())
        if each.get("runner_up") is not None
    ]
