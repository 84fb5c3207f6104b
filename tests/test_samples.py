"""Each delivery of the contract's samples, posted with a real signature, and what becomes of it."""

import itertools
import json
from datetime import timedelta

import pytest
from django.utils import timezone

from orders import projection
from orders.models import Execution, JournalEntry, Order, PortfolioOrder
from tests.signed import SAMPLES, publish, sample, take_in
from webhooks.models import Delivery, Verdict

PORTFOLIO_ORDER = "c77bd5ec-8f03-45a7-b1f2-c34fef23c4f8"
SEED = "2ade7605-2650-4e0d-a551-a3b21d37fbe6"
LIFE = [
    f"webhook.batch.{part}"
    for part in ("portfolio_lifecycle_part1", "portfolio_lifecycle_part2", "settlement")
]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _keys():
    publish()


@pytest.fixture
def deliver(client):
    """Return a way to post the deliveries of samples and drain after each."""

    def deliver(*names, drain=True):
        for name in names:
            value = sample(name)
            is_sequence = isinstance(value, list)
            bodies = value if is_sequence else [value]
            raw = (SAMPLES / f"{name}.json").read_bytes()
            for body in bodies:
                answer = take_in(client, json.dumps(body).encode() if is_sequence else raw)
                assert answer.status_code == 200
                if drain:
                    projection.drain(now=timezone.now())

    return deliver


def outcomes():
    rows = JournalEntry.objects.order_by("recorded_at", "occurred_at", "pk")
    return [(row.type, row.outcome) for row in rows]


def statuses(model):
    return {str(row.pk)[:8]: row.status for row in model.objects.all()}


def state():
    """Return every state column of every row."""
    clocks = {
        "missing_since", "heard_at", "heard_via", "news_at", "check_after", "asking_until",
        "checked_at", "checks", "check_error",
    }  # fmt: skip
    return [
        {name: value for name, value in row.items() if name not in clocks}
        for model in (PortfolioOrder, Order, Execution)
        for row in model.objects.order_by("pk").values()
    ]


def test_every_webhook_sample_is_answered_200_and_stored_once_per_event(deliver):
    names = sorted(path.stem for path in SAMPLES.glob("webhook.*.json"))
    assert len(names) == 15

    deliver(*names)
    entries = set(JournalEntry.objects.filter(repeat_of=None).values_list("event_id", flat=True))
    deliver(*names)

    assert not Delivery.objects.exclude(verdict=Verdict.ACCEPTED).exists()
    again = JournalEntry.objects.filter(repeat_of=None).values_list("event_id", flat=True)
    assert (set(again), len(again)) == (entries, len(entries))
    assert not JournalEntry.objects.filter(outcome="PENDING").exists()


def test_a_single_event(deliver):
    deliver("webhook.single_event")

    assert outcomes() == [("PORTFOLIO_ORDER.NEW", "APPLIED")]
    assert statuses(PortfolioOrder) == {PORTFOLIO_ORDER[:8]: "NEW"}


def test_the_life_of_a_portfolio_order(deliver):
    deliver(*LIFE)

    assert {outcome for _, outcome in outcomes()} <= {"APPLIED", "NO_CHANGE"}
    assert len(outcomes()) == 18
    assert statuses(PortfolioOrder) == {PORTFOLIO_ORDER[:8]: "SETTLED"}
    assert statuses(Order) == {"d1c1395e": "FILLED", "83797730": "FILLED", "396c7582": "FILLED"}
    assert Order.objects.filter(portfolio_order__pk=PORTFOLIO_ORDER).count() == 3
    assert sorted(statuses(Execution).values()) == ["FILLED", "FILLED", "FILLED", "SETTLED"]


def test_a_cancellation_of_a_portfolio_order(deliver):
    deliver("webhook.batch.portfolio_cancelled")

    assert statuses(PortfolioOrder) == {PORTFOLIO_ORDER[:8]: "CANCELLED"}
    assert statuses(Order) == {"d1c1395e": "CANCELLED", "83797730": "CANCELLED"}
    assert PortfolioOrder.objects.get().cancellation_reason


def test_deliveries_out_of_order_and_in_reverse_end_in_the_same_state(client):
    bodies = sample("webhook.out_of_order")
    ends = []
    for order in itertools.permutations(bodies):
        for model in (JournalEntry, PortfolioOrder, Order, Execution):
            model.objects.all().delete()
        for body in order:
            assert take_in(client, json.dumps(body).encode()).status_code == 200
            projection.drain(now=timezone.now())
        ends.append(state())

    assert len(ends) == 24
    assert all(end == ends[0] for end in ends)
    assert statuses(PortfolioOrder) == {PORTFOLIO_ORDER[:8]: "FILLED"}
    assert statuses(Order)["d1c1395e"] == "FILLED"


def test_a_repeated_delivery_changes_nothing_and_each_repeat_is_kept(deliver):
    deliver("webhook.duplicate_delivery")

    assert list(Delivery.objects.order_by("pk").values_list("events", "repeats")) == [
        (2, 0), (2, 2), (2, 1),
    ]  # fmt: skip
    assert [outcome for _, outcome in outcomes()].count("APPLIED") == 3
    repeats = JournalEntry.objects.exclude(repeat_of=None)
    assert [(row.outcome, row.payload, row.message) for row in repeats] == [
        ("NO_CHANGE", b"", "")
    ] * 3


def test_a_refused_cancellation_tells_of_its_order_and_changes_no_status(deliver):
    deliver(LIFE[0])
    before = statuses(Order)
    deliver("webhook.order_cancellation_rejected")

    entry = JournalEntry.objects.get(type="ORDER_CANCELLATION.REJECTED")
    assert (str(entry.order_id)[:8], entry.outcome) == ("d1c1395e", "NO_CHANGE")
    assert statuses(Order) == before


def test_a_cancelled_execution_is_flagged_on_its_filled_order(deliver):
    deliver(*LIFE, "webhook.execution_cancelled")

    assert outcomes()[-1] == ("EXECUTION.CANCELLED", "APPLIED")
    order = Order.objects.get(pk="83797730-9dda-43d8-89d5-32627f2e0ddb")
    assert (order.status, order.problems) == ("FILLED", 4)
    assert statuses(Execution)["1ec4998a"] == "CANCELLED"


def test_a_rebalancing_execution_order_is_kept_and_carries_no_fact(deliver):
    deliver("webhook.rebalancing_execution_order")

    entry = JournalEntry.objects.get()
    assert str(entry.portfolio_order_id) == "9210c14e-6436-4092-b619-f449c1104164"
    assert entry.outcome == "NO_CHANGE"
    assert not PortfolioOrder.objects.exists()


def test_an_unknown_status_is_kept_and_an_unknown_topic_ignored(deliver):
    deliver("webhook.unknown_type")

    assert outcomes() == [("PORTFOLIO_ORDER.REOPENED", "APPLIED"), ("TOPUP.CONFIRMED", "IGNORED")]
    row = PortfolioOrder.objects.get()
    assert (row.status, row.problems) == ("REOPENED", 2)


def test_an_unknown_status_does_not_displace_a_known_one(deliver):
    deliver("webhook.single_event", "webhook.unknown_type")

    row = PortfolioOrder.objects.get()
    assert (row.status, row.problems) == ("NEW", 2)


def test_an_empty_payload_is_stored_as_a_delivery_without_events(deliver):
    deliver("webhook.empty_payload")

    delivery = Delivery.objects.get()
    assert (delivery.verdict, delivery.events, outcomes()) == (Verdict.ACCEPTED, 0, [])


def test_one_bad_event_is_quarantined_and_its_neighbours_are_applied(deliver):
    deliver("webhook.one_bad_event")

    assert sorted(outcomes()) == [
        ("ORDER.NEW", "APPLIED"), ("ORDER.NEW", "QUARANTINED"), ("PORTFOLIO_ORDER.NEW", "APPLIED"),
    ]  # fmt: skip
    bad = JournalEntry.objects.get(outcome="QUARANTINED")
    assert str(bad.event_id) == "0b679f29-cf3f-4f28-a79f-aef86a6d155b"
    assert bad.message == "the ORDER.NEW event has no object"


@pytest.mark.parametrize("shape", ["bare_event", "enveloped"])
def test_the_guides_own_example_is_applied_type_new_with_status_processing(
    deliver, admin_client, shape
):
    deliver(f"webhook.seed_shape.{shape}")

    assert outcomes() == [("PORTFOLIO_ORDER.NEW", "APPLIED")]
    row = PortfolioOrder.objects.get()
    assert (str(row.pk), row.status, row.type, row.announced) == (SEED, "PROCESSING", "SELL", "NEW")
    assert row.account_id == row.allocation_id
    # One of its orders has the id of the portfolio order itself.
    assert statuses(Order) == {"22cfd87e": "NEW", SEED[:8]: "PROCESSING", "172d8bb5": "FILLED"}
    assert {str(order.portfolio_order_id) for order in Order.objects.all()} == {SEED}

    for kind in ("portfolioorder", "order"):
        page = admin_client.get(f"/admin/orders/{kind}/{SEED}/change/")
        assert page.status_code == 200
        assert SEED in page.text


def test_a_delivery_is_applied_whole_however_late_the_drain_comes(deliver):
    deliver(*LIFE, drain=False)
    projection.drain(now=timezone.now() + timedelta(days=1))

    assert statuses(PortfolioOrder) == {PORTFOLIO_ORDER[:8]: "SETTLED"}
