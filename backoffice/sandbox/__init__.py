"""A stand-in for the Investment API, for the demo, the tests and runs with several processes.

It speaks HTTP only and shares nothing with our client but the signature module. Everything is held
in memory and decided by a seed: the same placements live the same lives.
"""

from .faults import Choice, FaultPlan, Trouble
from .sandbox import TOPICS, Sandbox
from .speed import Speed

__all__ = ["TOPICS", "Choice", "FaultPlan", "Sandbox", "Speed", "Trouble"]
