"""Reconciliation against the sandbox: what it finds, repairs and tells."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from backoffice.investment_api.client import InvestmentAPI
from backoffice.sandbox.placements import OrderPlacement, Placement
from orders import journal, rebuild
from orders.attributes import AMOUNTS
from orders.models import Execution, JournalEntry, Order, PortfolioOrder
from orders.reconciliation.models import Scope
from tests.reconciling import counts, findings, objects, reconcile
from tests.truth import differences
from tests.upstream import START, receive, running

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


def statuses(model):
    """Return the statuses that rows of a kind have."""
    return set(model.objects.values_list("status", flat=True))


def test_a_dropped_day_of_deliveries_is_repaired_by_one_reconciliation_to_no_difference(upstream):
    upstream.market.place_some(30, now=timezone.now())
    receive(upstream.wait(seconds=30))
    for _ in range(23):  # a day of which no delivery comes
        upstream.market.place_some(5, now=timezone.now())
        upstream.wait(hours=1)
    assert differences(upstream)

    first = reconcile()

    assert first.state == "DONE", first.reason
    assert differences(upstream) == []
    assert list(rebuild.compare()) == []
    assert counts(first)["compared"] == objects(upstream)
    assert first.repaired >= 30
    assert first.unknown_here
    assert first.differing == first.unknown_there == 0
    second = reconcile()
    assert counts(second) == {"compared": objects(upstream), "equal": objects(upstream)}


@pytest.mark.parametrize(("scope", "seconds"), [(Scope.WINDOW, 12 * 3600), (Scope.OPEN, 20)])
def test_amounts_are_compared_as_numbers_and_another_spelling_is_no_difference(
    upstream, monkeypatch, scope, seconds
):
    upstream.market.place_some(5, now=timezone.now())
    upstream.place_order()
    receive(upstream.wait(seconds=seconds))

    def respelled(found):
        """Return an object with one more zero behind each amount."""
        if isinstance(found, list):
            return [respelled(it) for it in found]
        if not isinstance(found, dict):
            return found
        return {
            name: f"{it}0" if name in AMOUNTS and it and "." in it else respelled(it)
            for name, it in found.items()
        }

    for name in ("portfolio_orders", "portfolio_order", "orders", "order"):
        read = getattr(upstream.market, name)
        monkeypatch.setattr(
            upstream.market, name, lambda *args, read=read, **more: respelled(read(*args, **more))
        )

    run = reconcile(scope)

    assert findings(run) == []
    assert run.compared == run.equal > 5
    assert not JournalEntry.objects.filter(source="POLL").exists()


def test_an_amount_that_differs_as_a_number_is_still_found(upstream):
    upstream.market.place_some(5, now=timezone.now())
    receive(upstream.wait(hours=12))
    held = PortfolioOrder.objects.order_by("pk")[0]
    PortfolioOrder.objects.filter(pk=held.pk).update(cash_amount=f"{held.cash_amount}1")

    ((_, detail),) = findings(reconcile())
    assert f"cash amount: {held.cash_amount}1 here, {held.cash_amount} at the broker" in detail


def test_what_settled_on_a_day_without_deliveries_is_settled_with_its_executions(upstream):
    upstream.market.place_some(10, now=timezone.now())
    receive(upstream.wait(hours=1))
    upstream.wait(hours=12)

    run = reconcile()

    assert counts(run)["repaired"] > 10  # the portfolio orders, and orders for their executions
    assert differences(upstream) == []
    assert any("execution" in detail for _, detail in findings(run))


@pytest.mark.parametrize("scope", [Scope.WINDOW, Scope.OPEN])
def test_settlements_of_executions_that_got_lost_alone_are_found_too(upstream, scope):
    upstream.market.place_some(10, now=timezone.now())
    told = upstream.wait(hours=12)
    receive([it for it in told if it["type"] != "EXECUTION.SETTLED"])
    assert any(status == "SETTLED" for status in statuses(PortfolioOrder))
    assert statuses(Execution) == {"FILLED"}

    run = reconcile(scope)

    assert run.repaired
    assert "FILLED" not in statuses(Execution)
    assert differences(upstream) == []


def test_an_order_that_is_equal_leaves_no_entry(upstream):
    upstream.place()
    receive(upstream.wait(minutes=30))
    entries = JournalEntry.objects.filter(source="POLL").count()

    run = reconcile()

    assert counts(run) == {"compared": objects(upstream), "equal": objects(upstream)}
    assert JournalEntry.objects.filter(source="POLL").count() == entries


def test_an_order_whose_webhooks_were_lost_is_repaired_with_an_entry_that_says_by_whom(upstream):
    pk = upstream.place()
    receive(upstream.events())
    upstream.wait(minutes=20)

    run = reconcile()

    row = PortfolioOrder.objects.get(pk=pk)
    found = run.findings.get(portfolio_order_id=pk)
    assert row.status == upstream.truth(pk)["status"] == "FILLED"
    assert found.verdict == "REPAIRED"
    assert found.detail.startswith("status: NEW here, FILLED at the broker")
    entry = JournalEntry.objects.get(pk=found.entry_id)
    assert (entry.source, entry.outcome, entry.portfolio_order_id) == ("POLL", "APPLIED", pk)


def test_an_order_unknown_here_is_recorded_with_its_orders(upstream):
    pk = upstream.place()
    upstream.wait(minutes=20)

    run = reconcile()

    children = upstream.truth(pk)["orders"]
    assert counts(run) == {"compared": 1 + len(children), "unknown_here": 1 + len(children)}
    assert set(findings(run)) == {("UNKNOWN_HERE", "status at the broker: FILLED")}
    assert differences(upstream) == []


def test_an_order_that_upstream_does_not_know_is_told_and_keeps_its_state(upstream):
    pk = uuid4()
    PortfolioOrder.objects.create(pk=pk, status="FILLED", fact="3 x", created_at=START)
    upstream.wait(minutes=20)

    run = reconcile()

    assert counts(run) == {"compared": 1, "unknown_there": 1}
    row = PortfolioOrder.objects.get()
    assert (row.status, row.problems) == ("FILLED", 8)
    entry = JournalEntry.objects.get(pk=run.findings.get().entry_id)
    assert entry.outcome == "FAILED"
    assert "404" in entry.message


def test_an_order_that_is_there_again_loses_its_mark(upstream):
    pk = upstream.place()
    receive(upstream.wait(minutes=20))
    PortfolioOrder.objects.filter(pk=pk).update(problems=8)

    run = reconcile()

    assert findings(run) == [("REPAIRED", "not found at the broker before, found again")]
    assert PortfolioOrder.objects.get().problems == 0


def test_what_we_hold_against_upstreams_word_is_left_to_people(upstream):
    pk = upstream.place()
    receive(upstream.wait(seconds=30))
    PortfolioOrder.objects.filter(pk=pk).update(
        status="SETTLED", fact="4 2026-03-02T09:00:00.000000 0 0 x"
    )
    upstream.wait(minutes=2)

    run = reconcile()

    (found,) = run.findings.filter(portfolio_order_id=pk)
    assert found.verdict == "DIFFERING"
    assert found.detail.startswith("status: SETTLED here, PROCESSING at the broker")
    assert PortfolioOrder.objects.get(pk=pk).status == "SETTLED"
    assert JournalEntry.objects.get(pk=found.entry_id).source == "POLL"


def test_a_webhook_that_comes_while_the_list_is_read_is_no_difference(upstream, monkeypatch):
    upstream.place()
    receive(upstream.wait(minutes=3))
    read = InvestmentAPI.portfolio_orders_from

    def overtaken(*args, **more):
        page = read(*args, **more)
        receive(upstream.wait(minutes=20))
        return page

    monkeypatch.setattr(InvestmentAPI, "portfolio_orders_from", overtaken)
    run = reconcile()

    assert counts(run) == {"compared": objects(upstream), "equal": objects(upstream)}
    assert differences(upstream) == []
    assert not JournalEntry.objects.filter(source="POLL").exists()


def test_what_waits_in_the_journal_is_applied_before_it_is_compared(upstream):
    upstream.place()
    journal.record_events(upstream.wait(minutes=20), delivery_id=1, now=timezone.now())

    run = reconcile()

    assert run.equal == run.compared == objects(upstream)


def test_an_attribute_that_cannot_be_read_is_a_difference_that_names_it_once(upstream, monkeypatch):
    pk = upstream.place()
    receive(upstream.wait(minutes=20))
    market = type(upstream.market)
    read = market.portfolio_orders
    monkeypatch.setattr(
        market,
        "portfolio_orders",
        lambda *args, **more: [{**it, "cash_amount": "much"} for it in read(*args, **more)],
    )

    run = reconcile()

    found = run.findings.get(portfolio_order_id=pk)
    assert found.verdict == "REPAIRED"
    assert "unreadable: nothing here, cash_amount at the broker" in found.detail
    assert JournalEntry.objects.get(pk=found.entry_id).outcome == "APPLIED"
    assert reconcile().differing == 0


def test_an_answer_without_a_status_is_a_difference_that_says_so(upstream, monkeypatch):
    pk = upstream.place()
    receive(upstream.wait(minutes=20))
    market = type(upstream.market)
    read = market.portfolio_orders
    monkeypatch.setattr(
        market,
        "portfolio_orders",
        lambda *args, **more: [{**it, "status": []} for it in read(*args, **more)],
    )

    found = reconcile().findings.get(portfolio_order_id=pk)

    assert "status: a list instead of a text" in found.detail
    assert JournalEntry.objects.get(pk=found.entry_id).outcome == "QUARANTINED"


def test_an_account_is_compared_with_its_single_orders(upstream):
    account, other = str(uuid4()), uuid4()
    now = timezone.now()
    upstream.market.place(Placement(str(uuid4()), account, "1000.00"), now=now)
    single = OrderPlacement(str(uuid4()), account, "100.00", "IE00B3XXRP09")
    upstream.market.place_order(single, now=now)
    resting = OrderPlacement(
        str(uuid4()), account, "100.00", "IE00B3XXRP09", order_type="LIMIT", limit_price="10"
    )
    upstream.market.place_order(resting, now=now)
    receive(upstream.events())
    upstream.wait(hours=5)
    Order.objects.create(pk=other, status="NEW", account_id=account, created_at=START)

    run = reconcile(Scope.ACCOUNT, account_id=account)

    assert (run.state, run.reason) == ("DONE", "")
    assert run.compared == objects(upstream) + 1
    assert run.unknown_there == 1
    assert run.findings.get(verdict="UNKNOWN_THERE").order_id == other
    Order.objects.filter(pk=other).delete()
    assert differences(upstream) == []
    lists = [it for it in upstream.queries if "account_id" not in it and "sort" not in it and it]
    assert {it["status"][0] for it in lists} == {"NEW", "PROCESSING", "FILLED", "CANCELLED"}
    second = reconcile(Scope.ACCOUNT, account_id=account)
    assert counts(second) == {"compared": objects(upstream), "equal": objects(upstream)}


def test_everything_open_is_asked_about_one_by_one(upstream):
    for _ in range(3):
        upstream.place()
    upstream.place_order()
    receive(upstream.events())
    upstream.place()  # unknown here
    upstream.wait(minutes=20)

    run = reconcile(Scope.OPEN)

    assert set(PortfolioOrder.objects.values_list("status", flat=True)) == {"FILLED"}
    assert Order.objects.get(portfolio_order=None).status == "FILLED"
    assert run.differing == run.unknown_there == 0
    assert run.repaired == 4
    assert not [call for call in upstream.asked() if call == "GET /portfolios/orders"]


def test_orders_that_ended_are_not_asked_about_with_what_is_open(upstream):
    upstream.place()
    receive(upstream.wait(hours=24))
    upstream.asked()

    assert reconcile(Scope.OPEN).compared == 0
    assert upstream.asked() == []
