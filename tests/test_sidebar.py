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


@pytest.mark.parametrize(("app", "name", "first"), [
    ("orders", "Orders", "portfolioorder/"), ("webhooks", "Webhooks", "event/"),
    ("auth", "Access", "user/"), ("otp_totp", "Access", "user/"),
])  # fmt: skip
def test_the_page_of_a_group_lists_its_lists_and_is_no_second_dashboard(app, name, first):
    text = html(browser().get(f"/admin/{app}/"))

    assert f"<h1>{name}</h1>" in text
    assert f'{first}">' in text
    assert "Filled, last 24 h" not in text
    assert "administration" not in text


def test_the_group_of_the_orders_does_not_stand_before_the_list_of_that_name():
    assert "Home \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} Orders Orders" in words(
        browser().get("/admin/orders/order/")
    )


def test_who_may_see_no_list_of_a_group_has_no_page_of_it():
    assert browser("Viewer").get("/admin/auth/").status_code == 404


def test_the_pages_of_who_may_come_in_lie_under_access():
    assert "Access" in words(browser().get("/admin/otp_totp/totpdevice/"))
    assert "OTP_" not in html(browser(name="ben").get("/admin/"))
