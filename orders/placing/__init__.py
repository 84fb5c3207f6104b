"""Placing portfolio orders: what staff submit, until upstream has taken or refused it."""
