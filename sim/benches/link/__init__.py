"""Testbenches of the link."""
