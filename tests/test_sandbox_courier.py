"""The courier of the stand-in: signed batches, repeats, blocking and faults, on a set clock."""

import json
import signal
import subprocess
import sys
import threading
from collections import deque
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any
from urllib.request import urlopen

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from backoffice.http_signatures import Message, Version, public_key_from_jwk, verify
from backoffice.sandbox import Choice, FaultPlan, Sandbox, Speed
from backoffice.sandbox.market import Market
from backoffice.sandbox.objects import Event

KEY = ec.generate_private_key(ec.SECP521R1())
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
DOCUMENTED_WAITS = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 600, 600, 600]
REAL_WAITS = Speed(3 * SECOND, 8 * SECOND, 30 * SECOND, waits=1)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


class Receiver:
    """Takes deliveries, each with the next of ``statuses``, then 200; verifies nothing by itself."""

    def __init__(self):
        self.statuses: deque[int] = deque()
        self.requests: list[Message] = []
        self.arrived = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                path, _, query = self.path.partition("?")
                message = Message("POST", path, query, dict(self.headers.items()), body)
                status = receiver.statuses.popleft() if receiver.statuses else 200
                with receiver.arrived:
                    receiver.requests.append(message)
                    receiver.arrived.notify_all()
                self.send_response(status)
                self.send_header("location", "/elsewhere")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhooks/investment-api"
        poll = {"poll_interval": 0.01}
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs=poll)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def batches(self):
        return [json.loads(message.body)["payload"] for message in self.requests]

    @property
    def types(self):
        return [event["type"] for batch in self.batches for event in batch]


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.stop()


def new_sandbox(**options):
    defaults: dict[str, Any] = {
        "client_id": "client",
        "client_secret": "secret",
        "client_key_id": "key",
        "client_public_key": KEY.public_key(),
        "clock": Clock(),
        "speed": REAL_WAITS,
        "oddities": 0,
    }
    return Sandbox(**defaults | options)


@pytest.fixture
def sandbox(receiver):
    made = new_sandbox()
    made.subscribe(receiver.url, topics=("PORTFOLIO_ORDER",))
    return made


def pass_time(sandbox, time, *, stride=SECOND):
    for _ in range(time // stride):
        sandbox.clock.now += stride
        sandbox.step()


def place(sandbox, count=1):
    return sandbox.market.place_some(count, now=sandbox.clock())


def attempts(sandbox):
    (lane,) = sandbox.courier.lanes()
    return list(lane.attempts)


def keys_of(sandbox):
    document = sandbox.keys.document(sandbox.clock())
    return {jwk["kid"]: public_key_from_jwk(jwk) for jwk in document["keys"]}


# What is delivered


def test_a_portfolio_order_is_told_from_new_to_settled(sandbox, receiver):
    place(sandbox)
    pass_time(sandbox, 60 * SECOND)

    words = [f"PORTFOLIO_ORDER.{word}" for word in ("NEW", "PROCESSING", "FILLED", "SETTLED")]
    assert receiver.types == words


def test_a_delivery_is_signed_in_version_6_with_the_current_key(sandbox, receiver):
    place(sandbox)
    pass_time(sandbox, 2 * SECOND)

    (message,) = receiver.requests
    verified = verify(message, keys_of(sandbox).get)
    assert verified.version is Version.V6
    assert {"@method", "@path", "digest"} <= set(verified.components)
    assert "upvest-signature-version" not in {name.lower() for name in message.headers}


def test_after_a_rotation_deliveries_are_signed_with_the_new_key(sandbox, receiver):
    new = sandbox.keys.rotate(sandbox.clock())
    place(sandbox)
    pass_time(sandbox, 2 * SECOND)

    assert verify(receiver.requests[0], keys_of(sandbox).get).key_id == new


def test_the_body_is_an_envelope_of_events_ascending_in_time(receiver):
    sandbox = new_sandbox()
    webhook_id = sandbox.subscribe(receiver.url, topics=("ALL",), delay="10s")
    place(sandbox, 3)
    pass_time(sandbox, 120 * SECOND)

    assert any(len(batch) > 10 for batch in receiver.batches)
    for batch in receiver.batches:
        stamps = [datetime.fromisoformat(event["created_at"]) for event in batch]
        assert stamps == sorted(stamps)
        assert {event["webhook_id"] for event in batch} == {webhook_id}


def test_only_the_topics_of_a_subscription_are_delivered(receiver):
    sandbox = new_sandbox()
    made = sandbox.subscriptions.create(
        {"title": "-", "url": receiver.url, "exclude_type": ["EXECUTION"]}, now=START
    )
    sandbox.subscriptions.update(made.id, {"enabled": True}, now=START)
    place(sandbox)
    pass_time(sandbox, 60 * SECOND)

    assert {event_type.split(".")[0] for event_type in receiver.types} == {
        "PORTFOLIO_ORDER",
        "ORDER",
    }


def test_a_disabled_subscription_gets_the_test_event_only(receiver):
    sandbox = new_sandbox()
    made = sandbox.subscriptions.create({"title": "-", "url": receiver.url}, now=START)
    sandbox.courier.test(made)
    place(sandbox)
    pass_time(sandbox, 5 * SECOND)

    assert receiver.types == ["WEBHOOK.TEST"]


def test_events_wait_for_the_delay_and_go_together(receiver):
    sandbox = new_sandbox()
    sandbox.subscribe(receiver.url, delay="5s")
    place(sandbox, 4)

    pass_time(sandbox, 4 * SECOND)
    assert receiver.requests == []
    pass_time(sandbox, SECOND)
    assert receiver.types.count("PORTFOLIO_ORDER.NEW") == 4
    assert len(receiver.requests) == 1


def test_a_package_stays_below_its_size_unless_one_event_is_larger(receiver):
    sandbox = new_sandbox()
    made = sandbox.subscribe(receiver.url)
    sandbox.subscriptions.update(made, {"config": {"max_package_size": 2000}}, now=START)
    place(sandbox, 6)
    pass_time(sandbox, 60 * SECOND)

    assert any(len(batch) > 1 for batch in receiver.batches)
    assert all(
        len(message.body) <= 2000 + 20 or len(batch) == 1
        for message, batch in zip(receiver.requests, receiver.batches, strict=True)
    )


def test_the_query_of_the_url_is_kept_and_signed(receiver):
    sandbox = new_sandbox()
    sandbox.subscribe(f"{receiver.url}?tenant=1")
    place(sandbox)
    pass_time(sandbox, 2 * SECOND)

    assert receiver.requests[0].query == "tenant=1"
    assert "@query" in verify(receiver.requests[0], keys_of(sandbox).get).components


# What is refused


@pytest.mark.parametrize("status", [201, 204, 301, 401, 500, 503])
def test_anything_but_200_is_repeated(sandbox, receiver, status):
    receiver.statuses.append(status)
    place(sandbox)
    pass_time(sandbox, 3 * SECOND, stride=SECOND / 2)

    assert [attempt.outcome for attempt in attempts(sandbox)][:2] == [str(status), "200"]
    assert receiver.requests[0].body == receiver.requests[1].body


def test_a_repeat_is_signed_anew(sandbox, receiver):
    receiver.statuses.append(503)
    place(sandbox)
    pass_time(sandbox, 3 * SECOND, stride=SECOND / 2)

    nonces = {verify(message, keys_of(sandbox).get).nonce for message in receiver.requests[:2]}
    assert len(nonces) == 2


def test_repeats_come_after_the_documented_waits(sandbox, receiver):
    receiver.statuses.extend([503] * (len(DOCUMENTED_WAITS)))
    place(sandbox)
    pass_time(sandbox, timedelta(seconds=sum(DOCUMENTED_WAITS) + 5))

    times = [attempt.at for attempt in attempts(sandbox)][: len(DOCUMENTED_WAITS) + 1]
    waits = [(after - before) / SECOND for before, after in pairwise(times)]
    assert waits == DOCUMENTED_WAITS


def test_the_waits_begin_again_after_a_delivery_was_taken(sandbox, receiver):
    receiver.statuses.extend([503, 503, 200, 503])
    place(sandbox)
    pass_time(sandbox, 60 * SECOND, stride=SECOND / 2)

    outcomes = [(attempt.outcome, attempt.at) for attempt in attempts(sandbox)]
    assert [outcome for outcome, _ in outcomes[:5]] == ["503", "503", "200", "503", "200"]
    assert outcomes[4][1] - outcomes[3][1] == SECOND


def test_waits_are_divided_by_the_speed(receiver):
    sandbox = new_sandbox(speed=Speed(SECOND, SECOND, SECOND, waits=10))
    sandbox.subscribe(receiver.url)
    receiver.statuses.extend([503] * 3)
    place(sandbox)
    pass_time(sandbox, 2 * SECOND, stride=SECOND / 10)

    times = [attempt.at for attempt in attempts(sandbox)][:4]
    waits = [after - before for before, after in pairwise(times)]
    assert waits == [SECOND / 10, SECOND / 5, 3 * SECOND / 10]


def test_a_refused_delivery_blocks_all_behind_it_and_one_success_releases_them(sandbox, receiver):
    receiver.statuses.extend([503] * 6)  # 1 + 2 + 3 + 5 + 8 + 13 = 32 s
    place(sandbox)
    pass_time(sandbox, 30 * SECOND)
    assert set(receiver.types) == {"PORTFOLIO_ORDER.NEW"}
    assert sandbox.courier.pending() == 3

    pass_time(sandbox, 60 * SECOND)
    words = [f"PORTFOLIO_ORDER.{word}" for word in ("PROCESSING", "FILLED", "SETTLED")]
    assert receiver.types[-3:] == words
    assert sandbox.courier.pending() == 0


def test_a_subscription_that_failed_for_30_days_in_a_row_is_deleted(sandbox, receiver):
    receiver.statuses.extend([503] * 9)
    place(sandbox)
    pass_time(sandbox, 5 * SECOND)

    pass_time(sandbox, 29 * DAY, stride=29 * DAY)
    assert len(sandbox.subscriptions.all()) == 1
    pass_time(sandbox, DAY, stride=DAY)
    sandbox.step()
    assert sandbox.subscriptions.all() == []


def test_one_success_in_30_days_saves_a_subscription(sandbox, receiver):
    receiver.statuses.extend([503] * 2)
    place(sandbox)
    pass_time(sandbox, 10 * SECOND)

    pass_time(sandbox, 31 * DAY, stride=DAY)

    assert len(sandbox.subscriptions.all()) == 1


def test_one_subscription_that_refuses_does_not_hold_up_another(sandbox, receiver):
    other = Receiver()
    try:
        sandbox.subscribe(other.url, topics=("PORTFOLIO_ORDER",))
        receiver.statuses.extend([503] * 100)
        place(sandbox)
        pass_time(sandbox, 60 * SECOND)
        assert len(other.types) == 4
    finally:
        other.stop()


def test_a_receiver_that_is_down_is_tried_again(sandbox, receiver):
    receiver.stop()
    place(sandbox)
    pass_time(sandbox, 3 * SECOND)

    outcomes = [attempt.outcome for attempt in attempts(sandbox)]
    assert len(outcomes) == 2
    assert all("Refused" in outcome for outcome in outcomes)


# Faults


def told(receiver, faults, *, count=20, topics=("PORTFOLIO_ORDER", "ORDER", "EXECUTION")):
    sandbox = new_sandbox(faults=faults)
    sandbox.subscribe(receiver.url, topics=topics)
    place(sandbox, count)
    start = len(receiver.requests)
    pass_time(sandbox, 90 * SECOND)
    return [event["id"] for batch in receiver.batches[start:] for event in batch]


def test_without_faults_each_event_comes_once(receiver):
    ids = told(receiver, FaultPlan())

    assert len(ids) == len(set(ids))


def test_lost_events_never_come(receiver):
    whole, rest = told(receiver, FaultPlan()), told(receiver, FaultPlan(lose=0.2))

    assert set(rest) < set(whole)
    assert 0.6 < len(rest) / len(whole) < 0.95


def test_repeated_events_come_twice(receiver):
    ids = told(receiver, FaultPlan(repeat=0.2))

    assert 1.05 < len(ids) / len(set(ids)) < 1.4


def test_reordered_and_delayed_events_are_overtaken_and_come_once(receiver):
    whole = told(receiver, FaultPlan())
    mixed = told(receiver, FaultPlan(reorder=0.2, delay=0.1))

    assert mixed != whole
    assert sorted(mixed) == sorted(whole)


def test_the_same_seed_gives_the_same_faults_and_another_gives_others(receiver):
    def faults(seed):
        return FaultPlan(seed=seed, lose=0.2, repeat=0.2, reorder=0.2, delay=0.2)

    assert told(receiver, faults(1)) == told(receiver, faults(1))
    assert told(receiver, faults(1)) != told(receiver, faults(2))


def test_a_delayed_event_is_held_back_for_its_time(receiver):
    held = Choice("delay", "PORTFOLIO_ORDER.NEW")
    sandbox = new_sandbox(faults=FaultPlan(choices=(held,), delay_by=40 * SECOND))
    sandbox.subscribe(receiver.url, topics=("PORTFOLIO_ORDER",))
    place(sandbox)

    pass_time(sandbox, 40 * SECOND)
    assert receiver.types == [f"PORTFOLIO_ORDER.{w}" for w in ("PROCESSING", "FILLED", "SETTLED")]
    pass_time(sandbox, SECOND)
    assert receiver.types[-1] == "PORTFOLIO_ORDER.NEW"


def test_the_first_order_suffers_one_late_one_repeated_and_one_lost_event_within_a_minute(receiver):
    sandbox = new_sandbox(faults=FaultPlan(lose=0.5).with_first_order(), speed=Speed.demo())
    sandbox.subscribe(receiver.url)
    number_one = place(sandbox, 1)[0]["id"]
    pass_time(sandbox, 60 * SECOND)

    market = Market(seed=1, speed=Speed.demo(), oddities=0)
    market.place_some(1, now=START)
    happened = [event.id for event in market.advance(START + DAY)]
    came = [event["id"] for batch in receiver.batches for event in batch]
    assert market.portfolio_orders()[0]["id"] == number_one
    assert len(set(happened)) - len(set(came)) == 1
    assert len(came) - len(set(came)) == 1
    assert "PORTFOLIO_ORDER.FILLED" not in receiver.types
    assert receiver.types.count("PORTFOLIO_ORDER.NEW") == 2
    late = receiver.types.index("PORTFOLIO_ORDER.PROCESSING")
    assert "ORDER.PROCESSING" in receiver.types[late + 1 :]


def test_a_choice_concerns_the_event_it_names_only():
    event = Event("1", START, "ORDER.NEW", {"id": "a"}, number=2, child=3)

    assert Choice("lose").fits(event)
    assert Choice("lose", "ORDER.NEW", "a", 2, 3).fits(event)
    for other in ({"type": "ORDER.FILLED"}, {"object_id": "b"}, {"number": 1}, {"child": 1}):
        assert not Choice("lose", **other).fits(event)


# Running by itself


@contextmanager
def running(**options):
    sandbox = new_sandbox(clock=lambda: datetime.now(UTC), **options)
    try:
        yield sandbox
    finally:
        sandbox.stop()


def test_it_runs_in_threads_until_everything_is_delivered_and_stops_without_a_trace(receiver):
    before = set(threading.enumerate())
    blink = timedelta(milliseconds=30)
    with running(speed=Speed(blink, blink, blink, waits=100)) as sandbox:
        sandbox.run()
        sandbox.subscribe(receiver.url, topics=("PORTFOLIO_ORDER",))
        sandbox.place_steadily(3, every=blink)
        with receiver.arrived:
            assert receiver.arrived.wait_for(
                lambda: receiver.types.count("PORTFOLIO_ORDER.SETTLED") == 3, timeout=20
            )

    names = {thread.name for thread in set(threading.enumerate()) - before}
    assert not {name for name in names if name.startswith("sandbox-")}


def test_orders_that_go_on_after_the_first_ones_come_at_their_own_pace(sandbox):
    sandbox.place_steadily(2, every=SECOND, then=10 * SECOND)

    def placed_after(time):
        pass_time(sandbox, time)
        return len(sandbox.market.portfolio_orders())

    assert [placed_after(SECOND), placed_after(9 * SECOND), placed_after(SECOND)] == [2, 2, 3]
    assert placed_after(20 * SECOND) == 5


def test_stopping_does_not_wait_for_a_receiver_that_hangs():
    hanging = threading.Event()
    connected = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            connected.set()
            hanging.wait()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    with running(speed=Speed(SECOND, SECOND, SECOND, waits=100)) as sandbox:
        sandbox.subscribe(f"http://127.0.0.1:{server.server_port}/")
        sandbox.run()
        sandbox.place_steadily(1, every=SECOND)
        assert connected.wait(10)
    (attempt,) = attempts(sandbox)
    assert attempt.outcome != "200"
    hanging.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_control_side_tells_which_events_each_attempt_carried(sandbox, receiver):
    receiver.statuses.append(503)
    place(sandbox)
    pass_time(sandbox, 3 * SECOND)

    answer = sandbox.answer(Message("GET", "/_sandbox/attempts", "", {}, b""))
    (told,) = json.loads(answer.body).values()
    first = [event["id"] for event in receiver.batches[0]]
    assert [(attempt["outcome"], attempt["events"]) for attempt in told[:2]] == [
        ("503", first),
        ("200", first),
    ]


def test_it_runs_as_a_process_that_says_where_it_is_and_ends_on_a_signal(tmp_path):
    command = [sys.executable, "-m", "backoffice.sandbox", "--keys-dir", str(tmp_path / "keys")]
    with subprocess.Popen(
        [*command, "--orders", "1"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            said = dict(word.split("=", 1) for word in process.stdout.readline().split())
            with urlopen(f"{said['url']}/_sandbox/truth", timeout=10) as answer:
                truth = json.load(answer)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert set(truth) == {"portfolio_orders", "orders", "is_quiet", "undelivered"}
    assert (tmp_path / "keys" / "client.pem").stat().st_mode & 0o077 == 0
    assert said["private_key_file"] == str(tmp_path / "keys" / "client.pem")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--client-key", "{key}"], "needs --client-secret"),
        (["--client-key", "{key}", "--client-secret", "s"], "P-521"),
        (["--port", "{port}"], "in use"),
        (["--speed", "warp"], "demo, fast, live"),
    ],
)
def test_it_says_in_one_line_why_it_cannot_start(tmp_path, receiver, options, reason):
    key = tmp_path / "p256.pem"
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    key.write_bytes(
        public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    values = {"key": key, "port": receiver.server.server_port}
    command = [sys.executable, "-m", "backoffice.sandbox", "--keys-dir", str(tmp_path)]
    command += [option.format(**values) for option in options]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode != 0
    assert reason in ended.stderr
    assert "Traceback" not in ended.stderr
