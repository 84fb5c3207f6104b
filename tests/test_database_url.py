"""The address of a database is read as PostgreSQL's own library reads it, and refused by name."""

from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from backoffice.database_url import database
from backoffice.engines.postgresql.base import DatabaseWrapper

ROOT = Path("/srv")
ON_POSTGRESQL = connection.vendor == "postgresql"


def read(url):
    found = database(url, base=ROOT)
    return {name: found[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")}


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("postgres://u:p%40s@h1:5432,h2:5433/name", "h1,h2", "5432,5433"),
        ("postgresql://u:p%40s@h1,h2/name", "h1,h2", ""),
        ("postgres://u:p%40s@[::1]:5432,10.0.0.7/name", "::1,10.0.0.7", "5432,"),
        ("postgres://u:p%40s@/name?host=/var/run/postgresql", "/var/run/postgresql", ""),
        ("postgres://u:p%40s@%2Fvar%2Frun%2Fpostgresql/name", "/var/run/postgresql", ""),
        ("postgres://u:p%40s@/name", "", ""),
        ("postgres://u:p%40s@/name?host=h1,h2&port=5432,5433", "h1,h2", "5432,5433"),
    ],
)
def test_an_address_may_name_several_hosts_a_socket_or_none(url, host, port):
    assert read(url) == {
        "NAME": "name", "USER": "u", "PASSWORD": "p@s", "HOST": host, "PORT": port,
    }  # fmt: skip


def test_options_of_the_library_are_handed_on_and_win_over_ours():
    url = (
        "postgres://u@h/name?target_session_attrs=read-write&sslmode=verify-full&connect_timeout=9"
    )
    url += "&application_name=mine&tcp_user_timeout=500&options=-c%20statement_timeout%3D5s%20-c%20search_path%3Ddesk"

    options = database(url, base=ROOT)["OPTIONS"]

    assert options["target_session_attrs"] == "read-write"
    assert (options["connect_timeout"], options["tcp_user_timeout"]) == ("9", "500")
    params = DatabaseWrapper(
        connection.settings_dict | database(url, base=ROOT), "read"
    ).get_connection_params()
    assert params["application_name"] == "mine"
    assert params["connect_timeout"] == "9"
    assert params["options"].endswith("-c statement_timeout=5s -c search_path=desk")
    assert "-c lock_timeout=" in params["options"]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("pool=true", "pool"), ("sslmode=always", "sslmode"), ("connect_timeout=soon", "connect_timeout"),
        ("target_session_attrs=master", "target_session_attrs"), ("replication=database", "replication"),
        ("sslmode=require&sslmode=disable", "sslmode"), ("ssl_mode=require", "ssl_mode"),
        ("CONN_MAX_AGE=0", "CONN_MAX_AGE"), ("client_encoding=latin1", "client_encoding"),
        ("keepalives_idle=1s", "keepalives_idle"),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_served_is_named_without_the_password(query, name):
    with pytest.raises(ValueError, match=rf"\b{name}\b") as raised:
        database(f"postgres://u:secret@h/name?{query}", base=ROOT)

    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:sec%zzret@h/name", "postgres://u:secret@h:port/name",
        "postgres://u:secret@h:0/name", "postgres://u:secret@h:99999/name",
        "postgres://u:secret@[::1/name",
        "postgres://u:secret@h/", "postgres://u:secret@h", "postgres://u:a?secret@h/name",
        "postgres://u:secret@h/name?host=h1,h2&port=1,2,3", "mysql://u:secret@h/name",
        "postgres://u:secret@h/name?sslmode", "postgres://u:secret@h/name?=x",
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_read_is_refused_and_not_shown(url):
    with pytest.raises(ValueError, match=r".") as raised:
        database(url, base=ROOT)

    assert "secret" not in str(raised.value)


@pytest.mark.skipif(not ON_POSTGRESQL, reason="there is no PostgreSQL")
@pytest.mark.django_db(transaction=True)
def test_the_first_host_that_may_be_written_to_is_taken():
    there = settings.DATABASES["default"]
    host, port = there["HOST"], there["PORT"] or "5432"
    url = (
        f"postgres://{there['USER']}@127.0.0.1:1,{host}:{port}/{connection.settings_dict['NAME']}"
        "?target_session_attrs=read-write"
    )
    wrapper = DatabaseWrapper(connection.settings_dict | database(url, base=ROOT), "several")
    try:
        with wrapper.cursor() as cursor:
            cursor.execute("SELECT inet_server_port()")
            assert cursor.fetchone() == (int(port),)
    finally:
        wrapper.close()


def test_what_is_read_is_what_the_library_itself_accepts():
    found = database("postgres://u:p@h1:1,h2:2/name?target_session_attrs=any", base=ROOT)

    made = psycopg.conninfo.make_conninfo(
        host=found["HOST"], port=found["PORT"], dbname=found["NAME"], **found["OPTIONS"]
    )

    assert psycopg.conninfo.conninfo_to_dict(made)["host"] == "h1,h2"
