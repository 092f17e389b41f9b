"""Train a network on the chip, test it and keep it: python examples/train_digits.py [DEVICE]

DEVICE is fast (default), golden, rtl or serial:/dev/ttyUSB0.
"""

import sys

import opzo

data = opzo.load_data("digits")
network = data.network()
model = opzo.Model(network, opzo.connect(sys.argv[1] if len(sys.argv) > 1 else "fast", network), seed=0)
model.fit(data, epochs=3)
print(f"accuracy: {model.score(data):.1%}")
model.save("digits.npz")
again = opzo.Model.load("digits.npz", "golden")
print(f"the first test images: {again.predict(data.test[:5]).tolist()}, right: {data.test.y[:5].tolist()}")
