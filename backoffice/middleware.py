"""What every request passes: an id for the log, the short way for open paths, the CSP."""

import logging
import re
import sys
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.signals import request_finished
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.urls import resolve

from backoffice import database, limits, log
from backoffice.access import errors

logger = logging.getLogger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponseBase]

# Callers without a browser: with and without the last slash, never a redirect.
OPEN_PATHS = {"/webhooks/investment-api", "/health/live", "/health/ready", "/metrics"}
REQUEST_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'"
)


@receiver(request_finished)
def forget_request_id(**_: Any) -> None:
    """Reset the id only now: Django logs errors after the outermost middleware has returned."""
    log.request_id.set(log.NO_REQUEST)


class RequestIdMiddleware:
    """Give each request an id, the caller's where it sends a sound one, and send it back."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer with the id, and log under it."""
        sent = request.headers.get("X-Request-ID", "")
        request_id = sent if REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex
        log.request_id.set(request_id)
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


class DatabaseLimitsMiddleware:
    """Let a page wait for the database no longer than a page may; a delivery has limits of its own.

    While the database hangs, pages are refused here, before they cost anything.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer within the limits. What is streamed afterwards sets its own."""
        with database.limits("page"):
            is_page = request.path_info.removesuffix("/") not in OPEN_PATHS
            if (
                is_page
                and limits.is_shut("page")
                and not request.path_info.startswith(settings.STATIC_URL)
            ):
                logger.warning("%s is refused: the database does not answer", request.path)
                return no_database()
            return self.get_response(request)


def no_database() -> HttpResponse:
    """Return what people see while the database is away or hangs: nothing of it needs one."""
    response = errors.no_database()
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response


def server_error(_: HttpRequest) -> HttpResponse:
    """Answer what nobody caught (handler500): 503 where the same may be well in a moment."""
    error = sys.exc_info()[1]
    if isinstance(error, Exception) and database.may_pass(error):
        return no_database()
    return errors.failure()


class OpenPathMiddleware:
    """Answer the open paths at once, past all further middleware.

    So no redirect, host check, session, CSRF check or lock-out can reach a delivery, now or after
    a change of ``MIDDLEWARE``.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer an open path here, hand any other on."""
        if request.path_info.removesuffix("/") not in OPEN_PATHS:
            return self.get_response(request)
        match = request.resolver_match = resolve(request.path_info)
        response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
        return response.render() if isinstance(response, SimpleTemplateResponse) else response


class CookieMiddleware:
    r"""Leave out cookies that hold what cannot be seen: no server sets such, and PostgreSQL stores no NUL.

    A header cannot bring a NUL, but a quoted cookie can (``sessionid="\000..."``).
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Hand on the request with its other cookies."""
        for name, value in list(request.COOKIES.items()):
            if not value.isprintable():
                del request.COOKIES[name]
        return self.get_response(request)


class ContentSecurityPolicyMiddleware:
    """Allow nothing on a page but what comes from here, and nothing inline."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer with the policy."""
        response = self.get_response(request)
        response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response
