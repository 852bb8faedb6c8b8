"""Kinds of data a service may hold, as the group's rules tell them apart."""

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
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


PROTECTED = frozenset({DataClass.PERSONAL_CREDIT, DataClass.UNIQUE_ID})
"""What the law protects: it leaves the group's own hardware only where an operator said so."""


def ordinary() -> list[str]:
    """What may be held where nobody said otherwise: public and internal data."""
    return [DataClass.PUBLIC.value, DataClass.INTERNAL.value]


def in_order(values: Iterable[str]) -> list[str]:
    """The kinds among ``values``, each once, from the least to the most protected. Raises ValueError for an unknown one."""
    wanted = {DataClass(value) for value in values}
    return [each.value for each in DataClass if each in wanted]


def in_words(values: Iterable[str]) -> str:
    """Kinds of data as people read them, separated by commas."""
    return ", ".join(str(DataClass(value).label) for value in values)


def check_data_classes(value: Any) -> None:
    """A validator of model fields: a list of at least one kind, in order and each once. Raises ValidationError."""
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise ValidationError(_("Name at least one kind of data."))
    if not set(value) <= set(DataClass.values) or in_order(value) != value:
        raise ValidationError(_("A list of %s, in this order.") % ", ".join(DataClass.values))
