"""The door that verifies and answers, and stores nothing: what the HTTP benchmark measures ours against."""

from backoffice import doorbell
from backoffice.wsgi import application
from webhooks import inbox

__all__ = ["application"]

inbox.receive = lambda *_, **__: None  # type: ignore[assignment]
doorbell.ringer.ring = lambda task: None  # type: ignore[method-assign]
