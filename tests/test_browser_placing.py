"""Placing in a browser: by keyboard, by two people, and what becomes of an order whose answer was lost."""

import re

import pytest

from backoffice.sandbox import Trouble
from orders.models import JournalEntry, Placement, PlacementState
from orders.placing import placing
from orders.placing.wish import read_wish
from tests.browser import NARROW, WIDE, barriers
from tests.staff import browser, who_may
from tests.upstream import running

LIST = "/admin/orders/placement/"
PATH = "/portfolios/orders"
ACCOUNT = "840def04-f711-4274-b381-f20c93f39362"
USER = "4e97711f-794d-49c7-8fd1-df96532ab6f0"
FIELDS = {
    "user_id": USER,
    "account_id": ACCOUNT,
    "cash_amount": "2500.00",
    "currency": "EUR",
    "side": "BUY",
}
VIEW = ("view_placement", "view_portfolioorder", "view_order", "view_journalentry")


@pytest.fixture
def upstream(look, settings):
    with running(settings) as upstream:
        yield upstream


def trader(name="mira"):
    return who_may(*VIEW, "place_portfolioorder", "approve_placement", name=name)


def said(shown):
    return shown.locator(".messagelist").inner_text()


def placed(actor="tina"):
    return placing.place(read_wish(FIELDS), actor=actor)


def lost(upstream):
    """Place an order that the broker takes, and whose answer is lost."""
    upstream.expect(Trouble("cut", path=PATH, at="done"))
    return placing.send(placed().pk)


def fill_in(shown):
    """Fill in the form as people do without a mouse; the focus is where the browser put it."""
    shown.locator("#id_side").focus()
    shown.keyboard.press("Space")
    for keys in ("2500.00", "E", " ", ACCOUNT, USER):  # amount, currency, after tax, account, user
        shown.keyboard.press("Tab")
        if keys == " ":
            continue  # as it is: before tax
        shown.keyboard.type(keys)
    shown.keyboard.press("Enter")


def page(it, step="change"):
    return f"{LIST}{it.pk}/{step}/"


def test_an_order_is_placed_by_keyboard_once_amount_and_account_are_typed_again(look, upstream):
    window = look(trader())
    shown = window.open("/admin/orders/portfolioorder/")
    shown.get_by_role("button", name="Place a portfolio order").press("Enter")

    fill_in(shown)
    assert shown.locator(".wish").inner_text() == "BUY 2,500.00 EUR"
    assert "No orders for this account here yet." in shown.locator("#unseen").inner_text()
    assert not Placement.objects.exists()
    shown.get_by_label("Type the amount again").focus()
    shown.keyboard.type("2500.00")
    shown.keyboard.press("Tab")
    shown.keyboard.type(ACCOUNT[-8:])
    shown.keyboard.press("Enter")
    shown.locator(".messagelist").wait_for()

    it = Placement.objects.get()
    assert window.path() == page(it)
    assert said(shown) == f"Accepted by the broker: portfolio order {it.portfolio_order_id}."
    assert shown.locator(".head-line .badge").inner_text() == "Accepted"
    assert len(upstream.market.portfolio_orders()) == 1
    assert JournalEntry.objects.get(status="SUBMITTED").actor == "mira"
    shown.locator(".facts a", has_text=str(it.portfolio_order_id)[:8]).click()
    assert "by mira" in shown.locator(".facts").inner_text()
    assert window.complaints == []


def test_a_page_that_is_sent_back_has_the_focus_on_what_is_wrong_and_leads_to_it(look, upstream):
    window = look(trader())
    shown = window.open(f"{LIST}place/")

    shown.get_by_label("Amount", exact=True).fill("2,500")
    shown.get_by_role("button", name="Review").click()

    shown.locator("#problems:focus").wait_for()
    assert barriers(shown) == []
    shown.locator("#problems a", has_text="Amount").click()
    assert shown.locator(":focus").input_value() == "2,500"
    fill_in_the_rest(shown)
    shown.locator(".wish").wait_for()
    shown.get_by_role("button", name="Place order").click()
    shown.locator("#problems:focus").wait_for()
    assert barriers(shown) == []
    shown.get_by_role("button", name="Edit").click()
    shown.locator("#id_side").wait_for()
    assert shown.get_by_label("Account ID").input_value() == ACCOUNT
    assert not Placement.objects.exists()
    assert window.complaints == []


def fill_in_the_rest(shown):
    shown.get_by_label("Buy").check()
    shown.get_by_label("Amount", exact=True).fill("2500.00")
    shown.get_by_label("Currency").select_option("EUR")
    shown.get_by_label("Account ID").fill(ACCOUNT)
    shown.get_by_label("User ID").fill(USER)
    shown.get_by_role("button", name="Review").click()


@pytest.mark.parametrize("script", [True, False])
def test_back_shows_what_was_typed_and_never_asks_to_send_a_form_again(look, upstream, script):
    window = look(trader(), java_script_enabled=script)
    shown = window.open(f"{LIST}place/")
    fill_in_the_rest(shown)
    shown.locator(".wish").wait_for()
    shown.go_back()
    assert shown.get_by_label("Amount", exact=True).input_value() == "2500.00"
    assert shown.get_by_label("Account ID").input_value() == ACCOUNT
    assert shown.get_by_label("User ID").input_value() == USER
    assert shown.get_by_label("Buy").is_checked()
    shown.go_forward()
    shown.get_by_role("button", name="Place order").click()  # nothing typed again: sent back
    shown.locator("#problems").wait_for()
    confirm(shown, "Place order")
    it = Placement.objects.get()

    shown.go_back()

    assert window.path() == page(it)
    assert "this is its placement" in said(shown)
    assert window.open(f"{LIST}place/").get_by_label("Account ID").input_value() == ""
    assert len(upstream.market.portfolio_orders()) == 1
    assert window.complaints == []


def confirm(shown, button):
    shown.get_by_label("Type the amount again").fill("2500.00")
    shown.get_by_label("Type the last 8 characters of the account ID").fill(ACCOUNT[-8:])
    shown.get_by_role("button", name=button).click()
    shown.locator(".messagelist").wait_for()


def test_a_second_person_approves_what_the_first_proposed_without_javascript(
    look, upstream, settings
):
    settings.PLACING_NEEDS_APPROVAL = True
    first = look(trader(), java_script_enabled=False)
    shown = first.open(f"{LIST}place/")
    fill_in_the_rest(shown)
    confirm(shown, "Submit for approval")
    it = Placement.objects.get()
    assert it.state == PlacementState.PROPOSED
    assert shown.get_by_role("button", name="Approve").count() == 0
    assert "another person has to approve it" in shown.locator("#why-not").inner_text()

    second = look(trader("ben"), java_script_enabled=False)
    shown = second.open("/admin/")
    shown.locator("#placements-proposed a").click()
    shown.locator("#result_list a", has_text=str(it.pk)[:8]).click()
    assert shown.locator(".wish").inner_text() == "BUY 2,500.00 EUR"
    shown.get_by_label("Type the amount again").fill("2500")
    shown.get_by_role("button", name="Approve").click()

    assert said(shown).startswith("Accepted by the broker: portfolio order ")
    assert JournalEntry.objects.get(status="APPROVED").actor == "ben"
    assert len(upstream.market.portfolio_orders()) == 1
    assert first.complaints == second.complaints == []


def test_a_second_person_declines_with_a_reason(look, upstream, settings):
    settings.PLACING_NEEDS_APPROVAL = True
    it = placed()
    window = look(trader())

    shown = window.open(page(it))
    shown.get_by_label("Reason").fill("Not this account")
    shown.get_by_role("button", name="Decline").click()

    assert said(shown) == "Declined by mira: Not this account. Nothing was sent."
    assert upstream.market.portfolio_orders() == []
    assert JournalEntry.objects.get(status="DECLINED").actor == "mira"
    assert window.complaints == []


def test_an_order_whose_answer_was_lost_is_looked_up_and_found(look, upstream):
    it = lost(upstream)
    upstream.wait(minutes=5)
    (order,) = upstream.market.portfolio_orders()
    window = look(trader())

    shown = window.open("/admin/")
    assert "1 placement has no confirmed result" in (
        shown.locator("#placements-unknown").inner_text()
    )
    shown.locator("#placements-unknown a").click()
    shown.locator("#result_list a", has_text=str(it.pk)[:8]).click()
    shown.get_by_role("button", name="Look up at the broker").click()
    shown.locator("summary", has_text="Link this order").click()
    assert barriers(shown) == []
    shown.get_by_role("button", name="Link this order").click()

    assert said(shown) == f"Accepted by the broker: portfolio order {order['id']}."
    assert str(Placement.objects.get().portfolio_order_id) == order["id"]
    assert JournalEntry.objects.get(status="SETTLED_PLACED").actor == "mira"
    assert len(upstream.market.portfolio_orders()) == 1
    window.open("/admin/")
    assert shown.locator("#placements-unknown").count() == 0
    assert window.complaints == []


def test_send_now_ends_the_doubt_with_the_same_key(look, upstream):
    it = lost(upstream)
    upstream.wait(minutes=5)
    window = look(trader())

    shown = window.open(page(it))
    shown.get_by_role("button", name="Send now").click()

    (order,) = upstream.market.portfolio_orders()
    assert said(shown) == f"Accepted by the broker: portfolio order {order['id']}."
    assert window.complaints == []


def test_what_the_broker_does_not_have_a_day_later_is_closed_with_a_reason(look, upstream):
    upstream.expect(Trouble("problem", status=503, path=PATH))
    it = placing.send(placed().pk)
    upstream.wait(hours=25)
    window = look(trader())

    shown = window.open(page(it))
    shown.get_by_role("button", name="Look up at the broker").click()
    shown.locator("#not-placed").get_by_label("Reason").fill("Not in their list")
    shown.get_by_role("button", name="Resolve as not placed").click()

    assert said(shown) == "Resolved as not placed by mira: Not in their list."
    assert shown.locator(".head-line .badge").inner_text() == "Not placed"
    assert window.complaints == []


def test_a_refusal_shows_what_the_broker_said(look, upstream):
    upstream.expect(Trouble("problem", status=422, path=PATH))
    it = placing.send(placed().pk)
    window = look(who_may(*VIEW, "view_payload"))

    shown = window.open(page(it))

    assert re.search(r"Status\s+422", shown.locator("#problem").inner_text())
    shown.locator("#problem summary").click()
    assert '"status": 422' in shown.locator("#problem pre").inner_text()
    assert window.complaints == []


def test_who_may_only_view_sees_the_pages_and_no_button(look, upstream, settings):
    it = lost(upstream)
    settings.PLACING_NEEDS_APPROVAL = True
    proposed = placed()
    upstream.wait(minutes=5)
    window = look(who_may(*VIEW))

    for path in (LIST, page(it), page(proposed)):
        shown = window.open(path)
        assert shown.locator("#content :is(button, input[type=submit]):visible").count() <= 1, (
            path
        )  # Search
        assert shown.locator("#content form[method=post] button").count() == 0
    assert window.complaints == []


def test_no_barrier_stands_in_its_pages_and_nothing_is_cut_off(look, upstream, settings):
    accepted = placing.send(placed().pk)
    upstream.expect(Trouble("problem", status=422, path=PATH))
    refused = placing.send(placed().pk)
    unknown = lost(upstream)
    settings.PLACING_NEEDS_APPROVAL = True
    proposed = placed()
    upstream.wait(minutes=5)
    window = look(browser())
    shown = window.page
    places = [
        *(page(it) for it in (accepted, refused, unknown, proposed)),
        LIST, f"{LIST}?state=UNKNOWN", f"{LIST}place/", "/admin/", "/admin/orders/portfolioorder/",
    ]  # fmt: skip
    for path in places:
        window.open(path)
        check(shown, path)
    window.open(page(unknown))
    shown.get_by_role("button", name="Look up at the broker").click()
    check(shown, "look up")
    window.open(f"{LIST}place/")
    fill_in_the_rest(shown)
    shown.locator(".wish").wait_for()
    assert shown.locator(".precedent").count() == 3
    check(shown, "confirm")
    assert window.complaints == []


def check(shown, path):
    for scheme, (width, height) in [("light", WIDE), ("dark", NARROW)]:
        shown.emulate_media(color_scheme=scheme)
        shown.set_viewport_size({"width": width, "height": height})
        assert barriers(shown) == [], (path, scheme)
        assert shown.evaluate("document.documentElement.scrollWidth") <= width, path
