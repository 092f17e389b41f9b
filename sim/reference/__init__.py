"""Floating-point references in PyTorch, by which the chip is judged."""
