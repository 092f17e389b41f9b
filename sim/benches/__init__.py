"""cocotb testbenches and what they share; not in the wheel."""
