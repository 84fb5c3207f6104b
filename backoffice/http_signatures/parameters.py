"""The headers ``signature-input`` and ``signature``: structured fields, read and written.

Read by one linear pass of anchored patterns, since a stranger may send anything here.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .base import SignatureError, decode_base64

# Each signature costs up to a millisecond to check; a stranger must not choose how many.
MOST_SIGNATURES = 4

_KEY = r"[A-Za-z*][A-Za-z0-9_.*-]*+"
_STRING = r'"(?:[ !#-\[\]-~]|\\["\\])*+"'
_BARE = rf"(?:{_STRING}|-?[0-9]++(?:\.[0-9]++)?|:[A-Za-z0-9+/=]*+:|\?[01]|[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*+)"
_PARAMETER = rf";[ \t]*+{_KEY}(?:={_BARE})?+"
_ITEM = rf"{_STRING}(?:{_PARAMETER})*+"

_INPUT = re.compile(
    rf"(?P<label>{_KEY})=(?P<params>\([ ]*+(?P<items>(?:{_ITEM}(?:[ ]++|(?=\))))*+)\)(?P<after>(?:{_PARAMETER})*+))"
)
_SIGNATURE = re.compile(rf"(?P<label>{_KEY})=:(?P<octets>[A-Za-z0-9+/=]*+):(?:{_PARAMETER})*+")
_COMMA = re.compile(r"[ \t]*+,[ \t]*+")
_INTEGER = re.compile(r"-?[0-9]{1,15}")
_WHOLE_STRING = re.compile(_STRING)
_EACH_ITEM = re.compile(_ITEM)
_EACH_PARAMETER = re.compile(rf";[ \t]*+(?P<name>{_KEY})(?:=(?P<value>{_BARE}))?+")


@dataclass(frozen=True, slots=True)
class SignatureInput:
    """One member of ``signature-input``: what a signature covers, and its parameters.

    ``params`` is the text behind the label, verbatim, since it is signed itself.
    """

    label: str
    params: str
    components: tuple[str, ...]
    parameters: Mapping[str, str | int]


def write_params(components: Iterable[str], parameters: Mapping[str, str | int]) -> str:
    """Return the text behind the label: numbers bare, text quoted, in the order given."""
    covered = " ".join(_quoted(name) for name in components)
    pairs = (
        f";{name}={value if isinstance(value, int) else _quoted(value)}"
        for name, value in parameters.items()
    )
    return f"({covered})" + "".join(pairs)


def read_inputs(header: str) -> list[SignatureInput]:
    """Read ``signature-input``. Raises SignatureError, and nothing else, on any text."""
    return [
        SignatureInput(
            member["label"],
            member["params"],
            tuple(_unquoted(item) for item in _EACH_ITEM.findall(member["items"])),
            _parameters(member["after"]),
        )
        for member in _members(_INPUT, header, "signature-input")
    ]


def read_signatures(header: str) -> dict[str, bytes]:
    """Read ``signature``: the signature of each label. Raises SignatureError only."""
    members = _members(_SIGNATURE, header, "signature")
    return {member["label"]: decode_base64(member["octets"], "the signature") for member in members}


def _members(pattern: re.Pattern[str], header: str, name: str) -> Iterator[re.Match[str]]:
    text, at, read = header.strip(), 0, dict[str, str]()
    while True:
        member = pattern.match(text, at)
        if member is None:
            raise SignatureError(f"the header {name} cannot be read")
        is_again = read.get(member["label"]) == member[0]  # a proxy sent the header twice
        if not is_again:
            if member["label"] in read or len(read) == MOST_SIGNATURES:
                raise SignatureError(
                    f"the header {name} repeats a label or has more than {MOST_SIGNATURES}"
                )
            read[member["label"]] = member[0]
            yield member
        if member.end() == len(text):
            return
        comma = _COMMA.match(text, member.end())
        if comma is None:
            raise SignatureError(f"the header {name} cannot be read")
        at = comma.end()


def _parameters(text: str) -> dict[str, str | int]:
    parameters: dict[str, str | int] = {}
    for pair in _EACH_PARAMETER.finditer(text):
        name, value = pair["name"], pair["value"] or "?1"
        if name in parameters:
            raise SignatureError(f"the parameter {name:.64} appears twice")
        parameters[name] = int(value) if _INTEGER.fullmatch(value) else _unquoted(value)
    return parameters


def _quoted(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise SignatureError("only printable ASCII can be a component or a parameter")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquoted(item: str) -> str:
    # An item with parameters, or a word that is no string, stays as written; it will match no header.
    if not _WHOLE_STRING.fullmatch(item):
        return item
    return re.sub(r'\\(["\\])', r"\1", item[1:-1])
