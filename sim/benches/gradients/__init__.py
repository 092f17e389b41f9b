"""Testbenches of the gradients of convolutions."""
