"""Sample store: the memory behind it."""
