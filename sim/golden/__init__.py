"""Golden model: the executable specification of the chip, in NumPy, integers only."""
