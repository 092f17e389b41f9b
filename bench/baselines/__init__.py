"""Baselines in floating point that the benches compare with."""
