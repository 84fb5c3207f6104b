"""Who sent a delivery: the signature decides, over the raw bytes. Source: investment-api.md, section 4.4."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.request import Request

from backoffice.http_signatures import Message, SignatureError, Verified, key_ids, verify
from backoffice.investment_api.budget import Urgency
from backoffice.investment_api.client import api
from webhooks import wire
from webhooks.key_set import SPACING, KeySet, KeysUnavailableError

# A delivery waits for the keys, and all others behind it: they are asked for as people ask.
key_set = KeySet(lambda: api().verify_keys(urgency=Urgency.PERSON))


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """A request with the signature that was found good."""

    message: Message
    signature: Verified


class NotSignedError(AuthenticationFailed):
    """401: not correctly signed by upstream; ``reason`` is for staff, not for the sender."""

    def __init__(self, message: Message, reason: str) -> None:
        super().__init__("The request is not signed by a known key.")
        self.message = message
        self.reason = reason


class TooLargeError(APIException):
    """413: longer than we read."""

    status_code = 413
    default_code = "too_large"


class UnavailableError(APIException):
    """503: cannot be verified or stored now; ``wait`` is the Retry-After in seconds."""

    status_code = 503
    default_detail = "The delivery cannot be taken now. Send it again."
    default_code = "unavailable"

    def __init__(self, *, wait: float = 1) -> None:
        super().__init__()
        self.wait = wait


class SignatureAuthentication(BaseAuthentication):
    """Accepts what upstream signed. There is no user; ``request.auth`` is a SignedMessage."""

    def authenticate(self, request: Request) -> tuple[None, SignedMessage]:
        """Return the signed message. Raises NotSignedError, TooLargeError, UnavailableError."""
        try:
            message = wire.message_of(request)
        except wire.TooLargeError as error:
            raise TooLargeError(str(error)) from error
        except wire.IncompleteError as error:
            raise UnavailableError from error
        try:
            keys = key_set.find(key_ids(message))
            signature = verify(message, keys.get)
            check_age(signature, now=timezone.now())
        except SignatureError as error:
            raise NotSignedError(message, str(error)) from error
        except KeysUnavailableError as error:
            raise UnavailableError(wait=SPACING) from error
        return None, SignedMessage(message, signature)

    def authenticate_header(self, request: Any) -> str:
        """Return the scheme: with one DRF answers 401, without it 403."""
        return "Signature"


def check_age(signature: Verified, *, now: datetime) -> None:
    """Raise SignatureError where ``WEBHOOK_SIGNATURE_MAX_AGE`` is set and the signature is older or newer."""
    longest = settings.WEBHOOK_SIGNATURE_MAX_AGE
    if longest is None:
        return
    if signature.created is None:
        raise SignatureError("the signature does not say when it was made")
    if abs(now - signature.created) > longest:
        raise SignatureError(
            f"the signature was made at {signature.created:%Y-%m-%d %H:%M:%S} UTC, "
            f"more than {longest.total_seconds():.0f} s from now"
        )
