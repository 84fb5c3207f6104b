"""Damage inside a delivery: what can be read is applied, the rest is kept with its bytes and asked about."""

import gzip
import json
import time
import zlib
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from backoffice.foreign_json import DEEPEST, TOO_DEEP
from backoffice.http_signatures import Message, Verified, Version
from orders import projection, quarantine
from orders.asking import checking
from orders.damaged import Damaged
from orders.lifecycle import Kind
from orders.models import JournalEntry, Order, Outcome, PortfolioOrder
from tests.stories import START, event, named, order, portfolio_order
from tests.upstream import running
from webhooks import contents, inbox, reading
from webhooks.body import UnreadableBodyError, events_in, unpacked
from webhooks.models import Delivery, Verdict

NOW = START + timedelta(minutes=5)
LATER = NOW + timedelta(minutes=1)
COUNT, BAD = 50, 20
ORDERS = [f"order {number}" for number in range(COUNT)]
EVENTS = [
    json.dumps(event("ORDER.NEW", order(name, client_reference="", parent=None))).encode()
    for name in ORDERS
]
DAMAGES = {
    "a member nested 1,000 deep": lambda one: one[:-1] + b', "x": ' + nested(1000) + b"}",
    "objects nested 1,000 deep": lambda one: one[:-1] + b', "x": ' + b'{"a":' * 1000 + b"1" + b"}" * 1001,
    "a member nested 100,000 deep": lambda one: one[:-1] + b', "x": ' + nested(100_000) + b"}",
    "objects nested 100,000 deep": lambda one: one[:-1] + b', "x": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
    "a byte that is no UTF-8": lambda one: one.replace(b'"client_reference": "', b'"client_reference": "\xff'),
    "a raw tab": lambda one: one.replace(b'"client_reference": "', b'"client_reference": "\t'),
    "a raw newline": lambda one: one.replace(b'"client_reference": "', b'"client_reference": "\n'),
    "a quote inside a text": lambda one: one.replace(b'"client_reference": "', b'"client_reference": "a"b'),
    "a word without quotes": lambda one: one.replace(b'"NEW"', b"NEW"),
    "a comma too many": lambda one: one[:-1] + b",}",
    "a brace too few": lambda one: one[:-1],
    "a bracket too few": lambda one: one.replace(b'"executions": [', b'"executions": '),
    "single quotes": lambda one: one.replace(b'"', b"'"),
}  # fmt: skip

database = pytest.mark.django_db


@pytest.fixture
def upstream(settings):
    with running(settings) as served:
        yield served


def nested(depth):
    return b"[" * depth + b"]" * depth


def body_of(*events):
    return b'{"payload": [' + b", ".join(events) + b"]}"


def damaged(damage):
    return body_of(*EVENTS[:BAD], DAMAGES[damage](EVENTS[BAD]), *EVENTS[BAD + 1 :])


def store(body, *, now=NOW, **headers):
    signature = Verified("a key", now, None, "n", ("@method", "@path"), Version.V6, "sig1")
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return inbox.receive(Message("POST", "/", "", names, body), signature=signature, now=now)


def receive(body, *, now=NOW, **headers):
    delivery = store(body, now=now, **headers)
    projection.drain(now=now)
    delivery.refresh_from_db()
    return delivery


def id_of(name):
    return UUID(named(name))


@database
@pytest.mark.parametrize("damage", DAMAGES)
def test_one_damaged_event_costs_none_of_its_49_neighbours(damage):
    delivery = receive(damaged(damage))

    assert (delivery.verdict, delivery.events) == (Verdict.ACCEPTED, COUNT)
    assert set(Order.objects.values_list("pk", flat=True)) == {
        id_of(name) for name in ORDERS if name != ORDERS[BAD]
    }
    bad = JournalEntry.objects.get(outcome=Outcome.QUARANTINED)
    assert bytes(bad.payload) == DAMAGES[damage](EVENTS[BAD])
    assert bad.message.startswith(("the event is not JSON: ", f"the event is {TOO_DEEP}"))


@database
@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "single quotes"])
def test_what_a_damaged_event_is_about_is_asked_about_though_it_is_unknown_here(damage, upstream):
    receive(damaged(damage))

    assert (Kind.ORDER, id_of(ORDERS[BAD])) in checking.due(now=NOW)


@database
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_order_that_a_damaged_event_names_is_due_at_once(damage):
    receive(body_of(EVENTS[BAD]))
    assert Order.objects.get().check_after > LATER

    receive(body_of(DAMAGES[damage](EVENTS[BAD])), now=LATER)

    assert Order.objects.get().check_after == LATER


@database
def test_of_an_order_that_a_damaged_event_names_its_portfolio_order_is_asked_about():
    receive(body_of(json.dumps(event("PORTFOLIO_ORDER.NEW", portfolio_order())).encode()))
    child = json.dumps(event("ORDER.NEW", order("A"))).encode()
    receive(body_of(child))

    receive(body_of(child.replace(b'"NEW"', b"NEW")), now=LATER)

    assert PortfolioOrder.objects.get().check_after == LATER
    assert Order.objects.get().check_after is None


@database
def test_of_a_body_without_events_every_order_is_asked_about_that_it_names():
    receive(body_of(EVENTS[BAD]))

    delivery = receive(b'{"changed": ["%s"]}' % named(ORDERS[BAD]).encode(), now=LATER)

    assert delivery.verdict == Verdict.UNREADABLE
    assert Order.objects.get().check_after == LATER


@database
def test_several_damaged_events_in_a_row_are_told_apart():
    tabs = [DAMAGES["a raw tab"](one) for one in EVENTS[:3]]

    receive(body_of(*tabs, *EVENTS[3:6]))

    kept = JournalEntry.objects.filter(outcome=Outcome.QUARANTINED)
    assert {bytes(entry.payload) for entry in kept} == set(tabs)
    assert Order.objects.count() == 3


BETWEEN_EVENTS = {
    "two envelopes, one behind the other": b']}\n{"payload": [',
    "a bracket that ends the list too early": b"], ",
    "a bracket alone": b", ], ",
    "words": b", nul l, ",
    "a comment": b", // not JSON\n",
    "no comma": b" ",
    "a line each": b"\n",
    "semicolons": b"; ",
}


@pytest.mark.parametrize("between", BETWEEN_EVENTS)
def test_whatever_stands_between_two_events_the_events_behind_it_are_read(between):
    one, other, last = EVENTS[:3]
    body = b'{"payload": [' + one + BETWEEN_EVENTS[between] + other + b", " + last + b"]}"

    found = [it for it in events_in(body) if not isinstance(it, Damaged)]

    assert found == [json.loads(it) for it in (one, other, last)]


def test_events_line_by_line_without_a_list_are_read_each():
    assert events_in(b"\n".join(EVENTS[:3])) == [json.loads(it) for it in EVENTS[:3]]


def test_what_stands_beside_a_damaged_list_is_kept_where_it_names_something():
    about = named("order 7")
    body = b'{"about": "' + about.encode() + b'", "payload": [' + EVENTS[0] + b", \x01]}"

    assert {pk for it in events_in(body) if isinstance(it, Damaged) for pk in it.ids} == {
        UUID(about)
    }


def test_a_long_body_with_every_second_event_damaged_is_read_at_once():
    events = [one[:-1] if at % 2 else one for at, one in enumerate(EVENTS * 30)]
    began = time.process_time()

    found = events_in(body_of(*events))

    assert sum(isinstance(it, Damaged) for it in found) == len(events) // 2
    assert (
        time.process_time() - began < 10
    )  # it took minutes when each looked to the end of the body


def test_a_long_body_with_every_event_damaged_is_read_at_once():
    began = time.process_time()

    found = events_in(body_of(*(DAMAGES["a raw tab"](one) for one in EVENTS * 100)))

    assert len(found) == len(EVENTS) * 100
    assert (
        time.process_time() - began < 10
    )  # it took ten times as long when each error counted the lines before it


def test_a_text_full_of_quotes_that_never_ends_is_read_at_once():
    began = time.process_time()

    events_in(body_of(EVENTS[0], b'{"id": "' + b'\\"' * 30_000))

    assert time.process_time() - began < 10


@database
def test_of_a_packed_body_without_events_every_order_is_asked_about_that_it_names():
    receive(body_of(EVENTS[0]))
    body = gzip.compress(b'{"data": [' + EVENTS[0] + b"]}")

    delivery = receive(body, now=LATER, content_encoding="gzip")

    assert delivery.verdict == Verdict.UNREADABLE
    assert Order.objects.get().check_after == LATER


@database
def test_a_damaged_event_that_comes_again_is_a_repeat():
    body = damaged("a raw tab")
    receive(body)

    again = receive(body, now=LATER)

    assert (again.events, again.repeats) == (COUNT, COUNT)


@database
def test_the_page_of_a_delivery_shows_a_damaged_event_beside_its_neighbours(admin_client):
    delivery = receive(damaged("a byte that is no UTF-8"))

    page = admin_client.get(f"/admin/webhooks/delivery/{delivery.pk}/change/")

    assert page.status_code == 200
    assert "byte " in page.text
    assert len(page.context["contents"]) == COUNT
    entry = JournalEntry.objects.get(outcome=Outcome.QUARANTINED)
    assert admin_client.get(f"/admin/orders/journalentry/{entry.pk}/change/").status_code == 200
    assert admin_client.get(f"/admin/orders/journalentry/{entry.pk}/change/").status_code == 200


@pytest.mark.parametrize("depth", [DEEPEST + 1, 900, 5000, 100_000])
def test_how_deep_an_event_may_be_does_not_depend_on_who_reads_it(depth):
    fine, deep = EVENTS[0], EVENTS[1][:-1] + b', "x": ' + nested(depth) + b"}"

    first, second = events_in(body_of(fine, deep))

    assert isinstance(first, dict)
    assert isinstance(second, Damaged)


@database
@pytest.mark.parametrize("depth", [DEEPEST, 1000])
def test_an_event_that_is_too_deep_stays_in_quarantine_when_it_is_applied_again(depth):
    deep = EVENTS[0][:-1] + b', "x": ' + nested(depth) + b"}"
    receive(body_of(deep))

    quarantine.apply_again([JournalEntry.objects.get().pk], actor="mira", now=LATER)

    entry = JournalEntry.objects.exclude(source="STAFF").get()
    assert (entry.outcome, bytes(entry.payload)) == (Outcome.QUARANTINED, deep)
    assert entry.message.startswith(f"the event is {TOO_DEEP}")


def test_where_a_damaged_event_ends_does_not_depend_on_who_reads_the_deep_one_behind_it():
    broken = EVENTS[0][:-2]
    deep = EVENTS[1][:-1] + b', "x": ' + nested(500) + b"}"
    found = events_in(body_of(broken, deep, EVENTS[2]))

    assert [it.raw if isinstance(it, Damaged) else it for it in found] == [
        broken + b", " + deep, json.loads(EVENTS[2]),
    ]  # fmt: skip


def test_brackets_inside_texts_make_nothing_deep():
    text = json.dumps({"type": "TOPUP.NEW", "note": "[" * 500 + "}" * 30}).encode()

    assert events_in(body_of(text)) == [json.loads(text)]


@given(st.lists(st.sampled_from(EVENTS[:8]), max_size=6), st.data())
@hypothesis_settings(deadline=None, max_examples=200)
def test_whatever_happens_to_the_bytes_of_one_event_the_events_before_it_are_read(events, data):
    position = data.draw(st.integers(0, len(EVENTS[0]) - 1))
    noise = data.draw(st.binary(max_size=4))
    broken = EVENTS[0][:position] + noise + EVENTS[0][position + 1 :]

    try:
        found = events_in(body_of(*events, broken))
    except UnreadableBodyError:
        found = []

    assert found[: len(events)] == [json.loads(one) for one in events]


# Compressed bodies


PACKERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "GZIP": gzip.compress,
    "identity": lambda body: body,
    "gzip, deflate": lambda body: zlib.compress(gzip.compress(body)),
}


@database
@pytest.mark.parametrize("encoding", PACKERS)
def test_a_compressed_body_is_unpacked_and_kept_as_it_came(encoding):
    body = PACKERS[encoding](body_of(*EVENTS[:3]))

    delivery = receive(body, content_encoding=encoding)

    assert (delivery.verdict, delivery.events, delivery.size) == (Verdict.ACCEPTED, 3, len(body))
    assert bytes(delivery.body) == body
    assert len(contents.contents_of(delivery)) == 3
    assert contents.text_of(delivery) == body_of(*EVENTS[:3]).decode()
    assert Order.objects.count() == 3


@database
@pytest.mark.parametrize(
    ("encoding", "body", "reason"),
    [
        ("br", b"\x0b\x02\x80", "the content encoding 'br' is not known"),
        ("gzip", b"{}", "the body is not gzip"),
        ("gzip", gzip.compress(body_of(EVENTS[0]))[:-9], "the body is not whole gzip"),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_kept_with_the_reason(encoding, body, reason):
    delivery = receive(body, content_encoding=encoding)

    assert (delivery.verdict, delivery.reason) == (Verdict.UNREADABLE, reason)
    assert bytes(delivery.body) == body


def test_a_body_is_never_unpacked_beyond_the_limit():
    bomb = gzip.compress(b"0" * 10_000_000)

    with pytest.raises(UnreadableBodyError, match="longer than 1,000,000 bytes"):
        unpacked(bomb, "gzip", limit=1_000_000)


# One body, many deliveries


@database
def test_a_delivery_that_comes_a_thousand_times_keeps_its_body_once():
    body = body_of(*EVENTS[:2])
    for _ in range(100):
        store(body)

    assert Delivery.objects.filter(body__isnull=False).count() == 1
    while reading.read_next(now=NOW).read:
        pass
    assert JournalEntry.objects.filter(repeat_of=None).count() == 2
    assert {delivery.events for delivery in Delivery.objects.all()} == {2}
    assert reading.raw_body_of(Delivery.objects.latest("pk")) == body


# The same event, with other content


@database
def test_an_event_that_comes_again_with_other_content_makes_its_object_due():
    first = event("ORDER.NEW", order("A", client_reference="", parent=None), name="the event")
    receive(json.dumps(first).encode())
    newer = order("A", "FILLED", 30, client_reference="", parent=None)

    receive(json.dumps(first | {"object": newer}).encode(), now=LATER)

    held = Order.objects.get()
    assert (held.status, held.check_after) == ("NEW", LATER)
    repeat = JournalEntry.objects.exclude(repeat_of=None).get()
    assert (repeat.outcome, repeat.applied_at) == (Outcome.NO_CHANGE, LATER)
    assert "differs" in repeat.message
    assert bytes(repeat.payload)


def test_the_events_of_two_lists_in_one_envelope_are_all_read():
    first, second = EVENTS[:2]

    found = events_in(b'{"payload": [' + first + b'], "payload": [' + second + b"]}")

    assert found == [json.loads(first), json.loads(second)]


def test_an_event_that_holds_a_payload_of_its_own_is_read_as_any_other():
    one = {"type": "FILE.NEW", "object": {"payload": ["a"], "id": named("f")}}

    assert events_in(json.dumps({"payload": [one, one]}).encode()) == [one, one]
