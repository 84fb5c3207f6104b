import os
import re
import subprocess
import sys
from datetime import time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from backoffice import env

ROOT = Path(__file__).parent.parent
HELD = ("PATH", "HOME", "LANG", "VIRTUAL_ENV")
OWN = {name: os.environ[name] for name in HELD if name in os.environ}


def python(*arguments, **variables):
    """Run Python beside manage.py with these variables and no other of ours."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT, env={**OWN, **variables}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def setting(expression, *arguments, **variables):
    """Return what a fresh process makes of the environment."""
    code = f"from django.conf import settings; print({expression})"
    variables["DJANGO_SETTINGS_MODULE"] = "backoffice.settings"
    return python("-c", code, *arguments, **variables).stdout.strip()


def environment(**variables):
    return env.Environment(variables)


# Reading


def test_what_is_not_set_or_empty_has_its_default():
    assert environment().text("NAME", "default") == "default"
    assert environment(NAME=" ").integer("NAME", 7) == 7


def test_a_secret_may_stand_in_a_file(tmp_path):
    (tmp_path / "secret").write_text("from the file\n")

    assert environment(NAME_FILE=str(tmp_path / "secret")).secret("NAME") == "from the file"


def test_durations_are_timedeltas():
    assert environment(NAME="90").seconds("NAME", 0) == timedelta(seconds=90)
    assert environment().optional_seconds("NAME") is None


def test_a_time_of_day_is_hours_and_minutes_or_none():
    assert environment(NAME="02:30").time_of_day("NAME") == time(2, 30)
    assert environment().time_of_day("NAME") is None


@pytest.mark.parametrize("text", ["24:00", "half past two", "02:30:15", "0230"])
def test_what_is_no_time_of_day_is_named(text):
    variables = environment(NAME=text)

    assert variables.time_of_day("NAME") is None
    assert variables.problems == [f"NAME={text!r}: it is not a time of day like 02:30"]


def test_trusted_proxies_are_a_number_or_networks_and_nobody_by_default():
    variables = environment(ONE="1", SOME="10.0.0.0/8, 2001:db8::5", ALL="0.0.0.0/0")

    assert variables.proxies("NONE").number == 0
    assert variables.proxies("ONE").number == 1
    assert [str(it) for it in variables.proxies("SOME").networks] == [
        "10.0.0.0/8",
        "2001:db8::5/128",
    ]
    assert variables.proxies("ALL").networks == ()
    assert variables.problems == [
        "ALL='0.0.0.0/0': '0.0.0.0/0' is everybody: any client could claim any address"
    ]


def test_amounts_have_a_currency_each():
    read = environment(NAME="EUR=1000000, GBP = 800000.50").amounts("NAME")

    assert read == {"EUR": Decimal(1000000), "GBP": Decimal("800000.50")}
    assert environment().amounts("NAME") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1000000", "it is not like EUR=1000000, GBP=800000"),
        ("EUR=1,000,000", "it is not like EUR=1000000, GBP=800000"),
        ("EUR=-1", "it is not like EUR=1000000, GBP=800000"),
        ("euro=5", "it is not like EUR=1000000, GBP=800000"),
        ("EUR=1, EUR=2", "EUR is named twice"),
    ],
)
def test_what_are_no_amounts_is_named(text, said):
    variables = environment(NAME=text)

    assert variables.amounts("NAME") == {}
    (problem,) = variables.problems
    assert problem.startswith(f"NAME={text!r}: {said}")


def test_a_pem_may_be_written_on_one_line():
    pem = environment(NAME=r"-----BEGIN PRIVATE KEY-----\nAA\n-----END").pem("NAME")

    assert pem.splitlines()[1] == "AA"


def test_plain_http_is_accepted_on_loopback_only():
    variables = environment(HERE="http://127.0.0.1:8001/", THERE="http://api.example.com")

    assert variables.url("HERE") == "http://127.0.0.1:8001"
    assert variables.url("THERE") == ""
    assert "use https" in variables.problems[0]


def test_a_postgresql_address_is_read_with_its_escapes_and_options():
    variables = environment(URL="postgres://desk:p%40ss@db.example.com:5433/orders?sslmode=require")

    database = variables.database("URL", ROOT / "default.sqlite3")

    wanted = {"NAME": "orders", "USER": "desk", "PASSWORD": "p@ss", "HOST": "db.example.com",
              "PORT": "5433"}  # fmt: skip
    assert wanted.items() <= database.items()
    assert database["OPTIONS"]["sslmode"] == "require"


def test_an_sqlite_address_is_relative_with_three_slashes_and_absolute_with_four():
    variables = environment(ONE="sqlite:///data/desk.sqlite3", TWO="sqlite:////data/desk.sqlite3")

    assert variables.database("ONE", Path("/srv/x"))["NAME"] == "/srv/data/desk.sqlite3"
    assert variables.database("TWO", Path("/srv/x"))["NAME"] == "/data/desk.sqlite3"


# Refusing


def test_everything_that_is_wrong_is_named_at_once():
    variables = environment(
        A="ten", B="maybe", C_FILE="/nowhere", D="ftp://x", E="not a pem", F="mysql://x/y",
        G="Mars/Olympus", H="always", I="amqp://x", J="0",
    )  # fmt: skip
    variables.integer("A", 1)
    variables.flag("B")
    variables.secret("C")
    variables.url("D")
    variables.pem("E")
    variables.database("F", ROOT / "default.sqlite3")
    variables.zone("G", "UTC")
    variables.hours("H")
    variables.redis("I")
    variables.integer("J", 1, least=1)

    with pytest.raises(ImproperlyConfigured) as refusal:
        variables.finish()
    names = [line[2] for line in str(refusal.value).splitlines()[1:]]
    assert names == list("ABCDEFGHIJ")


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:hunter2@h:port/n",
        "postgres://u:hunter2@h",
        "oracle://u:hunter2@h/n",
        "postgres://u:hunter2%zz@h/n",
        "postgres://u:hunter2@[::1/n",
    ],
)
def test_a_message_never_holds_a_secret(url):
    variables = environment(URL=url, PEM="hunter2", REDIS="hunter2")
    variables.database("URL", ROOT / "default.sqlite3")
    variables.pem("PEM")
    variables.redis("REDIS")

    assert len(variables.problems) == 3
    assert "hunter2" not in "".join(variables.problems)


@pytest.mark.parametrize("text", ["315360001", "9" * 40, "-1", "1.5"])
def test_a_duration_of_more_than_ten_years_or_of_no_whole_number_is_named(text):
    variables = environment(NAME=text)

    assert variables.seconds("NAME", 7) == timedelta(seconds=7)
    assert variables.problems[0].startswith(f"NAME='{text}': ")


@pytest.mark.parametrize(
    "url", ["https://h:port", "https://h:99999", "https://h/x?y", "https://h/#x"]
)
def test_an_address_with_more_than_host_port_and_path_is_named(url):
    variables = environment(NAME=url)
    variables.url("NAME")

    assert variables.problems[0].startswith(f"NAME={url!r}: ")


@pytest.mark.parametrize("url", ["redis://h:port/0", "redis://h:99999", "amqp://h"])
def test_the_address_of_a_redis_with_a_wrong_port_or_scheme_is_named(url):
    variables = environment(NAME=url)

    assert variables.redis("NAME") == ""
    assert variables.problems == ["NAME is not like redis://host:6379/0"]


def test_a_secret_given_twice_is_refused(tmp_path):
    (tmp_path / "secret").write_text("x")
    variables = environment(NAME="x", NAME_FILE=str(tmp_path / "secret"))
    variables.secret("NAME")

    assert variables.problems == ["NAME and NAME_FILE are both set: which one counts?"]


def test_a_command_stops_with_one_message_that_names_everything_wrong():
    run = python("manage.py", "check", POLL_AFTER="soon", MARKET_HOURS="never", DEBUG="perhaps")

    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    for name in ("POLL_AFTER", "MARKET_HOURS", "DEBUG"):
        assert f"- {name}=" in run.stderr


# Modes


def test_commands_need_no_setting():
    assert python("manage.py", "check").returncode == 0


def test_the_demo_uses_neither_the_database_nor_the_broker_of_the_environment():
    expression = "(settings.DATABASES['default']['ENGINE'], settings.REDIS_URL, settings.MISSING)"
    services = {"DATABASE_URL": "postgres://db/orders", "REDIS_URL": "redis://broker"}

    shown = setting(expression, "demo", **services)

    assert shown == "('backoffice.engines.sqlite3', '', [])"


@pytest.mark.parametrize(
    ("arguments", "variables", "wanted"),
    [
        ([], {}, "(True, True)"),
        (["demo"], {}, "(False, False)"),
        ([], {"DEBUG": "1"}, "(False, False)"),
        ([], {"REQUIRE_SECOND_FACTOR": "no"}, "(False, True)"),
    ],
)
def test_second_factor_and_https_are_on_but_for_demo_and_debug(arguments, variables, wanted):
    expression = "(settings.REQUIRE_SECOND_FACTOR, settings.SECURE_SSL_REDIRECT)"

    assert setting(expression, *arguments, **variables) == wanted


def test_the_readme_names_every_setting_and_none_that_is_not_read():
    source = (ROOT / "backoffice" / "settings.py").read_text()
    read = set(re.findall(r'\benv\.\w+\(\s*"(\w+)"', source))
    table = (ROOT / "README.md").read_text().partition("### Settings")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)

    assert len(read) > 30
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == read
