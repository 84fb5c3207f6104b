"""The history of an order: from journal entries to items, runs and sentences."""
