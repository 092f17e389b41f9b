"""Golden model, simulated devices, cocotb benches."""
