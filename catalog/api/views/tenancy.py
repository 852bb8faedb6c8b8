"""Signing in, and who one is."""

from typing import ClassVar

from django.contrib.auth import authenticate
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle

from catalog.api.errors import BadCredentials
from catalog.api.face import Face
from catalog.api.fields import Nothing, Page
from catalog.api.pagination import Cursor
from catalog.api.serializers import tenancy as shapes
from catalog.api.serializers.people import CreateProject, CreateTenant
from catalog.api.views.people import tenant_named
from catalog.common import clock
from catalog.people import affiliates, sessions
from catalog.people.errors import ProjectEndInvalid, ProjectExists, TenantExists
from catalog.tenancy import selectors
from catalog.tenancy.models import Membership, User
from catalog.tenancy.policy import in_force


class Tokens(Face):
    """Sign in."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = (ScopedRateThrottle,)
    throttle_scope = "tokens"
    refusals: ClassVar = {"POST": (BadCredentials,)}

    @extend_schema(request=shapes.SignIn, responses={201: shapes.Token}, auth=[])
    def post(self, request: Request) -> Response:
        """Exchange user name and password for a token. Send it as `Authorization: Token <token>`."""
        given = self.body(shapes.SignIn)
        user = authenticate(request._request, username=given["username"], password=given["password"])
        if user is None:
            raise BadCredentials()
        assert isinstance(user, User)
        source = request.META.get("REMOTE_ADDR", "")
        row, token = sessions.issue_token(user, source=source, now=clock.now())
        shown = shapes.Token({"token": token, "expires_at": row.expiry})
        return Response(shown.data, status=status.HTTP_201_CREATED)


class CurrentToken(Face):
    """The token this request came with."""

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request) -> Response:
        """Sign out: this token is worth nothing from now on. A session of the browser is left alone."""
        if request.auth is not None:
            sessions.revoke_token(self.actor, request.auth, now=clock.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class Me(Face):
    """The one who asks."""

    @extend_schema(responses=shapes.Me)
    def get(self, request: Request) -> Response:
        """Who I am, and what I may do for whom."""
        self.query(Nothing)
        user = request.user
        assert isinstance(user, User)
        mine = Membership.objects.filter(in_force(clock.now()), user=user).select_related("tenant", "project__tenant")
        roles = mine.order_by("tenant__slug", "project__slug", "role")
        shown = {
            "username": user.get_username(),
            "name": user.get_full_name(),
            "language": user.language,
            "roles": roles,
        }
        return Response(shapes.Me(shown).data)


class Tenants(Face):
    """Affiliates."""

    pagination_class = Cursor
    ordering = ("slug",)
    refusals: ClassVar = {"POST": (TenantExists,)}

    @extend_schema(parameters=[Page], responses=shapes.Tenant(many=True))
    def get(self, request: Request) -> Response:
        """The affiliates whose things I may see."""
        self.query(Page)
        return self.page(selectors.tenants_for(self.actor), shapes.Tenant)

    @extend_schema(request=CreateTenant, responses={201: shapes.Tenant})
    def post(self, request: Request) -> Response:
        """A new affiliate. For group administrators."""
        row = affiliates.create_tenant(self.actor, now=clock.now(), **self.body(CreateTenant))
        return Response(shapes.Tenant(row).data, status=status.HTTP_201_CREATED)


class Projects(Face):
    """Projects."""

    pagination_class = Cursor
    ordering = ("slug", "id")
    refusals: ClassVar = {"POST": (ProjectExists, ProjectEndInvalid)}

    @extend_schema(parameters=[Page], responses=shapes.Project(many=True))
    def get(self, request: Request) -> Response:
        """The projects I may see."""
        self.looked_at_list("project", self.query(Page))
        return self.page(selectors.projects_for(self.actor), shapes.Project)

    @extend_schema(request=CreateProject, responses={201: shapes.Project})
    def post(self, request: Request) -> Response:
        """A new project of an affiliate. For its administrators, and for group administrators."""
        given = self.body(CreateProject)
        tenant = tenant_named(self.actor, given["tenant"])
        row = affiliates.create_project(
            self.actor, tenant, slug=given["slug"], name=given["title"], ends_on=given["ends_on"], now=clock.now()
        )
        return Response(shapes.Project(row).data, status=status.HTTP_201_CREATED)
