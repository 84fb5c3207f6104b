"""What staff do with accounts and log-ins, told to whoever keeps it. Nothing here stores anything.

``report`` sends a ``Step`` to the receivers of ``step_taken``; the app that has the journal connects
one. Who acts and from where is that of the request being answered; of a command, who runs it.
No sentence may hold a password, a code, a secret or a token.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.signals import request_finished
from django.dispatch import Signal, receiver
from django.http import HttpRequest, HttpResponseBase

from backoffice.client_address import client_address
from backoffice.management.person import who

logger = logging.getLogger(__name__)

LOG_IN = "LOG_IN"  # kinds of steps
ACCESS = "ACCESS"

step_taken = Signal()  # step: Step
_request: ContextVar[HttpRequest | None] = ContextVar("request", default=None)
_asked_from: ContextVar[str] = ContextVar("asked_from", default="")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what happened, in a sentence, who did it and from where, and the user or group it is about.

    ``actor`` is "" where nobody is known to have done it, as of a wrong password. Of steps that anybody
    can cause any number of times (``is_repeatable``) one stands for all of the same in a while.
    """

    kind: str
    word: str
    sentence: str
    actor: str
    address: str
    user_id: int | None = None
    is_repeatable: bool = False
    group_id: int | None = None


class RequestMiddleware:
    """Lets whatever happens while a request is answered know who sent it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request, known as the current one until all of the answer is sent."""
        _request.set(request)
        return self.get_response(request)


@receiver(request_finished)
def forget_request(**_: Any) -> None:
    """Know the request no more: a file that is streamed is recorded at its end."""
    _request.set(None)


def actor() -> str:
    """Return the name of who acts now: who is logged in, or who runs the command; "" for a stranger."""
    request = _request.get()
    if request is None:
        return who()
    user = getattr(request, "user", None) or AnonymousUser()
    return user.get_username() if user.is_authenticated else ""


def address() -> str:
    """Return the address of the client whose request is being answered, or who asked for it; "" if none."""
    request = _request.get()
    return client_address(request) if request is not None else _asked_from.get()


@contextmanager
def asked_from(client: str) -> Iterator[None]:
    """Let a worker act for somebody whose request came from the address ``client``."""
    token = _asked_from.set(client)
    try:
        yield
    finally:
        _asked_from.reset(token)


def report(
    kind: str,
    word: str,
    sentence: str,
    *,
    by: str | None = None,
    request: HttpRequest | None = None,
    user_id: int | None = None,
    is_repeatable: bool = False,
    group_id: int | None = None,
) -> None:
    """Tell that a step was taken. ``by`` is who took it, unless it is who acts now."""
    name = actor() if by is None else by
    from_ = client_address(request) if request is not None else address()
    logger.info("%s%s", sentence, f" from {from_}" if from_ else "")
    step = Step(kind, word, sentence, name, from_, user_id, is_repeatable, group_id)
    step_taken.send(sender=Step, step=step)
