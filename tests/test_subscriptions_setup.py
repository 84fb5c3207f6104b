"""Setting our subscription up, trying it, deleting one: against the sandbox, with a line in the journal."""

from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backoffice.investment_api.errors import RefusedError, UnavailableError
from backoffice.sandbox import Trouble
from backoffice.sandbox.answers import ProblemError
from orders.models import JournalEntry, Outcome
from orders.tracked import Source
from tests.upstream import START, running
from webhooks.models import FeedWatch, Subscription
from webhooks.subscriptions import registry, setup, wanted, watch

pytestmark = pytest.mark.django_db
URL = "https://desk.example.com/webhooks/investment-api"


@pytest.fixture
def upstream(settings):
    settings.WEBHOOK_PUBLIC_URL = URL
    with running(settings) as upstream:
        yield upstream


def ensure():
    return setup.ensure(actor="mira")


def made(upstream, url=URL, **changes):
    """Have upstream hold a subscription as ours should be, with changes; return its id."""
    it = upstream.subscriptions.create(wanted.document(url), now=START)
    upstream.subscriptions.update(it.id, {"enabled": True, **changes}, now=START)
    return UUID(it.id)


def writes(upstream):
    return [call for call in upstream.asked() if not call.startswith("GET ")]


def steps():
    entries = JournalEntry.objects.filter(type=setup.STEP).order_by("pk")
    assert not entries.exclude(source=Source.STAFF, outcome=Outcome.NOTED, actor="mira").exists()
    return [entry.message for entry in entries]


def test_from_nothing_it_is_created_enabled_and_tested(upstream):
    result = ensure()

    (it,) = upstream.subscriptions.all()
    assert UUID(it.id) == result.subscription_id
    assert (it.title, it.url, it.enabled) == ("Order Desk", URL, True)
    assert it.type == wanted.TOPICS
    assert it.config == {"delay": "1s", "max_package_size": 262144}
    path = f"/webhooks/{it.id}"
    assert writes(upstream) == ["POST /webhooks", f"PATCH {path}", f"POST {path}/test"]
    assert upstream.courier.pending() == 1
    assert result.sentence == (
        f"Subscription {it.id}: created for {URL}; enabled it. A test event was requested."
    )
    assert watch.learned().found == "OK"


def test_a_second_time_makes_no_call_that_writes(upstream):
    first = ensure()
    writes(upstream)

    second = ensure()

    assert upstream.asked() == ["GET /webhooks"]
    assert second.subscription_id == first.subscription_id
    assert second.sentence == f"Subscription {first.subscription_id}: nothing to change."
    assert len(steps()) == 2


@pytest.mark.parametrize(
    ("drift", "named"),
    [
        ({"type": ["ORDER"]}, "topics from ORDER to PORTFOLIO_ORDER, ORDER, EXECUTION"),
        (
            {"type": ["ALL"], "exclude_type": ["USER"]},
            "topics from ALL but USER to PORTFOLIO_ORDER",
        ),
        ({"config": {"delay": "30s"}}, "batching interval from 30 s to 1 s"),
        ({"config": {"max_package_size": 100}}, "package size from 100 to 262144 bytes"),
        ({"title": "Back office"}, "title from 'Back office' to 'Order Desk'"),
        ({"enabled": False}, "enabled it"),
    ],
)
def test_each_drift_is_corrected_and_named(upstream, drift, named):
    pk = made(upstream, **drift)

    result = ensure()

    assert result.subscription_id == pk
    assert named in result.sentence
    assert len(result.changes) == 1
    assert not result.left
    it = upstream.subscriptions.get(str(pk))
    assert (it.type, it.exclude_type, it.enabled) == (wanted.TOPICS, (), True)
    assert writes(upstream) == [f"PATCH /webhooks/{pk}", f"POST /webhooks/{pk}/test"]


def test_one_that_is_written_otherwise_is_found(upstream):
    pk = made(upstream, f"{URL}/")

    assert ensure().subscription_id == pk
    assert writes(upstream) == []


def test_one_that_leads_elsewhere_is_left_alone(upstream):
    foreign = made(upstream, "https://other.example.com/", title="Another", enabled=False)

    assert ensure().subscription_id != foreign
    assert upstream.subscriptions.get(str(foreign)).title == "Another"


def lost_answer(upstream, monkeypatch, *, works):
    """Have upstream create subscriptions without an answer that we get."""
    create = upstream.subscriptions.create

    def created(document, *, now):
        if works:
            create(document, now=now)
        raise ProblemError(504)

    monkeypatch.setattr(upstream.subscriptions, "create", created)


def test_a_creation_whose_answer_is_lost_makes_no_twin(upstream, monkeypatch):
    lost_answer(upstream, monkeypatch, works=True)

    result = ensure()

    (it,) = upstream.subscriptions.all()
    assert (UUID(it.id), it.enabled) == (result.subscription_id, True)
    assert writes(upstream).count("POST /webhooks") == 1


def test_a_creation_that_failed_is_not_tried_twice_in_one_go(upstream, monkeypatch):
    lost_answer(upstream, monkeypatch, works=False)

    with pytest.raises(UnavailableError, match="504"):
        ensure()

    assert upstream.asked() == ["GET /webhooks", "POST /webhooks", "GET /webhooks"]
    (said,) = steps()
    assert said.startswith("Setting up the subscription failed: POST /webhooks: 504")


def test_a_creation_that_was_never_sent_is_not_looked_for(upstream):
    watch.check(now=START)  # with a token for reading; the one for writing is still to come
    upstream.asked()
    upstream.expect(Trouble("problem", 503, path="/auth/token"), times=1)

    with pytest.raises(UnavailableError):
        ensure()

    assert upstream.asked() == ["GET /webhooks"]


def test_a_failure_half_way_tells_what_was_done_before_it_and_the_next_time_goes_on(upstream):
    upstream.expect(Trouble("problem", 503, path="/webhooks/"), times=1)

    with pytest.raises(UnavailableError):
        ensure()

    assert "503" in steps()[0]
    assert steps()[0].endswith(f"Before that: created for {URL}.")
    (made,) = upstream.subscriptions.all()
    assert not made.enabled
    result = ensure()
    assert (str(result.subscription_id), result.changes) == (made.id, ("enabled it",))


def test_twins_are_told_and_left_for_people_to_delete(upstream):
    kept, twin = made(upstream), made(upstream, enabled=False)

    result = ensure()

    assert (result.subscription_id, result.twins) == (kept, (twin,))
    assert f"deliver every event again: {twin}. Delete them." in result.sentence
    assert len(upstream.subscriptions.all()) == 2
    assert writes(upstream) == []


def test_what_the_broker_does_not_change_is_told(upstream, monkeypatch):
    pk = made(upstream, title="Stubborn")
    it = upstream.subscriptions.get(str(pk))
    monkeypatch.setattr(upstream.subscriptions, "update", lambda *_, **__: it)

    result = ensure()

    assert result.left == ("title",)
    assert "Still different at the broker: title." in result.sentence
    assert watch.learned().found == "DRIFTED"


def test_a_test_that_cannot_be_asked_for_spoils_nothing(upstream, monkeypatch):
    def refuse(_subscription):
        raise ProblemError(409)

    monkeypatch.setattr(upstream.courier, "test", refuse)

    result = ensure()

    assert result.changes
    assert "No test event could be requested: POST /webhooks/" in result.sentence
    assert watch.learned().found == "OK"


def test_without_an_address_it_says_what_to_set(upstream, settings):
    settings.WEBHOOK_PUBLIC_URL = ""

    with pytest.raises(setup.NotPossibleError, match="WEBHOOK_PUBLIC_URL is not set"):
        ensure()

    assert upstream.asked() == []


def test_two_people_do_not_both_create_one(upstream, monkeypatch):
    listed = registry.listed

    def meanwhile(*, urgency):
        monkeypatch.setattr(registry, "listed", listed)
        with pytest.raises(setup.NotPossibleError, match="Someone else is setting it up right now"):
            setup.ensure(actor="ben")
        return listed(urgency=urgency)

    monkeypatch.setattr(registry, "listed", meanwhile)

    ensure()

    assert len(upstream.subscriptions.all()) == 1
    assert FeedWatch.objects.get().working_until is None


def test_who_died_while_setting_up_holds_nobody_up_for_long(upstream):
    watch.the_row().update(working_until=START - setup.LEASE / 100)

    assert ensure().changes


def test_an_answer_that_is_no_subscription_is_an_error_not_a_guess(upstream, monkeypatch):
    pk = made(upstream, title="Another")
    it = upstream.subscriptions.get(str(pk))

    class Odd:
        def document(self):
            return {"title": it.title}

    monkeypatch.setattr(upstream.subscriptions, "update", lambda *_, **__: Odd())

    with pytest.raises(UnavailableError, match="the answer is no subscription"):
        ensure()


# Deleting


def test_a_subscription_is_deleted_and_the_alarm_follows_at_once(upstream):
    pk = ensure().subscription_id
    upstream.asked()

    said = setup.delete(pk, actor="mira")

    assert said == f"Deleted subscription {pk} to {URL}. Its queued events are lost."
    assert upstream.asked() == [f"DELETE /webhooks/{pk}"]
    assert upstream.subscriptions.all() == []
    assert Subscription.objects.get().gone_at == START
    assert watch.learned().found == "MISSING"
    assert steps()[-1] == said


def test_one_that_is_gone_already_is_told_as_such(upstream):
    pk = ensure().subscription_id
    upstream.subscriptions.delete(str(pk))

    assert setup.delete(pk, actor="mira").endswith("Nothing was deleted.")


def test_a_deletion_that_fails_is_in_the_journal_and_changes_nothing_here(upstream):
    pk = ensure().subscription_id
    upstream.expect(Trouble("problem", 403, path="/webhooks/"), times=1)

    with pytest.raises(RefusedError):
        setup.delete(pk, actor="mira")

    assert Subscription.objects.get().gone_at is None
    assert steps()[-1].startswith(f"Deleting subscription {pk} to {URL} failed: DELETE /webhooks/")


# The mirror


def test_the_mirror_writes_only_what_changed(upstream):
    ensure()
    made(upstream, "https://other.example.com/")
    watch.check(now=START)
    upstream.deliver(seconds=300)

    with CaptureQueriesContext(connection) as statements:
        watch.check(now=START)
    written = [it["sql"] for it in statements if '"webhooks_subscription"' in it["sql"]]

    assert [sql.split()[0] for sql in written] == ["SELECT"]


def test_the_mirror_shows_since_when_one_is_as_it_is_and_which_are_gone(upstream):
    pk, other = ensure().subscription_id, made(upstream, "https://other.example.com/")
    watch.check(now=START)
    later = START + watch.EVERY
    upstream.subscriptions.update(str(pk), {"title": "Another"}, now=later)
    upstream.subscriptions.delete(str(other))

    watch.check(now=later)

    mine, gone = Subscription.objects.get(pk=pk), Subscription.objects.get(pk=other)
    assert (mine.title, mine.seen_at, mine.gone_at) == ("Another", later, None)
    assert (gone.seen_at, gone.gone_at) == (START, later)


def test_one_that_comes_back_is_not_gone(upstream):
    pk = ensure().subscription_id
    Subscription.objects.update(gone_at=START)

    watch.check(now=START)

    assert Subscription.objects.get(pk=pk).gone_at is None


@pytest.mark.parametrize("odd", [{"created_at": "soon"}, {"title": {}}, {"type": [{}, "ORDER"]}])
def test_a_subscription_is_not_taken_for_gone_because_of_an_odd_attribute(odd):
    known = {
        "id": "8f6c2a4e-7c1c-4c0e-9c0b-0f3f4a0d6b11",
        "url": "https://desk.example.com/w",
        "enabled": True,
    }

    it = registry.read({**known, "type": ["ORDER"], **odd})

    assert (str(it.id), it.url, it.enabled, it.topics) == (
        known["id"],
        known["url"],
        True,
        ("ORDER",),
    )


def test_what_upstream_invents_is_kept_where_it_can_be():
    odd = {
        "id": "8f6c2a4e-7c1c-4c0e-9c0b-0f3f4a0d6b11", "title": "a\0b" * 100, "url": None,
        "type": "ALL", "config": {"delay": 5, "more": {"deep": 1}}, "enabled": "yes",
    }  # fmt: skip

    it = registry.read(odd)
    registry.mirror([it], now=START)

    row = Subscription.objects.get()
    assert (row.title, row.url, row.topics, row.enabled) == ("ab" * 49 + "a…", "", [], False)
    assert row.config == {"delay": 5}
    assert registry.registered(row) == it
