"""Kinds of data a service may hold, as the group's rules tell them apart."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class DataClass(models.TextChoices):
    """From the least to the most protected, after the Korean Credit Information Act and Personal Information Protection Act.

    ``PERSONAL_CREDIT`` is personal credit information, ``UNIQUE_ID`` the unique identifiers (resident, passport, driver's
    licence and alien registration numbers) that the law protects most.
    """

    PUBLIC = "public", _("public data")
    INTERNAL = "internal", _("internal data")
    PERSONAL_CREDIT = "personal-credit", _("personal credit data")
    UNIQUE_ID = "unique-id", _("unique identifiers")
