"""README, CONTRIBUTING and CHANGELOG as pages of the site, although they are not in docs/.

Links lead to the files themselves on a forge. Here they become links to the pages of this site.
"""

import os
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

PAGES = {"readme": "README.md", "contributing": "CONTRIBUTING.md", "changelog": "CHANGELOG.md"}
"""Page of the site, which is empty but for a link, and the file that it shows."""
LINK = re.compile(r"(?<=\]\()(?!https?:)([^)\s#]+)")


def read(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace the text of a page of `PAGES` by its file's, and links to these files by links to their pages."""
    folder = Path(app.srcdir)
    text, place = source[0], (folder / page).parent
    if page in PAGES:
        file = folder.parent / PAGES[page]
        app.env.note_dependency(str(file))
        text, place = file.read_text(), folder.parent
    files = {(folder.parent / name).resolve(): folder / f"{shown}.md" for shown, name in PAGES.items()}

    def moved(link: re.Match[str]) -> str:
        target = (place / link[1]).resolve()
        return os.path.relpath(files.get(target, target), (folder / page).parent)

    source[0] = LINK.sub(moved, text) if page in PAGES or "../" in text else text


def setup(app: Sphinx) -> dict[str, Any]:
    """Listen to pages as they are read."""
    app.connect("source-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
