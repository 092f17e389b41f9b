"""Damaged and made-up inputs for every reader: `bench/fuzz.py` runs them."""
