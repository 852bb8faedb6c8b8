"""Addresses of the portal."""

from django.urls import path

from catalog.web.views import approvals, home, instances, operations, orders, pool, session, shop

app_name = "web"

urlpatterns = [
    path("", home.home, name="home"),
    path("login/", session.SignIn.as_view(), name="login"),
    path("logout/", session.sign_out, name="logout"),
    path("preferences/language/", session.choose_language, name="language"),
    path("preferences/theme/", session.choose_theme, name="theme"),
    path("catalog/", shop.catalog, name="catalog"),
    path("catalog/<slug:slug>/", shop.order_form, name="order-form"),
    path("orders/", orders.orders, name="orders"),
    path("orders/<uuid:order_id>/", orders.order, name="order"),
    path("orders/<uuid:order_id>/live/", orders.live, name="live"),
    path("orders/<uuid:order_id>/finding/", orders.finding, name="finding"),
    path("orders/<uuid:order_id>/cancel/", orders.cancel, name="cancel"),
    path("orders/<uuid:order_id>/retry/", orders.retry, name="retry"),
    path("orders/<uuid:order_id>/approve/", approvals.decide, {"decision": "approve"}, name="approve"),
    path("orders/<uuid:order_id>/reject/", approvals.decide, {"decision": "reject"}, name="reject"),
    path("orders/<uuid:order_id>/override-freeze/", approvals.override_freeze, name="override-freeze"),
    path("approvals/", approvals.approvals_page, name="approvals"),
    path("approvals/delegate/", approvals.delegate, name="delegate"),
    path("approvals/delegations/<uuid:delegation_id>/end/", approvals.end_delegation, name="end-delegation"),
    path("services/", instances.instances, name="instances"),
    path("services/<uuid:instance_id>/", instances.instance, name="instance"),
    path("services/<uuid:instance_id>/reveal/", instances.reveal, name="reveal"),
    path("services/<uuid:instance_id>/extend/", instances.extend, name="extend"),
    path("services/<uuid:instance_id>/operations/<slug:name>/", operations.operation, name="operation"),
    path("services/<uuid:instance_id>/give-back/", instances.give_back, name="give-back"),
    path("pool/", pool.pool, name="pool"),
    path("pool/hosts/<uuid:host_id>/", pool.host, name="host"),
    path("pool/hosts/<uuid:host_id>/<slug:deed>/", pool.operate, name="operate"),
]
