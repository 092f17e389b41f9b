"""Input of the layers: event buffer, presynaptic traces, lists of spikes."""
