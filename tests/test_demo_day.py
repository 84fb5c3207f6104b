"""The day behind the demo: told by signed deliveries, whole, and with one example of each case."""

from datetime import timedelta
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models import F
from django.utils import timezone

from backoffice.demo import COLLEAGUE, FAULTS
from backoffice.sandbox import Sandbox
from orders.lifecycle import CONFLICT, MISTRADE
from orders.models import (
    JournalEntry,
    Order,
    Outcome,
    Placement,
    PlacementState,
    PortfolioOrder,
    Reconciliation,
)
from webhooks.demo import day
from webhooks.models import Delivery, Verdict

pytestmark = pytest.mark.django_db


@pytest.fixture
def sandbox(settings, tmp_path, monkeypatch):
    """A sandbox that does not run, as before the demo starts; the limits are those of the demo."""
    monkeypatch.setattr(day, "COUNT", 4)
    settings.PLACING_APPROVAL_ABOVE = {"EUR": 50_000}
    settings.STALE_NEW = timedelta(seconds=45)
    User.objects.create_user(COLLEAGUE, is_staff=True)
    return sandbox_of(tmp_path / "memory")


def sandbox_of(memory):
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    return Sandbox(
        client_id=str(uuid4()), client_secret="x", client_key_id=str(uuid4()),
        client_public_key=key, faults=FAULTS, memory=memory,
    )  # fmt: skip


def examples():
    """Return how many there are of each case."""
    now = timezone.now()
    return {
        "stale": PortfolioOrder.objects.stale(now=now).filter(status="NEW").count(),
        "conflict": sum(
            bool(bits & CONFLICT)
            for bits in PortfolioOrder.objects.values_list("problems", flat=True)
        ),
        "mistrade": min(Order.objects.filter(problems=MISTRADE).count(), 1),
        "quarantined": JournalEntry.objects.filter(outcome=Outcome.QUARANTINED).count(),
        "unknown": Placement.objects.filter(state=PlacementState.UNKNOWN).count(),
        "proposed": Placement.objects.filter(state=PlacementState.PROPOSED).count(),
        "reconciliation": Reconciliation.objects.count(),
    }


def test_the_day_is_there_with_one_example_of_each_case(sandbox):
    day.furnish(sandbox)

    assert set(examples().values()) == {1}
    oldest = PortfolioOrder.objects.earliest("created_at").created_at
    assert timezone.now() - oldest > timedelta(hours=20)
    assert not Delivery.objects.exclude(verdict=Verdict.ACCEPTED).exists()
    assert Placement.objects.get(state=PlacementState.PROPOSED).submitted_by_id is not None
    call_command("rebuild", "--check")  # raises where anything differs


def test_everything_that_the_desk_was_told_is_known_to_the_sandbox(sandbox):
    day.furnish(sandbox)

    known = {it["id"]: it["status"] for it in sandbox.market.portfolio_orders()}
    held = dict(PortfolioOrder.objects.filter(problems=0).values_list("pk", "status"))
    assert held.items() <= {pk: known[str(pk)] for pk in held}.items()
    assert len(known) == PortfolioOrder.objects.count() + 2  # of which no webhook ever came


def test_nothing_of_the_day_came_late_but_what_was_held_back(sandbox):
    day.furnish(sandbox)

    events = JournalEntry.objects.filter(source="WEBHOOK", repeat_of=None)
    late = events.filter(recorded_at__gt=F("occurred_at") + timedelta(seconds=5))
    assert late.count() < events.count() / 20


def test_a_second_start_adds_nothing_but_the_examples_that_somebody_dealt_with(sandbox, tmp_path):
    day.furnish(sandbox)
    sandbox.remember()
    orders = PortfolioOrder.objects.count()

    day.furnish(sandbox_of(tmp_path / "memory"))
    assert PortfolioOrder.objects.count() == orders
    assert set(examples().values()) == {1}

    Placement.objects.filter(state=PlacementState.PROPOSED).update(state=PlacementState.DECLINED)
    JournalEntry.objects.filter(outcome=Outcome.QUARANTINED).update(outcome=Outcome.IGNORED)
    day.furnish(sandbox_of(tmp_path / "memory"))
    assert set(examples().values()) == {1}
    assert Placement.objects.filter(state=PlacementState.DECLINED).count() == 1
