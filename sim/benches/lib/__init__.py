"""Testbenches of units that know nothing of OPZO."""
