"""Who is who among those that place, approve and withdraw: people are their user ids, not their names. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody as a placement knows them. ``id`` is None for code, and in rows of earlier releases."""

    name: str
    id: int | None = None


def is_same(one: Person, other: Person) -> bool:
    """Return whether both are one person: by user id, and by name only where an id is missing.

    A user who was renamed is the same person; a name that was deleted and made anew is another.
    """
    if one.id is None or other.id is None:
        return one.name == other.name
    return one.id == other.id
