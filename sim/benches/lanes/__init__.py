"""Testbenches of the lanes."""
