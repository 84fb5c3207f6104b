"""The pages for what went wrong stand in the desk's frame, and say what to do."""

import re

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from backoffice.access import errors
from backoffice.middleware import CONTENT_SECURITY_POLICY
from orders.models import PortfolioOrder
from tests.staff import browser, words

LIST = "/admin/orders/portfolioorder/"
ID = "840def04-f711-4274-b381-f20c93f39362"
LOGIN = "/admin/login/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def order():
    return PortfolioOrder.objects.create(pk=ID, status="NEW", created_at=timezone.now())


def said(response, status):
    """Return the words of a page in the desk's frame, which has the id of its request and nothing inline."""
    assert response.status_code == status
    text = response.content.decode()
    assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)", text)
    assert 'href="/static/desk/desk.css"' in text
    assert f'Request ID <span class="mono">{response["X-Request-ID"]}</span>' in text
    assert response["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert 'class="way-back" href="/admin/' in text
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_whoever_may_not_reads_the_name_of_what_is_missing_who_has_it_and_whom_to_ask(order):
    User.objects.create_superuser("anna")

    text = said(browser("Viewer").post(f"{LIST}{ID}/note/", {"text": "x"}), 403)

    assert "You are logged in as mira. Nothing was done." in text
    assert "the permission “Add notes to orders”" in text
    assert "The group Operator or Trader has it." in text
    assert "Ask an administrator (anna) if you need it." in text


def test_a_list_of_djangos_own_names_its_permission_too():
    text = said(browser("Viewer").get("/admin/auth/user/"), 403)

    assert "the permission “View users”" in text
    assert "No group has it." in text


@pytest.mark.parametrize("group", ["Viewer", ""])
def test_what_nobody_may_do_sends_nobody_to_an_administrator(order, group):
    User.objects.create_superuser("anna")
    client = browser(group)

    for address in (
        "/admin/orders/order/add/",
        f"{LIST}{ID}/delete/",
        "/admin/webhooks/delivery/add/",
    ):
        text = said(client.get(address), 403)

        assert "This cannot be done by hand: no permission allows it." in text
        assert "Ask" not in text
        assert "No group has it" not in text


def test_an_administrator_who_may_not_log_in_is_not_told_to_ask_oneself():
    User.objects.create_user("boss", password="x", is_superuser=True)
    alone = log_in(Client(), username="boss").content.decode()
    User.objects.create_superuser("anna")
    with_anna = log_in(Client(), username="boss").content.decode()

    assert "Your account may not log in to the desk. Ask an administrator." in alone
    assert "Ask an administrator (anna)." in with_anna


def test_what_is_not_there_has_a_page_with_the_way_to_today():
    assert "There is no such page" in said(browser("Viewer").get("/admin/no/such/"), 404)


def test_a_stranger_who_looks_for_pages_costs_no_query(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert "There is no such page" in said(Client().get("/wp-login.php"), 404)


def test_a_wrong_method_has_a_page(order):
    response = browser("Viewer").post(f"{LIST}{ID}/change/")

    assert "This address cannot be opened directly" in said(response, 405)
    assert response["Allow"] == "GET, HEAD"


def test_a_request_that_cannot_be_read_has_a_page(settings):
    settings.ALLOWED_HOSTS = ["desk.example.com"]

    assert "This request cannot be read" in said(Client().get("/admin/"), 400)


def test_a_failure_has_a_page_that_needs_no_database(monkeypatch, django_assert_num_queries):
    client = Client(raise_request_exception=False)

    def fail(*_, **__):
        raise ValueError("a bug")

    monkeypatch.setattr("django.contrib.admin.AdminSite.login", fail)
    with django_assert_num_queries(0):
        assert "This page could not be shown" in said(client.get(LOGIN), 500)


def test_a_database_that_is_away_has_a_page_that_needs_none(monkeypatch, django_assert_num_queries):
    client = Client(raise_request_exception=False)

    def fail(*_, **__):
        raise OperationalError("gone")

    monkeypatch.setattr("django.contrib.admin.AdminSite.login", fail)
    with django_assert_num_queries(0):
        response = client.get(LOGIN)
    assert "The database does not answer" in said(response, 503)
    assert response["Retry-After"] == "5"


def test_where_no_page_can_be_made_people_still_get_an_answer(monkeypatch):
    monkeypatch.setattr(errors, "TEMPLATE", "no/such.html")

    assert errors.failure().status_code == 500


def log_in(client, **answers):
    return client.post(LOGIN, {"username": "mira", "password": "x", **answers})


@pytest.mark.parametrize(
    ("zone", "at", "said_until"),
    [
        ("UTC", "2026-11-20T12:00:30Z", "until 12:16 (UTC)"),
        ("Europe/Berlin", "2026-11-20T12:00:00Z", "until 13:16 (Europe/Berlin)"),
        ("Europe/Berlin", "2026-11-20T22:50:30Z", "until 00:06 on 21 Nov 2026 (Europe/Berlin)"),
    ],
)
@pytest.mark.parametrize("name", ["mira", "nobody"])
def test_a_lock_says_until_when_it_lasts_and_whom_to_ask(zone, at, said_until, name):
    User.objects.create_user("mira", password="x", is_staff=True)
    client = Client()
    with timezone.override(zone), time_machine.travel(at, tick=False) as traveller:
        for _ in range(5):
            response = log_in(client, username=name, password="wrong")
        first = said(response, 429)
        traveller.shift(60)
        later = said(log_in(client, username=name), 429)
        traveller.shift(15 * 60)
        after = log_in(client, username=name)

    for text in (first, later):
        assert "5 log-ins with this username failed at your address." in text
        assert f"It is locked there {said_until}, 15 minutes after the last of them." in text
        assert "ask an administrator, who can unlock it" in text
    assert after.status_code == (302 if name == "mira" else 200)


def tab_of(client, page):
    """Open a page in a tab, and return the token of its forms."""
    text = client.get(page).content.decode()
    return re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', text)[0]


def again(client, name="mira"):
    """Log out and in again, as in another tab."""
    token = tab_of(client, LIST)
    client.post("/admin/logout/", {"csrfmiddlewaretoken": token})
    token = tab_of(client, LOGIN)
    answer = log_in(client, username=name, csrfmiddlewaretoken=token, next=LIST)
    assert answer.status_code == 302


def press(client, token):
    page = f"{LIST}{ID}/change/"
    return client.post(
        f"{LIST}{ID}/note/",
        {"text": "Called them", "csrfmiddlewaretoken": token},
        headers={"Referer": f"http://testserver{page}"},
    )


def test_a_form_from_before_the_log_in_keeps_what_was_typed(order):
    client = browser("Operator", checks_csrf=True)
    token = tab_of(client, f"{LIST}{ID}/change/")
    again(client)

    response = press(client, token)
    assert "you have logged in again since the page was opened" in said(response, 403)
    back = client.get(f"{LIST}{ID}/change/")

    assert (
        "This page was older than your last log-in. Nothing was sent. Please press “Add note” again."
        in words(back)
    )
    assert "Called them</textarea>" in back.content.decode()


def test_a_form_of_somebody_else_in_the_same_browser_keeps_nothing(order):
    client = browser("Operator", checks_csrf=True)
    token = tab_of(client, f"{LIST}{ID}/change/")
    browser("Operator", name="ben")
    again(client, "ben")

    assert "does not belong to your current session" in said(press(client, token), 403)
    assert "Called them" not in client.get(f"{LIST}{ID}/change/").content.decode()


@pytest.mark.parametrize("token", ["", "x" * 64, "short"])
def test_a_form_from_elsewhere_keeps_nothing(order, token):
    client = browser("Operator", checks_csrf=True)
    tab_of(client, LIST)
    again(client)

    assert "does not belong to your current session" in said(press(client, token), 403)


def test_after_the_log_out_the_page_says_so():
    client = browser("Viewer")

    text = words(client.post("/admin/logout/"))

    assert "You are logged out. Log in again" in text
    assert "quality time" not in text
