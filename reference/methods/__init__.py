"""Spatial credit assignment, noise, feedback connections; the paper's settings and figures."""
