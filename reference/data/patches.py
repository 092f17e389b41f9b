"""Color images without a download: patches of scikit-learn's two photographs, with the region as class."""

import numpy as np
from numpy.typing import NDArray

SIZE = 32
COLUMNS = 5
REGIONS = 2 * COLUMNS
"""Classes: five adjacent regions of each photograph, a temple and a flower."""
TRAIN, TEST = 2000, 500
Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def cut_patches() -> tuple[Arrays, Arrays]:
    """Training and test patches (count, 3, 32, 32) with their regions (count,), the same each time.

    Test patches are from the middle third of a region's height, training patches from what is above and below: no
    pixel is in both.
    """
    from sklearn.datasets import load_sample_images

    photographs = [np.asarray(image, np.uint8) for image in load_sample_images().images]
    rng = np.random.default_rng(0)
    return _draw(photographs, rng, TRAIN, test=False), _draw(photographs, rng, TEST, test=True)


def _draw(photographs: list[NDArray[np.uint8]], rng: np.random.Generator, count: int, *, test: bool) -> Arrays:
    labels = np.arange(count) % REGIONS
    patches = np.empty((count, SIZE, SIZE, 3), np.uint8)
    for patch, label in zip(patches, labels.tolist(), strict=True):
        image = photographs[label // COLUMNS]
        height, width = image.shape[:2]
        third, column = height // 3, width // COLUMNS
        band = third if test else rng.choice([0, 2 * third])
        top = band + rng.integers(third - SIZE + 1)
        left = label % COLUMNS * column + rng.integers(column - SIZE + 1)
        patch[:] = image[top : top + SIZE, left : left + SIZE]
    return np.ascontiguousarray(patches.transpose(0, 3, 1, 2)), labels.astype(np.uint8)
