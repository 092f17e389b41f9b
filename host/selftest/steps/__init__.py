"""Steps of the self-test, one a module."""
