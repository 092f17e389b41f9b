"""A headless Chromium, as tests and pictures of the live page drive it."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

SECONDS = 60
"""Longest wait for a change of a page."""


@contextmanager
def chromium(width: int = 1200, height: int = 800) -> Iterator[WebDriver]:
    """Browser with a view of this size; AssertionError where none is installed."""
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = ", ".join(name for name, path in programs.items() if path is None)
    assert not missing, f"there is no {missing}; install them (Debian: apt-get install chromium chromium-driver)"
    options = webdriver.ChromeOptions()
    options.binary_location = programs["chromium"] or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    arguments = ["--headless=new", "--hide-scrollbars", "--disable-dev-shm-usage", "--force-device-scale-factor=1"]
    if os.geteuid() == 0:
        # Chromium has no sandbox for root, as which CI runs.
        arguments.append("--no-sandbox")
    for argument in arguments:
        options.add_argument(argument)
    driver = webdriver.Chrome(options, Service(programs["chromedriver"]))
    try:
        wide, high = driver.execute_script("return [outerWidth - innerWidth, outerHeight - innerHeight]")
        driver.set_window_size(width + wide, height + high)
        yield driver
    finally:
        driver.quit()


def text_of(driver: WebDriver, name: str) -> str:
    """Text of the element with this id."""
    return driver.find_element(By.ID, name).text


def wait_for(driver: WebDriver, name: str, part: str) -> str:
    """Wait until the element with this id has ``part`` in its text, which is returned."""
    WebDriverWait(driver, SECONDS).until(lambda driver: part in text_of(driver, name), f"{name} without '{part}'")
    return text_of(driver, name)


def draw(driver: WebDriver, strokes: Sequence[Sequence[Sequence[float]]]) -> None:
    """Draw strokes of points 0..1 with the mouse."""
    pad = driver.find_element(By.ID, "pad")
    size = pad.size["width"]
    for stroke in strokes:
        mouse = ActionChains(driver, duration=5)
        for number, (x, y) in enumerate(stroke):
            mouse.move_to_element_with_offset(pad, round((x - 0.5) * size), round((y - 0.5) * size))
            if number == 0:
                mouse.click_and_hold()
        mouse.release().perform()


def teach(driver: WebDriver, label: int) -> None:
    """Press the button of a class."""
    driver.find_elements(By.CSS_SELECTOR, "#classes button")[label].click()


def painted(driver: WebDriver, name: str) -> int:
    """Pixels of the canvas with this id that were painted in a colour other than white and grey."""
    count: int = driver.execute_script(
        """const canvas = document.getElementById(arguments[0]);
        const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        let count = 0;
        for (let i = 0; i < data.length; i += 4) {
          const colours = [data[i], data[i + 1], data[i + 2]];
          count += data[i + 3] > 0 && Math.max(...colours) - Math.min(...colours) > 40;
        }
        return count;""",
        name,
    )
    return count
