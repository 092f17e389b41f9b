"""Testbenches of the boards."""
