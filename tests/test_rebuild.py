from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command

from orders import journal, projection, rebuild
from orders.lifecycle import NOT_FOUND
from orders.models import Execution, JournalEntry, Order, Outcome, PortfolioOrder
from tests.stories import START, event, life, named, order, portfolio_order

pytestmark = pytest.mark.django_db

NOW = START + timedelta(minutes=5)


@pytest.fixture
def desk():
    """A desk that has applied a whole life, and an order of nobody's."""
    events = [*life(), event("ORDER.NEW", order("C", parent=None))]
    journal.record_events(events, delivery_id=1, now=NOW)
    journal.record_events(events[:3], delivery_id=2, now=NOW)  # repeats
    projection.drain(now=NOW)


def columns(model):
    return list(model.objects.order_by("pk").values())


def test_after_applying_the_fold_of_the_journal_equals_the_tables(desk):
    assert list(rebuild.compare()) == []


def test_every_changed_column_is_reported_with_what_is_held_and_what_the_journal_says(desk):
    PortfolioOrder.objects.update(status="NEW")
    Order.objects.filter(pk=named("B")).update(cash_amount="1.00", portfolio_order=None)
    Execution.objects.update(price="7")

    assert {str(difference) for difference in rebuild.compare()} == {
        f"portfolio order {named('P')}: status is 'NEW', folded anew 'SETTLED'",
        f"order {named('B')}: cash_amount is '1.00', folded anew '250.00'",
        f"order {named('B')}: portfolio_order_id is None, folded anew UUID('{named('P')}')",
        f"execution {named('X')}: price is '7', folded anew '100.00'",
    }


def test_lost_and_invented_rows_are_reported(desk):
    Order.objects.filter(pk=named("A")).delete()
    PortfolioOrder.objects.create(pk=named("invented"), status="NEW")

    assert {(d.table, str(d.id), d.held, d.folded) for d in rebuild.compare()} == {
        ("order", named("A"), None, "FILLED"),
        ("portfolio order", named("invented"), "NEW", None),
    }


def test_rebuild_brings_back_all_state_and_leaves_the_clocks(desk):
    before = {model: columns(model) for model in (PortfolioOrder, Order, Execution)}
    PortfolioOrder.objects.update(status="NEW", fact="", cash_amount="", announced="")
    Order.objects.update(status="", fact="", portfolio_order=None, side="SELL")
    Execution.objects.all().delete()

    assert list(rebuild.rebuild(now=NOW))

    assert list(rebuild.compare()) == []
    clocks = {"check_after": NOW}
    for model, rows in before.items():
        assert [row | clocks for row in columns(model)] == [row | clocks for row in rows]


def test_rebuild_from_nothing_gives_the_same_state(desk):
    for model in (Execution, Order, PortfolioOrder):
        model.objects.all().delete()

    list(rebuild.rebuild(now=NOW))

    assert list(rebuild.compare()) == []
    assert PortfolioOrder.objects.get().check_after == NOW


def test_an_order_that_only_a_list_names_is_rebuilt_from_the_list():
    listed = [event("PORTFOLIO_ORDER.PROCESSING", portfolio_order("PROCESSING", 3, [("A", "NEW")]))]
    journal.record_events(listed, delivery_id=1, now=NOW)
    projection.drain(now=NOW)
    Order.objects.all().delete()

    list(rebuild.rebuild(now=NOW))

    assert (Order.objects.get().status, Order.objects.get().side) == ("NEW", "BUY")


def test_what_is_pending_or_quarantined_does_not_count():
    journal.record_events(
        [event("PORTFOLIO_ORDER.NEW", portfolio_order(cash_amount="?"))], delivery_id=1, now=NOW
    )
    projection.drain(now=NOW)
    journal.record_events([event("ORDER.NEW", order("A"))], delivery_id=2, now=NOW)

    assert JournalEntry.objects.filter(outcome=Outcome.QUARANTINED).count() == 1
    assert list(rebuild.compare()) == []


def test_not_found_upstream_is_no_difference_and_survives(desk):
    PortfolioOrder.objects.update(problems=NOT_FOUND, currency="USD")

    list(rebuild.rebuild(now=NOW))

    assert PortfolioOrder.objects.get().problems == NOT_FOUND


def test_the_check_command_fails_on_a_difference_and_names_it(desk, capsys):
    call_command("rebuild", check=True)
    assert "0 differences" in capsys.readouterr().out
    PortfolioOrder.objects.update(status="NEW")

    with pytest.raises(CommandError, match="1 differences"):
        call_command("rebuild", check=True)
    assert "folded anew 'SETTLED'" in capsys.readouterr().out


def test_the_command_does_not_write_unasked(desk):
    with pytest.raises(CommandError, match="--no-input"):
        call_command("rebuild")


def test_the_journal_names_who_rebuilt_and_how_many_differences_there_were(desk, monkeypatch):
    monkeypatch.setenv("LOGNAME", "mira")
    PortfolioOrder.objects.update(status="NEW")
    call_command("rebuild", no_input=True)
    call_command("rebuild", check=True)

    note = JournalEntry.objects.get(source="STAFF")
    assert note.actor == "mira (command line)"
    assert note.message == "Folded the journal anew: 1 differences mended."
