"""Years of a desk in minutes: portfolio orders, orders, executions, journal entries and deliveries, made by SQL.

    TEST_DATABASE_URL=postgres://... python -m tests.benchmarks.fill --portfolio-orders 100000 [--days 365]

PostgreSQL only. The database that ``TEST_DATABASE_URL``, else ``DATABASE_URL``, names is there already; it is
migrated and filled, and not dropped.
The rows are what the journal says, so ``manage.py rebuild --check`` finds no difference: each object has
the events that lead to its state, with payloads as the broker writes them, and of some there are scheduled
checks, repeats, failures, notes and quarantined events. Placed evenly over the days up to now, most are
final; instruments and accounts are skewed. Of a hundred portfolio orders one is late to be told, of a thousand
one misses a webhook, of five thousand one is in conflict. The same number gives the same row again.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management import call_command
from django.db import connection, transaction

CHUNK = 4000  # portfolio orders in one transaction
INSTRUMENTS = 2000
ORDERS_EACH = 5  # on average
YEAR = timedelta(days=365)


def fill(
    first: int,
    last: int,
    *,
    of: int = 0,
    orders_each: int = ORDERS_EACH,
    span: timedelta = YEAR,
    now: datetime | None = None,
    with_entries: bool = True,
) -> None:
    """Add portfolio orders ``first`` to ``last``, each with all that belongs to it.

    ``of`` is how many there will be: the last of them was placed just before ``now``, the first ``span``
    before. Without entries nothing of the journal and no deliveries.
    """
    values: dict[str, Any] = {
        "of": of or last,
        "span": span,
        "now": now or datetime.now(UTC),
        "each": orders_each,
        "instruments": INSTRUMENTS,
    }
    with connection.cursor() as cursor:
        for low in range(first, last + 1, CHUNK):
            with transaction.atomic():
                for statement in STAGES + ROWS + (ENTRIES if with_entries else ()):
                    cursor.execute(
                        statement, values | {"low": low, "high": min(low + CHUNK - 1, last)}
                    )
        cursor.execute(
            "SELECT setval('webhooks_delivery_id_seq', greatest(%s, (SELECT max(id) FROM webhooks_delivery)))",
            [last * 8 + 8],
        )
        cursor.execute(
            "ANALYZE orders_portfolioorder, orders_order, orders_execution, orders_journalentry, "
            "webhooks_delivery"
        )


def _moment(column: str) -> str:
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""


def _key(rank: str, version: str, flags: str, tie: str) -> str:
    """Return the key of a fact: see ``orders.fold.Fact.key``."""
    stamp = f"""to_char(({version}) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')"""
    return f"{rank} || ' ' || {stamp} || ' ' || {flags} || ' ' || {tie}"


def _json(fields: Mapping[str, Any], *, more: str = "''") -> str:
    """Return SQL that writes an object, each field from an expression; a list has one line, or is the text of them.

    ``more`` gives the text behind the last field.
    """
    template, expressions = [], []
    for name, value in fields.items():
        match value:
            case bool():
                template.append(f'"{name}": {json.dumps(value)}')
            case [dict() as line]:
                template.append(f'"{name}": [%%s]')
                expressions.append(_json(line))
            case [text]:
                template.append(f'"{name}": [%%s]')
                expressions.append(text)
            case text:
                template.append(f'"{name}": "%%s"')
                expressions.append(text)
    return f"format('{{{', '.join(template)}%%s}}', {', '.join(map(str, expressions))}, {more})"


def _number(text: str, part: int) -> str:
    """Return a number below 2 ** 28 that looks random and is the same for the same text."""
    return f"('x' || substr(md5({text}), {part * 7 + 1}, 7))::bit(28)::int"


# Each portfolio order with all that is decided of it; then its orders; then its lists of them.
STAGES = (
    "DROP TABLE IF EXISTS fill_before, fill_parent, fill_order, fill_list, fill_event",
    "CREATE TEMPORARY TABLE fill_before ON COMMIT DROP AS SELECT max(id) AS entry FROM orders_journalentry",
    f"""
    CREATE TEMPORARY TABLE fill_parent ON COMMIT DROP AS
    SELECT *, md5('allocation ' || account)::uuid AS allocation,
        CASE WHEN status IN ('NEW', 'PROCESSING', 'FILLED') THEN status
            WHEN status = 'CANCELLED' THEN status ELSE 'FILLED' END AS orders_status,
        placed + interval '3 s' AS processed, placed + interval '90 s' AS filled,
        placed + interval '1 day' AS settled, placed + interval '20 s' AS cancelled,
        status <> 'NEW' AND (status <> 'CANCELLED' OR r3 %% 4 > 0) AS began,
        r2 %% 1000 = 1 AND status IN ('FILLED', 'SETTLED') AS misses,
        r2 %% 5000 = 7 AND status = 'SETTLED' AS conflicts,
        r2 %% 5000 < 2500 AND r3 %% 10 = 0 AND status = 'SETTLED' AS checked,
        CASE WHEN type = 'BUY' AND r3 %% 3 = 0 THEN 'SAVINGS_PLAN' ELSE 'API' END AS flow,
        CASE WHEN type = 'BUY' AND r3 %% 3 = 0 THEN md5('plan ' || account)::uuid::text
            WHEN r3 %% 5 = 0 THEN 'desk-' || n ELSE '' END AS reference
    FROM (
        SELECT n, md5('fill portfolio order ' || n)::uuid AS id, r1, r2, r3, placed,
            md5('fill account ' || floor((%(of)s / 20 + 1) * power(r1 / 268435456.0, 2)))::uuid AS account,
            CASE WHEN r2 %% 10 = 0 THEN 'GBP' ELSE 'EUR' END AS currency,
            CASE WHEN r3 %% 20 < 11 THEN 'BUY' WHEN r3 %% 20 < 16 THEN 'SELL' ELSE 'REBALANCING' END AS type,
            CASE WHEN r1 %% 1000 < 2 OR placed > %(now)s::timestamptz - interval '10 s' THEN 'NEW'
                WHEN r1 %% 1000 < 6 OR placed > %(now)s::timestamptz - interval '3 min' THEN 'PROCESSING'
                WHEN r1 %% 1000 < 56 THEN 'CANCELLED'
                WHEN r1 %% 1000 < 60 OR placed > %(now)s::timestamptz - interval '25 h' THEN 'FILLED'
                ELSE 'SETTLED' END AS status
        FROM (
            SELECT n, {_number("n::text", 0)} AS r1, {_number("n::text", 1)} AS r2, {_number("n::text", 2)} AS r3,
                date_trunc('milliseconds', %(now)s::timestamptz - %(span)s * (1 - n / (%(of)s + 1.0)))
                    AS placed
            FROM generate_series(%(low)s::int, %(high)s::int) AS n
        ) AS numbers
    ) AS decided""",
    f"""
    CREATE TEMPORARY TABLE fill_order ON COMMIT DROP AS
    SELECT *, CASE WHEN is_single THEN 'API' ELSE 'PORTFOLIO' END AS flow,
        CASE WHEN is_single THEN 'single-' || n ELSE parent::text END AS reference,
        CASE WHEN is_single THEN NULL ELSE parent END AS listed_in,
        CASE WHEN status = 'FILLED' THEN share_quantity ELSE '0' END AS quantity,
        CASE status WHEN 'CANCELLED' THEN cancelled WHEN 'FILLED' THEN filled ELSE processed END AS updated,
        md5('fill execution ' || id)::uuid AS execution, parent_status = 'SETTLED' AND status = 'FILLED' AS settles
    FROM (
        SELECT n, k, parent.id AS parent, md5('fill order ' || n || ' ' || k)::uuid AS id, account, currency,
            parent.status AS parent_status, s1, s2, n %% 97 = 0 AND k = 1 AS is_single,
            CASE WHEN parent.status = 'PROCESSING' AND k %% 2 = 0 THEN 'PROCESSING'
                WHEN parent.status = 'PROCESSING' THEN 'FILLED'
                WHEN orders_status = 'FILLED' AND k > 1 AND s1 %% 50 = 0 THEN 'CANCELLED'
                ELSE orders_status END AS status,
            CASE WHEN type = 'REBALANCING' THEN CASE WHEN k %% 2 = 0 THEN 'BUY' ELSE 'SELL' END
                ELSE type END AS side,
            (ARRAY['IE00B', 'DE000', 'US037', 'LU029'])[1 + s2 %% 4] || lpad(
                floor(%(instruments)s * power(s1 / 268435456.0, 3))::text, 6, '0') || '9' AS instrument,
            (10 + s2 %% 90000 / 100.0)::numeric(12, 2)::text AS cash,
            (10 + s1 %% 20000 / 100.0)::numeric(12, 2)::text AS price,
            ((10 + s2 %% 90000 / 100.0) / (10 + s1 %% 20000 / 100.0))::numeric(20, 10)::text AS share_quantity,
            placed + interval '4 s' AS created, placed + interval '6 s' AS processed,
            placed + interval '10 s' + k * interval '100 ms' AS filled, placed + interval '15 s' AS cancelled,
            settled - interval '1 min' AS settled,
            parent.r2 %% 5000 = 3 AND k = 1 AND parent.status = 'SETTLED' AS is_reversed
        FROM fill_parent AS parent
        CROSS JOIN LATERAL generate_series(1, 1 + parent.r2 %% (2 * %(each)s - 1)) AS k
        CROSS JOIN LATERAL (SELECT {_number("n || '/' || k", 0)} AS s1, {_number("n || '/' || k", 1)} AS s2) AS random
        WHERE began
    ) AS decided""",
    """
    CREATE TEMPORARY TABLE fill_list ON COMMIT DROP AS
    SELECT parent,
        string_agg(format('{"id": "%%s", "side": "%%s", "status": "NEW"}', id, side), ', ' ORDER BY k) AS begun,
        string_agg(format('{"id": "%%s", "side": "%%s", "status": "%%s"}', id, side, status), ', ' ORDER BY k) AS ended
    FROM fill_order WHERE NOT is_single GROUP BY parent""",
)

PLACED_FOR = "CASE type WHEN 'REBALANCING' THEN '0' ELSE (100 + r1 %% 500000 / 100.0)::numeric(12, 2)::text END"
USER = "'4e97711f-794d-49c7-8fd1-df96532ab6f0'"
VENUE = "'7ae5616b-aeb2-41d6-a8c2-fa0735251827'"
SETTLEMENT = "(settled AT TIME ZONE 'UTC')::date"
EXECUTED = _json(
    {
        "id": "execution",
        "order_id": "o.id",
        "side": "side",
        "currency": "currency",
        "status": "trade",
        "cash_amount": "cash",
        "share_quantity": "share_quantity",
        "price": "price",
        "transaction_time": _moment("o.filled"),
        "taxes": [{"type": "'TOTAL'", "amount": "'0.00'"}],
        "venue_id": VENUE,
    },
    more=f"""CASE trade WHEN 'SETTLED' THEN format(', "settlement_date": "%%s"', {SETTLEMENT}) END""",
)
PARENT = _json(
    {
        "id": "p.id",
        "created_at": _moment("placed"),
        "updated_at": _moment("at"),
        "user_id": USER,
        "account_id": "account",
        "allocation_id": "allocation",
        "cash_amount": PLACED_FOR,
        "currency": "currency",
        "status": "word",
        "type": "type",
        "post_tax": False,
        "client_reference": "reference",
        "initiation_flow": "flow",
        "orders": ["CASE word WHEN 'NEW' THEN '' WHEN 'PROCESSING' THEN begun ELSE ended END"],
    },
    more="CASE word WHEN 'CANCELLED' THEN ', \"cancellation_reason\": \"CANCELLED_BY_CLIENT\"' END",
)
ORDER = _json(
    {
        "id": "o.id",
        "created_at": _moment("created"),
        "updated_at": _moment("at"),
        "user_id": USER,
        "account_id": "account",
        "cash_amount": "cash",
        "currency": "currency",
        "side": "side",
        "instrument_id": "instrument",
        "instrument_id_type": "'ISIN'",
        "order_type": "'MARKET'",
        "quantity": "CASE word WHEN 'FILLED' THEN quantity ELSE '0' END",
        "user_instrument_fit_acknowledgement": True,
        "limit_price": "''",
        "stop_price": "''",
        "status": "word",
        "fee": "'0.0'",
        "executions": [f"CASE word WHEN 'FILLED' THEN {EXECUTED} END"],
        "client_reference": "reference",
        "initiation_flow": "flow",
        "execution_flow": "'STRAIGHT_THROUGH'",
    },
    more="CASE word WHEN 'CANCELLED' THEN "
    '\', "cancellation_reason": "CANCELLED_BY_UPVEST_PLATFORM"\' END',
)
# Each event: whose, what it says, when. The number of the step tells the deliveries apart.
EVENTS = f"""
    CREATE TEMPORARY TABLE fill_event ON COMMIT DROP AS
    SELECT n, w, p.id AS portfolio_order_id, NULL::uuid AS order_id,
        'PORTFOLIO_ORDER.' || word AS type, word AS status, at,
        md5('fill event ' || n || ' ' || word)::uuid AS event_id,
        r2 %% 100 = 5 AND w = 3 AS is_late, r3 %% 100 = 6 AND w = 1 AS is_repeated, {PARENT} AS object
    FROM fill_parent AS p LEFT JOIN fill_list ON parent = p.id
    CROSS JOIN LATERAL (VALUES
        (1, 'NEW', placed, true),
        (2, 'PROCESSING', processed, began AND NOT misses),
        (3, 'FILLED', filled, status IN ('FILLED', 'SETTLED')),
        (3, 'CANCELLED', cancelled, status = 'CANCELLED' OR conflicts),
        (4, 'SETTLED', settled, status = 'SETTLED')
    ) AS words(w, word, at, is_told) WHERE is_told
    UNION ALL
    SELECT n, w, NULL, o.id, 'ORDER.' || word, word, at, md5('fill event ' || o.id || ' ' || word)::uuid,
        s1 %% 100 = 5 AND w = 3, s2 %% 100 = 6 AND w = 1, {ORDER}
    FROM fill_order AS o CROSS JOIN LATERAL (VALUES
        (1, 'NEW', created, true),
        (2, 'PROCESSING', processed, true),
        (3, 'FILLED', filled, status = 'FILLED'),
        (3, 'CANCELLED', cancelled, status = 'CANCELLED')
    ) AS words(w, word, at, is_told) CROSS JOIN (VALUES ('FILLED')) AS trades(trade) WHERE is_told
    UNION ALL
    SELECT n, 4, NULL, o.id, 'EXECUTION.' || trade, trade, at,
        md5('fill event ' || execution || ' ' || trade)::uuid, false, false, {EXECUTED}
    FROM fill_order AS o CROSS JOIN LATERAL (VALUES
        ('SETTLED', settled, settles),
        ('CANCELLED', settled + interval '1 h', is_reversed)
    ) AS trades(trade, at, is_told) WHERE is_told"""

# Columns that portfolio orders and orders share; the fact is the last word that an event told.
TRACKED = (
    "id, status, fact, account_id, currency, cash_amount, client_reference, initiation_flow, cancellation_reason, "
    "created_at, updated_at, processing_at, filled_at, cancelled_at, announced, problems, missing_since, heard_at, "
    "heard_via, news_at, check_after"
)
LAST = (
    "CASE status WHEN 'NEW' THEN placed WHEN 'PROCESSING' THEN processed WHEN 'FILLED' THEN filled "
    "WHEN 'CANCELLED' THEN cancelled ELSE settled END"
)
RANK = (
    "CASE {0} WHEN 'NEW' THEN '1' WHEN 'PROCESSING' THEN '2' WHEN 'SETTLED' THEN '4' ELSE '3' END"
)
FLAGS = "CASE {0} WHEN 'FILLED' THEN '1 0' ELSE '0 0' END"
TOLD_PARENT = _key(RANK.format("p.status"), "last", FLAGS.format("p.status"), "e.event_id")
TOLD_ORDER = _key(
    RANK.format("status"),
    "updated",
    FLAGS.format("status"),
    "md5('fill event ' || id || ' ' || status)::uuid",
)
TRADED = "md5('fill event ' || execution || ' ' || trade)::uuid"
FILL = "md5('fill event ' || o.id || ' FILLED')::uuid"
DUE = "%(now)s::timestamptz + ({0} %% 21600 - 60) * interval '1 s'"
CHECKED = "encode(substring(sha256(convert_to(object, 'UTF8')) FROM 1 FOR 18), 'hex')"
ROWS = (
    EVENTS,
    f"""
    INSERT INTO orders_portfolioorder ({TRACKED}, allocation_id, type, settled_at, cancellation_details)
    SELECT p.id, p.status, CASE WHEN checked THEN {_key("'4'", "p.settled", "'0 1'", CHECKED)}
            ELSE {TOLD_PARENT} END, account, currency, {PLACED_FOR.replace("type", "p.type", 1)}, reference, flow,
        CASE p.status WHEN 'CANCELLED' THEN 'CANCELLED_BY_CLIENT' ELSE '' END, placed, last,
        CASE WHEN began AND NOT misses THEN processed END,
        CASE WHEN p.status IN ('FILLED', 'SETTLED') THEN filled END,
        CASE WHEN p.status = 'CANCELLED' OR conflicts THEN cancelled END,
        concat_ws(' ', CASE WHEN p.status = 'CANCELLED' OR conflicts THEN 'CANCELLED' END,
            CASE WHEN p.status IN ('FILLED', 'SETTLED') THEN 'FILLED' END, 'NEW',
            CASE WHEN began AND NOT misses THEN 'PROCESSING' END, CASE WHEN p.status = 'SETTLED' THEN 'SETTLED' END),
        conflicts::int, CASE WHEN misses THEN filled END, last + interval '1 s',
        CASE WHEN checked THEN 'POLL' ELSE 'WEBHOOK' END, last + interval '1 s',
        CASE WHEN p.status IN ('NEW', 'PROCESSING', 'FILLED') THEN {DUE.format("r2")} END,
        allocation, p.type, CASE WHEN p.status = 'SETTLED' THEN p.settled END, ''
    FROM (SELECT *, {LAST} AS last FROM fill_parent) AS p
    JOIN fill_event AS e ON e.portfolio_order_id = p.id AND e.status = p.status""",
    f"""
    INSERT INTO orders_order ({TRACKED}, portfolio_order_id, listed_in, instrument_id, side, order_type, execution_flow,
        quantity, limit_price, stop_price, fee)
    SELECT id, status, {TOLD_ORDER},
        account, currency, cash, reference, flow,
        CASE status WHEN 'CANCELLED' THEN 'CANCELLED_BY_UPVEST_PLATFORM' ELSE '' END, created, updated, processed,
        CASE status WHEN 'FILLED' THEN filled END, CASE status WHEN 'CANCELLED' THEN cancelled END,
        CASE status WHEN 'FILLED' THEN 'FILLED NEW PROCESSING' WHEN 'CANCELLED' THEN 'CANCELLED NEW PROCESSING'
            ELSE 'NEW PROCESSING' END,
        CASE WHEN is_reversed THEN 4 ELSE 0 END, NULL, updated + interval '1 s', 'WEBHOOK', updated + interval '1 s',
        CASE WHEN is_single AND status = 'PROCESSING' THEN {DUE.format("s1")} END,
        listed_in, listed_in, instrument, side, 'MARKET', 'STRAIGHT_THROUGH', quantity, '', '', '0.0'
    FROM fill_order""",
    f"""
    INSERT INTO orders_execution (id, execution_id, order_id, status, fact, side, currency, cash_amount, share_quantity,
        price, venue_id, transaction_time, tax, settlement_date)
    SELECT md5('fill row ' || execution)::uuid, execution, o.id, trade,
        CASE trade WHEN 'FILLED' THEN {_key("'1'", "filled", "'1 0'", FILL)}
            WHEN 'SETTLED' THEN {_key("'2'", "settled", "'0 0'", TRADED)}
            ELSE {_key("'3'", "settled + interval '1 h'", "'0 0'", TRADED)} END,
        side, currency, cash, share_quantity, price, {VENUE}, filled, '0.00',
        CASE trade WHEN 'SETTLED' THEN {SETTLEMENT} END
    FROM fill_order AS o CROSS JOIN LATERAL (SELECT CASE WHEN is_reversed THEN 'CANCELLED' WHEN settles THEN 'SETTLED'
        ELSE 'FILLED' END AS trade) AS trades WHERE status = 'FILLED'""",
)
ENTRY = (
    "portfolio_order_id, order_id, source, outcome, event_id, repeat_of, delivery_id, type, status, "
    "occurred_at, recorded_at, applied_at, actor, message, payload"
)
HOOK = '"63f677a5-2f5d-43d8-a7e6-e89f5421625e"'
TOLD = "at + CASE WHEN is_late THEN interval '1 h' ELSE interval '700 ms' END"
ENTRIES = (
    f"""
    INSERT INTO orders_journalentry ({ENTRY})
    SELECT portfolio_order_id, order_id, 'WEBHOOK', 'APPLIED', event_id, NULL, n * 8 + w, type, status, at,
        least({TOLD}, %(now)s), least({TOLD} + interval '200 ms', %(now)s), '', '',
        convert_to(format('{{"id": "%%s", "created_at": "%%s", "type": "%%s", "object": %%s, "webhook_id": {HOOK}}}',
            event_id, {_moment("at")}, type, object), 'UTF8')
    FROM fill_event""",
    f"""
    INSERT INTO orders_journalentry ({ENTRY})
    SELECT portfolio_order_id, order_id, 'WEBHOOK', 'NO_CHANGE', NULL, event_id, n * 8 + 5, type, status, at,
        least({TOLD} + interval '30 s', %(now)s), least({TOLD} + interval '30 s', %(now)s), '', '', ''
    FROM fill_event WHERE is_repeated""",
    f"""
    INSERT INTO orders_journalentry ({ENTRY})
    SELECT portfolio_order_id, NULL, 'POLL', 'NO_CHANGE', NULL, NULL, NULL, 'PORTFOLIO_ORDER', e.status, at,
        at + interval '15 min', at + interval '15 min', '', 'request ' || md5('request ' || n)::uuid,
        convert_to(object, 'UTF8')
    FROM fill_event AS e JOIN fill_parent AS p USING (n)
    WHERE checked AND portfolio_order_id = p.id AND e.status = 'SETTLED'""",
    f"""
    INSERT INTO orders_journalentry ({ENTRY})
    SELECT id, NULL, source, outcome, CASE source WHEN 'WEBHOOK' THEN md5('fill refused ' || n)::uuid END, NULL,
        CASE source WHEN 'WEBHOOK' THEN n * 8 + 6 END, others.type, '', processed, processed,
        processed, actor, said, told
    FROM fill_parent CROSS JOIN LATERAL (VALUES
        (r3 %% 200 = 8, 'POLL', 'FAILED', 'PORTFOLIO_ORDER', '',
            'timed out, request ' || md5('failed ' || n)::uuid, ''::bytea),
        (r3 %% 200 = 9, 'STAFF', 'NOTED', '', 'mira', 'Told the client.', ''::bytea),
        (r3 %% 20000 = 10, 'WEBHOOK', 'QUARANTINED', 'PORTFOLIO_ORDER.NEW', '', 'the portfolio order has no status',
            convert_to('{{"type": "PORTFOLIO_ORDER.NEW", "object": {{}}}}', 'UTF8'))
    ) AS others(is_told, source, outcome, type, actor, said, told) WHERE is_told""",
    """
    INSERT INTO webhooks_delivery (id, received_at, verdict, key_id, headers, body, fingerprint, size, events, repeats,
        read_at)
    SELECT delivery_id, received_at, 'ACCEPTED', 'fb6b9b5c-0e9a-4c4b-8b45-0ad0d5c5e1a1',
        '{"Content-Type": "application/json"}', body, substring(encode(sha256(body), 'hex') FROM 1 FOR 32)::uuid,
        length, events, repeats, received_at
    FROM (
        SELECT delivery_id, min(recorded_at) AS received_at, count(*) AS events, count(repeat_of) AS repeats,
            sum(length(payload)) AS length,
            CASE WHEN min(recorded_at) > %(now)s::timestamptz - interval '1 day' AND count(repeat_of) = 0 THEN
                convert_to('{"payload": [', 'UTF8') || string_agg(payload, convert_to(', ', 'UTF8') ORDER BY id)
                || convert_to(']}', 'UTF8') END AS body
        FROM orders_journalentry
        WHERE delivery_id IS NOT NULL AND id > (SELECT coalesce(max(entry), 0) FROM fill_before)
        GROUP BY delivery_id
    ) AS told""",
)


def main() -> None:
    """Fill the database that the environment names."""
    parser = argparse.ArgumentParser(description="Fill a PostgreSQL database.")
    parser.add_argument("--portfolio-orders", type=int, default=100_000)
    parser.add_argument("--orders-each", type=int, default=ORDERS_EACH, help="on average")
    parser.add_argument("--days", type=float, default=365, help="over which they were placed")
    parser.add_argument(
        "--first", type=int, default=1, help="the number of the first, to add to others"
    )
    parser.add_argument("--of", type=int, help="how many there will be in the end")
    parser.add_argument("--without-entries", action="store_true")
    asked = parser.parse_args()
    if connection.vendor != "postgresql":
        sys.exit("PostgreSQL only: set DATABASE_URL.")
    call_command("migrate", verbosity=0)
    began = time.monotonic()
    last = asked.first + asked.portfolio_orders - 1
    fill(
        asked.first,
        last,
        of=asked.of or last,
        orders_each=asked.orders_each,
        span=timedelta(days=asked.days),
        with_entries=not asked.without_entries,
    )
    print(f"{asked.portfolio_orders:,} portfolio orders in {time.monotonic() - began:.0f} s")  # noqa: T201


if __name__ == "__main__":
    main()
