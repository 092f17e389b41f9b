"""Event samples: spikes in time steps with labels."""
