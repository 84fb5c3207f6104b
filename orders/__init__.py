"""What we hold of portfolio orders and orders: journal, fold, timeline, admin."""
