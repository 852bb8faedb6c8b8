"""What takes minutes and touches machines: one Prefect flow per file (file name = flow name = deployment name).

Importing this package configures Django and Prefect for the process, so that every flow can be loaded by its entrypoint, by
our worker and by Prefect's stock ones alike. Nothing here reaches out: no telemetry, and no logs to the Prefect server, whose
database must never hold more than ids.
"""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "catalog.settings")
django.setup()

from django.conf import settings  # noqa: E402  # only after setup

# Prefect reads its settings at import, so these must stand before anything imports it.
os.environ.setdefault("PREFECT_API_URL", settings.PREFECT_API_URL)
# Its default of 10 s between two looks for work would add up to as much to every order. Most looks are at the catalog alone
# (see ``flows.forked``): to ask Prefect costs its server more than anything else that an idle worker does.
os.environ.setdefault("PREFECT_WORKER_QUERY_SECONDS", "0.5")
# Two questions that every new connection would ask first: Prefect's version is pinned, and the token is for browsers.
os.environ.setdefault("PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED", "false")
os.environ.setdefault("PREFECT_CLIENT_CSRF_SUPPORT_ENABLED", "false")
os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER", "json")
os.environ.update(
    {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    }
)
