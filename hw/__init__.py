"""Gateware in Amaranth: one unit a file, the core, the link."""
