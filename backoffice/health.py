"""Is the process alive, is it ready, and its numbers. No log-in, no redirect, no host check."""

import hmac
import logging
from collections.abc import Callable

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from backoffice import redis_address
from backoffice.database import limits, require_writable, unapplied_migrations
from backoffice.env import is_loopback
from backoffice.limits import PATIENCE, doubt
from backoffice.probe import NoAnswerError, Probe

logger = logging.getLogger(__name__)

BROKER_TIMEOUT = 0.3  # seconds

# Apps add their collectors in AppConfig.ready: registry.register(collector). Collectors read the
# database, so that each of several web processes answers the same.
registry = CollectorRegistry()
ProcessCollector(registry=registry)
PlatformCollector(registry=registry)
GCCollector(registry=registry)

# What else apps have to say of their readiness, by name; each answers "" where all is well.
questions: dict[str, Callable[[], str]] = {}


# The tables that a delivery is written to: readiness finds out whether it could be.
written: set[str] = set()


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
    """200 when deliveries can be stored; 503 with the reason otherwise, within 3 s.

    A broker that does not answer is named, and so is what the apps have to say (the feed that is
    silent), but it is no reason for 503: deliveries are stored and applied without the broker, and
    taking the process out of service would hold up the feed for good.
    """
    said = _said()
    problems = {"database": said.pop("database"), "broker": _problem(_ask_broker), **said}
    is_degraded = any(problems.values())
    status = "unavailable" if problems["database"] else "degraded" if is_degraded else "ok"
    body = {"status": status, **{name: problem or "ok" for name, problem in problems.items()}}
    return JsonResponse(body, status=503 if problems["database"] else 200)


def _said() -> dict[str, str]:
    """Return what the database and the apps have to say, by name."""
    if connection.in_atomic_block:  # who asks within a transaction is answered from it
        return _ask_all()
    try:
        return _probe.answer()
    except NoAnswerError as error:
        doubt()
        return _without_database(str(error))


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The numbers of this installation for Prometheus."""
    if not _may_read_metrics(request):
        reason = "the bearer token" if settings.METRICS_TOKEN else "METRICS_TOKEN to be set"
        return HttpResponse(
            f"metrics need {reason}\n",
            "text/plain",
            status=401,
            headers={"WWW-Authenticate": "Bearer"},
        )
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)


def _may_read_metrics(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        expected = f"Bearer {settings.METRICS_TOKEN}".encode()
        return hmac.compare_digest(request.headers.get("Authorization", "").encode(), expected)
    # A proxy on this machine makes the whole world look local, and nothing that it sends need say
    # so: without a token only development and the demo have metrics.
    return settings.LENIENT and is_loopback(request.META.get("REMOTE_ADDR", ""))


def _problem(ask: Callable[[], str]) -> str:
    try:
        return ask()
    except (DatabaseError, redis.RedisError) as error:
        logger.warning("Not ready: %s", type(error.__cause__ or error).__name__)
        return "does not answer"


def _ask_all() -> dict[str, str]:
    with limits("health"):
        if database := _problem(_ask_database):
            return _without_database(database)
        return {"database": "", **{name: _problem(ask) for name, ask in questions.items()}}


def _ask_all_and_close() -> dict[str, str]:
    """Ask with a connection of its own, as the next delivery may need one, too."""
    try:
        return _ask_all()
    finally:
        connection.close()


_probe = Probe(_ask_all_and_close, patience=PATIENCE)


def _without_database(problem: str) -> dict[str, str]:
    # Without a database the apps know nothing, and nobody waits for them to find that out.
    return {"database": problem, **dict.fromkeys(questions, "not known")}


def _ask_database() -> str:
    if waiting := unapplied_migrations():
        return f"{waiting} migrations are not applied"
    require_writable(written)
    return ""


def _ask_broker() -> str:
    """Write to it: one that is full, or a replica, answers a PING and takes no task."""
    if not settings.REDIS_URL:
        return ""
    with redis_address.read(settings.REDIS_URL).client(BROKER_TIMEOUT) as broker:
        try:
            broker.set("order-desk:readiness", "written", ex=60)
        except redis.ResponseError as error:
            logger.warning("Not ready: %s", type(error).__name__)
            return "answers, but takes no writes"
    return ""
