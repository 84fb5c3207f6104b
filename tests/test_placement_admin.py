"""The pages of placements: what they show, who may press what, and that each step is told."""

import re
from datetime import timedelta
from decimal import Decimal
from html import unescape
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backoffice.sandbox import Trouble
from orders.models import JournalEntry, Placement, PlacementState, PortfolioOrder
from orders.placing import attempts, placing, schedule
from orders.placing.errors import NotPossibleError
from orders.placing.looking_up import look_up
from orders.placing.wish import InvalidWishError, read_wish
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
STEPS = ["approve", "decline", "withdraw", "send", "look_up", "placed", "not_placed"]


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
    """Place something that the broker answers with an error of its own: its result is unknown."""
    upstream.expect(Trouble("problem", status=status, path=PATH), times=1)
    it = sent(**changes)
    assert it.state == PlacementState.UNKNOWN
    upstream.asked()
    return it


def approve(client, pk, amount="2500"):
    """Press Approve, with the amount typed again."""
    return client.post(place_page(pk, "approve"), {"amount": amount}, follow=True)


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
    key = key_in(client.get(FORM, follow=True))
    response = client.post(FORM, {**FIELDS, **changes, "key": key}, follow=True)
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
    assert counts == {"Waiting for approval": "1", "Result unknown": "1", "To be sent": "1"}
    found = {
        label: [row.state for row in client.get(f"{LIST}{tab.query}").context["cl"].result_list]
        for label, tab in tabs.items()
    }
    assert len(found.pop("All")) == 6
    assert found == {
        "Waiting for approval": ["PROPOSED"],
        "Result unknown": ["UNKNOWN"],
        "To be sent": ["READY"],
        "Accepted": ["ACCEPTED"],
        "Refused": ["REFUSED"],
        "Declined or not placed": ["DECLINED"],
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
    assert "No placements yet." in words(browser().get(LIST))


# Placing


def test_no_get_places_anything_and_the_form_chooses_nothing_by_itself(upstream):
    client = browser("Trader")

    shown = html(client.get(FORM, follow=True))

    assert " checked" not in shown
    assert " selected" not in shown
    assert client.get(SUBMIT).url == FORM
    assert upstream.asked() == []
    assert not Placement.objects.exists()


def test_what_was_typed_is_shown_in_plain_words_and_placed_once_it_is_typed_again(upstream):
    client = browser("Trader")
    key = key_in(client.get(FORM, follow=True))

    asked = client.post(FORM, {**FIELDS, "key": key}, follow=True)
    assert f"BUY 2,500.00 EUR for account {ACCOUNT}" in words(asked)
    assert upstream.asked() == []
    response = submit(client, values_in(asked))

    it = Placement.objects.get()
    assert response.redirect_chain == [(place_page(it.pk), 302)]
    assert messages(response) == [
        f"Accepted by the broker: portfolio order {it.portfolio_order_id}."
    ]
    assert upstream.asked() == [POST]
    assert steps(it.pk) == [("SUBMITTED", "mira"), ("SENT", "mira"), ("ACCEPTED", "")]
    assert "Accepted" in words(response)


def test_a_double_click_and_a_reload_place_once(upstream):
    client = browser("Trader")
    sends = confirmation(client)

    submit(client, sends)
    response = submit(client, sends)

    assert upstream.asked() == [POST]
    assert Placement.objects.count() == 1
    (said,) = messages(response)
    assert said.startswith("This form was submitted before; nothing was placed twice. Accepted by")


def test_a_form_that_placed_one_order_places_no_other(upstream):
    client = browser("Trader")
    sends = confirmation(client)
    submit(client, sends)

    response = submit(client, {**sends, "cash_amount": "99.00"}, amount="99.00")

    (said,) = messages(response)
    assert "This form has already placed another order" in said
    assert [it.cash_amount for it in Placement.objects.all()] == ["2500.00"]
    assert upstream.asked() == [POST]


def test_a_form_made_for_somebody_else_places_nothing(upstream):
    sends = confirmation(browser("Trader"))

    response = submit(browser("Trader", name="ben"), sends)

    assert b"Nothing was placed.</strong> This form was opened by another user." in response.content
    assert values_in(response)["cash_amount"] == "2500.00"
    assert not Placement.objects.exists()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("cash_amount", "2,500.00", "Enter the amount in digits"),
        ("cash_amount", "0.00", "Enter an amount above zero."),
        ("account_id", "840def04", "Enter the whole account ID"),
        ("user_id", "", "Enter the whole user ID"),
        ("currency", "", "Choose the currency"),
        ("side", "", "Choose the side"),
    ],
)
def test_bad_input_is_told_beside_its_field_and_nothing_typed_is_lost(upstream, name, text, said):
    client = browser("Trader")
    typed = {**FIELDS, name: text, "post_tax": "true", "key": key_in(client.get(FORM, follow=True))}

    for path in (FORM, SUBMIT):
        response = client.post(path, typed, follow=True)

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

    response = client.post(FORM, {**sends, "change": "1"}, follow=True)

    assert response.status_code == 200
    kept = values_in(response)
    assert kept["key"].partition(":")[0] == sends["key"].partition(":")[0]
    assert kept["account_id"] == ACCOUNT
    assert html(response).count(" checked") == 2


def test_the_same_order_of_the_last_day_is_warned_of(upstream):
    mine = sent(cash_amount="2500")
    upstream.wait(minutes=4)
    client = browser("Trader")
    key = key_in(client.get(FORM, follow=True))

    def warned(**changes):
        said = words(client.post(FORM, {**FIELDS, **changes, "key": key}, follow=True))
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


@pytest.mark.parametrize("amount", ["1000000.01", "999999999999999999.00"])
def test_more_than_the_limit_is_refused_by_the_form_the_confirmation_and_in_code(
    upstream, settings, amount
):
    client = browser("Trader")
    sends = confirmation(client, cash_amount=amount)
    settings.PLACING_LIMITS = {"EUR": Decimal(1000000)}
    said = "The limit for one portfolio order is 1,000,000 EUR."

    key = key_in(client.get(FORM, follow=True))
    form = client.post(FORM, {**FIELDS, "cash_amount": amount, "key": key}, follow=True)
    confirmed = submit(client, sends, amount=amount)

    for response in (form, confirmed):
        assert said in unescape(response.content.decode())
    with pytest.raises(InvalidWishError, match=said):
        placed(cash_amount=amount)
    assert Placement.objects.count() == 0
    assert upstream.asked() == []


def test_what_is_above_the_limit_says_whom_to_ask_and_the_setting_to_administrators_alone(
    upstream, settings
):
    settings.PLACING_LIMITS = {"EUR": Decimal(1000)}
    User.objects.create_superuser("anna", first_name="Anna", last_name="Lee")
    said = []
    for client in (browser("Trader"), browser(name="boss")):
        key = key_in(client.get(FORM, follow=True))
        shown = client.post(FORM, {**FIELDS, "key": key}, follow=True)
        said.append(unescape(shown.content.decode()))
    with pytest.raises(InvalidWishError) as refused:
        placed()

    limit = "The limit for one portfolio order is 1,000 EUR. Enter a smaller amount, or"
    assert f"{limit} ask an administrator (Anna Lee" in said[0]
    assert "to raise the limit." in said[0]
    assert f"{limit} raise the limit, which is the setting PLACING_LIMITS." in said[1]
    assert "PLACING_LIMITS" not in said[0] + str(refused.value)


def test_the_address_to_add_a_placement_leads_to_the_form():
    for client in (browser("Trader"), browser(name="boss")):
        response = client.get("/admin/orders/placement/add/", follow=True)

        assert "Place a portfolio order" in unescape(response.content.decode())
    viewer = browser("Viewer", name="vera").get("/admin/orders/placement/add/", follow=True)
    assert viewer.status_code == 403
    assert "“Place portfolio orders”" in viewer.content.decode()


def test_the_limit_itself_and_other_currencies_may_be_placed(upstream, settings):
    settings.PLACING_LIMITS = {"EUR": Decimal(2500)}

    assert placed(cash_amount="2500.00").state == PlacementState.READY
    assert placed(cash_amount="9999.00", currency="GBP").state == PlacementState.READY


def test_what_was_placed_before_a_limit_was_lowered_keeps_its_key(upstream, settings):
    key, client = uuid4(), browser("Trader")
    first = placing.place(read_wish(FIELDS), actor="tina", key=key)
    sends = confirmation(client)
    submit(client, sends)
    settings.PLACING_LIMITS = {"EUR": Decimal(1)}

    assert placing.place(read_wish(FIELDS), actor="tina", key=key).pk == first.pk
    (said,) = messages(submit(client, sends))
    assert said.startswith("This form was submitted before; nothing was placed twice.")


def test_what_is_above_a_lowered_limit_is_not_approved(upstream, settings, approval):
    it = placed("tina")
    settings.PLACING_LIMITS = {"EUR": Decimal(1)}

    (said,) = messages(approve(browser("Trader"), it.pk))

    assert said.startswith("The limit for one portfolio order is 1 EUR.")
    assert state(it.pk) == PlacementState.PROPOSED


def test_above_a_threshold_a_second_person_is_needed(upstream, settings):
    settings.PLACING_APPROVAL_ABOVE = {"EUR": Decimal(2500)}
    client = browser("Trader")

    assert placed(cash_amount="2500.00").state == PlacementState.READY
    assert placed(cash_amount="2500.01").state == PlacementState.PROPOSED
    assert placed(cash_amount="9000", currency="GBP").state == PlacementState.READY
    key = key_in(client.get(FORM, follow=True))
    shown = client.post(FORM, {**FIELDS, "cash_amount": "2500.01", "key": key}, follow=True)
    assert "Submit this portfolio order for approval?" in words(shown)


def test_an_amount_far_above_the_last_of_the_account_is_warned_of(upstream, settings):
    PortfolioOrder.objects.bulk_create(
        PortfolioOrder(
            pk=uuid4(), account_id=account, cash_amount=amount, currency="EUR", type=side,
            status=status, created_at=timezone.now(),
        )
        for account, amount, side, status in [
            (ACCOUNT, "100.00", "BUY", "FILLED"),
            (ACCOUNT, "250.00", "BUY", "NEW"),
            (ACCOUNT, "9000.00", "BUY", "CANCELLED"),
            (ACCOUNT, "9000.00", "SELL", "FILLED"),
            (str(uuid4()), "40.00", "BUY", "FILLED"),
        ]
    )  # fmt: skip
    client = browser("Trader")

    def shown(**changes):
        key = key_in(client.get(FORM, follow=True))
        return words(client.post(FORM, {**FIELDS, **changes, "key": key}, follow=True))

    said = "Far above the usual amount."
    assert (
        f"{said} The largest of this account's last comparable orders (2) was 250.00 EUR" in shown()
    )
    assert said not in shown(cash_amount="2499.99")
    assert said not in shown(side="SELL")
    other: dict[str, str] = {"account_id": str(uuid4())}
    assert "the largest of the last for all accounts (3) was 250.00 EUR" in shown(**other)
    assert said not in shown(**other, currency="GBP")
    settings.PLACING_NEEDS_APPROVAL = True
    assert said in words(client.get(place_page(placed("tina").pk)))


@pytest.mark.parametrize(
    "written",
    [
        "840def04f7114274b381f20c93f39362",
        "{840DEF04-F711-4274-B381-F20C93F39362}",
        " \u200b“840def04-f711-4274-b381-f20c93f39362”,\u00a0",
        "840def04\u2011f711\u20114274\u2011b381\u2011f20c93f39362",
    ],
)
def test_an_id_is_taken_with_or_without_hyphens_whatever_stands_around_it(written):
    wish = read_wish(FIELDS | {"account_id": written, "user_id": written})

    assert (wish.account_id, wish.user_id) == (UUID(ACCOUNT), UUID(ACCOUNT))


@pytest.mark.parametrize(
    "written", [ACCOUNT[:-1], ACCOUNT + "0", "840def04-f7114274b381f20c93f39362", "é" * 36]
)
def test_what_is_no_whole_id_is_told_with_an_example(written):
    with pytest.raises(InvalidWishError) as raised:
        read_wish(FIELDS | {"account_id": written})

    (said,) = raised.value.problems.values()
    assert said.startswith("Enter the whole account ID: 36 characters such as ")


def test_the_same_order_that_others_placed_is_warned_of_too(upstream):
    pk = uuid4()
    PortfolioOrder.objects.create(
        pk=pk, status="FILLED", account_id=ACCOUNT, type="BUY", currency="EUR",
        cash_amount="2500", created_at=timezone.now(),
    )  # fmt: skip
    client = browser("Trader")

    said = words(
        client.post(FORM, {**FIELDS, "key": key_in(client.get(FORM, follow=True))}, follow=True)
    )

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
    assert "The same order was placed while you were reading this page" in words_of(response)
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

    said = words(
        client.post(FORM, {**FIELDS, "key": key_in(client.get(FORM, follow=True))}, follow=True)
    )

    assert "This account already has" not in said
    assert "No orders for this account here yet." in said


def test_a_refusal_leads_to_the_problem_document(upstream):
    client = browser("Trader")
    upstream.expect(Trouble("problem", status=422, path=PATH), times=1)

    response = submit(client, confirmation(client))

    (said,) = messages(response)
    assert said.startswith("Refused by the broker: 422")
    shown = words(response)
    assert "The broker's response Status 422 Title Unprocessable entity" in shown
    assert "Request ID" in shown
    assert "Problem as received" not in html(response)  # for those who may view payloads


def test_without_an_answer_the_result_is_unknown_and_nothing_is_called_refused(upstream):
    client = browser("Trader")
    upstream.expect(Trouble("problem", status=503, path=PATH), times=1)

    response = submit(client, confirmation(client))

    (said,) = messages(response)
    assert said.startswith("Sent, no answer yet.")
    assert Placement.objects.get().state == PlacementState.UNKNOWN


# Approval


def test_with_approval_a_proposal_waits_and_nothing_is_sent(upstream, approval):
    client = browser("Trader")

    response = submit(client, confirmation(client))

    assert upstream.asked() == []
    assert state(Placement.objects.get().pk) == PlacementState.PROPOSED
    assert messages(response) == [
        "Submitted by mira. Nothing is sent until another person approves it."
    ]


def test_who_submitted_it_cannot_approve_it_and_reads_why(upstream, approval):
    it = placed("mira")
    client = browser("Trader")

    shown = client.get(place_page(it.pk))
    response = approve(client, it.pk)

    assert "Approve</button>" not in html(shown)
    assert "You submitted it yourself: another person has to approve it." in words(shown)
    assert messages(response) == ["You submitted it yourself: another person has to approve it."]
    assert state(it.pk) == PlacementState.PROPOSED
    assert upstream.asked() == []


def test_a_second_person_approves_and_it_is_sent_at_once(upstream, approval):
    it = placed("tina")

    response = approve(browser("Trader"), it.pk)

    (said,) = messages(response)
    assert said.startswith("Accepted by the broker: portfolio order")
    assert ("APPROVED", "mira") in steps(it.pk)
    assert upstream.asked() == [POST]


@pytest.mark.parametrize("typed", ["", "250", "2,500.00", "2500 EUR"])
def test_who_approves_types_the_amount_again(upstream, approval, typed):
    it = placed("tina")

    response = approve(browser("Trader"), it.pk, typed)

    (said,) = messages(response)
    assert said.startswith("This is not the amount above.")
    assert said.endswith("Nothing was approved.")
    assert state(it.pk) == PlacementState.PROPOSED
    assert upstream.asked() == []


def test_who_submitted_it_withdraws_it_and_others_cannot(upstream, approval):
    client = browser("Trader")
    submit(client, confirmation(client))
    it = Placement.objects.get()
    other = browser("Trader", name="otto")

    assert "Withdraw</button>" not in html(other.get(place_page(it.pk)))
    refused = other.post(place_page(it.pk, "withdraw"), follow=True)
    assert messages(refused) == ["Another person submitted it: decline it instead."]
    shown = html(client.get(place_page(it.pk)))
    assert "Withdraw</button>" in shown
    assert "Decline</button>" not in shown
    declined = client.post(place_page(it.pk, "decline"), {"reason": "Mine"}, follow=True)
    assert messages(declined) == ["You submitted it yourself: withdraw it instead."]
    response = client.post(place_page(it.pk, "withdraw"), follow=True)

    assert messages(response) == ["Withdrawn by mira. Nothing was sent."]
    assert steps(it.pk)[-1] == ("WITHDRAWN", "mira")
    assert "Withdrawn" in words(client.get(LIST))
    assert upstream.asked() == []


def test_four_eyes_are_two_users_whatever_their_names(upstream, approval):
    client = browser("Trader", name="mira")
    submit(client, confirmation(client))
    it = Placement.objects.get()
    User.objects.filter(username="mira").update(username="mira-smith")
    namesake = browser("Trader", name="mira")

    renamed = approve(client, it.pk)
    assert messages(renamed) == ["You submitted it yourself: another person has to approve it."]
    assert state(it.pk) == PlacementState.PROPOSED
    (said,) = messages(approve(namesake, it.pk))
    assert said.startswith("Accepted by the broker")


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
    assert messages(without) == ["Give a reason of 1 to 1,000 characters. Nothing was changed."]
    assert state(it.pk) == PlacementState.PROPOSED
    response = client.post(place_page(it.pk, "decline"), {"reason": "Wrong account"}, follow=True)

    assert messages(response) == ["Declined by mira: Wrong account. Nothing was sent."]
    assert ("DECLINED", "mira") in steps(it.pk)
    again = approve(client, it.pk)
    assert messages(again) == ["It can no longer be approved: its state is declined."]
    assert upstream.asked() == []


# With an unknown result


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
    upstream, scraper, settings
):
    placed()
    unknown(upstream)
    settings.PLACING_NEEDS_APPROVAL = True
    placed()
    placed()
    upstream.pass_time(timedelta(seconds=90))

    text = scraper.get("/metrics").content.decode()
    assert "order_desk_placements_proposed 2.0" in text
    assert "order_desk_placements_ready 1.0" in text
    assert "order_desk_placements_unknown 1.0" in text
    assert "order_desk_placements_unknown_seconds 90.0" in text
    assert (
        attempts.begin(placed().pk, actor="", now=timezone.now()) is None
    )  # it waits for approval
    settings.PLACING_NEEDS_APPROVAL = False
    assert attempts.begin(placed().pk, actor="", now=timezone.now())  # its answer is on its way
    assert "order_desk_placements_unknown 1.0" in scraper.get("/metrics").content.decode()
    Placement.objects.filter(state="UNKNOWN").delete()
    text = scraper.get("/metrics").content.decode()
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
    assert f"1 of 2 orders matches: {order}" in said
    assert f"No, it belongs to placement {str(other.pk)[:8]}" in said
    assert f'name="portfolio_order_id" value="{order}"' in html(response)
    assert ("LOOKED_UP", "mira") in steps(it.pk)
    assert state(it.pk) == PlacementState.UNKNOWN


@pytest.mark.parametrize(
    ("odd", "unread"),
    [
        ({"cash_amount": {"amount": "2500.00"}, "initiation_flow": ["API"]}, "amount, flow"),
        ({"user_id": 7, "type": {}, "status": []}, "user, side"),
    ],
)
def test_what_cannot_be_read_in_part_may_be_it_all_the_same(upstream, monkeypatch, odd, unread):
    it = lost(upstream)
    listed = [{**order, **odd} for order in upstream.market.portfolio_orders()]
    monkeypatch.setattr(upstream.market, "portfolio_orders", lambda *_, **__: listed)

    said = words(browser("Trader").post(place_page(it.pk, "look_up")))

    assert "1 of 1 order matches" in said
    assert f"Match. Unreadable: {unread}: link this order" in said


def test_a_currency_that_only_begins_as_ours_is_another(upstream, monkeypatch):
    it = lost(upstream)
    listed = [{**order, "currency": "EURC"} for order in upstream.market.portfolio_orders()]
    monkeypatch.setattr(upstream.market, "portfolio_orders", lambda *_, **__: listed)

    said = words(browser("Trader").post(place_page(it.pk, "look_up")))

    assert "none of 1 order matches" in said
    assert "Different: currency" in said


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
    assert "Possible after 3 Mar 2026, 10:00:00" in words(shown)
    assert not_placed not in html(shown)
    early = client.post(not_placed, {"reason": "Nothing there"}, follow=True)
    assert "It can be resolved as not placed after" in messages(early)[0]
    assert state(it.pk) == PlacementState.UNKNOWN

    upstream.wait(seconds=schedule.KEY_KEPT.total_seconds() + 3600)
    client.force_login(User.objects.get(), backend=BACKEND)
    late = client.post(not_placed, {"reason": "Nothing there"}, follow=True)
    assert messages(late) == ["Look it up at the broker first."]
    assert not_placed in html(client.post(place_page(it.pk, "look_up")))
    response = client.post(not_placed, {"reason": "Nothing there"}, follow=True)

    assert messages(response) == ["Resolved as not placed by mira: Nothing there."]
    assert steps(it.pk)[-1] == ("SETTLED_NOT_PLACED", "mira")


@pytest.mark.parametrize("resolve", ["placed", "not_placed", "declined"])
def test_what_is_resolved_cannot_be_looked_up_or_decided_again_from_a_stale_page(
    upstream, settings, resolve
):
    client = browser("Trader")
    settings.PLACING_NEEDS_APPROVAL = resolve == "declined"
    it = placed() if resolve == "declined" else unknown(upstream)
    if resolve == "placed":
        placing.settle_as_placed(it.pk, upstream.place(), actor="otto")
    else:
        last = PlacementState.DECLINED if resolve == "declined" else PlacementState.NOT_PLACED
        Placement.objects.filter(pk=it.pk).update(
            state=last, decided_by="otto", next_attempt_at=None, reason="no"
        )
    before, before_state = steps(it.pk), state(it.pk)
    upstream.asked()
    sends = {"reason": "Again", "amount": "2500.00", "portfolio_order_id": str(uuid4())}

    for step in STEPS:
        response = client.post(place_page(it.pk, step), sends, follow=True)
        assert response.redirect_chain == [(place_page(it.pk), 302)], step

    assert (steps(it.pk), state(it.pk)) == (before, before_state)
    assert upstream.asked() == []


def test_what_is_resolved_while_it_is_looked_up_has_no_look_up_after_it(upstream, monkeypatch):
    it = unknown(upstream)
    order = upstream.place()

    def answer_late(placement, **_):
        rows = Placement.objects.filter(pk=placement.pk)
        rows.update(state=PlacementState.ACCEPTED, portfolio_order_id=order)
        return []

    monkeypatch.setattr("orders.placing.looking_up.candidates", answer_late)

    with pytest.raises(NotPossibleError, match="accepted"):
        look_up(it)

    assert "LOOKED_UP" not in dict(steps(it.pk))


def test_a_look_up_that_fails_is_told_with_what_the_broker_said(upstream):
    it = unknown(upstream)
    upstream.expect(Trouble("problem", status=503, path=PATH), times=1)

    response = browser().post(place_page(it.pk, "look_up"), follow=True)

    (said,) = messages(response)
    assert said.startswith("Not looked up: 503")


# The page of a placement


def test_the_page_shows_the_facts_and_the_steps_with_their_actors(upstream):
    it = unknown(upstream)

    said = words(browser("Auditor").get(place_page(it.pk)))

    assert f"Placement {it.pk}" in said
    assert "Attempts 1 First sent 2 Mar 2026, 10:00:00" in said
    assert "Automatic retries until 3 Mar 2026, 09:45:00" in said
    assert 'Can be resolved as "not placed" after 3 Mar 2026, 10:00:00' in said
    assert re.search(
        r"Result unknown No answer to attempt 1: .+Sent Sent automatically, attempt 1", said
    )
    assert re.search(r"Submitted Submitted by tina by tina Entry \d+", said)


@pytest.mark.parametrize(("group", "may"), [("Auditor", True), ("Trader", False)])
def test_body_and_problem_document_are_for_those_who_may_view_payloads(upstream, group, may):
    upstream.expect(Trouble("problem", status=422, path=PATH), times=1)
    it = sent()

    shown = html(browser(group).get(place_page(it.pk)))

    assert ("&quot;cash_amount&quot;:&quot;2500.00&quot;" in shown) is may
    assert ("Problem as received" in shown) is may
    assert ("you need the permission to view raw payloads" in shown) is not may


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
    assert client.get(FORM, follow=True).status_code == 403
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
    done = JournalEntry.objects.exclude(type="PAYLOAD")  # an auditor looks at the body
    before = done.count()

    for pk in (it.pk, proposed.pk):
        assert client.post(place_page(pk, step), {"reason": "x"}).status_code == 403
        shown = html(client.get(place_page(pk)))
        assert f"/{step}/" not in shown
    assert done.count() == before
    assert upstream.asked() == []


def test_who_may_place_only_may_send_and_look_up_but_not_decide(upstream):
    it = lost(upstream)
    due(upstream, it)
    client = who_may("view_placement", "place_portfolioorder")

    shown = html(client.get(place_page(it.pk)))
    found = html(client.post(place_page(it.pk, "look_up")))

    assert "Send now" in shown
    assert "Link this order" not in found
    for step in ("approve", "decline", "placed", "not_placed"):
        assert client.post(place_page(it.pk, step)).status_code == 403


def test_who_may_approve_only_may_look_up_and_decide_but_not_send(upstream):
    it = lost(upstream)
    due(upstream, it)
    client = who_may("view_placement", "approve_placement")

    assert "Send now" not in html(client.get(place_page(it.pk)))
    assert "Link this order" in html(client.post(place_page(it.pk, "look_up")))
    assert client.post(place_page(it.pk, "send")).status_code == 403
    assert client.get(FORM, follow=True).status_code == 403


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_a_post_checked_against_forgery(upstream, step):
    it = unknown(upstream)

    assert browser().get(place_page(it.pk, step)).url == place_page(it.pk)
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
        assert said.endswith(": its state is accepted.")
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
    assert (
        "1 placement has no confirmed result , the oldest for 12 min. Look it up at the broker"
        in said
    )
    assert "2 placements are waiting for approval. Approve or decline" in said
    for filters in ("state=UNKNOWN", "state=PROPOSED"):
        assert f'href="{LIST}?{filters}"' in html(response)
    ada = browser(name="ada")
    ada.post(place_page(it.pk, "placed"), {"portfolio_order_id": str(uuid4())})
    assert "is unknown" not in words(ada.get("/admin/"))


def test_today_is_silent_where_nothing_waits_and_to_who_may_not_see_placements(upstream, approval):
    assert "is waiting for approval" not in words(browser("Viewer").get("/admin/"))
    placed()

    assert "is waiting for approval" not in words(who_may(name="nobody").get("/admin/"))
