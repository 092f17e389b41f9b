"""Reading of a recording in any of the supported formats.

The format is detected by the first bytes of the file, else by its suffix.

=========================  ============================  ==================================================
Format                     Detected by                   Reader
=========================  ============================  ==================================================
AEDAT 3.1 (DVS-Gesture)    #!AER-DAT3.1                  host/data/recordings/aedat.py, with NumPy
AEDAT 4                    #!AER-DAT4.0                  host/data/recordings/aedat.py, with the library aedat
RAW (EVT 2.0, EVT 3.0)     % evt, % format EVT           host/data/recordings/prophesee.py, with NumPy
DAT (versions 0 to 2)      % Data file containing, .dat  host/data/recordings/prophesee.py, with NumPy
HDF5 (Prophesee, DSEC)     89 48 44 46 0d 0a 1a 0a       host/data/recordings/hdf5.py, with h5py
N-MNIST, N-Caltech101      .bin                          this module, with NumPy
=========================  ============================  ==================================================

Files are read completely into memory. Events keep the addresses of the file; an address outside the sensor is an
error. Jumps of the clock are removed with a warning (``clock``). The modules of the formats list what they skip. In
N-MNIST files an event with y = 240 marks an overflow of the time and adds 8192 us to all later events.
"""

from pathlib import Path

import numpy as np

from opzo.host.data.recordings.aedat import AEDAT3_MAGIC, AEDAT4_MAGIC, read_aedat3, read_aedat4
from opzo.host.data.recordings.hdf5 import HDF5_MAGIC, read_hdf5
from opzo.host.data.recordings.prophesee import begins_header, read_prophesee
from opzo.host.data.recordings.recording import RawEvents, Recording, byte_places, check
from opzo.spec.errors import OpzoError
from opzo.system.bounds import check_memory

__all__ = ["SUFFIXES", "Recording", "read_recording"]

# Suffixes of recordings in lower case.
SUFFIXES = frozenset({".aedat", ".aedat4", ".raw", ".dat", ".bin", ".h5", ".hdf5"})

OTHERS = {
    b"#!AER-DAT1": "AEDAT 1, which cannot be read",
    b"#!AER-DAT2": "AEDAT 2, which cannot be read: convert it with jAER or DV",
    b"Event Stream": "Event Stream, which cannot be read: convert it to AEDAT or DAT",
    b"PK": "packed as zip: unpack it, or name it .npz if it is an event file",
    b"\x1f\x8b": "packed by gzip: unpack it",
    b"BZh": "packed by bzip2: unpack it",
    b"\xfd7zXZ": "packed by xz: unpack it",
    b"\x28\xb5\x2f\xfd": "packed by zstd: unpack it",
    b"version https://git-lfs": "a pointer of Git LFS: fetch the file itself with git lfs pull",
    b"<": "a web page: download the file itself",
}
"""Other formats that users may give, by their first bytes."""
MEMORY_RATIO = 25
"""Peak memory of decoding per byte of the file, as measured for all formats but EVT 3.0."""
NMNIST_BYTES = 5
NMNIST_SENSOR = (34, 34)
NMNIST_OVERFLOW_ROW = 240
NMNIST_OVERFLOW_US = 1 << 13


def read_recording(
    path: Path,
    sensor: tuple[int, int] | None = None,
    camera: str | None = None,
    *,
    look: bool = False,
    mend_clock: bool = True,
) -> Recording:
    """Read a recording in any of the formats above.

    OpzoError, with the byte or event, if the file is unreadable, empty, damaged or in an unknown format, if an address
    is outside the sensor, or if the sensor size is unknown.

    Parameters
    ----------
    path : Path
    sensor : (width, height) or None
        Sensor size, for files that do not give it. None: 34 x 34 for .bin. OpzoError if the file gives another size.
    camera : str or None
        Camera to read from a file with several: number of the source or stream in AEDAT, path of the events in HDF5.
        None: the first one, with a warning.
    look : bool
        Accept a file without a sensor size; the recording is then not ``named``.
    mend_clock : bool
        Remove jumps of the clock with a warning; otherwise they are an OpzoError.
    """
    raw, sensor = _read(path, sensor, camera)
    recording = check(path, raw, sensor, mend_clock=mend_clock)
    if not recording.named and not look:
        raise OpzoError(
            f"{path}: the file does not give the sensor size, which determines the addresses of the events; give it "
            f"with --sensor WxH (the events need at least {recording.width}x{recording.height})"
        )
    return recording


def _read(path: Path, sensor: tuple[int, int] | None, camera: str | None) -> tuple[RawEvents, tuple[int, int] | None]:
    """Events as in the file, and the sensor size: the one given, or that of the format."""
    try:
        if path.exists() and not path.is_dir() and not path.is_file():
            raise OpzoError(f"cannot read {path}: it is a device or a pipe, not a file; give a file")
        with path.open("rb") as file:
            if file.read(len(HDF5_MAGIC)) == HDF5_MAGIC:
                return read_hdf5(path, camera), sensor
            file.seek(0)
            check_memory(str(path), MEMORY_RATIO * path.stat().st_size)
            data = file.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OpzoError(f"cannot read {path}: {reason}; check the path") from None
    if data.startswith(AEDAT3_MAGIC):
        raw = read_aedat3(path, data, camera)
    elif data.startswith(AEDAT4_MAGIC):
        raw = read_aedat4(path, data, camera)
    elif camera is not None:
        raise OpzoError(f"{path}: files of this format have a single camera; leave out --camera")
    elif begins_header(data):
        raw = read_prophesee(path, data)
    elif path.suffix.lower() == ".bin":
        raw, sensor = _read_nmnist(path, data), sensor or NMNIST_SENSOR
    else:
        known = next((f" ({words})" for begin, words in OTHERS.items() if data.startswith(begin)), "")
        raise OpzoError(
            f"{path}: unknown format: {data[:12].hex(' ') or 'nothing'} at byte 0{known}; give AEDAT 3.1 or 4, "
            "Prophesee RAW (EVT 2.0 or 3.0) or DAT, HDF5, or N-MNIST (.bin)"
        )
    return raw, sensor


def _read_nmnist(path: Path, data: bytes) -> RawEvents:
    """Decode events of five bytes: x, y, then polarity (1 bit) and time in us (23 bits), big-endian."""
    rest = len(data) % NMNIST_BYTES
    if rest:
        raise OpzoError(
            f"{path}: truncated: {rest} of {NMNIST_BYTES} bytes at byte {len(data) - rest}; copy the file again"
        )
    columns = np.frombuffer(data, np.uint8).reshape(-1, NMNIST_BYTES).astype(np.int64)
    x, y, upper, middle, lower = columns.T
    overflow = y == NMNIST_OVERFLOW_ROW
    t = ((upper & 0x7F) << 16 | middle << 8 | lower) + NMNIST_OVERFLOW_US * np.cumsum(overflow)
    keep = np.flatnonzero(~overflow)
    return RawEvents(t[keep], x[keep], y[keep], upper[keep] >> 7, None, byte_places(NMNIST_BYTES * keep))
