"""The SQL behind ``orders.timeline.places``: the rules of ``orders.timeline.steps`` for a whole history at once.

Only what decides where an item stands and under which chips is worked out here: what it says is built
from the entries of one page. A test holds both against each other.
"""

from itertools import combinations

from django.db import connection

COLUMNS = "j.id, j.source, j.outcome, j.event_id, j.repeat_of, j.type, j.status, j.occurred_at, j.recorded_at"

# What the history is about. The same id may be that of a portfolio order and of an order.
OF_PORTFOLIO_ORDER = f"""
subjects AS (
    SELECT id, 0 AS is_order, status, processing_at, announced, created_at
    FROM orders_portfolioorder WHERE id = %(pk)s
    UNION ALL
    SELECT id, 1, status, processing_at, announced, created_at
    FROM orders_order WHERE portfolio_order_id = %(pk)s
),
entries AS (
    SELECT j.portfolio_order_id AS about, 0 AS is_order, {COLUMNS}
    FROM orders_journalentry j WHERE j.portfolio_order_id = %(pk)s
    UNION ALL
    SELECT o.id, 1, {COLUMNS}
    FROM orders_order o JOIN orders_journalentry j ON j.order_id = o.id
    WHERE o.portfolio_order_id = %(pk)s
    UNION ALL
    SELECT p.portfolio_order_id, 0, {COLUMNS}
    FROM orders_placement p JOIN orders_journalentry j ON j.placement_id = p.id
    WHERE p.portfolio_order_id = %(pk)s AND j.type = 'PLACEMENT'
)"""
OF_ORDER = f"""
subjects AS (
    SELECT id, 1 AS is_order, status, processing_at, announced, created_at
    FROM orders_order WHERE id = %(pk)s
),
entries AS (
    SELECT j.order_id AS about, 1 AS is_order, {COLUMNS}
    FROM orders_journalentry j WHERE j.order_id = %(pk)s
)"""

WORDS = ("NEW", "PROCESSING", "FILLED", "CANCELLED", "SETTLED")
RANK = (
    "CASE {} WHEN 'NEW' THEN 1 WHEN 'PROCESSING' THEN 2 WHEN 'FILLED' THEN 3 WHEN 'CANCELLED' THEN 3"
    " WHEN 'SETTLED' THEN 4 ELSE 0 END"
)
# As it always is written first: to change the case of a text takes long.
ABOUT_ITSELF = """(CASE WHEN is_order = 1
    THEN substr(type, 1, 6) = 'ORDER.' OR type = 'ORDER'
        OR substr(upper(type), 1, 6) = 'ORDER.' OR upper(type) = 'ORDER'
    ELSE substr(type, 1, 16) = 'PORTFOLIO_ORDER.' OR type = 'PORTFOLIO_ORDER'
        OR substr(upper(type), 1, 16) = 'PORTFOLIO_ORDER.' OR upper(type) = 'PORTFOLIO_ORDER' END)"""
_MOMENT = "max(CASE status WHEN '{}' THEN occurred_at END)"
_DISORDER = " OR ".join(
    [
        f"{_MOMENT.format(earlier)} > {_MOMENT.format(later)}"
        for earlier, later in combinations(WORDS, 2)
        if "CANCELLED" not in {earlier, later} or earlier in {"NEW", "PROCESSING"}
    ]
    + [
        f"({_MOMENT.format('CANCELLED')} IS NOT NULL AND {_MOMENT.format(other)} IS NOT NULL)"
        for other in ("FILLED", "SETTLED")
    ]
)
# Of most objects each status is reported once, and in order: only the others are sorted.
REPORTS = f"""
seen AS (
    SELECT entries.*,
        CASE WHEN repeat_of IS NULL AND status <> '' AND outcome NOT IN ('FAILED', 'QUARANTINED')
            AND {ABOUT_ITSELF} THEN 1 ELSE 0 END AS is_report,
        {RANK.format("status")} AS rank,
        CASE WHEN source IN ('POLL', 'REFETCH') THEN 1 ELSE 0 END AS is_ask,
        CASE WHEN source = 'WEBHOOK' AND {RANK.format("status")} > 0
            AND (type IN ('ORDER.' || status, 'PORTFOLIO_ORDER.' || status) OR upper(type) LIKE '%%.' || status)
            THEN 0 ELSE 1 END AS is_other_word
    FROM entries
),
odd AS (
    SELECT is_order, about FROM seen WHERE is_report = 1 GROUP BY is_order, about
    HAVING count(*) > count(DISTINCT status) OR min(rank) = 0 OR {_DISORDER}
),
sorted AS (
    SELECT seen.*, 0 AS is_odd, is_report AS preference
    FROM seen LEFT JOIN odd ON odd.about = seen.about AND odd.is_order = seen.is_order WHERE odd.about IS NULL
    UNION ALL
    SELECT seen.*, 1, CASE WHEN is_report = 1 THEN row_number() OVER (
        PARTITION BY seen.is_order, seen.about, is_report, status
        ORDER BY occurred_at, CASE WHEN source = 'WEBHOOK' THEN 0 ELSE 1 END, is_other_word, recorded_at, id
    ) ELSE 0 END
    FROM seen JOIN odd ON odd.about = seen.about AND odd.is_order = seen.is_order
)"""

# Each status once, with the status before: by the greatest rank, of equal ones the last.
STEPS = """
numbered AS (
    SELECT sorted.*, row_number() OVER (PARTITION BY is_order, about ORDER BY occurred_at, rank, id) AS step
    FROM sorted WHERE preference = 1 AND is_odd = 1
),
weighed AS (
    SELECT numbered.*, max((rank * 1000000 + step) * 2 + CASE WHEN status = 'CANCELLED' THEN 1 ELSE 0 END) OVER (
        PARTITION BY is_order, about ORDER BY step ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS heaviest
    FROM numbered
),
steps AS (
    SELECT about, is_order, id, type, source, status, rank, event_id, occurred_at, recorded_at, '' AS doubt
    FROM sorted WHERE preference = 1 AND is_odd = 0
    UNION ALL
    SELECT about, is_order, id, type, source, status, rank, event_id, occurred_at, recorded_at, CASE
        WHEN rank = 0 THEN 'unknown'
        WHEN rank >= 3 AND heaviest >= 6000000 AND (status = 'CANCELLED' OR heaviest %% 2 = 1) THEN 'conflict'
        WHEN rank < COALESCE(heaviest, 0) / 2000000 THEN 'backwards'
        ELSE '' END
    FROM weighed
)"""

_KNOWN = " UNION ALL ".join(
    f"SELECT '{word}' AS word, {number} AS rank"
    for word, number in (
        ("NEW", 1),
        ("PROCESSING", 2),
        ("FILLED", 3),
        ("CANCELLED", 3),
        ("SETTLED", 4),
    )
)
# An event of that word, in quarantine too, has arrived.
_ARRIVED = """SELECT 1 FROM orders_journalentry j WHERE j.{column} = CASE WHEN s.is_order = {is_order} THEN s.id END
    AND j.source = 'WEBHOOK' AND j.repeat_of IS NULL AND substr(upper(j.type), 1, {length}) = '{topic}.'
    AND upper(j.type) LIKE '%%.' || w.word"""
MISSING = f"""
words AS ({_KNOWN}),
missing AS (
    SELECT s.id AS about, s.is_order, s.created_at, w.word, w.rank
    FROM subjects s CROSS JOIN words w
    WHERE s.created_at >= %(first_webhook_at)s
        AND (CASE w.word WHEN 'NEW' THEN s.status IN ('NEW', 'PROCESSING', 'FILLED', 'SETTLED', 'CANCELLED')
            WHEN 'PROCESSING' THEN s.status IN ('PROCESSING', 'FILLED', 'SETTLED')
                OR (s.status = 'CANCELLED' AND s.processing_at IS NOT NULL)
            WHEN 'FILLED' THEN s.status IN ('FILLED', 'SETTLED')
            WHEN 'CANCELLED' THEN s.status = 'CANCELLED'
            ELSE s.status = 'SETTLED' AND s.is_order = 0 END)
        AND ' ' || s.announced || ' ' NOT LIKE '%% ' || w.word || ' %%'
        AND NOT EXISTS ({_ARRIVED.format(column="order_id", is_order=1, length=6, topic="ORDER")})
        AND NOT EXISTS ({_ARRIVED.format(column="portfolio_order_id", is_order=0, length=16, topic="PORTFOLIO_ORDER")})
),
tellers AS (
    SELECT m.about, m.is_order, m.word, m.rank, m.created_at, r.id, r.source, r.status, r.recorded_at,
        row_number() OVER (
            PARTITION BY m.is_order, m.about, m.word ORDER BY r.recorded_at, r.occurred_at, r.rank, r.id
        ) AS place
    FROM missing m LEFT JOIN sorted r ON r.about = m.about AND r.is_order = m.is_order
        AND r.is_report = 1 AND (r.status = m.word OR r.rank > m.rank)
),
missed AS (
    SELECT tellers.*, CASE WHEN recorded_at >= %(grace)s THEN 1 ELSE 0 END AS is_waiting
    FROM tellers WHERE place = 1
)"""


def later_by(later: str, earlier: str, name: str) -> str:
    """Return the condition that one moment is more than so many microseconds, a parameter, after another."""
    if connection.vendor == "postgresql":
        bound = "timestamptz '9999-01-01 00:00Z'"  # no later moment of the database's may be too late to add to
        return f"{later} > LEAST({earlier}, {bound}) + %({name})s * interval '1 microsecond'"
    # Days as floats are near enough to leave out most; the exact sum costs a call for each row.
    near = f"julianday({later}) - julianday({earlier}) > (%({name})s - 1000) / 86400000000.0"
    return f"({near} AND {later} > django_format_dtdelta('+', {earlier}, %({name})s))"


def items() -> str:
    """Return the common table expressions up to ``items``: a row for each item with its place and its chips.

    An item stands at ``at``; then portfolio orders first, then by ``ord``, ``id``, ``not_gap``, ``gap``.
    """
    late = later_by("{0}.recorded_at", "{0}.occurred_at", "late_after")
    late = f"({{0}}.source = 'WEBHOOK' AND {late})"
    problem = f"CASE WHEN {{conditions}} OR {late} OR c.copies > 0 THEN 1 ELSE 0 END"
    copies = "LEFT JOIN copies c ON c.event_id = {0}.event_id AND c.about = {0}.about AND c.is_order = {0}.is_order"
    of_step = problem.format(
        "s", conditions="s.doubt <> '' OR s.status = 'CANCELLED' OR g.is_waiting = 0"
    )
    of_aside = problem.format(
        "e",
        conditions="e.outcome = 'QUARANTINED' OR (e.source <> 'STAFF' AND e.type = 'EXECUTION.CANCELLED')",
    )
    order = "CASE WHEN {0}.type = 'PLACEMENT' THEN 0 ELSE {1} END"
    return f"""{REPORTS},{STEPS},{MISSING},
copies AS (
    SELECT repeat_of AS event_id, about, is_order, count(*) AS copies FROM entries
    WHERE repeat_of IS NOT NULL GROUP BY repeat_of, about, is_order
),
items AS (
    SELECT s.occurred_at AS at, s.is_order, {order.format("s", "s.rank")} AS ord, s.id, 1 AS not_gap, 0 AS gap, s.about,
        CASE WHEN s.source = 'STAFF' AND s.doubt <> '' THEN 1 ELSE 0 END AS is_ours, {of_step} AS is_problem,
        CASE WHEN s.doubt = 'backwards' THEN 1 ELSE 0 END AS is_backwards
    FROM steps s {copies.format("s")}
    LEFT JOIN missed g ON g.about = s.about AND g.is_order = s.is_order AND g.word = s.status
    UNION ALL
    SELECT recorded_at, is_order, {order.format("sorted", "9")}, id, 1, 0, about, 1,
        CASE WHEN outcome IN ('FAILED', 'QUARANTINED') THEN 1 ELSE 0 END, 0
    FROM sorted WHERE is_ask = 1 AND repeat_of IS NULL
    UNION ALL
    SELECT CASE WHEN e.source = 'STAFF' THEN e.recorded_at ELSE e.occurred_at END,
        e.is_order, {order.format("e", "9")}, e.id, 1, 0, e.about,
        CASE WHEN e.source = 'STAFF' THEN 1 ELSE 0 END, {of_aside}, 0
    FROM sorted e {copies.format("e")}
    WHERE e.is_ask = 0 AND e.preference <> 1 AND e.repeat_of IS NULL
    UNION ALL
    SELECT e.occurred_at, e.is_order, 9, e.id, 1, 0, e.about, 0, 1, 0
    FROM entries e LEFT JOIN entries f ON f.event_id = e.repeat_of AND f.about = e.about AND f.is_order = e.is_order
    WHERE e.repeat_of IS NOT NULL AND f.id IS NULL
    UNION ALL
    SELECT CASE WHEN s.id IS NULL OR g.word = 'NEW' THEN g.created_at ELSE s.occurred_at END, g.is_order,
        CASE WHEN s.id IS NULL OR g.word = 'NEW' THEN g.rank ELSE s.rank END,
        CASE WHEN s.id IS NULL OR g.word = 'NEW' THEN 0 ELSE s.id END, 0,
        CASE WHEN s.id IS NULL OR g.word = 'NEW' THEN 0 ELSE g.rank END,
        g.about, 0, 1 - g.is_waiting, 0
    FROM missed g
    LEFT JOIN steps s ON s.about = g.about AND s.is_order = g.is_order AND s.status = g.status
    LEFT JOIN steps own ON own.about = g.about AND own.is_order = g.is_order
        AND own.status = g.word AND own.doubt = ''
    WHERE own.id IS NULL
)"""
