"""Pictures of results. Results are complete without them, so a failure is only a warning."""

import logging
from collections.abc import Callable
from pathlib import Path

from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable
from opzo.system.atomic import write_atomically

logger = logging.getLogger(__name__)


def write_picture(path: Path, draw: Callable[[], bytes | None]) -> bool:
    """Write the picture that ``draw`` returns, if any; logs a warning where that fails. Whether it was written."""
    try:
        picture = draw()
        if picture is not None:
            write_atomically(path, picture)
        return picture is not None
    except OpzoError as error:
        logger.warning("warning: cannot write %s: %s", printable(path.name), " ".join(printable(error).split()))
        return False
