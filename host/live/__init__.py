"""The live page: a browser watches a network learn, draws samples for it, and teaches it."""
