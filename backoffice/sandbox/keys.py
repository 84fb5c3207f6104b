"""The keys that deliveries are signed with, and their public set."""

from datetime import datetime, timedelta
from threading import Lock
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec

from backoffice.http_signatures import PrivateKey, jwk_from_public_key

from .objects import Json


class KeySet:
    """One key to sign with, and those before it for as long as the set still shows them."""

    def __init__(self, *, keep: timedelta = timedelta(hours=24)) -> None:
        self._keep = keep
        self._lock = Lock()
        self._current = _new_key()
        self._former: list[tuple[datetime, str, PrivateKey]] = []

    def rotate(self, now: datetime, *, keep: timedelta | None = None) -> str:
        """Sign with a new key from now on; the set shows the old one for ``keep``. Returns the new id."""
        with self._lock:
            until = now + (self._keep if keep is None else keep)
            self._former.append((until, *self._current))
            self._current = _new_key()
            return self._current[0]

    def current(self) -> tuple[str, PrivateKey]:
        """Return the id and the private key that a delivery is signed with."""
        with self._lock:
            return self._current

    def document(self, now: datetime) -> Json:
        """Return the public keys as ``GET /auth/verify_keys`` shows them."""
        with self._lock:
            self._former = [former for former in self._former if former[0] > now]
            keys = [self._current, *((key_id, key) for _, key_id, key in self._former)]
            return {"keys": [jwk_from_public_key(key_id, key.public_key()) for key_id, key in keys]}


def _new_key() -> tuple[str, PrivateKey]:
    return str(uuid4()), ec.generate_private_key(ec.SECP521R1())
