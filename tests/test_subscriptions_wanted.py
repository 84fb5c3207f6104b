"""What our subscription should be, what counts as another, and which of several is ours."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tests.signed import sample
from webhooks.subscriptions import registry, wanted

URL = "https://desk.example.com/webhooks/investment-api"
SOON = datetime(2026, 3, 2, 9, tzinfo=UTC)


def ours(**changes):
    """Return a subscription as it should be, with changes."""
    document = {"id": str(UUID(int=1)), "enabled": True, **wanted.document(URL)}
    return replace(registry.read(document), **{"created_at": SOON, **changes})


def test_what_is_created_and_enabled_has_no_drift():
    assert wanted.drift(ours()) == []
    assert wanted.corrections(ours()) == {}
    assert wanted.corrected(ours()) == []


def test_the_order_of_the_topics_does_not_matter():
    assert wanted.drift(ours(topics=tuple(reversed(wanted.TOPICS)))) == []


def test_the_topics_of_the_contract_are_taken():
    known = sample("contract")["subscription_topics"]

    assert set(wanted.TOPICS) <= set(known)
    assert {"PORTFOLIO_ORDER", "ORDER"} <= set(wanted.TOPICS)


@pytest.mark.parametrize(
    ("changes", "words", "body"),
    [
        ({"topics": ("ORDER", "PORTFOLIO_ORDER")}, ["topics"], {"type": list(wanted.TOPICS)}),
        ({"topics": (*wanted.TOPICS, "USER")}, ["topics"], {"type": list(wanted.TOPICS)}),
        ({"topics": ("ALL",)}, ["topics"], {"type": list(wanted.TOPICS)}),
        (
            {"topics": ("ALL",), "excluded_topics": ("POSITION",)},
            ["topics"],
            {"type": list(wanted.TOPICS), "exclude_type": []},
        ),
        (
            {"config": {"delay": "30s", "max_package_size": 262144}},
            ["batching interval"],
            {"config": dict(wanted.CONFIG)},
        ),
        ({"config": {}}, ["batching interval", "package size"], {"config": dict(wanted.CONFIG)}),
        ({"title": "Back office"}, ["title"], {"title": wanted.TITLE}),
        ({"enabled": False}, ["enabled"], {"enabled": True}),
    ],
)
def test_each_drift_has_its_word_and_the_correction_names_nothing_else(changes, words, body):
    assert wanted.drift(ours(**changes)) == words
    assert wanted.corrections(ours(**changes)) == body


def test_a_correction_says_from_what_to_what():
    drifted = ours(
        topics=("ALL",), excluded_topics=("POSITION",), config={"delay": "30s"}, enabled=False
    )

    topics, delay, size, enabled = wanted.corrected(drifted)

    assert topics == f"topics from ALL but POSITION to {', '.join(wanted.TOPICS)}"
    assert delay == "batching interval from 30 s to 1 s"
    assert size == "package size from None to 262144 bytes"
    assert enabled == "enabled it"


@pytest.mark.parametrize(
    "url",
    [
        f"{URL}/",
        "HTTPS://Desk.Example.com/webhooks/investment-api",
        "https://desk.example.com:443/webhooks/investment-api",
    ],
)
def test_an_address_written_otherwise_is_the_same(url):
    assert wanted.same_url(url, URL)


@pytest.mark.parametrize(
    "url",
    [
        "http://desk.example.com/webhooks/investment-api",
        "https://desk.example.com:8443/webhooks/investment-api",
        "https://desk.example.com/webhooks/Investment-api",
        "https://desk.example.com/webhooks/investment-api?key=1",
        "https://other.example.com/webhooks/investment-api",
        "https://[/webhooks",
        "",
    ],
)
def test_another_address_is_another(url):
    assert not wanted.same_url(url, URL)


def test_of_twins_the_oldest_enabled_one_is_ours():
    old = ours(enabled=False)
    middle = ours(id=UUID(int=2), created_at=SOON + timedelta(hours=1))
    young = ours(id=UUID(int=3), created_at=SOON + timedelta(hours=2), url=f"{URL}/")
    foreign = ours(id=UUID(int=4), url="https://other.example.com/")

    kept, twins = wanted.leading_to(URL, [foreign, young, old, middle])

    assert kept == middle
    assert twins == [young, old]


def test_without_an_address_nothing_is_ours():
    assert wanted.leading_to("", [ours(url="")]) == (None, [])


@pytest.mark.parametrize(
    ("changes", "is_gone", "marks"),
    [
        ({}, False, ["ours"]),
        ({"enabled": False}, False, ["ours", "disabled"]),
        ({"enabled": False, "title": "x"}, False, ["ours", "disabled", "drifted"]),
        ({"id": UUID(int=2)}, False, ["twin"]),
        ({"id": UUID(int=2), "url": "https://other.example.com", "title": ""}, False, ["foreign"]),
        ({"enabled": False}, True, ["gone"]),
    ],
)
def test_the_marks_say_what_there_is_to_say_of_one(changes, is_gone, marks):
    assert wanted.marks(ours(**changes), url=URL, ours=UUID(int=1), is_gone=is_gone) == marks
