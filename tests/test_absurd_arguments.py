"""Whatever a command is told, it does its work or says in a sentence what is wrong."""

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from tests.absurd import VALUES

pytestmark = pytest.mark.django_db

ABSURD = [
    *(it for it in VALUES if "\0" not in it),  # no argument of a program can hold that
    "\udcff",  # a byte that is no UTF-8
    *("0", "99999999999", "inf", "-", "2026-02-30", "2199-01-01", "1900-01-01", "9999-12-30"),
    "00000000-0000-4000-8000-000000000000",
]
SPAN = ["--since={0}", "--until={0}", "--since={0} --until={0}", "--portfolio-order={0}"]
COMMANDS = {
    "refetch": ["{0}"],
    "poll": ["--since={0}"],
    "reconcile": [
        *("--since={0}", "--since=2026-01-01 --until={0}", "--account={0}", "--continue={0}"),
        "--open --output={folder}/{0}/x",
    ],
    "replay": ["--since={0}", "--verdict={0}", "--since={0} --verdict=UNREADABLE"],
    "export_history": [*SPAN, "--output={folder}/{0}", "--delimiter={0}"],
    "export_orders": [*SPAN, "--output={folder}/{0}", "--delimiter={0}", "--decimal={0}"],
    "export_portfolio_orders": [*SPAN, "--output={folder}/{0}"],
    "export_executions": [*SPAN, "--output={folder}/{0}"],
    "purge": ["--days={0}"],
    "subscriptions": ["delete {0}", "test {0}", "test --wait={0}", "{0}"],
}


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati"])
@pytest.mark.parametrize("name", COMMANDS)
def test_an_absurd_argument_is_no_traceback(name, zone, capsysbinary, tmp_path):
    with override_settings(TIME_ZONE=zone):
        for shape in COMMANDS[name]:
            for value in ABSURD:
                arguments = [part.format(value, folder=tmp_path) for part in shape.split()]
                try:
                    call_command(name, *arguments)
                except CommandError as error:
                    assert str(error), arguments
                except SystemExit as end:
                    assert end.code in {1, 2}, arguments
