"""Make docs/live-training.png and docs/live-drawing.png: PYTHONPATH=tests python docs/live_pictures.py

Needs the extra `dev` and Chromium (Debian: apt-get install chromium chromium-driver).
"""

import time
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from chromium import chromium, draw, teach, wait_for
from live_page import live
from PIL import Image

TARGET = Path(__file__).parent
SHOWN_SECONDS = 6
"""Time that training goes on before the first picture."""
CONTINENTAL_SEVEN = [
    [[0.28, 0.24], [0.45, 0.2], [0.7, 0.21], [0.68, 0.3], [0.6, 0.45], [0.5, 0.65], [0.44, 0.86]],
    [[0.36, 0.54], [0.52, 0.5], [0.68, 0.49]],
]
COLOURS = 64
"""Of the palette: the page has few, and the files stay small."""


def save(png: bytes, name: str) -> None:
    """Write a screenshot."""
    picture = Image.open(BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(TARGET / name, optimize=True)


def main() -> None:
    """Make the two pictures."""
    with TemporaryDirectory() as folder, live(["--device", "fast", "--epochs", "30"], Path(folder)) as (_, address):
        with chromium(1200, 800) as browser:
            browser.get(address)
            wait_for(browser, "title", "Training sample")
            time.sleep(SHOWN_SECONDS)
            save(browser.get_screenshot_as_png(), "live-training.png")
            wait_for(browser, "state", "ready")
            draw(browser, CONTINENTAL_SEVEN)
            wait_for(browser, "answer", "%")
            teach(browser, 7)
            wait_for(browser, "taught", "after")
            save(browser.get_screenshot_as_png(), "live-drawing.png")


if __name__ == "__main__":
    main()
