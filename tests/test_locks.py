"""Wrong passwords lock the pair of user and address: behind a proxy, too, nobody locks a colleague out."""

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from backoffice import locks
from backoffice.client_address import TrustedProxies

pytestmark = pytest.mark.django_db
PROXY, ATTACKER, OFFICE = "10.0.0.7", "198.51.100.66", "203.0.113.9"


@pytest.fixture(autouse=True)
def _behind_a_proxy(settings):
    settings.TRUSTED_PROXIES = TrustedProxies.parse("1")
    User.objects.create_user("anna", password="right", is_staff=True)


def try_(password, *, from_, name="anna", forged="", agent="a browser"):
    """Return what a log-in through the proxy is answered."""
    forwarded = f"{forged}, {from_}" if forged else from_
    return Client().post(
        "/admin/login/",
        {"username": name, "password": password, "next": "/admin/"},
        REMOTE_ADDR=PROXY, HTTP_X_FORWARDED_FOR=forwarded, HTTP_USER_AGENT=agent,
    )  # fmt: skip


def is_in(response):
    return response.status_code == 302


def test_five_wrong_passwords_of_a_stranger_lock_nobody_out_elsewhere():
    for _ in range(6):
        try_("wrong", from_=ATTACKER)

    assert not is_in(try_("right", from_=ATTACKER))
    assert is_in(try_("right", from_=OFFICE))


def test_a_forged_header_neither_escapes_a_lock_nor_locks_another_address():
    for number in range(6):
        try_("wrong", from_=ATTACKER, forged=f"192.0.2.{number}")
        try_("wrong", from_=ATTACKER, forged=OFFICE)

    assert not is_in(try_("right", from_=ATTACKER, forged="192.0.2.200"))
    assert is_in(try_("right", from_=OFFICE))
    assert {it.address for it in locks.locks(now=timezone.now())} == {ATTACKER}


def test_a_lock_names_user_address_and_time_and_ends_by_itself(settings):
    before = timezone.now()
    for number in range(5):
        try_("wrong", from_=ATTACKER, agent=f"browser {number % 2}")
    try_("wrong", from_=OFFICE)
    now = timezone.now()

    (lock,) = locks.locks(now=now)

    assert (lock.username, lock.address, lock.failures) == ("anna", ATTACKER, 5)
    assert before <= lock.since <= now
    assert lock.since < lock.until <= lock.since + settings.AXES_COOLOFF_TIME
    assert locks.locks(now=lock.until + timedelta(seconds=1)) == []


def test_names_that_no_user_has_are_no_locks():
    for _ in range(5):
        try_("wrong", from_=ATTACKER, name="nobody")

    assert locks.locks(now=timezone.now()) == []


def test_a_lifted_lock_lets_the_user_in_at_once():
    for _ in range(5):
        try_("wrong", from_=OFFICE)
    assert not is_in(try_("right", from_=OFFICE))

    assert locks.lift("anna") == 1

    assert is_in(try_("right", from_=OFFICE))
    assert locks.locks_of("anna", now=timezone.now()) == []


def test_what_is_stored_of_a_failed_log_in_holds_no_password_and_no_code():
    Client().post("/admin/login/", {"username": "anna", "password": "hunter22", "code": "123456"})

    (attempt,) = AccessAttempt.objects.all()
    assert "hunter22" not in str(vars(attempt))
    assert "123456" not in str(vars(attempt))
