"""Event samples: labelled samples of spikes or graded events in time steps."""
