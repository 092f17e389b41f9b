"""Training runs: configuration, trainer, health, checkpoints, folders, sweeps."""
