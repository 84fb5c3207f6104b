"""Reconciliation: our books held against upstream's, object by object."""
