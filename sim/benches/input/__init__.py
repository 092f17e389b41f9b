"""Testbenches of the input of the layers."""
