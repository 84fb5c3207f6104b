"""What a lane of the lifecycle chart shows, as one sentence for those who cannot see it. Pure."""

from collections.abc import Iterator
from datetime import datetime, tzinfo

from orders.executions import REVERSED
from orders.lanes.lives import End, Life
from orders.lanes.parts import Chart
from orders.timeline.durations import duration


def caption(life: Life, chart: Chart) -> str:
    """Return "SAP: new 06:12:01, processing 06:13:10, filled 06:15:40; took 3 min 39 s"."""
    days = {edge.astimezone(chart.zone).date() for edge in (chart.scale.start, chart.scale.end)}
    clock = _Clock(chart.zone, with_day=len(days) > 1)
    steps = [f"{word(stage.status)} {clock(stage.start)}" for stage in life.stages]
    steps += [_ended(end, clock) for end in life.ends]
    if life.is_final and not life.ends:
        steps.append(f"{word(life.subject.status)} at an unknown time")
    if life.state == REVERSED and REVERSED not in {end.status for end in life.ends}:
        steps.append(REVERSED)
    said = [", ".join(steps) or word(life.subject.status), *_since(life, chart, clock)]
    return f"{life.name}: {'; '.join(said)}"


def word(status: str) -> str:
    """Return a status as a word of a sentence; one that we do not know is none that we rewrite."""
    known = {"NEW", "PROCESSING", "FILLED", "SETTLED", "CANCELLED"}
    return status.lower() if status in known else status or "not known yet"


class _Clock:
    """Writes moments as the chart's axis does, to the second."""

    def __init__(self, zone: tzinfo, *, with_day: bool) -> None:
        self.zone, self.with_day = zone, with_day

    def __call__(self, moment: datetime) -> str:
        local = moment.astimezone(self.zone)
        return f"{local.day} {local:%b %H:%M:%S}" if self.with_day else f"{local:%H:%M:%S}"


def _ended(end: End, clock: _Clock) -> str:
    told = f"{word(end.status)} {clock(end.at)}"
    if end.learned_at is None:
        return told
    how = "check" if end.source == "POLL" else end.source.lower()
    return f"{told}, received late, {clock(end.learned_at)} by {how}"


def _since(life: Life, chart: Chart, clock: _Clock) -> Iterator[str]:
    if life.took is not None:
        yield f"{'open for' if life.is_open else 'took'} {duration(life.took)}"
    if chart.quiet_since and not life.is_final:
        yield f"no change since {clock(chart.quiet_since)}"
