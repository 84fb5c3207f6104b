"""The page of a refused delivery in a browser: its reason names addresses, which may be long."""

import pytest
from django.test import Client

from tests.browser import NARROW, WIDE
from tests.signed import headers_for, post, publish
from tests.staff import browser
from webhooks.authentication import key_set
from webhooks.models import Delivery

LONG = "https://a-rather-long-name.desk.example.com/desk/with/a/long/prefix/webhooks/investment-api"


@pytest.fixture(autouse=True)
def _keys():
    publish()
    yield
    key_set.forget()


@pytest.mark.parametrize("size", [(390, 844), NARROW, WIDE])
def test_the_addresses_that_were_tried_are_shown_and_widen_no_page(look, settings, size):
    settings.WEBHOOK_PUBLIC_URL = LONG
    headers = headers_for(b"{}", path="/elsewhere") | {"host": "10.0.0.7:8000"}
    assert post(Client(), b"{}", headers=headers).status_code == 401

    shown = look(browser(), size=size).open(
        f"/admin/webhooks/delivery/{Delivery.objects.latest('pk').pk}/change/"
    )

    text = shown.inner_text("#signature")
    assert f"signed for {LONG}" in text
    assert "arrived as 10.0.0.7:8000/webhooks/investment-api" in text
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
