import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command

from orders import journal, projection, rebuild
from orders.export import files
from orders.export.selection import Selection
from orders.lifecycle import NOT_FOUND
from orders.models import Execution, JournalEntry, Order, Outcome, PortfolioOrder
from orders.scratch import Damage
from tests.staff import browser
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

    found = [it for it in rebuild.compare() if isinstance(it, rebuild.Difference)]
    assert {(d.table, str(d.id), d.held, d.folded) for d in found} == {
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
        [event("PORTFOLIO_ORDER.NEW", portfolio_order() | {"status": []})], delivery_id=1, now=NOW
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
    assert note.message == "Rebuilt from the journal: 1 differences corrected."


def damage(outcome_of, payload):
    """Overwrite the payload of an entry, as a disk or a hand would; return the entry."""
    entry = JournalEntry.objects.filter(**outcome_of).order_by("pk")[0]
    JournalEntry.objects.filter(pk=entry.pk).update(payload=payload)
    return entry


DAMAGES = [
    b"", b"\xff\xfe", b"{", b"[]", b"{}", b"null", b'{"object": 7}', b'{"object": {"id": "x"}}',
    b"[" * 100_000,
    json.dumps(event("ORDER.FILLED", order("Z", "FILLED", 20))).encode(),  # another object
]  # fmt: skip


@pytest.mark.parametrize("payload", DAMAGES, ids=lambda it: repr(it[:24]))
def test_a_damaged_payload_is_named_and_the_rest_goes_on(desk, payload):
    entry = damage({"type": "ORDER.FILLED"}, payload)
    Order.objects.filter(pk=named("B")).update(cash_amount="1.00")

    found = list(rebuild.compare())

    [damaged] = [it for it in found if isinstance(it, Damage)]
    assert damaged.entry_id == entry.pk
    assert f"journal entry {entry.pk} about order {named('A')} cannot be read: " in str(damaged)
    assert [str(it) for it in found if it != damaged] == [
        f"order {named('B')}: cash_amount is '1.00', folded anew '250.00'"
    ]


@pytest.mark.parametrize("type_", ["PORTFOLIO_ORDER.PROCESSING", "ORDER.NEW", "EXECUTION.SETTLED"])
def test_what_a_damaged_entry_may_have_told_of_keeps_what_is_held(desk, type_):
    listed = portfolio_order("PROCESSING", 3, [("D", "NEW")], name="Q")
    journal.record_events([event("PORTFOLIO_ORDER.PROCESSING", listed)], delivery_id=3, now=NOW)
    projection.drain(now=NOW)
    for entry in JournalEntry.objects.filter(type=type_):
        damage({"pk": entry.pk}, b"?")
    Order.objects.filter(pk=named("B")).update(cash_amount="1.00")
    before = {model: columns(model) for model in (PortfolioOrder, Order, Execution)}

    list(rebuild.rebuild(now=NOW))

    after = {model: columns(model) for model in (PortfolioOrder, Order, Execution)}
    spoilt_b = type_ != "EXECUTION.SETTLED"  # itself, or its portfolio order
    b = next(row for row in after[Order] if str(row["id"]) == named("B"))
    assert b["cash_amount"] == ("1.00" if spoilt_b else "250.00")
    if spoilt_b:
        assert after == before
    assert {model: len(rows) for model, rows in after.items()} == {
        model: len(rows) for model, rows in before.items()
    }


@pytest.mark.parametrize("payload", DAMAGES, ids=lambda it: repr(it[:24]))
def test_no_page_and_no_file_is_broken_by_a_damaged_payload(desk, payload):
    Order.objects.filter(pk=named("A")).update(
        filled_at=None
    )  # what is missing is looked for in lists
    client, entries = browser(), JournalEntry.objects.exclude(payload=b"")
    entries.update(payload=payload)

    pages = [
        *(
            f"/admin/orders/journalentry/{pk}/change/"
            for pk in entries.values_list("pk", flat=True)
        ),
        f"/admin/orders/order/{named('A')}/change/",
        f"/admin/orders/portfolioorder/{named('P')}/change/",
        "/admin/orders/journalentry/",
    ]
    for path in pages:
        assert client.get(path).status_code == 200, path
    assert b"".join(files.order_history(Selection.everything()).chunks(bom=False))


def test_the_command_names_a_damaged_entry_and_mends_the_rest(desk, capsys):
    entry = damage({"type": "ORDER.FILLED"}, b"?")
    PortfolioOrder.objects.update(status="NEW")

    with pytest.raises(CommandError, match=r"1 differences.* 1 journal entry could not be read"):
        call_command("rebuild", check=True)
    call_command("rebuild", no_input=True)

    said = capsys.readouterr().out
    assert said.count(f"journal entry {entry.pk} about order {named('A')} cannot be read") == 2
    assert PortfolioOrder.objects.get().status == "SETTLED"
    with pytest.raises(CommandError, match=r"^0 differences\. 1 journal entry could not be read"):
        call_command("rebuild", check=True)


def test_what_a_damaged_entry_leaves_is_written_where_the_row_is_missing(desk):
    damage({"type": "ORDER.FILLED"}, b"?")
    for model in (Execution, Order, PortfolioOrder):
        model.objects.all().delete()

    list(rebuild.rebuild(now=NOW))

    assert Order.objects.get(pk=named("A")).status == "FILLED"  # from the list
    assert Order.objects.count() == 3
