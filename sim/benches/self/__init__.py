"""Testbenches of the testbench helpers."""
