"""Cancelling: requests of staff to end an order, and what came of them. Never a fact about the order."""
