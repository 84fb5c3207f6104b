"""What a process needs before it may serve, as system checks and as a refusal to start."""

from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from backoffice import http_signatures

HINTS = {
    "REDIS_URL": "Without it the broker is in memory, where no other process can see a task.",
    "INVESTMENT_API_PRIVATE_KEY": "A PEM, ECDSA P-521 or Ed25519; or its path in "
    "INVESTMENT_API_PRIVATE_KEY_FILE.",
}


@checks.register(checks.Tags.security)
def signing_key_is_usable(**_: Any) -> list[checks.CheckMessage]:
    """Refuse a private key of a kind that upstream does not accept, or that cannot be read."""
    if not settings.INVESTMENT_API_PRIVATE_KEY:
        return []
    pem = settings.INVESTMENT_API_PRIVATE_KEY.encode()
    try:
        http_signatures.load_private_key(pem, settings.INVESTMENT_API_PRIVATE_KEY_PASSPHRASE)
    except http_signatures.UnsupportedKeyError as error:
        return [checks.Error(f"INVESTMENT_API_PRIVATE_KEY: {error}", id="backoffice.E001")]
    return []


@checks.register(checks.Tags.security, deploy=True)
def nothing_is_missing(**_: Any) -> list[checks.CheckMessage]:
    """Name every setting that a web, worker or beat process cannot go without."""
    return [
        checks.Error(f"{name} is not set", hint=HINTS.get(name), id="backoffice.E002")
        for name in settings.MISSING
    ]


def require_complete() -> None:
    """Raise ImproperlyConfigured with all that keeps this process from serving."""
    found = [*nothing_is_missing(), *signing_key_is_usable()]
    if found:
        lines = [f"- {message.msg}" for message in found]
        raise ImproperlyConfigured("\n".join(["This process cannot start:", *lines]))
