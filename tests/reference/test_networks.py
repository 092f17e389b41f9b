"""Networks of the reference: dropout, standardised filters, layers of ResNet-34."""

import pytest
import torch

from opzo.reference.methods.credit import DFA
from opzo.reference.methods.learner import Learner, Method
from opzo.reference.networks.networks import SampleDropout
from opzo.reference.networks.neuron import THRESHOLD
from opzo.reference.networks.resnet import resnet34
from opzo.reference.networks.synapses import SPIKE_VARIANCE, TracedConv2d

pytestmark = pytest.mark.usefixtures("double")


def test_dropout_is_the_same_in_all_steps_of_a_sample() -> None:
    dropout = SampleDropout(0.4)
    ones = torch.ones(50, 40)
    first = dropout(ones)
    assert torch.equal(first, dropout(ones))
    assert float((first == 0).double().mean()) == pytest.approx(0.4, abs=0.05)
    assert float(first.mean()) == pytest.approx(1, abs=0.1)
    dropout.reset()
    assert not torch.equal(first, dropout(ones))
    dropout.eval()
    assert torch.equal(dropout(ones), ones)


def test_filters_are_standardised_and_keep_the_variance() -> None:
    synapses = TracedConv2d(16, 200)
    weights = synapses.standardised().flatten(1)
    torch.testing.assert_close(weights.mean(1), torch.zeros(200), atol=1e-9, rtol=0)
    assert weights.pow(2).sum(1).mean().item() * SPIKE_VARIANCE == pytest.approx(1, abs=2e-3)
    spikes = (torch.randn(20, 16, 12, 12) >= THRESHOLD).double()
    assert float(spikes.var()) == pytest.approx(SPIKE_VARIANCE, rel=0.03)
    assert synapses(spikes)[..., 1:-1, 1:-1].var(0).mean().item() == pytest.approx(1, abs=0.1)


def test_resnet34_has_its_layers() -> None:
    torch.set_default_dtype(torch.float32)
    learner = Learner(resnet34((3, 64, 64), 1000), (3, 64, 64), Method("dfa"))
    convolutions = [p for p in learner.network.modules() if isinstance(p, TracedConv2d)]
    assert len([c for c in convolutions if c.weight.size(2) > 1]) + 1 == 34
    assert len(learner.layers) == 33
    assert isinstance(learner.credit, DFA)
    learner.gradients(torch.randn(2, 1, 3, 64, 64), torch.tensor([1, 2]))
    assert all(p.grad is not None for p in learner.network.parameters())
