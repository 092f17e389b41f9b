"""Testbenches of the sample store's memory."""
