"""Who comes in, for how long, and what happens to their work when a session ends."""
