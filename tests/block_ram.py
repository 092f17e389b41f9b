"""Model of the ECP5's block RAM in Python, for the bench of its Verilog."""


def binary(value, width):
    """Number as in the JSON."""
    return f"{value:0{width}b}"


class BlockRam:
    """Block RAM as 18,432 bits: a word of 9, 18 or 36 bits is as many in a row; narrower ones leave every ninth out."""

    def __init__(self, rng):
        self.bits = [rng.getrandbits(1) for _ in range(18432)]

    def places(self, width, address):
        if width >= 9:
            first = address // (width * 8 // 9 if width < 36 else 32) * width
            return [first + n for n in range(width)]
        start = address // width * width
        return [(start + n) // 8 * 9 + (start + n) % 8 for n in range(width)]

    def read(self, width, address):
        return sum(self.bits[place] << n for n, place in enumerate(self.places(width, address)))

    def write(self, width, address, value, enables):
        for n, place in enumerate(self.places(width, address)):
            if width < 18 or enables >> n // 9 & 1:
                self.bits[place] = value >> n & 1

    @property
    def parameters(self):
        parameters = {}
        for number in range(64):
            words = [self.bits[18 * n : 18 * n + 18] for n in range(16 * number, 16 * number + 16)]
            value = sum(bit << 20 * n + k for n, word in enumerate(words) for k, bit in enumerate(word))
            parameters[f"INITVAL_{number:02X}"] = binary(value, 320)
        return parameters


RAM_PINS = tuple((f"{name}{port}", width) for port in "AB" for name, width in (("DI", 18), ("AD", 14), ("CS", 3)))
RAM_PINS += tuple(f"{name}{port}" for port in "AB" for name in ("CE", "OCE", "CLK", "WE", "RST"))
MODES = ("NORMAL", "WRITETHROUGH", "READBEFOREWRITE")
