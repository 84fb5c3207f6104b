"""Verify a signed request. Tolerant where that costs no safety, since upstream documents little."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from .base import Message, SignatureError, Version, check_digest, fields_of
from .candidates import MOST, Address, bases
from .keys import PublicKey, UnsupportedKeyError, check_kind, is_algorithm_of, is_signature
from .parameters import SignatureInput, read_inputs, read_signatures

_REQUIRED = ("@method", "@path")
_DIGESTS = tuple(version.digest_header for version in Version)


class MisfitError(SignatureError):
    """The signature is none of this request, at any address at which it may have been signed."""


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


def verify(
    message: Message,
    key_of: Callable[[str], PublicKey | None],
    *,
    public: Address | None = None,
    most: int = MOST,
) -> Verified:
    """Return what the first good signature of ``message`` says; SignatureError when there is none.

    A good one covers @method, @path and the digest of the body (an empty body needs none), was
    made by a key that ``key_of`` knows, and fits the request as it came or as it may have been
    before a proxy changed it: ``public`` is the address that is registered upstream. ``most`` is
    the number of candidates tried. Raises MisfitError where only the last is wrong. What
    ``key_of`` raises goes through.
    """
    fields = fields_of(message)
    inputs = _inputs(fields)
    signatures = _signatures(fields)
    problems: dict[str, SignatureError] = {}
    for signed in inputs:
        try:
            verified = _verified(signed)
            signature = _signature(signed, signatures)
            key = _checked(message, fields, signed, key_of)
            bound = bases(message, fields, signed, public, most=max(most // len(inputs), 1))
            return replace(verified, version=_fitting(signature, key, bound))
        except SignatureError as error:
            problems[signed.label] = error
    named = [f"{label:.64}: {error}" for label, error in problems.items()]
    reason = "; ".join(named) if len(inputs) > 1 else str(problems[inputs[0].label])
    if any(isinstance(error, MisfitError) for error in problems.values()):
        raise MisfitError(reason)
    raise SignatureError(reason)


def _checked(
    message: Message,
    fields: Mapping[str, str],
    signed: SignatureInput,
    key_of: Callable[[str], PublicKey | None],
) -> PublicKey:
    """Return the key of a signature that covers what it must, the digest of this very body included."""
    _check_coverage(signed.components, has_body=bool(message.body))
    key = _key(_key_id(signed), key_of)
    _check_algorithm(signed, key)
    for name in _DIGESTS:
        if name in signed.components and name in fields:
            check_digest(fields[name], message.body)
    return key


def _fitting(
    signature: bytes, key: PublicKey, candidates: Iterator[tuple[Version, bytes]]
) -> Version:
    for version, base in candidates:
        if is_signature(signature, base, key):
            return version
    raise MisfitError("the signature does not fit the request")


def _verified(signed: SignatureInput) -> Verified:
    """Return what a signature says of itself; which version it is only its fit tells."""
    return Verified(
        key_id=_key_id(signed),
        created=_moment(signed, "created"),
        expires=_moment(signed, "expires"),
        nonce=str(signed.parameters.get("nonce", "")),
        components=signed.components,
        version=Version.V6,
        label=signed.label,
    )


def _inputs(fields: Mapping[str, str]) -> list[SignatureInput]:
    if "signature-input" not in fields:
        raise SignatureError("the header signature-input is missing")
    return read_inputs(fields["signature-input"])


def _signatures(fields: Mapping[str, str]) -> Mapping[str, bytes]:
    if "signature" not in fields:
        raise SignatureError("the header signature is missing")
    return read_signatures(fields["signature"])


def _signature(signed: SignatureInput, signatures: Mapping[str, bytes]) -> bytes:
    if signed.label not in signatures:
        raise SignatureError(f"there is no signature with the label {signed.label:.64}")
    return signatures[signed.label]


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
