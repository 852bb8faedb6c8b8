"""What every view of the API shares: who asks, what they sent, and how a list is paged."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import structlog
from django.db.models import Model, QuerySet
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from catalog.api.fields import Strict
from catalog.audit import looks
from catalog.common import clock
from catalog.common.errors import DomainError
from catalog.tenancy.models import User
from catalog.tenancy.policy import Actor, actor_for, scope

_BOUND = ("order_id", "instance_id", "host_id")


class Face(GenericAPIView[Model]):
    """Parses, calls a service, answers.

    :cvar refusals: by method, the errors its service raises, for the OpenAPI document.
    :cvar ordering: of a list; the first name is a column.
    """

    http_method_names: ClassVar[list[str]] = ["get", "head", "post", "delete"]  # type: ignore[misc]
    refusals: ClassVar[Mapping[str, tuple[type[DomainError], ...]]] = {}
    ordering: ClassVar[tuple[str, ...]] = ("-created_at", "-id")
    queryset = None
    pagination_class: Any = None
    filter_backends = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        structlog.contextvars.bind_contextvars(**{name: str(kwargs[name]) for name in _BOUND if name in kwargs})
        super().initial(request, *args, **kwargs)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        # What a person sees depends on who they are, and some of it is secret: no cache keeps it.
        response.headers.setdefault("Cache-Control", "no-store")
        return super().finalize_response(request, response, *args, **kwargs)

    @cached_property
    def actor(self) -> Actor:
        """The person asking, with the roles in force now."""
        user = self.request.user
        assert isinstance(user, User)
        return actor_for(user, now=clock.now(), source=self.request.META.get("REMOTE_ADDR", ""))

    def looked(self, kind: str, row: Any) -> None:
        """Record that the actor looks at this one thing of a project, where only a role of the group lets them."""
        looks.look(
            self.actor, kind, now=clock.now(), subject_id=str(row.pk), tenant_id=row.tenant_id,
            project_id=row.project_id, via="api",
        )  # fmt: skip

    def looked_at_list(self, kind: str, asked: Mapping[str, Any]) -> None:
        """The same of a list that goes over affiliates."""
        wanted = {name: value for name, value in asked.items() if value and name not in {"cursor", "limit"}}
        sees_all = scope(self.actor).everything
        looks.look_at_list(self.actor, kind, now=clock.now(), sees_all=sees_all, via="api", asked=wanted)

    def body(self, kind: type[Strict]) -> dict[str, Any]:
        """The request's body as ``kind`` describes it. Raises ``ValidationError``."""
        serializer = kind(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def query(self, kind: type[Strict]) -> dict[str, Any]:
        """The query string as ``kind`` describes it; of a name given twice the last counts. Raises ``ValidationError``."""
        serializer = kind(data=self.request.query_params.dict())
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def page(self, rows: "QuerySet[Any]", shown_as: type[BaseSerializer[Any]]) -> Response:
        """One page of ``rows``."""
        return self.get_paginated_response(shown_as(self.paginate_queryset(rows), many=True).data)
