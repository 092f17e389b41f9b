"""The simulated chip: Verilog of the whole chip, compiled, behind the host's byte transport."""
