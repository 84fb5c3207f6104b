"""What a web process gets ready for as soon as it can serve, so that its first request need not wait for it."""

from collections.abc import Callable

_preparations: list[Callable[[], object]] = []


def register(prepare: Callable[[], object]) -> None:
    """Have each web process call ``prepare`` when it starts; it must return at once and raise nothing."""
    _preparations.append(prepare)


def prepare() -> None:
    """Get ready."""
    for preparation in _preparations:
        preparation()
