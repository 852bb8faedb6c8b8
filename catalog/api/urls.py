"""Addresses of the API, version 1. No trailing slashes."""

from django.urls import path, re_path

from catalog.api import problems
from catalog.api.views import audit, document, follow, instances, offerings, orders, people, pool, quotas, tenancy

app_name = "api"

_V1 = "v1/"

urlpatterns = [
    path(_V1 + "tokens", tenancy.Tokens.as_view(), name="tokens"),
    path(_V1 + "tokens/current", tenancy.CurrentToken.as_view(), name="token"),
    path(_V1 + "me", tenancy.Me.as_view(), name="me"),
    path(_V1 + "tenants", tenancy.Tenants.as_view(), name="tenants"),
    path(_V1 + "tenants/<slug:tenant>", people.Tenant.as_view(), name="tenant"),
    path(_V1 + "projects", tenancy.Projects.as_view(), name="projects"),
    path(_V1 + "projects/<slug:tenant>/<slug:project>", people.Project.as_view(), name="project"),
    path(_V1 + "memberships", people.Memberships.as_view(), name="memberships"),
    path(_V1 + "memberships/<int:membership_id>/end", people.EndMembership.as_view(), name="membership-end"),
    path(_V1 + "handovers", people.Handovers.as_view(), name="handovers"),
    path(_V1 + "offerings", offerings.Offerings.as_view(), name="offerings"),
    path(_V1 + "offerings/<slug:slug>", offerings.Offering.as_view(), name="offering"),
    path(_V1 + "orders", orders.Orders.as_view(), name="orders"),
    path(_V1 + "orders/<uuid:order_id>", orders.Order.as_view(), name="order"),
    path(_V1 + "orders/<uuid:order_id>/events", follow.order_events, name="order-events"),
    path(_V1 + "orders/<uuid:order_id>/approve", orders.Approve.as_view(), name="order-approve"),
    path(_V1 + "orders/<uuid:order_id>/reject", orders.Reject.as_view(), name="order-reject"),
    path(_V1 + "orders/<uuid:order_id>/cancel", orders.Cancel.as_view(), name="order-cancel"),
    path(_V1 + "orders/<uuid:order_id>/retry", orders.Retry.as_view(), name="order-retry"),
    path(_V1 + "instances", instances.Instances.as_view(), name="instances"),
    path(_V1 + "instances/<uuid:instance_id>", instances.Instance.as_view(), name="instance"),
    path(_V1 + "instances/<uuid:instance_id>/credentials", instances.Credentials.as_view(), name="credentials"),
    path(_V1 + "instances/<uuid:instance_id>/lease", instances.Lease.as_view(), name="lease"),
    path(_V1 + "instances/<uuid:instance_id>/hold", instances.Hold.as_view(), name="hold"),
    path(_V1 + "instances/<uuid:instance_id>/lift-hold", instances.LiftHold.as_view(), name="lift-hold"),
    path(_V1 + "instances/<uuid:instance_id>/give-back", instances.GiveBack.as_view(), name="give-back"),
    path(_V1 + "quotas", quotas.Quotas.as_view(), name="quotas"),
    path(_V1 + "loans", quotas.Loans.as_view(), name="loans"),
    path(_V1 + "zones", pool.Zones.as_view(), name="zones"),
    path(_V1 + "hosts", pool.Hosts.as_view(), name="hosts"),
    path(_V1 + "hosts/<uuid:host_id>", pool.Host.as_view(), name="host"),
    path(_V1 + "hosts/<uuid:host_id>/events", pool.HostEvents.as_view(), name="host-events"),
    path(_V1 + "hosts/<uuid:host_id>/certificates", pool.HostCertificates.as_view(), name="certificates"),
    path(_V1 + "hosts/<uuid:host_id>/wipe", pool.Wipe.as_view(), name="host-wipe"),
    path(_V1 + "hosts/<uuid:host_id>/quarantine", pool.Quarantine.as_view(), name="host-quarantine"),
    path(_V1 + "hosts/<uuid:host_id>/maintenance", pool.Maintenance.as_view(), name="host-maintenance"),
    path(_V1 + "hosts/<uuid:host_id>/resume", pool.Resume.as_view(), name="host-resume"),
    path(_V1 + "hosts/<uuid:host_id>/retire", pool.Retire.as_view(), name="host-retire"),
    path(_V1 + "audit", audit.Audit.as_view(), name="audit"),
    path(_V1 + "audit/export", audit.AuditExport.as_view(), name="audit-export"),
    path(_V1 + "audit/head", audit.AuditHead.as_view(), name="audit-head"),
    path(_V1 + "schema", document.Schema.as_view(), name="schema"),
    path(_V1 + "docs", document.Docs.as_view(url_name="api:schema"), name="docs"),
    re_path(r"", problems.unknown_route),
]
