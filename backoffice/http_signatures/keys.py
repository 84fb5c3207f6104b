"""Keys: which kinds sign, how they are read and written, and the signature bytes they make."""

import base64
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_WORKS = "ECDSA P-521 or Ed25519"
_COORDINATE_BYTES = 66
_RAW_BYTES = 2 * _COORDINATE_BYTES
_ECDSA = ec.ECDSA(hashes.SHA512())
_WHATEVER_THE_KEY_DOES = "hs2019"  # as early drafts and upstream's OpenAPI examples have it


class UnsupportedKeyError(ValueError):
    """The key cannot be read, or is of a kind upstream does not take; the message says which it takes."""


def load_private_key(pem: bytes, passphrase: str = "") -> PrivateKey:
    """Read our signing key from PEM (PKCS#8 or ``EC PRIVATE KEY``), encrypted or not.

    Raises UnsupportedKeyError for another kind or curve, a wrong passphrase, or text that is no key.
    """
    try:
        key = load_pem_private_key(pem, passphrase.encode() or None)
    except TypeError as error:  # the library's word for: a passphrase is missing, or not needed
        wrong = "is not encrypted but a passphrase is given" if passphrase else "needs a passphrase"
        raise UnsupportedKeyError(f"the private key {wrong}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        reason = "is not PEM, or its passphrase is wrong" if passphrase else "is not readable PEM"
        raise UnsupportedKeyError(f"the private key {reason}; use {_WORKS}") from error
    if isinstance(key, PrivateKey):
        check_kind(key.public_key())
        return key
    raise _unsupported(type(key).__name__.removesuffix("PrivateKey").removeprefix("_"))


def public_key_from_jwk(jwk: Mapping[str, object]) -> PublicKey:
    """Read a verification key of upstream's key set. Raises UnsupportedKeyError."""
    kind = (jwk.get("kty"), jwk.get("crv"))
    try:
        if kind == ("EC", "P-521"):
            x, y = (int.from_bytes(_decode(jwk.get(name)), "big") for name in ("x", "y"))
            return ec.EllipticCurvePublicNumbers(x, y, ec.SECP521R1()).public_key()
        if kind == ("OKP", "Ed25519"):
            return ed25519.Ed25519PublicKey.from_public_bytes(_decode(jwk.get("x")))
    except ValueError as error:
        raise UnsupportedKeyError(
            f"key {jwk.get('kid')!s:.64} has unreadable coordinates"
        ) from error
    raise _unsupported(f"{kind[0]!s:.32} {kind[1]!s:.32}")


def jwk_from_public_key(key_id: str, key: PublicKey) -> dict[str, str]:
    """Write ``key`` the way upstream's key set does: no ``alg``, no ``use``."""
    check_kind(key)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return {"kid": key_id, "kty": "OKP", "crv": "Ed25519", "x": _encode(key.public_bytes_raw())}
    point = key.public_numbers()
    x, y = (_encode(number.to_bytes(_COORDINATE_BYTES, "big")) for number in (point.x, point.y))
    return {"kid": key_id, "kty": "EC", "crv": "P-521", "x": x, "y": y}


def check_kind(key: PublicKey) -> None:
    """Raise UnsupportedKeyError for any curve but P-521."""
    if isinstance(key, ec.EllipticCurvePublicKey) and not isinstance(key.curve, ec.SECP521R1):
        raise _unsupported(f"ECDSA {key.curve.name}")


def is_algorithm_of(key: PublicKey, alg: str) -> bool:
    """Whether ``alg``, as a message may name it, is the algorithm of ``key``."""
    own = "ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else "ecdsa-p521-sha512"
    return alg.lower() in (own, _WHATEVER_THE_KEY_DOES)


def signature_of(base: bytes, key: PrivateKey) -> bytes:
    """Sign ``base``: ASN.1 DER for ECDSA, the plain 64 bytes for Ed25519."""
    check_kind(key.public_key())
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(base)
    return key.sign(base, _ECDSA)


def is_signature(signature: bytes, base: bytes, key: PublicKey) -> bool:
    """Whether ``signature`` is one of ``base`` by ``key``; ECDSA as DER or as raw r and s."""
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, base)
        else:
            key.verify(_der(signature), base, _ECDSA)
    except InvalidSignature:
        return False
    return True


def _der(signature: bytes) -> bytes:
    # A P-521 number has 521 bits, so raw bytes begin with 0 or 1, and DER always with 0x30.
    if len(signature) != _RAW_BYTES or signature[0] > 1:
        return signature
    r, s = signature[:_COORDINATE_BYTES], signature[_COORDINATE_BYTES:]
    return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))


def _unsupported(kind: str) -> UnsupportedKeyError:
    return UnsupportedKeyError(f"the key is {kind}; use {_WORKS}")


def _encode(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _decode(coordinate: object) -> bytes:
    text = str(coordinate or "").rstrip("=")
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
