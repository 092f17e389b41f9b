"""cocotb testbenches and their shared drivers; not part of the wheel."""
