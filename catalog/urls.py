"""Addresses of the web process."""

from django.contrib import admin
from django.urls import include, path

from catalog.stack import health

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include("catalog.api.urls")),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("", include("catalog.web.urls")),
]

# Under /api/ every answer is a problem document, also those the framework gives before a view has come into play.
handler400 = "catalog.api.problems.bad_request"
handler403 = "catalog.api.problems.permission_denied"
handler404 = "catalog.api.problems.page_not_found"
handler500 = "catalog.api.problems.server_error"
