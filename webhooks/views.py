"""The door for deliveries."""

import logging
from collections.abc import Iterable
from typing import Any, cast

from django.db import transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.exceptions import APIException, MethodNotAllowed, UnsupportedMediaType
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from backoffice import database, doorbell
from backoffice.client_address import client_address
from backoffice.interruptions import INTERRUPTIONS
from orders.tasks import drain
from webhooks import inbox, refusals
from webhooks.authentication import (
    NotSignedError,
    SignatureAuthentication,
    SignedMessage,
    UnavailableError,
    is_signed,
)

logger = logging.getLogger(__name__)


class AlwaysJSON(BaseContentNegotiation):
    """Answer in JSON whatever is asked for: a 406 would hold up the feed."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """Return none: the body is read as bytes."""
        return None

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return the only one."""
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)


class DeliveryView(APIView):
    """Store what is signed, acknowledge, ring the bell. Upstream waits for no work of ours.

    200: stored, whether or not we understand it. 401: not signed by upstream. 503: cannot store
    or verify now, send it again. 405, 413 and 415 answer what upstream does not send: another
    method, a longer body than any, something unsigned that is not even JSON.
    """

    http_method_names = ["post"]
    authentication_classes = [SignatureAuthentication]
    permission_classes = []
    throttle_classes = []
    parser_classes = []
    renderer_classes = [JSONRenderer]
    content_negotiation_class = AlwaysJSON

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer within the limits of a delivery: before upstream, and other deliveries, tire of it."""
        with database.limits("delivery"):
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse what is no delivery before anything is read of it, then check the signature."""
        if request.method != "POST":
            raise MethodNotAllowed(str(request.method))
        # Only where nothing is signed: a signed delivery must not be lost to its content type.
        if "Signature-Input" not in request.headers and not _may_be_json(request):
            raise UnsupportedMediaType(request.content_type)
        super().initial(request, *args, **kwargs)

    def post(self, request: Request) -> Response:
        """Store a delivery."""
        signed = cast(SignedMessage, request.auth)
        inbox.receive(
            signed.message,
            signature=signed.signature,
            sender=client_address(request),
            now=timezone.now(),
        )
        # The rows are the queue, this is only a bell: if the broker is down the sweep finds them.
        transaction.on_commit(lambda: doorbell.ringer.ring(drain), robust=True)
        return Response({"status": "stored"})

    def handle_exception(self, exc: Exception) -> Response:
        """Answer with the status meant; what nobody expected is 503, so that it comes again."""
        if isinstance(exc, NotSignedError):
            _keep_evidence(exc, sender=client_address(self.request))
        elif not isinstance(exc, APIException):
            # A database that is away or hangs is no riddle: one line for each delivery is enough.
            riddle = None if database.may_pass(exc) else exc
            logger.error("a delivery cannot be taken now: %s", exc, exc_info=riddle)
            exc = UnavailableError()
        elif not isinstance(exc, MethodNotAllowed):
            logger.warning("delivery not taken: %s: %s", exc.status_code, exc)
        return super().handle_exception(exc)


def _may_be_json(request: Request) -> bool:
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return not media_type or media_type == "application/json" or media_type.endswith("+json")


def _keep_evidence(refused: NotSignedError, *, sender: str) -> None:
    now = timezone.now()
    if not is_signed(refused.message):
        refusals.refuse_unsigned(now=now)
        return
    try:
        refusals.refuse(refused.message, refused.reason, sender=sender, now=now)
    except INTERRUPTIONS:
        raise
    except Exception:  # the answer is 401 with or without a row
        logger.exception("a refused delivery (%s) cannot be recorded", refused.reason)
