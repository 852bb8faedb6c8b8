"""Affiliates, projects, roles and people in the admin. An affiliate's administrators manage what is theirs here too."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as StockUserAdmin
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from catalog.audit.admin import AuditedAdmin
from catalog.common import clock
from catalog.common.errors import DomainError
from catalog.people import affiliates, handover, letters, memberships
from catalog.tenancy.admin import PolicyAdmin, ToldAdmin, manager_of, told
from catalog.tenancy.confirmation import confirmed, sent
from catalog.tenancy.models import Membership, Project, Tenant, User
from catalog.tenancy.policy import Action, may_anywhere, scope
from catalog.tenancy.selectors import projects_for, tenants_for


class HandoverForm(forms.Form):
    """Who takes over, and with which roles."""

    successor = forms.CharField(label=_("User name of the successor"), max_length=150)
    give_roles = forms.BooleanField(label=_("Give the successor the roles they lack"), required=False)
    reason = forms.CharField(label=_("Reason"), max_length=300, required=False)


class HandingOver(PolicyAdmin):
    """A page of people, or of their roles, with the action that hands one person's work over."""

    def has_manage_permission(self, request: HttpRequest) -> bool:
        """Who is offered it."""
        return may_anywhere(manager_of(request), Action.MANAGE_MEMBERS)

    @admin.action(description=_("Hand over to a successor…"), permissions=["manage"])
    def hand_over(self, request: HttpRequest, queryset: "QuerySet[Any]") -> HttpResponse | None:
        """Ask who takes over, show what that moves, and do it once that is confirmed."""
        people = {row.pk if isinstance(row, User) else row.user_id for row in queryset}
        if len(people) != 1:
            messages.error(request, _("Choose one person."))
            return None
        leaver, actor = User.objects.get(pk=people.pop()), manager_of(request)
        asked = "successor" in request.POST
        form = HandoverForm(request.POST if asked else None)
        plan = None
        if asked and form.is_valid():
            given = form.cleaned_data
            try:
                going, successor = handover.people(actor, leaver.username, given["successor"])
                if request.POST.get("confirmed") == "yes":
                    handover.handover(
                        actor, going, successor, give_roles=given["give_roles"], reason=given["reason"], now=clock.now()
                    )
                    done = _("%(leaver)s has handed over to %(successor)s; the account is closed.")
                    messages.success(request, done % {"leaver": going, "successor": successor})
                    return HttpResponseRedirect(request.get_full_path())
                plan = handover.plan(actor, going, successor, now=clock.now())
            except DomainError as error:
                messages.error(request, told(error))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Hand over to a successor…"),
            "leaver": leaver.get_full_name() or leaver.username,
            "plan": plan,
            "missing": letters.worded(plan.missing) if plan else (),
            "form": form,
            "sent": list(sent(request, *form.fields)),
            "opts": self.model._meta,
        }
        return TemplateResponse(request, "admin/handover.html", context)


class PersonPage(HandingOver, StockUserAdmin):
    """People. Roles are granted by memberships; the framework's own groups and permissions are not used."""

    written_by_hand = True
    list_display = ("username", "last_name", "first_name", "email", "language", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff", "language")
    search_fields = ("username", "first_name", "last_name", "email")
    readonly_fields = ("last_login", "date_joined")
    filter_horizontal = ()
    actions = ("hand_over",)
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": ("last_name", "first_name", "email", "language")}),
        (_("Access"), {"fields": ("is_active", "is_staff", "is_superuser")}),
        (_("Times"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "language", "password1", "password2")}),)

    def save_model(self, request: HttpRequest, obj: Model, form: "ModelForm[Any]", change: bool) -> None:
        # A new person's password is set on the object by the form, so the whole row is written.
        obj.save()


@admin.register(User)
class UserAdmin(AuditedAdmin, PersonPage):
    """People, recorded."""

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> Any:  # noqa: A002
        response = super().user_change_password(request, id, form_url)
        user = self.get_object(request, id)
        if request.method == "POST" and response.status_code == 302 and user is not None:
            self.write_down(request, user, "password", before={}, after={})
        return response


@admin.register(Tenant)
class TenantAdmin(ToldAdmin):
    """Affiliates. A slug once given stays: addresses and reports name it."""

    writers, written_by_hand = Action.MANAGE_TENANTS, True
    list_display = ("slug", "name_ko", "name_en", "created_at")
    search_fields = ("slug", "name_ko", "name_en")
    fields = ("slug", "name_ko", "name_en", "created_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Tenant | None = None) -> tuple[str, ...]:
        return ("slug", "created_at") if obj is not None else ("created_at",)

    def save_model(self, request: HttpRequest, obj: Any, form: "ModelForm[Any]", change: bool) -> None:
        names, now = {"name_ko": obj.name_ko, "name_en": obj.name_en}, clock.now()
        if change:
            affiliates.change_tenant(manager_of(request), obj, now=now, **names)
        else:
            obj.pk = affiliates.create_tenant(manager_of(request), slug=obj.slug, now=now, **names).pk


@admin.register(Project)
class ProjectAdmin(ToldAdmin):
    """Projects. Leases that would outlive one whose end is brought forward are brought forward with it."""

    writers = delegated = Action.MANAGE_PROJECTS
    roads, written_by_hand = ("tenant", "pk"), True
    list_display = ("slug", "tenant", "name", "environment", "ends_on")
    list_filter = ("tenant", "environment")
    list_select_related = ("tenant",)
    search_fields = ("slug", "name", "tenant__slug")
    fields = ("tenant", "slug", "name", "environment", "ends_on")

    def get_readonly_fields(self, request: HttpRequest, obj: Project | None = None) -> tuple[str, ...]:
        return ("tenant", "slug") if obj is not None else ()

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "tenant":
            managed = scope(manager_of(request), Action.MANAGE_PROJECTS)
            kwargs["queryset"] = (
                Tenant.objects.all() if managed.everything else Tenant.objects.filter(pk__in=managed.tenants)
            )
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: "ModelForm[Any]", change: bool) -> None:
        actor, now = manager_of(request), clock.now()
        if not change:
            made = affiliates.create_project(
                actor,
                obj.tenant,
                slug=obj.slug,
                name=obj.name,
                environment=obj.environment,
                ends_on=obj.ends_on,
                now=now,
            )
            obj.pk = made.pk
            return
        values = {"name": obj.name, "environment": obj.environment, "ends_on": obj.ends_on}
        _row, brought = affiliates.change_project(actor, obj, now=now, **values)
        if brought:
            said = ngettext("%d lease now ends with the project.", "%d leases now end with the project.", brought)
            messages.warning(request, said % brought)


class MembershipForm(forms.ModelForm):
    """A role for somebody named by their user name: not everybody who grants roles may see all people."""

    username = forms.CharField(label=_("User name"), max_length=150)

    class Meta:
        model = Membership
        fields = ("role", "tenant", "project", "ends_at")

    def clean_username(self) -> str:
        """Somebody who may act."""
        name: str = self.cleaned_data["username"]
        try:
            memberships.active_person(name)
        except DomainError as error:
            raise forms.ValidationError(str(error.detail)) from error
        return name


@admin.register(Membership)
class MembershipAdmin(HandingOver, ToldAdmin):
    """Roles of people. One that ended stays, and says until when it counted."""

    writers = delegated = Action.MANAGE_MEMBERS
    written_by_hand = True
    list_display = ("user", "role", "tenant", "project", "ends_at")
    list_filter = ("role", ("ends_at", admin.EmptyFieldListFilter), "tenant")
    list_select_related = ("user", "tenant", "project__tenant")
    search_fields = ("user__username", "user__last_name", "tenant__slug", "project__slug")
    actions = ("end_now", "hand_over")
    form = MembershipForm

    def get_fields(self, request: HttpRequest, obj: Membership | None = None) -> tuple[str, ...]:
        return ("user" if obj is not None else "username", "role", "tenant", "project", "ends_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Membership | None = None) -> tuple[str, ...]:
        return ("user", "role", "tenant", "project") if obj is not None else ()

    def get_form(self, request: HttpRequest, obj: Membership | None = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            kwargs["form"] = forms.ModelForm
        return super().get_form(request, obj, change=change, **kwargs)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "tenant":
            kwargs["queryset"] = tenants_for(manager_of(request))
        if db_field.name == "project":
            kwargs["queryset"] = projects_for(manager_of(request))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: "ModelForm[Any]", change: bool) -> None:
        actor, now = manager_of(request), clock.now()
        if change:
            memberships.set_end(actor, obj, obj.ends_at, now=now)
            return
        granted = memberships.grant(
            actor, memberships.active_person(form.cleaned_data["username"]), obj.role, tenant=obj.tenant,
            project=obj.project, ends_at=obj.ends_at, now=now,
        )  # fmt: skip
        obj.pk, obj.user = granted.pk, granted.user

    @admin.action(description=_("End now"), permissions=["change"])
    @confirmed
    def end_now(self, request: HttpRequest, queryset: "QuerySet[Membership]") -> None:
        """From now on these roles count no more."""
        for row in queryset.order_by("pk"):
            try:
                memberships.end(manager_of(request), row, now=clock.now())
            except DomainError as error:
                messages.error(request, f"{row}: {error.detail}")
            else:
                messages.success(request, _("%(what)s: ended.") % {"what": row})
