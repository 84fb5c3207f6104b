"""A request as it goes over the wire, and the bytes that are signed of it."""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

_HASHES = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}


class SignatureError(ValueError):
    """The message is not signed as it must be; the text says why, in words fit for staff."""


class Version(IntEnum):
    """Which IETF draft: upstream signs deliveries as V6 and takes requests as V15."""

    V6 = 6
    V15 = 15

    @property
    def digest_header(self) -> str:
        """Name of the header that binds the body."""
        return "digest" if self is Version.V6 else "content-digest"


@dataclass(frozen=True, slots=True)
class Message:
    """One HTTP request as it goes over the wire.

    ``path`` is raw, before percent-decoding and without the query; ``query`` is the raw text after
    the "?", or "". Header names in any case, values as WSGI and http.client give them: one
    character for each byte. ``scheme`` is "" where nobody trustworthy says which it was.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    scheme: str = ""


def signature_base(
    message: Message, components: Iterable[str], params: str, version: Version
) -> bytes:
    """Return the bytes to sign: a line for each component, and last the ``params``.

    ``params`` is the text behind the label in ``signature-input``. Raises SignatureError for a
    component that the message does not have.
    """
    return base_of(message, fields_of(message), components, params, version)


def base_of(
    message: Message,
    fields: Mapping[str, str],
    components: Iterable[str],
    params: str,
    version: Version,
) -> bytes:
    """Build the base as signature_base does, from headers already in the form of fields_of."""
    quote = "" if version is Version.V6 else '"'
    lines = [f"{quote}{name}{quote}: {_value(name, message, fields)}" for name in components]
    lines.append(f"{quote}@signature-params{quote}: {params}")
    if any("\n" in line or "\r" in line for line in lines):
        raise SignatureError("a covered component holds a line break")
    try:
        return "\n".join(lines).encode("latin-1")
    except UnicodeEncodeError as error:
        raise SignatureError(
            "a covered component holds characters that no HTTP header can carry"
        ) from error


def fields_of(message: Message) -> dict[str, str]:
    """Return the headers by lower-case name, values trimmed, repeated ones joined."""
    fields: dict[str, str] = {}
    for name, value in message.headers.items():
        lower, trimmed = name.lower(), value.strip()
        fields[lower] = f"{fields[lower]}, {trimmed}" if lower in fields else trimmed
    return fields


def digest_of(body: bytes, version: Version) -> str:
    """Return the value of the header that binds ``body``."""
    if version is Version.V6:
        return "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()
    return "sha-512=:" + base64.b64encode(hashlib.sha512(body).digest()).decode() + ":"


def digests_of(body: bytes, name: str) -> list[str]:
    """Return what the header ``name`` may say of ``body``, the likeliest first."""
    found = {
        algorithm: base64.b64encode(make(body).digest()).decode()
        for algorithm, make in _HASHES.items()
    }
    if name == "digest":
        return [f"{algorithm.upper()}={digest}" for algorithm, digest in found.items()]
    return [f"{algorithm}=:{digest}:" for algorithm, digest in reversed(found.items())]


def check_digest(value: str, body: bytes) -> None:
    """Raise SignatureError unless each digest in ``value`` that we know is the one of ``body``.

    Reads ``digest`` and ``content-digest`` alike, and takes SHA-256 and SHA-512 in either.
    """
    known = 0
    for part in value.split(","):
        name, _, encoded = part.strip().partition("=")
        if make := _HASHES.get(name.lower()):
            known += 1
            if not hmac.compare_digest(_decoded(encoded), make(body).digest()):
                raise SignatureError("the body does not match its digest")
    if not known:
        raise SignatureError("the digest is neither SHA-256 nor SHA-512")


def decode_base64(text: str, what: str) -> bytes:
    """Decode standard Base64; SignatureError naming ``what`` when it is not."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise SignatureError(f"{what} is not Base64") from error


def _decoded(encoded: str) -> bytes:
    return decode_base64(encoded.removeprefix(":").removesuffix(":"), "the digest")


def _value(name: str, message: Message, fields: Mapping[str, str]) -> str:
    value = _derived(message, fields).get(name, fields.get(name))
    if value is None:
        raise SignatureError(f"the signature covers {name:.64}, which the request does not have")
    return value


def _derived(message: Message, fields: Mapping[str, str]) -> dict[str, str]:
    """Return the components that are no headers, those that this message has."""
    path = message.path or "/"
    target = f"{path}?{message.query}" if message.query else path
    derived = {
        "@method": message.method.upper(),
        "@path": path,
        "@query": f"?{message.query}",
        "@request-target": target,
    }
    if "host" in fields:
        derived["@authority"] = fields["host"].lower()
    if message.scheme:
        derived["@scheme"] = message.scheme
    if message.scheme and "host" in fields:
        derived["@target-uri"] = f"{message.scheme}://{derived['@authority']}{target}"
    return derived
