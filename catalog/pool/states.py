"""What states a host may be in (DESIGN, section 4)."""

from datetime import timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog.common.states import StateTable


class HostState(models.TextChoices):
    ENROLLED = "enrolled", _("enrolled")
    INSPECTING = "inspecting", _("inspecting")
    AVAILABLE = "available", _("available")
    RESERVED = "reserved", _("reserved")
    IN_USE = "in_use", _("in use")
    DRAINING = "draining", _("draining")
    WIPING = "wiping", _("wiping")
    VERIFYING = "verifying", _("verifying")
    MAINTENANCE = "maintenance", _("maintenance")
    QUARANTINED = "quarantined", _("quarantined")
    MISSING = "missing", _("missing")
    RETIRED = "retired", _("retired")


S = HostState

# quarantined never leads straight to available: it leaves through a wipe, by the decision of two people.
# missing returns to where the books say it belongs: available (clean, unclaimed), reserved or in_use (claimed), or draining.
HOST = StateTable(
    name="host",
    moves={
        S.ENROLLED: frozenset({S.INSPECTING, S.RETIRED}),
        S.INSPECTING: frozenset({S.AVAILABLE, S.ENROLLED, S.QUARANTINED}),
        S.AVAILABLE: frozenset({S.RESERVED, S.MAINTENANCE, S.MISSING, S.RETIRED, S.WIPING, S.QUARANTINED}),
        S.RESERVED: frozenset({S.AVAILABLE, S.IN_USE, S.MISSING, S.QUARANTINED}),
        S.IN_USE: frozenset({S.DRAINING, S.MISSING, S.QUARANTINED}),
        S.DRAINING: frozenset({S.WIPING, S.QUARANTINED, S.MISSING}),
        S.WIPING: frozenset({S.VERIFYING, S.QUARANTINED}),
        S.VERIFYING: frozenset({S.AVAILABLE, S.WIPING, S.QUARANTINED}),
        S.MAINTENANCE: frozenset({S.WIPING, S.INSPECTING, S.RETIRED, S.QUARANTINED}),
        S.QUARANTINED: frozenset({S.WIPING, S.RETIRED}),
        S.MISSING: frozenset({S.AVAILABLE, S.RESERVED, S.IN_USE, S.DRAINING, S.QUARANTINED, S.RETIRED}),
        S.RETIRED: frozenset(),
    },
    deadlines={
        S.INSPECTING: timedelta(minutes=10),
        S.WIPING: timedelta(minutes=30),
        S.VERIFYING: timedelta(minutes=15),
    },
)

# Where a claim may land: on a clean host, or beside the same holder's other slices.
PLACEABLE = frozenset({S.AVAILABLE, S.RESERVED, S.IN_USE})
