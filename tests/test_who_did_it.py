"""Who did it: what a person did is booked to the person, what the desk does by itself never is."""

from datetime import timedelta

import pytest
from django.utils import timezone

from backoffice.sandbox import Trouble
from orders import actors, journal
from orders.cancelling import requesting
from orders.lifecycle import Kind
from orders.models import JournalEntry, Outcome, PortfolioOrder
from orders.placing import placing
from orders.placing.wish import read_wish
from orders.timeline.history import history_of
from orders.timeline.sentences import title
from orders.tracked import Source
from tests.listed import record_failure
from tests.upstream import running

pytestmark = pytest.mark.django_db
PATH = "/portfolios/orders"
FIELDS = {
    "user_id": "4e97711f-794d-49c7-8fd1-df96532ab6f0",
    "account_id": "840def04-f711-4274-b381-f20c93f39362",
    "cash_amount": "2500.00",
    "currency": "EUR",
    "side": "BUY",
    "post_tax": "false",
}


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


def steps(**about):
    """Return word, recorded actor and sentence of each step, the oldest first."""
    rows = JournalEntry.objects.filter(outcome=Outcome.NOTED, **about).order_by("pk")
    return [(it.status, it.actor, it.message) for it in rows]


def test_what_a_worker_sends_is_booked_to_the_desk_and_names_who_had_asked(upstream):
    placement = placing.place(read_wish(FIELDS), actor="tina")
    upstream.expect(Trouble("cut", path=PATH))
    placing.send(placement.pk)

    submitted, sent, unknown = steps(placement_id=placement.pk)

    assert submitted == ("SUBMITTED", "tina", "Submitted by tina")
    assert sent == ("SENT", "", "Sent automatically, attempt 1 (requested by tina)")
    assert unknown[:2] == ("UNKNOWN", "")


def test_what_a_person_sends_again_is_theirs_and_the_answer_nobodys(upstream):
    placement = placing.place(read_wish(FIELDS), actor="tina")
    upstream.expect(Trouble("cut", path=PATH))
    placing.send(placement.pk)

    placing.send(placement.pk, patience=5, actor="otto", is_early=True)

    *_, sent, accepted = steps(placement_id=placement.pk)
    assert sent == ("SENT", "otto", "Sent to the broker by otto, attempt 2")
    assert accepted[:2] == ("ACCEPTED", "")
    answer = JournalEntry.objects.get(placement_id=placement.pk, type=Kind.PORTFOLIO_ORDER)
    assert (answer.source, answer.actor) == (Source.STAFF, "")


@pytest.mark.parametrize("patience", [None, 5])
def test_the_check_after_a_cancellation_is_the_desks_also_while_the_person_waits(
    upstream, patience
):
    placement = placing.send(placing.place(read_wish(FIELDS), actor="tina").pk)
    assert placement.portfolio_order_id
    made = requesting.request(
        Kind.PORTFOLIO_ORDER, placement.portfolio_order_id, actor="otto", rings=False
    )

    requesting.send(made.pk, patience=patience)

    about = {"portfolio_order_id": placement.portfolio_order_id}
    requested, sent, *rest = steps(type="CANCELLATION", **about)
    assert requested == ("REQUESTED", "otto", "Cancellation requested by otto")
    by = "" if patience is None else "otto"
    assert (sent[:2], "by otto" in sent[2]) == (("SENT", by), True)
    assert {actor for _, actor, _ in rest} == {""}
    assert not JournalEntry.objects.filter(source=Source.REFETCH).exists()
    assert JournalEntry.objects.filter(source=Source.POLL, actor="", **about).exists()


def old(type_, word, message, *, actor="tina", source="STAFF", outcome="NOTED"):
    """Return an entry as older releases wrote it: each with the name of who had asked for it."""
    return JournalEntry(
        source=source, outcome=outcome, type=type_, status=word, message=message, actor=actor
    )


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (old("PLACEMENT", "SUBMITTED", "Submitted by tina"), "by tina"),
        (
            old("PLACEMENT", "SENT", "Sent to the broker, attempt 2"),
            "by Order Desk, requested by tina",
        ),
        (old("PLACEMENT", "UNKNOWN", "Attempt 1 is open: cut"), "by Order Desk, requested by tina"),
        (
            old("PLACEMENT", "SETTLED_PLACED", "Settled by otto: it was placed", actor="otto"),
            "by otto",
        ),
        (old("CANCELLATION", "REQUESTED", "Cancel requested by tina"), "by tina"),
        (
            old("CANCELLATION", "SENT", "Cancel sent to the broker: Attempt 3"),
            "by Order Desk, requested by tina",
        ),
        (
            old("CANCELLATION", "REFUSED", "The broker refused the cancel: by tina"),
            "by Order Desk, requested by tina",
        ),
        (old("PORTFOLIO_ORDER", "NEW", "", outcome="APPLIED"), "by the broker"),
        (old("", "", "Called the client. by tina"), "by tina"),
    ],
)
def test_entries_of_older_releases_are_read_as_what_they_were(entry, said):
    assert actors.by(entry) == said
    assert actors.person(entry) == ("" if said.startswith(("by Order", "by the")) else said[3:])


def test_the_check_that_an_older_release_booked_as_a_refetch_is_a_check(upstream):
    placement = placing.send(placing.place(read_wish(FIELDS), actor="tina").pk)
    pk, now = placement.portfolio_order_id, timezone.now()
    assert pk
    about = (Kind.PORTFOLIO_ORDER, pk)
    journal.record_step(
        "Cancel taken by the broker",
        actor="tina",
        now=now,
        type_="CANCELLATION",
        word="TAKEN",
        about=about,
    )
    for seconds in (2, 40):
        at = now + timedelta(seconds=seconds)
        record_failure(*about, "503", source=Source.REFETCH, actor="tina", now=at)

    shown = [title(it) for it in history_of(PortfolioOrder.objects.get(pk=pk)).items]

    assert "Check failed" in shown
    assert "Refetch by tina failed" in shown
