"""Compile Verilog and C++ to native libraries."""
