"""The address of Redis, read once for all who use it: Celery's broker, Django's cache, the budget.

redis-py and Celery read the options of an address each in its own way, and take others for granted
silently. Here an option is served everywhere or refused by name. Certificates are verified unless
the address says otherwise. No message quotes the address: it may hold a password.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

FORM = "is not like redis://host:6379/0"
PORT = 6379
HOST = re.compile(r"[\w.:%-]*")  # a name or an address: no list, no blanks
YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
CREDENTIALS = ("username", "password")
CERTIFICATES = ("required", "optional", "none")


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where a Redis listens, and how to talk to it; ``path`` is that of a Unix socket.

    ``options`` are keyword arguments of redis-py's connections.
    """

    host: str = ""
    port: int = PORT
    path: str = ""
    db: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    is_tls: bool = False

    @property
    def url(self) -> str:
        """Return the address for redis-py, without credentials and options: those are ``arguments``."""
        if self.path:
            return f"unix://{quote(self.path)}"
        return f"{'rediss' if self.is_tls else 'redis'}://{_bracketed(self.host)}:{self.port}/{self.db}"

    @property
    def arguments(self) -> dict[str, Any]:
        """Return what redis-py has to know beside ``url``."""
        given = {"username": self.username, "password": self.password, "db": self.db}
        return {name: value for name, value in given.items() if value} | dict(self.options)

    @property
    def broker_url(self) -> str:
        """Return the address for Celery."""
        user, password = quote(self.username, safe=""), quote(self.password, safe="")
        credentials = f"{user}:{password}@" if user or password else ""
        if self.path:
            return f"redis+socket://{credentials}{quote(self.path)}?virtual_host={self.db}"
        scheme = "rediss" if self.is_tls else "redis"
        return f"{scheme}://{credentials}{_bracketed(self.host)}:{self.port}/{self.db}"

    @property
    def broker_options(self) -> dict[str, Any]:
        """Return Celery's transport options."""
        return {name: it for name, it in self.options.items() if not name.startswith("ssl_")}

    @property
    def broker_ssl(self) -> dict[str, Any] | None:
        """Return how Celery has to verify certificates; None without TLS."""
        found = {name: it for name, it in self.options.items() if name.startswith("ssl_")}
        return found if self.is_tls else None

    def client(self, seconds: float) -> redis.Redis:
        """Return a client that waits so long for an answer, and never tries twice."""
        return redis.Redis.from_url(self.url, **self.arguments, **limits(seconds))


def limits(seconds: float) -> dict[str, Any]:
    """Return arguments of redis-py with which a Redis that does not answer costs no more than that."""
    retry = Retry(NoBackoff(), 0)
    return {"socket_connect_timeout": seconds, "socket_timeout": seconds, "retry": retry}


def read(text: str) -> RedisAddress:
    """Return what ``text`` says: redis://, rediss:// or unix://. ValueError says what cannot be served."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # its text may quote the password
        raise ValueError(FORM) from None
    if parts.scheme not in {"redis", "rediss", "unix"} or port == 0:
        raise ValueError(FORM)
    if not HOST.fullmatch(unquote(parts.hostname or "")):
        raise ValueError("does not name one host")
    if parts.fragment or text.endswith("#"):
        raise ValueError("has a # in it: in a password it is written %23")
    return _of(parts, port or PORT, _query(parts.query))


def _of(parts: SplitResult, port: int, given: dict[str, str]) -> RedisAddress:
    is_tls, is_socket = parts.scheme == "rediss", parts.scheme == "unix"
    if is_socket and (parts.hostname or len(parts.path) < 2):
        raise ValueError("is not like unix:///run/redis/redis.sock?db=0")
    credentials = {name: _credential(parts, given, name) for name in CREDENTIALS}
    in_path = "" if is_socket else unquote(parts.path).strip("/")
    return RedisAddress(
        host="" if is_socket else unquote(parts.hostname or "") or "localhost",
        port=port,
        path=unquote(parts.path) if is_socket else "",
        db=_database(in_path, given.pop("db", "")),
        options=MappingProxyType(_options(given, is_tls=is_tls)),
        is_tls=is_tls,
        **credentials,
    )


def _credential(parts: SplitResult, given: dict[str, str], name: str) -> str:
    before, after = unquote(getattr(parts, name) or ""), given.pop(name, "")
    if before and after:
        raise ValueError(f"gives a {name} twice")
    return before or after


def _query(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True) if text else []
    except ValueError:
        raise ValueError("has options that are not like name=value&name=value") from None
    for name, _ in pairs:
        if [other for other, _ in pairs].count(name) > 1:
            raise ValueError(f"has {_named(name)} twice")
    return dict(pairs)


def _database(in_path: str, in_query: str) -> int:
    if in_path and in_query and in_path != in_query:
        raise ValueError("names two databases")
    text = in_path or in_query or "0"
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("does not name its database by a number: redis://host:6379/0")
    return int(text)


def _options(given: Mapping[str, str], *, is_tls: bool) -> dict[str, Any]:
    served: dict[str, Callable[[str], Any]] = {**PLAIN, **TLS}
    for name in given:
        if name not in served:
            raise ValueError(f"has {_named(name)}, which is not served; served are {_list(served)}")
        if name in TLS and not is_tls:
            raise ValueError(f"has {_named(name)}, which is for rediss:// only")
    options = {name: _value(served[name], name, text) for name, text in given.items()}
    if not options.get("health_check_interval", True):  # as if it had not been given
        del options["health_check_interval"]
    if is_tls:
        options.setdefault("ssl_cert_reqs", "required")
        is_verified = options["ssl_cert_reqs"] != "none"
        options["ssl_check_hostname"] = is_verified and options.get("ssl_check_hostname", True)
    return options


def _named(option: str) -> str:
    """Return words for an option; one that nobody knows may be a piece of a password."""
    is_known = option in {*CREDENTIALS, "db", *PLAIN, *TLS, *NOT_SERVED}
    return f"the option {option!r}" if is_known else "an option"


def _list(options: Iterable[str]) -> str:
    return ", ".join(["db", *CREDENTIALS, *options])


def _value(parse: Callable[[str], Any], name: str, text: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"has an option {name!r} that {error}") from None


def _flag(text: str) -> bool:
    if text.lower() not in YES + NO:
        raise ValueError("is neither true nor false")
    return text.lower() in YES


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text[:9]) <= 86_400):
        raise ValueError("is no whole number of seconds up to a day")
    return int(text)


def _certificates(text: str) -> str:
    word = text.lower().removeprefix("cert_")
    if word not in CERTIFICATES:
        raise ValueError(f"is none of {', '.join(CERTIFICATES)}")
    return word


def _readable(text: str) -> str:
    if not os.access(text, os.R_OK):
        raise ValueError("names no file that can be read")
    return text


def _word(text: str) -> str:
    if not text or not text.isprintable() or " " in text:
        raise ValueError("is empty or has blanks in it")
    return text


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else quote(host)


PLAIN: Mapping[str, Callable[[str], Any]] = {
    "health_check_interval": _seconds,
    "socket_keepalive": _flag,
    "client_name": _word,
}
TLS: Mapping[str, Callable[[str], Any]] = {
    "ssl_cert_reqs": _certificates,
    "ssl_check_hostname": _flag,
    "ssl_ca_certs": _readable,
    "ssl_ca_path": _readable,
    "ssl_certfile": _readable,
    "ssl_keyfile": _readable,
    "ssl_password": str,
}
# Options of redis-py and Celery: the time limits and tries are ours, the rest makes no difference here.
NOT_SERVED = (
    "socket_timeout", "socket_connect_timeout", "timeout", "retry_on_timeout", "retry_on_error",
    "max_connections", "protocol", "visibility_timeout", "virtual_host", "decode_responses",
    "ssl_ca_data", "ssl_ciphers", "ssl_min_version", "ssl_validate_ocsp", "credential_provider",
)  # fmt: skip
