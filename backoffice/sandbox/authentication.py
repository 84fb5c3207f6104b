"""Who may call: client credentials, tokens, signed requests. As strict as the contract allows.

All times here are the machine's, not the market's, for callers sign by the machine's clock.
"""

import hmac
import secrets
import time
from threading import Lock
from urllib.parse import parse_qsl

from backoffice.http_signatures import Message, PublicKey, SignatureError, Verified, Version, verify

from .answers import ProblemError
from .objects import Json

_AREAS = ("orders", "portfolios", "webhooks")
SCOPES = frozenset(f"{area}:{right}" for area in _AREAS for right in ("read", "admin"))

TOKEN_PATH = "/auth/token"  # noqa: S105 - a path

_CLOCK_TOLERANCE = 5
_MUST_COVER = ("accept", "upvest-client-id")
_MUST_COVER_WITH_BODY = ("content-length", "content-type")


class Authentication:
    """Checks the calls of one client. Raises ProblemError for every call that upstream would refuse."""

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        key_id: str,
        public_key: PublicKey,
        scopes: frozenset[str] = SCOPES,
        token_lifetime: int = 1799,
    ) -> None:
        self.token_lifetime = token_lifetime
        self._client_id = client_id
        self._client_secret = client_secret
        self._keys = {key_id: public_key}
        self._scopes = scopes
        self._lock = Lock()
        self._tokens: dict[str, tuple[float, frozenset[str]]] = {}
        self._nonces: dict[str, float] = {}
        self._sweep_at = 0.0

    def check_signature(self, message: Message) -> None:
        """Refuse with 401 what is not signed by the client, freshly, over all that it must cover."""
        try:
            verified = verify(message, self._keys.get)
        except SignatureError as error:
            raise ProblemError(401, f"Signature: {error}.") from error
        said = message.headers.get("upvest-signature-version", "6")
        if said not in ("6", "15") or verified.version is not Version(int(said)):
            raise ProblemError(
                401, f"Signature: not made as upvest-signature-version {said} demands."
            )
        if missing := set(_must_cover(message)) - set(verified.components):
            raise ProblemError(401, f"Signature: does not cover {', '.join(sorted(missing))}.")
        self._check_age(verified)

    def check_client(self, message: Message) -> None:
        """Refuse with 400 a call that does not name the client, with 401 one that names another."""
        if "upvest-client-id" not in message.headers:
            raise ProblemError(400, slug="missing_client_id")
        if message.headers["upvest-client-id"] != self._client_id:
            raise ProblemError(401, "Unknown client.")

    def check_token(self, message: Message, scopes: tuple[str, ...]) -> None:
        """Refuse with 401 a call without a good token, with 403 one whose token has no scope for it."""
        scheme, _, token = message.headers.get("authorization", "").partition(" ")
        with self._lock:
            expires, granted = self._tokens.get(token, (0.0, frozenset()))
        if scheme.lower() != "bearer" or expires <= time.time():
            raise ProblemError(401, "The token is missing, unknown or expired.")
        if not granted & set(scopes):
            raise ProblemError(403, f"Needs the scope {' or '.join(scopes)}.")

    def token(self, message: Message) -> Json:
        """Return a new token for the client credentials in the form."""
        if not message.headers.get("content-type", "").startswith(
            "application/x-www-form-urlencoded"
        ):
            raise ProblemError(400, "The token request must be form-encoded.")
        form = dict(parse_qsl(message.body.decode(errors="replace")))
        if form.get("grant_type") != "client_credentials":
            raise ProblemError(400, "grant_type must be client_credentials.")
        is_secret = hmac.compare_digest(
            form.get("client_secret", "").encode(), self._client_secret.encode()
        )
        if form.get("client_id") != self._client_id or not is_secret:
            raise ProblemError(401, "Unknown client or wrong secret.")
        scopes = frozenset(form.get("scope", "").split())
        if not scopes or scopes - self._scopes:
            raise ProblemError(403, "The client does not have all of these scopes.")
        token = f"ory_at_{secrets.token_urlsafe(32)}"
        with self._lock:
            self._tokens[token] = (time.time() + self.token_lifetime, scopes)
        return {
            "access_token": token,
            "expires_in": self.token_lifetime,
            "token_type": "bearer",
            "scope": " ".join(sorted(scopes)),
        }

    def revoke_tokens(self) -> None:
        """Make every token unknown, as upstream may do at any time."""
        with self._lock:
            self._tokens.clear()

    def _check_age(self, verified: Verified) -> None:
        now = time.time()
        if verified.created is None or verified.expires is None:
            raise ProblemError(401, "Signature: created or expires is missing.")
        created, expires = verified.created.timestamp(), verified.expires.timestamp()
        if not created - _CLOCK_TOLERANCE <= now <= expires + _CLOCK_TOLERANCE:
            raise ProblemError(401, "Signature: expired, or made in the future; check the clock.")
        with self._lock:
            if now >= self._sweep_at:
                self._nonces = {
                    nonce: until for nonce, until in self._nonces.items() if until >= now
                }
                self._sweep_at = now + 10
            if not verified.nonce or verified.nonce in self._nonces:
                raise ProblemError(401, "Signature: the nonce is missing or was used before.")
            self._nonces[verified.nonce] = expires + _CLOCK_TOLERANCE


def _must_cover(message: Message) -> tuple[str, ...]:
    query = ("@query",) if message.query else ()
    body = _MUST_COVER_WITH_BODY if message.body else ()
    token = () if message.path == TOKEN_PATH else ("authorization",)
    return (*_MUST_COVER, *query, *body, *token)
