"""Our subscription upstream: what it should be, what it is, setting it up, trying it, and watching it."""
