"""Beat: it rings for the periodic tasks as everybody else does, and remembers nothing on disk.

A broker that is frozen or full costs it a moment, not its next ticks. Every task claims its own rows,
so that two beats are harmless, and so is a tick that nobody heard or that is heard late.
"""

from typing import Any

from celery import beat

from backoffice import doorbell


class Scheduler(beat.Scheduler):
    """Celery's scheduler in memory, ringing at our doorbell."""

    producer: Any = None  # the doorbell has a connection of its own, and waits for none

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Ring for a periodic task, unless more wait already than workers can have overlooked."""
        if not doorbell.is_full():
            doorbell.ring(self.app.tasks[entry.task])
