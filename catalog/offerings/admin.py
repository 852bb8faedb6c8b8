"""Curating the catalog: texts, prices, order of display, icons, what a plan allows, and what is on sale."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _

from catalog.audit.admin import AuditedAdmin
from catalog.common.data import DataClass, in_order, in_words
from catalog.offerings.errors import NarrowingInvalid
from catalog.offerings.folders import contents
from catalog.offerings.models import Offering, OfferingFolder, OfferingVersion, Plan, Publication
from catalog.offerings.services import data_classes, manifest_data_classes, parameter_schema
from catalog.tenancy.admin import PolicyAdmin
from catalog.tenancy.policy import Action


class CuratedAdmin(AuditedAdmin):
    """Rows that a manifest brought and a curator dresses: never added or removed by hand."""

    readers, writers, written_by_hand, addable = Action.VIEW, Action.CURATE, True, False
    actions = ("publish", "hide")

    @admin.action(description=_("Publish"), permissions=["change"])
    def publish(self, request: HttpRequest, queryset: "QuerySet[Any]") -> None:
        """Put on sale."""
        self._set(request, queryset, Publication.PUBLISHED)

    @admin.action(description=_("Hide"), permissions=["change"])
    def hide(self, request: HttpRequest, queryset: "QuerySet[Any]") -> None:
        """Take off sale; what was ordered stays."""
        self._set(request, queryset, Publication.HIDDEN)

    def _set(self, request: HttpRequest, queryset: "QuerySet[Any]", to: Publication) -> None:
        changed = 0
        for row in queryset.exclude(publication=to):
            before = {"publication": row.publication}
            row.publication = to
            row.save(update_fields=["publication"])
            self.write_down(request, row, "change", before=before, after={"publication": to.value})
            changed += 1
        self.message_user(request, _("%(count)d changed to “%(state)s”.") % {"count": changed, "state": to.label})


class PlanInline(admin.TabularInline):
    """The plans of an offering at a glance; each is edited on its own page."""

    model = Plan
    extra = 0
    fields = readonly_fields = ("slug", "name_ko", "publication", "topology", "price_krw_month", "display_order")
    show_change_link = True
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Offering | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Offering | None = None) -> bool:
        # Who may open the offering's page may see its plans.
        return True

    def has_change_permission(self, request: HttpRequest, obj: Offering | None = None) -> bool:
        return False


@admin.register(Offering)
class OfferingAdmin(CuratedAdmin):
    """Products."""

    list_display = ("slug", "name_ko", "name_en", "category", "icon", "publication", "display_order")
    list_filter = ("publication", "category")
    search_fields = ("slug", "name_ko", "name_en")
    readonly_fields = ("slug", "category")
    inlines = (PlanInline,)


class PlanForm(forms.ModelForm):
    """What a curator sets."""

    class Meta:
        model = Plan
        fields = (
            "name_en", "name_ko", "publication", "price_krw_month", "data_classes", "narrowing", "display_order",
        )  # fmt: skip

    data_classes = forms.MultipleChoiceField(
        label=_("Data it may hold"), choices=DataClass.choices, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "data_classes" in self.fields:
            self.initial["data_classes"] = data_classes(self.instance)

    def clean_data_classes(self) -> list[str]:
        """Some of what the manifest allows; all of it is kept as nothing, and so follows the manifest."""
        wanted, allowed = in_order(self.cleaned_data["data_classes"]), manifest_data_classes(self.instance)
        if beyond := [each for each in wanted if each not in allowed]:
            raise forms.ValidationError(_("The manifest allows no %s.") % in_words(beyond))
        return [] if wanted == allowed else wanted

    def clean_narrowing(self) -> dict[str, Any]:
        """Refuse a narrowing that the manifest does not allow: it would make the plan impossible to order."""
        narrowing = self.cleaned_data["narrowing"]
        if not isinstance(narrowing, dict):
            raise forms.ValidationError(_("Write an object: parameter → what narrows it."))
        plan = self.instance
        was, plan.narrowing = plan.narrowing, narrowing
        try:
            parameter_schema(plan)
        except NarrowingInvalid as error:
            plan.narrowing = was
            raise forms.ValidationError([f"{name}: {text}" for name, text in error.fields.items()]) from error
        return narrowing


_FROM_MANIFEST = ("offering", "version", "slug", "topology", "isolation", "resources", "roles", "traits")


@admin.register(Plan)
class PlanAdmin(CuratedAdmin):
    """Sizes and prices."""

    form = PlanForm
    list_display = (
        "slug", "offering", "name_ko", "name_en", "topology", "isolation", "price_krw_month", "publication", "display_order",
    )  # fmt: skip
    list_filter = ("publication", "offering", "topology", "isolation")
    list_select_related = ("offering",)
    search_fields = ("slug", "name_ko", "name_en", "offering__slug")
    readonly_fields = _FROM_MANIFEST
    fieldsets = (
        (_("From the manifest"), {"fields": _FROM_MANIFEST}),
        (
            _("Curated"),
            {
                "fields": (
                    "name_ko",
                    "name_en",
                    "publication",
                    "price_krw_month",
                    "data_classes",
                    "narrowing",
                    "display_order",
                )
            },
        ),
    )


@admin.register(OfferingVersion)
class OfferingVersionAdmin(PolicyAdmin):
    """Folders as they were loaded."""

    readonly_fields = ("files",)
    list_display = ("offering", "version", "git_revision", "digest", "loaded_at")
    list_filter = ("offering",)
    list_select_related = ("offering",)
    search_fields = ("offering__slug", "version", "git_revision")

    @admin.display(description=_("Files"))
    def files(self, version: OfferingVersion) -> str:
        """The files a service of this version is built, operated and given back with; their size in bytes."""
        kept = OfferingFolder.objects.filter(version=version).first()
        found = contents(bytes(kept.archive)) if kept is not None else {}
        return format_html_join("", "{} ({})<br>", sorted(found.items()))
