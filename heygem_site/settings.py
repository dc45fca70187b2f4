"""Settings. Everything that differs between installations comes from the environment (``heygem_site.env``)."""

from __future__ import annotations

import socket
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_lazy as _

from heygem_site import env, version

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = env.var_dir()
VERSION = version.VERSION

# local: one machine, plain http, for the people on it. production: faces others, so weak settings stop the start.
HEYGEM_ENV = env.choice("HEYGEM_ENV", default="local", of=("local", "production"))
PRODUCTION = HEYGEM_ENV == "production"

DEBUG = env.boolean("DEBUG", default=False)
SECRET_KEY = env.secret("SECRET_KEY", file=VAR_DIR / "secret_key")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", default=[] if PRODUCTION else ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "django_htmx",
    "allauth",
    "allauth.account",
    "axes",
    "heygem_site",
    "projects",
    "rendering",
]
MIDDLEWARE = [
    "heygem_site.middleware.RequestLog",
    "heygem_site.health.AnswerEarly",
    "django.middleware.security.SecurityMiddleware",
    "heygem_site.middleware.SecurityHeaders",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "projects.middleware.Problems",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "heygem_site.urls"
WSGI_APPLICATION = "heygem_site.wsgi.application"
ASGI_APPLICATION = "heygem_site.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "projects.context.teams",
                "heygem_site.context.installation",
            ]
        },
    }
]
DATABASES = {"default": env.database("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'heygem.sqlite3'}")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Words and time
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "heygem_site" / "locale"]
TIME_ZONE = env.text("TIME_ZONE", default="UTC")
USE_TZ = True

# Sign-in: by email address, through allauth; axes counts what fails.
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "heygem_site.passwords.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "heygem_site.accounts.Adapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_EMAIL_VERIFICATION = env.choice("EMAIL_VERIFICATION", default="none", of=("none", "optional", "mandatory"))
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_RATE_LIMITS = {"login_failed": None}  # counted by axes, across processes
SIGNUP_OPEN = env.boolean("SIGNUP_OPEN", default=False)  # otherwise only who holds an invitation may sign up
AXES_FAILURE_LIMIT = env.integer("LOGIN_FAILURE_LIMIT", default=8, low=3)
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_USERNAME_CALLABLE = "heygem_site.accounts.throttled_name"
AXES_CLIENT_IP_CALLABLE = "heygem_site.accounts.client_address"
AXES_LOCKOUT_CALLABLE = "heygem_site.accounts.locked_out"
AXES_VERBOSE = False
ONE_TIME_LINK_SECONDS = 3600

# Transport and headers (the Content-Security-Policy is heygem_site.middleware.SecurityHeaders)
BEHIND_PROXY = env.boolean("BEHIND_PROXY", default=False)
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    ALLAUTH_TRUSTED_PROXY_COUNT = 1
SECURE_COOKIES = env.boolean("SECURE_COOKIES", default=PRODUCTION)
SESSION_COOKIE_SECURE = SECURE_COOKIES
CSRF_COOKIE_SECURE = SECURE_COOKIES
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 30 * 24 * 3600
SECURE_SSL_REDIRECT = env.boolean("HTTPS_REDIRECT", default=PRODUCTION)
SECURE_HSTS_SECONDS = env.integer("HSTS_SECONDS", default=30 * 24 * 3600 if PRODUCTION else 0)
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin" if SECURE_COOKIES else None
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "projects.views.problems.forged"

# Letters
globals().update(env.email("EMAIL_URL"))
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", default="HeyGem <heygem@localhost>")

# Files
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    # Files under MEDIA_ROOT, or objects in S3_BUCKET. Only projects.services.blobs and .incoming use it.
    "default": env.storage(),
    "staticfiles": {
        "BACKEND": "heygem_site.static_files.HashedStaticFiles"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_MAX_AGE = 60 if PRODUCTION else 0
MEDIA_ROOT = env.folder("MEDIA_ROOT", default=BASE_DIR / "media")
MEDIA_URL = "/media/"
S3_BUCKET = env.text("S3_BUCKET")
S3_ORIGIN = env.s3_origin()
CACHE_ROOT = env.folder("CACHE_ROOT", default=VAR_DIR / "cache")  # on a disk of this machine
CACHE_MAX_BYTES = env.integer("CACHE_MAX_GB", default=20, low=1) * 1000**3
X_ACCEL = env.boolean("X_ACCEL", default=False)  # nginx sends media itself (docs/operations.md)
UPLOAD_MAX_FOOTAGE_BYTES = env.integer("UPLOAD_MAX_FOOTAGE_MB", default=4096, low=1) * 1024 * 1024
UPLOAD_MAX_TAKE_BYTES = env.integer("UPLOAD_MAX_TAKE_MB", default=512, low=1) * 1024 * 1024
DISK_KEEP_FREE_BYTES = env.integer("DISK_KEEP_FREE_MB", default=512, low=1) * 1024 * 1024
REBUILDABLE_BYTES = env.integer("REBUILDABLE_GB", default=0) * 1024**3  # analyses and previews; 0: no limit

# What a team may use unless an operator says otherwise for it; 0: no limit (projects.services.limits)
TEAM_STORAGE_BYTES = env.integer("TEAM_STORAGE_GB", default=0) * 1024**3
TEAM_RENDER_MINUTES = env.integer("TEAM_RENDER_MINUTES", default=0)  # of video, a month
TEAM_TAKE_SECONDS = env.integer("TEAM_TAKE_MINUTES", default=0) * 60

# The API: the same services as the pages (projects/api, rendering/api)
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "projects.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["projects.api.bodies.StrictJSON"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "projects.api.bodies.Lenient",
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_PAGINATION_CLASS": "projects.api.pages.Pages",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "projects.api.schema.Schema",
    "DEFAULT_THROTTLE_CLASSES": ["projects.api.throttles.ByAsker"],
    "NUM_PROXIES": 1 if BEHIND_PROXY else 0,
    "EXCEPTION_HANDLER": "projects.api.errors.answer",
}
API_RATES = {  # a minute, over all web processes: for each person's programs, and for each address without a sign-in
    "reading": env.integer("API_REQUESTS_A_MINUTE", default=600, low=1),
    "changing": env.integer("API_CHANGES_A_MINUTE", default=300, low=1),
    "anonymous": env.integer("API_ANONYMOUS_A_MINUTE", default=60, low=1),
}
SPECTACULAR_SETTINGS = {
    "TITLE": "HeyGem",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "projects.api.webhook_events.add_webhooks",
        "heygem_site.api_description.complete",
    ],
    "ENUM_NAME_OVERRIDES": {
        "AnalysisState": "projects.models.AnalysisState",
        "FindingLevel": "projects.api.serializers.LEVELS",
        "JobState": "rendering.models.JobState",
        "ExportState": "rendering.models.Export.State",
        "DeliveryState": "projects.models.WebhookDelivery.State",
        "WorkerState": "rendering.models.WorkerNode.State",
        "WorkerActs": "rendering.services.farm_acts.WORKER_ACTS",
        "JobActs": "rendering.services.farm_acts.JOB_ACTS",
        "LearningActs": "rendering.services.farm_acts.LEARNING_ACTS",
        "TeamActs": "rendering.services.farm_acts.TEAM_ACTS",
    },
}

# Webhooks (projects/outbound.py): they reach the public internet by https, and what is opened here.
WEBHOOK_ALLOWED_NETWORKS = env.networks("WEBHOOK_ALLOWED_NETWORKS")
WEBHOOK_ALLOW_HTTP = env.boolean("WEBHOOK_ALLOW_HTTP", default=False)
SITE_URL = env.address("SITE_URL").rstrip("/")  # before the links in what webhooks send

# The engine runs as a child process of a worker; nothing else knows how to start it.
ENGINE_COMMAND = env.command("ENGINE_COMMAND", default=[sys.executable, "-m", "rendering.engine", "serve"])
ENGINE_DEVICE = env.device("ENGINE_DEVICE")  # for what runs networks: the card where there is one
ENGINE_CODECS = env.choice("ENGINE_CODECS", default="auto", of=("auto", "software"))  # the card's, where they open
ENGINE_DEVICE_MEMORY_MB = env.integer("ENGINE_DEVICE_MEMORY_MB", default=0, low=0)  # of a card; 0: all of it
ENGINE_GRAPHS = env.boolean("ENGINE_GRAPHS", default=False)  # networks replayed from CUDA graphs
ENGINE_SEGMENTS = env.integer("ENGINE_SEGMENTS", default=0, high=64)  # encoded beside each other; 0: by the cores
WAV2LIP_CHECKPOINT = env.regular_file("WAV2LIP_CHECKPOINT")  # the operator's own, under its own licence
WAV2LIP_BATCH = env.integer("WAV2LIP_BATCH", default=0, high=512)  # frames drawn together; 0: as fits the device
ENHANCER_MODEL = env.regular_file("ENHANCER_MODEL")  # the operator's own, in TorchScript, under its own licence
ENHANCER_SIZE = env.integer("ENHANCER_SIZE", default=512, low=64, high=2048)  # pixels a side that it is given
ENHANCER_RANGE = env.choice("ENHANCER_RANGE", default="-1..1", of=("-1..1", "0..1"))  # of its colours
ENHANCER_BATCH = env.integer("ENHANCER_BATCH", default=0, high=128)  # faces together; 0: as fits the device
TRACKER = env.choice("TRACKER", default="bundled", of=("bundled", "face-alignment"))  # who follows faces in footage
FACE_ALIGNMENT_WEIGHTS = env.existing_folder("FACE_ALIGNMENT_WEIGHTS")  # None: where torch keeps what it has fetched
FACE_ALIGNMENT_DOWNLOAD = env.boolean("FACE_ALIGNMENT_DOWNLOAD", default=False)  # fetch what is missing from its host
FACE_ALIGNMENT_BATCH = env.integer("FACE_ALIGNMENT_BATCH", default=0, high=256)  # faces together; 0: as fits the device
FACE_ALIGNMENT_COMPILE = env.boolean("FACE_ALIGNMENT_COMPILE", default=False)  # on cards alone
MOUTHS_SIZE = int(env.choice("MOUTHS_SIZE", default="384", of=("128", "192", "256", "384")))  # pixels a side at most
MOUTHS_STEPS = env.integer("MOUTHS_STEPS", default=0, high=1_000_000)  # of a training; 0: as the engine sees fit
MOUTHS_SECONDS = env.integer("MOUTHS_SECONDS", default=0, high=86_400)  # a training may take; 0: as long as it learns
MOUTHS_CHECKPOINT_SECONDS = env.integer("MOUTHS_CHECKPOINT_SECONDS", default=60, low=1)  # between two that are stored
MOUTHS_AUTOMATIC = env.boolean("MOUTHS_AUTOMATIC", default=True)  # idle cards learn mouth models by themselves

# The queue. Only progress extends a lease, and a silent engine is ended before its worker would lose the job.
LEASE_SECONDS = env.integer("LEASE_SECONDS", default=90, low=1)
ENGINE_SILENCE_SECONDS = env.integer(
    "ENGINE_SILENCE_SECONDS", default=max(1, LEASE_SECONDS * 2 // 3), low=1, high=LEASE_SECONDS
)
ENGINE_START_SECONDS = env.integer("ENGINE_START_SECONDS", default=180, low=1)  # no job waits for it yet
MAX_ATTEMPTS = env.integer("MAX_ATTEMPTS", default=3, low=1)
BACKOFF_SECONDS = env.integer("BACKOFF_SECONDS", default=10, low=0)  # doubled after each further attempt
BACKEND_MEMORY_MB = env.amounts("BACKEND_MEMORY_MB")  # a back end's jobs go only to devices that have as much
WORKER_NAME = env.text("WORKER_NAME", default=socket.gethostname())

# Projects may not import rendering, so they name what wakes the analysers and the machines that render.
ANALYSIS_TASK = "rendering.tasks.analyse"
RENDER_TASK = "rendering.tasks.render"

# django-q2 is only the waker (docs/architecture.md): a ticket that comes back takes another job or none.
Q_CLUSTER = {
    "name": "worker",
    "label": "django-q2",
    "orm": "default",
    "broker_class": "rendering.tickets.Broker",
    "workers": 1,
    "timeout": 4 * 3600,  # seconds; an hour of footage may be analysed on a slow machine
    "retry": 4 * 3600 + 100,  # longer than that, or running tickets are handed out again
    "max_attempts": 1,
    "queue_limit": 1,  # what is taken in advance waits for a busy worker while others are idle
    "poll": 0.5,
    "catch_up": False,
    "save_limit": 200,
    "ALT_CLUSTERS": {"gpu": {"workers": 1}},
}

# What the people who keep it running see
LOG_FORMAT = env.choice("LOG_FORMAT", default="line", of=("line", "json"))
METRICS_TOKEN = env.text("METRICS_TOKEN")  # lets Prometheus read /metrics; operators may without it
SENTRY: dict[str, Any] = {
    "dsn": env.address("SENTRY_DSN"),
    "environment": env.text("SENTRY_ENVIRONMENT", default=HEYGEM_ENV),
    "sample_rate": env.fraction("SENTRY_SAMPLE_RATE", default=1.0),
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"context": {"()": "heygem_site.logs.Context"}},
    "formatters": {"line": {"()": "heygem_site.logs.OneLine"}, "json": {"()": "heygem_site.logs.OneObject"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "filters": ["context"], "formatter": LOG_FORMAT},
    },
    "root": {
        "handlers": ["stderr"],
        "level": env.choice("LOG_LEVEL", default="INFO", of=("DEBUG", "INFO", "WARNING", "ERROR")),
    },
    "loggers": {
        "django": {"handlers": [], "propagate": True},
        "django.request": {"level": "ERROR"},  # refusals are in heygem.request already
        "django.server": {"handlers": [], "propagate": True},
        "django.security.DisallowedHost": {"level": "CRITICAL"},  # anybody can cause it; heygem.request says 400
        "django-q": {"handlers": [], "propagate": True, "level": "WARNING"},  # every ticket twice, else
        "axes": {"level": "WARNING"},
        "gunicorn.error": {"handlers": [], "propagate": True, "level": "WARNING"},
        "PIL": {"level": "WARNING"},
    },
}

if PRODUCTION:
    env.refuse_weak(dict(globals()))
