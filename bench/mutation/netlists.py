"""Print a hash of the netlists of small chips: ``python -m mutation.netlists``

A mutant of gateware that leaves it as it was does not change these chips.
"""

import hashlib

from opzo.hw.export.convert import to_rtlil
from opzo.hw.top import Top
from opzo.spec.limits import Limits

CHIPS = (
    Limits(lanes=4, rows=300, inputs=3, words=5, classes=10, steps=7, weight_bits=12, layers=5, lanes_per_group=4),
    Limits(lanes=8, rows=400, inputs=20, words=4, classes=20, steps=8, layers=1, lanes_per_group=4),
    Limits(lanes=4, rows=4096, inputs=256, words=256, classes=12, layers=4, gradients=1024, blocks=128, block=4),
)

if __name__ == "__main__":
    digest = hashlib.sha256()
    for limits in CHIPS:
        digest.update(to_rtlil(Top(limits, 25_000), "top").encode())
    print(digest.hexdigest())
