"""The buttons of staff: who may press them, what they do, what they say."""

import re
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import time_machine
from celery import current_app

from backoffice import doorbell
from backoffice.sandbox.faults import Trouble
from orders import journal, projection
from orders.asking import checking
from orders.models import JournalEntry, Order, PortfolioOrder
from tests.bells import listen
from tests.staff import JOURNAL, LIST, ORDERS, browser, html, messages, page
from tests.stories import START, event, named, order, portfolio_order
from tests.upstream import receive as receive_now
from tests.upstream import running

NOW = START + timedelta(minutes=5)
P, A = UUID(named("P")), UUID(named("A"))
BUTTONS = [
    f"{LIST}{P}/refetch/", f"{LIST}{P}/note/", f"{LIST}{P}/history_csv/", f"{ORDERS}{A}/refetch/",
    f"{ORDERS}{A}/note/", f"{LIST}{P}/executions_csv/", f"{ORDERS}{A}/executions_csv/",
    f"{ORDERS}{A}/history_csv/",
]  # fmt: skip

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator():
    return browser("Operator")


@pytest.fixture
def viewer():
    return browser("Viewer", name="viewer")


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


@pytest.fixture
def known():
    """A portfolio order with an order, as they were at NOW."""
    with time_machine.travel(NOW, tick=False):
        events = [
            event("PORTFOLIO_ORDER.NEW", portfolio_order()),
            event("ORDER.NEW", order("A")),
        ]
        journal.record_events(events, delivery_id=1, now=NOW)
        projection.drain(now=NOW)
        yield


@pytest.fixture
def rung(monkeypatch):
    return listen(monkeypatch)


@pytest.mark.parametrize("path", BUTTONS)
def test_the_address_of_a_button_leads_to_its_order_and_changes_nothing(known, operator, path):
    before = JournalEntry.objects.count()

    assert operator.get(path).url == re.sub(r"[a-z_]+/$", "change/", path)
    assert JournalEntry.objects.count() == before


@pytest.mark.parametrize("path", BUTTONS)
def test_staff_who_may_only_view_are_refused_by_every_button(known, viewer, path):
    before = JournalEntry.objects.count()

    assert viewer.post(path, {"text": "hello"}).status_code == 403
    assert JournalEntry.objects.count() == before


@pytest.mark.parametrize("path", BUTTONS)
def test_no_button_can_be_pressed_from_another_site(known, path):
    visitor = browser("Operator", name="lured", checks_csrf=True)

    assert visitor.post(path, {"text": "hello"}).status_code == 403


@pytest.mark.parametrize("path", [page(P), f"{ORDERS}{A}/change/"])
def test_staff_who_may_only_view_see_no_button(known, viewer, operator, path):
    assert '<button class="press' in html(operator.get(path))
    assert '<button class="press' not in html(viewer.get(path))


def test_staff_who_may_only_view_have_no_actions(known, viewer):
    assert "Refetch selected" not in html(viewer.get(LIST))
    viewer.post(LIST, {"action": "refetch_selected", "_selected_action": [str(P)], "index": 0})
    assert JournalEntry.objects.count() == 2


@pytest.mark.parametrize("path", [LIST, ORDERS])
@pytest.mark.parametrize("button", ["refetch", "note"])
def test_a_button_of_an_unknown_order_is_not_found(operator, path, button):
    assert operator.post(f"{path}{uuid4()}/{button}/", {"text": "x"}).status_code == 404


def test_refetch_now_asks_the_broker_and_leads_to_its_entry(upstream, operator):
    pk = upstream.place()
    receive_now(upstream.events())
    upstream.wait(minutes=6)  # and every webhook of it is lost

    response = operator.post(f"{LIST}{pk}/refetch/", follow=True)

    row = PortfolioOrder.objects.get(pk=pk)
    assert row.status == upstream.truth(pk)["status"] != "NEW"
    (message,) = messages(response)
    assert message.startswith("Refetched in ")
    assert "ortfolio order New -> " in message
    entry = JournalEntry.objects.get(portfolio_order_id=pk, source="REFETCH")
    assert entry.actor == "mira"
    assert response.redirect_chain[-1][0] == f"{page(pk)}#entry-{entry.pk}"
    assert f'id="entry-{entry.pk}"' in html(response)


def test_a_refetch_of_what_has_not_moved_says_no_change(upstream, operator):
    pk = upstream.place()
    receive_now(upstream.events())

    response = operator.post(f"{LIST}{pk}/refetch/", follow=True)

    assert messages(response)[0].endswith(": no change.")


def test_a_refetch_while_another_asks_says_so_and_asks_nothing(upstream, operator):
    pk = upstream.place()
    receive_now(upstream.events())
    PortfolioOrder.objects.update(asking_until=upstream.clock() + timedelta(minutes=1))

    response = operator.post(f"{LIST}{pk}/refetch/", follow=True)

    assert messages(response)[0].startswith("Already being checked")
    assert upstream.asked() == []


def test_one_order_is_refetched_by_itself(upstream, operator):
    pk = upstream.place()
    receive_now([*upstream.events(), *upstream.wait(seconds=20)])
    child = Order.objects.filter(portfolio_order=pk).values_list("pk", flat=True)[0]
    upstream.asked()

    response = operator.post(f"{ORDERS}{child}/refetch/", follow=True)

    assert upstream.asked() == [f"GET /orders/{child}"]
    assert messages(response)[0].startswith("Refetched in ")
    assert response.redirect_chain[-1][0].startswith(f"{ORDERS}{child}/change/#entry-")


def test_a_broker_that_cannot_be_reached_changes_nothing_and_is_said(upstream, operator):
    pk = upstream.place()
    receive_now(upstream.events())
    upstream.stop()

    response = operator.post(f"{LIST}{pk}/refetch/", follow=True)

    assert "nothing changed, next try" in messages(response)[0]
    assert PortfolioOrder.objects.get(pk=pk).status == "NEW"
    assert JournalEntry.objects.get(outcome="FAILED").actor == "mira"


def test_a_note_is_kept_with_its_author_and_shown_in_the_history(known, operator):
    response = operator.post(f"{LIST}{P}/note/", {"text": " Called the client.\n"}, follow=True)

    note = JournalEntry.objects.get(outcome="NOTED")
    assert (note.portfolio_order_id, note.actor, note.message) == (P, "mira", "Called the client.")
    assert response.redirect_chain[-1][0] == f"{page(P)}#entry-{note.pk}"
    assert "Note by mira" in html(response)


def test_a_note_about_an_order_is_about_that_order(known, operator):
    operator.post(f"{ORDERS}{A}/note/", {"text": "Odd price"})

    assert JournalEntry.objects.get(outcome="NOTED").order_id == A


@pytest.mark.parametrize(("text", "said", "kept"), [
    ("  \n", "The note is empty. Nothing was added.", ""),
    ("x" * 10_001, (
        "A note has at most 10,000 characters, and this one has 10,001. Nothing was added. "
        "The text is still there: shorten it, or split it."
    ), "x" * 10_001),
    ("x" * 100_001, (
        "A note has at most 10,000 characters, and this one has 100,001. Nothing was added. "
        "Its first 100,000 are still there."
    ), "x" * 100_000),
])  # fmt: skip
def test_a_note_without_text_or_with_too_much_is_refused_and_kept_once(
    known, operator, text, said, kept
):
    response = operator.post(f"{LIST}{P}/note/", {"text": text}, follow=True)

    assert messages(response) == [said]
    assert f"required>{kept}</textarea>" in html(response)
    assert not JournalEntry.objects.filter(outcome="NOTED").exists()
    assert "required></textarea>" in html(operator.get(page(P)))


def test_a_note_that_was_added_is_confirmed(known, operator):
    response = operator.post(f"{LIST}{P}/note/", {"text": "x" * 10_000}, follow=True)

    assert messages(response) == ["Note added."]


def select(client, *pks, action="refetch_selected", **more):
    return client.post(
        LIST, {"action": action, "_selected_action": list(pks), "index": 0} | more, follow=True
    )


def make(*names, status="NEW"):
    events = [
        event(f"PORTFOLIO_ORDER.{status}", portfolio_order(status, name=name)) for name in names
    ]
    journal.record_events(events, delivery_id=1, now=NOW)
    projection.drain(now=NOW)
    return [named(name) for name in names]


def test_refetch_selected_queues_the_open_ones_and_tells_what_it_skipped(known, operator, rung):
    pks = [str(P), *make("open"), *make("over", status="CANCELLED"), *make("busy")]
    busy = PortfolioOrder.objects.filter(pk=named("busy"))
    busy.update(asking_until=NOW + timedelta(minutes=1))

    response = select(operator, *pks)

    assert messages(response) == ["Refetch: 2 queued, 1 skipped: final, 1 already being checked."]
    task = "orders.tasks.refetch_portfolio_order"
    who = ("mira", "127.0.0.1")
    assert sorted(rung) == sorted([(task, str(P), *who), (task, named("open"), *who)])


def test_more_than_200_are_not_refetched_at_once(known, operator, rung):
    make(*(f"P{number}" for number in range(200)))

    response = select(operator, str(P), select_across="1")

    assert messages(response) == ["At most 200 can be refetched at once. Nothing was queued."]
    assert rung == []


def test_a_dead_task_queue_is_said(known, operator, monkeypatch):
    monkeypatch.setattr(doorbell, "ring", lambda *_: False)

    response = select(operator, str(P))

    assert messages(response) == [
        "Refetch: 0 queued, 1 not queued: the task queue does not answer, try again."
    ]


def test_the_message_of_a_queued_refetch_is_true(upstream, operator):
    pk = upstream.place()
    receive_now(upstream.events())
    upstream.wait(minutes=6)
    current_app.conf.task_always_eager = True
    try:
        response = select(operator, str(pk))
    finally:
        current_app.conf.task_always_eager = False

    assert messages(response) == ["Refetch: 1 queued."]
    assert JournalEntry.objects.filter(
        portfolio_order_id=pk, source="REFETCH", actor="mira"
    ).exists()


def test_nothing_can_be_done_with_the_journal_but_take_it_away(known, operator):
    assert re.findall(
        r'<option value="(\w+)">Export|name="(action)"', html(operator.get(JOURNAL))
    ) == [
        ("", "action"),
        ("export_entries", ""),
    ]
    assert 'name="action"' not in html(browser("Viewer", name="vera").get(JOURNAL))


@pytest.fixture
def hanging(upstream, monkeypatch):
    """An upstream that takes the request and never answers."""
    pk = upstream.place()
    receive_now([*upstream.events(), *upstream.wait(seconds=20)])
    upstream.expect(Trouble("hang", seconds=1))
    monkeypatch.setattr(checking, "PATIENCE", timedelta(seconds=0.3))
    return pk


def test_nobody_waits_for_a_broker_that_hangs_a_worker_asks_again(hanging, operator, rung):
    response = operator.post(f"{LIST}{hanging}/refetch/", follow=True)

    (message,) = messages(response)
    said = r"No answer from the broker in (\d+) ms: a worker asks again, and the history will show the answer\."
    waited = re.fullmatch(said, message)
    assert waited
    assert 300 <= int(waited[1]) < 1000  # she waited out her patience, not the broker
    assert rung == [("orders.tasks.refetch_portfolio_order", str(hanging), "mira", "127.0.0.1")]
    row = PortfolioOrder.objects.get(pk=hanging)
    assert row.asking_until is None  # the worker may ask at once
    assert "Refetch by mira failed" in html(response)


def test_a_hanging_refetch_of_an_order_is_handed_over_too(hanging, operator, rung):
    child = Order.objects.filter(portfolio_order=hanging).values_list("pk", flat=True)[0]

    operator.post(f"{ORDERS}{child}/refetch/")

    assert rung == [("orders.tasks.refetch_order", str(child), "mira", "127.0.0.1")]


def test_a_hanging_broker_and_a_dead_task_queue_are_said(hanging, operator, monkeypatch):
    monkeypatch.setattr(doorbell, "ring", lambda *_: False)

    response = operator.post(f"{LIST}{hanging}/refetch/", follow=True)

    assert "could not be reached, nothing changed, next try" in messages(response)[0]


@pytest.mark.parametrize(
    "path",
    [f"{LIST}{P}/refetch/", f"{ORDERS}{A}/refetch/", f"/admin/find/{named('nobody')}/fetch/"],
)
def test_a_desk_that_has_no_credentials_says_so(known, operator, path):
    response = operator.post(path, follow=True)

    assert response.status_code == 200
    assert messages(response)[0].startswith("Not refetched: The broker cannot be asked without")
