"""Where the stand-in cuts a connection, and what it has done by then: over HTTP without a client of ours."""

import http.client
from contextlib import suppress
from typing import get_args
from uuid import uuid4

import pytest

from backoffice.investment_api.client import api
from backoffice.investment_api.errors import InvestmentAPIError
from backoffice.sandbox import Trouble
from backoffice.sandbox.cuts import LATE, Point
from orders.placing.wish import body_of, read_wish
from tests.test_placing import FIELDS
from tests.upstream import running

BROKEN = (http.client.HTTPException, OSError)


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


def exchange(settings):
    """Send an unsigned placement; return the status and body of its answer."""
    connection = http.client.HTTPConnection(
        settings.INVESTMENT_API_URL.removeprefix("http://"), timeout=5
    )
    try:
        connection.request("POST", "/portfolios/orders", body_of(read_wish(FIELDS)))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def cut_short(settings):
    """Return whether an exchange breaks, or brings no body: a cut among the header fields looks like their end."""
    try:
        return exchange(settings)[1] == b""
    except BROKEN:
        return True


@pytest.fixture
def placing_call(upstream):
    """Return a signed call that places, and takes what comes."""

    def call():
        with suppress(InvestmentAPIError):
            api().place_portfolio_order(body_of(read_wish(FIELDS)), idempotency_key=uuid4())

    return call


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("point", [it for it in get_args(Point) if it != "answered"])
def test_a_cut_leaves_no_whole_answer(upstream, settings, point, reset):
    upstream.expect(Trouble("cut", at=point, reset=reset))

    assert cut_short(settings)
    assert exchange(settings)[0] == 400  # without a client id: it was meant once


def test_a_connection_cut_behind_the_answer_has_brought_it(upstream, settings):
    upstream.expect(Trouble("cut", at="answered"))

    assert exchange(settings)[0] == 400


@pytest.mark.parametrize("point", get_args(Point))
def test_the_call_has_its_effect_only_where_the_cut_comes_after_it(upstream, point, placing_call):
    upstream.expect(Trouble("cut", at=point, method="POST", path="/portfolios/orders"))

    placing_call()
    assert len(upstream.market.portfolio_orders()) == (point in LATE)


def test_a_trouble_may_concern_one_method_only(upstream):
    trouble = Trouble("cut", method="POST")

    assert trouble.concerns("POST", "/portfolios/orders")
    assert not trouble.concerns("GET", "/portfolios/orders")


def test_a_point_that_is_none_is_refused():
    with pytest.raises(ValueError, match="those are unread, fields, body, done"):
        Trouble(kind="cut", at="sometime")  # type: ignore[arg-type]
