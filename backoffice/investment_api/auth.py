"""Who we are to upstream: the signature of every request, and the token of most."""

import enum
import hashlib
import logging
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlencode, urlsplit

import redis
import requests
from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured

from backoffice.http_signatures import (
    Message,
    PrivateKey,
    UnsupportedKeyError,
    load_private_key,
    sign,
)

from .budget import Urgency
from .errors import InvestmentAPIError, UnavailableError
from .reading import TOKEN_PATH, Answer
from .transport import Transport
from .weather import Weather

logger = logging.getLogger(__name__)


class Scope(enum.Enum):
    """What a token may be used for: upstream wants narrow ones, so reading and each kind of writing has its own."""

    READ = "orders:read portfolios:read webhooks:read"
    PORTFOLIOS = "portfolios:admin"
    ORDERS = "orders:admin"
    WEBHOOKS = "webhooks:admin"


FOREIGN_SPACING = 60.0  # seconds between two tokens that are fetched for a gateway's 401
LONGEST_LIFE = 366 * 24 * 3600.0  # seconds
_RENEW_EARLY = 60.0  # seconds before the end, but at most a quarter of a token's life
_NEEDED = ("URL", "CLIENT_ID", "CLIENT_SECRET", "KEY_ID", "PRIVATE_KEY")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What identifies us, and where."""

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    key_id: str
    key: PrivateKey = field(repr=False)

    @classmethod
    def from_settings(cls) -> Self:
        """Read Django's settings. Raises ImproperlyConfigured naming what is missing or wrong."""
        names = [f"INVESTMENT_API_{name}" for name in _NEEDED]
        values = [getattr(settings, name) for name in names]
        if missing := [name for name, value in zip(names, values, strict=True) if not value]:
            raise ImproperlyConfigured(f"The broker cannot be asked without {', '.join(missing)}")
        url, client_id, client_secret, key_id, pem = values
        passphrase = settings.INVESTMENT_API_PRIVATE_KEY_PASSPHRASE
        try:
            key = load_private_key(pem.encode(), passphrase)
        except UnsupportedKeyError as error:
            raise ImproperlyConfigured(f"INVESTMENT_API_PRIVATE_KEY: {error}") from error
        return cls(url, client_id, client_secret, key_id, key)

    def sign(self, request: requests.PreparedRequest) -> None:
        """Add the signature: over exactly what is about to be sent, and new with every call."""
        parts = urlsplit(request.path_url)
        body = request.body or b""
        message = Message(
            method=str(request.method),
            path=parts.path,
            query=parts.query,
            headers=request.headers,
            body=body if isinstance(body, bytes) else body.encode(),
        )
        created, nonce = int(time.time()), uuid.uuid4().hex
        added = sign(message, key=self.key, key_id=self.key_id, created=created, nonce=nonce)
        request.headers.update(added)

    def headers(self) -> dict[str, str]:
        """Return the headers of every request; the token is not among them."""
        return {
            "accept": "application/json",
            "upvest-api-version": "1",
            "upvest-client-id": self.client_id,
            "user-agent": "order-desk",
        }


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, and the Unix time from which it is no longer used."""

    text: str = field(repr=False)
    until: float

    def is_good(self, *, refused: str) -> bool:
        """Whether to use it: not about to end, and not the one upstream has refused."""
        return time.time() < self.until and self.text != refused


class Tokens:
    """The current access token of one scope: in memory, in Django's cache for all processes, or fetched."""

    def __init__(
        self, credentials: Credentials, transport: Transport, scope: Scope, weather: Weather
    ) -> None:
        self._scope = scope
        self._weather = weather
        self._credentials = credentials
        self._transport = transport
        self._held: Token | None = None
        self._refused = ""
        self._doubts_from = float("-inf")
        self._failure: InvestmentAPIError | None = None
        self._failed_at = float("-inf")
        self._lock = threading.Lock()
        account = f"{credentials.url} {credentials.client_id} {scope.value}"
        self._cache_key = (
            f"investment-api-token:{hashlib.sha256(account.encode()).hexdigest()[:32]}"
        )

    def refuse(self, token: str, *, is_foreign: bool) -> bool:
        """Use a token no more, for a call with it was answered 401; return whether another is of use.

        A gateway that answers 401 may check tokens for upstream, or keep everybody out: for its
        word a token is fetched once a minute at most.
        """
        if is_foreign:
            now = time.monotonic()
            if now < self._doubts_from:
                return False
            self._doubts_from = now + FOREIGN_SPACING
        self._refused = token
        return True

    def current(self, *, urgency: Urgency, until: float) -> str:
        """Return a token that was not refused; one thread fetches it while the others wait."""
        asked_at = time.monotonic()
        held = self._held
        if held is not None and held.is_good(refused=self._refused):
            return held.text
        if not self._lock.acquire(timeout=max(0.0, until - asked_at)):
            raise UnavailableError("no token in time")
        try:
            return self._renewed(asked_at, urgency=urgency, until=until).text
        finally:
            self._lock.release()

    def _renewed(self, asked_at: float, *, urgency: Urgency, until: float) -> Token:
        found = self._held  # another thread may have renewed it meanwhile
        if found is None or not found.is_good(refused=self._refused):
            found = self._from_cache()
        if found is not None and found.is_good(refused=self._refused):
            self._held = found
            return found
        if self._failure is not None and self._failed_at >= asked_at:
            raise self._failure.with_traceback(
                None
            )  # it failed while we waited: asking again would only take as long
        try:
            self._held = self._fetch(urgency=urgency, until=until)
        except InvestmentAPIError as error:
            # What was kept back says nothing to a person, whom neither pause nor breaker keeps back.
            self._failure = error if error.was_sent else None
            self._failed_at = time.monotonic()
            raise
        self._refused = ""
        self._to_cache(self._held)
        return self._held

    def _fetch(self, *, urgency: Urgency, until: float) -> Token:
        fields = {
            "client_id": self._credentials.client_id,
            "client_secret": self._credentials.client_secret,
            "grant_type": "client_credentials",
            "scope": self._scope.value,
        }
        asked_at = time.time()
        answer = self._transport.send(
            "POST",
            TOKEN_PATH,
            headers={
                **self._credentials.headers(),
                "content-type": "application/x-www-form-urlencoded",
            },
            body=urlencode(fields).encode(),
            shape=a_token,
            urgency=urgency,
            until=until,
        )
        token, life = _token_in(answer, asked_at)
        self._weather.note_token(self._scope.name, issued=asked_at, expires=asked_at + life)
        return token

    def _from_cache(self) -> Token | None:
        try:
            text, until = cache.get(self._cache_key) or ("", 0.0)
        except (redis.RedisError, OSError) as error:
            logger.warning("the token is kept in this process only: %s", error)
            return None
        return Token(text, until) if text else None

    def _to_cache(self, token: Token) -> None:
        try:
            cache.set(self._cache_key, (token.text, token.until), token.until - time.time())
        except (redis.RedisError, OSError) as error:
            logger.warning("the token is kept in this process only: %s", error)


def a_token(answer: Answer) -> str:
    """Say that an answer holds no token that a header can carry and that ends; "" if it does."""
    try:
        _token_in(answer, 0.0)
    except (ValueError, TypeError, KeyError, OverflowError):
        return "holds no token that we can read"
    return ""


def _token_in(answer: Answer, asked_at: float) -> tuple[Token, float]:
    """Return the token of an answer, and how many seconds it lives. Raises what ``a_token`` catches."""
    text, life = answer.payload["access_token"], float(answer.payload["expires_in"])
    if not (isinstance(text, str) and text.isascii() and text.isprintable() and text):
        raise ValueError("the token is no text that a header can carry")
    if not 0 <= life < LONGEST_LIFE:  # nor is NaN
        raise ValueError("no token lives so long")
    return Token(text, asked_at + life - min(_RENEW_EARLY, life / 4)), life
