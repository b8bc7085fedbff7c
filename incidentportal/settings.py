"""All settings, read from the environment by loud readers: a wrong value stops the start with one sentence."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from csp.constants import NONCE, NONE, SELF

from incidentportal import env

BASE_DIR = Path(__file__).resolve().parent.parent
TESTING = "pytest" in sys.modules

# --- where things are -------------------------------------------------------------------------------------------

DATA_DIR = Path(env.text("DATA_DIR", default=str(BASE_DIR / "data"))).absolute()
PORT = env.number("PORT", default=8000, least=0, most=65535)
HOST = env.text("HOST", default="127.0.0.1")
PUBLIC_URL = env.url("PUBLIC_URL", default=env.own_address(HOST, PORT))
DEBUG = env.flag("DEBUG", default=False)
DEMO = env.flag("DEMO", default=False)
WORLD_URL = env.url("WORLD_URL", default="http://127.0.0.1:8900")
LOG_LEVEL = env.choice("LOG_LEVEL", ["DEBUG", "INFO", "WARNING", "ERROR"], default="INFO")
SECRET_KEY = env.secret("SECRET_KEY", data_dir=DATA_DIR)
SECRET_KEY_FALLBACKS = env.listing("SECRET_KEY_FALLBACKS", default=[])
ALLOWED_HOSTS = env.listing("ALLOWED_HOSTS", default=env.hosts_for(PUBLIC_URL))
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
ROOT_URLCONF = "incidentportal.urls"
WSGI_APPLICATION = "incidentportal.wsgi.application"
AUTH_USER_MODEL = "people.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
HTTPS = PUBLIC_URL.startswith("https://")
BEHIND_PROXY = env.flag("BEHIND_PROXY", default=False)

# --- what the portal promises -----------------------------------------------------------------------------------

DEFAULT_PACK = env.text("DEFAULT_PACK", default="novacron-v2")
MESSAGE_LEASE_SECONDS = env.number("MESSAGE_LEASE_SECONDS", default=60, least=1, most=3600)
MESSAGE_TIMEOUT_SECONDS = env.number("MESSAGE_TIMEOUT_SECONDS", default=15, least=1, most=300)
MESSAGE_MAX_ATTEMPTS = env.number("MESSAGE_MAX_ATTEMPTS", default=12, least=1, most=100)
MESSAGE_FALLBACK_SECONDS = env.number("MESSAGE_FALLBACK_SECONDS", default=60, least=5, most=3600)
ACK_LINK_HOURS = env.number("ACK_LINK_HOURS", default=24, least=1, most=720)  # how long the link in a page works
PAGE_BUNDLE_SECONDS = env.number("PAGE_BUNDLE_SECONDS", default=60, least=0, most=300)  # pages of a storm are gathered
PAGE_LIMITS_PER_HOUR = env.limits(  # for each person and channel; the first page of the worst is never held back
    "PAGE_LIMITS_PER_HOUR", default={"sms": 20}, known=["email", "slack", "discord", "sms", "push", "apprise"]
)
APPROVAL_MINUTES = env.number("APPROVAL_MINUTES", default=60, least=1, most=10080)  # how long a request may be decided
DRY_RUN_MINUTES = env.number("DRY_RUN_MINUTES", default=60, least=1, most=1440)  # how long a dry run may be executed
RUNBOOK_LEASE_SECONDS = env.number("RUNBOOK_LEASE_SECONDS", default=30, least=1, most=3600)
# The private hosts that runbooks and configs may reach; of a demo its world, also from the command line.
EGRESS_ALLOW = env.hosts("EGRESS_ALLOW", default=[urlsplit(WORLD_URL).netloc] if DEMO and WORLD_URL else [])
# Environments, by slug, in which a second person approves what changes a flag's answers.
FLAG_APPROVAL_ENVIRONMENTS = env.listing("FLAG_APPROVAL_ENVIRONMENTS", default=[])
FLAG_STALE_DAYS = env.number("FLAG_STALE_DAYS", default=30, least=1, most=3650)  # after which a flag may be one
EXPOSURE_DAYS = env.number("EXPOSURE_DAYS", default=90, least=1, most=3650)  # kept after the end of an experiment
FLAG_ORIGINS = env.origins("FLAG_ORIGINS")  # whose pages may ask for flags from the browser
WEBHOOK_ALLOW_PRIVATE = env.flag("WEBHOOK_ALLOW_PRIVATE", default=False)
APPRISE_SCHEMES = env.listing("APPRISE_SCHEMES", default=[])  # more of Apprise's services that people may use
CONTACT_CONFIRM_DAYS = env.number("CONTACT_CONFIRM_DAYS", default=90, least=1, most=3650)
INTAKE_MAX_BYTES = 1024 * 1024
# Requests that an integration may send in a minute, unless its page says otherwise; 0 is no limit.
INTAKE_RATE_PER_MINUTE = env.number("INTAKE_RATE_PER_MINUTE", default=30_000, least=0, most=10_000_000)
PORTAL_TEAM = env.text("PORTAL_TEAM", default="")  # who hears of faults of the portal itself
DEADMAN_URL = env.url("DEADMAN_URL", default="")  # an outgoing heartbeat, each minute
METRICS_TOKEN = env.text("METRICS_TOKEN", default="", secret=True)

# --- database, broker, mail -------------------------------------------------------------------------------------

DATABASE_POOL_SIZE = env.number("DATABASE_POOL_SIZE", default=10, least=0, most=200)
DATABASES: dict[str, dict[str, Any]] = {
    "default": env.database(
        "DATABASE_URL",
        default=f"sqlite:///{DATA_DIR / 'portal.sqlite3'}",
        pool_size=0 if TESTING else DATABASE_POOL_SIZE,
    )
}
REDIS_URL = env.text("REDIS_URL", default="", secret=True)
EMBEDDED = not REDIS_URL

if TESTING:
    CELERY_BROKER_URL = "memory://"
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {}
elif EMBEDDED:
    _queue = DATA_DIR / "broker"
    env.folder(_queue / "control")
    CELERY_BROKER_URL = "files://localhost//"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_queue),
        "data_folder_out": str(_queue),
        "control_folder": str(_queue / "control"),
        "polling_interval": 0.1,
        "max_retries": 0,
    }
else:
    CELERY_BROKER_URL = REDIS_URL
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "max_retries": 0,
        "socket_connect_timeout": 0.5,
        "socket_timeout": 2,
        "visibility_timeout": 60,
        "unacked_restore_interval": 2,
        "unacked_restore_throttle": 1,
        "global_keyprefix": env.text("REDIS_PREFIX", default="portal:"),
        "queue_order_strategy": "priority",
    }
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_DEFAULT_QUEUE = "bulk"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 3
CELERY_WORKER_ENABLE_SOFT_SHUTDOWN_ON_IDLE = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TIMEZONE = "UTC"

globals().update(env.mail("EMAIL_URL", default=f"file://{DATA_DIR / 'mail'}"))
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", default="Incident portal <portal@localhost>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# --- applications -----------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # the other one would put its own admin site in place of ours
    "unfold.contrib.filters",
    "unfold.contrib.simple_history",
    "unfold.contrib.guardian",
    "incidentportal.site.PortalAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "guardian",
    "simple_history",
    "axes",
    "csp",
    "django_prometheus",
    "apps.foundation",
    "apps.engine",
    "apps.people",
    "apps.policies",
    "apps.catalog",
    "apps.messaging",
    "apps.approvals",
    "apps.oncall",
    "apps.flags",
    "apps.state",
    "apps.paging",
    "apps.incidents",
    "apps.runbooks",
    "apps.alerts",
    "apps.postmortems",
    "apps.demo",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "axes.middleware.AxesMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
GUARDIAN_GET_INIT_ANONYMOUS_USER = None
ANONYMOUS_USER_NAME = None
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_VERBOSE = False
AXES_ENABLED = not TESTING
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
PROMETHEUS_EXPORT_MIGRATIONS = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ],
        },
    },
]

# --- pages ------------------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
FORMAT_MODULE_PATH = ["incidentportal.formats"]
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if TESTING or DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = TESTING or DEBUG  # looked for when asked, not listed at each start
if TESTING:
    env.folder(STATIC_ROOT)  # nobody has run collectstatic
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = HTTPS and not BEHIND_PROXY
SECURE_HSTS_SECONDS = 31536000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        # Unfold's Alpine evaluates expressions from attributes, hence 'unsafe-eval'.
        "script-src": [SELF, NONCE, "'unsafe-eval'"],
        "style-src": [SELF, "'unsafe-inline'"],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "object-src": [NONE],
    }
}

# --- API --------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.people.api.authentication.BearerAuthentication",
        "apps.people.api.authentication.PortalSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["apps.people.api.permissions.ScopedModelPermissions"],
    "DEFAULT_PAGINATION_CLASS": "apps.people.api.pagination.PortalCursorPagination",
    "DEFAULT_FILTER_BACKENDS": ["apps.people.api.filters.PortalFilterBackend"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["apps.people.api.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "apps.people.api.schema.PortalAutoSchema",
    "EXCEPTION_HANDLER": "apps.people.api.problems.problem_handler",
    "PAGE_SIZE": 50,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Incident portal API",
    "DESCRIPTION": "Everything the pages can do, for programs. Errors are `application/problem+json`.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "ApprovalRequestState": "apps.approvals.models.ApprovalRequest.State",
        "FlagState": "apps.flags.models.Flag.State",
        "FlagKind": "apps.flags.models.Flag.Kind",
        "FlagType": "apps.flags.models.Flag.Type",
        "FlagChangeState": "apps.flags.models.FlagChange.State",
        "ExperimentState": "apps.flags.models.Experiment.State",
        "GuardrailKind": "apps.flags.models.Guardrail.Kind",
        "DifferenceOp": "apps.state.api.serializers.OPS",
        "EntityJobState": "apps.state.entities.models.Job.State",
        "SnapshotOrigin": "apps.state.entities.models.Snapshot.Origin",
        "RestoreItemState": "apps.state.entities.models.RestoreItem.State",
        "ConfigVersionOrigin": "apps.state.models.ConfigVersion.Origin",
        "RunbookState": "apps.runbooks.models.Runbook.State",
        "ExecutionState": "apps.runbooks.models.Execution.State",
        "StepRunState": "apps.runbooks.models.StepRun.State",
        "StepRunDirection": "apps.runbooks.models.StepRun.Direction",
        "ReviewState": "apps.postmortems.models.Review.State",
        "ActionItemState": "apps.postmortems.models.ActionItem.State",
        "IntegrationKind": "apps.alerts.models.Integration.Kind",
        "IntegrationState": "apps.alerts.models.Integration.State",
        "ReceiptState": "apps.alerts.models.Receipt.State",
        "AlertGroupState": "apps.alerts.models.AlertGroup.State",
        "AlertState": "apps.alerts.models.Alert.State",
        "MembershipRole": "apps.catalog.models.Membership.Role",
        "ServiceCriticality": "apps.catalog.models.Service.Criticality",
        "DependencyKind": "apps.catalog.models.Dependency.Kind",
        "ChangeKind": "apps.catalog.models.Change.Kind",
        "DeliveryState": "apps.engine.models.Delivery.State",
        "TimerState": "apps.engine.models.Timer.State",
        "IncidentPhase": "apps.incidents.models.Incident.Phase",
        "IncidentVisibility": "apps.incidents.models.Incident.Visibility",
        "IncidentKind": "apps.incidents.models.Incident.Kind",
        "WebhookEndpointState": "apps.messaging.models.WebhookEndpoint.State",
        "ConnectionKind": "apps.messaging.models.Connection.Kind",
        "DestinationKind": "apps.messaging.models.Destination.Kind",
        "MessageChannel": "apps.messaging.models.Message.Channel",
        "MessageState": "apps.messaging.models.Message.State",
        "AttemptOutcome": "apps.messaging.models.Attempt.Outcome",
        "LayerCadence": "apps.oncall.models.Layer.Cadence",
        "LayerHolidayRule": "apps.oncall.models.Layer.HolidayRule",
        "SwapState": "apps.oncall.models.Swap.State",
        "EscalationRunTrack": "apps.paging.models.EscalationRun.Track",
        "EscalationRunState": "apps.paging.models.EscalationRun.State",
        "EscalationCondition": "apps.paging.conditions.CHOICES",
        "PageState": "apps.paging.models.Page.State",
        "AcknowledgementVia": "apps.paging.models.Acknowledgement.Via",
        "UserKind": "apps.people.models.User.Kind",
        "ContactPointKind": "apps.people.models.ContactPoint.Kind",
        "ContactPointState": "apps.people.models.ContactPoint.State",
    },
}

# --- look: see incidentportal/navigation.py for the sidebar -------------------------------------------------------

from incidentportal.navigation import UNFOLD  # noqa: E402  # it reads nothing from here, but belongs to the settings

__all__ = ["UNFOLD"]

# --- logs -------------------------------------------------------------------------------------------------------

LOGGING = env.logging_config(LOG_LEVEL, env.choice("LOG_FORMAT", ["text", "json"], default="text"))
