"""Readers of recordings of event cameras, and of lists of them."""

import io
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np

from fuzzing.mutated import Change, damaged
from fuzzing.reader import Read, Reader
from fuzzing.structured import changed_array, either, in_words
from opzo.host.data.events.binning import Binning
from opzo.host.data.events.gesture import read_gestures
from opzo.host.data.events.recorded_data_sets import _read_gesture_copy
from opzo.host.data.recordings.lists import recordings_of_list
from opzo.host.data.recordings.readers import read_recording
from opzo.host.data.recordings.unpacked import LZ4_MAGIC, ZSTANDARD_MAGIC
from opzo.spec.errors import OpzoError

SIDE_MAX = 128
"""Sensors larger than this are read, but not converted to time steps, which takes memory by their size."""
EVENTS = ((7, 6, 0, 1), (7, 0, 4, 0), (70_000, 5, 3, 1))
"""Time, column, row and polarity."""


def _use(path: Path) -> None:
    recording = read_recording(path, look=True)
    if recording.named and max(recording.width, recording.height) <= SIDE_MAX:
        Binning(10).sample(recording)


def named(path: Path, read: Callable[[Path], object]) -> Read:
    """Reader of bytes by a reader of files, whose errors must name the file."""

    def read_bytes(content: bytes) -> None:
        path.write_bytes(content)
        try:
            read(path)
        except OpzoError as error:
            if str(path) not in str(error):
                raise AssertionError(f"the message does not name the file: {error}") from error
            raise

    return read_bytes


def _good(
    name: str, *good: bytes, read: Callable[[Path], object] = _use
) -> Callable[[Path], tuple[Sequence[bytes], Read]]:
    return lambda folder: (good, named(folder / name, read))


def aedat3() -> bytes:
    """A header, and three packets: polarity events of one camera, special events, polarity events of another one."""
    header = (
        b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#Start-Time: 2026-01-01 00:00:00\r\n#!END-HEADER\r\n"
    )
    body = b"".join(struct.pack("<II", x << 17 | y << 2 | p << 1 | 1, t) for t, x, y, p in EVENTS)
    packets = ((1, 1), (0, 1), (1, 2))
    return header + b"".join(
        struct.pack("<hhiiiiii", kind, source, 8, 4, 1, 3, 3, 3) + body for kind, source in packets
    )


def _lz4(content: bytes) -> bytes:
    """A frame with one block that is stored."""
    return LZ4_MAGIC + b"\x60\x40\x82" + struct.pack("<I", 1 << 31 | len(content)) + content + bytes(4)


def _zstandard(content: bytes) -> bytes:
    """A frame of up to 255 bytes with one block that is stored."""
    return ZSTANDARD_MAGIC + bytes((0x20, len(content))) + (len(content) << 3 | 1).to_bytes(3, "little") + content


PACKINGS: dict[int, Callable[[bytes], bytes]] = {0: bytes, 1: _lz4, 3: _zstandard}
"""By number of the compression."""


def aedat4(compression: int) -> bytes:
    """Two streams in a file without a table of packets."""
    nodes = "".join(
        f'<node name="{number}" path="/o/{number}/"><attr key="compression" type="string">NONE</attr>'
        '<attr key="typeIdentifier" type="string">EVTS</attr>'
        f'<node name="info" path="/o/{number}/info/"><attr key="sizeX" type="int">7</attr>'
        '<attr key="sizeY" type="int">5</attr></node></node>'
        for number in range(2)
    )
    info = f'<dv version="2.0"><node name="outInfo" path="/o/">{nodes}</node></dv>'.encode()
    # FlatBuffers: a root, offsets of the fields, and the fields compression, table and text.
    header = struct.pack("<I4s5H2xiiiq", 20, b"IOHE", 10, 20, 4, 12, 8, 12, compression, 12, -1)
    header += struct.pack("<I", len(info)) + info + b"\0"
    packet = struct.pack("<I4s3H2xiI4xI", 16, b"EVTS", 6, 8, 4, 8, 8, len(EVENTS))
    packet += b"".join(struct.pack("<qhhB3x", t, x, y, p) for t, x, y, p in EVENTS)
    packed = PACKINGS[compression](struct.pack("<I", len(packet)) + packet)
    packets = (struct.pack("<ii", stream, len(packed)) + packed for stream in (0, 1))
    return b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(header)) + header + b"".join(packets)


def evt2() -> bytes:
    """Words of 32 bits: upper time, events, a trigger."""
    words = [8 << 28 | 1, *(p << 28 | (t & 63) << 22 | x << 11 | y for t, x, y, p in EVENTS), 0xA << 28, 8 << 28 | 2]
    return b"% evt 2.0\n% geometry 7x5\n% end\n" + struct.pack(f"<{len(words)}I", *words)


def evt3() -> bytes:
    """Words of 16 bits: upper time, lower time, row, event, base of vectors, vectors of 12 and of 8."""
    words = (0x8001, 0x6005, 0x0003, 0x2805, 0x3001, 0x4009, 0x5003, 0x8002, 0x6001, 0x2001)
    return b"% evt 3.0\n% format EVT3;height=20;width=30\n% end\n" + struct.pack(f"<{len(words)}H", *words)


def dat(version: int) -> bytes:
    """Time and address in 32 bits each; up to version 1 the address has another layout."""
    low_y, low_p = (9, 17) if version < 2 else (14, 28)
    header = f"% Data file containing CD events.\n% Version {version}\n% Width 7\n% Height 5\n".encode()
    return header + b"\x0c\x08" + b"".join(struct.pack("<II", t, p << low_p | y << low_y | x) for t, x, y, p in EVENTS)


def nmnist() -> bytes:
    """Events of five bytes, and one that marks an overflow of the time."""
    records = ((x, y, p << 7 | t >> 16, t >> 8 & 0xFF, t & 0xFF) for t, x, y, p in (*EVENTS, (9, 1, 240, 0)))
    return bytes(value for record in records for value in record)


def hdf5(folder: Path, **options: object) -> bytes:
    """Datasets in a group, as DSEC has them."""
    with h5py.File(folder / "new.h5", "w") as file:
        for name, values in zip("txyp", np.array(EVENTS, np.int64).T, strict=True):
            file.create_dataset(f"events/{name}", data=values, **options)
        file["t_offset"] = 5
        file.attrs.update(width=7, height=5)
    return (folder / "new.h5").read_bytes()


def hdf5_table(folder: Path) -> bytes:
    """One dataset with the fields, as Prophesee has it."""
    table = np.zeros(len(EVENTS), [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    for name, values in zip("txyp", np.array(EVENTS, np.int64).T, strict=True):
        table[name] = values
    with h5py.File(folder / "new.h5", "w") as file:
        file["CD/events"] = table
        file.attrs["geometry"] = "7x5"
    return (folder / "new.h5").read_bytes()


def in_hdf5(content: bytes, rng: np.random.Generator) -> bytes:
    """Another dataset or attribute in the place of one of a valid file: another type, shape, value or link."""
    with h5py.File(io.BytesIO(content), "r") as source:
        datasets: dict[str, object] = {}
        source.visititems(
            lambda name, item: datasets.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
        attributes = dict(source.attrs)
    file = io.BytesIO()
    with h5py.File(file, "w") as result:
        places = [*datasets, *attributes]
        chosen = places[int(rng.integers(len(places)))]
        for name, value in datasets.items():
            match int(rng.integers(8)) if name == chosen else 7:
                case 0:
                    pass
                case 1:
                    result.require_group(name)
                case 2:
                    result[name] = (h5py.SoftLink("/"), h5py.ExternalLink("a.h5", "/x"), h5py.Empty("f"))[
                        rng.integers(3)
                    ]
                case 3 | 4 | 5:
                    result[name] = changed_array(np.asarray(value), rng)
                case 6:
                    result.create_dataset(name, (1 << int(rng.integers(1, 60)),), "u8", chunks=(1,))
                case _:
                    result[name] = value
        for name, value in attributes.items():
            result.attrs[name] = changed_array(np.asarray(value), rng) if name == chosen else value
    return file.getvalue()


def _hdf5(make: Callable[..., bytes], **options: object) -> Callable[[Path], tuple[Sequence[bytes], Read]]:
    return lambda folder: ((make(folder, **options),), named(folder / "a.h5", _use))


def _list(folder: Path) -> tuple[Sequence[bytes], Read]:
    for name in ("a.dat", "b.dat"):
        (folder / name).write_bytes(b"x")
    good = (b"\xef\xbb\xbffile,label\r\na.dat,0\r\nb.dat,1\r\n", b"a.dat;0;train\n# b\nb.dat;1;test\n")
    return (*good, "a.dat\t3\n".encode("utf-16")), named(folder / "list.csv", recordings_of_list)


def _array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([[127, 0, 1, 1], [0, 127, 0, 2], [64, 64, 1, 40]], float))
    return file.getvalue()


def _in_array(content: bytes, rng: np.random.Generator) -> bytes:
    file = io.BytesIO()
    np.save(file, changed_array(np.load(io.BytesIO(content)), rng))
    return file.getvalue()


GESTURES = (b"class,startTime_usec,endTime_usec\n1,5,9\n11,10,20\n",)
TEXT: Change = either(damaged, in_words, in_words)
FILES: Change = either(damaged, in_hdf5)
READERS = (
    Reader("aedat3", _good("a.aedat", aedat3()), 10_000),
    Reader("aedat4", _good("a.aedat4", *map(aedat4, PACKINGS)), 12_000),
    Reader("evt2", _good("a.raw", evt2()), 10_000, either(damaged, damaged, in_words)),
    Reader("evt3", _good("a.raw", evt3()), 10_000, either(damaged, damaged, in_words)),
    Reader("dat", _good("a.dat", dat(2), dat(1)), 10_000, either(damaged, damaged, in_words)),
    Reader("nmnist", _good("a.bin", nmnist()), 8_000),
    Reader("hdf5", _hdf5(hdf5), 800, FILES, guided=False),
    Reader("hdf5-packed", _hdf5(hdf5, chunks=(2,), compression="gzip", shuffle=True), 400, guided=False),
    Reader("hdf5-table", _hdf5(hdf5_table), 500, FILES, guided=False),
    Reader("gesture-array", _good("a.npy", _array(), read=_read_gesture_copy), 5_000, either(damaged, _in_array)),
    Reader("gesture-labels", _good("a_labels.csv", *GESTURES, read=read_gestures), 5_000, TEXT),
    Reader("list", _list, 4_000, TEXT),
)
