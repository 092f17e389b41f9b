"""Links of a folder of HTML pages: where they lead, and what a browser loads to show them."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {
    "img": "src",
    "script": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "object": "data",
}
"""Elements whose address a browser loads by itself, with the attribute."""
CSS_ADDRESS = re.compile(r"""(?:@import\s+(?:url\()?|url\()\s*['"]?([^'")\s;]+)""")
HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+", re.IGNORECASE)


@dataclass
class Page:
    """Addresses and anchors of a page."""

    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=lambda: {"", "top"})


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.page.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.page.links.append(values["href"])
        # A link to the index or to the next page is not loaded.
        elif tag == "link" and {"stylesheet", "icon", "preload", "preconnect"} & set(values.get("rel", "").split()):
            self.page.loaded.append(values["href"])
        elif tag in LOADED and values.get(LOADED[tag]):
            self.page.loaded.append(values[LOADED[tag]])
        self.page.loaded += CSS_ADDRESS.findall(values.get("style", ""))


def pages(folder: Path) -> dict[Path, Page]:
    """All HTML pages below ``folder``."""
    found = {}
    for file in sorted(folder.rglob("*.html")):
        reader = _Reader()
        reader.feed(file.read_text())
        found[file.resolve()] = reader.page
    return found


def dead_links(found: dict[Path, Page]) -> list[str]:
    """Links that lead to no page, file or anchor, and links to other hosts that are malformed."""
    dead = []
    for file, page in found.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https"):
                good = HOST.fullmatch(parts.hostname or "") is not None and " " not in link
            elif parts.scheme or parts.netloc:
                good = parts.scheme == "mailto"
            else:
                target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
                anchors = found[target].anchors if target in found else {""}
                good = target.is_file() and unquote(parts.fragment) in anchors
            if not good:
                dead.append(f"{file.name}: {link}")
    return dead


def loaded_from_elsewhere(folder: Path, found: dict[Path, Page]) -> list[str]:
    """Addresses on other hosts that a browser loads by itself to show a page, or that a style sheet names."""
    addresses = [(file.name, address) for file, page in found.items() for address in page.loaded]
    addresses += [
        (file.name, address) for file in folder.rglob("*.css") for address in CSS_ADDRESS.findall(file.read_text())
    ]
    return [f"{name}: {address}" for name, address in addresses if urlsplit(address).netloc]
