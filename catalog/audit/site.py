"""The admin site: every page that shows rows of affiliates to somebody else records the look, whatever page is added."""

from typing import Any

from django.contrib.admin import AdminSite
from django.db.models import Model
from django.http import HttpRequest, HttpResponseBase

from catalog.audit.looks import look, look_at_list, read_record
from catalog.audit.models import AuditEntry
from catalog.common import clock
from catalog.tenancy.admin import actor_of
from catalog.tenancy.models import Membership, User

_ROADS = ("tenant", "borrower", "instance", "order", "request", "lease", "project", "owner", "holder")
_PERSONAL = (User, Membership)


def affiliate_of(row: Model) -> Any:
    """The id of the affiliate that a row belongs to, by whichever road there is; None where there is none."""
    if row._meta.model_name == "tenant":
        return row.pk
    names = {field.name for field in row._meta.concrete_fields if field.is_relation}
    for road in _ROADS:
        if road in names and (there := getattr(row, road)) is not None:
            return affiliate_of(there)
    return None


def of_affiliates(model: type[Model]) -> bool:
    """Whether rows of this model are, or tell of, affiliates' things or people."""
    names = {field.name for field in model._meta.concrete_fields if field.is_relation}
    return issubclass(model, _PERSONAL) or "person" in names or bool(names & set(_ROADS))


class RecordingSite(AdminSite):
    """Pages as ever; what they showed is recorded afterwards."""

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        shown = super().admin_view(view, cacheable)

        def recording(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            response: HttpResponseBase = shown(request, *args, **kwargs)
            if request.method == "GET" and response.status_code == 200:
                self._record(request, getattr(response, "context_data", None) or {})
            return response

        recording.__dict__.update(shown.__dict__)
        return recording

    def _record(self, request: HttpRequest, context: dict[str, Any]) -> None:
        actor, now = actor_of(request), clock.now()
        if (changelist := context.get("cl")) is not None:
            model, asked = changelist.model, request.GET.dict()
            if issubclass(model, AuditEntry):
                read_record(actor, now=now, via="admin", asked=asked)
            elif of_affiliates(model):
                sees_all = changelist.model_admin.sees_all(request)
                look_at_list(actor, _kind(model), now=now, sees_all=sees_all, via="admin", asked=asked)
            return
        row = context.get("original") or context.get("object")
        if isinstance(row, AuditEntry):
            read_record(actor, now=now, via="admin", asked={"id": row.pk})
        elif isinstance(row, Model) and of_affiliates(type(row)):
            look(actor, _kind(type(row)), now=now, subject_id=str(row.pk), tenant_id=affiliate_of(row), via="admin")


def _kind(model: type[Model]) -> str:
    return str(model._meta.model_name)
