"""The simulated chip: compiled Verilog of the complete chip behind the host's byte transport."""
