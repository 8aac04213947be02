"""Finding files, downloading them from a loopback server, unpacking: each failure is told and leaves nothing behind."""

import hashlib
import http.server
import io
import os
import shutil
import socket
import stat
import threading
import zipfile

import pytest

from jaxrec.data.datasets import _download as download
from jaxrec.data.datasets._archives import safe_unpack
from jaxrec.data.datasets._download import File, Source, obtain
from jaxrec.errors import DownloadError, MissingFileError

TEXT = b"0 1 2\n1 0\n"


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def zipped(members, **infos):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, data in members.items():
            made.writestr(infos.get(name, name), data)
    return buffer.getvalue()


class Server:
    """An HTTP server on a free port of the loopback address.

    `files` are served by path; a path in `cut` breaks off after that many bytes; `requests` lists what was asked for.
    """

    def __init__(self):
        self.files, self.cut, self.requests = {}, {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append(self.path)
                data = outer.files.get(self.path)
                if data is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: outer.cut.get(self.path)])

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv(download.ENVIRONMENT, raising=False)
    server = Server()
    yield server
    server.close()


@pytest.fixture
def plain(server):
    """A source of two files with an address each."""
    server.files = {"/train.txt": TEXT, "/test.txt": b"0 3\n"}
    files = (
        File("train.txt", f"{server.address}/train.txt", sha256(TEXT), lines=2),
        File("test.txt", f"{server.address}/test.txt", "md5:" + hashlib.md5(b"0 3\n").hexdigest()),
    )
    return Source("toy", files)


@pytest.fixture
def archived(server):
    """A source of one zip archive."""
    server.files = {"/toy.zip": zipped({"toy/ratings.csv": "a,b\n1,2\n", "toy/README": "read me\n"})}
    archive = File("toy.zip", f"{server.address}/toy.zip", sha256(server.files["/toy.zip"]))
    return Source("toy", (File("ratings.csv", lines=2),), archive)


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def fetch(source, cache, **options):
    return obtain(source, cache_dir=cache, retries=0, **options)


def test_files_are_downloaded_once(plain, server, tmp_path):
    cache = tmp_path / "cache"
    folder = fetch(plain, cache)
    assert folder == cache / "toy"
    assert (folder / "train.txt").read_bytes() == TEXT
    assert (folder / "train.txt").stat().st_mode & stat.S_IRGRP  # a cache that several users share
    assert everything_in(cache) == ["toy", "toy/test.txt", "toy/train.txt"]
    assert fetch(plain, cache) == folder
    assert fetch(plain, cache, download=False) == folder
    assert server.requests == ["/train.txt", "/test.txt"]


def test_an_archive_is_downloaded_and_unpacked_once_without_its_folder(archived, server, tmp_path):
    folder = fetch(archived, tmp_path)
    assert everything_in(tmp_path) == ["toy", "toy/README", "toy/ratings.csv"]
    assert (folder / "ratings.csv").read_text() == "a,b\n1,2\n"
    fetch(archived, tmp_path)
    assert server.requests == ["/toy.zip"]


def test_a_download_is_silent(plain, tmp_path, capfd):
    fetch(plain, tmp_path)
    assert capfd.readouterr() == ("", "")


def test_refused_connection(plain, tmp_path):
    with socket.socket() as probe:  # a port that nobody listens on
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    source = Source("toy", (File("train.txt", f"http://127.0.0.1:{port}/train.txt"),))
    with pytest.raises(
        DownloadError, match=rf"download of http://127.0.0.1:{port}/train.txt failed: connection refused; "
    ):
        fetch(source, tmp_path)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("which", ["plain", "archived"])
def test_connection_cut_in_the_middle(which, server, tmp_path, request):
    source = request.getfixturevalue(which)
    path = list(server.files)[-1]
    server.cut[path] = len(server.files[path]) // 2
    with pytest.raises(DownloadError, match=f"{path} failed: the connection was cut before the end; put"):
        fetch(source, tmp_path)
    assert everything_in(tmp_path) == []
    del server.cut[path]
    assert fetch(source, tmp_path).is_dir()


def test_a_cut_connection_is_tried_again(plain, server, tmp_path):
    server.cut["/train.txt"] = 3
    with pytest.raises(DownloadError, match=r"cut before the end \(3 tries\)"):
        obtain(plain, cache_dir=tmp_path, retries=2, wait=0)
    assert server.requests == ["/train.txt"] * 3


def test_wrong_hash_names_both_values_and_is_not_tried_again(plain, server, tmp_path):
    server.files["/test.txt"] = b"0 4\n"
    expected = plain.files[1].hash
    found = "md5:" + hashlib.md5(b"0 4\n").hexdigest()
    match = f"/test.txt: test.txt is not the published file: its hash is {found}, expected {expected}; nothing was kept"
    with pytest.raises(DownloadError, match=match):
        obtain(plain, cache_dir=tmp_path, retries=2, wait=0)
    assert everything_in(tmp_path) == []
    assert server.requests == ["/train.txt", "/test.txt"]


def test_wrong_hash_of_an_archive_is_found_before_it_is_opened(archived, server, tmp_path):
    server.files["/toy.zip"] = zipped({"../evil.txt": "x"})
    with pytest.raises(DownloadError, match=r"toy.zip is not the published file: its hash is .*, expected "):
        fetch(archived, tmp_path)
    assert everything_in(tmp_path) == []


def test_wrong_number_of_lines_names_both_values(archived, server, tmp_path):
    source = Source("toy", (File("ratings.csv", lines=5),), archived.archive)
    match = "ratings.csv is not the release that this name stands for: it has 2 lines, expected 5; nothing was kept"
    with pytest.raises(DownloadError, match=match):
        fetch(source, tmp_path)
    assert everything_in(tmp_path) == []


def test_an_archive_without_the_wanted_file(archived, tmp_path):
    source = Source("toy", (File("movies.csv"),), archived.archive)
    with pytest.raises(DownloadError, match=r"/toy.zip holds no movies.csv; put movies.csv into"):
        fetch(source, tmp_path)
    assert everything_in(tmp_path) == []


def test_a_missing_page(server, tmp_path):
    source = Source("toy", (File("train.txt", f"{server.address}/none.txt"),))
    match = r"none.txt failed: the server answered 404 Not Found; put train.txt into .*toy by hand"
    with pytest.raises(DownloadError, match=match):
        obtain(source, cache_dir=tmp_path, retries=2, wait=0)
    assert server.requests == ["/none.txt"]
    assert everything_in(tmp_path) == []


def test_no_answer_in_time(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/train.txt"
        with pytest.raises(DownloadError, match="failed: no answer in time"):
            fetch(Source("toy", (File("train.txt", address),)), tmp_path, timeout=0.1)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_unpack_leaves_nothing(error, archived, tmp_path, monkeypatch):
    def broken(read, write, size):
        write.write(read.read(1))
        raise error

    monkeypatch.setattr(shutil, "copyfileobj", broken)
    expected, match = (DownloadError, "No space left") if isinstance(error, OSError) else (KeyboardInterrupt, None)
    with pytest.raises(expected, match=match):
        fetch(archived, tmp_path)
    assert everything_in(tmp_path) == []


def test_an_unwritable_cache_is_told(plain, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match=r"the cache folder .*file/cache cannot be made"):
        fetch(plain, tmp_path / "file" / "cache")


def test_an_incomplete_cache_is_completed(plain, tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "train.txt").write_bytes(TEXT)
    fetch(plain, tmp_path)
    assert everything_in(tmp_path) == ["toy", "toy/test.txt", "toy/train.txt"]


def put(place, **files):
    (place / "toy").mkdir(parents=True)
    for name, data in files.items():
        (place / "toy" / f"{name}.txt").write_bytes(data)
    return place


def test_folders_are_searched_in_their_order(plain, server, tmp_path, monkeypatch):
    argument, variable, cache = (put(tmp_path / name, train=TEXT, test=b"0 3\n") for name in ("a", "v", "c"))
    monkeypatch.setenv(download.ENVIRONMENT, str(variable))
    assert fetch(plain, cache, data_dir=argument) == argument / "toy"
    assert fetch(plain, cache) == variable / "toy"
    assert fetch(plain, cache, data_dir=tmp_path) == variable / "toy"
    monkeypatch.delenv(download.ENVIRONMENT)
    assert fetch(plain, cache) == cache / "toy"
    assert server.requests == []


def test_a_damaged_file_in_a_folder_is_named(plain, tmp_path):
    put(tmp_path, train=TEXT, test=b"0 4\n")
    with pytest.raises(
        DownloadError, match=r"toy/test.txt is not the published file: its hash is md5:\w+, expected md5"
    ):
        fetch(plain, tmp_path / "cache", data_dir=tmp_path)


def test_another_accepted_hash_and_a_last_line_without_end(tmp_path):
    put(tmp_path, train=b"0 1\n1 0")
    file = File("train.txt", hash=sha256(TEXT), also=(sha256(b"0 1\n1 0"),), lines=2)
    assert fetch(Source("toy", (file,)), tmp_path / "cache", data_dir=tmp_path) == tmp_path / "toy"


def test_missing_folders_and_files_are_told(plain, tmp_path):
    with pytest.raises(MissingFileError, match="data_dir is 'nowhere', which is not a folder"):
        fetch(plain, tmp_path, data_dir="nowhere")
    with pytest.raises(
        MissingFileError, match=r"toy is not in .*; put train.txt, test.txt into .*, or allow the download"
    ):
        fetch(plain, tmp_path, download=False)
    put(tmp_path, train=TEXT)
    with pytest.raises(MissingFileError, match=r"toy lacks test.txt; add the files"):
        fetch(plain, tmp_path / "cache", data_dir=tmp_path)


def test_the_cache_folder_follows_the_platform(monkeypatch, tmp_path):
    if os.name == "posix" and os.uname().sysname == "Linux":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert download.cache_folder() == tmp_path / "jaxrec"


def special(name, mode):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


UNSAFE = {
    "parent": zipped({"toy/ok.txt": "x", "toy/../../evil.txt": "x"}),
    "absolute": zipped({"/etc/evil.txt": "x"}),
    "drive": zipped({"C:/evil.txt": "x"}),
    "backslash": zipped({"toy\\..\\evil.txt": "x"}),
    "link": zipped({"toy/link": "/etc/passwd"}, **{"toy/link": special("toy/link", stat.S_IFLNK | 0o777)}),
    "pipe": zipped({"toy/pipe": ""}, **{"toy/pipe": special("toy/pipe", stat.S_IFIFO | 0o666)}),
    "dot": zipped({".": "x"}),
}


@pytest.mark.parametrize("kind", UNSAFE)
def test_unsafe_members_are_refused_before_anything_is_written(kind, server, tmp_path):
    server.files = {"/toy.zip": UNSAFE[kind]}
    source = Source("toy", (File("ok.txt"),), File("toy.zip", f"{server.address}/toy.zip"))
    cache = tmp_path / "inner" / "cache"
    with pytest.raises(DownloadError, match=r"/toy.zip failed: toy.zip has an unsafe member .*; nothing of it"):
        fetch(source, cache)
    assert everything_in(tmp_path) == ["inner", "inner/cache"]


@pytest.mark.parametrize("names", [["a.txt", "A.TXT"], ["a", "a/b"], ["a/b", "a"]])
def test_members_that_take_one_place_twice_are_refused(names, tmp_path):
    (tmp_path / "toy.zip").write_bytes(zipped(dict.fromkeys(names, "x")))
    with pytest.raises(DownloadError, match="twice; nothing of it was unpacked"):
        safe_unpack(tmp_path / "toy.zip", tmp_path / "toy")
    assert everything_in(tmp_path) == ["toy.zip"]


def test_limits_of_size_and_number(tmp_path):
    (tmp_path / "toy.zip").write_bytes(zipped({"a": "x" * 60, "b": "y" * 60}))
    for limits in ({"max_bytes": 119}, {"max_members": 1}):
        with pytest.raises(DownloadError, match="would unpack to 2 members and 120 bytes; at most"):
            safe_unpack(tmp_path / "toy.zip", tmp_path / "toy", **limits)
    safe_unpack(tmp_path / "toy.zip", tmp_path / "toy", max_bytes=120, max_members=2)
    assert everything_in(tmp_path / "toy") == ["a", "b"]
    with pytest.raises(DownloadError, match="toy exists already"):
        safe_unpack(tmp_path / "toy.zip", tmp_path / "toy")


@pytest.mark.parametrize("data", [b"no archive", zipped({"a": "x" * 99})[:-30], b""])
def test_a_damaged_archive_is_told(data, tmp_path):
    (tmp_path / "toy.zip").write_bytes(data)
    with pytest.raises(DownloadError, match=r"toy.zip could not be unpacked: "):
        safe_unpack(tmp_path / "toy.zip", tmp_path / "toy")
    assert everything_in(tmp_path) == ["toy.zip"]


def test_a_member_with_a_wrong_checksum_is_told(tmp_path):
    data = zipped({"a": "content"}).replace(b"content", b"CONTENT")
    (tmp_path / "toy.zip").write_bytes(data)
    with pytest.raises(DownloadError, match=r"toy.zip could not be unpacked: Bad CRC-32"):
        safe_unpack(tmp_path / "toy.zip", tmp_path / "toy")
    assert everything_in(tmp_path) == ["toy.zip"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_archive_is_one_line_wherever_the_damage_is(tmp_path, method):
    path = tmp_path / "toy.zip"
    with zipfile.ZipFile(path, "w", method) as made:
        made.writestr("toy/a.txt", "1 2 3\n" * 5)
        made.writestr("toy/b.txt", "4 5\n" * 5)
    content, unpacked, told = path.read_bytes(), 0, []
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        try:
            safe_unpack(path, tmp_path / f"{at}")
            unpacked += 1
        except DownloadError as error:
            told.append(str(error))
    assert not any("\n" in message for message in told)
    assert unpacked < len(content) / 2  # times, versions and the like are not damage
    assert len(list(tmp_path.iterdir())) == unpacked + 1


def test_an_archive_that_unpacks_to_over_a_hundred_times_its_size_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "toy.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.txt", bytes(70 << 20))
    with pytest.raises(DownloadError, match=r"would unpack to 1 members and 73,400,320 bytes; at most 10,000 and"):
        safe_unpack(tmp_path / "toy.zip", tmp_path / "toy")
    with zipfile.ZipFile(tmp_path / "toy.zip", "w") as made:
        made.writestr("a/" * 20_000 + "b", "")
    with pytest.raises(DownloadError, match="unsafe member 'a/a/") as caught:
        safe_unpack(tmp_path / "toy.zip", tmp_path / "toy")
    assert len(str(caught.value)) < 300
