"""The address of a database as libpq reads it: several hosts, sockets, options; refused by name, never by value."""

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

FORM = "postgres://user:password@host:5432/name"
# What tells that a host is gone though nothing says so: within about half a minute.
LINE = {
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",  # milliseconds
}
OURS = {"client_encoding", "replication"}  # what Django sets itself, or what makes it no database
WHOLE_NUMBERS = {*LINE, "keepalives", "connect_timeout"}
WORDS = {
    "sslmode": "disable allow prefer require verify-ca verify-full",
    "target_session_attrs": "any read-write read-only primary standby prefer-standby",
    "load_balance_hosts": "disable random",
    "channel_binding": "disable prefer require",
    "gssencmode": "disable prefer require",
    "sslnegotiation": "postgres direct",
    "sslcertmode": "disable allow require",
}


def database(url: str, *, base: Path) -> dict[str, Any]:
    """Return Django's description of the database at ``url``; ValueError says what is wrong.

    ``sqlite:///name`` is relative to ``base``, ``sqlite:////name`` is not. Everything else is read
    as PostgreSQL's own library reads it.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        path = unquote(rest[1:])
        return sqlite(path if path == ":memory:" else str(base / path))
    if scheme not in {"postgres", "postgresql"}:
        raise ValueError(f"is neither {FORM} nor sqlite:///path")
    return _postgresql(url)


def sqlite(path: str) -> dict[str, Any]:
    """Return the description of an SQLite database that several threads can write to in turn."""
    return {
        "ENGINE": "backoffice.engines.sqlite3",
        "NAME": path,
        "OPTIONS": {
            # A writer that first reads would otherwise fail at once when another got in between.
            "transaction_mode": "IMMEDIATE",
            # Seconds of one try for the lock; the engine tries again as long as the work may wait.
            "timeout": 0.1,
            # FULL: what was acknowledged is on disk even if the power fails.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
        },
    }


def _postgresql(url: str) -> dict[str, Any]:
    _check_names(url)
    try:
        read = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except psycopg.Error:  # its text may quote the password
        raise ValueError(f"cannot be read: is it like {FORM}, its password escaped?") from None
    name = read.pop("dbname", "")
    if not name:
        raise ValueError(f"names no database: {FORM}")
    _check_hosts(read)
    _check_values(read)
    port = read.pop("port", "")
    return {
        "ENGINE": "backoffice.engines.postgresql",
        "NAME": name,
        "USER": read.pop("user", ""),
        "PASSWORD": read.pop("password", ""),
        "HOST": read.pop("host", ""),
        "PORT": port if port.strip(",") else "",  # "," is what several hosts without ports have
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": LINE | read,
    }


def _check_names(url: str) -> None:
    """Refuse options that the library does not know, or that are not to be set here, by name."""
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()} | {"ssl"}
    pairs = url.partition("?")[2].split("&") if "?" in url else []
    names = [unquote(pair.partition("=")[0]) for pair in pairs if pair]
    for name in names:
        # Cut, for what follows a question mark may be the rest of a password.
        if not name.isidentifier():
            raise ValueError("has options that cannot be read: is its password escaped?")
        if name not in known:
            raise ValueError(f"has an option that PostgreSQL does not know: {name[:40]}")
        if name in OURS:
            raise ValueError(f"has an option that cannot be set here: {name}")
        if names.count(name) > 1:
            raise ValueError(f"has an option twice: {name}")


def _check_hosts(read: dict[str, str]) -> None:
    ports = read.get("port", "").split(",") if read.get("port") else []
    hosts = (read.get("host") or read.get("hostaddr") or "").split(",")
    if any(port and not (port.isdecimal() and 0 < int(port[:6]) < 65536) for port in ports):
        raise ValueError("has a port that is no number that a port can have")
    if len(ports) not in {0, 1, len(hosts)}:
        raise ValueError(f"has {len(hosts)} hosts but {len(ports)} ports")


def _check_values(read: dict[str, str]) -> None:
    for name in WHOLE_NUMBERS & read.keys():
        if not read[name].isdecimal():
            raise ValueError(f"has an option that is no whole number: {name}")
    for name in WORDS.keys() & read.keys():
        if read[name] not in WORDS[name].split():
            raise ValueError(f"has an option that is none of {WORDS[name]}: {name}")
