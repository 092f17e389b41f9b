"""Recordings of event cameras in the formats of their makers and data sets.

The content tells the format, where it begins with the mark of one; else the suffix does.

=========================  ============================  ==================================================
Format                     Told by                       Read by
=========================  ============================  ==================================================
AEDAT 3.1 (DVS-Gesture)    #!AER-DAT3.1                  host/data/recordings/aedat.py, with NumPy
AEDAT 4                    #!AER-DAT4.0                  host/data/recordings/aedat.py, with the library aedat
RAW (EVT 2.0, EVT 3.0)     % evt, % format EVT           host/data/recordings/prophesee.py, with NumPy
DAT (versions 0 to 2)      % Data file containing, .dat  host/data/recordings/prophesee.py, with NumPy
HDF5 (Prophesee, DSEC)     89 48 44 46 0d 0a 1a 0a       host/data/recordings/hdf5.py, with h5py
N-MNIST, N-Caltech101      .bin                          here, with NumPy
=========================  ============================  ==================================================

Every file is read as a whole into memory. Events keep the addresses of the file; addresses outside the sensor are
errors. Jumps of the clock are taken out, with a warning (``clock``). What else each format tolerates stands in its
module; for N-MNIST: the events with y = 240, which mark an overflow of time and add 8192 us to all later events.
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

# Suffixes of recordings, in lower case.
SUFFIXES = frozenset({".aedat", ".aedat4", ".raw", ".dat", ".bin", ".h5", ".hdf5"})

OTHERS = {
    b"#!AER-DAT1": "AEDAT 1, which cannot be read",
    b"#!AER-DAT2": "AEDAT 2, which cannot be read: convert it with jAER or DV",
    b"Event Stream": "Event Stream, which cannot be read: convert it to AEDAT or DAT",
    b"PK": "packed as zip: unpack it, or name it .npz where it is a file of events",
    b"\x1f\x8b": "packed by gzip: unpack it",
    b"BZh": "packed by bzip2: unpack it",
    b"\xfd7zXZ": "packed by xz: unpack it",
    b"\x28\xb5\x2f\xfd": "packed by zstd: unpack it",
    b"version https://git-lfs": "a pointer of Git LFS: fetch the file itself with git lfs pull",
    b"<": "a page of the web: download the file itself",
}
"""What else is taken for recordings, by how it begins."""
BYTES_A_BYTE = 25
"""Memory that decoding takes at the same time, for each byte of a file; measured, EVT 3.0 apart."""
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
    """Recording in a file of any of the formats above.

    OpzoError, with the byte or event, where the file cannot be read, is of no known format, damaged or empty, where an
    address lies outside the sensor, and where nobody tells the size of the sensor.

    Parameters
    ----------
    path : Path
    sensor : (width, height) or None
        Size of the sensor, for files that do not name it. None: 34 x 34 for .bin. OpzoError where the file names
        another size.
    camera : str or None
        Camera of a file with several: number of the source or stream in AEDAT, path of its events in HDF5. None: the
        first one, with a warning.
    look : bool
        Take a file without the size of its sensor too; what is returned is then not ``named``.
    mend_clock : bool
        Take out jumps of the clock, with a warning; else they are an OpzoError.
    """
    raw, sensor = _read(path, sensor, camera)
    recording = check(path, raw, sensor, mend_clock=mend_clock)
    if not recording.named and not look:
        raise OpzoError(
            f"{path}: the file does not say the size of the sensor, which decides the addresses of its events; give it "
            f"with --sensor WxH (the events need {recording.width}x{recording.height} or more)"
        )
    return recording


def _read(path: Path, sensor: tuple[int, int] | None, camera: str | None) -> tuple[RawEvents, tuple[int, int] | None]:
    """Events as the file has them, and the size of the sensor that was given or that the format has."""
    try:
        if path.exists() and not path.is_dir() and not path.is_file():
            raise OpzoError(f"cannot read {path}: it is a device or a pipe, not a file; give a file")
        with path.open("rb") as file:
            if file.read(len(HDF5_MAGIC)) == HDF5_MAGIC:
                return read_hdf5(path, camera), sensor
            file.seek(0)
            check_memory(str(path), BYTES_A_BYTE * path.stat().st_size)
            data = file.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OpzoError(f"cannot read {path}: {reason}; check the path") from None
    if data.startswith(AEDAT3_MAGIC):
        raw = read_aedat3(path, data, camera)
    elif data.startswith(AEDAT4_MAGIC):
        raw = read_aedat4(path, data, camera)
    elif camera is not None:
        raise OpzoError(f"{path}: a file of this format holds one camera; leave out --camera")
    elif begins_header(data):
        raw = read_prophesee(path, data)
    elif path.suffix.lower() == ".bin":
        raw, sensor = _read_nmnist(path, data), sensor or NMNIST_SENSOR
    else:
        known = next((f" ({words})" for begin, words in OTHERS.items() if data.startswith(begin)), "")
        raise OpzoError(
            f"{path}: no known recording: {data[:12].hex(' ') or 'nothing'} at byte 0{known}; give AEDAT 3.1 or 4, "
            "Prophesee RAW (EVT 2.0 or 3.0) or DAT, HDF5, or N-MNIST (.bin)"
        )
    return raw, sensor


def _read_nmnist(path: Path, data: bytes) -> RawEvents:
    """Five bytes an event: x, y, then polarity (1 bit) and time in us (23 bits), big-endian."""
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
