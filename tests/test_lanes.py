"""The lanes of a lifecycle chart, drawn as text: what stands where, in percent of the track."""

import re
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders import journal, projection
from orders.admin.lifecycle import lifecycle
from orders.lanes.captions import caption
from orders.lanes.chart import chart
from orders.timeline.steps import build
from tests.journal_entries import (
    RULES,
    START,
    A,
    B,
    P,
    again,
    at,
    listed,
    poll,
    refetch,
    subject,
    webhook,
)  # fmt: skip
from tests.staff import ORDERS, browser, html, page, words
from tests.stories import START as STORY
from tests.stories import event, life, named, order, portfolio_order

BERLIN = ZoneInfo("Europe/Berlin")
LATER = START + timedelta(hours=2)
SAP, BMW = "DE0007164600", "DE0005190003"


def whole(status="FILLED", **more):
    return subject(P, status, **more)


def part(pk=A, status="FILLED", instrument=SAP, **more):
    return subject(pk, status, instrument_id=instrument, side="BUY", **more)


def charted(
    *entries,
    of,
    now=LATER,
    zone=BERLIN,
    quiet_since=None,
    listings=(),
    late_after=RULES.late_after,
):
    items = build(entries, of, rules=RULES, listings=listings).items
    return chart(of, items, now=now, zone=zone, late_after=late_after, quiet_since=quiet_since)


def lived(pk=A, *, new=0, processing=10, filled=20):
    """Return the webhooks of an order that was filled."""
    times = {"NEW": new, "PROCESSING": processing, "FILLED": filled}
    return [webhook(status, seconds, pk=pk) for status, seconds in times.items()]


def row(lane):
    """Return a lane as text: bars, ends with the place where we learned them late, no news."""
    parts = [f"{bar.status} {bar.x:g}-{bar.end:g}" for bar in lane.bars]
    for mark in lane.marks:
        late = "" if mark.learned_x is None else f" learned {mark.learned_x:g} by {mark.source}"
        parts.append(f"{mark.status} at {mark.x:g}{late}")
    parts += [f"tail {tail.status} {tail.x:g}-{tail.end:g}" for tail in lane.tails]
    parts += [f"no news {lane.quiet.x:g}-{lane.quiet.end:g}"] if lane.quiet else []
    return f"{lane.life.name}: {', '.join(parts)}"


def drawn(made):
    """Return a chart as text, from top to bottom."""
    axis = [f"{tick.label} at {tick.x:.4g}" for tick in made.ticks]
    axis += [] if made.now_x is None else [f"now at {made.now_x:g}"]
    folds = [f"{fold.length} folded at {fold.x:.4g}" for fold in made.folds]
    days = [day.label for day in made.days if not day.screens or "wide" in day.screens.split()]
    return [*folds, " | ".join(days), " | ".join(axis), *map(row, (made.head, *made.lanes))]


def names(lanes):
    return [lane.life.name for lane in lanes]


def captions(made):
    return [caption(lane.life, made) for lane in made.all_lanes]


def test_an_order_is_new_then_processing_then_ends_with_a_mark_and_a_tail():
    made = charted(
        *lived(P, processing=20, filled=100),
        *lived(A, processing=30, filled=60),
        of=[whole(), part()],
    )

    assert drawn(made) == [
        "Sun 22 Nov",
        (
            "07:00:00 at 0 | 07:00:15 at 15 | 07:00:30 at 30 | 07:00:45 at 45 | 07:01:00 at 60"
            " | 07:01:15 at 75 | 07:01:30 at 90"
        ),
        "Portfolio order: NEW 0-20, PROCESSING 20-100, FILLED at 100",
        f"{SAP}: NEW 0-30, PROCESSING 30-60, FILLED at 60, tail FILLED 60-100",
    ]
    assert captions(made) == [
        "Portfolio order: new 07:00:00, processing 07:00:20, filled 07:01:40; took 1 min 40 s",
        f"{SAP}: new 07:00:00, processing 07:00:30, filled 07:01:00; took 1 min",
    ]


def test_overnight_the_silence_is_folded_and_the_rest_is_readable():
    night = 18 * 3600
    made = charted(
        webhook("NEW", 13, pk=P),
        webhook("NEW", 33),
        webhook("PROCESSING", night, pk=P),
        webhook("PROCESSING", night + 30),
        webhook("FILLED", night + 90),
        webhook("FILLED", night + 120, pk=P),
        of=[whole(created_at=at(13)), part(created_at=at(33))],
    )

    assert drawn(made) == [
        "17:58:47 folded at 20.67",
        "22 Nov | 23 Nov",
        (
            "07:00:30 at 8.783 | 01:00:00 at 38 | 01:00:30 at 53.5 | 01:01:00 at 69"
            " | 01:01:30 at 84.5 | 01:02:00 at 100"
        ),
        "Portfolio order: NEW 0-38, PROCESSING 38-100, FILLED at 100",
        f"{SAP}: NEW 10.33-53.5, PROCESSING 53.5-84.5, FILLED at 84.5, tail FILLED 84.5-100",
    ]


def test_over_midnight_captions_name_the_day():
    made = charted(*lived(filled=20 * 3600), of=[part()])

    assert captions(made) == [
        f"{SAP}: new 22 Nov 07:00:00, processing 22 Nov 07:00:10, filled 23 Nov 03:00:00; took 20 h"
    ]


def test_on_the_night_of_the_clock_change_bars_are_as_long_as_the_time_that_passed():
    begin = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 in Berlin, half an hour later 02:00
    seconds = (begin - START).total_seconds()
    entries = lived(new=seconds, processing=seconds + 1800, filled=seconds + 3600)
    made = charted(*entries, of=[part(created_at=begin)])

    assert drawn(made) == [
        "Sun 25 Oct",
        (
            "02:30 at 0 | 02:40 at 16.67 | 02:50 at 33.33 | 02:00 at 50 | 02:10 at 66.67"
            " | 02:20 at 83.33 | 02:30 at 100"
        ),
        f"{SAP}: NEW 0-50, PROCESSING 50-100, FILLED at 100",
    ]
    assert captions(made) == [
        f"{SAP}: new 02:30:00, processing 02:00:00, filled 02:30:00; took 1 h"
    ]
    assert made.zone_in_words == "Times in Europe/Berlin (UTC+2, then UTC+1)"


def test_what_happened_after_now_by_the_brokers_clock_is_drawn_and_takes_no_negative_time():
    made = charted(
        webhook("NEW", 0, learned=0),
        webhook("PROCESSING", 100, learned=95),
        of=[part(status="PROCESSING")],
        now=at(95),
    )

    assert drawn(made)[-1] == f"{SAP}: NEW 0-100, PROCESSING 99.5-100"
    ahead = charted(webhook("NEW", 5), of=[part(status="NEW", created_at=at(5))], now=at(0))
    assert captions(ahead) == [f"{SAP}: new 07:00:05; open for 0 s"]


def test_the_order_of_arrival_changes_nothing():
    events = lived(P, filled=100) + lived(A, filled=60)
    shuffled = [entry._replace(recorded_at=at(101 + n)) for n, entry in enumerate(reversed(events))]

    straight = [event._replace(recorded_at=at(130)) for event in events]
    pictures = [
        drawn(charted(*entries, of=[whole(), part()], late_after=timedelta(hours=1)))
        for entries in (straight, shuffled)
    ]
    assert pictures[0] == pictures[1]


def test_a_status_that_came_after_the_end_changes_no_lane():
    made = charted(*lived(), webhook("PROCESSING", 40), of=[part()])

    assert drawn(made)[-1] == f"{SAP}: NEW 0-50, PROCESSING 50-100, FILLED at 100"


def test_an_unknown_status_is_drawn_as_its_word_and_is_open():
    made = charted(
        webhook("SUSPENDED", 40), of=[part(status="SUSPENDED", announced="")], now=at(100)
    )

    assert drawn(made)[-1] == f"{SAP}: NEW 0-40, SUSPENDED 40-100"
    assert captions(made) == [f"{SAP}: new 07:00:00, SUSPENDED 07:00:40; open for 1 min 40 s"]
    assert made.legend.stages == ["NEW", "SUSPENDED"]


def test_an_unknown_status_displaces_none_that_is_known():
    made = charted(
        webhook("NEW", 0), webhook("SUSPENDED", 40), of=[part(status="NEW")], now=at(100)
    )

    assert drawn(made)[-1] == f"{SAP}: NEW 0-100"


def test_of_nothing_there_is_no_chart():
    assert charted(of=[whole("", created_at=None), part(status="", created_at=None)]) is None


def test_a_portfolio_order_without_orders_has_its_own_lane():
    made = charted(webhook("NEW", 0, pk=P), of=[whole("NEW")], now=at(60))

    assert drawn(made)[-1] == "Portfolio order: NEW 0-100"
    assert (made.lanes, made.more) == ([], [])


def test_an_order_that_is_only_named_has_an_empty_lane():
    made = charted(webhook("NEW", 0, pk=P), of=[whole("NEW"), part(status="", created_at=None)])

    assert drawn(made)[-1] == f"{SAP}: "
    assert captions(made)[-1] == f"{SAP}: not known yet"
    assert made.lanes[0].life.took is None


def test_of_an_end_that_only_a_list_told_nobody_says_when():
    made = charted(
        webhook("NEW", 0),
        webhook("FILLED", 90, pk=P),
        of=[whole(), part(announced="NEW")],
        listings=[listed("FILLED", by=webhook("FILLED", 90, pk=P))],
    )

    assert drawn(made)[-1] == f"{SAP}: NEW 0-0.5, tail FILLED 0.5-100"
    assert captions(made)[-1] == f"{SAP}: new 07:00:00, filled at an unknown time"


def test_an_order_whose_first_webhooks_were_lost_is_new_from_when_it_was_placed():
    made = charted(poll("FILLED", 100, 110), of=[part()])

    assert drawn(made)[-1] == f"{SAP}: NEW 0-100, FILLED at 100"


def test_a_short_stage_is_still_seen():
    made = charted(*lived(processing=0.001, filled=100), of=[part()])

    assert drawn(made)[-1].startswith(f"{SAP}: NEW 0-0.5, PROCESSING 0-100,")


@pytest.mark.parametrize(
    ("filled", "learned"),
    [
        (webhook("FILLED", 20, learned=80), ""),  # 60 s: in time
        (webhook("FILLED", 20, learned=81), " learned 100 by WEBHOOK"),
        (poll("FILLED", 20, 920), " learned 100 by POLL"),
        (refetch("FILLED", 20, 920), " learned 100 by REFETCH"),
    ],
)
def test_an_end_that_we_learned_late_has_a_line_to_the_moment_we_did(filled, learned):
    made = charted(*lived()[:2], filled, of=[part()])

    assert re.findall(r"FILLED at [\d.]+( learned[^,]*)?", drawn(made)[-1]) == [learned]


def test_a_late_webhook_ends_the_line_where_a_poll_had_told_before():
    made = charted(
        *lived()[:2],
        poll("FILLED", 20, 120),
        webhook("FILLED", 20, learned=220),
        of=[part()],
    )

    assert made.head.marks[0].source == "POLL"
    assert captions(made)[0].endswith(
        "filled 07:00:20, received late, 07:02:00 by check; took 20 s"
    )


def test_a_settled_portfolio_order_has_both_ends_and_took_until_it_was_filled():
    made = charted(*lived(P, filled=60), webhook("SETTLED", 100, pk=P), of=[whole("SETTLED")])

    assert drawn(made)[-1] == (
        "Portfolio order: NEW 0-10, PROCESSING 10-60, FILLED at 60, SETTLED at 100,"
        " tail FILLED 60-100"
    )
    assert made.head.life.took == timedelta(seconds=60)


def test_an_order_reported_filled_and_cancelled_shows_both_ends():
    made = charted(*lived(), webhook("CANCELLED", 40), of=[part(status="CANCELLED")])

    assert drawn(made)[-1] == (
        f"{SAP}: NEW 0-25, PROCESSING 25-50, FILLED at 50, CANCELLED at 100, tail FILLED 50-100"
    )


def test_in_a_stale_order_what_is_not_over_is_striped_from_the_last_news_to_now():
    made = charted(
        *lived(P)[:2],
        *lived(A),
        *lived(B)[:1],
        of=[whole("PROCESSING"), part(), part(B, "NEW", BMW)],
        now=at(100),
        quiet_since=at(21),
    )

    assert drawn(made)[1:] == [
        (
            "07:00:00 at 0 | 07:00:15 at 15 | 07:00:30 at 30 | 07:00:45 at 45 | 07:01:00 at 60"
            " | 07:01:15 at 75 | 07:01:30 at 90 | now at 100"
        ),
        "Portfolio order: NEW 0-10, PROCESSING 10-100, no news 21-100",
        f"{BMW}: NEW 0-100, no news 21-100",
        f"{SAP}: NEW 0-10, PROCESSING 10-20, FILLED at 20, tail FILLED 20-100",
    ]
    assert (
        captions(made)[1] == f"{BMW}: new 07:00:00; open for 1 min 40 s; no change since 07:00:21"
    )


def test_a_portfolio_order_that_does_not_settle_is_striped_up_to_now():
    made = charted(*lived(P, filled=100), of=[whole()], now=at(9 * 86_400), quiet_since=at(101))

    assert made.now_x == 100
    assert (made.head.quiet.status, made.head.quiet.end) == ("", 100)


def test_now_is_shown_where_something_is_open_and_nowhere_else():
    assert charted(*lived(P), of=[whole()]).now_x is None
    assert charted(*lived(P)[:2], of=[whole("PROCESSING")]).now_x == 100


def test_open_lanes_stand_first_then_the_others_by_their_end():
    ids = {name: uuid5(P, name) for name in ["late", "early", "new", "odd", "busy", "younger"]}
    made = charted(
        *lived(P)[:1],
        *lived(ids["late"], filled=90),
        *lived(ids["early"], filled=30),
        *lived(ids["new"])[:1],
        *lived(ids["busy"])[:2],
        *lived(ids["younger"], new=1)[:2],
        of=[
            whole("PROCESSING"),
            part(ids["odd"], "SUSPENDED", "odd"),
            part(ids["late"], "FILLED", "late"),
            part(ids["early"], "FILLED", "early"),
            part(ids["new"], "NEW", "new"),
            part(ids["younger"], "PROCESSING", "younger", created_at=at(1)),
            part(ids["busy"], "PROCESSING", "busy"),
        ],
    )

    assert names(made.lanes) == ["busy", "younger", "new", "odd", "early", "late"]


@pytest.mark.parametrize(("lanes", "dense"), [(16, False), (17, True)])
def test_more_than_sixteen_lanes_are_dense(lanes, dense):
    assert many(lanes).is_dense is dense


def many(number, **fates):
    """Return a chart of so many orders, the n-th filled after 20 + n s; ``fates`` change some."""
    entries, subjects = lived(P, filled=9000), [whole()]
    for n in range(number):
        pk = uuid5(P, str(n))
        own = lived(pk, filled=20 + n)
        entries += fates.get(f"order_{n}", lambda own: own)(own)
        status = "PROCESSING" if len(own) > len(entries) else "FILLED"
        subjects.append(part(pk, status, str(n)))
    return charted(*entries, of=subjects)


def test_up_to_sixty_lanes_are_all_shown():
    assert (len(many(60).lanes), len(many(60).more)) == (60, 0)


def test_of_more_than_sixty_the_open_the_problems_and_the_twenty_slowest_are_shown():
    made = many(
        70,
        order_3=lambda own: [*own[:2], poll("FILLED", 23, 30, pk=own[0].order_id)],
        order_5=lambda own: [*own[:2], own[2]._replace(recorded_at=at(900))],
        order_7=lambda own: [*own, again(own[2], 40)],  # ignored, so no problem
        order_9=lambda own: [*own[:2], webhook("CANCELLED", 29, pk=own[0].order_id)],
    )

    assert names(made.lanes) == ["5", "9", *map(str, range(50, 70))]
    assert len(made.more) == 70 - 22
    assert "7" in names(made.more)


def test_of_more_than_sixty_all_open_ones_are_shown():
    ids = [uuid5(P, str(n)) for n in range(61)]
    entries = [event for pk in ids for event in lived(pk)[:1]]
    made = charted(*entries, of=[whole("NEW"), *(part(pk, "NEW") for pk in ids)])

    assert (len(made.lanes), len(made.more)) == (61, 0)


def test_the_legend_lists_only_what_occurs():
    made = charted(*lived(P)[:2], poll("FILLED", 20, 920), of=[whole("PROCESSING"), part()])

    legend = made.legend
    assert (legend.stages, legend.ends) == (["NEW", "PROCESSING"], ["FILLED"])
    assert legend.sources == ["POLL"]


def test_the_legend_stands_in_the_order_of_a_life():
    cancelled = [*lived(B)[:1], webhook("CANCELLED", 9, pk=B)]
    made = charted(*lived(P), *lived(), *cancelled, of=[whole(), part(), part(B, "CANCELLED", BMW)])

    assert made.legend.ends == ["FILLED", "CANCELLED"]


@pytest.fixture
def story(db):
    with time_machine.travel(STORY + timedelta(minutes=5), tick=False) as traveller:
        yield traveller


def receive(*events):
    now = STORY + timedelta(seconds=50)
    journal.record_events(events, delivery_id=next(DELIVERIES), now=now)
    projection.drain(now=now)


DELIVERIES = count(1)


def card(response):
    text = html(response)
    return text[text.index('id="lifecycle"') : text.index('id="history"')]


def test_the_page_of_a_portfolio_order_has_the_chart_of_all_its_orders(story):
    receive(*life())

    shown = card(browser().get(page(UUID(named("P")))))

    assert shown.count('role="img"') == 3
    assert (
        'aria-label="Portfolio order: new 10:00:00, processing 10:00:03, filled 10:00:22' in shown
    )
    assert f'href="{ORDERS}{named("A")}/change/"' in shown
    assert "Times in Europe/Berlin (UTC+1)" in shown


def test_the_page_of_an_order_has_a_lane_of_its_own(story):
    receive(*life())

    shown = card(browser().get(f"{ORDERS}{named('A')}/change/"))

    assert shown.count('role="img"') == 1
    assert "change/" not in shown


def test_places_are_percent_of_the_track_and_nothing_is_scaled(story):
    receive(*life())

    shown = card(browser().get(page(UUID(named("P")))))

    bars = re.findall(r'<rect class="lane-[a-z]+" x="(.+?)" y="\d+" width="(.+?)"', shown)
    assert len(bars) == 6
    assert all(place.endswith("%") for bar in bars for place in bar)
    assert "viewBox" not in shown


def test_the_percentages_are_the_same_in_every_language(story, settings):
    settings.LANGUAGE_CODE = "de"
    receive(*life())

    assert not re.search(r'="[\d.]*,[\d.]*%"', card(browser().get(page(UUID(named("P"))))))


def test_an_instrument_named_by_a_stranger_is_only_text(story):
    receive(
        event("PORTFOLIO_ORDER.NEW", portfolio_order()),
        event("ORDER.NEW", order("A", instrument_id='"><b>x</b>')),
    )

    assert "<b>" not in card(browser().get(page(UUID(named("P")))))


def test_the_chart_asks_the_database_nothing(story):
    receive(*life())
    shown = browser().get(page(UUID(named("P")))).context

    with CaptureQueriesContext(connection) as queries:
        made = lifecycle(shown["original"], shown["orders"], shown["timeline"], is_stale=False)

    assert made is not None
    assert len(made.lanes) == 2
    assert len(queries) == 0


def test_a_page_of_a_hundred_orders_keeps_most_of_them_folded_away(story):
    names_ = [f"O{number}" for number in range(100)]
    receive(
        event("PORTFOLIO_ORDER.NEW", portfolio_order()),
        *(event("ORDER.NEW", order(name)) for name in names_),
        *(event("ORDER.PROCESSING", order(name, "PROCESSING", 3)) for name in names_),
        *(event("ORDER.FILLED", order(name, "FILLED", 4)) for name in names_),
    )

    shown = card(browser().get(page(UUID(named("P")))))

    assert "Show 80 more orders (final, no problems)" in shown


def test_a_page_about_which_nothing_is_told_says_so(story):
    receive(event("PORTFOLIO_ORDER.NEW", portfolio_order(orders=[("A", "NEW")])))

    assert "No times known yet." in words(browser().get(f"{ORDERS}{named('A')}/change/"))
