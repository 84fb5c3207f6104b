"""Migrations that neither stop the desk nor break the release before: operations, and what checks them."""
