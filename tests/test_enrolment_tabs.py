"""Setting up a second factor in two tabs, one after the other and at the same moment: both end in the desk."""

from threading import Barrier, Thread

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from backoffice.access import codes
from tests.browser import barriers
from tests.staff import BACKEND

ENROL = "/admin/second-factor/"


@pytest.fixture(autouse=True)
def _required(settings):
    settings.REQUIRE_SECOND_FACTOR = True


def code_of(device):
    return f"{TOTP(device.bin_key).token():06}"


def logged_in(user):
    client = Client()
    client.force_login(user, backend=BACKEND)
    return client


def send(tab, code):
    tab.get_by_label("Authentication code").fill(code)
    tab.get_by_role("button", name="Confirm").click()


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("other", ["right", "wrong"])
def test_of_two_tabs_either_sets_it_up_and_the_other_leads_to_today(look, first, other):
    ada = User.objects.create_superuser("ada")
    window = look(logged_in(ada))
    tabs = [window.page, window.page.context.new_page()]
    answers = []
    for tab in tabs:
        tab.on("response", lambda answer: answers.append(answer.status))
        tab.goto(f"{window.url}{ENROL}")
    device = TOTPDevice.objects.get()
    secrets = {tab.locator("#content code").inner_text() for tab in tabs}
    assert len(secrets) == 1

    used, left = tabs[first], tabs[1 - first]
    send(used, code_of(device))
    used.locator(".backup-codes li").last.wait_for()
    assert used.locator(".backup-codes li").count() == codes.BACKUP_CODES
    send(left, code_of(device) if other == "right" else "000000")

    left.get_by_role("heading", level=1, name="Today").wait_for()
    assert left.url == f"{window.url}/admin/"
    assert left.get_by_role("heading", level=1).inner_text() == "Today"
    assert barriers(left) == []
    used.locator(".way-back").click()
    used.get_by_role("heading", level=1, name="Today").wait_for()
    assert used.url == f"{window.url}/admin/"
    assert TOTPDevice.objects.get().confirmed
    assert StaticToken.objects.count() == codes.BACKUP_CODES
    assert [it for it in answers if it >= 400] == []


@pytest.mark.django_db(transaction=True)
def test_two_tabs_that_send_their_codes_at_the_same_moment_make_one_device():
    ada = User.objects.create_superuser("ada")
    shown = [TOTPDevice.objects.create(user=ada, confirmed=False) for _ in "ab"]
    client = logged_in(ada)
    session = client.cookies["sessionid"].value
    barrier, answers = Barrier(2), []

    def work(device):
        tab = Client(raise_request_exception=False)
        tab.cookies["sessionid"] = session
        barrier.wait()
        answers.append(tab.post(ENROL, {"code": code_of(device)}).status_code)
        connections.close_all()

    threads = [Thread(target=work, args=[device]) for device in shown]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [200, 302]
    assert TOTPDevice.objects.get().confirmed
    assert StaticToken.objects.count() == codes.BACKUP_CODES
    assert client.get("/admin/").status_code == 200


@pytest.mark.django_db
def test_a_code_that_comes_after_the_device_counts_and_before_the_session_knows_it_is_led_on():
    ada = User.objects.create_superuser("ada")
    client = logged_in(ada)
    client.get(ENROL)
    TOTPDevice.objects.update(confirmed=True)  # the other tab's code, its session not yet saved

    response = client.post(ENROL, {"code": "000000"})

    assert (response.status_code, response["Location"]) == (302, "/admin/")
    assert StaticToken.objects.count() == 0
