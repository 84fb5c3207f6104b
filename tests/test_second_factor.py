from datetime import UTC, datetime

import pytest
import time_machine
from django.contrib.auth.models import User
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PASSWORD = "correct horse battery staple"
ENROL = "/admin/second-factor/"


@pytest.fixture(autouse=True)
def required(settings, db):
    settings.REQUIRE_SECOND_FACTOR = True
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def ada():
    return User.objects.create_superuser("ada", password=PASSWORD)


@pytest.fixture
def device(ada):
    return TOTPDevice.objects.create(user=ada, name="phone", confirmed=True)


def code_of(device):
    totp = TOTP(device.bin_key, device.step, device.t0, device.digits, device.drift)
    totp.time = NOW.timestamp()
    return f"{totp.token():06}"


def log_in(client, **fields):
    answers = {"username": "ada", "password": PASSWORD, **fields}
    return client.post("/admin/login/?next=/admin/", answers)


def may_enter(client):
    return client.get("/admin/").status_code == 200


def test_password_and_code_open_the_desk(client, device):
    assert log_in(client, code=code_of(device))["Location"] == "/admin/"
    assert may_enter(client)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("", "Enter the code that your authenticator app shows."),
        ("000000", "This is not the code that your device shows now."),
        ("not a code", "This is not the code that your device shows now."),
    ],
)
def test_a_missing_or_wrong_code_does_not(client, device, code, said):
    response = log_in(client, code=code)

    assert said in response.content.decode()
    assert not may_enter(client)


def test_a_code_works_once(client, device):
    code = code_of(device)
    log_in(client, code=code)
    client.logout()

    log_in(client, code=code)

    assert not may_enter(client)


def test_a_right_code_does_not_replace_the_password(client, device):
    log_in(client, password="wrong", code=code_of(device))

    assert not may_enter(client)


def test_staff_without_a_device_see_nothing_but_the_page_to_enrol_one(client, ada):
    response = client.get(log_in(client)["Location"], follow=True)

    assert response.redirect_chain[-1][0] == ENROL
    assert "<svg" in response.content.decode()
    assert not may_enter(client)


def test_the_right_code_makes_the_device_count(client, ada):
    log_in(client)
    client.get(ENROL)
    device = TOTPDevice.objects.get(user=ada, confirmed=False)

    client.post(ENROL, {"code": code_of(device)})

    assert may_enter(client)
    client.logout()
    log_in(client)
    assert not may_enter(client)


def test_a_wrong_code_leaves_the_device_without_effect(client, ada):
    log_in(client)

    response = client.post(ENROL, {"code": "000000"})

    assert "This is not the code" in response.content.decode()
    assert not TOTPDevice.objects.filter(confirmed=True).exists()


def test_who_has_a_device_cannot_enrol_another_with_the_password_alone(client, device, ada):
    client.force_login(ada)

    assert client.get(ENROL).status_code == 403


def test_a_stranger_is_sent_to_the_log_in(client):
    assert client.get(ENROL)["Location"] == "/admin/"
    assert client.get("/admin/")["Location"] == "/admin/login/?next=/admin/"


def test_the_page_holds_nothing_that_the_policy_forbids(client, ada):
    log_in(client)

    page = client.get(ENROL).content.decode()

    assert "style=" not in page
    assert "<script>" not in page


def test_without_the_requirement_the_password_is_enough(client, ada, settings):
    settings.REQUIRE_SECOND_FACTOR = False

    assert 'name="code"' not in client.get("/admin/login/").content.decode()
    log_in(client)
    assert may_enter(client)


def test_five_wrong_passwords_lock_the_account_out_for_a_while(client, device):
    for _ in range(5):
        log_in(client, password="wrong")

    assert log_in(client, code=code_of(device)).status_code == 429
    with time_machine.travel(NOW.replace(minute=16), tick=False):
        assert log_in(client).status_code == 200
