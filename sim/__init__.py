"""Golden model, simulated devices, cocotb testbenches."""
