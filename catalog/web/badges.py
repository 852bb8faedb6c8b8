"""How states look: one colour and one sign for each, in one place. The word stands beside it, never the colour alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from catalog.instances.states import InstanceState
from catalog.leases.states import LeaseState
from catalog.orders.states import OrderState
from catalog.pool.states import HostState


@dataclass(frozen=True)
class Look:
    """``tone`` is one of good, busy, wait, bad, off; ``icon`` a name of the sprite."""

    tone: str
    icon: str


_GOOD = Look("good", "circle-check")
_BUSY = Look("busy", "refresh")
_WAIT = Look("wait", "hourglass")
_BAD = Look("bad", "alert-triangle")
_OFF = Look("off", "circle-dashed")

ORDER: Mapping[str, Look] = {
    OrderState.DRAFT: _OFF,
    OrderState.SUBMITTED: _BUSY,
    OrderState.PENDING_APPROVAL: _WAIT,
    OrderState.APPROVED: _BUSY,
    OrderState.WAITING_CAPACITY: _WAIT,
    OrderState.DISPATCHED: _BUSY,
    OrderState.RUNNING: _BUSY,
    OrderState.FULFILLED: _GOOD,
    OrderState.REJECTED: _OFF,
    OrderState.EXPIRED: _OFF,
    OrderState.CANCELLING: _WAIT,
    OrderState.CANCELLED: _OFF,
    OrderState.FAILED: _BAD,
    OrderState.FAILED_DIRTY: _BAD,
}
INSTANCE: Mapping[str, Look] = {
    InstanceState.PENDING: _WAIT,
    InstanceState.PROVISIONING: _BUSY,
    InstanceState.ACTIVE: _GOOD,
    InstanceState.UPDATING: _BUSY,
    InstanceState.STOPPED: _OFF,
    InstanceState.TAINTED: _BAD,
    InstanceState.DECOMMISSIONING: _WAIT,
    InstanceState.DECOMMISSIONED: _OFF,
    InstanceState.FAILED: _BAD,
}
HOST: Mapping[str, Look] = {
    HostState.ENROLLED: _OFF,
    HostState.INSPECTING: _BUSY,
    HostState.AVAILABLE: _GOOD,
    HostState.RESERVED: _BUSY,
    HostState.IN_USE: _BUSY,
    HostState.DRAINING: _WAIT,
    HostState.WIPING: _WAIT,
    HostState.VERIFYING: _WAIT,
    HostState.MAINTENANCE: _OFF,
    HostState.QUARANTINED: _BAD,
    HostState.MISSING: _BAD,
    HostState.RETIRED: _OFF,
}
LEASE: Mapping[str, Look] = {
    LeaseState.ACTIVE: _GOOD,
    LeaseState.EXPIRING: _WAIT,
    LeaseState.GRACE: _BAD,
    LeaseState.ENDED: _OFF,
}

GONE = (InstanceState.DECOMMISSIONED, InstanceState.FAILED)
UNDER_WAY = (
    OrderState.SUBMITTED,
    OrderState.PENDING_APPROVAL,
    OrderState.APPROVED,
    OrderState.WAITING_CAPACITY,
    OrderState.DISPATCHED,
    OrderState.RUNNING,
    OrderState.CANCELLING,
)
