"""What states a service instance may be in (DESIGN, section 4)."""

from datetime import timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog.common.states import StateTable


class InstanceState(models.TextChoices):
    PENDING = "pending", _("pending")
    PROVISIONING = "provisioning", _("provisioning")
    ACTIVE = "active", _("active")
    UPDATING = "updating", _("updating")
    STOPPED = "stopped", _("stopped")
    TAINTED = "tainted", _("tainted")
    DECOMMISSIONING = "decommissioning", _("decommissioning")
    DECOMMISSIONED = "decommissioned", _("decommissioned")
    FAILED = "failed", _("failed")


S = InstanceState

# Giving back outranks everything, and once begun never returns to active.
INSTANCE = StateTable(
    name="instance",
    moves={
        S.PENDING: frozenset({S.PROVISIONING, S.FAILED}),
        S.PROVISIONING: frozenset({S.ACTIVE, S.FAILED, S.DECOMMISSIONING}),
        S.ACTIVE: frozenset({S.UPDATING, S.STOPPED, S.TAINTED, S.DECOMMISSIONING}),
        S.UPDATING: frozenset({S.ACTIVE, S.STOPPED, S.TAINTED, S.DECOMMISSIONING}),
        S.STOPPED: frozenset({S.ACTIVE, S.UPDATING, S.TAINTED, S.DECOMMISSIONING}),
        S.TAINTED: frozenset({S.ACTIVE, S.UPDATING, S.STOPPED, S.DECOMMISSIONING}),
        S.DECOMMISSIONING: frozenset({S.DECOMMISSIONED}),
        S.FAILED: frozenset({S.PENDING, S.DECOMMISSIONING}),
        S.DECOMMISSIONED: frozenset(),
    },
    deadlines={
        S.PROVISIONING: timedelta(minutes=45),
        S.UPDATING: timedelta(minutes=45),
        S.DECOMMISSIONING: timedelta(hours=2),
    },
)
