"""How an order's events read: the steps of its way, the tasks of its build, and the lines of its log."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.common.models import AbstractEvent
from catalog.common.words import moment, span
from catalog.offerings.operations import find_operation
from catalog.orders import silence
from catalog.orders.models import Order
from catalog.orders.states import OrderKind, OrderState
from catalog.orders.waiting import why_said
from catalog.web import tasknames

STEPS: Mapping[str, str | Promise] = {
    "provision": _("Build"),
    "verify": _("Check as a client"),
    "undo": _("Take down what was built"),
    "put-back": _("Put the former settings back"),
    "decommission": _("Take down"),
    "residue": _("Prove that nothing is left"),
    "stop": _("Stop"),
    "start": _("Start"),
    "restart": _("Restart"),
    "configure": _("Change settings"),
    "learn-key": _("Learn the ssh key"),
    "inspect": _("Inspect"),
    "wipe": _("Wipe"),
}
CAUSES: Mapping[str, str | Promise] = {
    "playbook-failed": _("A task of the build failed."),
    "operation-failed": _("A task of the operation failed."),
    "verify-failed": _("The service was built, but did not answer as it should."),
    "host-unreachable": _("The server stopped answering."),
    "host-key-changed": _("The server showed another ssh key than the one known."),
    "deadline-passed": _("It took longer than it may."),
    "cancelled": _("It was cancelled."),
    "run-lost": _("The run ended without a word; another one goes on."),
    "interrupted": _("The run was interrupted; another one goes on."),
    "residue-found": _("Something was left behind."),
    "flow-broken": _("The platform made a mistake; its operators can read it in the logs."),
    "not-taken-up": _("No worker of the zone took it up."),
}
TAKING_DOWN = ("decommission", "residue")
_ORDER_SAYS: Mapping[str, str | Promise] = {
    OrderState.SUBMITTED: _("Order placed"),
    OrderState.PENDING_APPROVAL: _("Waiting for an approval"),
    OrderState.APPROVED: _("Approved"),
    OrderState.WAITING_CAPACITY: _("Waiting for room in the pool"),
    OrderState.DISPATCHED: _("Handed to a worker"),
    OrderState.RUNNING: _("Work has begun"),
    OrderState.FULFILLED: _("Done"),
    OrderState.REJECTED: _("Rejected"),
    OrderState.EXPIRED: _("Expired: nobody decided in time"),
    OrderState.CANCELLING: _("Being cancelled: what was built is taken down"),
    OrderState.CANCELLED: _("Cancelled; nothing is held any more"),
    OrderState.FAILED: _("Failed; everything was undone and nothing is held any more"),
    OrderState.FAILED_DIRTY: _("Failed, and something could not be taken down yet"),
}
_OPERATION_SAYS: Mapping[str, str | Promise] = {
    OrderState.CANCELLING: _("Being cancelled: it is told to stop"),
    OrderState.CANCELLED: _("Cancelled"),
    OrderState.FAILED: _("Failed"),
}
_DONE: Mapping[str, str | Promise] = {
    OrderKind.CREATE: _("Ready: built and checked"),
    OrderKind.DECOMMISSION: _("Given back, and proven clean"),
}
_WHY: Mapping[str, str | Promise] = {
    "give-back": _("The service is given back, and that comes first."),
    "lease-extended": _("The lease was extended."),
    "outranked": _("A newer order took its place."),
    "nothing-to-do": _("The service was there already."),
    "put-back": _("The former settings were put back, and the service was tried with them: it is as it was before."),
}
_RULES: Mapping[str, str | Promise] = {
    "under-threshold": _("no approval needed at this price"),
    "give-back": _("giving back needs no approval"),
    "operate": _("this needs no approval"),
    "curated": _("a rule asks for no approval"),
    "platform": _("the platform takes it back; nobody is asked"),
    "operation": _("operations need no approval"),
}
_TONE_OF: Mapping[str, str] = {
    OrderState.PENDING_APPROVAL: "wait",
    OrderState.WAITING_CAPACITY: "wait",
    OrderState.CANCELLING: "wait",
    OrderState.CANCELLED: "off",
    OrderState.REJECTED: "bad",
    OrderState.EXPIRED: "bad",
    OrderState.FAILED: "bad",
    OrderState.FAILED_DIRTY: "bad",
}
SIGNS = {"ok": "circle-check", "changed": "circle-check", "skipped": "player-skip-forward", "started": "refresh"}
_TONES = {"ok": "good", "changed": "good", "skipped": "off", "started": "busy"}


@dataclass(frozen=True)
class Milestone:
    """One line of the timeline."""

    at: datetime
    text: str
    detail: str
    tone: str
    actor: str


@dataclass
class Task:
    """One task of a playbook on one machine, as far as it has come."""

    name: str
    status: str
    started: datetime
    seconds: float | None = None
    message: str | None = None
    host: str = ""

    @property
    def sign(self) -> str:
        return SIGNS.get(self.status, "circle-x")

    @property
    def tone(self) -> str:
        return _TONES.get(self.status, "bad")


@dataclass
class Step:
    """One playbook of the present attempt, with its tasks in the order in which they began."""

    key: str
    title: str
    began: datetime
    tasks: list[Task] = field(default_factory=list)

    @property
    def shown(self) -> list[Task]:
        """The tasks worth showing: where several machines take part, not what one of them has no part in."""
        return [task for task in self.tasks if not (self.on_several and task.status == "skipped")]

    @property
    def on_several(self) -> bool:
        """Whether several machines take part, so that a task says on which one it runs."""
        return len({task.host for task in self.tasks} - {"localhost"}) > 1


@dataclass(frozen=True)
class Line:
    """One line of the log, in the words of the machine."""

    seq: int
    at: datetime
    tone: str
    text: str


def step_title(key: str) -> str:
    """The word for a playbook's step; an unknown one is its own word."""
    return str(STEPS.get(key, key))


def cause(code: str) -> str:
    """Why something failed, in words; an unknown code is its own word."""
    return str(CAUSES.get(code, code))


_WAITS = {
    "behind": (_("Waiting until the order under way has ended"), "wait"),
    silence.SILENT: (_("Waiting: nobody works in the zone"), "wait"),
    silence.BACK: (_("Somebody works in the zone again"), "good"),
}


def milestones(events: Iterable[AbstractEvent], kind: str) -> list[Milestone]:
    """The timeline of an order of this kind, the oldest first."""
    found = []
    for event in events:
        text, detail, tone = _milestone(event, kind)
        if text:
            found.append(Milestone(event.at, text, detail, tone, event.actor))
    return found


def _milestone(event: AbstractEvent, kind: str) -> tuple[str, str, str]:
    data = event.data
    if event.kind == "state":
        return _state(data, kind)
    if event.kind == "placed":
        return gettext("Room taken on %(host)s") % {"host": data.get("host", "")}, "", "good"
    if event.kind in _WAITS:
        text, tone = _WAITS[event.kind]
        return str(text), "", tone
    if event.kind in {"decision", "frozen", "override"}:
        return _agreement(event)
    if event.kind == "problem":
        return cause(str(data.get("code", ""))), str(data.get("detail", "")), "bad"
    return "", "", ""


def _agreement(event: AbstractEvent) -> tuple[str, str, str]:
    """Who decided on which level, and for whom; a freeze that keeps the order, or does not any more."""
    data = event.data
    if event.kind == "frozen":
        until = parse_datetime(str(data.get("until", "")))
        said = gettext("Waits for the end of a change freeze: %s") % (moment(until) if until else "")
        return said, str(data.get("why", "")), "wait"
    if event.kind == "override":
        return gettext("Goes on in spite of the change freeze"), str(data.get("reason", "")), "wait"
    named = {"who": event.actor, "level": data.get("level"), "of": data.get("of"), "absent": data.get("on_behalf_of")}
    agreed = data.get("verdict") == "approved"
    if named["absent"]:
        words = _("%(who)s approved for %(absent)s, level %(level)s of %(of)s")
        if not agreed:
            words = _("%(who)s rejected for %(absent)s, level %(level)s of %(of)s")
    else:
        words = _("%(who)s approved, level %(level)s of %(of)s")
        if not agreed:
            words = _("%(who)s rejected, level %(level)s of %(of)s")
    return str(words) % named, str(data.get("comment", "")), "good" if agreed else "bad"


def _state(data: Mapping[str, Any], kind: str) -> tuple[str, str, str]:
    to = str(data.get("to", ""))
    attempt = data.get("attempt")
    said = str(_ORDER_SAYS.get(to, to))
    if to == OrderState.FULFILLED:
        return str(_DONE.get(kind, said)), "", "good"
    if kind == OrderKind.OPERATE:
        said = str(_OPERATION_SAYS.get(to, said))
    if to == OrderState.DISPATCHED and isinstance(attempt, int) and attempt > 1:
        said = gettext("Handed to a worker, attempt %d") % attempt
    detail = str(_RULES.get(str(data.get("rule", "")), "")) or str(data.get("comment") or "")
    why = why_said(data)
    detail = detail or str(_WHY.get(why, why))
    return said, detail, _TONE_OF.get(to, "good")


def steps(events: Iterable[AbstractEvent], in_korean: Mapping[str, str]) -> list[Step]:
    """The steps of the newest attempt with their tasks. An earlier attempt's are in the log.

    :param in_korean: names of tasks → the same in Korean, as the service's manifest says.
    """
    found: list[Step] = []
    for event in events:
        data = event.data
        if event.kind == "state" and data.get("to") == OrderState.DISPATCHED:
            found = []
        elif event.kind == "phase":
            _close(found)
            found.append(Step(str(data["phase"]), step_title(str(data["phase"])), event.at))
        elif event.kind == "task":
            _take(found, event, in_korean)
        elif event.kind == "state" and data.get("to") != OrderState.RUNNING:
            _close(found)
            found = [step for step in found if step.tasks]
    return [step for step in found if step.tasks or step is found[-1]]


def _take(found: list[Step], event: AbstractEvent, in_korean: Mapping[str, str]) -> None:
    data = event.data
    key = str(data.get("step", ""))
    if not found or found[-1].key != key:
        found.append(Step(key, step_title(key), event.at))
    tasks, status, host = found[-1].tasks, str(data["status"]), str(data.get("host", ""))
    name = tasknames.translated(str(data["task"]), in_korean)
    open_here = next((each for each in reversed(tasks) if each.host == host and each.status == "started"), None)
    if open_here is not None and status == "started":
        # A task that includes others says nothing at its end; the next one's beginning is it.
        open_here.status, open_here.seconds = "ok", (event.at - open_here.started).total_seconds()
    elif open_here is not None and open_here.name == name:
        open_here.status, open_here.seconds, open_here.message = status, data.get("seconds"), data.get("message")
        return
    tasks.append(Task(name, status, event.at, data.get("seconds"), data.get("message"), host))


def _close(found: Sequence[Step]) -> None:
    """What was under way when its step ended is over, though nobody said how."""
    for task in found[-1].tasks if found else ():
        if task.status == "started":
            task.status = "ok"


def lines(events: Iterable[AbstractEvent]) -> list[Line]:
    """The log: one line for each event."""
    return [Line(event.seq, event.at, *_line(event)) for event in events]


def _line(event: AbstractEvent) -> tuple[str, str]:
    data = event.data
    match event.kind:
        case "task":
            return _task_line(data)
        case "phase":
            return "head", f"STEP {data.get('phase', '')}"
        case "state":
            why = f" ({data['reason']})" if data.get("reason") else ""
            return "head", f"{data.get('from', '')} → {data.get('to', '')}{why}"
        case "problem":
            return "bad", f"{data.get('code', '')}: {data.get('detail', '')}"
        case "placed":
            return "plain", f"PLACED {data.get('host', '')} ({data.get('zone', '')})"
    return "plain", f"{event.kind} {json.dumps(data, ensure_ascii=False) if data else ''}"


def _task_line(data: Mapping[str, Any]) -> tuple[str, str]:
    if data["status"] == "started":
        return "plain", f"TASK [{data['task']}]"
    took = f" {data['seconds']:.1f} s" if data.get("seconds") is not None else ""
    said = f" {data['message']}" if data.get("message") else ""
    return _TONES.get(data["status"], "bad"), f"{data['status']}: [{data['host']}]{took}{said}"


@dataclass(frozen=True)
class Pace:
    """How far a run has come, by what it usually takes. ``value`` and ``most`` in seconds."""

    began: datetime
    value: int
    most: int

    @property
    def usual(self) -> str:
        return span(timedelta(seconds=self.most))


def pace(order: Order, events: Iterable[AbstractEvent], now: datetime) -> Pace | None:
    """The pace of an order that is running; None for any other. The bar waits at 95 % until it is really over."""
    if order.state not in {OrderState.RUNNING, OrderState.DISPATCHED}:
        return None
    dispatched = [each.at for each in events if each.kind == "state" and each.data.get("to") == OrderState.DISPATCHED]
    began = dispatched[-1] if dispatched else order.state_since
    usual: Mapping[str, int] = order.version.manifest["steps"]
    most = _usual(order, usual)
    gone = int((now - began).total_seconds())
    return Pace(began, max(0, min(gone, most * 95 // 100)), most)


def _usual(order: Order, usual: Mapping[str, int]) -> int:
    if order.kind == OrderKind.OPERATE:
        operation = find_operation(order.version.manifest, order.operation)
        return 0 if operation is None else operation.seconds + (usual["verify"] if operation.verify else 0)
    builds = order.kind == OrderKind.CREATE and not order.undoing
    return sum(usual[step] for step in (("provision", "verify") if builds else TAKING_DOWN))
