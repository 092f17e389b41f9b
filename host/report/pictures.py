"""Pictures beside results, which are complete without them."""

import logging
from collections.abc import Callable
from pathlib import Path

from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable
from opzo.system.atomic import write_atomically

logger = logging.getLogger(__name__)


def write_picture(path: Path, draw: Callable[[], bytes | None]) -> bool:
    """Write what ``draw`` makes, where it makes something; a warning where that fails. Whether there is a picture."""
    try:
        picture = draw()
        if picture is not None:
            write_atomically(path, picture)
        return picture is not None
    except OpzoError as error:
        logger.warning("warning: there is no %s: %s", printable(path.name), " ".join(printable(error).split()))
        return False
