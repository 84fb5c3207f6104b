"""Who sent a delivery: the signature decides, over the raw bytes. Source: investment-api.md, section 4.4."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.request import Request

from backoffice.http_signatures import (
    Address,
    Message,
    MisfitError,
    PublicKey,
    SignatureError,
    Verified,
    key_ids,
    verify,
)
from backoffice.investment_api.budget import Urgency
from backoffice.investment_api.client import api
from webhooks import wire
from webhooks.key_set import SPACING, KeySet, KeysUnavailableError

MOST_GUESSES = 8  # candidates tried only to say what is wrong

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
        """Return the signed message. Raises NotSignedError, TooLargeError, UnavailableError.

        Nothing of the body is read for one that names no signature by a known key: whoever sends
        that may take any time over its body.
        """
        message = wire.head_of(request)
        try:
            keys = _keys_for(message)
            message = _whole(message, request)
            signature = verified(message, keys)
            check_age(signature, now=timezone.now())
        except SignatureError as error:
            raise NotSignedError(message, str(error)) from error
        return None, SignedMessage(message, signature)

    def authenticate_header(self, request: Any) -> str:
        """Return the scheme: with one DRF answers 401, without it 403."""
        return "Signature"


def is_signed(message: Message) -> bool:
    """Return whether a request brings anything that claims to be a signature."""
    return any(name.lower() in {"signature", "signature-input"} for name in message.headers)


def _keys_for(head: Message) -> Mapping[str, PublicKey]:
    """Return the keys, one of which is named. Raises SignatureError and UnavailableError."""
    named = key_ids(head)
    if not any(name.lower() == "signature" for name in head.headers):
        raise SignatureError("the header signature is missing")
    try:
        keys = key_set.find(named)
    except KeysUnavailableError as error:
        raise UnavailableError(wait=SPACING) from error
    if not any(key_id in keys for key_id in named):
        raise SignatureError("; ".join(f"the key {key_id:.64} is not known" for key_id in named))
    return keys


def _whole(head: Message, request: Request) -> Message:
    """Return the message with its body. Raises TooLargeError and UnavailableError."""
    try:
        return wire.with_body(head, request)
    except wire.TooLargeError as error:
        raise TooLargeError(str(error)) from error
    except wire.IncompleteError as error:
        raise UnavailableError from error


def verified(message: Message, keys: Mapping[str, PublicKey]) -> Verified:
    """Return the good signature of a delivery, made for where it came or for ``WEBHOOK_PUBLIC_URL``.

    Raises SignatureError; where nothing fits, its text names what was tried.
    """
    url = settings.WEBHOOK_PUBLIC_URL
    try:
        return verify(message, keys.get, public=Address.parse(url) if url else None)
    except MisfitError as error:
        raise SignatureError(f"{error}: {_tried(message, keys, url)}") from error


def _tried(message: Message, keys: Mapping[str, PublicKey], url: str) -> str:
    """Say which addresses were tried, and for which one it is signed where that can be told."""
    arrived = f"arrived as {wire.address_of(message)}"
    for told in wire.told_addresses(message):
        # Only to say it: what a header tells is never a reason to take a delivery.
        with suppress(SignatureError):
            verify(message, keys.get, public=told, most=MOST_GUESSES)
            return f"signed for {told}, {arrived}; WEBHOOK_PUBLIC_URL is {url or 'not set'}"
    if not url:
        return f"{arrived}, and as signed for another address it was not tried: WEBHOOK_PUBLIC_URL is not set"
    return (
        f"tried as signed for {url} (WEBHOOK_PUBLIC_URL), {arrived}; "
        "it is signed for a third address, or a covered header was changed on the way"
    )


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
