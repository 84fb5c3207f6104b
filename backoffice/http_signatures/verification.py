"""Verify a signed request. Tolerant where that costs no safety, since upstream documents little."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from .base import Message, SignatureError, Version, base_of, check_digest, fields_of
from .keys import PublicKey, UnsupportedKeyError, check_kind, is_algorithm_of, is_signature
from .parameters import SignatureInput, read_inputs, read_signatures

_REQUIRED = ("@method", "@path")
_DIGESTS = tuple(version.digest_header for version in Version)
_BARE_COMMA = re.compile(r",(?=[^ ])")


@dataclass(frozen=True, slots=True)
class Verified:
    """What a good signature says about itself. Its age is for the caller to judge."""

    key_id: str
    created: datetime | None
    expires: datetime | None
    nonce: str
    components: tuple[str, ...]
    version: Version
    label: str


def key_ids(message: Message) -> list[str]:
    """Return the keys that ``signature-input`` names, so that they can be fetched beforehand.

    Raises SignatureError if the header is absent or cannot be read.
    """
    return list(dict.fromkeys(_key_id(signed) for signed in _inputs(fields_of(message))))


def verify(message: Message, key_of: Callable[[str], PublicKey | None]) -> Verified:
    """Return what the first good signature of ``message`` says; SignatureError when there is none.

    A good one covers @method, @path and the digest of the body (an empty body needs none), was
    made by a key that ``key_of`` knows, and fits. What ``key_of`` raises goes through.
    """
    fields = fields_of(message)
    inputs = _inputs(fields)
    if "signature" not in fields:
        raise SignatureError("the header signature is missing")
    signatures = read_signatures(fields["signature"])
    reasons = []
    for signed in inputs:
        try:
            return _verify_one(message, fields, signed, signatures.get(signed.label), key_of)
        except SignatureError as error:
            reasons.append(f"{signed.label:.64}: {error}" if len(inputs) > 1 else str(error))
    raise SignatureError("; ".join(reasons))


def _verify_one(
    message: Message,
    fields: Mapping[str, str],
    signed: SignatureInput,
    signature: bytes | None,
    key_of: Callable[[str], PublicKey | None],
) -> Verified:
    if signature is None:
        raise SignatureError(f"there is no signature with the label {signed.label:.64}")
    key_id, created, expires = (
        _key_id(signed),
        _moment(signed, "created"),
        _moment(signed, "expires"),
    )
    _check_coverage(signed.components, has_body=bool(message.body))
    key = _key(key_id, key_of)
    _check_algorithm(signed, key)
    for name in _DIGESTS:
        if name in signed.components and name in fields:
            check_digest(fields[name], message.body)
    for version, base in _bases(message, fields, signed):
        if is_signature(signature, base, key):
            nonce = str(signed.parameters.get("nonce", ""))
            return Verified(
                key_id, created, expires, nonce, signed.components, version, signed.label
            )
    raise SignatureError("the signature does not fit the request")


def _inputs(fields: Mapping[str, str]) -> list[SignatureInput]:
    if "signature-input" not in fields:
        raise SignatureError("the header signature-input is missing")
    return read_inputs(fields["signature-input"])


def _check_coverage(components: tuple[str, ...], *, has_body: bool) -> None:
    if len(set(components)) != len(components):
        raise SignatureError("the signature covers a component twice")
    missing = [name for name in _REQUIRED if name not in components]
    if has_body and not any(name in components for name in _DIGESTS):
        missing.append("the digest of the body")
    if missing:
        raise SignatureError(f"the signature does not cover {' and '.join(missing)}")


def _key(key_id: str, key_of: Callable[[str], PublicKey | None]) -> PublicKey:
    key = key_of(key_id)
    if key is None:
        raise SignatureError(f"the key {key_id:.64} is not known")
    try:
        check_kind(key)
    except UnsupportedKeyError as error:
        raise SignatureError(str(error)) from error
    return key


def _check_algorithm(signed: SignatureInput, key: PublicKey) -> None:
    alg = signed.parameters.get("alg")
    if alg is not None and not is_algorithm_of(key, str(alg)):
        raise SignatureError(
            f"the signature names the algorithm {alg!s:.64}, which is not that of its key"
        )


def _bases(
    message: Message, fields: Mapping[str, str], signed: SignatureInput
) -> Iterator[tuple[Version, bytes]]:
    """Yield what may have been signed, the likeliest first.

    A header sent twice reaches WSGI joined by a bare comma, and is signed with comma and space.
    """
    is_v15 = "digest" not in signed.components or fields.get("upvest-signature-version") == "15"
    versions = (Version.V15, Version.V6) if is_v15 else (Version.V6, Version.V15)
    spaced = {
        name: _BARE_COMMA.sub(", ", fields[name]) for name in signed.components if name in fields
    }
    is_joined = any(value != fields[name] for name, value in spaced.items())
    for variant in (fields, {**fields, **spaced}) if is_joined else (fields,):
        for version in versions:
            yield (version, base_of(message, variant, signed.components, signed.params, version))


def _key_id(signed: SignatureInput) -> str:
    key_id = signed.parameters.get("keyid")
    if not isinstance(key_id, str) or not key_id:
        raise SignatureError("the signature names no key")
    return key_id


def _moment(signed: SignatureInput, name: str) -> datetime | None:
    value = signed.parameters.get(name)
    if value is None:
        return None
    try:
        return datetime.fromtimestamp(float(value), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise SignatureError(f"{name} is not a Unix time") from error
