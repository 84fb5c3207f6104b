"""Asking upstream: what is due, what staff want, what was never announced."""
