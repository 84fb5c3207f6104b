"""Every number that leads somewhere is the number of rows there: followed on a desk that has a case of everything."""

import re

import pytest
import time_machine
from django.core.cache import cache

from backoffice import panels
from tests import troubles
from tests.scenes import Desk, furnish
from tests.staff import LIST, browser, html
from tests.stories import START, named

TODAY = "/admin/"
PLACEMENTS = "/admin/orders/placement/"
GROUPS = ["", "Viewer", "Operator", "Auditor", "Trader"]
TILE = re.compile(r'<li[^>]*><div class="tile.*?</div></li>', re.DOTALL)

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(clocked_cache):
    panels.breaker.reset()
    with time_machine.travel(START, tick=False) as traveller:
        desk = Desk(traveller)
        furnish(desk)
        troubles.of_orders(desk)
        troubles.waiting(desk)
        desk.go(troubles.SECONDS)
        cache.clear()
        yield desk


@pytest.mark.parametrize("group", GROUPS)
def test_every_number_on_today_is_the_number_of_rows_it_leads_to(desk, group):
    assert [*troubles.contradictions(browser(group), TODAY)] == []


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("path", [
    LIST, f"{LIST}?type=SELL", f"{LIST}?placed=24h&status=NEW", f"{LIST}?q={named('gone')[:8]}",
    f"{LIST}?filled=24h&problem=any",
    PLACEMENTS, f"{PLACEMENTS}?side=SELL", f"{PLACEMENTS}?q={named('other account')}",
])  # fmt: skip
def test_every_tab_counts_the_rows_it_leads_to_whatever_is_searched_and_filtered(desk, group, path):
    assert [*troubles.contradictions(browser(group), path)] == []


def test_every_tile_has_a_number_that_leads_to_its_rows(desk):
    tiles = TILE.findall(html(browser().get(TODAY)))

    assert len(tiles) >= 7
    for tile in tiles:
        (value,) = re.findall(r"<strong>(.*?)</strong>", tile)
        if value.replace(",", "").isdigit():
            assert "data-count=" in tile, tile


def test_the_desk_of_these_tests_has_a_case_of_everything(desk):
    said = {words: count for count, words, _ in troubles.numbers(TODAY, browser().get(TODAY))}

    for words in (
        "Filled and cancelled 1", "Cancelled, but fully executed 1", "Trade reversed 1",
        "Unknown status 2", "Not found at the broker 1", "Unreadable attribute 1",
        "Single orders with a problem 1", "Placements without a confirmed result 1",
        "Still different after reconciliation 2", "Not known at the broker 1",
        "Unknown fill time 1", "By refetch 1", "In quarantine 1", "Unreadable (24 h) 1",
        "Refused (24 h) 1", "1 portfolio order", "1 single order", "1 delivery", "1 entry",
    ):  # fmt: skip
        assert words in said, (words, said)


def test_the_tile_of_what_was_filled_is_never_below_the_chart_beside_it(desk):
    response = browser().get(TODAY)

    (filled,) = re.findall(r"placed in 24 hours, (\d+) filled", html(response))
    said = {words: count for count, words, _ in troubles.numbers(TODAY, response)}
    (tile,) = (count for words, count in said.items() if words.startswith("Filled, last 24 h"))
    assert tile >= int(filled) > 1
