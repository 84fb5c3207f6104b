"""What a person is told after a step on a placement."""

from collections.abc import Callable

from django.contrib import messages
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.utils import timezone

from backoffice.panels import forget
from orders.dashboard.queries import NUMBERS
from orders.models import Placement, PlacementState
from orders.placing.errors import KeyTakenError, NotPossibleError
from orders.placing.words import sentence

LEVELS = {
    PlacementState.PROPOSED: messages.SUCCESS,
    PlacementState.READY: messages.WARNING,
    PlacementState.UNKNOWN: messages.WARNING,
    PlacementState.ACCEPTED: messages.SUCCESS,
    PlacementState.REFUSED: messages.ERROR,
    PlacementState.DECLINED: messages.SUCCESS,
    PlacementState.NOT_PLACED: messages.SUCCESS,
}


TAKEN = (
    "This form has already placed another order, shown here. Nothing was placed now. To place "
    "something else, start with a new form."
)


def tell(request: HttpRequest, placement: Placement, *, before: str = "") -> None:
    """Say how far a placement is now, after ``before``, what else there is to say."""
    forget(NUMBERS)  # who goes on to Today would read that it still waits
    level = LEVELS[PlacementState(placement.state)]
    said = f"{before} {sentence(placement, now=timezone.now())}".strip()
    messages.add_message(request, level, said)


def take(request: HttpRequest, step: Callable[[], Placement], *, before: str = "") -> None:
    """Take a step, and say what came of it, or why it is not possible."""
    try:
        tell(request, step(), before=before)
    except KeyTakenError:
        messages.error(request, TAKEN)
    except (NotPossibleError, ImproperlyConfigured) as error:
        messages.error(request, str(error))
