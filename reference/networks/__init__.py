"""Spiking neurons, synapses and the paper's networks."""
