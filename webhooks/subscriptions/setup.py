"""Setting our subscription up, and deleting one: steps of a person, each with a line in the journal.

Upstream takes no idempotency key for a subscription, so nothing is created before looking again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from backoffice.investment_api.answers import Object
from backoffice.investment_api.budget import Urgency
from backoffice.investment_api.client import api
from backoffice.investment_api.errors import InvestmentAPIError, NotFoundError, UnavailableError
from orders import journal
from orders.attributes import UnreadableError
from orders.audit.subjects import Subject
from webhooks.models import Subscription
from webhooks.subscriptions import registry, wanted, watch
from webhooks.subscriptions.wanted import Registered

STEP = "SUBSCRIPTION"  # type of the journal's entries
# The broker holds back what it could not deliver; that goes with the subscription.
LOSS = (
    "Events waiting for delivery are lost: a new subscription delivers only what happens after it. "
    "Missed steps are found by checks."
)
LEASE = timedelta(minutes=3)  # longer than the calls of one set-up take together


class NotPossibleError(Exception):
    """It was not tried; the message says why, as a sentence."""


@dataclass(frozen=True, slots=True)
class Ensured:
    """What setting up came to: ``changes`` in words, and what the broker still shows otherwise."""

    subscription_id: UUID
    changes: tuple[str, ...]
    left: tuple[str, ...]
    twins: tuple[UUID, ...]
    untested: str  # why no test event was asked for, "" where there is no reason

    @property
    def sentence(self) -> str:
        """Return the result as people read it."""
        said = f"Subscription {self.subscription_id}: "
        said += f"{'; '.join(self.changes)}." if self.changes else "nothing to change."
        if self.left:
            said += f" Still different at the broker: {', '.join(self.left)}."
        if self.untested:
            said += f" No test event could be requested: {self.untested}."
        elif self.changes:
            said += " A test event was requested."
        return said + self._twins

    @property
    def _twins(self) -> str:
        if not self.twins:
            return ""
        ids = ", ".join(map(str, self.twins))
        return f" Others have the same URL and deliver every event again: {ids}. Delete them."


def ensure(*, actor: str) -> Ensured:
    """Make our subscription what it should be; no call that writes where it is.

    Creates it where it is missing, changes only what differs, enables it and has a test event sent.
    Twins are told, never deleted. Raises NotPossibleError and InvestmentAPIError.
    """
    url = our_url()
    changes: list[str] = []
    with _alone(), _told("Setting up the subscription", actor, done=changes):
        result = _ensure(url, changes)
    _record(f"Set up the subscription to {url}. {result.sentence}", actor, result.subscription_id)
    return result


def _ensure(url: str, changes: list[str]) -> Ensured:
    found = registry.listed(urgency=Urgency.PERSON)
    ours, twins = wanted.leading_to(url, found)
    if ours is None:
        ours = _create(url)
        changes.append(f"created for {url}")
    if body := wanted.corrections(ours):
        phrases = wanted.corrected(ours)
        ours = _read(api().update_subscription(ours.id, body))
        changes.extend(phrases)
    untested = _ask_for_a_test(ours) if changes else ""
    others = [it for it in found if it.id != ours.id]
    watch.keep([ours, *others], now=timezone.now())
    return Ensured(
        ours.id, tuple(changes), tuple(wanted.drift(ours)), tuple(it.id for it in twins), untested
    )


def _create(url: str) -> Registered:
    """Create it; after a call without an answer look whether it is there instead of calling again."""
    try:
        return _read(api().create_subscription(wanted.document(url)))
    except UnavailableError as error:
        if not error.was_sent:
            raise
        # A list need not show at once what was just created: to call again could make a twin.
        ours, _ = wanted.leading_to(url, registry.listed(urgency=Urgency.PERSON))
        if ours is None:
            raise
        return ours


def _read(answer: Object) -> Registered:
    try:
        return registry.read(answer)
    except UnreadableError as error:
        raise UnavailableError(f"the answer is no subscription: {error}") from error


def _ask_for_a_test(ours: Registered) -> str:
    try:
        api().test_subscription(ours.id)
    except InvestmentAPIError as error:
        return str(error)
    return ""


def delete(webhook_id: UUID, *, actor: str) -> str:
    """Delete a subscription upstream, and what it had queued with it; return what came of it.

    Raises InvestmentAPIError.
    """
    row = Subscription.objects.filter(pk=webhook_id).first()
    said = f"subscription {webhook_id}" + (f" to {row.url}" if row else "")
    with _told(f"Deleting {said}", actor, about=webhook_id):
        try:
            api().delete_subscription(webhook_id)
            sentence = f"Deleted {said}. Its queued events are lost."
        except NotFoundError:
            sentence = f"The broker no longer has {said}. Nothing was deleted."
    _record(sentence, actor, webhook_id)
    left = [it for it in registry.held() if it.id != webhook_id]
    watch.keep(left, now=timezone.now(), is_list=False)
    return sentence


def our_url() -> str:
    """Return where our subscription leads to. Raises NotPossibleError."""
    if not settings.WEBHOOK_PUBLIC_URL:
        raise NotPossibleError(
            "WEBHOOK_PUBLIC_URL is not set: set it to the address under which the broker reaches "
            "/webhooks/investment-api."
        )
    return str(settings.WEBHOOK_PUBLIC_URL)


@contextmanager
def _alone() -> Iterator[None]:
    """Let nobody else set up meanwhile: two who find nothing would each create one."""
    now: datetime = timezone.now()
    rows = watch.the_row()
    free = Q(working_until=None) | Q(working_until__lt=now)
    if rows.filter(free).update(working_until=now + LEASE) != 1:
        raise NotPossibleError("Someone else is setting it up right now. Try again in a moment.")
    try:
        yield
    finally:
        rows.update(working_until=None)


@contextmanager
def _told(
    what: str, actor: str, *, done: list[str] | None = None, about: UUID | None = None
) -> Iterator[None]:
    """Let a failure be in the journal, with what was done before it."""
    try:
        yield
    except InvestmentAPIError as error:
        before = f" Before that: {'; '.join(done)}." if done else ""
        _record(f"{what} failed: {error}.{before}", actor, about)
        raise


def _record(message: str, actor: str, about: UUID | None) -> None:
    subject = Subject("subscription", str(about)) if about else None
    journal.record_step(message, actor=actor, now=timezone.now(), type_=STEP, subject=subject)
