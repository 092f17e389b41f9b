"""ImageNet from its folders ``train/CLASS/*`` and ``val/CLASS/*``, read image by image."""

import logging
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from math import log
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable, reason
from opzo.system.litter import is_litter

SIZE, RESIZED = 224, 256
CLASSES = 1000
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of the training pixels, 0..1, by channel."""
SUFFIXES = frozenset({".jpeg", ".jpg", ".png"})
AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
"""Range of the area of a random crop, relative to the image, and of its aspect ratio."""
ATTEMPTS = 10
WORKERS = 8
Box = tuple[float, float, float, float]

logger = logging.getLogger(__name__)


class ImageFolder:
    """Images of ``root / part``, one folder a class, classes in the order of their names.

    Training images are cropped and resized at random and mirrored; test images are resized and cut out of the middle.

    Attributes
    ----------
    classes : list of str
        Names of the folders.
    """

    def __init__(self, root: str, part: str) -> None:
        base = Path(root) / part
        entries = base.iterdir() if root and base.is_dir() else ()
        folders = sorted(path for path in entries if path.is_dir() and not is_litter(path))
        files = [(path, label) for label, folder in enumerate(folders) for path in _images(folder)]
        if not files:
            raise OpzoError(
                f"there are no images in {base}; put ImageNet-1K there, {part}/n01440764/*.JPEG ..., give --data-root"
            )
        if empty := sorted({*folders} - {path.parent for path, _ in files}):
            raise OpzoError(
                f"there are no images in {printable(empty[0])}; put the images of a class into its folder itself, or "
                "take the folder away"
            )
        if len(folders) > CLASSES:
            raise OpzoError(f"{base} has {len(folders)} classes; ImageNet-1K has {CLASSES}")
        self._files, self.classes = files, [folder.name for folder in folders]

    def __len__(self) -> int:
        return len(self._files)

    @property
    def digest(self) -> int:
        """CRC-32 of the names of images and classes, without reading the million files."""
        return zlib.crc32(
            "".join(f"{path.parent.name}/{path.name}\n" for path, _ in self._files).encode(errors="surrogateescape")
        )

    def batch(self, indices: NDArray[np.intp], generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Images (samples, 1, 3, SIZE, SIZE), normalized, and labels."""
        chosen = [self._files[index] for index in indices.tolist()]
        # Drawn before the threads start, so that their order does not matter.
        draws = None if generator is None else torch.rand(len(chosen), 3 * ATTEMPTS + 2, generator=generator).tolist()
        with ThreadPoolExecutor(WORKERS) as pool:
            jobs = zip((path for path, _ in chosen), draws or [None] * len(chosen), strict=True)
            pixels = np.stack(list(pool.map(lambda job: _read(*job), jobs)))
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        scaled = (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
        return scaled[:, None], torch.tensor([label for _, label in chosen])


def read_imagenet(root: str) -> tuple[ImageFolder, ImageFolder]:
    """Training and test images; OpzoError if there are none, or if their classes differ."""
    train, test = ImageFolder(root, "train"), ImageFolder(root, "val")
    # A label is the index of its folder, so a missing folder would shift the later labels.
    if different := sorted(set(train.classes) ^ set(test.classes)):
        raise OpzoError(
            f"train and val in {root} must have the same classes, but only one of them has {', '.join(different[:5])}"
            f"{' ...' if len(different) > 5 else ''}; sort the images of val into folders as those of train are"
        )
    return train, test


def random_box(width: int, height: int, draws: list[float]) -> Box:
    """Left, top, right, bottom of a random crop; the largest central square if no draw fits."""
    for attempt in range(ATTEMPTS):
        area, ratio, _ = draws[3 * attempt :][:3]
        area = width * height * (AREA[0] + (AREA[1] - AREA[0]) * area)
        ratio = float(np.exp(log(RATIO[0]) + (log(RATIO[1]) - log(RATIO[0])) * ratio))
        across, down = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if 0 < across <= width and 0 < down <= height:
            left = int(draws[3 * attempt + 2] * (width - across + 1))
            top = int(draws[-2] * (height - down + 1))
            return left, top, left + across, top + down
    return middle_box(width, height, min(width, height))


def middle_box(width: int, height: int, size: float) -> Box:
    """Central square of this size."""
    left, top = (width - size) / 2, (height - size) / 2
    return left, top, left + size, top + size


def _read(path: Path, draws: list[float] | None) -> NDArray[np.uint8]:
    """Pixels (SIZE, SIZE, 3), augmented by the random numbers 0..1 in ``draws``."""
    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    # Depending on its format, a damaged file can raise almost any exception.
    except Exception as error:
        raise OpzoError(f"cannot read the image {path} ({reason(error)}); get it again, or take it away") from None
    if draws is None:
        box = middle_box(*image.size, min(image.size) * SIZE / RESIZED)
    else:
        box = random_box(*image.size, draws)
    resized = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box)
    pixels = np.asarray(resized)
    return pixels[:, ::-1] if draws is not None and draws[-1] < 0.5 else pixels


def _images(folder: Path) -> Iterable[Path]:
    files = [path for path in folder.iterdir() if not is_litter(path)]
    images = sorted(path for path in files if path.suffix.lower() in SUFFIXES)
    if len(images) < len(files):
        kinds = ", ".join(sorted(SUFFIXES))
        logger.warning("%s: %d files are passed over, being none of %s", folder, len(files) - len(images), kinds)
    return images
