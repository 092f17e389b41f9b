"""Teach a trained network what it has never seen, one image at a time: python examples/teach_by_hand.py"""

import numpy as np

import opzo

data = opzo.load_data("digits")
known = data.train.y != 9
network = data.network()
model = opzo.Model(network, opzo.connect("fast", network), seed=0)
model.fit(data.train[known], test=data.test, epochs=3)

nines = data.test[data.test.y == 9]
print(f"nines right before any was shown: {np.mean(model.predict(nines) == 9):.0%}")
for index in np.flatnonzero(~known)[:40]:
    # Each nine is followed by another digit, so that the others are not forgotten.
    for shown in (index, np.flatnonzero(known)[index % 1000]):
        model.partial_fit(data.train[shown : shown + 1], rate=60)
print(f"after 40 of them: {np.mean(model.predict(nines) == 9):.0%}; all digits: {model.score(data):.1%}")
