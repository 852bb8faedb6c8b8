"""What states a lease may be in (DESIGN, section 4)."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog.common.states import StateTable


class LeaseState(models.TextChoices):
    ACTIVE = "active", _("active")
    EXPIRING = "expiring", _("expiring")
    GRACE = "grace", _("grace")
    ENDED = "ended", _("ended")


S = LeaseState

LEASE = StateTable(
    name="lease",
    moves={
        S.ACTIVE: frozenset({S.EXPIRING, S.GRACE, S.ENDED}),
        S.EXPIRING: frozenset({S.ACTIVE, S.GRACE, S.ENDED}),
        S.GRACE: frozenset({S.ACTIVE, S.ENDED}),
        S.ENDED: frozenset(),
    },
)
