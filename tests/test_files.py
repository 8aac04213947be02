"""Files that are written whole or not at all."""

import os
import stat
import subprocess
import sys

import pytest

from jaxrec import files
from jaxrec.errors import JaxrecError, OutputError
from jaxrec.files import temporary_of, whole_file, whole_text, write_whole


def test_a_file_is_replaced_at_the_end_and_not_before(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with whole_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
        assert len(list(tmp_path.iterdir())) == 2
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError(28, "No space left on device")])
def test_what_was_there_stays_if_the_block_fails(tmp_path, error):
    path = tmp_path / "a.csv"
    path.write_text("old")

    def write():
        with whole_text(path) as file:
            file.write("new" * 100_000)
            raise error

    with pytest.raises(OutputError if isinstance(error, OSError) else error):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_the_system_is_told_with_the_name_that_was_asked_for(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write .*/no/a.csv.: No such file or directory; nothing") as caught:
        write_whole(tmp_path / "no" / "a.csv", b"")
    assert isinstance(caught.value, JaxrecError)
    assert isinstance(caught.value, OSError)
    (tmp_path / "b").write_text("")
    with pytest.raises(OutputError, match="Not a directory"):
        write_whole(tmp_path / "b" / "a.csv", b"")


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
def test_a_link_is_not_followed_and_not_replaced(tmp_path, there):
    target, link = tmp_path / "precious", tmp_path / "a.csv"
    if there:
        target.write_text("mine")
    link.symlink_to(target)
    with pytest.raises(OutputError, match=r"a.csv. is a link to .*precious.; name the file itself"):
        write_whole(link, b"new")
    assert link.is_symlink()
    assert target.exists() == there
    assert not there or target.read_text() == "mine"


def test_a_folder_and_a_protected_file_are_refused(tmp_path, monkeypatch):
    with pytest.raises(OutputError, match="is a folder; name a file"):
        write_whole(tmp_path, b"")
    path = tmp_path / "a"
    path.write_text("mine")
    monkeypatch.setattr(os, "access", lambda *_: False)  # as it is for everybody but the superuser
    with pytest.raises(OutputError, match="is write-protected; name another file"):
        write_whole(path, b"")
    assert path.read_text() == "mine"


def test_a_device_is_written_to_and_never_replaced(tmp_path):
    write_whole(os.devnull, b"gone")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_permissions_stay(tmp_path):
    path = tmp_path / "a"
    path.write_text("")
    path.chmod(0o640)
    write_whole(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_name_of_255_bytes_can_be_written(tmp_path):
    path = tmp_path / ("ä" * 125 + ".json")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


PROGRAM = """
import os, signal, sys
from jaxrec.files import whole_file
with whole_file(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_goes_with_the_next_write_and_other_files_stay(tmp_path):
    path, other = tmp_path / "a.csv", tmp_path / ".b.csv.1234567-0a1b2c3d.tmp"
    path.write_text("old")
    other.write_text("of another file")
    subprocess.run([sys.executable, "-c", PROGRAM, str(path)], check=False, timeout=60)
    (left,) = (entry for entry in tmp_path.iterdir() if entry not in (path, other))
    assert temporary_of(left.name) == "a.csv"
    assert left.read_text() == "half"
    assert path.read_text() == "old"
    write_whole(path, b"new")
    assert sorted(tmp_path.iterdir()) == sorted([path, other])


def test_what_a_living_process_writes_is_left_alone(tmp_path):
    path = tmp_path / "a.csv"
    with whole_file(path) as first:
        first.write(b"first")
        with whole_file(path) as second:  # in one process too
            second.write(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"


def test_bytes_reach_the_disk_before_the_name_does(tmp_path, monkeypatch):
    done = []
    real = {"fsync": os.fsync, "replace": os.replace}
    monkeypatch.setattr(files.os, "fsync", lambda d: done.append(stat.S_ISDIR(os.fstat(d).st_mode)) or real["fsync"](d))
    monkeypatch.setattr(files.os, "replace", lambda *names: done.append("rename") or real["replace"](*names))
    write_whole(tmp_path / "a", b"")
    assert done == [False, "rename", True]  # the file, its name, and the folder


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (".arrays.npz.99", "arrays.npz"),
        (".learning_curve.12.png", "learning_curve.png"),
        (".probe.7", "probe"),
        (".a.b.1-00112233.tmp", "a.b"),
        ("a.1", None),
        (".a", None),
        (".a.x", None),
        (".log.jsonl.0123456789012345.jsonl", None),
    ],
)
def test_temporary_names_of_all_versions_are_known(name, expected):
    assert temporary_of(name) == expected
