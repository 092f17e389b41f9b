"""Frames of the link, and how they travel in a byte stream.

Byte layer (RFC 1055, SLIP)
    A frame is sent as END, escaped bytes, END: END is written ESC ESC_END, ESC is written ESC ESC_ESC. An empty frame
    is silently dropped, so noise between frames costs nothing. ESC followed by any other byte spoils the frame.

Frame (before escaping; little-endian)
    ======  ====  =======================================================================
    bytes   name  meaning
    ======  ====  =======================================================================
    0-1     len   bytes of payload, 0..MAX_PAYLOAD towards the device
    2       seq   sequence number, counts modulo 256
    3       code  Command; in replies Command | REPLY, or NAK
    4...    data  payload
    last 4  crc   CRC-32 (zlib.crc32) of all bytes before it
    ======  ====  =======================================================================
    A frame shorter than OVERHEAD, whose len differs from its size, longer than MAX_PAYLOAD + OVERHEAD, spoilt by a
    bad escape, or with a wrong crc is answered by NAK (with the reason) and has no other effect.
"""

import struct
import zlib
from dataclasses import dataclass

END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD
_ESCAPED = {bytes([ESC_END]): bytes([END]), bytes([ESC_ESC]): bytes([ESC])}

HEADER = struct.Struct("<HBB")
CRC = struct.Struct("<I")
OVERHEAD = HEADER.size + CRC.size
MAX_PAYLOAD = 1024
"""Largest payload towards the device. Replies to READ_MEMORY may be as long as rows x lanes x 2 + 1."""


@dataclass(frozen=True)
class Frame:
    """One frame without escapes and crc."""

    seq: int
    code: int
    data: bytes = b""

    def encode(self) -> bytes:
        """Bytes on the wire, END to END."""
        body = HEADER.pack(len(self.data), self.seq, self.code) + self.data
        body += CRC.pack(zlib.crc32(body))
        body = body.replace(bytes([ESC]), bytes([ESC, ESC_ESC])).replace(bytes([END]), bytes([ESC, ESC_END]))
        return bytes([END]) + body + bytes([END])

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
    max_body : int or None
        Bytes above which a body is given up; it then comes out as None, like one with a bad escape.
    """

    def __init__(self, max_body: int | None = None) -> None:
        self._max_body = max_body
        # Two bytes on the wire make at least one of the body: what is longer is given up, whatever follows.
        self._max_rest = None if max_body is None else 2 * max_body + 1
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes | None]:
        """Bodies that end in ``data``, None for a spoilt one; empty ones are dropped."""
        *whole, rest = (self._rest + data).split(bytes([END]))
        self._rest = rest[: self._max_rest]
        return [self._unescape(escaped) for escaped in whole if escaped]

    def _unescape(self, escaped: bytes) -> bytes | None:
        first, *others = escaped.split(bytes([ESC]))
        parts = [first]
        for part in others:
            if part[:1] not in _ESCAPED:
                return None
            parts += (_ESCAPED[part[:1]], part[1:])
        body = b"".join(parts)
        return None if self._max_body is not None and len(body) > self._max_body else body
