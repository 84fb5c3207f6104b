"""How long the broker may keep us waiting: people and the key set not at all, all else five minutes at most."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from backoffice import panels
from backoffice.investment_api.budget import Urgency
from backoffice.investment_api.client import api
from backoffice.investment_api.errors import UnavailableError
from backoffice.investment_api.waits import LONGEST_WAIT
from backoffice.sandbox import Trouble
from orders.asking import checking
from orders.asking.feedback import Verdict
from orders.cancelling import requesting
from orders.cancelling import sending as cancelling
from orders.lifecycle import Kind
from orders.models import PlacementState
from orders.placing import placing
from orders.placing import sending as placing_sending
from tests.staff import browser, html, messages, words
from tests.test_cancel_admin import press
from tests.test_placing import wish
from tests.upstream import receive, running
from webhooks.authentication import key_set

pytestmark = pytest.mark.django_db
WAITS = ["3600", "1000000000000", "3599.5", "Sat, 01 Jan 2050 00:00:00 GMT"]


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


@pytest.fixture
def placed(upstream):
    pk = upstream.place()
    receive(upstream.events())
    return pk


def keep_waiting(upstream, value, status=429):
    """Let a call of background work be answered with a ``Retry-After``."""
    upstream.expect(Trouble("problem", status, retry_after=value, path="/portfolios"))
    with pytest.raises(UnavailableError):
        api().portfolio_order(uuid4())
    with pytest.raises(UnavailableError, match="not sent, rate limited"):
        api().portfolio_order(uuid4())
    upstream.asked()


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("value", WAITS)
def test_a_long_retry_after_of_a_background_call_keeps_no_person_from_cancelling(
    upstream, placed, value, status
):
    client = browser("Trader")
    keep_waiting(upstream, value, status)

    response = press(client, placed)

    assert messages(response) == [
        "Cancellation requested. Request accepted; waiting for confirmation."
    ]
    assert upstream.asked()[0] == f"DELETE /portfolios/orders/{placed}"


def test_nor_from_placing_refetching_and_looking_up_nor_the_key_set_from_being_fetched(
    upstream, placed
):
    keep_waiting(upstream, "3600")

    placement = placing.send(placing.place(wish(), actor="tina").pk, patience=5.0)
    refetched = checking.refetch(Kind.PORTFOLIO_ORDER, placed, actor="mira")
    key_set.forget()
    (kid,) = (key["kid"] for key in api().verify_keys(urgency=Urgency.PERSON))

    assert placement.state == PlacementState.ACCEPTED
    assert refetched.verdict is Verdict.ANSWERED
    assert kid in key_set.find([kid])


def test_what_nobody_waits_for_rests_but_for_five_minutes_at_most(upstream, placed):
    keep_waiting(upstream, "3600")
    placement = placing.place(wish(), actor="tina")
    request = requesting.request(Kind.PORTFOLIO_ORDER, placed, actor="tina", rings=False)

    assert placing_sending.due(now=timezone.now()) == []
    assert cancelling.due(now=timezone.now()) == []
    assert checking.due(now=timezone.now() + timedelta(days=1)) == []
    held = placing.send(placement.pk)
    assert held.state == PlacementState.READY
    assert held.next_attempt_at - timezone.now() <= LONGEST_WAIT
    sent = cancelling.send(request.pk)
    assert sent.state == "READY"
    assert sent.next_attempt_at - timezone.now() <= LONGEST_WAIT
    assert upstream.asked() == []
    for urgency in (Urgency.SUBMISSION, Urgency.BACKGROUND):
        until = api().budget.paused_until(urgency)
        assert until is not None
        assert until - datetime.now(UTC) <= LONGEST_WAIT


def test_throttling_without_a_word_on_how_long_holds_up_nothing_that_people_submitted(upstream):
    upstream.expect(Trouble("problem", 429, path="/portfolios"))
    with pytest.raises(UnavailableError):
        api().portfolio_order(uuid4())
    placement = placing.place(wish(), actor="tina")

    assert placing_sending.due(now=timezone.now()) == [placement.pk]
    assert placing.send(placement.pk).state == PlacementState.ACCEPTED


def test_a_cancel_that_is_itself_answered_429_is_sent_again_within_five_minutes(upstream, placed):
    upstream.expect(Trouble("problem", 429, retry_after="3600", method="DELETE"))

    held = cancelling.send(
        requesting.request(Kind.PORTFOLIO_ORDER, placed, actor="tina", rings=False).pk,
        patience=5.0,
    )

    assert held.state == "UNKNOWN"
    assert held.next_attempt_at - timezone.now() <= LONGEST_WAIT
    other = upstream.place()
    receive(upstream.events())
    again = requesting.request(Kind.PORTFOLIO_ORDER, other, actor="tina", rings=False)
    assert cancelling.send(again.pk, patience=5.0).state == "TAKEN"


def test_the_page_of_the_api_and_today_say_who_waits_and_until_when(upstream):
    api().verify_keys(urgency=Urgency.PERSON)
    client = browser()
    keep_waiting(upstream, "90")
    panels.forget("api-weather")

    said = words(client.get("/admin/broker-api/"))
    assert "background work, placing and cancelling wait until 10:01:" in said
    assert "Requests by staff are always sent." in said
    assert "background work, placing and cancelling paused until 10:01:" in html(
        client.get("/admin/")
    )


@pytest.mark.parametrize("value", ["-5", "soon", "", "1,5", "nan", "9e9", "0x10"])
def test_what_no_wait_can_be_read_from_is_a_429_without_a_wait(upstream, value):
    upstream.expect(Trouble("problem", 429, retry_after=value, path="/portfolios"))
    with pytest.raises(UnavailableError):
        api().portfolio_order(uuid4())

    assert api().budget.paused_until(Urgency.SUBMISSION) is None
    assert api().budget.paused_until() is not None
