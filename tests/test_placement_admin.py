"""The pages of placements: what they show, who may press what, and that each step is told."""

import re
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backoffice.sandbox import Trouble
from orders.models import JournalEntry, Placement, PlacementState, PortfolioOrder
from orders.placing import attempts, placing, schedule
from orders.placing.wish import read_wish
from tests.staff import BACKEND, browser, html, messages, page, who_may, words
from tests.upstream import running

pytestmark = pytest.mark.django_db

LIST = "/admin/orders/placement/"
FORM, SUBMIT = f"{LIST}place/", f"{LIST}submit/"
PATH = "/portfolios/orders"
POST = f"POST {PATH}"
ACCOUNT = "840def04-f711-4274-b381-f20c93f39362"
FIELDS = {
    "user_id": "4e97711f-794d-49c7-8fd1-df96532ab6f0",
    "account_id": ACCOUNT,
    "cash_amount": "2500.00",
    "currency": "EUR",
    "side": "BUY",
}
AGAIN = {"amount": "2500.00", "tail": ACCOUNT[-8:]}
STEPS = ["approve", "decline", "send", "look_up", "placed", "not_placed"]


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


@pytest.fixture
def approval(settings):
    settings.PLACING_NEEDS_APPROVAL = True


def place_page(pk, step="change"):
    return f"{LIST}{pk}/{step}/"


def placed(actor="tina", **changes):
    return placing.place(read_wish(FIELDS | changes), actor=actor)


def sent(actor="tina", **changes):
    return placing.send(placed(actor, **changes).pk)


def unknown(upstream, status=503, **changes):
    """Place something that the broker answers with an error of its own: its fate is unknown."""
    upstream.expect(Trouble("problem", status=status, path=PATH), times=1)
    it = sent(**changes)
    assert it.state == PlacementState.UNKNOWN
    upstream.asked()
    return it


def due(upstream, placement):
    """Let the time of the next attempt come."""
    upstream.wait(seconds=(placement.next_attempt_at - timezone.now()).total_seconds() + 1)


def state(pk):
    return Placement.objects.get(pk=pk).state


def steps(pk):
    """Return the words of a placement's steps with who took them, in their order."""
    entries = JournalEntry.objects.filter(placement_id=pk, type="PLACEMENT").order_by("pk")
    return list(entries.values_list("status", "actor"))


def key_in(response):
    (key,) = set(re.findall(r'name="key" value="([^"]+)"', response.content.decode()))
    return key


def values_in(response):
    """Return the fields of the form that is shown, with what stands in them."""
    text = response.content.decode()
    inputs = re.findall(r"<input[^>]*>", text.partition('class="fields"')[2])
    named = [(re.findall(r'name="(\w+)"', it), re.findall(r'value="([^"]*)"', it)) for it in inputs]
    return {name: value for (name,), (value,) in named}


def confirmation(client, **changes):
    """Return what the confirmation page would send, without what is typed there."""
    key = key_in(client.get(FORM))
    response = client.post(FORM, {**FIELDS, **changes, "key": key})
    assert response.status_code == 200, words(response)
    return values_in(response)


def submit(client, sends, **again):
    return client.post(SUBMIT, {**sends, **AGAIN, **again}, follow=True)


# The list


def test_a_row_tells_key_state_what_it_is_who_submitted_it_and_what_came_of_it(upstream):
    done = sent()
    upstream.wait(minutes=4)

    said = words(browser().get(LIST))

    row = (
        f"{str(done.pk)[:8]} Accepted Buy 2,500.00 EUR {ACCOUNT[:8]} tina 4 min ago 1 "
        f"{str(done.portfolio_order_id)[:8]}"
    )
    assert row in said


def test_a_row_tells_when_it_is_sent_again_and_that_this_is_overdue(upstream):
    it = unknown(upstream)
    due(upstream, it)
    upstream.wait(minutes=4)

    assert "1, overdue 4 min" in words(browser().get(LIST))


def test_each_state_has_a_tab_and_those_that_are_not_settled_a_count(upstream, settings):
    sent()
    unknown(upstream)
    upstream.expect(Trouble("problem", status=422, path=PATH), times=1)
    sent()
    placed()
    settings.PLACING_NEEDS_APPROVAL = True
    placed()
    placing.decline(placed().pk, actor="ben", reason="no")
    client = browser()

    tabs = {tab.label: tab for tab in client.get(LIST).context["cl"].tabs}
    counts = {label: tab.count for label, tab in tabs.items() if tab.count}
    assert counts == {"Waiting for approval": "1", "Unknown": "1", "To be sent": "1"}
    found = {
        label: [row.state for row in client.get(f"{LIST}{tab.query}").context["cl"].result_list]
        for label, tab in tabs.items()
    }
    assert len(found.pop("All")) == 6
    assert found == {
        "Waiting for approval": ["PROPOSED"],
        "Unknown": ["UNKNOWN"],
        "To be sent": ["READY"],
        "Accepted": ["ACCEPTED"],
        "Refused": ["REFUSED"],
        "Declined, not placed": ["DECLINED"],
    }


def test_a_placement_is_found_by_its_key_its_account_and_its_portfolio_order(upstream):
    one = sent()
    other = sent(account_id=str(uuid4()))
    client = browser()

    def found(term):
        return [row.pk for row in client.get(LIST, {"q": term}).context["cl"].result_list]

    for term in (one.pk, ACCOUNT, one.portfolio_order_id):
        assert found(str(term)) == [one.pk]
        assert one.pk in found(str(term)[:8])
    assert set(found(" ")) == {one.pk, other.pk}
    assert found("IE00B4L5Y983") == []


def test_the_search_box_of_every_page_leads_to_a_placement_by_its_key(upstream):
    it = sent()

    for term in (str(it.pk), str(it.pk)[:12]):
        response = browser(name=term).get("/admin/find/", {"q": term})
        assert response.url == place_page(it.pk)


def test_the_list_asks_the_same_few_questions_for_1_row_and_for_50(upstream):
    client = browser()
    sent()
    client.get(LIST)
    asked = []
    for more in (0, 49):
        for _ in range(more):
            placed()
        with CaptureQueriesContext(connection) as statements:
            client.get(LIST)
        asked.append([it["sql"] for it in statements])

    assert len(asked[0]) == len(asked[1]) <= 5, asked[1]


def test_an_empty_list_says_what_to_do(db):
    assert "Nothing has been placed here yet." in words(browser().get(LIST))


# Placing


def test_no_get_places_anything_and_the_form_chooses_nothing_by_itself(upstream):
    client = browser("Trader")

    shown = html(client.get(FORM))

    assert " checked" not in shown
    assert " selected" not in shown
    assert client.get(SUBMIT).status_code == 405
    assert upstream.asked() == []
    assert not Placement.objects.exists()


def test_what_was_typed_is_shown_in_plain_words_and_placed_once_it_is_typed_again(upstream):
    client = browser("Trader")
    key = key_in(client.get(FORM))

    asked = client.post(FORM, {**FIELDS, "key": key})
    assert f"BUY 2,500.00 EUR for account {ACCOUNT}" in words(asked)
    assert upstream.asked() == []
    response = submit(client, values_in(asked))

    it = Placement.objects.get()
    assert response.redirect_chain == [(place_page(it.pk), 302)]
    assert messages(response) == [
        f"Accepted by the broker: portfolio order {it.portfolio_order_id}."
    ]
    assert upstream.asked() == [POST]
    assert steps(it.pk) == [("SUBMITTED", "mira"), ("SENT", "mira"), ("ACCEPTED", "mira")]
    assert "Accepted" in words(response)


def test_a_double_click_and_a_reload_place_once(upstream):
    client = browser("Trader")
    sends = confirmation(client)

    submit(client, sends)
    response = submit(client, sends)

    assert upstream.asked() == [POST]
    assert Placement.objects.count() == 1
    (said,) = messages(response)
    assert said.startswith("This form was sent before; nothing was placed twice. Accepted by")


def test_a_form_that_placed_one_order_places_no_other(upstream):
    client = browser("Trader")
    sends = confirmation(client)
    submit(client, sends)

    response = submit(client, {**sends, "cash_amount": "99.00"}, amount="99.00")

    (said,) = messages(response)
    assert "This form has placed something else before" in said
    assert [it.cash_amount for it in Placement.objects.all()] == ["2500.00"]
    assert upstream.asked() == [POST]


def test_a_form_made_for_somebody_else_places_nothing(upstream):
    sends = confirmation(browser("Trader"))

    response = submit(browser("Trader", name="ben"), sends)

    assert response.status_code == 422
    assert b"Nothing was placed.</strong> This page was made for somebody else." in response.content
    assert values_in(response)["cash_amount"] == "2500.00"
    assert not Placement.objects.exists()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("cash_amount", "2,500.00", "Enter the amount in digits"),
        ("cash_amount", "0.00", "Enter an amount above zero."),
        ("account_id", "840def04", "Enter the whole id of the account"),
        ("user_id", "", "Enter the whole id of the user"),
        ("currency", "", "Choose the currency"),
        ("side", "", "Choose the side"),
    ],
)
def test_bad_input_is_told_beside_its_field_and_nothing_typed_is_lost(upstream, name, text, said):
    client = browser("Trader")
    typed = {**FIELDS, name: text, "post_tax": "true", "key": key_in(client.get(FORM))}

    for path in (FORM, SUBMIT):
        response = client.post(path, typed)

        assert response.status_code == 422
        shown = response.content.decode()
        assert f'<p class="problem" id="problem_{name}">{said}' in shown
        assert f"problem_{name}" in "".join(re.findall(r'aria-describedby="([^"]*)"', shown))
        assert re.search(r'id="problems" role="alert" tabindex="-1" autofocus', shown)
        kept = values_in(response)
        for field in ("user_id", "account_id", "cash_amount"):
            assert kept[field] == typed[field]
        assert ("<option selected>EUR" in shown) == (name != "currency")
        assert shown.count(" checked") == (1 if name == "side" else 2)
    assert not Placement.objects.exists()


@pytest.mark.parametrize(
    ("again", "said"),
    [
        ({"amount": ""}, "This is not the amount above."),
        ({"amount": "250.00"}, "This is not the amount above."),
        ({"amount": "2,500.00"}, "This is not the amount above."),
        ({"tail": ACCOUNT[:8]}, "These are not the last 8 characters of the account above."),
        ({"tail": ""}, "These are not the last 8 characters of the account above."),
    ],
)
def test_what_is_typed_again_has_to_be_the_same(upstream, again, said):
    client = browser("Trader")

    response = submit(client, confirmation(client), **again)

    assert response.status_code == 422
    assert said in words_of(response)
    assert not Placement.objects.exists()
    assert upstream.asked() == []


def words_of(response):
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


@pytest.mark.parametrize("again", [{"amount": " 2500 "}, {"tail": f" {ACCOUNT[-8:].upper()}"}])
def test_the_same_amount_and_account_may_be_written_otherwise(upstream, again):
    client = browser("Trader")

    submit(client, confirmation(client), **again)

    assert Placement.objects.get().state == PlacementState.ACCEPTED


def test_change_it_leads_back_to_the_form_with_all_that_was_typed(upstream):
    client = browser("Trader")
    sends = confirmation(client, side="SELL", post_tax="true")

    response = client.post(FORM, {**sends, "change": "1"})

    assert response.status_code == 200
    kept = values_in(response)
    assert kept["key"].partition(":")[0] == sends["key"].partition(":")[0]
    assert kept["account_id"] == ACCOUNT
    assert html(response).count(" checked") == 2


def test_the_same_order_of_the_last_day_is_warned_of(upstream):
    mine = sent(cash_amount="2500")
    upstream.wait(minutes=4)
    client = browser("Trader")
    key = key_in(client.get(FORM))

    def warned(**changes):
        said = words(client.post(FORM, {**FIELDS, **changes, "key": key}))
        return "This account already has the same order" in said and said

    said = warned()
    assert "Buy 2,500.00 EUR, placed 4 min ago by tina." in said
    assert said.count("This account already has") == 1
    assert f"Placement {str(mine.pk)[:8]}" in said
    assert not warned(side="SELL")
    assert not warned(currency="GBP")
    assert not warned(cash_amount="2500.01")
    upstream.wait(days=1)
    client.force_login(User.objects.get(), backend=BACKEND)
    assert not warned()


def test_the_same_order_that_others_placed_is_warned_of_too(upstream):
    pk = uuid4()
    PortfolioOrder.objects.create(
        pk=pk, status="FILLED", account_id=ACCOUNT, type="BUY", currency="EUR",
        cash_amount="2500", created_at=timezone.now(),
    )  # fmt: skip
    client = browser("Trader")

    said = words(client.post(FORM, {**FIELDS, "key": key_in(client.get(FORM))}))

    assert "This account already has the same order" in said
    assert f"Filled Portfolio order {str(pk)[:8]}" in said
    assert "never seen this account" not in said


def test_the_same_order_that_is_placed_while_the_page_is_read_is_warned_of_before_it_counts(
    upstream,
):
    client = browser("Trader")
    sends = confirmation(client)
    sent()

    response = submit(client, sends)
    assert response.status_code == 422
    assert "While you read this page the same order was placed" in words_of(response)
    assert "This account already has the same order" in words_of(response)
    assert Placement.objects.count() == 1
    submit(client, values_in(response))

    assert Placement.objects.count() == 2


def test_without_credentials_it_waits_and_the_page_says_what_is_missing(upstream, settings):
    client = browser("Trader")
    sends = confirmation(client)
    settings.INVESTMENT_API_CLIENT_SECRET = ""

    response = submit(client, sends)

    (said,) = messages(response)
    assert "INVESTMENT_API_CLIENT_SECRET" in said
    assert Placement.objects.get().state == PlacementState.READY


def test_what_was_never_placed_is_no_reason_for_a_warning(upstream, approval):
    placing.decline(placed().pk, actor="ben", reason="no")
    client = browser("Trader")

    said = words(client.post(FORM, {**FIELDS, "key": key_in(client.get(FORM))}))

    assert "This account already has" not in said
    assert "The desk has never seen this account." in said


def test_a_refusal_leads_to_the_problem_document(upstream):
    client = browser("Trader")
    upstream.expect(Trouble("problem", status=422, path=PATH), times=1)

    response = submit(client, confirmation(client))

    (said,) = messages(response)
    assert said.startswith("The broker refused it: POST /portfolios/orders: 422")
    shown = words(response)
    assert "What the broker said Status 422 Title Unprocessable entity" in shown
    assert "Request ID" in shown
    assert "Problem as it came" not in html(response)  # for those who may view payloads


def test_without_an_answer_the_fate_is_unknown_and_nothing_is_called_refused(upstream):
    client = browser("Trader")
    upstream.expect(Trouble("problem", status=503, path=PATH), times=1)

    response = submit(client, confirmation(client))

    (said,) = messages(response)
    assert said.startswith("Sent, and the broker has not said what it made of it.")
    assert Placement.objects.get().state == PlacementState.UNKNOWN


# Approval


def test_with_approval_a_proposal_waits_and_nothing_is_sent(upstream, approval):
    client = browser("Trader")

    response = submit(client, confirmation(client))

    assert upstream.asked() == []
    assert state(Placement.objects.get().pk) == PlacementState.PROPOSED
    assert messages(response) == [
        "Submitted by mira. Nothing is sent before another person approves it."
    ]


def test_who_submitted_it_cannot_approve_it_and_reads_why(upstream, approval):
    it = placed("mira")
    client = browser("Trader")

    shown = client.get(place_page(it.pk))
    response = client.post(place_page(it.pk, "approve"), follow=True)

    assert "Approve</button>" not in html(shown)
    assert "You submitted it yourself: another person has to approve it." in words(shown)
    assert messages(response) == ["You submitted it yourself: another person has to approve it."]
    assert state(it.pk) == PlacementState.PROPOSED
    assert upstream.asked() == []


def test_a_second_person_approves_and_it_is_sent_at_once(upstream, approval):
    it = placed("tina")

    response = browser("Trader").post(place_page(it.pk, "approve"), follow=True)

    (said,) = messages(response)
    assert said.startswith("Accepted by the broker: portfolio order")
    assert ("APPROVED", "mira") in steps(it.pk)
    assert upstream.asked() == [POST]


def test_a_proposal_shows_the_second_person_what_is_like_it(upstream, settings):
    sent()
    settings.PLACING_NEEDS_APPROVAL = True
    it = placed()

    said = words(browser("Trader").get(place_page(it.pk)))

    assert f"BUY 2,500.00 EUR for account {ACCOUNT}" in said
    assert "This account already has the same order" in said


def test_a_second_person_declines_with_a_reason(upstream, approval):
    it = placed()
    client = browser("Trader")

    without = client.post(place_page(it.pk, "decline"), {"reason": " "}, follow=True)
    assert messages(without) == ["A reason has 1 to 1,000 characters. Nothing was changed."]
    assert state(it.pk) == PlacementState.PROPOSED
    response = client.post(place_page(it.pk, "decline"), {"reason": "Wrong account"}, follow=True)

    assert messages(response) == ["Declined by mira: Wrong account. Nothing was sent."]
    assert ("DECLINED", "mira") in steps(it.pk)
    again = client.post(place_page(it.pk, "approve"), follow=True)
    assert messages(again) == ["It cannot be approved any more: its state is declined."]
    assert upstream.asked() == []


# Of unknown fate


def test_send_now_sends_the_same_bytes_under_the_same_key(upstream):
    it = unknown(upstream)
    client = browser("Trader")
    due(upstream, it)

    assert "Send now</button>" in html(client.get(place_page(it.pk)))
    response = client.post(place_page(it.pk, "send"), follow=True)

    (said,) = messages(response)
    assert said.startswith("Accepted by the broker")
    assert ("SENT", "mira") in steps(it.pk)
    assert len(upstream.market.portfolio_orders()) == 1


def test_send_now_does_not_wait_for_the_next_attempt_and_keeps_to_the_life_of_the_key(upstream):
    it = unknown(upstream)
    client = browser("Trader")
    assert it.next_attempt_at > timezone.now()

    assert "Send now</button>" in html(client.get(place_page(it.pk)))
    upstream.wait(seconds=schedule.SEND_WITHIN.total_seconds())
    client.force_login(User.objects.get(), backend=BACKEND)
    assert "Send now</button>" not in html(client.get(place_page(it.pk)))
    client.post(place_page(it.pk, "send"))
    assert upstream.asked() == []

    other = unknown(upstream)
    client.post(place_page(other.pk, "send"))
    assert upstream.asked()[0] == POST
    assert state(other.pk) == PlacementState.ACCEPTED


def test_send_now_leaves_alone_what_is_being_sent(upstream):
    it = unknown(upstream)
    assert attempts.begin(it.pk, actor="", now=timezone.now(), is_early=True)
    client = browser("Trader")

    assert "Send now</button>" not in html(client.get(place_page(it.pk)))
    client.post(place_page(it.pk, "send"))
    assert upstream.asked() == []


def test_metrics_tell_how_many_wait_for_a_person_or_the_broker_and_for_how_long(
    upstream, client, settings
):
    placed()
    unknown(upstream)
    settings.PLACING_NEEDS_APPROVAL = True
    placed()
    placed()
    upstream.pass_time(timedelta(seconds=90))

    text = client.get("/metrics").content.decode()
    assert "order_desk_placements_proposed 2.0" in text
    assert "order_desk_placements_ready 1.0" in text
    assert "order_desk_placements_unknown 1.0" in text
    assert "order_desk_placements_unknown_seconds 90.0" in text
    assert (
        attempts.begin(placed().pk, actor="", now=timezone.now()) is None
    )  # it waits for approval
    settings.PLACING_NEEDS_APPROVAL = False
    assert attempts.begin(placed().pk, actor="", now=timezone.now())  # its answer is on its way
    assert "order_desk_placements_unknown 1.0" in client.get("/metrics").content.decode()
    Placement.objects.filter(state="UNKNOWN").delete()
    text = client.get("/metrics").content.decode()
    assert "order_desk_placements_unknown 0.0" in text
    assert "order_desk_placements_unknown_seconds 0.0" in text


def lost(upstream, **changes):
    """Place something that the broker takes, and whose answer is lost."""
    upstream.expect(Trouble("cut", path=PATH, at="done"), times=1)
    it = sent(**changes)
    assert it.state == PlacementState.UNKNOWN
    upstream.asked()
    return it


def test_looking_up_shows_what_fits_and_what_not_and_is_noted(upstream):
    it = lost(upstream)
    other = sent(cash_amount="7.00")
    client = browser("Trader")

    response = client.post(place_page(it.pk, "look_up"))

    said = words(response)
    (order,) = [
        UUID(each["id"])
        for each in upstream.market.portfolio_orders()
        if each["cash_amount"] == "2500.00"
    ]
    assert f"1 of 2 fit: {order}" in said
    assert f"No: it belongs to placement {str(other.pk)[:8]}" in said
    assert f'name="portfolio_order_id" value="{order}"' in html(response)
    assert ("LOOKED_UP", "mira") in steps(it.pk)
    assert state(it.pk) == PlacementState.UNKNOWN


def test_this_is_it_settles_it_as_that_portfolio_order(upstream):
    it = lost(upstream)
    (order,) = upstream.market.portfolio_orders()
    client = browser("Trader")

    response = client.post(
        place_page(it.pk, "placed"), {"portfolio_order_id": order["id"]}, follow=True
    )

    assert messages(response) == [f"Accepted by the broker: portfolio order {order['id']}."]
    assert ("SETTLED_PLACED", "mira") in steps(it.pk)
    assert "Decided by mira" in words(response)
    assert str(Placement.objects.get().portfolio_order_id) == order["id"]


def test_this_is_it_needs_an_id(upstream):
    it = lost(upstream)

    response = browser().post(place_page(it.pk, "placed"), {"portfolio_order_id": "x"}, follow=True)

    assert messages(response) == ["Choose a portfolio order. Nothing was changed."]


def test_it_was_not_placed_can_be_said_a_day_later_after_a_look_up_only(upstream):
    it = unknown(upstream)
    client = browser("Trader")
    not_placed = place_page(it.pk, "not_placed")

    shown = client.post(place_page(it.pk, "look_up"))
    assert "That can be said from 3 Mar 2026, 10:00:00 on" in words(shown)
    assert not_placed not in html(shown)
    early = client.post(not_placed, {"reason": "Nothing there"}, follow=True)
    assert "It can be settled from" in messages(early)[0]
    assert state(it.pk) == PlacementState.UNKNOWN

    upstream.wait(seconds=schedule.KEY_KEPT.total_seconds() + 3600)
    client.force_login(User.objects.get(), backend=BACKEND)
    late = client.post(not_placed, {"reason": "Nothing there"}, follow=True)
    assert messages(late) == ["Look it up at the broker first."]
    assert not_placed in html(client.post(place_page(it.pk, "look_up")))
    response = client.post(not_placed, {"reason": "Nothing there"}, follow=True)

    assert messages(response) == ["Not placed, as mira found: Nothing there."]
    assert steps(it.pk)[-1] == ("SETTLED_NOT_PLACED", "mira")


def test_a_look_up_that_fails_is_told_with_what_the_broker_said(upstream):
    it = unknown(upstream)
    upstream.expect(Trouble("problem", status=503, path=PATH), times=1)

    response = browser().post(place_page(it.pk, "look_up"), follow=True)

    (said,) = messages(response)
    assert said.startswith("It was not looked up: GET /portfolios/orders: 503")


# The page of a placement


def test_the_page_shows_the_facts_and_the_steps_with_their_actors(upstream):
    it = unknown(upstream)

    said = words(browser("Auditor").get(place_page(it.pk)))

    assert f"Placement {it.pk}" in said
    assert "Attempts 1 First sent 2 Mar 2026, 10:00:00" in said
    assert "The key protects until 3 Mar 2026, 09:45:00" in said
    assert "May be called not placed from 3 Mar 2026, 10:00:00" in said
    assert re.search(r"Fate unknown Attempt 1 is open: .+Sent Sent to the broker, attempt 1", said)
    assert re.search(r"Submitted Submitted by tina by tina Entry \d+", said)


@pytest.mark.parametrize(("group", "may"), [("Auditor", True), ("Trader", False)])
def test_body_and_problem_document_are_for_those_who_may_view_payloads(upstream, group, may):
    upstream.expect(Trouble("problem", status=422, path=PATH), times=1)
    it = sent()

    shown = html(browser(group).get(place_page(it.pk)))

    assert ("&quot;cash_amount&quot;:&quot;2500.00&quot;" in shown) is may
    assert ("Problem as it came" in shown) is may
    assert ("Your account may not view them" in shown) is not may


def test_the_portfolio_order_names_who_placed_it_here(upstream):
    it = sent()
    client = browser("Viewer")

    said = words(client.get(page(it.portfolio_order_id)))
    assert f"Placed here by tina {str(it.pk)[:8]}" in said
    other = upstream.place()
    PortfolioOrder.objects.create(pk=other, status="NEW")
    assert "Placed here" not in words(client.get(page(other)))


# Who may do what


def test_who_may_not_place_sees_no_button_and_is_refused(upstream):
    trader = browser("Trader")
    sends = confirmation(trader)
    client = browser("Operator", name="otto")

    for path in (LIST, "/admin/orders/portfolioorder/"):
        assert "Place a portfolio order" in html(trader.get(path))
        assert "Place a portfolio order" not in html(client.get(path))
    assert client.get(FORM).status_code == 403
    assert client.post(FORM, sends).status_code == 403
    assert client.post(SUBMIT, sends | AGAIN).status_code == 403
    assert not Placement.objects.exists()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("group", ["Viewer", "Operator", "Auditor"])
def test_without_a_permission_a_step_is_refused_and_not_shown(upstream, settings, group, step):
    it = unknown(upstream)
    settings.PLACING_NEEDS_APPROVAL = True
    proposed = placed()
    due(upstream, it)
    client = browser(group)
    before = JournalEntry.objects.count()

    for pk in (it.pk, proposed.pk):
        assert client.post(place_page(pk, step), {"reason": "x"}).status_code == 403
        shown = html(client.get(place_page(pk)))
        assert f"/{step}/" not in shown
    assert JournalEntry.objects.count() == before
    assert upstream.asked() == []


def test_who_may_place_only_may_send_and_look_up_but_not_decide(upstream):
    it = lost(upstream)
    due(upstream, it)
    client = who_may("view_placement", "place_portfolioorder")

    shown = html(client.get(place_page(it.pk)))
    found = html(client.post(place_page(it.pk, "look_up")))

    assert "Send now" in shown
    assert "This is it" not in found
    for step in ("approve", "decline", "placed", "not_placed"):
        assert client.post(place_page(it.pk, step)).status_code == 403


def test_who_may_approve_only_may_look_up_and_decide_but_not_send(upstream):
    it = lost(upstream)
    due(upstream, it)
    client = who_may("view_placement", "approve_placement")

    assert "Send now" not in html(client.get(place_page(it.pk)))
    assert "This is it" in html(client.post(place_page(it.pk, "look_up")))
    assert client.post(place_page(it.pk, "send")).status_code == 403
    assert client.get(FORM).status_code == 403


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_a_post_checked_against_forgery(upstream, step):
    it = unknown(upstream)

    assert browser().get(place_page(it.pk, step)).status_code == 405
    forger = browser(name="eve", checks_csrf=True)
    assert forger.post(place_page(it.pk, step)).status_code == 403
    assert forger.post(SUBMIT, FIELDS).status_code == 403
    assert upstream.asked() == []


@pytest.mark.parametrize("step", STEPS)
def test_what_is_not_known_here_is_404(db, step):
    response = browser().post(place_page(uuid4(), step), {"portfolio_order_id": str(uuid4())})

    assert response.status_code == 404


def test_a_step_that_is_not_possible_any_more_says_why(upstream):
    it = sent()
    client = browser("Trader")
    sends = {"reason": "x", "portfolio_order_id": str(uuid4())}

    for step in ("approve", "decline", "placed", "not_placed"):
        (said,) = messages(client.post(place_page(it.pk, step), sends, follow=True))
        assert said.endswith("any more: its state is accepted.")
    assert state(it.pk) == PlacementState.ACCEPTED


# Today


def test_today_tells_what_waits_for_a_person_and_leads_there(upstream, settings):
    it = unknown(upstream)
    settings.PLACING_NEEDS_APPROVAL = True
    placed()
    placed()
    upstream.wait(minutes=12)

    response = browser("Viewer").get("/admin/")

    said = words(response)
    assert "The fate of 1 placement is unknown , the oldest for 12 min. Look" in said
    assert "2 placements wait for approval. Decide" in said
    for filters in ("state=UNKNOWN", "state=PROPOSED"):
        assert f'href="{LIST}?{filters}"' in html(response)
    ada = browser(name="ada")
    ada.post(place_page(it.pk, "placed"), {"portfolio_order_id": str(uuid4())})
    assert "is unknown" not in words(ada.get("/admin/"))


def test_today_is_silent_where_nothing_waits_and_to_who_may_not_see_placements(upstream, approval):
    assert "waits for approval" not in words(browser("Viewer").get("/admin/"))
    placed()

    assert "waits for approval" not in words(who_may(name="nobody").get("/admin/"))
