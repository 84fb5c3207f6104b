"""Is the process alive, is it ready, and its numbers. No log-in, no redirect, no host check."""

import hmac
from collections.abc import Callable

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from backoffice.database import unapplied_migrations
from backoffice.env import is_loopback

BROKER_TIMEOUT = 0.3  # seconds

# Apps add their collectors in AppConfig.ready: registry.register(collector). Collectors read the
# database, so that each of several web processes answers the same.
registry = CollectorRegistry()
ProcessCollector(registry=registry)
PlatformCollector(registry=registry)
GCCollector(registry=registry)

# What else apps have to say of their readiness, by name; each answers "" where all is well.
questions: dict[str, Callable[[], str]] = {}


def register(name: str, ask: Callable[[], str]) -> None:
    """Have ``/health/ready`` ask an app how it is: from ``readiness`` modules, in AppConfig.ready."""
    questions[name] = ask


@never_cache
@require_safe
def live(_request: HttpRequest) -> HttpResponse:
    """200 as long as the process can answer at all."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def ready(_request: HttpRequest) -> HttpResponse:
    """200 when deliveries can be stored; 503 with the reason otherwise.

    A broker that does not answer is named, and so is what the apps have to say (the feed that is
    silent), but it is no reason for 503: deliveries are stored and applied without the broker, and
    taking the process out of service would hold up the feed for good.
    """
    database = _problem(_ask_database)
    broker = _problem(_ask_broker)
    # Without a database the apps know nothing, and nobody waits for them to find that out.
    said = {name: "not known" if database else _problem(ask) for name, ask in questions.items()}
    status = "unavailable" if database else "degraded" if broker or any(said.values()) else "ok"
    problems = {"database": database, "broker": broker, **said}
    body = {"status": status, **{name: problem or "ok" for name, problem in problems.items()}}
    return JsonResponse(body, status=503 if database else 200)


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The numbers of this installation for Prometheus."""
    if not _may_read_metrics(request):
        return HttpResponse("metrics need the bearer token\n", "text/plain", status=401)
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)


def _may_read_metrics(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        expected = f"Bearer {settings.METRICS_TOKEN}".encode()
        return hmac.compare_digest(request.headers.get("Authorization", "").encode(), expected)
    # A proxy on this machine makes the whole world look local, but says that it is one.
    is_forwarded = any(
        name in request.headers for name in ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")
    )
    return not is_forwarded and is_loopback(request.META.get("REMOTE_ADDR", ""))


def _problem(ask: Callable[[], str]) -> str:
    try:
        return ask()
    except (DatabaseError, redis.RedisError) as error:
        return f"{type(error).__name__}: no answer"


def _ask_database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    waiting = unapplied_migrations()
    return f"{waiting} migrations are not applied" if waiting else ""


def _ask_broker() -> str:
    if settings.REDIS_URL:
        _broker().ping()
    return ""


def _broker() -> redis.Redis:
    pool = redis.ConnectionPool.from_url(
        settings.REDIS_URL, socket_timeout=BROKER_TIMEOUT, socket_connect_timeout=BROKER_TIMEOUT
    )
    return redis.Redis.from_pool(pool)
