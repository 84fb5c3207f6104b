"""What the signature of a stored delivery says, read again from the headers that were kept. Pure.

Whether it fits was decided when the delivery came, over the request as it was; this only shows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from backoffice.http_signatures import SignatureError, Version
from backoffice.http_signatures.parameters import SignatureInput, read_inputs, read_signatures

OLD = timedelta(minutes=10)  # the longest pause between two attempts of upstream
AHEAD = timedelta(seconds=60)  # further than clocks should differ
ED25519_LENGTH = 64  # bytes; no signature of the curve P-521 is that short
P521_LENGTHS = range(100, 142)  # bytes, in DER or as r and s


@dataclass(frozen=True, slots=True)
class Evidence:
    """One signature as its headers describe it; a moment that is not told, or is none, is None."""

    key_id: str
    algorithm: str
    version: Version
    components: tuple[str, ...]
    created: datetime | None
    expires: datetime | None


def evidence_in(headers: Mapping[str, str], *, key_id: str) -> Evidence | None:
    """Return the signature by a key, else the first; None where the headers cannot be read.

    ``headers`` have lower-case names.
    """
    try:
        inputs = read_inputs(headers.get("signature-input", ""))
        signatures = read_signatures(headers.get("signature", ""))
    except SignatureError:
        return None
    signed = next((it for it in inputs if it.parameters.get("keyid") == key_id), inputs[0])
    return Evidence(
        key_id=str(signed.parameters.get("keyid", "")),
        algorithm=_algorithm(signatures.get(signed.label, b"")),
        version=_version(headers, signed),
        components=signed.components,
        created=_moment(signed, "created"),
        expires=_moment(signed, "expires"),
    )


def doubt(signed_at: datetime, received_at: datetime) -> str:
    """Return what is odd about the age of a signature; "" where nothing is."""
    age = received_at - signed_at
    if age > OLD:
        return "older than the longest pause between two attempts"
    return "from the future: the clocks differ" if age < -AHEAD else ""


def _algorithm(signature: bytes) -> str:
    """Return the algorithm, which the length of a signature tells."""
    if len(signature) == ED25519_LENGTH:
        return "Ed25519"
    return "ECDSA P-521 with SHA-512" if len(signature) in P521_LENGTHS else "not known"


def _version(headers: Mapping[str, str], signed: SignatureInput) -> Version:
    is_v15 = headers.get("upvest-signature-version") == str(Version.V15.value)
    return Version.V15 if is_v15 or Version.V15.digest_header in signed.components else Version.V6


def _moment(signed: SignatureInput, name: str) -> datetime | None:
    value = signed.parameters.get(name)
    try:
        return None if value is None else datetime.fromtimestamp(float(value), UTC)
    except (ValueError, OverflowError, OSError):
        return None
