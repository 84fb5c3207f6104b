"""The address of a client: from the proxies that are trusted, and from nobody else.

``X-Forwarded-For`` is read from the right, for each proxy adds at its end the address that it saw;
what stands further left came with the request and may be forged. Without ``TRUSTED_PROXIES`` the
header is not read at all.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from django.conf import settings
from django.http import HttpRequest

MOST_PROXIES = 10
LONGEST = 80  # characters of one address with its port and zone


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The proxies whose word counts: a number of them, one behind the other, or their networks."""

    number: int = 0
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "TrustedProxies":
        """Read "1" or "10.0.0.0/8, 2001:db8::5". Raises ValueError with the reason."""
        if text.isdecimal() and text.isascii():
            if len(text) > 2 or int(text) > MOST_PROXIES:
                raise ValueError(f"it is more than {MOST_PROXIES} proxies")
            return cls(number=int(text))
        items = [item.strip() for item in text.split(",")]
        return cls(networks=tuple(_network(item) for item in items if item))

    def client(self, peer: str, forwarded: str) -> str:
        """Return the address of the client; that of the last proxy known where it names none.

        ``peer`` is who connected, "" on a Unix socket, where only a proxy can connect; ``forwarded``
        is the header, joined by commas where it came more than once.
        """
        address = _read(peer)
        trusted = 0
        for hop in _hops(forwarded):
            if not self._is_trusted(address, trusted):
                break
            if hop is None:  # "unknown", or nothing that can be read
                break
            address, trusted = hop, trusted + 1
        return str(address or "")

    def _is_trusted(self, address: IPv4Address | IPv6Address | None, before: int) -> bool:
        if self.number:
            return before < self.number
        if address is None:
            return bool(self.networks)
        return any(address in network for network in self.networks)


def client_address(request: HttpRequest) -> str:
    """Return the address of the client as text; "" where it is not known."""
    return address_in(request.META)


def for_lock_out(request: HttpRequest) -> str | None:
    """Return the address of the client as the lock-out stores it: an address, or None."""
    return client_address(request) or None


def address_in(meta: Mapping[str, Any]) -> str:
    """Return the address of the client from the variables of a WSGI request."""
    proxies: TrustedProxies = settings.TRUSTED_PROXIES
    return proxies.client(
        str(meta.get("REMOTE_ADDR") or ""), str(meta.get("HTTP_X_FORWARDED_FOR") or "")
    )


def _hops(forwarded: str) -> Iterator[IPv4Address | IPv6Address | None]:
    """Yield the addresses of the header from the right, as far as anybody may be trusted."""
    for text in reversed(forwarded.rsplit(",", MOST_PROXIES)):
        yield _read(text)


def _read(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address, with or without a port, brackets, quotes or a zone; None where it is none."""
    text = text.strip().strip('"')
    if len(text) > LONGEST:
        return None
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither a number of proxies nor an address or network like 10.0.0.0/8"
        ) from None
    if network.prefixlen == 0:
        raise ValueError(f"{text!r} is everybody: any client could claim any address")
    return network
