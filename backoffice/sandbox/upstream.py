"""What stands behind the calls of the API and of the control side."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from .authentication import Authentication
from .courier import Courier
from .faults import Troubles
from .keys import KeySet
from .limit import Limit
from .market import Market
from .subscriptions import Subscriptions


@dataclass(frozen=True, slots=True)
class Upstream:
    """The parts of the stand-in, on one clock."""

    clock: Callable[[], datetime]
    market: Market
    subscriptions: Subscriptions
    keys: KeySet
    courier: Courier
    authentication: Authentication
    troubles: Troubles = field(default_factory=Troubles)
    limit: Limit = field(default_factory=Limit)
