"""Asking upstream about what is due or wanted: over HTTP, against the stand-in."""

from datetime import timedelta
from random import Random
from threading import Barrier, Thread
from uuid import uuid4

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backoffice.sandbox import Trouble
from orders import rebuild
from orders.asking import asks, checking, discovery, leases
from orders.asking.feedback import Verdict
from orders.asking.leases import LEASE, POLLER
from orders.lifecycle import CANCELLED_EXECUTED, CONFLICT, MOST_OWED, NOT_FOUND, Kind
from orders.models import Execution, JournalEntry, Order, PortfolioOrder
from orders.tracked import Source
from tests.stories import event
from tests.upstream import receive, running

PORTFOLIO_ORDER, ORDER = Kind.PORTFOLIO_ORDER, Kind.ORDER
QUARTER = timedelta(minutes=15)

pytestmark = pytest.mark.django_db


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


@pytest.fixture
def portfolio_order(upstream):
    """A portfolio order at the venue, every webhook of it received, none since."""
    pk = upstream.place()
    receive([*upstream.events(), *upstream.wait(seconds=20)])
    assert PortfolioOrder.objects.get(pk=pk).status == "PROCESSING"
    return pk


def row(pk, model=PortfolioOrder):
    return model.objects.get(pk=pk)


def orders(portfolio_order_id):
    return list(Order.objects.filter(portfolio_order=portfolio_order_id).order_by("pk"))


def entries(**filters):
    return list(JournalEntry.objects.filter(**filters).order_by("pk"))


def make_due(pk, model=PortfolioOrder):
    model.objects.filter(pk=pk).update(check_after=timezone.now())


def wait_until_due(upstream, pk, model=PortfolioOrder):
    """Let time pass, and all its webhooks get lost, until a row is due."""
    after = row(pk, model).check_after
    return upstream.wait(seconds=(after - timezone.now()).total_seconds())


def but(event_type, events):
    """Return the events of other types."""
    return [event for event in events if event["type"] != event_type]


def settled(order):
    """Return the statuses of the executions of an order."""
    return set(Execution.objects.filter(order=order).values_list("status", flat=True))


def test_lost_webhooks_are_recovered_by_a_check_and_the_entries_say_poll(upstream, portfolio_order):
    wait_until_due(upstream, portfolio_order)

    result = checking.check(PORTFOLIO_ORDER, portfolio_order)

    assert result.verdict is Verdict.ANSWERED
    assert row(portfolio_order).status == upstream.truth(portfolio_order)["status"] == "FILLED"
    assert {order.status for order in orders(portfolio_order)} == {"FILLED"}
    told = entries(portfolio_order_id=portfolio_order, status="FILLED")
    assert [(entry.source, entry.outcome) for entry in told] == [("POLL", "APPLIED")]


def test_after_a_check_every_order_is_known_in_full(upstream, portfolio_order):
    wait_until_due(upstream, portfolio_order)

    checking.check(PORTFOLIO_ORDER, portfolio_order)

    for order in orders(portfolio_order):
        truth = upstream.market.order(str(order.pk))
        assert order.quantity == truth["quantity"]
        assert order.executions.count() == len(truth["executions"])


def test_only_orders_that_differ_are_asked_about(upstream, portfolio_order):
    lost = orders(portfolio_order)[0].pk
    events = wait_until_due(upstream, portfolio_order)
    receive([event for event in events if event["object"]["id"] != str(lost)])
    make_due(portfolio_order)

    checking.check(PORTFOLIO_ORDER, portfolio_order)

    assert upstream.asked() == [f"GET /portfolios/orders/{portfolio_order}", f"GET /orders/{lost}"]
    assert row(lost, Order).filled_at is not None


def test_a_portfolio_order_that_agrees_costs_one_call_and_changes_nothing(
    upstream, portfolio_order
):
    make_due(portfolio_order)

    result = checking.check(PORTFOLIO_ORDER, portfolio_order)

    assert upstream.asked() == [f"GET /portfolios/orders/{portfolio_order}"]
    assert not result.updated
    assert [entry.outcome for entry in entries(source="POLL")] == ["NO_CHANGE"]


def test_an_order_in_conflict_is_asked_about(upstream, portfolio_order):
    doubtful = orders(portfolio_order)[0].pk
    Order.objects.filter(pk=doubtful).update(problems=CONFLICT)
    make_due(portfolio_order)

    checking.check(PORTFOLIO_ORDER, portfolio_order)

    assert upstream.asked()[1:] == [f"GET /orders/{doubtful}"]


def test_an_answer_is_dated_and_ends_the_lease(upstream, portfolio_order):
    make_due(portfolio_order)

    checking.check(PORTFOLIO_ORDER, portfolio_order)

    now, checked = timezone.now(), row(portfolio_order)
    assert (checked.checked_at, checked.checks, checked.check_error) == (now, 1, "")
    assert checked.asking_until is None
    assert checked.check_after > now + timedelta(minutes=20)


def test_waits_grow_with_every_check_that_tells_nothing_new_up_to_the_longest(
    upstream, portfolio_order, settings
):
    settings.POLL_LONGEST = timedelta(hours=1)
    Order.objects.filter(portfolio_order=portfolio_order).update(fact="9")  # nothing to differ from
    PortfolioOrder.objects.filter(pk=portfolio_order).update(fact="9")
    waits = []
    for _ in range(5):
        make_due(portfolio_order)
        checking.check(PORTFOLIO_ORDER, portfolio_order)
        waits.append(row(portfolio_order).check_after - timezone.now())

    jitter = waits[-1] / timedelta(hours=1)
    assert 0.8 <= jitter <= 1.2
    assert [round(wait / (QUARTER * jitter)) for wait in waits] == [2, 4, 4, 4, 4]


def test_what_is_not_due_is_not_asked_about(upstream, portfolio_order):
    result = checking.check(PORTFOLIO_ORDER, portfolio_order)

    assert result.verdict is Verdict.SKIPPED
    assert upstream.asked() == []


def test_of_the_due_ones_the_longest_overdue_come_first(upstream):
    late, later = upstream.place(), upstream.place()
    receive(upstream.events())
    now = timezone.now()
    PortfolioOrder.objects.filter(pk=late).update(check_after=now - timedelta(minutes=9))
    PortfolioOrder.objects.filter(pk=later).update(check_after=now - timedelta(minutes=10))

    assert checking.due(now=now) == [(PORTFOLIO_ORDER, later), (PORTFOLIO_ORDER, late)]
    assert checking.due(now=now, most=1) == [(PORTFOLIO_ORDER, later)]


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        (Trouble("problem", 503, path="/portfolios"), "503"),
        (Trouble("page", 502, path="/portfolios"), "502 Bad Gateway; a gateway answered"),
        (Trouble("gateway", 404, path="/portfolios"), "404 Not here nginx; a gateway answered"),
        (Trouble("cut", path="/portfolios"), "GET /portfolios/orders/"),
        (Trouble("problem", 403, path="/portfolios"), "403"),
        (Trouble("problem", 503, path="/auth/token"), "POST /auth/token"),
    ],
)
def test_a_failed_ask_keeps_the_state_and_is_tried_again_later(
    upstream, portfolio_order, trouble, says
):
    make_due(portfolio_order)
    upstream.expect(trouble, times=1)
    before = row(portfolio_order)

    result = checking.check(PORTFOLIO_ORDER, portfolio_order)

    after, [entry] = row(portfolio_order), entries(source="POLL")
    assert result.verdict is Verdict.FAILED
    assert (after.status, after.heard_at) == (before.status, before.heard_at)
    assert (entry.outcome, entry.payload) == ("FAILED", b"")
    assert says in entry.message
    assert entry.message.startswith(after.check_error)
    assert (after.checks, after.checked_at, after.asking_until) == (1, timezone.now(), None)
    assert after.check_after > timezone.now() + QUARTER


def test_a_failure_is_journaled_with_upstreams_request_id(upstream, portfolio_order):
    make_due(portfolio_order)
    upstream.expect(Trouble("problem", 503))

    checking.check(PORTFOLIO_ORDER, portfolio_order)

    [entry] = entries(source="POLL")
    assert "(request id " in entry.message


def test_an_answer_about_something_else_is_none_and_the_ask_is_tried_again_later(
    upstream, portfolio_order, monkeypatch
):
    make_due(portfolio_order)
    other = upstream.truth(portfolio_order) | {"id": str(uuid4())}
    monkeypatch.setattr(upstream.market, "portfolio_order", lambda _: other)

    result = checking.check(PORTFOLIO_ORDER, portfolio_order)

    [entry] = entries(source="POLL")
    assert (entry.outcome, result.verdict) == ("FAILED", Verdict.FAILED)
    assert f"200 with an answer that is about {other['id']}, not" in entry.message
    assert result.reason == "the broker's answer could not be read"
    assert row(portfolio_order).check_after > timezone.now() + QUARTER


@pytest.mark.parametrize("nonsense", [{"status": None}, {"status": ["FILLED"]}])
def test_an_answer_that_cannot_be_read_is_not_asked_for_again_at_once(
    upstream, portfolio_order, monkeypatch, nonsense
):
    make_due(portfolio_order)
    answer = upstream.truth(portfolio_order) | nonsense
    monkeypatch.setattr(upstream.market, "portfolio_order", lambda _: answer)

    checking.check(PORTFOLIO_ORDER, portfolio_order)

    assert [entry.outcome for entry in entries(source="POLL")] == ["QUARANTINED"]
    assert row(portfolio_order).status == "PROCESSING"
    assert row(portfolio_order).check_after > timezone.now() + QUARTER


def test_an_answer_with_odd_attributes_brings_the_status_and_all_that_can_be_read(
    upstream, portfolio_order, monkeypatch
):
    make_due(portfolio_order)
    odd = {"cash_amount": "a lot", "account_id": "ACC-1", "orders": "none", "type": ["BUY"]}
    answer = upstream.truth(portfolio_order) | odd | {"status": "FILLED", "updated_at": None}
    monkeypatch.setattr(upstream.market, "portfolio_order", lambda _: answer)

    result = checking.check(PORTFOLIO_ORDER, portfolio_order)

    held = row(portfolio_order)
    assert (result.verdict, held.status, held.check_error) == (Verdict.ANSWERED, "FILLED", "")
    assert held.unreadable == "account_id cash_amount orders type"
    assert held.cash_amount


def test_404_keeps_the_status_and_is_on_the_list_of_problems_until_an_answer(
    upstream, portfolio_order
):
    make_due(portfolio_order)
    upstream.expect(Trouble("problem", 404))

    result = checking.check(PORTFOLIO_ORDER, portfolio_order)

    missing = row(portfolio_order)
    assert result.verdict is Verdict.NOT_FOUND
    assert (missing.status, missing.problems) == ("PROCESSING", NOT_FOUND)
    assert missing.check_after is not None

    make_due(portfolio_order)
    checking.check(PORTFOLIO_ORDER, portfolio_order)
    assert row(portfolio_order).problems == 0


def test_retry_after_of_a_429_is_obeyed(upstream, portfolio_order, settings):
    settings.POLL_AFTER = timedelta(seconds=1)
    make_due(portfolio_order)
    upstream.expect(Trouble("problem", 429, retry_after="280"))

    result = checking.check(PORTFOLIO_ORDER, portfolio_order)

    assert result.verdict is Verdict.LIMITED
    assert row(portfolio_order).check_after == timezone.now() + timedelta(seconds=280)


def test_while_upstream_wants_no_requests_nothing_is_asked_and_what_is_due_stays_due(
    upstream, portfolio_order
):
    other = upstream.place()
    receive(upstream.events())
    make_due(portfolio_order)
    make_due(other)
    upstream.expect(Trouble("problem", 429, retry_after="600"))
    checking.check(PORTFOLIO_ORDER, portfolio_order)
    upstream.asked()

    assert checking.due(now=timezone.now()) == []
    assert checking.check(PORTFOLIO_ORDER, other).verdict is Verdict.SKIPPED

    assert upstream.asked() == []
    waiting = row(other)
    assert (waiting.check_after, waiting.checks) == (timezone.now(), 0)
    assert waiting.asking_until is None
    assert entries(portfolio_order_id=other, source="POLL") == []


def test_an_order_that_upstream_fails_to_tell_is_asked_for_again_with_its_portfolio_order(
    upstream, portfolio_order, settings
):
    settings.POLL_AFTER = timedelta(seconds=1)
    wait_until_due(upstream, portfolio_order)
    upstream.expect(Trouble("problem", 503, retry_after="240", path="/orders/"))

    checking.check(PORTFOLIO_ORDER, portfolio_order)

    waiting = row(portfolio_order)
    assert waiting.status == "FILLED"
    assert "GET /orders/" in waiting.check_error
    assert waiting.check_after == timezone.now() + timedelta(seconds=240)
    assert waiting.asking_until is None
    assert len(upstream.asked()) == 2
    assert {order.check_after for order in orders(portfolio_order)} == {None}


def test_an_order_that_failed_is_the_last_to_be_asked_about_the_next_time(
    upstream, portfolio_order
):
    wait_until_due(upstream, portfolio_order)
    upstream.expect(Trouble("problem", 500, path="/orders/"))
    checking.check(PORTFOLIO_ORDER, portfolio_order)
    failed = upstream.asked()[-1]

    make_due(portfolio_order)
    checking.check(PORTFOLIO_ORDER, portfolio_order)

    calls = upstream.asked()
    assert calls[-1] == failed
    assert len(calls) == 1 + len(orders(portfolio_order))
    assert {order.fact[:1] for order in orders(portfolio_order)} == {"3"}


def test_an_order_that_is_not_found_does_not_keep_the_others_from_being_asked_about(
    upstream, portfolio_order
):
    wait_until_due(upstream, portfolio_order)
    upstream.expect(Trouble("problem", 404, path="/orders/"))

    result = checking.check(PORTFOLIO_ORDER, portfolio_order)

    assert len(upstream.asked()) == 1 + len(orders(portfolio_order))
    assert result.unasked == 1
    assert sorted(order.problems for order in orders(portfolio_order))[-2:] == [0, NOT_FOUND]


def test_a_slow_upstream_gets_no_more_calls_after_a_minute(upstream, portfolio_order):
    wait_until_due(upstream, portfolio_order)
    upstream.during = lambda path: upstream.wait(seconds=40)

    result = checking.check(PORTFOLIO_ORDER, portfolio_order)

    assert len(upstream.asked()) == 2  # at 0 and 40 s
    assert result.unasked == len(orders(portfolio_order)) - 1
    assert row(portfolio_order).asking_until is None


def test_a_person_does_not_wait_long_and_the_poller_asks_for_the_rest(upstream, portfolio_order):
    upstream.wait(minutes=10)
    upstream.during = lambda path: upstream.wait(seconds=3)

    result = checking.refetch(PORTFOLIO_ORDER, portfolio_order, actor="mira")

    assert len(upstream.asked()) == 2  # at 0 and 3 s
    assert result.verdict is Verdict.ANSWERED
    assert result.unasked == len(orders(portfolio_order)) - 1
    assert result.next_try is not None
    assert result.next_try < timezone.now() + timedelta(minutes=2)


@pytest.mark.django_db(transaction=True)
def test_of_two_checks_at_once_one_asks(upstream, portfolio_order):
    make_due(portfolio_order)
    start = Barrier(2)

    def check():
        start.wait()
        try:
            checking.check(PORTFOLIO_ORDER, portfolio_order)
        finally:
            connections.close_all()

    threads = [Thread(target=check) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert upstream.asked() == [f"GET /portfolios/orders/{portfolio_order}"]


def test_no_transaction_is_open_while_upstream_is_asked(upstream, portfolio_order, monkeypatch):
    wait_until_due(upstream, portfolio_order)
    put, depths = asks.put, []

    def watched(*asked):
        depths.append(len(connection.savepoint_ids))
        return put(*asked)

    monkeypatch.setattr(asks, "put", watched)
    outside = len(connection.savepoint_ids)

    checking.check(PORTFOLIO_ORDER, portfolio_order)

    assert len(depths) > 1
    assert set(depths) == {outside}


def test_the_lease_of_a_worker_that_died_runs_out(upstream, portfolio_order):
    make_due(portfolio_order)
    assert leases.take(PORTFOLIO_ORDER, portfolio_order, POLLER)  # and then it dies

    assert checking.check(PORTFOLIO_ORDER, portfolio_order).verdict is Verdict.BUSY
    assert checking.due(now=timezone.now()) == []
    upstream.wait(seconds=LEASE.total_seconds() + 1)

    assert checking.due(now=timezone.now()) == [(PORTFOLIO_ORDER, portfolio_order)]
    assert checking.check(PORTFOLIO_ORDER, portfolio_order).verdict is Verdict.ANSWERED


def test_a_worker_that_comes_back_after_its_lease_does_not_end_anothers(upstream, portfolio_order):
    make_due(portfolio_order)
    old = leases.take(PORTFOLIO_ORDER, portfolio_order, POLLER)
    upstream.wait(seconds=LEASE.total_seconds() + 1)
    new = leases.take(PORTFOLIO_ORDER, portfolio_order, POLLER)
    assert old is not None
    assert new is not None

    old.end()
    asks.record(asks.put(PORTFOLIO_ORDER, portfolio_order, POLLER), row=old.row, ends=old)

    assert row(portfolio_order).asking_until == new.until


def test_after_a_crash_before_an_answer_is_written_it_is_asked_for_again(
    upstream, portfolio_order, monkeypatch
):
    wait_until_due(upstream, portfolio_order)
    known = row(portfolio_order).status
    with monkeypatch.context() as patch:
        patch.setattr("orders.journal.save_asks", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            checking.check(PORTFOLIO_ORDER, portfolio_order)
    assert (row(portfolio_order).status, entries(source="POLL")) == (known, [])

    PortfolioOrder.objects.update(asking_until=None)  # its lease has run out
    checking.check(PORTFOLIO_ORDER, portfolio_order)

    assert row(portfolio_order).status == "FILLED"


def test_an_answer_is_written_into_the_journal_once_with_its_outcome(upstream, portfolio_order):
    wait_until_due(upstream, portfolio_order)

    with CaptureQueriesContext(connection) as queries:
        checking.check(PORTFOLIO_ORDER, portfolio_order)

    assert row(portfolio_order).status == "FILLED"
    assert {entry.outcome for entry in entries(source="POLL")} <= {"APPLIED", "NO_CHANGE"}
    again = [it["sql"] for it in queries if 'UPDATE "orders_journalentry"' in it["sql"]]
    assert again == []


def test_a_polled_answer_that_is_older_than_what_is_known_pulls_nothing_back(
    upstream, portfolio_order, monkeypatch
):
    stale = upstream.truth(portfolio_order)
    receive(wait_until_due(upstream, portfolio_order))
    make_due(portfolio_order)
    monkeypatch.setattr(upstream.market, "portfolio_order", lambda _: stale)

    checking.check(PORTFOLIO_ORDER, portfolio_order)

    assert row(portfolio_order).status == "FILLED"
    assert [entry.outcome for entry in entries(source="POLL")] == ["NO_CHANGE"]


def test_a_final_portfolio_order_of_which_an_event_was_refused_stays_due_until_upstream_answers(
    upstream, portfolio_order
):
    receive([*upstream.wait(minutes=10), *upstream.wait(hours=3)])
    assert (row(portfolio_order).status, row(portfolio_order).check_after) == ("SETTLED", None)
    make_due(portfolio_order)
    upstream.expect(Trouble("problem", 503))

    checking.check(PORTFOLIO_ORDER, portfolio_order)
    assert row(portfolio_order).check_after > timezone.now()

    make_due(portfolio_order)
    checking.check(PORTFOLIO_ORDER, portfolio_order)
    assert row(portfolio_order).check_after is None


def test_an_order_whose_portfolio_order_is_unknown_is_asked_for_by_that(upstream):
    pk = upstream.place()
    upstream.events()  # PORTFOLIO_ORDER.NEW is lost
    receive([e for e in upstream.wait(seconds=20) if e["type"] == "ORDER.NEW"])
    orphan = orders(pk)[0]
    wait_until_due(upstream, orphan.pk, Order)

    result = checking.check(ORDER, orphan.pk)

    assert upstream.asked() == [f"GET /portfolios/orders/{pk}"]
    assert result.verdict is Verdict.ANSWERED
    assert row(pk).status == upstream.truth(pk)["status"]
    assert {order.check_after for order in orders(pk)} == {None}
    assert row(orphan.pk, Order).asking_until is None
    assert [(e.source, e.type) for e in entries(portfolio_order_id=pk)] == [
        ("POLL", "PORTFOLIO_ORDER")
    ]


def test_where_upstream_does_not_know_the_portfolio_order_the_order_itself_is_asked_for(upstream):
    pk = upstream.place()
    upstream.events()
    receive([e for e in upstream.wait(seconds=20) if e["type"] == "ORDER.NEW"])
    orphan = orders(pk)[0].pk
    wait_until_due(upstream, orphan, Order)
    upstream.expect(Trouble("problem", 404, path="/portfolios/"))

    checking.check(ORDER, orphan)

    assert upstream.asked() == [f"GET /portfolios/orders/{pk}", f"GET /orders/{orphan}"]
    assert row(orphan, Order).status == upstream.market.order(str(orphan))["status"]
    assert row(orphan, Order).problems == 0
    assert row(orphan, Order).check_after is not None
    assert [entry.outcome for entry in entries(portfolio_order_id=pk)] == ["FAILED"]


def test_an_order_that_names_no_portfolio_order_is_asked_for_itself(upstream):
    pk = upstream.place_order()
    receive(upstream.events())
    upstream.wait(minutes=10)
    wait_until_due(upstream, pk, Order)

    checking.check(ORDER, pk)

    assert upstream.asked() == [f"GET /orders/{pk}"]
    assert row(pk, Order).status == "FILLED"
    assert settled(pk) == {"FILLED"}

    wait_until_due(upstream, pk, Order)
    checking.check(ORDER, pk)

    assert settled(pk) == {"SETTLED"}
    assert row(pk, Order).check_after is None


def test_a_lost_settlement_of_an_execution_is_asked_for_after_the_portfolio_order_has_settled(
    upstream, portfolio_order
):
    receive(but("EXECUTION.SETTLED", upstream.wait(hours=6)))
    assert row(portfolio_order).status == "SETTLED"
    parts = [order.pk for order in orders(portfolio_order)]
    assert {status for pk in parts for status in settled(pk)} == {"FILLED"}

    wait_until_due(upstream, portfolio_order)
    checking.check(PORTFOLIO_ORDER, portfolio_order)

    assert {status for pk in parts for status in settled(pk)} == {"SETTLED"}
    assert row(portfolio_order).check_after is None


def test_a_settlement_that_came_in_any_order_leaves_nothing_to_ask(upstream, portfolio_order):
    told = upstream.wait(hours=6)

    receive(but("EXECUTION.SETTLED", told))
    receive(told)

    assert row(portfolio_order).check_after is None


def test_a_settlement_that_nobody_tells_is_not_asked_for_for_ever(upstream, monkeypatch):
    pk = upstream.place_order()
    receive([*upstream.events(), *upstream.wait(minutes=30)])
    assert settled(pk) == {"FILLED"}
    as_filled = upstream.market.order(str(pk))
    monkeypatch.setattr(upstream.market, "order", lambda _: as_filled)

    while row(pk, Order).check_after:
        wait_until_due(upstream, pk, Order)
        checking.check(ORDER, pk)

    assert len(entries(source="POLL")) == MOST_OWED


def test_a_conflict_that_stays_is_checked_less_and_less_often_and_in_the_end_without_its_orders(
    upstream, portfolio_order, monkeypatch
):
    receive(upstream.wait(minutes=30))
    filled = upstream.truth(portfolio_order)
    parts = {
        str(order.pk): upstream.market.order(str(order.pk)) for order in orders(portfolio_order)
    }
    later = (timezone.now() + timedelta(seconds=1)).isoformat()
    said = {**filled, "status": "CANCELLED", "updated_at": later}
    receive([event("PORTFOLIO_ORDER.CANCELLED", said)])
    assert row(portfolio_order).problems == CONFLICT | CANCELLED_EXECUTED
    monkeypatch.setattr(upstream.market, "portfolio_order", lambda _: filled)
    monkeypatch.setattr(upstream.market, "order", parts.get)

    waits, asked = [], []
    for _ in range(MOST_OWED + 2):
        wait_until_due(upstream, portfolio_order)
        upstream.asked()
        checking.check(PORTFOLIO_ORDER, portfolio_order)
        waits.append(row(portfolio_order).check_after - timezone.now())
        asked.append(len(upstream.asked()))

    assert waits == sorted(waits)
    assert waits[0] < timedelta(minutes=3)
    assert waits[-1] > timedelta(hours=19)
    assert asked == [1 + len(parts)] * MOST_OWED + [1, 1]


def test_a_due_order_whose_portfolio_order_has_come_is_left_to_that(upstream, portfolio_order):
    order = orders(portfolio_order)[0].pk
    make_due(order, Order)
    make_due(portfolio_order)

    checking.check(ORDER, order)

    assert upstream.asked() == [f"GET /portfolios/orders/{portfolio_order}"]
    assert row(order, Order).check_after is None


def test_a_refetch_asks_about_what_is_final_and_not_due(upstream, portfolio_order):
    receive([*upstream.wait(minutes=10), *upstream.wait(hours=3)])

    result = checking.refetch(PORTFOLIO_ORDER, portfolio_order, actor="mira")

    [entry] = entries(source="REFETCH")
    assert (entry.actor, entry.outcome, entry.pk) == ("mira", "NO_CHANGE", result.entry_id)
    assert (result.verdict, result.changes, result.updated) == (Verdict.ANSWERED, (), False)


def test_a_refetch_tells_each_status_that_changed(upstream, portfolio_order):
    upstream.wait(minutes=10)

    result = checking.refetch(PORTFOLIO_ORDER, portfolio_order, actor="mira")

    assert result.updated
    assert str(result.changes[0]) == "portfolio order Processing -> Filled"
    assert len(result.changes) == 1 + len(orders(portfolio_order))


def test_a_second_refetch_meanwhile_is_told_since_when_the_first_asks(upstream, portfolio_order):
    since = timezone.now()
    leases.take(PORTFOLIO_ORDER, portfolio_order, leases.Asker(Source.REFETCH, "mira"))
    upstream.wait(seconds=4)

    result = checking.refetch(PORTFOLIO_ORDER, portfolio_order, actor="jon")

    assert (result.verdict, result.asking_since) == (Verdict.BUSY, since)
    assert upstream.asked() == []


def test_a_refetch_of_an_order_asks_about_that_order(upstream, portfolio_order):
    order = orders(portfolio_order)[0].pk

    result = checking.refetch(ORDER, order, actor="mira")

    assert upstream.asked() == [f"GET /orders/{order}"]
    assert result.verdict is Verdict.ANSWERED
    assert row(order, Order).check_after is None


def test_a_refetch_that_is_answered_429_says_until_when_and_the_next_one_tries_all_the_same(
    upstream, portfolio_order
):
    upstream.expect(Trouble("problem", 429, retry_after="60", path="/portfolios"))
    first = checking.refetch(PORTFOLIO_ORDER, portfolio_order, actor="mira")
    second = checking.refetch(PORTFOLIO_ORDER, portfolio_order, actor="mira")

    minute = timezone.now() + timedelta(seconds=60)
    assert (first.verdict, first.wait_until) == (Verdict.LIMITED, minute)
    assert second.verdict is Verdict.ANSWERED
    assert upstream.asked()[:2] == [f"GET /portfolios/orders/{portfolio_order}"] * 2
    assert next(entry.outcome for entry in entries(source="REFETCH")) == "FAILED"


def test_a_refetch_of_an_unknown_portfolio_order_records_what_upstream_says(upstream):
    pk = upstream.place()
    upstream.wait(minutes=10)

    result = checking.refetch(PORTFOLIO_ORDER, pk, actor="mira")

    assert result.verdict is Verdict.ANSWERED
    assert row(pk).status == "FILLED"
    assert {order.fact[:1] for order in orders(pk)} == {"3"}


def test_a_refetch_of_what_upstream_does_not_know_either_makes_no_order(upstream):
    pk = uuid4()

    result = checking.refetch(PORTFOLIO_ORDER, pk, actor="mira")

    assert result.verdict is Verdict.NOT_FOUND
    assert not PortfolioOrder.objects.exists()
    assert [entry.outcome for entry in entries(portfolio_order_id=pk)] == ["FAILED"]


def test_two_people_do_not_ask_for_the_same_unknown_order_at_once(upstream):
    pk = upstream.place()
    with leases.guard(PORTFOLIO_ORDER, pk) as since:
        assert since is None
        result = checking.refetch(PORTFOLIO_ORDER, pk, actor="mira")

    assert (result.verdict, result.asking_since) == (Verdict.BUSY, timezone.now())
    again = checking.refetch(PORTFOLIO_ORDER, pk, actor="mira")
    assert again.verdict is Verdict.ANSWERED


@pytest.mark.parametrize("seed", range(3))
def test_whatever_webhooks_are_lost_in_the_end_all_is_as_upstream_has_it(upstream, seed):
    chance = Random(seed)
    placed = [upstream.place() for _ in range(6)]
    for _ in range(40):
        events = upstream.wait(minutes=10)
        chance.shuffle(events)
        receive([event for event in events if chance.random() < 0.4])
        discovery.discover(now=timezone.now())
        for kind, pk in checking.due(now=timezone.now()):
            if chance.random() < 0.2:
                upstream.expect(Trouble("problem", chance.choice([404, 500]), path="/"))
            checking.check(kind, pk)
    upstream.wait(hours=30)
    for kind, pk in checking.due(now=timezone.now()):
        checking.check(kind, pk)

    for pk in placed:
        truth = upstream.truth(pk)
        assert row(pk).status == truth["status"]
        assert {str(order.pk): order.status for order in orders(pk)} == {
            line["id"]: line["status"] for line in truth["orders"]
        }
        assert row(pk).check_after is None
    assert list(rebuild.compare()) == []
    assert not JournalEntry.objects.filter(outcome__in=["PENDING", "QUARANTINED"]).exists()


@pytest.mark.parametrize("broken", [{"status": None}, {"status": {"is": "NEW"}}])
def test_an_unknown_order_of_which_an_event_was_refused_is_asked_about_once(upstream, broken):
    pk = upstream.place_order()
    [told] = upstream.events()
    receive([told | {"object": told["object"] | broken}])
    assert not Order.objects.exists()

    assert checking.due(now=timezone.now()) == [(ORDER, pk)]
    checking.check(ORDER, pk)

    assert row(pk, Order).status == "NEW"
    assert checking.due(now=timezone.now()) == []


def test_an_unknown_order_that_upstream_does_not_know_either_is_not_asked_about_all_the_time(
    upstream,
):
    pk = upstream.place_order()
    [told] = upstream.events()
    receive([told | {"object": told["object"] | {"quantity": "?"}}])
    upstream.expect(Trouble("problem", 404))

    checking.check(ORDER, pk)

    assert checking.due(now=timezone.now()) == []
    upstream.wait(hours=7)
    assert checking.due(now=timezone.now()) == [(ORDER, pk)]
