"""Folders and lists of recordings as other systems leave and write them."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from recorded import dat, written
from test_recordings import HEADER3, packet3

from opzo.host.data.events.gesture import Gesture, read_gestures
from opzo.host.data.events.recorded_data_sets import load_recorded_data
from opzo.host.data.recordings.folders import recordings_of_folder
from opzo.host.data.recordings.lists import recordings_of_list
from opzo.spec.errors import OpzoError

CONTENT = dat((0, 1, 2, 1))
LITTER = (".DS_Store", "._1.dat", "Thumbs.db", "desktop.ini", ".hidden.dat")


def folders(base: Path, *names: str, content: bytes = CONTENT) -> Path:
    for name in names:
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_bytes(content)
    return base


def names(folder: Path) -> list[tuple[str, int, str]]:
    return [(str(one.path.relative_to(folder)), one.label, one.part) for one in recordings_of_folder(folder)[0]]


def test_what_operating_systems_leave_is_no_recording(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    base = folders(tmp_path, "left/1.dat", "left/10.dat", "left/2.dat", "right/1.DAT")
    folders(
        base, *LITTER, *(f"left/{name}" for name in LITTER), "__MACOSX/left/._1.dat", "__MACOSX/1.dat", content=b"x"
    )
    assert names(base) == [("left/1.dat", 0, ""), ("left/2.dat", 0, ""), ("left/10.dat", 0, ""), ("right/1.DAT", 1, "")]
    assert recordings_of_folder(base)[1] == ["left", "right"]
    assert not caplog.text


def test_what_is_skipped_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    base = folders(tmp_path, "a/1.dat", "c/1.dat", "a/deep/2.dat", "a/deep/3.dat", "4.dat", "a/notes.docx")
    folders(base, "b/empty.dat", content=b"")
    assert names(base) == [("a/1.dat", 0, ""), ("c/1.dat", 1, "")]
    told = [record.getMessage().split(": ", 1)[1] for record in caplog.records]
    assert told == [
        "skipped 1 files outside any class folder, the first: 4.dat",
        "skipped 2 files nested deeper than CLASS/NAME, the first: a/deep/2.dat",
        "skipped 1 files without suffix .aedat, .aedat4, .bin, .dat, .h5, .hdf5, .raw, the first: a/notes.docx",
        "skipped 1 empty files, the first: b/empty.dat",
        "skipped 1 folders without recordings, which are not classes, the first: b",
    ]


def test_parts_in_any_case_and_what_lies_next_to_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    base = folders(tmp_path, "Train/0/1.dat", "TEST/0/2.dat", "extra/0/3.dat")
    assert names(base) == [("Train/0/1.dat", 0, "train"), ("TEST/0/2.dat", 0, "test")]
    assert "skipped 1 entries next to train and test, the first: extra" in caplog.text
    shutil.rmtree(base / "TEST")
    with pytest.raises(OpzoError, match="has only Train; it needs train and test, or neither"):
        recordings_of_folder(base)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], r"no recordings in class folders; arrange them as .*/\[train\|test/\]CLASS/NAME"),
        (["1.dat"], r"but some directly in it \(1\.dat: give a single recording with --label N\)"),
        (["data/left/1.dat"], r"but elsewhere \(data/left/1\.dat: give the folder that contains the class folders\)"),
        (["__MACOSX/left/1.dat", "left/._1.dat"], "no recordings in class folders; arrange"),
        (["64/1.dat"], "label 64; number classes from 0 to 63"),
        (["1/1.dat", "01/1.dat"], "two folders for the same label"),
    ],
)
def test_folders_without_recordings_where_they_belong(tmp_path: Path, files: list[str], message: str) -> None:
    with pytest.raises(OpzoError, match=message):
        recordings_of_folder(folders(tmp_path, *files))


def test_unreadable_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OpzoError, match=r"cannot read .*/absent: No such file"):
        recordings_of_folder(tmp_path / "absent")
    with pytest.raises(OpzoError, match=r"cannot read .*/a\.dat: Not a directory"):
        recordings_of_folder(folders(tmp_path, "a.dat") / "a.dat")
    folders(tmp_path, "left/1.dat")
    entries = Path.iterdir

    def forbidden(path: Path) -> Iterator[Path]:
        if path.name == "left":
            raise PermissionError(13, "Permission denied", str(path))
        return entries(path)

    monkeypatch.setattr(Path, "iterdir", forbidden)
    with pytest.raises(OpzoError, match=r"cannot read .*/left: Permission denied; check its path and permissions"):
        recordings_of_folder(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        b"a.dat,0\nb.dat,1\n",
        b"\xef\xbb\xbfa.dat,0\r\nb.dat,1\r\n",
        b"file;label\r\na.dat;0\r\n\r\nb.dat;1",
        '\ufefffile\tlabel\na.dat\t0\n"b.dat"\t 1\n'.encode("utf-16-le"),
        "\ufeffa.dat,0\r\nb.dat,1\r\n".encode("utf-16-be"),
        "# Zürich\nPath, Label\n a.dat , 0 \n  # c.dat,2\nb.dat,1\n".encode("latin-1"),
        b"a.dat,0\rb.dat,1\r",
    ],
)
def test_lists_as_other_systems_write_them(tmp_path: Path, text: bytes) -> None:
    folders(tmp_path, "a.dat", "b.dat")
    found = recordings_of_list(written(tmp_path, "list.csv", text))
    assert [(one.path.name, one.label, one.part) for one in found] == [("a.dat", 0, ""), ("b.dat", 1, "")]


def test_list_with_parts_and_folders_of_windows(tmp_path: Path) -> None:
    folders(tmp_path, "left/ä 1.dat", "b,c.dat")
    path = written(tmp_path, "list.txt", 'left\\ä 1.dat,0,TRAIN\n"b,c.dat",1,test\n'.encode())
    found = recordings_of_list(path)
    assert [(str(one.path.relative_to(tmp_path)), one.part) for one in found] == [
        ("left/ä 1.dat", "train"),
        ("b,c.dat", "test"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "lists no recordings"),
        (b"file,label\n", "lists no recordings"),
        (b"a.dat,left\n", "line 1: 'a.dat,left' is not FILE,LABEL"),
        (b"a.dat,0\nfile,label\n", "line 2: 'file,label' is not FILE,LABEL"),
        (b"a.dat,-1\n", "line 1"),
        (b"a.dat,64\n", "line 1"),
        (b"a.dat," + b"9" * 5000, "line 1"),
        (b"a.dat,0,0,0\n", "line 1"),
        (b"a.dat,0,dev\n", "there is no part 'dev'"),
        (b"a.dat,0,\x1b[31m\n", r"there is no part '\\x1b\[31m'"),
        (b"#\n\nb\x1b[31m.dat,0\n", r"line 3: there is no file 'b\\x1b\[31m\.dat' in "),
        (b"a\0.dat,0\n", "is not a text file"),
        (b"\xff\xfea", "damaged text at byte 2"),
        (b"\x80\x02}q\x00", "is not a text file"),
    ],
)
def test_wrong_lists(tmp_path: Path, text: bytes, message: str) -> None:
    folders(tmp_path, "a.dat")
    with pytest.raises(OpzoError, match=message):
        recordings_of_list(written(tmp_path, "list.csv", text))


HEAD = "class,startTime_usec,endTime_usec"


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}\n1,5,9\n11,9,20\n".encode(),
        f"\ufeff{HEAD}\r\n1,5,9\r\n11,9,20\r\n\r\n".encode(),
        f"{HEAD}\n1,5,9\n11,9,20\n".replace(",", ";").encode(),
        f'"{HEAD}"\n1,5,9\n11, 9, 20\n'.replace(",s", '","s').replace(",e", '","e').encode("utf-16"),
        b"1,5,9\n11,9,20\n",
    ],
)
def test_labels_of_gestures_as_other_systems_write_them(tmp_path: Path, text: bytes) -> None:
    assert read_gestures(written(tmp_path, "a_labels.csv", text)) == [Gesture(0, 5, 9), Gesture(10, 9, 20)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no gestures"),
        (f"{HEAD}\n", "lists no gestures"),
        (
            "class,endTime_usec,startTime_usec\n1,9,5\n",
            "does not start with the line class,startTime_usec,endTime_usec",
        ),
        (f"{HEAD}\n1,5\n", r"line 2: '1,5' is not three whole numbers"),
        (f"{HEAD}\n\n\n1,5,\x1b[0m\n", r"line 4: '1,5,\\x1b\[0m' is not three"),
        (f"{HEAD}\n12,5,9\n", "class 12 from 5 to 9 us"),
        (f"{HEAD}\n1,9,9\n", "class 1 from 9 to 9 us"),
    ],
)
def test_wrong_labels_of_gestures(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(OpzoError, match=message):
        read_gestures(written(tmp_path, "a_labels.csv", text.encode()))


@pytest.mark.parametrize("where", ["NMNIST", "", "NMNIST/Train"])
def test_nmnist_a_folder_higher_or_deeper(where: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    event = bytes((1, 2, 0x80, 0, 9))
    for part in ("Train", "Test"):
        deeper = where.replace("Train", part)
        for label in ("0", "9"):
            folders(tmp_path / deeper / part, f"{label}/00001.bin", content=event)
        folders(tmp_path / deeper / part, "0/._00001.bin", ".DS_Store", content=b"x")
        folders(tmp_path / deeper / part, "0/00002.bin", content=b"")
    with caplog.at_level(logging.WARNING):
        train, test = load_recorded_data("nmnist", tmp_path)
    assert (train.y.tolist(), test.y.tolist()) == ([0, 9], [0, 9])
    assert "skipped 1 empty files, the first: 0/00002.bin" in caplog.text
    folders(tmp_path / where.replace("Train", "Test") / "Test", "cats/1.bin", content=event)
    with pytest.raises(OpzoError, match=r"files that are not part of nmnist \(cats/1\.bin\)"):
        load_recorded_data("nmnist", tmp_path)


def test_gestures_of_ibm_with_files_of_windows(tmp_path: Path) -> None:
    base = tmp_path / "DvsGesture"
    recording = HEADER3 + packet3([(t, t % 128, 5, 1) for t in range(0, 4000, 10)])
    for part, user in (("train", "user01_led"), ("test", "user24_led")):
        folders(base, f"{user}.aedat", content=recording)
        written(base, f"{user}_labels.csv", f"\ufeff{HEAD}\r\n1,0,1000\r\n11,2000,3000\r\n".encode())
        written(base, f"trials_to_{part}.txt", f"\ufeff{user}.aedat\r\n".encode())
    train, test = load_recorded_data("dvs-gesture", tmp_path)
    assert (train.y.tolist(), test.y.tolist(), train.steps) == ([0, 10], [0, 10], 20)
    # Gestures are cut out by the clock: it may not be mended.
    jumped = HEADER3 + packet3([(t + 10**8 * (t > 900), 1, 5, 1) for t in range(0, 4000, 10)])
    folders(base, "user24_led.aedat", content=jumped)
    with pytest.raises(
        OpzoError, match=r"user24_led\.aedat: the clock jumps ahead, from 900 to 100000910 us at event 91"
    ):
        load_recorded_data("dvs-gesture", tmp_path)
