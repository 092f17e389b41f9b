"""Gradients of convolutions: their accumulators, and how far they are shifted right."""
