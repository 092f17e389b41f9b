"""Testbenches of the schedule."""
