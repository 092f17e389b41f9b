"""Random generators for tests of the reference's data."""

import numpy as np
import torch

RNG = np.random.default_rng(3)


def draws(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
