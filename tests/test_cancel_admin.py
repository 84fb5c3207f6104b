"""Cancelling on the pages: who may, what is asked before, what is told after, and the list of requests."""

import csv
import io
import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backoffice.sandbox import Trouble
from orders import tasks
from orders.cancelling import requesting, sending
from orders.lifecycle import Kind
from orders.models import Cancellation, JournalEntry, Order, PortfolioOrder
from tests import cancelling
from tests.staff import LIST, ORDERS, browser, html, messages, page, words
from tests.upstream import receive, running

pytestmark = pytest.mark.django_db
REQUESTS = "/admin/orders/cancellation/"


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


@pytest.fixture
def placed(upstream):
    return cancelling.placed(upstream)


@pytest.fixture
def worked(upstream, placed):
    """A portfolio order at the venue, with its orders."""
    receive(upstream.wait(seconds=15))
    assert PortfolioOrder.objects.get(pk=placed).status == "PROCESSING"
    return placed


def step(pk, name, base=LIST):
    return f"{base}{pk}/{name}/"


def press(client, pk, base=LIST):
    return client.post(
        step(pk, "cancel", base), {"reason": "Client changed their mind"}, follow=True
    )


def first_child(pk):
    return Order.objects.filter(portfolio_order_id=pk).earliest("created_at", "pk")


def test_a_trader_is_led_by_a_question_to_the_request(upstream, placed):
    client = browser("Trader")
    shown = html(client.get(page(placed)))
    assert f'action="{step(placed, "confirm_cancel")}"' in shown

    asked = words(client.get(step(placed, "confirm_cancel")))
    assert "Request cancellation of this portfolio order?" in asked
    assert "This sends a request; the broker decides. The broker has not started" in asked
    assert "Last update" in asked
    assert upstream.asked() == []
    assert Cancellation.objects.count() == 0

    response = press(client, placed)
    assert response.redirect_chain == [(page(placed), 302)]
    assert messages(response) == [
        "Cancellation requested. Request accepted; waiting for confirmation."
    ]
    assert upstream.asked()[0] == f"DELETE /portfolios/orders/{placed}"
    entry = JournalEntry.objects.filter(type="CANCELLATION").earliest("pk")
    assert (entry.actor, entry.message) == (
        "mira",
        "Cancellation requested by mira: Client changed their mind",
    )


def test_the_page_tells_who_asked_when_and_what_became_of_it(upstream, placed):
    client = browser("Trader")
    press(client, placed)
    assert (
        "Cancellation requested by mira at 10:00:00 on 2 Mar 2026. Reason: Client changed their mind. "
        "Request accepted; waiting for confirmation." in words(client.get(page(placed)))
    )
    receive(upstream.wait(seconds=5))

    said = words(client.get(page(placed)))
    told = "Cancellation requested by mira at 10:00:00 on 2 Mar 2026."
    assert f"{told} Reason: Client changed their mind. Cancelled." in said
    assert "Cancel…" not in said


def test_the_history_tells_each_step_and_so_does_the_file(upstream, placed):
    client = browser()
    upstream.expect(Trouble("problem", status=409, method="DELETE"))
    press(client, placed)
    press(client, placed)

    said = words(client.get(page(placed)))
    for heading in (
        "Cancellation requested by mira", "Cancellation sent to the broker", "Cancellation refused by the broker",
        "Cancellation request accepted by the broker",
    ):  # fmt: skip
        assert heading in said
    file = client.post(step(placed, "history_csv"))
    rows = csv.DictReader(io.StringIO(file.getvalue().decode("utf-8-sig")))
    told = [row["message"] for row in rows if row["source"] == "STAFF"]
    assert told[0] == "Cancellation requested by mira: Client changed their mind"
    assert re.match(
        r"Cancellation refused by the broker: DELETE /portfolios/orders/.* 409 ", told[2]
    )


def test_a_rejection_is_told_on_the_history_and_in_the_notice(upstream):
    pk = upstream.place_order(order_type="LIMIT", quantity="5", limit_price="10")
    receive(upstream.wait(minutes=1))
    upstream.manners.heeds = False
    client = browser("Trader")
    press(client, pk, ORDERS)
    receive(upstream.wait(seconds=5))

    said = words(client.get(step(pk, "change", ORDERS)))
    assert "Request accepted at first. The broker reported that it could not cancel it." in said
    assert "The broker refused to cancel the order" in said


def test_one_that_is_worked_is_asked_for_with_a_warning_and_its_orders(worked):
    asked = words(browser("Trader").get(step(worked, "confirm_cancel")))

    assert (
        "the broker may refuse, and some orders may be cancelled while others are filled" in asked
    )
    for order in Order.objects.filter(portfolio_order_id=worked):
        assert order.instrument_id in asked


def test_an_order_of_a_portfolio_order_says_that_the_others_go_on(upstream, worked):
    client, child = browser("Trader"), first_child(worked)
    asked = words(client.get(step(child.pk, "confirm_cancel", ORDERS)))
    assert "The other orders of its portfolio order are not affected." in asked
    upstream.manners.heeds = True

    upstream.asked()
    press(client, child.pk, ORDERS)
    assert upstream.asked()[0] == f"DELETE /orders/{child.pk}"
    receive(upstream.wait(seconds=2))
    assert Order.objects.get(pk=child.pk).status == "CANCELLED"


def test_an_order_tells_of_the_request_for_its_portfolio_order(worked):
    client = browser("Trader")
    press(client, worked)

    said = words(client.get(step(first_child(worked).pk, "change", ORDERS)))
    assert "Cancellation of its portfolio order requested by mira" in said


def test_an_unknown_word_is_asked_for_with_a_warning(placed):
    PortfolioOrder.objects.filter(pk=placed).update(status="SUSPENDED")

    asked = words(browser("Trader").get(step(placed, "confirm_cancel")))
    assert "The broker reports the status SUSPENDED, which is unknown here: it may refuse." in asked


@pytest.mark.parametrize("status", ["FILLED", "SETTLED", "CANCELLED"])
def test_what_has_ended_has_no_button_and_its_url_says_why(upstream, placed, status):
    PortfolioOrder.objects.filter(pk=placed).update(status=status)
    client = browser("Trader")
    upstream.asked()

    assert "confirm_cancel" not in html(client.get(page(placed)))
    for response in (
        client.get(step(placed, "confirm_cancel"), follow=True),
        press(client, placed),
    ):
        assert response.redirect_chain == [(page(placed), 302)]
        said = f"It is already {status.capitalize()}: there is nothing to cancel."
        assert messages(response) == [said]
    assert upstream.asked() == []
    assert Cancellation.objects.count() == 0


def test_a_second_press_says_that_one_is_under_way(upstream, placed):
    client = browser("Trader")
    press(client, placed)
    upstream.asked()

    response = press(client, placed)
    assert messages(response) == ["mira already requested it at 10:00:00. Nothing more was sent."]
    assert upstream.asked() == []


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (
            Trouble("problem", status=409, method="DELETE"),
            "Cancellation requested. Refused: 409 Conflict (request id ",
        ),
        (
            Trouble("page", status=502, method="DELETE"),
            "Cancellation requested. No answer from the broker",
        ),
        (Trouble("problem", path="/auth"), "Cancellation requested. Not sent yet: "),
    ],
)
def test_what_the_broker_said_is_told(upstream, placed, trouble, said):
    upstream.expect(trouble)

    (told,) = messages(press(browser("Trader"), placed))
    assert told.startswith(said)


def test_without_credentials_it_says_so_and_waits_for_them(upstream, placed, settings):
    settings.INVESTMENT_API_CLIENT_SECRET = ""

    (told,) = messages(press(browser("Trader"), placed))
    assert told.startswith("Cancellation requested, but it cannot be sent: ")
    assert Cancellation.objects.get().state == "READY"


def test_a_person_does_not_wait_longer_than_a_few_seconds(upstream, placed, monkeypatch):
    given, real = [], requesting.send

    def send(pk, **how):
        given.append(how)
        return real(pk, **how)

    monkeypatch.setattr(requesting, "send", send)
    press(browser("Trader"), placed)

    assert given == [{"patience": 5.0}]


@pytest.mark.parametrize("group", ["Viewer", "Operator", "Auditor"])
def test_without_the_permission_it_is_refused_and_not_shown(upstream, placed, group):
    client = browser(group)
    upstream.asked()

    assert client.get(step(placed, "confirm_cancel")).status_code == 403
    assert client.post(step(placed, "cancel")).status_code == 403
    assert "confirm_cancel" not in html(client.get(page(placed)))
    assert upstream.asked() == []
    assert Cancellation.objects.count() == 0


def test_a_step_is_a_post_and_is_checked_against_forgery(upstream, placed):
    assert browser("Trader").get(step(placed, "cancel")).url == page(placed)
    client = browser("Trader", name="tom", checks_csrf=True)
    assert client.post(step(placed, "cancel")).status_code == 403
    assert Cancellation.objects.count() == 0


@pytest.mark.parametrize("base", [LIST, ORDERS])
def test_what_is_not_known_here_is_404(upstream, base):
    client = browser("Trader")

    assert client.get(step(uuid4(), "confirm_cancel", base)).status_code == 404
    assert client.post(step(uuid4(), "cancel", base)).status_code == 404


def test_the_list_shows_each_request_with_its_outcome_and_leads_to_the_order(upstream, worked):
    client = browser("Trader")
    press(client, worked)
    press(client, first_child(worked).pk, ORDERS)
    receive(upstream.wait(seconds=5))
    client = browser("Viewer", name="vera")

    shown = client.get(REQUESTS)
    fates = [str(row.result.fate) for row in shown.context["cl"].result_list]
    assert len(fates) == 2
    assert "Partly cancelled" in fates or "Cancelled" in fates
    assert page(worked) in html(shown)
    assert "mira" in words(shown)
    pk = Cancellation.objects.latest("pk").pk
    response = client.get(f"{REQUESTS}{pk}/change/")
    assert response.url == step(first_child(worked).pk, "change", ORDERS)
    assert client.get(f"{REQUESTS}999/change/").status_code == 404


def test_the_list_is_filtered_by_what_became_of_the_request(upstream, placed):
    client = browser("Trader")
    upstream.expect(Trouble("problem", status=409, method="DELETE"))
    press(client, placed)
    other = upstream.place()
    receive(upstream.events())
    press(client, other)

    def shown(state):
        return [
            it.about for it in client.get(f"{REQUESTS}?state={state}").context["cl"].result_list
        ]

    assert shown("REFUSED") == [placed]
    assert shown("TAKEN") == shown("OPEN") == [other]
    assert shown("nonsense") == []


def test_the_list_costs_the_same_for_one_and_for_many(upstream):
    client, counts = browser(), []
    for more in (1, 12):
        for _ in range(more):
            pk = upstream.place()
            receive(upstream.wait(seconds=9))
            sending.send(requesting.request(Kind.PORTFOLIO_ORDER, pk, actor="tina").pk)
        client.get(REQUESTS)
        with CaptureQueriesContext(connection) as statements:
            client.get(REQUESTS)
        ours = [it for it in statements if 'FROM "orders_' in it["sql"]]
        counts.append(len(ours))

    assert counts[0] == counts[1] <= 5


def test_the_page_costs_the_same_for_one_request_and_for_many(upstream, placed):
    client, counts = browser(), []
    for more in (1, 5):
        for _ in range(more):
            upstream.expect(Trouble("problem", status=409, method="DELETE"))
            press(client, placed)
        with CaptureQueriesContext(connection) as statements:
            client.get(page(placed))
        counts.append(len(statements))

    assert counts[0] == counts[1] <= 14


def test_somebody_without_any_group_sees_nothing_of_it(upstream, placed):
    client = browser("Trader")
    press(client, placed)
    User.objects.get().groups.clear()

    pk = Cancellation.objects.get().pk
    assert client.get(REQUESTS).status_code == 403
    assert client.get(f"{REQUESTS}{pk}/change/").status_code == 403
    assert client.post(step(placed, "cancel")).status_code == 403


def test_the_sweep_rings_for_what_is_due(upstream, placed, monkeypatch):
    rung = []

    def ring(task, *args):
        rung.append((task, args))
        return True

    monkeypatch.setattr("backoffice.doorbell.ring", ring)
    held = requesting.request(Kind.PORTFOLIO_ORDER, placed, actor="tina")
    tasks.sweep()

    assert (tasks.send_cancellation, (held.pk,)) in rung
    tasks.send_cancellation(held.pk)
    assert Cancellation.objects.get().state == "TAKEN"


def test_the_command_sends_what_is_due_where_there_is_no_worker(upstream, placed, capsys):
    requesting.request(Kind.PORTFOLIO_ORDER, placed, actor="tina")
    call_command("poll")

    assert "Sent or followed up 1 cancellation." in capsys.readouterr().out
    assert Cancellation.objects.get().state == "TAKEN"


def test_metrics_tell_how_many_are_under_way_and_for_how_long(upstream, placed, scraper):
    requesting.request(Kind.PORTFOLIO_ORDER, placed, actor="tina")
    upstream.pass_time(timedelta(seconds=90))

    text = scraper.get("/metrics").content.decode()
    assert "order_desk_cancellations 1.0" in text
    assert "order_desk_cancellations_seconds 90.0" in text
    Cancellation.objects.update(next_attempt_at=None)
    text = scraper.get("/metrics").content.decode()
    assert "order_desk_cancellations 0.0" in text
    assert "order_desk_cancellations_seconds 0.0" in text


def test_an_empty_list_says_where_to_begin(db):
    client = browser("Viewer")

    assert "No cancellations yet." in words(client.get(REQUESTS))
    assert "No cancellation matches. Clear filters" in words(client.get(f"{REQUESTS}?state=TAKEN"))


@pytest.mark.parametrize("reason", ["", "   ", "x" * 1001])
def test_a_request_needs_a_reason_and_keeps_what_was_typed(upstream, placed, reason):
    client = browser("Trader")
    upstream.asked()

    response = client.post(step(placed, "cancel"), {"reason": reason})

    assert response.status_code == 422
    assert b"Give a reason of 1 to 1,000 characters. Nothing was sent." in response.content
    assert f'value="{reason}"'.encode() in response.content
    assert Cancellation.objects.count() == 0
    assert upstream.asked() == []


def test_the_reason_is_in_the_list_the_notice_and_the_history(upstream, placed):
    client = browser("Trader")
    press(client, placed)

    assert Cancellation.objects.get().because == "Client changed their mind"
    assert "mira Client changed their mind" in words(client.get(REQUESTS))
    told = words(client.get(page(placed)))
    assert "Reason: Client changed their mind." in told
    entry = JournalEntry.objects.get(type="CANCELLATION", status="REQUESTED")
    assert entry.message == "Cancellation requested by mira: Client changed their mind"


def test_code_may_cancel_without_a_reason(upstream, placed):
    made = requesting.request(Kind.PORTFOLIO_ORDER, placed, actor="night job")

    assert made.because == ""
    entry = JournalEntry.objects.get(type="CANCELLATION", status="REQUESTED")
    assert entry.message == "Cancellation requested by night job"
