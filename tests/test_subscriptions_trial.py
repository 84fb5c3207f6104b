"""Trying a subscription: the sandbox delivers to our own door over HTTP, in place of every wait."""

import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.test import Client

from backoffice.investment_api.errors import NotFoundError
from orders.models import JournalEntry
from tests.signed import PATH, envelope, headers_for, post, publish
from tests.upstream import START, running
from webhooks.authentication import key_set
from webhooks.models import Delivery
from webhooks.subscriptions import setup, trial, wanted

PATIENCE = timedelta(seconds=5)


@pytest.fixture
def upstream(live_server, settings, monkeypatch):
    settings.WEBHOOK_PUBLIC_URL = f"{live_server.url}/webhooks/investment-api"
    key_set.forget()
    with running(settings) as upstream:
        monkeypatch.setattr(trial, "sleep", upstream.deliver)
        yield upstream
    key_set.forget()


@pytest.fixture
def pk(upstream):
    """A subscription of ours whose first test event has come and gone."""
    pk = setup.ensure(actor="mira").subscription_id
    upstream.deliver(seconds=2)
    assert upstream.courier.pending() == 0
    return pk


def tried(pk):
    return trial.test(pk, patience=PATIENCE, actor="mira")


def said():
    return JournalEntry.objects.filter(type="SUBSCRIPTION").latest("pk").message


def test_the_test_event_comes_and_is_told_with_its_delivery(pk):
    result = tried(pk)

    assert result.is_passed
    last = Delivery.objects.latest("pk")
    assert json.loads(bytes(last.body or b""))["payload"][0]["type"] == "WEBHOOK.TEST"
    assert result.sentence == (
        f"The test event WEBHOOK.TEST arrived after 1 s, in delivery {last.pk}."
    )
    assert said() == f"Tested subscription {pk}. {result.sentence}"


def test_it_works_while_the_subscription_is_disabled(upstream, pk):
    upstream.subscriptions.update(str(pk), {"enabled": False}, now=START)

    assert tried(pk).is_passed


def test_an_earlier_test_event_is_not_taken_for_this_one(upstream, pk, monkeypatch):
    monkeypatch.setattr(trial, "sleep", lambda _: None)  # nothing is delivered

    result = tried(pk)

    assert not result.is_passed
    assert result.waited == PATIENCE
    assert result.sentence.startswith("No test event arrived within 5 s. It may still arrive")
    assert said().endswith(result.sentence)


def during_the_wait(monkeypatch, body, **signing):
    """Have a delivery come while the test is waited for, and nothing else."""
    waits: list[int] = []

    def deliver(_):
        if not waits:
            publish()
            waits.append(post(Client(), body, **signing).status_code)

    monkeypatch.setattr(trial, "sleep", deliver)
    return waits


def event(type_, webhook_id):
    return {"id": str(uuid4()), "type": type_, "webhook_id": str(webhook_id), "object": {}}


def test_other_events_of_the_subscription_show_that_its_way_is_open(pk, monkeypatch):
    during_the_wait(
        monkeypatch, envelope(event("POSITION.UPDATED", uuid4()), event("ORDER.NEW", pk))
    )

    result = tried(pk)

    assert (result.delivery_id, result.is_passed) == (None, True)
    assert result.sentence.endswith(
        "Other events of the subscription did, so the connection works."
    )


def test_what_another_subscription_brings_shows_nothing(pk, monkeypatch):
    during_the_wait(monkeypatch, envelope(event("WEBHOOK.TEST", uuid4())))

    assert not tried(pk).is_passed


def test_a_test_event_of_another_type_is_known_by_the_subscription_it_names(pk, monkeypatch):
    during_the_wait(monkeypatch, envelope(event("PING", str(pk).upper())))

    assert tried(pk).type == "PING"


def test_a_delivery_that_was_refused_meanwhile_is_told(pk, monkeypatch):
    statuses = during_the_wait(monkeypatch, envelope(event("WEBHOOK.TEST", pk)), key_id="unknown")

    result = tried(pk)

    assert statuses == [401]
    assert not result.is_passed
    assert result.sentence == (
        "No test event arrived within 5 s. "
        "Meanwhile a delivery was refused once: the key unknown is not known."
    )


def test_a_delivery_signed_for_another_address_is_told_with_the_addresses_that_were_tried(
    pk, monkeypatch, settings
):
    body = envelope(event("WEBHOOK.TEST", pk))
    headers = headers_for(body, path="/desk/webhooks/investment-api")
    during_the_wait(monkeypatch, body, headers=headers)

    sentence = tried(pk).sentence
    assert f"signed for {settings.WEBHOOK_PUBLIC_URL}" in sentence
    assert f"arrived as {PATH}" in sentence
    assert said().endswith(sentence)


def test_a_request_whose_signature_a_proxy_dropped_is_told(pk, monkeypatch):
    headers = {"content-type": "application/json"}
    statuses = during_the_wait(monkeypatch, envelope(event("WEBHOOK.TEST", pk)), headers=headers)

    sentence = tried(pk).sentence
    assert statuses == [401]
    assert "a request without a signature was refused" in sentence


def test_a_body_that_cannot_be_read_is_no_test_event(pk, monkeypatch):
    during_the_wait(monkeypatch, b"no json")

    assert not tried(pk).is_passed


def test_a_test_of_what_is_not_there_is_an_error_and_in_the_journal(upstream):
    pk = UUID(int=7)

    with pytest.raises(NotFoundError):
        tried(pk)

    assert said().startswith(f"Testing subscription {pk} failed: POST /webhooks/{pk}/test: 404")


def test_what_was_created_leads_to_our_own_door(upstream, pk, settings):
    assert wanted.same_url(upstream.subscriptions.get(str(pk)).url, settings.WEBHOOK_PUBLIC_URL)
