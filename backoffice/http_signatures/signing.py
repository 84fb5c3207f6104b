"""Sign a request: every header added on purpose is covered."""

from base64 import b64encode

from .base import Message, Version, base_of, digest_of, fields_of
from .keys import PrivateKey, signature_of
from .parameters import write_params

_LABEL = "sig1"
# Set or rewritten on the way by libraries, proxies and gateways, or part of the signature itself.
_NEVER_COVERED = {
    "host",
    "user-agent",
    "accept-encoding",
    "connection",
    "signature",
    "signature-input",
    "upvest-signature-version",
    "digest",  # ours replaces it
    "content-digest",
}
_NEVER_COVERED_PREFIXES = ("cf-", "cdn-", "cookie", "x-", "priority", "sec-")


def sign(
    message: Message,
    *,
    key: PrivateKey,
    key_id: str,
    created: int,
    nonce: str,
    lifetime: int = 60,
    version: Version = Version.V15,
) -> dict[str, str]:
    """Return the headers to add to ``message``: digest, signature and, for V15, its version.

    ``created`` is Unix time, ``lifetime`` seconds. Give a fresh ``nonce`` to every attempt.
    Raises SignatureError when the message cannot be signed as it is.
    """
    fields = {name: value for name, value in fields_of(message).items() if _is_covered(name)}
    digest = {version.digest_header: digest_of(message.body, version)} if message.body else {}
    derived = ["@method", "@path"] + (["@query"] if message.query else [])
    components = [*derived, *sorted({*fields, *digest})]
    params = write_params(
        components,
        {"keyid": key_id, "created": created, "expires": created + lifetime, "nonce": nonce},
    )
    base = base_of(message, fields | digest, components, params, version)
    return digest | _signature_headers(params, signature_of(base, key), version)


def _signature_headers(params: str, signature: bytes, version: Version) -> dict[str, str]:
    headers = {
        "signature-input": f"{_LABEL}={params}",
        "signature": f"{_LABEL}=:{b64encode(signature).decode()}:",
    }
    if version is Version.V15:  # version 6 is what upstream assumes when nothing is said
        headers["upvest-signature-version"] = str(int(version))
    return headers


def _is_covered(name: str) -> bool:
    return name not in _NEVER_COVERED and not name.startswith(_NEVER_COVERED_PREFIXES)
