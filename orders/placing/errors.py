"""What keeps a step of a placement from being taken, in words fit for staff."""

from uuid import UUID


class NotPossibleError(ValueError):
    """The placement has come too far for the step, or not far enough; the text says how far it is."""


class SamePersonError(NotPossibleError):
    """Whoever submitted a placement may not approve or decline it."""


class KeyTakenError(ValueError):
    """The key belongs to another wish: one key stands for one order, however often it is used."""

    def __init__(self, key: UUID) -> None:
        super().__init__(
            f"The key {key} was used for another order. Nothing was placed: use a new key."
        )
        self.key = key
