"""One-time codes as people write them, waiting after a wrong one, backup codes, and asking again."""

import re
from datetime import timedelta
from time import time

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from backoffice.access import codes
from orders.models import Placement
from orders.placing.placing import place
from orders.placing.wish import read_wish
from tests.staff import html, words
from tests.test_second_factor import ENROL, NOW, PASSWORD, code_of, log_in, may_enter

AGAIN = "/admin/second-factor/again/"
BACKUP = "/admin/second-factor/backup-codes/"
PLACE = "/admin/orders/placement/"
ACCOUNT = "840def04-f711-4274-b381-f20c93f39362"
FIELDS = {
    "user_id": ACCOUNT, "account_id": ACCOUNT, "cash_amount": "2500.00", "currency": "EUR", "side": "BUY",
}  # fmt: skip


@pytest.fixture(autouse=True)
def required(settings, db):
    settings.REQUIRE_SECOND_FACTOR = True
    settings.SESSION_IDLE_MINUTES = 0
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def ada():
    return User.objects.create_superuser("ada", password=PASSWORD)


@pytest.fixture
def device(ada):
    return TOTPDevice.objects.create(user=ada, name="phone", confirmed=True)


def wide(code):
    return "".join(chr(ord(it) + 0xFEE0) for it in code)


@pytest.mark.parametrize(
    "written",
    [
        lambda it: f"{it[:3]} {it[3:]}",
        lambda it: f" {it[:3]}-{it[3:]} ",
        lambda it: f"{it[:3]}\u2013{it[3:]}",
        lambda it: f"{it[:3]}\u00a0{it[3:]}\u200b",
        wide,
    ],
    ids=["space", "hyphen", "dash", "unseen signs", "full width"],
)
def test_a_code_may_be_written_as_apps_and_people_write_it(client, device, written):
    log_in(client, code=written(code_of(device)))

    assert may_enter(client)


def test_after_a_wrong_code_the_page_says_how_long_to_wait_and_calls_the_right_one_not_wrong(
    client, device, required
):
    for seconds, wrong in ((1, "000000"), (2, "000001")):
        text = words(log_in(client, code=wrong))
        unit = "second" if seconds == 1 else "seconds"
        assert "This is not the code that your device shows now." in text
        assert f"Wait {seconds} {unit} before you try again" in text
        text = words(log_in(client, code=code_of(device)))
        assert "This is not the code" not in text
        assert (
            f"Wait {seconds} {unit} before you try again: no code is accepted until then." in text
        )
        required.shift(seconds)

    log_in(client, code=code_of(device))
    assert may_enter(client)


def test_a_wrong_code_of_the_app_lets_a_backup_code_in(client, device, ada):
    (backup, *_) = codes.new_backup_codes(ada)
    log_in(client, code="000000")

    log_in(client, code=backup.upper())

    assert may_enter(client)


def test_two_tabs_at_enrolment_work_whichever_secret_was_scanned(client, ada):
    log_in(client)
    first, second = (TOTPDevice.objects.create(user=ada, confirmed=False) for _ in "ab")

    assert client.get(ENROL).status_code == 200
    client.post(ENROL, {"code": code_of(second)})

    assert may_enter(client)
    assert list(TOTPDevice.objects.values_list("pk", "confirmed")) == [(second.pk, True)]
    assert first.pk
    assert client.post(ENROL, {"code": "000000"})["Location"] == "/admin/"  # the other tab


def enrolled(client):
    log_in(client)
    client.get(ENROL)
    return client.post(ENROL, {"code": code_of(TOTPDevice.objects.get())})


def shown_codes(response):
    return re.findall(r"<li>(\w{4}-\w{4})</li>", html(response))


def test_at_enrolment_backup_codes_are_shown_once_with_a_file_to_keep(client, ada):
    response = enrolled(client)

    made = shown_codes(response)
    assert len(set(made)) == 10
    assert all(it in html(response).partition('href="data:')[2] for it in made)
    assert "You have 10 unused backup codes." in words(client.get(BACKUP))
    assert shown_codes(client.get(BACKUP)) == []
    client.logout()
    log_in(client, code=made[0])
    assert may_enter(client)
    client.logout()
    log_in(client, code=made[0])
    assert not may_enter(client)


def test_new_backup_codes_need_a_code_and_replace_the_old_ones(client, ada, required):
    old = shown_codes(enrolled(client))
    assert shown_codes(client.post(BACKUP, {"code": "000000"})) == []
    required.shift(60)

    made = shown_codes(client.post(BACKUP, {"code": code_at(TOTPDevice.objects.get())}))

    assert len(made) == 10
    assert StaticToken.objects.count() == 10
    assert not set(made) & set(old)


def code_at(device):
    totp = TOTP(device.bin_key, device.step, device.t0, device.digits, device.drift)
    totp.time = time()
    return f"{totp.token():06}"


# Asked again


@pytest.fixture
def confirmation(client, device, required):
    """An order that was filled in, and whose confirmation is shown, just after the log-in."""
    log_in(client, code=code_of(device))
    shown = client.post(f"{PLACE}place/", FIELDS, follow=True)
    assert shown.status_code == 200
    ((path, _),) = shown.redirect_chain
    return path, shown


def test_placing_asks_for_the_code_after_a_quarter_of_an_hour_and_keeps_the_order(
    client, device, confirmation, required, settings
):
    path, shown = confirmation
    key = html(shown).partition('name="key" value="')[2].partition('"')[0]
    sends = {**FIELDS, "key": key, "newest": "", "amount": "2500.00", "tail": ACCOUNT[-8:]}
    required.shift(timedelta(minutes=15, seconds=1))

    asked = client.post(
        f"{PLACE}submit/", sends, headers={"Referer": f"http://testserver{path}"}, follow=True
    )
    assert asked.redirect_chain == [(f"{AGAIN}?next={path.replace('/', '%2F')}", 302)]
    assert "Nothing has been sent yet, and what you typed is kept." in words(asked)
    assert not Placement.objects.exists()
    where = asked.redirect_chain[0][0]
    assert "This is not the code" in words(client.post(where, {"code": "000000"}))
    required.shift(2)
    back = client.post(where, {"code": code_at(device)}, follow=True)

    assert back.redirect_chain == [(path, 302)]
    assert "Nothing has been sent yet. Please press “Place order” again." in words(back)
    assert f'id="id_tail" value="{ACCOUNT[-8:]}"' in html(back)
    assert client.post(f"{PLACE}submit/", sends)["Location"].endswith("/change/")
    assert Placement.objects.exists()


def test_whoever_comes_back_without_a_code_is_not_told_that_it_was_right(
    client, device, required, settings
):
    settings.PLACING_NEEDS_APPROVAL = True
    log_in(client, code=code_of(device))
    path = f"{PLACE}{place(read_wish(FIELDS), actor='tina').pk}/change/"
    required.shift(timedelta(minutes=16))

    asked = client.post(
        path.replace("change", "approve"),
        {"amount": "2500.00"},
        headers={"Referer": f"http://testserver{path}"},
        follow=True,
    )
    assert 'href="/admin/">Go to Today without it' in html(asked)
    back = client.get(path)

    assert "No code was entered. Nothing was sent." in words(back)
    assert "Your code was right" not in words(back)
    assert 'name="amount" maxlength="100" required autocomplete="off"' in html(back)
    assert "2500.00" in html(back).partition('name="amount"')[2][:200]
    assert Placement.objects.get().state == "PROPOSED"


def test_a_page_that_asks_for_the_code_itself_tells_after_it_that_nothing_was_sent(
    client, device, confirmation, required
):
    path, shown = confirmation
    key = html(shown).partition('name="key" value="')[2].partition('"')[0]
    required.shift(timedelta(minutes=16))
    client.post(
        f"{PLACE}submit/",
        {**FIELDS, "key": key, "amount": "2500.00", "tail": ACCOUNT[-8:]},
        headers={"Referer": f"http://testserver{path}"},
    )

    where = client.get(path)["Location"]
    back = client.post(where, {"code": code_at(device)}, follow=True)

    assert "Your code was right. Nothing has been sent yet." in words(back)
    assert f'id="id_tail" value="{ACCOUNT[-8:]}"' in html(back)


def test_the_page_that_confirms_asks_before_anything_is_typed(client, confirmation, required):
    path, _ = confirmation
    required.shift(timedelta(minutes=16))

    assert client.get(path)["Location"].startswith(AGAIN)


@pytest.mark.parametrize(
    "off", [{"SECOND_FACTOR_AGAIN_MINUTES": 0}, {"REQUIRE_SECOND_FACTOR": False}], ids=str
)
def test_it_is_not_asked_again_without_the_setting_or_the_second_factor(
    client, confirmation, required, settings, off
):
    path, _ = confirmation
    for name, value in off.items():
        setattr(settings, name, value)
    required.shift(timedelta(hours=3))

    assert client.get(path).status_code == 200


@pytest.mark.parametrize("to", ["https://evil.example/", "//evil.example/", "/webhooks/", ""])
def test_a_right_code_leads_to_pages_of_the_desk_alone(client, device, required, to):
    log_in(client, code=code_of(device))
    required.shift(60)

    answer = client.post(f"{AGAIN}?next={to}", {"code": code_at(device)})

    assert answer["Location"] == "/admin/"


# Who may not enter


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"is_active": False}, "Your account is switched off. Ask an administrator (anna)."),
        (
            {"is_staff": False},
            "Your account may not log in to the desk. Ask an administrator (anna).",
        ),
    ],
)
def test_who_may_not_enter_is_told_so_after_the_right_password_alone(
    client, settings, change, said
):
    settings.REQUIRE_SECOND_FACTOR = False
    User.objects.create_superuser("anna")
    User.objects.create_user("ada", password=PASSWORD, **{"is_staff": True, **change})

    text = words(log_in(client))
    assert said in text
    assert "correct username and password" not in text
    wrong = words(log_in(client, password="wrong"))
    assert wrong == words(log_in(Client(), username="nobody", password="wrong"))
    assert "anna" not in wrong
    assert not may_enter(client)


def test_a_session_ends_when_the_account_is_switched_off(client, settings, ada):
    settings.REQUIRE_SECOND_FACTOR = False
    log_in(client)
    assert may_enter(client)

    User.objects.update(is_active=False)

    assert not may_enter(client)
