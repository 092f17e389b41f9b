"""Augmentation of batches of images: crops, flips, holes; determined by the state of the generator."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""Function that transforms images (samples, channels, height, width)."""


def crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Shift each image by up to ``padding`` pixels in both directions, with 0 outside."""
    count, _, height, width = images.shape
    shifts = torch.randint(0, 2 * padding + 1, (count, 2), generator=generator)
    rows = shifts[:, :1] + torch.arange(height)
    columns = shifts[:, 1:] + torch.arange(width)
    padded = pad(images, (padding,) * 4)
    return padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image horizontally with probability 1/2."""
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


def cutout(images: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Set a square of each image to 0 (DeVries & Taylor 2017), centered anywhere, possibly across the border."""
    count, _, height, width = images.shape
    inside = []
    for length in (height, width):
        first = torch.randint(0, length, (count, 1), generator=generator) - size // 2
        at = torch.arange(length)
        inside.append((at >= first) & (at < first + size))
    hole = inside[0][:, :, None] & inside[1][:, None, :]
    return images.masked_fill(hole[:, None], 0.0)
