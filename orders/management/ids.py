"""Ids as people paste them at the command line."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from uuid import UUID

from orders.ids import read_id


def id_of(what: str) -> Callable[[str], UUID]:
    """Return what reads an argument that is the id of ``what``: "a portfolio order"."""

    def read(text: str) -> UUID:
        if pk := read_id(text):
            return pk
        raise ArgumentTypeError(f"{text!r} is not the id of {what}")

    return read
