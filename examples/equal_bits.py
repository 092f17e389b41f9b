"""Train the same network on two devices and compare every weight: python examples/equal_bits.py [DEVICE] [DEVICE]

The default is the golden model and the compiled model. With rtl it is the simulated chip, which is compiled first.
"""

import sys

import numpy as np

import opzo

data = opzo.load_data("digits")
network = opzo.Network("64-16-10", steps=4, local=1)
devices = sys.argv[1:3] if len(sys.argv) > 2 else ["golden", "fast"]
weights = []
for name in devices:
    model = opzo.Model(network, opzo.connect(name, network, lanes=4), seed=0)
    model.partial_fit(data.train[:100])
    weights.append(model.weights)
for layer, (one, other) in enumerate(zip(*weights, strict=True)):
    print(f"layer {layer}: {np.count_nonzero(one != other)} of {one.size} weights differ")
