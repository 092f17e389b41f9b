"""Testbenches of the error unit."""
