"""Data sets of the paper as batches of tensors."""
