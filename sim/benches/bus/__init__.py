"""Testbenches of the chip behind buses."""
