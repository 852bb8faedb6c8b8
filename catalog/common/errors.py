"""Errors as data. The promise: a code, once released, keeps its meaning and its HTTP status for ever.

Every refusal a user can meet is a ``DomainError``: a stable code, the HTTP status a face answers with, a sentence that
says what happened and what to do next, and optionally the fields it is about. Raising one changes nothing: services raise
before they write, or inside the transaction they undo.
"""

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Text = str | Promise


class DomainError(Exception):
    """A refusal with a stable code.

    :cvar code: kebab-case, unique over the whole product (a test checks it).
    :cvar status: HTTP status faces answer with.
    :cvar title: short sentence, the same for every occurrence of the code.
    :ivar explanation: what a reader may know of the reasons, as data; None where there is nothing to add.
    """

    code = "refused"
    status = 409
    title: Text = _("The request was refused.")

    def __init__(self, detail: Text | None = None, *, fields: Mapping[str, Text] | None = None, **context: Any) -> None:
        self.detail: Text = detail if detail is not None else self.title
        self.fields: dict[str, Text] = dict(fields or {})
        self.context = context
        self.explanation: Mapping[str, Any] | None = None
        super().__init__(str(self.code))

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class NotFound(DomainError):
    """The object does not exist, or the actor may not know that it does (DESIGN rule 9)."""

    code = "not-found"
    status = 404
    title = _("There is no such object, or you may not see it.")


class Forbidden(DomainError):
    """The actor sees the object but may not do this with it."""

    code = "forbidden"
    status = 403
    title = _("You may not do this. Ask an administrator of your affiliate for the role it needs.")


class InvalidInput(DomainError):
    """The request itself is wrong; ``fields`` names what and why."""

    code = "invalid-input"
    status = 422
    title = _("Some values are not valid. Correct the named fields and send the request again.")


class StateConflict(DomainError):
    """The thing is no longer (or not yet) in a state that allows this."""

    code = "state-conflict"
    status = 409
    title = _("This is not possible in the present state. Reload to see what has changed.")
