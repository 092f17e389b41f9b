"""Small faults planted in the sources, to see whether a test fails: `bench/mutants.py` runs them."""
