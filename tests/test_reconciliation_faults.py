"""Reconciliation while the broker's API, our workers or our database let it down."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError
from django.utils import timezone

from backoffice.investment_api import budget, calls
from backoffice.sandbox import Trouble
from backoffice.sandbox.placements import OrderPlacement
from orders.models import JournalEntry, PortfolioOrder
from orders.reconciliation import cases, judge, runs, work
from orders.reconciliation.models import Finding, Reconciliation, Scope
from tests.reconciling import begin, counts, findings, objects, reconcile, take, through
from tests.truth import differences
from tests.upstream import START, receive, running

pytestmark = pytest.mark.django_db
LISTS = "/portfolios/orders"


@pytest.fixture
def upstream(settings, monkeypatch):
    monkeypatch.setattr(calls, "PAGE", 10)
    monkeypatch.setattr(calls, "OVERLAP", 4)
    with running(settings) as upstream:
        yield upstream


def lost_orders(upstream, count=40):
    """Place orders, and lose most of what is told of them."""
    upstream.market.place_some(count // 2, now=timezone.now())
    receive(upstream.wait(minutes=2))
    upstream.market.place_some(count - count // 2, now=timezone.now())
    upstream.wait(hours=5)


def steps(run, count):
    """Do so many parts of a reconciliation."""
    its = take(run)
    for _ in range(count):
        its.step()
    return its


def test_pages_are_read_with_overlap_and_each_object_is_compared_once(upstream):
    lost_orders(upstream)

    run = reconcile()

    offsets = [int(it["offset"][0]) for it in upstream.queries if "offset" in it]
    assert offsets[0] == 0
    assert sorted(set(offsets))[1] <= 6
    assert counts(run)["compared"] == objects(upstream)
    assert differences(upstream) == []


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble("problem", 503, path=LISTS),
        Trouble("problem", 429, path=LISTS, retry_after="0"),  # its pause is of the machine's clock
        Trouble("page", 502, path="/orders"),
        Trouble("cut", path="/orders"),
        Trouble("cut", path=LISTS),
    ],
    ids=lambda it: f"{it.kind} {it.status} {it.path}",
)
def test_an_api_that_falters_costs_time_and_nothing_else(upstream, trouble, monkeypatch):
    # The rest after a 429 is of real time too; test_adaptive and test_budget are about it.
    monkeypatch.setattr(budget.Budget, "throttled", lambda *_: None)
    lost_orders(upstream)
    upstream.expect(trouble, times=5)

    run = through(upstream, begin())

    assert (run.state, run.reason) == ("DONE", "")
    assert counts(run)["compared"] == objects(upstream)
    assert sum(counts(run).values()) == 2 * run.compared
    assert run.findings.count() == run.compared - run.equal
    assert differences(upstream) == []


def test_it_waits_as_long_as_the_broker_says_and_tells_why(upstream):
    lost_orders(upstream, 4)
    upstream.expect(Trouble("problem", 429, path=LISTS, retry_after="90"))
    run = begin()

    assert not work.shift(run.pk)

    run.refresh_from_db()
    assert run.state == "RUNNING"
    assert "429" in run.reason
    assert run.leased_until == timezone.now() + timedelta(seconds=90)
    upstream.wait(seconds=80)
    assert not runs.waiting(timezone.now()).exists()
    upstream.wait(seconds=11)
    assert list(runs.waiting(timezone.now())) == [run]


def test_what_was_answered_before_a_429_is_kept(upstream, monkeypatch):
    monkeypatch.setattr(cases, "THREADS", 1)
    lost_orders(upstream)
    run = begin()
    upstream.during = lambda path: (
        upstream.expect(Trouble("problem", 429, path="/orders", retry_after="5"))
        if path.startswith("/orders/") and len(upstream.calls) == 12
        else None
    )

    assert not work.shift(run.pk)

    run.refresh_from_db()
    assert run.compared
    assert run.position["offset"] < 10


def test_a_refusal_ends_it_with_the_reason_and_it_goes_on_where_it_was(upstream):
    lost_orders(upstream)
    run = begin()
    steps(run, 2).release()
    upstream.expect(Trouble("problem", 403, path=LISTS))

    work.shift(run.pk)

    run.refresh_from_db()
    assert run.state == "FAILED"
    assert "needs the scope portfolios:read" in run.reason
    before = run.compared
    assert before
    runs.go_on(run.pk, actor="ada", now=timezone.now())
    run = through(upstream, run)
    assert run.state == "DONE"
    assert run.compared == objects(upstream) > before


def test_stopped_in_the_middle_and_continued_it_counts_as_if_it_had_run_through(upstream):
    lost_orders(upstream)
    run = begin()
    its = steps(run, 2)

    runs.stop(run.pk, actor="ada", now=timezone.now())
    run.refresh_from_db()
    assert run.state == "RUNNING"  # until the part in hand is done
    its.step()
    run.refresh_from_db()
    assert run.state == "STOPPED"
    assert 0 < run.compared < objects(upstream)
    upstream.wait(hours=1)
    runs.go_on(run.pk, actor="bea", now=timezone.now())
    run = through(upstream, run)

    assert (run.state, run.compared) == ("DONE", objects(upstream))
    assert differences(upstream) == []
    said = JournalEntry.objects.filter(type="RECONCILIATION").order_by("pk")
    assert [(it.status, it.actor) for it in said] == [
        ("STARTED", "ada"), ("STOPPED", "ada"), ("CONTINUED", "bea"), ("DONE", ""),
    ]  # fmt: skip


def test_one_that_nobody_works_on_is_stopped_at_once(upstream):
    run = begin()

    assert runs.stop(run.pk, actor="ada", now=timezone.now()).state == "STOPPED"

    assert work.Work.take(run.pk) is None


def test_one_works_on_it_at_a_time(upstream):
    run = begin()

    its = take(run)

    assert work.Work.take(run.pk) is None
    its.release()
    assert work.Work.take(run.pk)


def test_a_worker_that_dies_leaves_it_to_another_who_repeats_the_part_in_hand(upstream):
    lost_orders(upstream)
    run = begin()
    steps(run, 2)  # and then it is killed

    assert not runs.waiting(timezone.now()).exists()
    upstream.wait(minutes=6)
    run = through(upstream, run)

    assert (run.state, run.compared) == ("DONE", objects(upstream))


def test_a_worker_that_was_thought_dead_changes_nothing_any_more(upstream):
    lost_orders(upstream)
    run = begin()
    first = steps(run, 1)
    upstream.wait(minutes=6)
    second = steps(run, 1)
    run.refresh_from_db()
    before = counts(run), run.position

    with pytest.raises(work.LostError):
        first.step()
    with pytest.raises(work.LostError):
        first._keep(cases.Part([]), None)

    run.refresh_from_db()
    assert (counts(run), run.position) == before
    second.release()
    assert through(upstream, run).compared == objects(upstream)


def test_a_part_that_could_not_be_written_leaves_nothing_behind(upstream, monkeypatch):
    lost_orders(upstream)
    run = begin()
    its = steps(run, 1)
    before = JournalEntry.objects.count(), Finding.objects.count()

    with monkeypatch.context() as broken:
        broken.setattr(judge, "_not_found", away)
        with pytest.raises(OperationalError):
            its.step()

    assert (JournalEntry.objects.count(), Finding.objects.count()) == before
    upstream.wait(minutes=6)
    run = through(upstream, run)
    assert run.compared == objects(upstream)
    assert run.findings.count() == run.compared - run.equal


def away(*_, **__):
    raise OperationalError("the connection is closed")


def test_a_deadlock_has_the_part_written_again_at_once(upstream, monkeypatch):
    lost_orders(upstream, 4)
    find, tries = judge._not_found, []

    def once(*args, **more):
        tries.append(1)
        return away() if len(tries) == 1 else find(*args, **more)

    monkeypatch.setattr(judge, "_not_found", once)

    assert reconcile().state == "DONE"
    assert differences(upstream) == []


def test_a_fault_of_ours_ends_it_instead_of_being_tried_for_ever(upstream, monkeypatch):
    monkeypatch.setattr(judge, "_not_found", lambda *_, **__: 1 / 0)

    run = reconcile()

    assert run.state == "FAILED"
    assert run.reason == "It failed unexpectedly: ZeroDivisionError: division by zero"


def test_orders_that_move_on_while_their_account_is_listed_are_counted_once(upstream):
    account = uuid4()
    for _ in range(30):
        placed = OrderPlacement(str(uuid4()), str(account), "100.00", "IE00B3XXRP09")
        upstream.market.place_order(placed, now=timezone.now())
    receive(upstream.wait(seconds=70))
    run = begin(Scope.ACCOUNT, account_id=account)

    its = take(run)
    while not its.is_over:
        its.step()
        receive(upstream.wait(seconds=20))

    run.refresh_from_db()
    assert run.state == "DONE"
    assert run.compared == objects(upstream)
    assert run.unknown_there == run.differing == 0
    assert reconcile(Scope.ACCOUNT, account_id=account).equal == objects(upstream)


def test_what_upstream_lacks_is_found_once_wherever_it_would_stand(upstream):
    lost_orders(upstream)
    ghosts = {UUID(int=0), UUID(int=2**128 - 1), *(uuid4() for _ in range(50))}
    for pk in ghosts:
        PortfolioOrder.objects.create(pk=pk, status="NEW", created_at=START)

    run = reconcile()

    there = run.findings.filter(verdict="UNKNOWN_THERE")
    assert sorted(there.values_list("portfolio_order_id", flat=True)) == sorted(ghosts)
    assert run.compared == objects(upstream) + len(ghosts)


def test_a_list_that_is_not_sorted_is_compared_and_that_nothing_was_looked_for_is_said(
    upstream, monkeypatch
):
    lost_orders(upstream)
    market = type(upstream.market)
    read = market.portfolio_orders
    monkeypatch.setattr(market, "portfolio_orders", lambda *args, **more: read(*args, **more)[::-1])
    PortfolioOrder.objects.create(pk=uuid4(), status="NEW", created_at=START)

    run = reconcile()

    assert (run.state, run.reason) == ("DONE", work.UNSORTED)
    assert run.compared == len(read(upstream.market)) + len(upstream.market.orders())
    assert run.unknown_there == 0


def test_the_same_is_not_started_twice_while_it_is_under_way(upstream):
    run = begin()

    with pytest.raises(runs.NotPossibleError, match=f"Reconciliation {run.pk} .* is under way"):
        begin()

    begin(Scope.OPEN)
    runs.stop(run.pk, actor="ada", now=timezone.now())
    begin()
    with pytest.raises(runs.NotPossibleError, match="is under way"):
        runs.go_on(run.pk, actor="ada", now=timezone.now())


def test_a_time_in_which_nothing_can_have_been_placed_is_refused(upstream):
    with pytest.raises(runs.NotPossibleError, match="Nothing can have been placed"):
        begin(since=START + timedelta(days=1))
    assert not Reconciliation.objects.exists()


def test_only_what_runs_is_stopped_and_only_what_rests_is_continued(upstream):
    run = begin()

    with pytest.raises(runs.NotPossibleError, match="is running"):
        runs.go_on(run.pk, actor="ada", now=timezone.now())
    runs.stop(run.pk, actor="ada", now=timezone.now())
    with pytest.raises(runs.NotPossibleError, match="is not running"):
        runs.stop(run.pk, actor="ada", now=timezone.now())


def test_findings_tell_what_differs(upstream):
    lost_orders(upstream, 6)

    run = reconcile()

    assert {verdict for verdict, _ in findings(run)} == {"REPAIRED", "UNKNOWN_HERE"}
    assert all(detail for _, detail in findings(run))
