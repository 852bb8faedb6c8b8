"""Django's settings, all from the environment (the README lists them)."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import dj_database_url
import structlog

from catalog.common.config import BadSetting, env, env_bool, env_int, env_list
from catalog.common.redaction import redact

BASE_DIR = Path(__file__).resolve().parent.parent
STATE_DIR = Path(env("PUMASI_STATE", str(BASE_DIR / ".pumasi")))

SECRET_KEY = env("PUMASI_SECRET_KEY")
PUMASI_SECRET_KEYS = env_list("PUMASI_SECRET_KEYS", SECRET_KEY)
DEBUG = env_bool("PUMASI_DEBUG", False)
ALLOWED_HOSTS = env_list("PUMASI_ALLOWED_HOSTS", "127.0.0.1,localhost")
CSRF_TRUSTED_ORIGINS = env_list("PUMASI_TRUSTED_ORIGINS", "")

INSTALLED_APPS = [
    "catalog.audit.apps.RecordingAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "knox",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "django_structlog",
    "axes",
    "catalog.tenancy",
    "catalog.audit",
    "catalog.mail",
    "catalog.pool",
    "catalog.offerings",
    "catalog.instances",
    "catalog.placement",
    "catalog.ipam",
    "catalog.leases",
    "catalog.approvals",
    "catalog.quotas",
    "catalog.dispatch",
    "catalog.reclaim",
    "catalog.orders",
    "catalog.health",
    "catalog.people",
    "catalog.api",
    "catalog.web",
    "catalog.stack",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "catalog.web.headers.security_headers",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "catalog.urls"
ASGI_APPLICATION = "catalog.asgi.application"
AUTH_USER_MODEL = "tenancy.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 1  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_CALLABLE = "catalog.api.problems.locked_out"
AXES_RESET_ON_SUCCESS = True

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # Before the apps' own, so that the admin wears our skin.
        "DIRS": [BASE_DIR / "catalog" / "web" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

DATABASE_URL = env("DATABASE_URL", f"sqlite:///{STATE_DIR / 'catalog.sqlite3'}")


def _database(url: str) -> dict[str, Any]:
    config: dict[str, Any] = dict(dj_database_url.parse(url))
    if config["ENGINE"] == "django.db.backends.sqlite3":
        # Several processes write: WAL lets readers go on, IMMEDIATE takes the write lock before reading, so that a
        # transaction never has to give up half way ("database is locked").
        config["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=30000;",
        }
    elif config["ENGINE"] == "django.db.backends.postgresql":
        # A web process keeps connections in a pool: under ASGI every request has a thread of its own, and connections kept
        # per thread would never be found again. Short-lived runs and tasks open one when they need it (0: no pool).
        pool_size = env_int("PUMASI_DATABASE_POOL", 0)
        if pool_size:
            config["OPTIONS"] = {"pool": {"min_size": 1, "max_size": pool_size, "timeout": 10}}
        config["CONN_MAX_AGE"] = 0
        config["CONN_HEALTH_CHECKS"] = True
    else:
        raise BadSetting("DATABASE_URL must name a PostgreSQL (postgres://…) or SQLite (sqlite:///…) database.")
    return config


DATABASES = {"default": _database(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "ko"
LANGUAGES = [("ko", "한국어"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "catalog" / "locale"]
TIME_ZONE = env("PUMASI_TIME_ZONE", "Asia/Seoul")
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = STATE_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}

LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login/"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = env_bool("PUMASI_SECURE_COOKIES", False)
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE
X_FRAME_OPTIONS = "DENY"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "knox.auth.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["catalog.api.parsers.StrictJSONParser"],
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_THROTTLE_RATES": {"tokens": "30/min"},
    # The client's address is what the socket says; nobody escapes a throttle by a header.
    "NUM_PROXIES": 0,
    "URL_FORMAT_OVERRIDE": None,
    "DEFAULT_SCHEMA_CLASS": "catalog.api.schema.ProblemAutoSchema",
    "EXCEPTION_HANDLER": "catalog.api.problems.handle",
}
REST_KNOX = {"TOKEN_TTL": timedelta(hours=env_int("PUMASI_TOKEN_HOURS", 12, least=1))}
SPECTACULAR_SETTINGS = {
    "TITLE": "Pumasi",
    "DESCRIPTION": "Order platforms and software on the group's shared hardware, and give them back.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "OrderState": "catalog.orders.states.OrderState",
        "OrderKind": "catalog.orders.states.OrderKind",
        "InstanceState": "catalog.instances.states.InstanceState",
        "HostState": "catalog.pool.states.HostState",
        "LeaseState": "catalog.leases.states.LeaseState",
        "ZoneKind": "catalog.pool.models.Zone.Kind",
        "ZoneAdmission": "catalog.pool.models.Zone.Admission",
        "WorkerState": "catalog.pool.models.WorkerState",
        "DataClass": "catalog.common.data.DataClass",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "catalog.api.schema.close_request_bodies",
        "catalog.api.schema.list_codes",
    ],
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

REDIS_URL = env("REDIS_URL", "redis://127.0.0.1:6379/0")
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# A publisher must learn within a second that the broker is down; the order is safe in the database.
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 1, "socket_timeout": 5, "max_retries": 0}

# Letters to people. Without a server none is sent; what they say can be read in the portal and through the API.
EMAIL_HOST = env("PUMASI_SMTP_HOST", "")
EMAIL_PORT = env_int("PUMASI_SMTP_PORT", 25, least=1)
EMAIL_HOST_USER = env("PUMASI_SMTP_USER", "")
EMAIL_HOST_PASSWORD = env("PUMASI_SMTP_PASSWORD", "")
EMAIL_TIMEOUT = 10
_SMTP_SECURITY = env("PUMASI_SMTP_SECURITY", "none")
if _SMTP_SECURITY not in {"none", "starttls", "tls"}:
    raise BadSetting(f"The setting PUMASI_SMTP_SECURITY must be none, starttls or tls, not {_SMTP_SECURITY!r}.")
EMAIL_USE_TLS = _SMTP_SECURITY == "starttls"
EMAIL_USE_SSL = _SMTP_SECURITY == "tls"
DEFAULT_FROM_EMAIL = env("PUMASI_MAIL_FROM", "pumasi@localhost")

PREFECT_API_URL = env("PREFECT_API_URL", "http://127.0.0.1:4200/api")
# "user:password" where the Prefect server asks for it.
PREFECT_API_AUTH_STRING = env("PREFECT_API_AUTH_STRING", "")

# Orders of plans that cost at most this much a month need nobody's approval (KRW).
APPROVAL_THRESHOLD_KRW = env_int("PUMASI_APPROVAL_THRESHOLD_KRW", 100_000)
LEASE_DEFAULT_SECONDS = env_int("PUMASI_LEASE_DEFAULT_SECONDS", 30 * 86_400, least=1)
LEASE_MAX_SECONDS = env_int("PUMASI_LEASE_MAX_SECONDS", 365 * 86_400, least=1)
# After the end of a lease: the service is stopped and its data kept (seconds); 0: it is taken back at once.
LEASE_GRACE_SECONDS = env_int("PUMASI_LEASE_GRACE_SECONDS", 7 * 86_400)
# The least time between the recall of a lease and its end (seconds).
RECALL_NOTICE_SECONDS = env_int("PUMASI_RECALL_NOTICE_SECONDS", 7 * 86_400)
# How long a released port rests before somebody else may get it (seconds).
PORT_REST_SECONDS = env_int("PUMASI_PORT_REST_SECONDS", 600)
# How long a released DNS name is kept from other affiliates (seconds).
NAME_REST_SECONDS = env_int("PUMASI_NAME_REST_SECONDS", 86_400)
# A running flow renews its job's heartbeat every 2 s; after this many seconds of silence it is taken for dead.
HEARTBEAT_STALE_SECONDS = env_int("PUMASI_HEARTBEAT_STALE_SECONDS", 20, least=5)
# A job that was sent but not begun within this many seconds is looked up in Prefect.
PICKUP_SECONDS = env_int("PUMASI_PICKUP_SECONDS", 30, least=5)
# A zone none of whose workers was heard of for so many seconds has nobody who works; a worker reports three times in that.
WORKER_SILENT_SECONDS = env_int("PUMASI_WORKER_SILENT_SECONDS", 90, least=3)
WORKER_IDLE_SECONDS = env_int("PUMASI_WORKER_IDLE_SECONDS", 5, least=1)
WORKERS_SECONDS = env_int("PUMASI_WORKERS_SECONDS", 10, least=1)
# So long an order of which nothing was built waits for a worker of its zone (seconds).
WORKER_WAIT_SECONDS = env_int("PUMASI_WORKER_WAIT_SECONDS", 86_400, least=60)
RELAY_SECONDS = env_int("PUMASI_RELAY_SECONDS", 5, least=1)
RECONCILE_SECONDS = env_int("PUMASI_RECONCILE_SECONDS", 15, least=1)
RECLAIM_SECONDS = env_int("PUMASI_RECLAIM_SECONDS", 30, least=1)
HOST_CHECK_SECONDS = env_int("PUMASI_HOST_CHECK_SECONDS", 60, least=1)
# What room is worth to placement is counted anew this often, over the whole pool.
PRICES_SECONDS = env_int("PUMASI_PRICES_SECONDS", 300, least=5)
SWEEP_SECONDS = env_int("PUMASI_SWEEP_SECONDS", 60, least=1)
# Every active service is tried as a client this often; due ones are looked for this often.
HEALTH_SECONDS = env_int("PUMASI_HEALTH_SECONDS", 900, least=10)
HEALTH_LOOK_SECONDS = env_int("PUMASI_HEALTH_LOOK_SECONDS", 30, least=1)
# So many failed checks in a row taint a service.
HEALTH_FAILURES = env_int("PUMASI_HEALTH_FAILURES", 2, least=1)
ORDER_ATTEMPTS = env_int("PUMASI_ORDER_ATTEMPTS", 3, least=1)
WIPE_ATTEMPTS = env_int("PUMASI_WIPE_ATTEMPTS", 3, least=1)

# Networks whose clients reach the services of every zone, beside the zone's own prefixes: above all the machines the workers
# run on, from which each delivery is verified.
CLIENT_NETWORKS = env_list("PUMASI_CLIENT_NETWORKS", "")
SSH_PRIVATE_KEY = env("PUMASI_SSH_KEY", str(STATE_DIR / "rack" / "ssh" / "id_ed25519"))
PLAYBOOKS_DIR = Path(env("PUMASI_PLAYBOOKS", str(BASE_DIR / "playbooks")))

LOG_LEVEL = env("PUMASI_LOG_LEVEL", "INFO")
# A task's lines carry the id of the request that asked for it.
DJANGO_STRUCTLOG_CELERY_ENABLED = True
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processor": structlog.processors.JSONRenderer(ensure_ascii=False),
            "foreign_pre_chain": [
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.processors.format_exc_info,
                redact,
            ],
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {"axes": {"level": "WARNING"}, "httpx": {"level": "WARNING"}},
}
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
        redact,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
