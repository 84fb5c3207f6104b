"""Nobody sees the secret of an authenticator once it is enrolled, superusers included."""

import base64

import pytest
from django.contrib.auth.models import User
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from tests import staff

pytestmark = pytest.mark.django_db
KEY = "3132333435363738393031323334353637383930"


@pytest.fixture
def colleague():
    user = User.objects.create_user("anna", password="x", is_staff=True)
    TOTPDevice.objects.create(user=user, name="phone", key=KEY, confirmed=True)
    backup = StaticDevice.objects.create(user=user, name="backup", confirmed=True)
    backup.token_set.create(token="zx7qwert")
    return user


def test_no_page_of_an_authenticator_shows_its_secret_to_a_superuser(colleague):
    browser = staff.browser()
    totp = f"/admin/otp_totp/totpdevice/{TOTPDevice.objects.get().pk}"
    static = f"/admin/otp_static/staticdevice/{StaticDevice.objects.get().pk}"
    paths = [
        *(f"{totp}/{page}/" for page in ("change", "history", "delete", "config", "qrcode")),
        *(f"{static}/{page}/" for page in ("change", "history", "delete")),
        "/admin/otp_totp/totpdevice/",
        "/admin/otp_static/staticdevice/",
        f"/admin/auth/user/{colleague.pk}/change/",
        f"/admin/auth/user/{colleague.pk}/delete/",
    ]
    secrets = [KEY, base64.b32encode(bytes.fromhex(KEY)).decode().rstrip("="), "zx7qwert"]

    shown = {path: browser.get(path).content.decode().lower() for path in paths}

    assert {path: it for path, text in shown.items() for it in secrets if it.lower() in text} == {}
    assert browser.get(f"{totp}/config/").status_code in {302, 403, 404}  # no such page
    assert browser.get(f"{totp}/qrcode/").status_code in {302, 403, 404}  # no such page
