"""Verilog of the gateware."""
