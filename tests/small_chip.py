"""Small chips simulated by many tests: few configurations, so that they share the compiled simulations."""

from dataclasses import replace

from opzo.spec.limits import Limits

SMALL_CHIP = Limits(lanes=4, rows=1024, inputs=256, words=8, classes=16)
NARROW_CHIP = replace(SMALL_CHIP, weight_bits=12)
STORE_CHIP = replace(SMALL_CHIP, store=1 << 16)
