"""Django's settings, all from the environment.

The names of our own settings are the names of their variables; durations are timedeltas. What is
wrong is reported by name and all at once, at the end; what only a serving process needs may be
missing (``MISSING``), so that commands run without any setting.
"""

import os
import sys
from datetime import timedelta
from pathlib import Path

from backoffice import redis_address
from backoffice.database_url import sqlite
from backoffice.env import Environment
from backoffice.environment import COLOURS
from backoffice.machine_zone import machine_zone

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment(os.environ)

# Modes. The demo is one process on loopback with its own database, broker and upstream.
DEMO = sys.argv[1:2] == ["demo"]
DEBUG = env.flag("DEBUG")
LENIENT = DEMO or DEBUG
INSECURE_KEY = "django-insecure-for-commands-and-the-demo-never-for-a-process-that-serves"
SECRET_KEY = env.secret("SECRET_KEY", needed=True) or INSECURE_KEY
LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", needed=True) or (LOOPBACK if LENIENT else [])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS")
ENVIRONMENT = env.text("ENVIRONMENT")
ENVIRONMENT_COLOUR = env.choice("ENVIRONMENT_COLOUR", COLOURS)

# Upstream.
INVESTMENT_API_URL = env.url("INVESTMENT_API_URL", needed=True)
INVESTMENT_API_CLIENT_ID = env.text("INVESTMENT_API_CLIENT_ID", needed=True)
INVESTMENT_API_CLIENT_SECRET = env.secret("INVESTMENT_API_CLIENT_SECRET", needed=True)
INVESTMENT_API_KEY_ID = env.text("INVESTMENT_API_KEY_ID", needed=True)
INVESTMENT_API_PRIVATE_KEY = env.pem("INVESTMENT_API_PRIVATE_KEY", needed=True)
INVESTMENT_API_PRIVATE_KEY_PASSPHRASE = env.secret("INVESTMENT_API_PRIVATE_KEY_PASSPHRASE")
INVESTMENT_API_MAX_RPS = env.integer("INVESTMENT_API_MAX_RPS", 10, least=1)

# The way in.
WEBHOOK_PUBLIC_URL = env.url("WEBHOOK_PUBLIC_URL")
WEBHOOK_MAX_BODY_BYTES = env.integer("WEBHOOK_MAX_BODY_BYTES", 10 * 2**20, least=1)
WEBHOOK_SIGNATURE_MAX_AGE = env.optional_seconds("WEBHOOK_SIGNATURE_MAX_AGE")

# When to ask, when to worry (model.md, sections 4 and 5).
POLL_AFTER = env.seconds("POLL_AFTER", 6 if DEMO else 15 * 60)
POLL_LONGEST = env.seconds("POLL_LONGEST", 30 if DEMO else 6 * 3600)
STALE_NEW = env.seconds("STALE_NEW", 45 if DEMO else 3600)
STALE_PROCESSING = env.seconds("STALE_PROCESSING", 90 if DEMO else 4 * 3600)
STALE_FILLED = env.seconds("STALE_FILLED", 300 if DEMO else 6 * 24 * 3600)
GAP_GRACE = env.seconds("GAP_GRACE", 8 if DEMO else 15 * 60)
LATE_AFTER = env.seconds("LATE_AFTER", 5 if DEMO else 60)
MARKET_HOURS = env.hours("MARKET_HOURS")
# When readiness says that something is late, or that a clock is off.
APPLY_WITHIN = env.seconds("APPLY_WITHIN", 30)
ASK_WITHIN = env.seconds("ASK_WITHIN", 5 * 60)
SWEEP_WITHIN = env.seconds("SWEEP_WITHIN", 45)
CLOCK_TOLERANCE = env.seconds("CLOCK_TOLERANCE", 5)
FEED_SILENT_AFTER = env.seconds("FEED_SILENT_AFTER", 120 if DEMO else 3600)

# What people may place. By currency; one that is not named has no limit.
PLACING_NEEDS_APPROVAL = env.flag("PLACING_NEEDS_APPROVAL")
PLACING_LIMITS = env.amounts("PLACING_LIMITS", "EUR=1000000, GBP=800000" if DEMO else "")
PLACING_APPROVAL_ABOVE = env.amounts(
    "PLACING_APPROVAL_ABOVE", "EUR=50000, GBP=40000, USD=50000" if DEMO else ""
)

# When our books are compared with upstream's, each night; unset: never by themselves.
RECONCILE_AT = env.time_of_day("RECONCILE_AT")
RECONCILE_DAYS = env.integer("RECONCILE_DAYS", 7, least=1, most=366)

# Stores. No ATOMIC_REQUESTS: a delivery opens its own short transaction.
SQLITE = BASE_DIR / "order-desk.sqlite3"
DATABASES = {
    "default": sqlite(str(SQLITE)) if DEMO else env.database("DATABASE_URL", default=SQLITE)
}
REDIS_URL = "" if DEMO else env.redis("REDIS_URL", needed=True)
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": [redis_address.read(REDIS_URL).url],
        "KEY_PREFIX": "order-desk",
        # A dead or frozen Redis may cost a page or a delivery no more than this.
        "OPTIONS": redis_address.read(REDIS_URL).arguments | redis_address.limits(0.3),
    }
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}

INSTALLED_APPS = [
    "backoffice.apps.BackofficeConfig",
    "backoffice.apps.OrderDeskAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "orders",
    "webhooks",
]
MIDDLEWARE = [
    "backoffice.middleware.RequestIdMiddleware",
    "backoffice.middleware.DatabaseLimitsMiddleware",
    "backoffice.middleware.OpenPathMiddleware",  # what is open skips everything below
    "backoffice.middleware.ContentSecurityPolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "backoffice.middleware.CookieMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "backoffice.audit.RequestMiddleware",
    "backoffice.access.middleware.IdleMiddleware",
    "backoffice.display.DisplayMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "backoffice.access.middleware.KeptMiddleware",
    "backoffice.access.errors.FramedMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "backoffice.urls"
WSGI_APPLICATION = "backoffice.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
}
# The webhook's own limit answers 413; Django's lower default would answer 400 before it.
DATA_UPLOAD_MAX_MEMORY_SIZE = max(WEBHOOK_MAX_BODY_BYTES, 2_621_440)

# Who may come in. Five wrong passwords of one user from one address lock the pair for 15 min.
REQUIRE_SECOND_FACTOR = env.flag("REQUIRE_SECOND_FACTOR", default=not LENIENT)
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "backoffice.access.backend.StaffBackend",
    "django.contrib.auth.backends.ModelBackend",  # of sessions from before it
]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
AXES_LOCKOUT_CALLABLE = "backoffice.access.errors.locked_out"
CSRF_FAILURE_VIEW = "backoffice.access.errors.csrf_failure"
AXES_CLIENT_IP_CALLABLE = "backoffice.client_address.for_lock_out"
# Kept out of what axes stores of a failed log-in; the journal says who it was and from where.
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "code"]
OTP_TOTP_ISSUER = "Order Desk"
OTP_ADMIN_HIDE_SENSITIVE_DATA = True  # a secret is shown once, to its owner, who enrols it
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
METRICS_TOKEN = env.secret("METRICS_TOKEN")

# Whose X-Forwarded-For is believed, for the address of a client.
TRUSTED_PROXIES = env.proxies("TRUSTED_PROXIES")

# HTTPS. gunicorn tells Django the scheme from X-Forwarded-Proto of the proxies it trusts
# (FORWARDED_ALLOW_IPS), so no header is believed here.
SECURE_SSL_REDIRECT = env.flag("SECURE_SSL_REDIRECT", default=not LENIENT)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if SECURE_SSL_REDIRECT else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE_SSL_REDIRECT
SESSION_COOKIE_AGE = 12 * 3600  # one working day
SESSION_IDLE_MINUTES = env.integer("SESSION_IDLE_MINUTES", 0 if LENIENT else 30, most=12 * 60)
SECOND_FACTOR_AGAIN_MINUTES = env.integer("SECOND_FACTOR_AGAIN_MINUTES", 15, most=12 * 60)
X_FRAME_OPTIONS = "DENY"

# Words and times. Storage is UTC; TIME_ZONE is what people see.
LANGUAGE_CODE = "en"
TIME_ZONE = env.zone("TIME_ZONE", machine_zone() if DEMO else "UTC")
USE_TZ = True
# Groups digits in templates everywhere, also inside ids and SVG attributes: our filters do it.
USE_THOUSAND_SEPARATOR = False

# WhiteNoise serves what the apps bring, straight from them: there is no collectstatic to forget.
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 0 if DEBUG else 600

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "backoffice.log.LineFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING" if DEMO else "INFO"},
    "loggers": {
        "django": {"handlers": [], "level": "NOTSET", "propagate": True},
        "django.server": {"handlers": [], "level": "NOTSET", "propagate": True},
        "django.security.DisallowedHost": {"level": "CRITICAL"},  # robots, with a traceback each
        "axes": {"level": "CRITICAL"},  # it masks who it was: audit logs it with name and address
    },
}

MISSING = [] if LENIENT else env.missing
env.finish()
