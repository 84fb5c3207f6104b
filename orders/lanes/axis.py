"""The time axis of a lifecycle chart: long silences folded, the rest to scale. Pure.

Positions and widths are percent of the track, moments are aware UTC. Source: ux.md, section 6a.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, pairwise

MOST_FOLDS = 4
LEAST_SILENCE = timedelta(minutes=2)
LEAST_SHARE = 0.6  # of what is not folded yet; at 0.4 charts that read well were folded
CLEAR = timedelta(seconds=20)  # between a fold and the events beside it
CLEAR_SHARE = 0.04  # the same, of what is not folded
BAND = 7.0  # width of a fold
LEAST_STRETCH = 9.0  # width of what lies between two folds
SHORTEST = timedelta(seconds=1)  # of a whole axis


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the axis that has one scale, or a silence folded into a band."""

    start: datetime
    end: datetime
    x: float
    width: float
    is_folded: bool = False

    @property
    def length(self) -> timedelta:
        """How much time it stands for."""
        return self.end - self.start

    @property
    def rate(self) -> float:
        """Percent of the track for each second."""
        return self.width / self.length.total_seconds()

    @property
    def centre(self) -> float:
        """Where its label stands."""
        return self.x + self.width / 2


@dataclass(frozen=True, slots=True)
class Scale:
    """Where moments stand: stretches from the first moment to the last, folds between them."""

    stretches: tuple[Stretch, ...]

    @property
    def start(self) -> datetime:
        """The left edge."""
        return self.stretches[0].start

    @property
    def end(self) -> datetime:
        """The right edge."""
        return self.stretches[-1].end

    @property
    def folds(self) -> tuple[Stretch, ...]:
        """The silences that are folded."""
        return tuple(stretch for stretch in self.stretches if stretch.is_folded)

    @property
    def unfolded(self) -> tuple[Stretch, ...]:
        """The stretches that are to scale."""
        return tuple(stretch for stretch in self.stretches if not stretch.is_folded)

    def x(self, moment: datetime) -> float:
        """Return where a moment stands, 0 to 100; one beyond an edge stands on it."""
        if moment >= self.end:
            return 100.0
        part = next(stretch for stretch in self.stretches if moment < stretch.end)
        past = max(moment - part.start, timedelta())
        return part.x + part.rate * past.total_seconds()

    def moment(self, x: float) -> datetime:
        """Return the moment that stands at ``x``, 0 to 100."""
        last = self.stretches[-1]
        part = next((each for each in self.stretches if x < each.x + each.width), last)
        return min(part.start + timedelta(seconds=(x - part.x) / part.rate), self.end)


def scale_of(moments: Iterable[datetime], *, folds: bool = True) -> Scale:
    """Return the scale on which these moments can be told apart. Raises ValueError without any.

    Without ``folds`` no silence is folded.
    """
    known = sorted(set(moments))
    if not known:
        raise ValueError("an axis needs a moment")
    silences = _silences(known) if folds else []
    edges = [known[0], *chain.from_iterable(silences), max(known[-1], known[0] + SHORTEST)]
    unfolded = list(zip(edges[0::2], edges[1::2], strict=True))
    widths = _widths([end - start for start, end in unfolded], 100 - BAND * len(silences))
    stretches, x = [], 0.0
    for number, ((start, end), width) in enumerate(zip(unfolded, widths, strict=True)):
        stretches.append(Stretch(start, end, x, width))
        x += width
        if number < len(silences):
            stretches.append(Stretch(*silences[number], x, BAND, is_folded=True))
            x += BAND
    return Scale(tuple(stretches))


def _silences(moments: Sequence[datetime]) -> list[tuple[datetime, datetime]]:
    """Return the silences to fold, without what is kept clear of the events beside them."""
    unfolded = moments[-1] - moments[0]
    found: list[tuple[datetime, datetime]] = []
    longest = sorted(pairwise(moments), key=lambda pair: pair[0] - pair[1])
    for before, after in longest[:MOST_FOLDS]:
        silence = after - before
        if silence < max(LEAST_SILENCE, LEAST_SHARE * unfolded) or silence == unfolded:
            break  # the last: it is all that is left to see, so folding it would show nothing better
        found.append((before, after))
        unfolded -= silence
    clear = max(CLEAR, CLEAR_SHARE * unfolded)
    return sorted((before + clear, after - clear) for before, after in found)


def _widths(lengths: Sequence[timedelta], room: float) -> list[float]:
    """Share ``room`` out in proportion, to none less than the least width."""
    short: set[int] = set()
    while True:
        left = room - LEAST_STRETCH * len(short)
        whole = sum((lengths[i] for i in range(len(lengths)) if i not in short), timedelta())
        widths = [
            LEAST_STRETCH if i in short else left * (length / whole)
            for i, length in enumerate(lengths)
        ]
        too_short = {i for i, width in enumerate(widths) if width < LEAST_STRETCH}
        if not too_short:
            return widths
        short |= too_short
