"""The chip behind buses that designers use: AXI4-Lite, AXI4-Stream, Wishbone."""
