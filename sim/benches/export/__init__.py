"""Testbenches of the Verilog output."""
