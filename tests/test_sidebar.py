import pytest
from django.contrib import admin
from django.contrib.auth.models import User

from tests.staff import browser, html, words

pytestmark = pytest.mark.django_db


def groups(rf, user):
    request = rf.get("/admin/")
    request.user = user
    apps = admin.site.get_app_list(request)
    return {app["name"]: [model["name"] for model in app["models"]] for app in apps}


def test_the_sidebar_is_arranged_by_the_work_of_staff(rf):
    found = groups(rf, User.objects.create_superuser("mira"))

    assert list(found) == ["Orders", "Webhooks", "Broker", "Access"]
    assert found["Orders"][:2] == ["Portfolio orders", "Orders"]
    assert found["Broker"] == ["Broker API"]
    assert found["Access"] == ["Users", "Groups", "Authenticators", "Backup codes"]


def test_it_has_only_what_somebody_may_see(rf):
    assert groups(rf, User.objects.create_user("nobody", is_staff=True)) == {}


@pytest.mark.parametrize("app", ["auth", "otp_totp", "otp_static", "orders", "webhooks"])
def test_no_page_names_a_package(app):
    text = words(browser().get(f"/admin/{app}/"))

    assert "Otp_" not in text
    assert "Authentication and Authorization" not in text


def test_the_pages_of_who_may_come_in_lie_under_access():
    assert "Access" in words(browser().get("/admin/otp_totp/totpdevice/"))
    assert "OTP_" not in html(browser(name="ben").get("/admin/"))
