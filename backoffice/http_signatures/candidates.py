"""What may have been signed, where a proxy changed on the way what a signature covers.

A proxy may frame the body anew, strip a prefix from the path, send a Host of its own, or join, split
and space headers as it likes. Each candidate follows from the body, which the digest binds, from
our own public address, or from the header as it came; nothing that a stranger sends adds one. The
signature decides: a candidate that was not signed fits nothing.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from urllib.parse import urlsplit

from .base import Message, SignatureError, Version, base_of, digests_of
from .parameters import SignatureInput

# Each costs about a millisecond to check, and headers with many commas have many spellings.
MOST = 32

_PORTS = {"https": 443, "http": 80}
_PARTS = re.compile(r'(?P<text>"(?:[^"\\]|\\.)*+")|[ \t]*+(?P<mark>[,;])[ \t]*+|[ \t]++')


@dataclass(frozen=True, slots=True)
class Address:
    """The address that is registered upstream, in the operator's own words.

    ``authority`` is host and port as written; ``path`` and ``query`` are raw.
    """

    scheme: str
    authority: str
    path: str
    query: str

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Read an absolute URL."""
        parts = urlsplit(url)
        authority = parts.netloc.rpartition("@")[2]
        return cls(parts.scheme.lower(), authority, parts.path or "/", parts.query)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}{'?' if self.query else ''}{self.query}"


def bases(
    message: Message,
    fields: Mapping[str, str],
    signed: SignatureInput,
    public: Address | None,
    *,
    most: int = MOST,
) -> Iterator[tuple[Version, bytes]]:
    """Yield what may have been signed, the likeliest first, each base once, ``most`` at most.

    ``fields`` are the headers in the form of fields_of. Raises SignatureError for a component that
    neither the message nor any candidate has.
    """
    seen: set[bytes] = set()
    problem: SignatureError | None = None
    for version, variant, spelled, params in _variants(message, fields, signed, public):
        try:
            base = base_of(variant, spelled, signed.components, params, version)
        except SignatureError as error:  # perhaps only this candidate lacks it
            problem = problem or error
            continue
        if base not in seen:
            seen.add(base)
            yield version, base
        if len(seen) == most:
            return
    if problem and not seen:
        raise problem


def spellings(value: str) -> list[str]:
    """Return a header's value as it came, then as proxies space, join and repeat it."""
    loose = _spaced(value, comma=", ")
    once = ", ".join(dict.fromkeys(loose.split(", ")))
    return list(
        dict.fromkeys(
            [
                value,
                loose,
                _spaced(value, comma=",", semicolon=";"),
                _spaced(value, comma=", ", semicolon="; "),
                once,
            ]
        )
    )


def _variants(
    message: Message,
    fields: Mapping[str, str],
    signed: SignatureInput,
    public: Address | None,
) -> Iterator[tuple[Version, Message, dict[str, str], str]]:
    is_v15 = "digest" not in signed.components or fields.get("upvest-signature-version") == "15"
    versions = (Version.V15, Version.V6) if is_v15 else (Version.V6, Version.V15)
    covered = [name for name in dict.fromkeys(signed.components) if not name.startswith("@")]
    values = {name: _values(name, message, fields) for name in covered if name != "host"}
    choices = {name: found for name, found in values.items() if found}
    tidy = _spaced(signed.params, comma=",", semicolon=";").replace("( ", "(").replace(" )", ")")
    for params, *chosen in product(dict.fromkeys([signed.params, tidy]), *choices.values()):
        spelled = {**fields, **dict(zip(choices, chosen, strict=True))}
        for variant, host in _addresses(message, fields.get("host"), public):
            located = spelled if host is None else {**spelled, "host": host}
            for version in versions:
                yield version, variant, located, params


def _values(name: str, message: Message, fields: Mapping[str, str]) -> list[str]:
    """Return what a covered header may have been; none where nothing tells."""
    came = fields.get(name) or None  # WSGI shows a length that was not sent as an empty text
    length = str(len(message.body))
    match name:
        # Another number than the length would be a lie about the body, not another frame.
        case "content-length" if came is None or came.lstrip("0") == length.lstrip("0"):
            return [length]
        case "transfer-encoding":
            return list(dict.fromkeys([*spellings(came or "chunked"), "chunked"]))
        case "expect" if came is None:
            return ["100-continue"]  # there is no other, and the proxy that answers it drops it
        case "digest" | "content-digest" if came is None:
            return digests_of(message.body, name)
    return [] if came is None else spellings(came)


def _addresses(
    message: Message, host: str | None, public: Address | None
) -> list[tuple[Message, str | None]]:
    """Return the message at the address where it came and at the public one, with the Host of each."""
    places = [message]
    hosts = [host]
    if public:
        # The setting is read without its last slash, which upstream may have and sign.
        for path in (public.path, f"{public.path}/"):
            query = public.query or message.query
            places.append(replace(message, path=path, query=query, scheme=public.scheme))
        named = public.authority.lower()
        bare = named.removesuffix(f":{_PORTS.get(public.scheme)}")
        hosts += [bare, f"{bare}:{_PORTS.get(public.scheme)}" if bare == named else named]
    return list(product(places, dict.fromkeys(hosts)))


def _spaced(value: str, *, comma: str, semicolon: str = "") -> str:
    """Return ``value`` with other space around commas and, where given, semicolons outside of quotes."""

    def part(found: re.Match[str]) -> str:
        if found["text"]:
            return found["text"]
        if found["mark"] == ",":
            return comma
        if found["mark"]:
            return semicolon or found[0]
        return " "

    return _PARTS.sub(part, value)
