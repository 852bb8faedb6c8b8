"""Who may stand beside whom: what a plan promises, and what a host is used for meanwhile."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Isolation(models.TextChoices):
    """From the strictest to the loosest."""

    DEDICATED = "dedicated", _("a host of its own")
    AFFILIATE = "affiliate", _("beside services of the same affiliate")
    GROUP = "group", _("beside services of any affiliate")
