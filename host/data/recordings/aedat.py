"""Readers of AEDAT 3.1 (used by DVS-Gesture) and AEDAT 4 (used by the DV software).

AEDAT 3.1 is read with NumPy, because tonic 1.7 treats packets of all kinds as polarity events and ignores wraps of the
time. The size of the sensor is that of the camera named in a header line such as "#Source 1: DVS128". Packets of other
kinds and events marked as invalid are skipped.

AEDAT 4 is read with the library aedat. The library follows header offsets without a check and stops silently at a
truncated packet, so both are checked first. Only the first stream of events is read unless another is chosen.
"""

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.data.recordings.recording import RawEvents, byte_places, choose_camera
from opzo.host.data.recordings.unpacked import LZ4_MAGIC, ZSTANDARD_MAGIC, unpacked_bound
from opzo.spec.errors import OpzoError
from opzo.spec.messages import reason
from opzo.system.bounds import check_memory

AEDAT3_MAGIC, AEDAT4_MAGIC = b"#!AER-DAT3.1\r\n", b"#!AER-DAT4.0\r\n"
END_OF_HEADER = b"#!END-HEADER\r\n"
# Kind, source, event size, offset of the time in an event, wraps of the time, capacity, events, valid events.
PACKET3 = struct.Struct("<hhiiiiii")
POLARITY_KIND, POLARITY_BYTES, TIME_BITS = 1, 8, 31
# Sensor sizes by prefix of the camera's name, in upper case.
SENSORS = {
    "DVS128": (128, 128),
    "DVS240": (240, 180),
    "DAVIS128": (128, 128),
    "DAVIS208": (208, 192),
    "DAVIS240": (240, 180),
    "DAVIS346": (346, 260),
    "DAVIS640": (640, 480),
}
# Header of a packet of AEDAT 4: stream and size.
PACKET4 = struct.Struct("<iI")
# Magic number of a packet's content, by number of the compression.
COMPRESSIONS = {0: b"", 1: LZ4_MAGIC, 2: LZ4_MAGIC, 3: ZSTANDARD_MAGIC, 4: ZSTANDARD_MAGIC}
# Bytes of size, root and identifier, which the library reads without checking the size of the packet.
CONTENT_MIN = 12
# Unpacked packets larger than this many bytes are checked against memory.
LARGE = 1 << 26


def read_aedat3(path: Path, data: bytes, camera: str | None = None) -> RawEvents:
    """Events of an AEDAT 3.1 file with this content; OpzoError if it is damaged."""
    position = data.find(END_OF_HEADER) + len(END_OF_HEADER)
    if position < len(END_OF_HEADER):
        raise OpzoError(f"{path}: no line {END_OF_HEADER.decode().strip()} after byte 0; copy the file again")
    header = data[:position]
    encoding = re.search(rb"#Format: *(\w+)", header)
    if encoding and encoding[1] != b"RAW":
        raise OpzoError(
            f"{path}: format {encoding[1].decode()} in the header at byte {encoding.start()}; only RAW can be read: "
            "record it in that format"
        )
    sources: dict[int, list[tuple[int, int, int]]] = {}
    while position < len(data):
        _require(path, data, position, PACKET3.size)
        kind, source, size, _, wrapped, capacity, count, _ = PACKET3.unpack_from(data, position)
        right_size = size == POLARITY_BYTES if kind == POLARITY_KIND else size > 0
        if kind < 0 or not right_size or wrapped < 0 or not 0 <= count <= capacity:
            raise OpzoError(f"{path}: invalid packet header at byte {position}; the file is damaged: copy it again")
        begin = position + PACKET3.size
        _require(path, data, begin, size * capacity)
        if kind == POLARITY_KIND:
            sources.setdefault(source, []).append((begin, count, wrapped))
        position = begin + size * capacity
    if not sources:
        raise OpzoError(f"{path}: no events; leave the file out or record it again")
    source = int(choose_camera(path, [str(number) for number in sorted(sources)], camera))
    packets = sources[source]
    sensor = _sensor3(header, source)
    address, time = np.concatenate(
        [np.frombuffer(data, "<u4", 2 * count, begin).reshape(-1, 2) for begin, count, _ in packets]
    ).T
    places = [begin + POLARITY_BYTES * np.arange(count) for begin, count, _ in packets]
    wraps = [np.full(count, wrapped, np.int64) for _, count, wrapped in packets]
    valid = (address & 1).astype(bool)
    address = address[valid]
    return RawEvents(
        t=(np.concatenate(wraps)[valid] << TIME_BITS) + time[valid],
        x=address >> 17,
        y=(address >> 2) & 0x7FFF,
        polarity=(address >> 1) & 1,
        sensor=sensor,
        place=byte_places(np.concatenate(places)[valid]),
    )


def _sensor3(header: bytes, source: int) -> tuple[int, int] | None:
    """Sensor size of the camera that the header names for this source; None if unknown.

    A header with a single camera may give it a different number than its packets.
    """
    cameras = re.findall(rb"#Source (\d+): *([A-Za-z0-9]+)", header)
    own = [name for number, name in cameras if len(cameras) == 1 or int(number) == source]
    sizes = {
        next((size for model, size in SENSORS.items() if name.upper().decode().startswith(model)), None) for name in own
    }
    return sizes.pop() if len(sizes) == 1 else None


def read_aedat4(path: Path, data: bytes, camera: str | None = None) -> RawEvents:
    """Events of an AEDAT 4 file with this content; OpzoError if it is damaged or the library aedat is missing."""
    used = _check_aedat4(path, data)
    try:
        import aedat
    except ImportError:
        raise OpzoError(f"{path}: AEDAT 4 needs the library aedat; pip install 'opzo[events]'") from None
    try:
        decoder = aedat.Decoder(str(path))
        streams = {number: one for number, one in decoder.id_to_stream().items() if one["type"] == "events"}
        if not streams:
            raise OpzoError(
                f"{path}: no stream of events in the header at byte {len(AEDAT4_MAGIC)}; record one with events"
            )
        if not used & set(streams):
            raise OpzoError(f"{path}: no events; leave the file out or record it again")
        first = int(choose_camera(path, [str(number) for number in sorted(used & set(streams))], camera))
        packets = _packets4(path, decoder, first)
    except BaseException as error:
        # The library panics on unexpected input; a PanicException is not an Exception.
        if not isinstance(error, RuntimeError) and type(error).__name__ != "PanicException":
            raise
        raise OpzoError(
            f"{path}: damaged, according to the library aedat: {reason(error)}; copy the file again"
        ) from None
    events = np.concatenate(packets)
    return RawEvents(
        t=events["t"].astype(np.int64),
        x=events["x"],
        y=events["y"],
        polarity=events["on"],
        sensor=(streams[first]["width"], streams[first]["height"]),
        place=lambda index: f"event {index}",
    )


def _packets4(path: Path, decoder: Any, stream: int) -> list[NDArray[Any]]:
    packets: list[NDArray[Any]] = []
    held = checked = 0
    for packet in decoder:
        if packet["stream_id"] == stream:
            packets.append(packet["events"])
            held += packets[-1].nbytes
            if held - checked > LARGE:
                checked = held
                # The packets, the joined array and the recording exist at the same time.
                check_memory(str(path), 3 * held)
    return packets


def _check_aedat4(path: Path, data: bytes) -> set[int]:
    """Check what the library does not check; return the streams that have packets."""
    used: set[int] = set()
    position = len(AEDAT4_MAGIC)
    try:
        (size,) = struct.unpack_from("<I", data, position)
        compression, table = _header4(data[position + 4 : position + 4 + size], size)
    except (struct.error, UnicodeDecodeError) as error:
        why = ", because its text is not UTF-8" if isinstance(error, UnicodeDecodeError) else ""
        raise OpzoError(f"{path}: no complete header of AEDAT 4 at byte {position}{why}; copy the file again") from None
    position += 4 + size
    if table >= 0 and not position <= table <= len(data):
        raise OpzoError(f"{path}: truncated: the packet table is expected at byte {table}; copy the file again")
    packets = data[:table] if table >= 0 else data
    while position < len(packets):
        _require(path, packets, position, PACKET4.size)
        stream, size = PACKET4.unpack_from(packets, position)
        used.add(stream)
        position += PACKET4.size
        _require(path, packets, position, size)
        magic = COMPRESSIONS.get(compression, b"")
        if size < CONTENT_MIN or packets[position : position + len(magic)] != magic:
            raise OpzoError(f"{path}: invalid packet content at byte {position}; the file is damaged: copy it again")
        unpacked = unpacked_bound(packets[position : position + size])
        if unpacked > LARGE:
            check_memory(f"{path}: the packet at byte {position}", 2 * unpacked)
        position += size
    return used


def _header4(header: bytes, size: int) -> tuple[int, int]:
    """Compression and offset of the packet table (-1: none); struct.error if an offset of the FlatBuffer is outside."""
    if len(header) < size or header[4:8] != b"IOHE":
        raise struct.error
    (root,) = struct.unpack_from("<I", header)
    fields = root - int(struct.unpack_from("<i", header, root)[0])
    if fields < 0:
        raise struct.error
    (fields_size,) = struct.unpack_from("<H", header, fields)
    compression, table, text = (
        root + struct.unpack_from("<H", header, fields + place)[0] if place < fields_size else root
        for place in (4, 6, 8)
    )
    if text != root:
        text += struct.unpack_from("<I", header, text)[0]
        text_size = struct.unpack_from("<I", header, text)[0]
        if text + 4 + text_size > size:
            raise struct.error
        # The library aborts the process if this text is not UTF-8.
        header[text + 4 : text + 4 + text_size].decode()
    return (
        int(struct.unpack_from("<i", header, compression)[0]) if compression != root else 0,
        int(struct.unpack_from("<q", header, table)[0]) if table != root else -1,
    )


def _require(path: Path, data: bytes, position: int, size: int) -> None:
    """OpzoError unless ``size`` bytes follow ``position``."""
    rest = len(data) - position
    if rest < size:
        raise OpzoError(f"{path}: truncated: {rest} of {size} bytes at byte {position}; copy the file again")
