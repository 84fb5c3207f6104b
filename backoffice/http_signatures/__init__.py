"""HTTP message signatures as the Investment API uses them, on both sides of the wire.

Two IETF drafts: version 15 for our requests, version 6 for upstream's deliveries. Neither is what
an RFC 9421 library makes: the algorithm is ECDSA P-521 with SHA-512 in DER (or Ed25519), and
version 6 leaves the names in the signature base unquoted. Pure: no Django, no I/O.
"""

from .base import Message, SignatureError, Version, signature_base
from .candidates import Address
from .keys import (
    PrivateKey,
    PublicKey,
    UnsupportedKeyError,
    jwk_from_public_key,
    load_private_key,
    public_key_from_jwk,
)
from .signing import sign
from .verification import MisfitError, Verified, key_ids, verify

__all__ = [
    "Address",
    "Message",
    "MisfitError",
    "PrivateKey",
    "PublicKey",
    "SignatureError",
    "UnsupportedKeyError",
    "Verified",
    "Version",
    "jwk_from_public_key",
    "key_ids",
    "load_private_key",
    "public_key_from_jwk",
    "sign",
    "signature_base",
    "verify",
]
