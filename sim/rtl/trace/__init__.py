"""Waveforms of the simulated chip."""
