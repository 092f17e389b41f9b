"""The lanes: row memory, multiplier, accumulator, selector, weight update."""
