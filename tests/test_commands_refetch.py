from unittest.mock import Mock
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from backoffice.sandbox import Trouble
from orders.models import JournalEntry, PortfolioOrder
from tests.upstream import receive, running

pytestmark = pytest.mark.django_db


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


def test_each_portfolio_order_gets_a_sentence(upstream, capsys):
    known, unknown = upstream.place(), upstream.place()
    receive([e for e in upstream.events() if e["object"]["id"] == str(known)])

    call_command("refetch", str(known), str(unknown))

    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{known}: Refetched in ")
    assert first.endswith(": no change")
    assert second.startswith(f"{unknown}: Refetched in ")
    assert second.endswith(": 1 change (portfolio order New)")
    assert PortfolioOrder.objects.filter(pk=unknown).exists()


def test_the_journal_names_who_ran_the_command(upstream, monkeypatch):
    monkeypatch.setenv("LOGNAME", "mira")

    call_command("refetch", str(upstream.place()))

    assert JournalEntry.objects.get(source="REFETCH").actor == "mira (command line)"


@pytest.mark.parametrize("error", [KeyError, OSError])  # before Python 3.13, and from then on
def test_a_user_of_the_machine_without_a_name_can_refetch_too(upstream, monkeypatch, error):
    monkeypatch.setattr("getpass.getuser", Mock(side_effect=error))

    call_command("refetch", str(upstream.place()))

    assert JournalEntry.objects.get(source="REFETCH").actor == "command line"


def test_it_fails_if_any_could_not_be_refetched_and_goes_on_with_the_others(upstream, capsys):
    pk, nobody = upstream.place(), uuid4()

    with pytest.raises(CommandError, match="1 of 2 could not be refetched"):
        call_command("refetch", str(nobody), str(pk))

    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{nobody}: Not found at the broker, nothing changed (GET /portfolios")
    assert second.startswith(f"{pk}: Refetched in ")


def test_it_says_what_upstream_said(upstream, capsys):
    upstream.expect(Trouble("problem", 503, path="/portfolios"))

    with pytest.raises(CommandError):
        call_command("refetch", str(upstream.place()))

    assert "Broker answered 503, nothing changed (GET /portfolios" in capsys.readouterr().out


def test_an_id_given_twice_is_asked_about_once(upstream):
    pk = str(upstream.place())

    call_command("refetch", pk, pk.upper())

    assert len(upstream.asked()) == 1


def test_what_is_no_id_is_named_and_nothing_is_asked(upstream):
    with pytest.raises(CommandError, match="'SAP' is not the id of a portfolio order"):
        call_command("refetch", str(upstream.place()), "SAP")

    assert upstream.asked() == []


def test_without_credentials_it_names_the_settings_that_are_missing(settings):
    settings.INVESTMENT_API_URL = ""

    with pytest.raises(CommandError, match="INVESTMENT_API_URL"):
        call_command("refetch", str(uuid4()))
