"""Testbenches of the core and its parts."""
