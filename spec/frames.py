"""Frames of the link, and how they travel in a byte stream.

Byte layer
    Frames are separated as in SLIP (RFC 1055): END (0xC0), escaped bytes, END. In a frame, END is written ESC ESC_END
    (0xDB 0xDC) and ESC is written ESC ESC_ESC (0xDB 0xDD). An empty frame is silently dropped, so noise between frames
    costs nothing. ESC followed by any other byte makes the frame corrupt.

Frame
    Before escaping, a frame is the fields of the table, little-endian. A frame is malformed where it is shorter than
    8 bytes, its len differs from its size, its payload is longer than 1,024 bytes towards the device, an escape is
    invalid or the crc is wrong. The device answers a malformed frame with a NAK, which has the reason, and does nothing
    else.
"""

import struct
import zlib
from typing import NamedTuple

END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD
_END, _ESC = bytes([END]), bytes([ESC])
_ESCAPED = {bytes([ESC_END]): _END, bytes([ESC_ESC]): _ESC}
_ESCAPED_END, _ESCAPED_ESC = bytes([ESC, ESC_END]), bytes([ESC, ESC_ESC])

LAYOUT = (
    ("0-1", "len", "bytes of payload"),
    ("2", "seq", "sequence number, counts modulo 256"),
    ("3", "code", "Command; in replies Command + 0x80, or 0xFF for a NAK"),
    ("4-", "data", "payload"),
    ("last 4", "crc", "CRC-32 (IEEE 802.3, as zlib.crc32) of all bytes before it"),
)
"""Bytes, name and meaning of the fields of a frame before escaping."""
HEADER = struct.Struct("<HBB")
"""len, seq, code."""
CRC = struct.Struct("<I")
OVERHEAD = HEADER.size + CRC.size
MAX_BODY = 0xFFFF + OVERHEAD
"""Bytes of the longest frame whose len can be right, before escaping."""
MAX_PAYLOAD = 1024
"""Largest payload towards the device. Replies to READ_MEMORY may be as long as rows x lanes x 2 + 1."""


class Frame(NamedTuple):
    """One frame without escapes and crc."""

    seq: int
    code: int
    data: bytes = b""

    def encode(self) -> bytes:
        """Bytes on the wire, END to END."""
        body = HEADER.pack(len(self.data), self.seq, self.code) + self.data
        body += CRC.pack(zlib.crc32(body))
        return _END + body.replace(_ESC, _ESCAPED_ESC).replace(_END, _ESCAPED_END) + _END

    @classmethod
    def decode(cls, body: bytes) -> "Frame | None":
        """Frame of the unescaped bytes between two ENDs; None where it is malformed (size or crc)."""
        if len(body) < OVERHEAD:
            return None
        size, seq, code = HEADER.unpack_from(body)
        if len(body) != size + OVERHEAD or CRC.unpack(body[-CRC.size :])[0] != zlib.crc32(body[: -CRC.size]):
            return None
        return cls(seq, code, body[HEADER.size : -CRC.size])


class Unescape:
    """Split a byte stream into unescaped frame bodies; keeps what is incomplete for the next call.

    Parameters
    ----------
    max_body : int
        Bytes above which a body is given up; it then comes out as None, like one with a bad escape. No more is kept
        than these bytes escaped, however many arrive without an END.
    """

    def __init__(self, max_body: int = MAX_BODY) -> None:
        self._max_body = max_body
        # Two bytes on the wire make at least one of the body: what is longer is given up, whatever follows.
        self._max_rest = 2 * max_body + 1
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes | None]:
        """Bodies that end in ``data``, None for a corrupt one; empty ones are dropped."""
        *complete, rest = (self._rest + data).split(_END)
        self._rest = rest[: self._max_rest]
        return [self._unescape(escaped) for escaped in complete if escaped]

    def _unescape(self, escaped: bytes) -> bytes | None:
        first, *others = escaped.split(_ESC)
        parts = [first]
        for part in others:
            if part[:1] not in _ESCAPED:
                return None
            parts += (_ESCAPED[part[:1]], part[1:])
        body = b"".join(parts)
        return None if len(body) > self._max_body else body
