"""Managing affiliates, projects and roles; handing over."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.face import Face
from catalog.api.pagination import Cursor
from catalog.api.serializers import people as shapes
from catalog.api.serializers.tenancy import Project as ProjectShape
from catalog.api.serializers.tenancy import Tenant as TenantShape
from catalog.audit import looks
from catalog.common import clock
from catalog.common.errors import InvalidInput, NotFound, Text
from catalog.people import affiliates, errors, handover, memberships
from catalog.tenancy import selectors
from catalog.tenancy.models import Project as ProjectRow
from catalog.tenancy.models import Tenant as TenantRow
from catalog.tenancy.policy import Actor, in_force


def tenant_named(actor: Actor, slug: str) -> TenantRow:
    """An affiliate named in a request. Raises InvalidInput where the actor may know of none."""
    try:
        return selectors.tenant_for(actor, slug)
    except NotFound as error:
        fields: dict[str, Text] = {"tenant": NotFound.title}
        raise InvalidInput(fields=fields) from error


def project_named(actor: Actor, name: str) -> ProjectRow:
    """A project named in a request. Raises InvalidInput where the actor may know of none."""
    try:
        return selectors.project_for(actor, name)
    except NotFound as error:
        fields: dict[str, Text] = {"project": NotFound.title}
        raise InvalidInput(fields=fields) from error


class Tenant(Face):
    """One affiliate."""

    @extend_schema(request=shapes.ChangeTenant, responses={200: TenantShape})
    def post(self, request: Request, tenant: str) -> Response:
        """Give an affiliate other names. For group administrators."""
        given = self.body(shapes.ChangeTenant)
        row = selectors.tenant_for(self.actor, tenant)
        return Response(TenantShape(affiliates.change_tenant(self.actor, row, now=clock.now(), **given)).data)


class Project(Face):
    """One project."""

    refusals: ClassVar = {"POST": (errors.ProjectEndInvalid,)}

    @extend_schema(request=shapes.ChangeProject, responses={200: ProjectShape})
    def post(self, request: Request, tenant: str, project: str) -> Response:
        """Change a project's title or last day. Leases that would outlive it end with it."""
        given = self.body(shapes.ChangeProject)
        if "title" in given:
            given["name"] = given.pop("title")
        row = selectors.project_for(self.actor, f"{tenant}/{project}")
        changed, _brought = affiliates.change_project(self.actor, row, now=clock.now(), **given)
        return Response(ProjectShape(changed).data)


class Memberships(Face):
    """Roles of people."""

    pagination_class = Cursor
    ordering = ("-id",)
    refusals: ClassVar = {
        "POST": (
            errors.PersonUnknown, errors.RoleScopeMismatch, errors.OwnMembership, errors.MembershipExists,
            errors.MembershipEndInvalid,
        ),
    }  # fmt: skip

    @extend_schema(parameters=[shapes.MembershipQuery], responses=shapes.Membership(many=True))
    def get(self, request: Request) -> Response:
        """The roles in what I manage; for those who see everything: all."""
        asked = self.query(shapes.MembershipQuery)
        rows = selectors.memberships_for(self.actor)
        if not asked["ended"]:
            rows = rows.filter(in_force(clock.now()))
        if "tenant" in asked:
            rows = rows.filter(tenant=tenant_named(self.actor, asked["tenant"]))
        if "user" in asked:
            rows = rows.filter(user__username=asked["user"])
        self.looked_at_list("membership", asked)
        return self.page(rows, shapes.Membership)

    @extend_schema(request=shapes.GrantRole, responses={201: shapes.Membership})
    def post(self, request: Request) -> Response:
        """Give a person a role: of an affiliate, of one of its projects, or of the group. Never to oneself."""
        given = self.body(shapes.GrantRole)
        project = project_named(self.actor, given["project"]) if given["project"] else None
        tenant = tenant_named(self.actor, given["tenant"]) if given["tenant"] else None
        row = memberships.grant(
            self.actor, memberships.active_person(given["user"]), given["role"],
            tenant=tenant or (project.tenant if project else None), project=project, ends_at=given["ends_at"],
            now=clock.now(),
        )  # fmt: skip
        return Response(shapes.Membership(row).data, status=status.HTTP_201_CREATED)


class EndMembership(Face):
    """The end of a role."""

    refusals: ClassVar = {"POST": (errors.OwnMembership, errors.MembershipEnded, errors.MembershipEndInvalid)}

    @extend_schema(request=shapes.EndRole, responses={200: shapes.Membership})
    def post(self, request: Request, membership_id: int) -> Response:
        """End a role, at once or later."""
        ends_at = self.body(shapes.EndRole)["ends_at"]
        row = selectors.memberships_for(self.actor).filter(pk=membership_id).first()
        if row is None:
            raise NotFound()
        now = clock.now()
        ended = memberships.set_end(self.actor, row, ends_at or now, now=now)
        return Response(shapes.Membership(ended).data)


class Handovers(Face):
    """A person leaves, another takes over."""

    refusals: ClassVar = {
        "GET": (
            errors.PersonUnknown, errors.HandoverToSelf, errors.OwnMembership, errors.PersonBeyondAffiliate,
            errors.SuccessorApprovesOwn,
        ),
        "POST": (
            errors.PersonUnknown, errors.HandoverToSelf, errors.OwnMembership, errors.PersonBeyondAffiliate,
            errors.SuccessorApprovesOwn, errors.SuccessorLacksRoles,
        ),
    }  # fmt: skip

    @extend_schema(parameters=[shapes.HandoverQuery], responses=shapes.Handover)
    def get(self, request: Request) -> Response:
        """What would be handed over; nothing changes."""
        asked = self.query(shapes.HandoverQuery)
        leaver, successor = handover.people(self.actor, asked["leaver"], asked["successor"])
        made = handover.plan(self.actor, leaver, successor, now=clock.now())
        looks.look(self.actor, "person", now=clock.now(), subject_id=str(leaver.pk), via="api")
        return Response(shapes.Handover(made).data)

    @extend_schema(request=shapes.HandOver, responses={200: shapes.Handover})
    def post(self, request: Request) -> Response:
        """Hand everything over: services, decisions and roles; the leaver's account is closed. Both get a letter."""
        given = self.body(shapes.HandOver)
        leaver, successor = handover.people(self.actor, given.pop("leaver"), given.pop("successor"))
        done = handover.handover(self.actor, leaver, successor, now=clock.now(), **given)
        return Response(shapes.Handover(done).data)
