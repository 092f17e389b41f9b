import signal
from pathlib import Path

import pytest
from chromium import SECONDS, chromium, draw, painted, teach, text_of, wait_for
from live_page import SEVEN, live
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = pytest.mark.browser


def test_watches_draws_and_teaches(tmp_path: Path) -> None:
    # More epochs than the test takes.
    with live(["--device", "fast", "--epochs", "3000"], tmp_path) as (process, address), chromium() as browser:
        browser.get(address)

        # Curves, spikes and weights appear while the network is in training.
        wait_for(browser, "state", "training: epoch")
        wait_for(browser, "title", "Training sample")
        for name in ("accuracy", "rates", "fields"):
            WebDriverWait(browser, SECONDS).until(lambda driver, name=name: painted(driver, name) > 50, name)
        assert "64 of 64 receptive fields" in text_of(browser, "fields-text")
        assert "spikes of 64 neurons" in text_of(browser, "layers")
        assert int(text_of(browser, "training-cycles").replace(",", "")) > 100
        browser.find_element(By.ID, "pause").click()
        wait_for(browser, "state", "paused in epoch")

        # A class can be taught once something is drawn.
        buttons = browser.find_elements(By.CSS_SELECTOR, "#classes button")
        assert [button.text for button in buttons] == list("0123456789")
        assert not any(button.is_enabled() for button in buttons)
        draw(browser, SEVEN)
        before = int(wait_for(browser, "answer", "%").split()[0])
        assert len(browser.find_elements(By.CSS_SELECTOR, "#bars li")) == 10
        other = (before + 3) % 10
        teach(browser, other)
        assert f"“{other}” learned" in wait_for(browser, "taught", "after")
        assert wait_for(browser, "answer", f"{other} (")
        assert int(text_of(browser, "taught-cycles").replace(",", "")) > 100
        browser.find_element(By.ID, "test").click()
        wait_for(browser, "tested", "right of all 359 test samples")
        browser.find_element(By.ID, "clear").click()
        assert text_of(browser, "answer") == ""
        browser.find_element(By.ID, "pause").click()
        wait_for(browser, "state", "training: epoch")

        # Another page joins under another name of this computer, asks in the middle of training, and leaves.
        first = browser.current_window_handle
        browser.switch_to.new_window("tab")
        browser.get(address.replace("127.0.0.1", "localhost"))
        wait_for(browser, "state", "training: epoch")
        draw(browser, [[[0.5, 0.5]]])
        wait_for(browser, "answer", "%")
        assert browser.get_log("browser") == []
        browser.get(address[:-3] + "xx/")
        assert "wrong token" in browser.page_source
        browser.close()
        browser.switch_to.window(first)
        wait_for(browser, "state", "training: epoch")

        # An open page does not hold the end up, and says what happened.
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
        wait_for(browser, "state", "not connected")
