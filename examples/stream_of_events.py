"""Learn in a stream of events without epochs or stored samples: python examples/stream_of_events.py

Spikes come at random, but inputs 0..31 are busier in class 0, and inputs 32..63 in class 1.
"""

import numpy as np

import opzo

rng = np.random.default_rng(0)
network = opzo.Network("64-32-2", steps=10, input="spikes")
model = opzo.Model(network, opzo.connect("fast", network), seed=0)
stream = model.stream(rate=60)
correct = []
for sample in range(300):
    label = sample % 2
    probability = np.where(np.arange(64) // 32 == label, 0.25, 0.1)
    for learning in (False, True):
        # The answer first, without the label; then the same events again, to learn from.
        stream.label, stream.learning = (label if learning else None), learning
        for _ in range(10):
            stream.step(np.flatnonzero(rng.random(64) < probability))
        if not learning:
            correct.append(stream.decision().prediction == label)
    stream.reset()
print(f"correct: {np.mean(correct[:50]):.0%} of the first 50, {np.mean(correct[-50:]):.0%} of the last 50")
