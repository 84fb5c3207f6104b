"""Placing portfolio orders: what people do with a placement, and what its steps leave behind."""

import json
import re
from datetime import timedelta
from math import ceil
from threading import Barrier, Thread
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections, transaction
from django.utils import timezone

from backoffice.sandbox import Trouble
from orders.models import JournalEntry, Placement, PlacementState, PortfolioOrder
from orders.placing import attempts, placing, schedule
from orders.placing.errors import KeyTakenError, NotPossibleError, SamePersonError
from orders.placing.wish import read_wish
from tests.upstream import running

pytestmark = pytest.mark.django_db

FIELDS = {
    "user_id": str(uuid4()),
    "account_id": str(uuid4()),
    "cash_amount": "1000.50",
    "currency": "EUR",
    "side": "BUY",
}
POST = "POST /portfolios/orders"
PATH = "/portfolios/orders"


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


def wish(**changes):
    return read_wish(FIELDS | changes)


def order_of(placement):
    """Return the row of the portfolio order that a placement was accepted as."""
    return PortfolioOrder.objects.get(pk=str(placement.portfolio_order_id))


def words(placement):
    """Return the words of a placement's steps, in their order."""
    entries = JournalEntry.objects.filter(placement_id=placement.pk, type="PLACEMENT")
    return list(entries.order_by("pk").values_list("status", flat=True))


def wait_until_due(upstream, placement):
    due_at = Placement.objects.get(pk=placement.pk).next_attempt_at
    upstream.wait(seconds=ceil((due_at - timezone.now()).total_seconds()))


def test_the_example_of_the_readme_places_an_order_once_however_often_it_is_run(upstream):
    readme = (settings.BASE_DIR / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    names = {"key": uuid4()}

    for _ in range(2):
        exec(example, names)

    call_command("poll")
    placement = Placement.objects.get(pk=names["key"])
    assert placement.state == PlacementState.ACCEPTED
    (order,) = upstream.market.portfolio_orders()
    assert order["cash_amount"] == "2500.00"
    assert placement.submitted_by == "savings plans"


def test_a_placement_is_committed_with_key_and_exact_body_before_anything_is_sent(upstream):
    placement = placing.place(wish(), actor="tina")

    held = Placement.objects.get(pk=placement.pk)
    assert (held.state, held.submitted_by, held.attempts) == (PlacementState.READY, "tina", 0)
    assert json.loads(bytes(held.body)) == FIELDS | {"post_tax": False}
    assert upstream.asked() == []
    assert words(held) == ["SUBMITTED"]


def test_a_placed_order_is_accepted_and_here_at_once(upstream):
    placement = placing.send(placing.place(wish(), actor="tina").pk)

    assert placement.state == PlacementState.ACCEPTED
    assert upstream.asked() == [POST]
    row = order_of(placement)
    assert (row.status, row.cash_amount, row.type) == ("NEW", "1000.50", "BUY")
    assert row.account_id == UUID(FIELDS["account_id"])
    assert words(placement) == ["SUBMITTED", "SENT", "ACCEPTED"]
    answer = JournalEntry.objects.get(portfolio_order_id=row.pk)
    assert (answer.source, answer.actor, answer.placement_id) == ("STAFF", "", placement.pk)


def test_the_same_key_with_the_same_wish_is_the_same_placement(upstream):
    key = uuid4()
    first = placing.place(wish(), actor="tina", key=key)

    assert placing.place(wish(), actor="tina", key=key).pk == first.pk
    assert words(first) == ["SUBMITTED"]


def test_a_key_stands_for_one_wish(upstream):
    key = uuid4()
    placing.place(wish(), actor="tina", key=key)

    with pytest.raises(KeyTakenError, match="Nothing was placed"):
        placing.place(wish(cash_amount="2000"), actor="tina", key=key)


def test_what_was_accepted_is_not_sent_again(upstream):
    placement = placing.send(placing.place(wish(), actor="tina").pk)

    placing.send(placement.pk)
    assert upstream.asked() == [POST]


def test_a_refusal_keeps_the_problem_document_as_it_came(upstream):
    placement = placing.place(wish(), actor="tina")
    upstream.expect(Trouble("problem", status=422, path=PATH))
    placement = placing.send(placement.pk)

    assert placement.state == PlacementState.REFUSED
    problem = json.loads(bytes(placement.problem))
    assert problem["status"] == 422
    assert "422 Unprocessable entity" in placement.reason
    assert placement.next_attempt_at is None
    assert words(placement) == ["SUBMITTED", "SENT", "REFUSED"]
    assert upstream.market.portfolio_orders() == []


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 418, 302])
def test_an_answer_that_says_nothing_sure_leaves_the_fate_unknown(upstream, status):
    placement = placing.place(wish(), actor="tina")
    upstream.expect(Trouble("problem", status=status, path=PATH))
    placement = placing.send(placement.pk)

    assert placement.state == PlacementState.UNKNOWN
    assert placement.next_attempt_at > timezone.now()
    assert words(placement) == ["SUBMITTED", "SENT", "UNKNOWN"]


def test_what_is_unknown_is_sent_again_with_the_same_key_and_the_same_bytes(upstream):
    placement = placing.place(wish(), actor="tina")
    upstream.expect(Trouble("page", status=502, path=PATH))
    placing.send(placement.pk)
    placing.send(placement.pk)  # not due yet
    assert upstream.asked() == [POST]

    wait_until_due(upstream, placement)
    placement = placing.send(placement.pk)
    assert placement.state == PlacementState.ACCEPTED
    assert placement.attempts == 2
    assert len(upstream.market.portfolio_orders()) == 1


def test_retries_grow_from_seconds_to_a_quarter_of_an_hour_and_end_before_24_hours(upstream):
    placement = placing.place(wish(), actor="tina")
    upstream.expect(Trouble("problem", status=503, path=PATH), times=10_000)
    waits: list[float] = []
    while placing.send(placement.pk).attempts > len(waits):
        held = Placement.objects.get(pk=placement.pk)
        waits.append((held.next_attempt_at - timezone.now()).total_seconds())
        wait_until_due(upstream, placement)

    assert 3 < waits[0] < 5
    assert max(waits[:-1]) <= 18 * 60
    assert held.sent_at < held.first_sent_at + schedule.SEND_WITHIN
    assert 70 < len(waits) < 150  # each placement has a spread of its own, a fifth of the wait


def test_after_24_hours_it_is_never_sent_but_looked_up_and_left_to_a_person(upstream):
    placement = placing.place(wish(), actor="tina")
    upstream.expect(Trouble("problem", status=503, path=PATH))
    placing.send(placement.pk)
    upstream.wait(hours=24, minutes=1)
    upstream.asked()

    placement = placing.send(placement.pk)
    assert upstream.asked() == ["GET /portfolios/orders"]
    assert placement.state == PlacementState.UNKNOWN
    assert placement.next_attempt_at is None
    assert words(placement) == ["SUBMITTED", "SENT", "UNKNOWN", "LOOKED_UP"]
    upstream.wait(hours=24)
    placing.send(placement.pk)
    assert upstream.asked() == []


def test_a_look_up_that_fails_is_made_again(upstream):
    placement = placing.place(wish(), actor="tina")
    upstream.expect(Trouble("problem", status=503, path=PATH), times=2)
    placing.send(placement.pk)
    upstream.wait(hours=24, minutes=1)

    placement = placing.send(placement.pk)
    assert placement.next_attempt_at is not None
    wait_until_due(upstream, placement)
    assert placing.send(placement.pk).next_attempt_at is None
    assert upstream.asked() == [POST, *["GET /portfolios/orders"] * 2]


def test_between_the_last_attempt_and_24_hours_it_is_neither_sent_nor_looked_up(upstream):
    placement = placing.place(wish(), actor="tina")
    upstream.expect(Trouble("problem", status=503, path=PATH))
    placing.send(placement.pk)
    upstream.asked()
    upstream.wait(hours=23, minutes=50)

    placement = placing.send(placement.pk)
    assert upstream.asked() == []
    assert placement.next_attempt_at == placement.first_sent_at + timedelta(hours=24)


def test_a_process_that_dies_before_the_request_leaves_unknown_and_due_after_its_lease(upstream):
    placement = placing.place(wish(), actor="tina")
    attempts.begin(placement.pk, actor="", now=timezone.now())

    assert Placement.objects.get(pk=placement.pk).state == PlacementState.UNKNOWN
    placing.send(placement.pk)
    assert upstream.asked() == []
    upstream.wait(minutes=2, seconds=1)
    assert placing.send(placement.pk).state == PlacementState.ACCEPTED
    assert words(placement) == ["SUBMITTED", "SENT", "UNKNOWN", "SENT", "ACCEPTED"]


def test_a_process_that_dies_between_answer_and_commit_places_no_second_order(
    upstream, monkeypatch
):
    placement = placing.place(wish(), actor="tina")
    with monkeypatch.context() as patch:
        patch.setattr("orders.placing.concluding.conclude", killed)
        with pytest.raises(KeyboardInterrupt):
            placing.send(placement.pk)

    upstream.wait(minutes=3)
    assert placing.send(placement.pk).state == PlacementState.ACCEPTED
    assert len(upstream.market.portfolio_orders()) == 1


def killed(*_, **__):
    raise KeyboardInterrupt


def test_what_never_left_is_as_if_nobody_had_tried(upstream):
    placement = placing.place(wish(), actor="tina")
    upstream.expect(Trouble("problem", status=503, path="/auth/token"))

    placement = placing.send(placement.pk)
    assert (placement.state, placement.attempts) == (PlacementState.READY, 0)
    assert placement.first_sent_at is placement.sent_at is placement.sending_until is None
    assert upstream.asked() == []
    assert words(placement) == ["SUBMITTED", "SENT", "NOT_SENT"]
    wait_until_due(upstream, placement)
    assert placing.send(placement.pk).state == PlacementState.ACCEPTED


def test_a_refusal_after_an_open_attempt_is_no_end_while_that_may_be_under_way(upstream):
    placement = placing.place(wish(), actor="tina")
    upstream.expect(Trouble("cut", path=PATH))
    upstream.expect(Trouble("problem", status=422, path=PATH), times=2)
    placing.send(placement.pk)
    wait_until_due(upstream, placement)

    placement = placing.send(placement.pk)
    assert placement.state == PlacementState.UNKNOWN
    assert "An earlier attempt has no answer yet" in placement.reason
    assert placement.next_attempt_at >= placement.unanswered_at + schedule.OVER_AFTER
    wait_until_due(upstream, placement)
    assert placing.send(placement.pk).state == PlacementState.REFUSED


@pytest.mark.parametrize("status", [401, 403, 409])
def test_credentials_say_nothing_about_an_open_attempt(upstream, status):
    placement = placing.place(wish(), actor="tina")
    upstream.expect(Trouble("cut", path=PATH))
    upstream.expect(Trouble("problem", status=status, path=PATH), times=2)
    placing.send(placement.pk)
    upstream.wait(minutes=30)

    assert placing.send(placement.pk).state == PlacementState.UNKNOWN
    upstream.wait(hours=1)
    assert placing.send(placement.pk).state != PlacementState.REFUSED


def test_a_send_inside_a_transaction_is_refused(upstream, transactional_db):
    placement = placing.place(wish(), actor="tina")

    with pytest.raises(RuntimeError), transaction.atomic():
        placing.send(placement.pk)
    assert upstream.asked() == []


def test_two_workers_send_it_once(upstream, transactional_db):
    placement = placing.place(wish(), actor="tina")
    barrier = Barrier(2)

    def work():
        barrier.wait()
        placing.send(placement.pk)
        connections.close_all()

    threads = [Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert upstream.asked() == [POST]
    assert Placement.objects.get(pk=placement.pk).attempts == 1


def test_with_approval_nothing_is_sent_before_another_person_approved(upstream, settings):
    settings.PLACING_NEEDS_APPROVAL = True
    placement = placing.place(wish(), actor="tina")

    placing.send(placement.pk)
    assert upstream.asked() == []
    with pytest.raises(SamePersonError):
        placing.approve(placement.pk, actor="tina")
    placing.approve(placement.pk, actor="otto")
    assert placing.send(placement.pk).state == PlacementState.ACCEPTED
    assert words(placement) == ["PROPOSED", "APPROVED", "SENT", "ACCEPTED"]


def test_what_is_declined_is_never_sent(upstream, settings):
    settings.PLACING_NEEDS_APPROVAL = True
    placement = placing.place(wish(), actor="tina")

    with pytest.raises(NotPossibleError, match="Give a reason"):
        placing.decline(placement.pk, actor="otto", reason=" ")
    placement = placing.decline(placement.pk, actor="otto", reason="Wrong account")
    assert (placement.state, placement.decided_by) == (PlacementState.DECLINED, "otto")
    with pytest.raises(NotPossibleError, match="its state is declined"):
        placing.approve(placement.pk, actor="otto")
    placing.send(placement.pk)
    assert upstream.asked() == []
