"""Exceptions that end the work in hand and say nothing about what the work is about.

Celery's soft time limit and a lack of memory are subclasses of Exception: a handler that takes
everything takes them too, and would blame the entry, the part or the call that was in hand. Each
handler of Exception lets ``INTERRUPTIONS`` through first; a test keeps it.
"""

from celery.exceptions import SoftTimeLimitExceeded

INTERRUPTIONS: tuple[type[BaseException], ...] = (
    SoftTimeLimitExceeded,
    MemoryError,
    KeyboardInterrupt,
    SystemExit,  # Celery's WorkerShutdown and WorkerTerminate are of this kind
    GeneratorExit,
)
NO_THREADS = ("can't start new thread", "cannot schedule new futures")


def is_interruption(error: BaseException) -> bool:
    """Return whether ``error`` ended the work whatever it was about, so that it is to be done again.

    True also for what was raised in the wake of an interruption, such as a rollback on a connection
    that was cut short, and where the machine had no more files, space or threads to give.
    """
    met: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in met:
        if isinstance(link, (*INTERRUPTIONS, OSError)) or _lacks_threads(link):
            return True
        met.add(id(link))
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return False


def _lacks_threads(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and str(error).startswith(NO_THREADS)
