"""Testbenches of the neurons."""
