"""Sparks: when the items of a run arrived, as bars of a few pixels. Pure. Source: ux.md, section 6b."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

WIDTH, HEIGHT = 96, 16  # px
SLOT, BAR = 4, 2  # px: a bar and its gap, the bar alone
LEAST = 8  # px: a single arrival can be seen


def spark(moments: Sequence[datetime]) -> str:
    """Return the path of the bars; the more came at once, the higher. "" where all came at one moment."""
    first, last = min(moments), max(moments)
    if first == last:
        return ""
    slots = WIDTH // SLOT
    span = last - first + timedelta(microseconds=1)
    counts = Counter((moment - first) * slots // span for moment in moments)
    most = max(counts.values())
    bars = ((slot * SLOT, max(LEAST, HEIGHT * n // most)) for slot, n in sorted(counts.items()))
    return "".join(f"M{x} {HEIGHT}v-{height}h{BAR}v{height}z" for x, height in bars)
