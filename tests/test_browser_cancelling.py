"""Cancelling in a browser: by keyboard and by mouse, with the question before and the notice after."""

import pytest
from django.contrib.auth.models import Permission, User

from orders.models import Cancellation, JournalEntry, Order, PortfolioOrder
from tests.browser import NARROW, WIDE, barriers
from tests.cancelling import in_the_middle, placed
from tests.staff import ORDERS, browser, page
from tests.upstream import receive, running

LIST = "/admin/orders/cancellation/"


@pytest.fixture
def upstream(look, settings):
    with running(settings) as upstream:
        yield upstream


def trader(*, without=""):
    """Return the browser of somebody who may do what a trader may; the groups are gone with the last test."""
    client = browser()
    mira = User.objects.get()
    mira.is_superuser = False
    mira.save()
    may = [
        "view_portfolioorder", "view_order", "view_journalentry", "view_cancellation",
        "refetch_portfolioorder", "cancel_portfolioorder",
    ]  # fmt: skip
    wanted = Permission.objects.filter(codename__in=may).exclude(codename=without)
    mira.user_permissions.set(wanted)
    return client


def said(shown):
    return shown.locator(".messagelist").inner_text()


def press_by_keyboard(shown, name):
    """Go to a button with the Tab key, and press it with Enter."""
    for _ in range(80):
        shown.keyboard.press("Tab")
        focused = "document.activeElement.innerText"
        if shown.evaluate(focused).strip() == name:
            return shown.keyboard.press("Enter")
    raise AssertionError(f"no way to {name} by keyboard")


def test_a_trader_cancels_by_keyboard_and_sees_what_became_of_it(look, upstream):
    pk = placed(upstream)
    window = look(trader())
    shown = window.open(page(pk))

    press_by_keyboard(shown, "Cancel…")
    shown.wait_for_url("**/confirm_cancel/**")
    assert "This sends a request; the broker decides." in shown.locator("#prospect").inner_text()
    shown.get_by_label("Reason").focus()
    shown.keyboard.type("The client asked for it.")
    press_by_keyboard(shown, "Request cancellation")
    shown.wait_for_url("**/change/")

    assert said(shown) == "Cancellation requested. Request accepted; waiting for confirmation."
    assert "Cancellation requested by mira at" in shown.locator(".notice").first.inner_text()
    assert upstream.asked()[0] == f"DELETE /portfolios/orders/{pk}"
    receive(upstream.wait(seconds=5))
    window.open(page(pk))
    assert shown.locator(".notice").first.inner_text().endswith("Cancelled.")
    assert shown.get_by_role("button", name="Cancel…").count() == 0
    assert JournalEntry.objects.filter(type="CANCELLATION", actor="mira").count() == 2
    assert window.complaints == []


def test_the_question_can_be_left_and_nothing_is_sent(look, upstream):
    pk = placed(upstream)
    upstream.asked()
    window = look(trader())
    shown = window.open(page(pk))

    shown.get_by_role("button", name="Cancel…").click()
    shown.get_by_role("button", name="Don't cancel").click()
    assert window.path().startswith(page(pk))
    assert upstream.asked() == []
    assert Cancellation.objects.count() == 0


def test_one_in_the_middle_ends_mixed_and_the_list_says_so(look, upstream):
    pk = in_the_middle(upstream)
    window = look(trader())
    shown = window.open(page(pk))

    shown.get_by_role("button", name="Cancel…").click()
    assert "some orders may be cancelled" in shown.locator("#prospect").inner_text()
    assert shown.locator("#orders tbody tr").count() == Order.objects.count()
    shown.get_by_label("Reason").fill("Client changed their mind")
    shown.get_by_role("button", name="Request cancellation").click()
    receive(upstream.wait(seconds=5))
    window.open(page(pk))
    assert "Partly cancelled:" in shown.locator(".notice").first.inner_text()

    window.open("/admin/")
    shown.locator("#nav-sidebar").get_by_role("link", name="Cancellations").click()
    shown.locator(".field-became").wait_for()
    assert window.path() == LIST
    assert shown.locator(".field-became").all_inner_texts() == ["Partly cancelled"]
    shown.locator(".field-about_link a").click()
    shown.locator("#history").wait_for()
    assert window.path() == page(pk)
    assert window.complaints == []


def test_a_fill_that_wins_the_race_is_told(look, upstream):
    pk = placed(upstream)
    upstream.wait(minutes=30)  # it is filled, and no webhook came
    window = look(trader())
    shown = window.open(page(pk))

    shown.get_by_role("button", name="Cancel…").click()
    shown.get_by_label("Reason").fill("Client changed their mind")
    shown.get_by_role("button", name="Request cancellation").click()

    assert said(shown).startswith("Cancellation requested. Filled before the request arrived.")
    assert "409" in said(shown)
    assert PortfolioOrder.objects.get(pk=pk).status == "FILLED"


def test_who_may_not_cancel_sees_no_button_and_is_kept_from_the_question(look, upstream):
    pk = placed(upstream)
    client = trader(without="cancel_portfolioorder")
    window = look(client)
    shown = window.open(page(pk))

    assert shown.get_by_role("button", name="Refetch now").count() == 1
    assert shown.get_by_role("button", name="Cancel…").count() == 0
    assert client.get(page(pk).replace("change", "confirm_cancel")).status_code == 403
    assert client.post(page(pk).replace("change", "cancel")).status_code == 403


def test_no_barrier_stands_in_its_pages_and_nothing_is_cut_off(look, upstream):
    pk, client = in_the_middle(upstream), browser()
    child = Order.objects.filter(portfolio_order_id=pk, status="PROCESSING").earliest("pk").pk
    asked = [f"{page(pk)}", f"{page(pk).replace('change', 'confirm_cancel')}"]
    asked += [f"{ORDERS}{child}/confirm_cancel/", f"{ORDERS}{child}/change/", LIST]
    upstream.manners.heeds = False
    client.post(f"{ORDERS}{child}/cancel/")
    receive(upstream.wait(seconds=2))
    client.post(page(placed(upstream)).replace("change", "cancel"))
    window = look(client)

    for path in asked:
        shown = window.open(path)
        for scheme, (width, height) in [("light", WIDE), ("dark", NARROW)]:
            shown.emulate_media(color_scheme=scheme)
            shown.set_viewport_size({"width": width, "height": height})
            assert barriers(shown) == [], (path, scheme)
            assert shown.evaluate("document.documentElement.scrollWidth") <= width, path
    assert window.complaints == []
