"""Many orders and entries at once, made by the database itself: what a desk holds after some years. PostgreSQL only."""

from django.db import connection

ORDERS_EACH = 5
ENTRIES_EACH = 25  # four of each order, five of the portfolio order
FIXED = "'EUR', '250.00', '', 'PORTFOLIO', '', placed, placed + '90s'"
CLOCKS = "'NEW PROCESSING FILLED SETTLED', problems, missing, placed, 'WEBHOOK', placed, due, 0, ''"
TRACKED = (
    "id, status, fact, account_id, currency, cash_amount, client_reference, initiation_flow, "
    "cancellation_reason, created_at, updated_at, processing_at, filled_at, announced, problems, "
    "missing_since, heard_at, heard_via, news_at, check_after, checks, check_error"
)

# Of a hundred two are new, three in process, two settle, five are cancelled; few have a problem.
PLACED = """
    SELECT n, md5('portfolio order ' || n)::uuid AS id, md5('account ' || n / 20)::uuid AS account,
        now() - n * interval '30 s' AS placed, (n %% 5000 = 0)::int AS problems,
        CASE WHEN n %% 100 < 2 THEN 'NEW' WHEN n %% 100 < 5 THEN 'PROCESSING'
            WHEN n %% 100 < 7 THEN 'FILLED' WHEN n %% 100 < 12 THEN 'CANCELLED' ELSE 'SETTLED' END AS status,
        CASE WHEN n %% 1000 = 1 THEN now() - interval '1 h' END AS missing,
        CASE WHEN n %% 100 < 7 THEN now() + (n %% 21600 - 60) * interval '1 s' END AS due
    FROM generate_series(%s, %s) AS n"""
PORTFOLIO_ORDERS = f"""
    INSERT INTO orders_portfolioorder ({TRACKED}, allocation_id, type, settled_at, cancellation_details)
    SELECT id, status, '4 2026-03-02T09:00:00.000000 0 0 ' || id, account, {FIXED}, placed + '3 s',
        placed + '20 s', {CLOCKS}, NULL, CASE WHEN n %% 4 = 0 THEN 'SELL' ELSE 'BUY' END,
        CASE WHEN status = 'SETTLED' THEN placed + '1 day' END, ''
    FROM ({PLACED}) AS it"""
ORDERS = f"""
    INSERT INTO orders_order ({TRACKED}, portfolio_order_id, instrument_id, side, order_type,
        execution_flow, quantity, limit_price, stop_price, fee)
    SELECT md5('order ' || n || ' ' || k)::uuid, CASE status WHEN 'SETTLED' THEN 'FILLED' ELSE status END,
        '3 2026-03-02T09:00:00.000000 1 0 ' || id, account, {FIXED}, placed + '3 s', placed + '20 s',
        'NEW PROCESSING FILLED', 0, NULL, placed, 'WEBHOOK', placed, NULL, 0, '', id,
        'IE00B' || lpad(((n * 7 + k) %% 500)::text, 6, '0') || '9', 'BUY', 'MARKET',
        'STRAIGHT_THROUGH', '2.5', '', '', '0.0'
    FROM ({PLACED}) AS it, generate_series(1, {ORDERS_EACH}) AS k"""
ENTRY = "portfolio_order_id, order_id, source, outcome, event_id, delivery_id, type, status"
ENTRY += ", occurred_at, recorded_at, applied_at, actor, message, payload"
WORDS = "(VALUES (1, 'NEW'), (2, 'PROCESSING'), (3, 'FILLED'), (4, 'SETTLED'), (5, 'SETTLED')) AS words(w, word)"
TOLD = (
    "placed + w * interval '1 s', placed + w * interval '2 s', placed + w * interval '2 s', '', ''"
)
PARENTS_ENTRIES = f"""
    INSERT INTO orders_journalentry ({ENTRY})
    SELECT id, NULL, 'WEBHOOK', 'APPLIED', md5('event ' || n || w)::uuid, n, 'PORTFOLIO_ORDER.' || word,
        word, {TOLD}, ''::bytea
    FROM ({PLACED}) AS it, {WORDS}"""
ORDERS_ENTRIES = f"""
    INSERT INTO orders_journalentry ({ENTRY})
    SELECT NULL, md5('order ' || n || ' ' || k)::uuid, 'WEBHOOK', 'APPLIED',
        md5('event ' || n || ' ' || k || w)::uuid, n, 'ORDER.' || word, word, {TOLD}, ''::bytea
    FROM ({PLACED}) AS it, generate_series(1, {ORDERS_EACH}) AS k, {WORDS} WHERE w < 5"""

# One execution of each order; steps of staff with their details; findings of one reconciliation.
EXECUTIONS = """
    INSERT INTO orders_execution (id, order_id, status, fact, side, currency, cash_amount, share_quantity,
        price, venue_id, transaction_time, tax, settlement_date)
    SELECT md5('execution ' || id)::uuid, id, 'SETTLED', fact, 'BUY', 'EUR', '250.00', '2.5', '100.00',
        'XETR', filled_at, '0.25', filled_at::date
    FROM orders_order"""
EXECUTION_EVENTS = """
    INSERT INTO orders_journalentry (order_id, source, outcome, event_id, delivery_id, type, status, occurred_at,
        recorded_at, applied_at, actor, message, payload)
    SELECT o.id, 'WEBHOOK', 'APPLIED', md5('event of ' || o.id)::uuid, 1, 'EXECUTION.FILLED', 'FILLED',
        created_at + interval '3 s', created_at + interval '4 s', created_at + interval '4 s', '', '',
        convert_to('{"object": {"side": "BUY", "share_quantity": "2.5", "price": "100.00", "cash_amount": "250.00",'
            || ' "currency": "EUR", "taxes": [{"type": "TOTAL", "amount": "0.25"}]}}', 'UTF8')
    FROM orders_order o WHERE EXISTS (SELECT 1 FROM orders_journalentry j WHERE j.order_id = o.id)"""
STAFF_ENTRIES = """
    INSERT INTO orders_journalentry (portfolio_order_id, source, outcome, type, status, occurred_at,
        recorded_at, actor, message, payload)
    SELECT md5('portfolio order ' || n)::uuid, 'STAFF', 'NOTED', '', '', now(), now() - n * interval '9 s',
        'mira', 'Told the client about ' || n, ''::bytea
    FROM generate_series(1, %s) AS n"""
STAFF_DETAILS = """
    INSERT INTO orders_stepdetail (entry_id, subject_kind, subject_id, address)
    SELECT id, '', '', '203.0.113.9' FROM orders_journalentry WHERE source = 'STAFF'"""
FINDINGS = """
    INSERT INTO orders_finding (reconciliation_id, portfolio_order_id, verdict, detail, found_at)
    SELECT %s, md5('portfolio order ' || n)::uuid, 'DIFFERING', 'status: here PROCESSING, there FILLED', now()
    FROM generate_series(1, %s) AS n"""


def fill(first: int, last: int, *, with_entries: bool = False, with_orders: bool = True) -> None:
    """Add portfolio orders ``first`` to ``last``, each with its orders unless told, and with its journal."""
    statements = [PORTFOLIO_ORDERS, ORDERS] if with_orders else [PORTFOLIO_ORDERS]
    if with_entries:
        statements += [PARENTS_ENTRIES, ORDERS_ENTRIES]
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, [first, last])
        cursor.execute("ANALYZE orders_portfolioorder, orders_order, orders_journalentry")


def fill_staff(count: int) -> None:
    """Add so many steps of staff."""
    with connection.cursor() as cursor:
        cursor.execute(STAFF_ENTRIES, [count])
        cursor.execute(STAFF_DETAILS)
        cursor.execute("ANALYZE orders_journalentry, orders_stepdetail")


def fill_executions() -> None:
    """Add one execution to each order."""
    with connection.cursor() as cursor:
        cursor.execute(EXECUTIONS)
        cursor.execute("ANALYZE orders_execution")


def fill_execution_events() -> None:
    """Add the event of an execution to each order that has entries."""
    with connection.cursor() as cursor:
        cursor.execute(EXECUTION_EVENTS)
        cursor.execute("ANALYZE orders_journalentry")


def fill_findings(run: int, count: int) -> None:
    """Add so many findings to a reconciliation."""
    with connection.cursor() as cursor:
        cursor.execute(FINDINGS, [run, count])
        cursor.execute("ANALYZE orders_finding")
