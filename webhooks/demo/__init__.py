"""What the demo shows from its first minute on: a day of orders behind it, and one example of each odd case."""
