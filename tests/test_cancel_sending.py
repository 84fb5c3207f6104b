"""Cancelling: a request with a life of its own, over HTTP against the stand-in; never a fact about the order."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from backoffice.investment_api.answers import Answer
from backoffice.investment_api.errors import NotFoundError
from backoffice.sandbox import Trouble
from orders.cancelling import attempts, concluding, requesting, schedule, sending
from orders.cancelling.requesting import AlreadyAskedError, NotPossibleError
from orders.lifecycle import Kind
from orders.models import Cancellation, CancellationState, JournalEntry, Order, PortfolioOrder
from tests import cancelling
from tests.upstream import receive, running

PORTFOLIO_ORDER, ORDER = Kind.PORTFOLIO_ORDER, Kind.ORDER
READY, UNKNOWN, TAKEN, REFUSED = CancellationState

pytestmark = pytest.mark.django_db


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


@pytest.fixture
def placed(upstream):
    return cancelling.placed(upstream)


def ask(pk, kind=PORTFOLIO_ORDER):
    return requesting.request(kind, pk, actor="tina")


def sent(pk, kind=PORTFOLIO_ORDER):
    """Request cancellation, and make the first attempt."""
    return sending.send(ask(pk, kind).pk)


def words(pk):
    """Return the words of the steps about an order, in their order."""
    entries = JournalEntry.objects.filter(type="CANCELLATION", portfolio_order_id=pk)
    return list(entries.order_by("pk").values_list("status", flat=True))


def wait_until_due(upstream, held):
    at = Cancellation.objects.get(pk=held.pk).next_attempt_at
    return upstream.wait(seconds=(at - timezone.now()).total_seconds() + 1)


def status(pk, model=PortfolioOrder):
    return model.objects.get(pk=pk).status


def deletions(upstream):
    return [call for call in upstream.asked() if call.startswith("DELETE")]


def expect(upstream, kind="problem", status=503, times=1, **more):
    upstream.expect(Trouble(kind, status=status, method="DELETE", **more), times=times)


def test_a_request_is_committed_with_its_audit_line_before_anything_is_sent(upstream, placed):
    held = ask(placed)

    held = Cancellation.objects.get(pk=held.pk)
    assert (held.state, held.requested_by, held.attempts) == (READY, "tina", 0)
    assert upstream.asked() == []
    entry = JournalEntry.objects.get(type="CANCELLATION")
    assert (entry.source, entry.outcome, entry.actor) == ("STAFF", "NOTED", "tina")
    assert (entry.portfolio_order_id, entry.status) == (placed, "REQUESTED")


@pytest.mark.parametrize("status_", [202, 204])
def test_any_2xx_is_taken_and_the_order_is_as_before_until_the_broker_says_more(
    upstream, placed, status_
):
    upstream.manners.taken = status_
    held = sent(placed)

    assert (held.state, held.reason, held.sending_until) == (TAKEN, "", None)
    assert upstream.asked() == [
        f"DELETE /portfolios/orders/{placed}",
        f"GET /portfolios/orders/{placed}",
    ]
    assert status(placed) == "NEW"
    assert words(placed) == ["REQUESTED", "SENT", "TAKEN"]


def test_a_cancelled_order_is_learned_by_its_webhook(upstream, placed):
    held = sent(placed)
    receive(upstream.wait(seconds=2))

    assert status(placed) == "CANCELLED"
    wait_until_due(upstream, held)
    upstream.asked()
    assert sending.send(held.pk).next_attempt_at is None
    assert upstream.asked() == []


def test_a_cancelled_order_is_learned_though_its_webhook_is_lost(upstream, placed):
    held = sent(placed)
    wait_until_due(upstream, held)
    upstream.asked()

    assert sending.due(now=timezone.now()) == [held.pk]
    sending.send(held.pk)
    assert upstream.asked() == [f"GET /portfolios/orders/{placed}"]
    assert status(placed) == "CANCELLED"
    assert Cancellation.objects.get(pk=held.pk).next_attempt_at is None


@pytest.mark.parametrize("status_", [400, 404, 409, 422])
def test_a_refusal_is_kept_with_the_brokers_reason_and_says_nothing_of_the_order(
    upstream, placed, status_
):
    expect(upstream, status=status_)
    held = sent(placed)

    assert (held.state, held.next_attempt_at) == (REFUSED, None)
    assert f"{status_} " in held.reason
    assert "request id" in held.reason
    assert upstream.asked()[1:] == [f"GET /portfolios/orders/{placed}"]
    assert status(placed) == "NEW"
    assert words(placed) == ["REQUESTED", "SENT", "REFUSED"]
    due_at = PortfolioOrder.objects.get(pk=placed).check_after
    assert due_at <= timezone.now() + timedelta(seconds=15)


@pytest.mark.parametrize(
    ("status_", "hint"), [(401, "check the client secret"), (403, "needs the scope")]
)
def test_credentials_that_do_not_do_are_a_refusal_with_a_hint(upstream, placed, status_, hint):
    expect(upstream, status=status_, times=2)
    held = sent(placed)

    assert held.state == REFUSED
    assert hint in held.reason


@pytest.mark.parametrize("late", [409, 422])
def test_a_late_cancel_is_refused_and_the_fill_is_learned_at_once(upstream, placed, late):
    upstream.manners.late = late
    upstream.wait(hours=1)  # every webhook of the fill is lost
    held = sent(placed)

    assert held.state == REFUSED
    assert f"{late} " in held.reason
    assert status(placed) == "FILLED"


@pytest.mark.parametrize("status_", [408, 500, 502, 503, 504, 302, 418])
def test_an_answer_that_says_nothing_sure_leaves_it_unknown_and_it_is_sent_again(
    upstream, placed, status_
):
    expect(upstream, status=status_)
    held = sent(placed)
    assert (held.state, held.attempts) == (UNKNOWN, 1)
    assert held.next_attempt_at > timezone.now()

    wait_until_due(upstream, held)
    held = sending.send(held.pk)
    assert (held.state, held.attempts) == (TAKEN, 2)
    assert words(placed) == ["REQUESTED", "SENT", "UNKNOWN", "SENT", "TAKEN"]


def test_a_broker_that_wants_no_requests_is_left_alone(upstream, placed):
    expect(upstream, status=429, retry_after="60")
    held = sent(placed)

    assert held.state == UNKNOWN
    assert held.next_attempt_at >= timezone.now() + timedelta(seconds=60)
    assert sending.due(now=held.next_attempt_at) == []


@pytest.mark.parametrize("status_", [404, 502])
def test_a_gateways_page_proves_nothing(upstream, placed, status_):
    expect(upstream, "page", status=status_)

    assert sent(placed).state == UNKNOWN


@pytest.mark.parametrize("at", ["unread", "body", "done", "in_status", "in_fields", "answered"])
@pytest.mark.parametrize("reset", [True, False])
def test_a_line_cut_at_any_point_ends_with_the_order_cancelled(upstream, placed, at, reset):
    expect(upstream, "cut", at=at, reset=reset)
    held = sent(placed)
    while Cancellation.objects.get(pk=held.pk).next_attempt_at:
        wait_until_due(upstream, held)
        sending.send(held.pk)

    assert status(placed) == "CANCELLED"
    assert deletions(upstream)


def test_a_404_after_an_open_attempt_is_not_read_as_cancelled(upstream, placed):
    expect(upstream, "cut", at="body")
    expect(upstream, status=404)
    held = sent(placed)
    wait_until_due(upstream, held)

    held = sending.send(held.pk)
    assert held.state == REFUSED
    assert status(placed) != "CANCELLED"


def test_the_pause_that_the_broker_wants_is_kept(upstream, placed):
    expect(upstream, status=503, retry_after="120")
    held = sent(placed)

    assert held.next_attempt_at >= timezone.now() + timedelta(seconds=120)


def test_retries_grow_from_seconds_to_five_minutes_and_end_after_an_hour(upstream, placed):
    expect(upstream, times=10_000)
    held, waits = sent(placed), []
    while held.next_attempt_at:
        waits.append((held.next_attempt_at - timezone.now()).total_seconds())
        upstream.wait(seconds=waits[-1] + 0.1)
        held = sending.send(held.pk)

    assert 3 < waits[0] < 5
    assert 200 < max(waits) <= 6 * 60
    assert timezone.now() <= held.requested_at + timedelta(hours=1, minutes=6)
    assert held.state == UNKNOWN
    assert words(placed)[-1] == "OVER"


def test_what_is_unknown_is_not_sent_again_once_the_order_has_ended(upstream, placed):
    expect(upstream)
    held = sent(placed)
    receive(upstream.wait(hours=1))
    upstream.asked()

    held = sending.send(held.pk)
    assert upstream.asked() == []
    assert (held.state, held.next_attempt_at) == (UNKNOWN, None)
    entry = JournalEntry.objects.filter(type="CANCELLATION").latest("pk")
    assert (entry.status, entry.message) == (
        "OVER",
        "Cancellation not sent again: The order is already Filled.",
    )


def test_what_never_left_is_as_if_nobody_had_tried(upstream, placed):
    upstream.expect(Trouble("problem", status=503, path="/auth/token"))
    held = sent(placed)

    assert (held.state, held.attempts, held.sent_at) == (READY, 0, None)
    assert upstream.asked() == []
    assert words(placed) == ["REQUESTED", "SENT", "NOT_SENT"]
    wait_until_due(upstream, held)
    assert sending.send(held.pk).state == TAKEN


def test_a_process_that_dies_before_the_request_leaves_unknown_and_due_after_its_lease(
    upstream, placed
):
    held = ask(placed)
    attempts.begin(held.pk, now=timezone.now())

    assert Cancellation.objects.get(pk=held.pk).state == UNKNOWN
    sending.send(held.pk)
    assert upstream.asked() == []
    upstream.wait(seconds=schedule.LEASE.total_seconds() + 1)
    assert sending.due(now=timezone.now()) == [held.pk]
    sending.send(held.pk)
    assert len(deletions(upstream)) == 1
    assert words(placed)[:4] == ["REQUESTED", "SENT", "UNKNOWN", "SENT"]


def test_a_process_that_dies_after_the_answer_loses_nothing(upstream, placed, monkeypatch):
    held = ask(placed)
    with monkeypatch.context() as patch:
        patch.setattr("orders.cancelling.concluding.take", killed)
        with pytest.raises(KeyboardInterrupt):
            sending.send(held.pk)

    upstream.wait(minutes=3)
    held = sending.send(held.pk)  # refused: the first attempt has ended it
    assert held.state == REFUSED
    assert status(placed) == "CANCELLED"


def killed(*_, **__):
    raise KeyboardInterrupt


def test_what_comes_after_its_lease_decides_nothing_unless_it_is_taken(upstream, placed):
    held = ask(placed)
    early = attempts.begin(held.pk, now=timezone.now())
    assert early
    upstream.wait(seconds=schedule.LEASE.total_seconds() + 1)
    expect(upstream)
    assert sending.send(held.pk).state == UNKNOWN

    concluding.fail(early, NotFoundError("DELETE: 404", status=404), now=timezone.now())
    assert Cancellation.objects.get(pk=held.pk).state == UNKNOWN
    concluding.take(early, Answer(None, "", 202, timedelta()), now=timezone.now())
    assert Cancellation.objects.get(pk=held.pk).state == TAKEN
    assert words(placed)[-2:] == ["UNKNOWN", "TAKEN"]


def test_a_send_inside_a_transaction_is_refused(upstream, placed, transactional_db):
    held = ask(placed)

    with pytest.raises(RuntimeError), transaction.atomic():
        sending.send(held.pk)
    assert upstream.asked() == []


def test_two_workers_send_it_once(upstream, transactional_db):
    held = ask(cancelling.placed(upstream))

    cancelling.twice_at_once(lambda: sending.send(held.pk))
    assert len(deletions(upstream)) == 1
    assert Cancellation.objects.get(pk=held.pk).attempts == 1


def test_a_second_press_while_one_is_under_way_sends_nothing_more(upstream, placed):
    ask(placed)
    with pytest.raises(AlreadyAskedError, match=r"tina already requested it at \d\d:\d\d:\d\d"):
        ask(placed)

    assert Cancellation.objects.count() == 1
    sending.send(Cancellation.objects.get().pk)
    with pytest.raises(AlreadyAskedError):
        ask(placed)  # the broker's word may still come


def test_the_database_holds_one_open_request_for_an_order(upstream, placed):
    held = ask(placed)

    held.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        held.save(force_insert=True)


def test_two_who_press_at_once_make_one_request(upstream, transactional_db):
    pk, told = cancelling.placed(upstream), []

    def press():
        try:
            ask(pk)
        except AlreadyAskedError as error:
            told.append(error)

    cancelling.twice_at_once(press)
    assert Cancellation.objects.count() == len(told) == 1
    assert words(pk) == ["REQUESTED"]


def test_what_was_refused_or_taken_long_ago_can_be_asked_for_again(upstream, placed):
    expect(upstream, status=409)
    assert sent(placed).state == REFUSED
    upstream.manners.takes = timedelta(hours=2)
    assert sent(placed).state == TAKEN

    upstream.wait(minutes=3)
    assert sent(placed).state == TAKEN
    assert Cancellation.objects.count() == 3


@pytest.mark.parametrize("status_", ["FILLED", "SETTLED", "CANCELLED"])
def test_what_has_ended_cannot_be_cancelled(upstream, placed, status_):
    PortfolioOrder.objects.filter(pk=placed).update(status=status_)

    with pytest.raises(NotPossibleError, match=f"It is already {status_.capitalize()}"):
        ask(placed)
    assert Cancellation.objects.count() == JournalEntry.objects.filter(source="STAFF").count() == 0


def test_what_is_not_known_here_cannot_be_cancelled(upstream):
    with pytest.raises(NotPossibleError, match="We do not know this order"):
        ask(uuid4(), ORDER)


def test_an_unknown_word_may_be_cancelled(upstream, placed):
    PortfolioOrder.objects.filter(pk=placed).update(status="SUSPENDED")

    assert sent(placed).state == TAKEN


def test_a_single_order_is_cancelled(upstream):
    pk = upstream.place_order()
    receive(upstream.events())
    held = sent(pk, ORDER)

    assert held.state == TAKEN
    assert upstream.asked() == [f"DELETE /orders/{pk}", f"GET /orders/{pk}"]
    wait_until_due(upstream, held)
    sending.send(held.pk)
    assert status(pk, Order) == "CANCELLED"


def test_an_order_of_a_portfolio_order_is_cancelled_and_the_others_go_on(upstream, placed):
    receive(upstream.wait(seconds=9))
    pk = Order.objects.filter(portfolio_order_id=placed).earliest("pk").pk
    held = sent(pk, ORDER)
    while Cancellation.objects.get(pk=held.pk).next_attempt_at:
        wait_until_due(upstream, held)
        sending.send(held.pk)

    assert status(pk, Order) == "CANCELLED"
    others = Order.objects.filter(portfolio_order_id=placed).exclude(pk=pk)
    assert "CANCELLED" not in set(others.values_list("status", flat=True))
    assert status(placed) != "CANCELLED"


def test_a_rejection_that_the_broker_announces_ends_the_looking(upstream):
    pk = upstream.place_order()
    receive(upstream.wait(seconds=60))
    assert status(pk, Order) == "PROCESSING"
    upstream.manners.heeds = False
    held = sent(pk, ORDER)
    receive(upstream.wait(seconds=5))

    assert JournalEntry.objects.filter(type="ORDER_CANCELLATION.REJECTED").count() == 1
    upstream.asked()
    held = sending.send(held.pk)
    assert (held.state, held.next_attempt_at) == (TAKEN, None)
    assert upstream.asked() == []


def test_the_fill_may_win_the_race(upstream, placed):
    upstream.manners.takes = timedelta(hours=1)
    held = sent(placed)
    assert held.state == TAKEN
    receive(upstream.wait(minutes=59))

    assert status(placed) == "FILLED"
    sending.send(held.pk)
    assert Cancellation.objects.get(pk=held.pk).next_attempt_at is None
    assert upstream.truth(placed)["status"] == "FILLED"


def test_looking_ends_after_an_hour_without_a_word(upstream):
    pk = upstream.place_order(order_type="LIMIT", quantity="5", limit_price="10")
    receive(upstream.wait(minutes=1))
    upstream.manners.takes = timedelta(days=9)
    held, looks = sent(pk, ORDER), 0
    while held.next_attempt_at:
        wait_until_due(upstream, held)
        held, looks = sending.send(held.pk), looks + 1

    assert 10 < looks < 30
    assert timezone.now() <= held.answered_at + timedelta(hours=1, minutes=6)
    assert (held.state, status(pk, Order)) == (TAKEN, "PROCESSING")
