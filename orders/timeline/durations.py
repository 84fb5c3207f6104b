"""Durations as people read them. Pure. Source: ux.md, section 4."""

from datetime import timedelta

SECOND = timedelta(seconds=1)
MILLISECOND = timedelta(milliseconds=1)


def duration(time: timedelta) -> str:
    """Return a duration as people read it: 850 ms, 2.1 s, 42 s, 9 min 27 s, 17 min, 14 h 02 min, 4 d 6 h.

    Cut, not rounded: it never says more than has passed. Below zero it is 0 s.
    """
    minutes, seconds = divmod(time // SECOND, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if time < 10 * SECOND:
        return _moment(time)
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes:02} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {seconds:02} s" if seconds and minutes < 10 else f"{minutes} min"
    return f"{seconds} s"


def _moment(time: timedelta) -> str:
    if time < MILLISECOND:
        return "0 s"
    if time < SECOND:
        return f"{time // MILLISECOND} ms"
    seconds, tenths = divmod(time // (100 * MILLISECOND), 10)
    return f"{seconds}.{tenths} s" if tenths else f"{seconds} s"
