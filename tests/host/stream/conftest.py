"""A trained network for the tests of streams."""

from pathlib import Path

import pytest
from stream_network import NAMES, NETWORK

from opzo.host.driver.device import open_device
from opzo.host.training.config import Hyperparameters
from opzo.host.training.trainer import Trainer


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "network.npz"
    with open_device("golden", NETWORK, 4) as device:
        trainer = Trainer(device, NETWORK, Hyperparameters(rate=200))
        trainer.class_names = NAMES
        trainer.checkpoint({"device": "golden", "lanes": 4}).save(path)
    return path
