import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from backoffice.sandbox import Trouble
from orders.models import JournalEntry, Outcome, Placement, PlacementState, PortfolioOrder
from orders.placing import placing
from orders.placing.wish import read_wish
from tests.upstream import START, receive, running

pytestmark = pytest.mark.django_db


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


def due_portfolio_orders(upstream, count):
    for _ in range(count):
        upstream.place()
    receive(upstream.events())
    PortfolioOrder.objects.update(check_after=timezone.now())


@pytest.mark.django_db(transaction=True)
def test_it_asks_once_about_all_that_is_due_and_says_what_came_of_it(upstream, capsys):
    due_portfolio_orders(upstream, 12)
    upstream.wait(minutes=10)
    PortfolioOrder.objects.update(check_after=timezone.now())

    call_command("poll")

    assert capsys.readouterr().out == "Checked 12 that were due: 12 with new details, 0 failed.\n"
    assert set(PortfolioOrder.objects.values_list("status", flat=True)) == {"FILLED"}
    asked = [call for call in upstream.asked() if call.startswith("GET /portfolios")]
    assert len(asked) == len(set(asked)) == 12


def test_with_nothing_due_it_asks_about_nothing(upstream, capsys):
    call_command("poll")

    assert capsys.readouterr().out == "Checked 0 that were due: 0 with new details, 0 failed.\n"
    assert upstream.asked() == []


def wish(amount):
    ids = {"user_id": str(uuid4()), "account_id": str(uuid4())}
    return read_wish({**ids, "cash_amount": amount, "currency": "EUR", "side": "BUY"})


@pytest.mark.django_db(transaction=True)
def test_it_sends_what_people_placed_before_it_asks_about_anything(upstream, capsys):
    due_portfolio_orders(upstream, 1)
    placements = [placing.place(wish(amount), actor="tina") for amount in ("10.00", "20.00")]

    call_command("poll")

    assert "Sent or followed up 2 placements.\nChecked" in capsys.readouterr().out
    assert upstream.asked()[:2] == ["POST /portfolios/orders"] * 2
    states = [Placement.objects.get(pk=it.pk).state for it in placements]
    assert states == [PlacementState.ACCEPTED, PlacementState.ACCEPTED]
    call_command("poll")
    assert "placement" not in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
def test_what_the_broker_does_not_answer_is_sent_by_the_next_run(upstream, capsys):
    placement = placing.place(wish("10.00"), actor="tina")
    upstream.expect(Trouble("cut", path="/portfolios/orders", at="done"), times=1)

    call_command("poll")
    assert "Sent or followed up 1 placement.\n" in capsys.readouterr().out
    assert Placement.objects.get().state == PlacementState.UNKNOWN
    upstream.wait(minutes=1)
    call_command("poll")

    assert Placement.objects.get().state == PlacementState.ACCEPTED
    assert [str(Placement.objects.get(pk=placement.pk).portfolio_order_id)] == [
        it["id"] for it in upstream.market.portfolio_orders()
    ]


@pytest.mark.django_db(transaction=True)
def test_it_fails_if_any_ask_failed(upstream, capsys):
    due_portfolio_orders(upstream, 2)
    upstream.expect(Trouble("problem", 503, path="/portfolios"))

    with pytest.raises(CommandError, match="1 could not be checked"):
        call_command("poll")

    assert "Checked 2 that were due: 0 with new details, 1 failed." in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
def test_it_says_that_the_broker_does_not_answer_and_leaves_the_rest_alone(upstream, monkeypatch):
    monkeypatch.setattr("orders.asking.polling.THREADS", 1)
    due_portfolio_orders(upstream, 9)
    upstream.expect(Trouble("cut"), times=100)

    with pytest.raises(CommandError, match=r"does not answer; the next try is at 10:0\d:\d\d\."):
        call_command("poll")

    assert JournalEntry.objects.filter(outcome=Outcome.FAILED).count() == 5


@pytest.mark.django_db(transaction=True)
def test_it_says_until_when_the_broker_wants_no_requests(upstream, monkeypatch):
    monkeypatch.setattr("orders.asking.polling.THREADS", 1)
    due_portfolio_orders(upstream, 3)
    upstream.expect(Trouble("problem", 429, retry_after="60", path="/portfolios"))

    with pytest.raises(CommandError, match="asked us to wait until 10:0"):
        call_command("poll")

    assert len(upstream.asked()) == 1
    assert PortfolioOrder.objects.due(now=timezone.now()).count() == 2


@pytest.mark.parametrize("since", ["2026-03-02", "2026-03-02T09:00:00Z", "2026-03-02T10:00"])
def test_since_a_date_it_lists_and_records_what_is_unknown(upstream, capsys, since):
    upstream.place()
    receive(upstream.events())
    lost = upstream.place()

    call_command("poll", f"--since={since}")

    assert capsys.readouterr().out == "2 listed, 1 new, recorded.\n"
    entry = JournalEntry.objects.get(source="POLL")
    assert (entry.portfolio_order_id, entry.outcome) == (lost, "APPLIED")
    assert upstream.since() in {START, START - timedelta(hours=10)}


def test_a_list_that_breaks_off_is_an_error(upstream):
    upstream.expect(Trouble("page", 502, path="/portfolios"))

    with pytest.raises(CommandError, match=r"could not be read to its end: .*502"):
        call_command("poll", "--since=2026-03-02")


@pytest.mark.parametrize("since", ["yesterday", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_date_is_named(upstream, since):
    with pytest.raises(CommandError, match=f"'{re.escape(since)}' is not a date"):
        call_command("poll", f"--since={since}")


def test_without_credentials_it_names_the_settings_that_are_missing(settings):
    settings.INVESTMENT_API_CLIENT_ID = ""

    with pytest.raises(CommandError, match="INVESTMENT_API_CLIENT_ID"):
        call_command("poll")
