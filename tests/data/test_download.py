"""Downloading, against a server on this machine that can be told to misbehave."""

import hashlib
import http.server
import os
import re
import socket
import threading
import time

import numpy as np
import pytest
from filelock import FileLock
from torchvision import datasets as vision

from bnn_geometry import data
from bnn_geometry.data import download
from bnn_geometry.data.standards import STANDARDS
from bnn_geometry.errors import UserError

CONTENT = np.random.default_rng(0).bytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serve ``server.files`` in the manner of ``server.behaviour``; note each request."""

    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.requests.append((self.path, asked))
        assert self.headers["Accept-Encoding"] == "identity"
        content = server.files.get(self.path)
        if content is None or server.behaviour == "error":
            self.answer(404 if content is None else 503, {})
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0
        if server.behaviour == "ignore range" or not asked:
            start, status, headers = 0, 200, {}
        elif start >= len(content):
            self.answer(416, {"Content-Range": f"bytes */{len(content)}"})
            return
        else:
            shift = 7 if server.behaviour == "other range" else 0
            span = f"bytes {start - shift}-{len(content) - 1}/{len(content)}"
            status, headers = 206, {"Content-Range": span}
        body = content[start:]
        if server.behaviour == "encoded":
            headers["Content-Encoding"] = "gzip"  # as some servers say of every .gz file
        if server.behaviour != "no length":
            headers["Content-Length"] = str(len(body))
        self.answer(status, headers, body[: 100_000 if server.behaviour == "break off" else None])

    def answer(self, status, headers, body=b""):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.files, server.requests, server.behaviour = {"/file": CONTENT}, [], ""
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("BNN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data"


@pytest.fixture
def target(root):
    return root / "folder" / "file.gz"


@pytest.fixture
def part(target):
    """Leave the first 1,000 bytes of an interrupted download."""
    target.parent.mkdir(parents=True)
    part = target.with_name("file.gz.part")
    part.write_bytes(CONTENT[:1000])
    return part


@pytest.fixture
def closed_port():
    """Give the address of a port where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def get(server, target, **options):
    return download.download([f"{server.url}/file"], target, MD5, **options)


def sentence(error):
    text = str(error.value)
    assert "\n" not in text
    return text


def test_download_arrives_whole_and_leaves_no_part(server, target, capsys):
    assert get(server, target) == target
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"downloading {server.url}/file\n"


def test_progress_can_be_silenced(server, target, capsys):
    get(server, target, progress=False)
    assert capsys.readouterr().err == ""


def test_progress_bar_on_a_terminal(server, target, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    get(server, target)
    err = capsys.readouterr().err
    assert "file.gz: 100%" in err
    assert "downloading" not in err


@pytest.mark.parametrize("behaviour", ["no length", "encoded"])
def test_unusual_answers_arrive_whole(server, target, behaviour):
    server.behaviour = behaviour
    get(server, target)
    assert target.read_bytes() == CONTENT


def test_present_and_right_is_not_downloaded_again(server, target):
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT)
    assert get(server, target) == target
    assert server.requests == []


def test_present_but_wrong_is_replaced(server, target):
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT[:-1])
    get(server, target)
    assert target.read_bytes() == CONTENT


def test_interrupted_download_is_resumed(server, target, part):
    get(server, target)
    assert target.read_bytes() == CONTENT
    assert server.requests == [("/file", "bytes=1000-")]
    assert not part.exists()


@pytest.mark.parametrize("behaviour", ["ignore range", "other range"])
def test_ignored_or_misunderstood_range_starts_again(server, target, part, behaviour):
    server.behaviour = behaviour
    get(server, target)
    assert target.read_bytes() == CONTENT
    assert len(server.requests) == (1 if behaviour == "ignore range" else 2)


def test_part_that_is_complete_is_taken(server, target, part):
    part.write_bytes(CONTENT)
    get(server, target)
    assert target.read_bytes() == CONTENT
    assert server.requests == [("/file", f"bytes={len(CONTENT)}-")]


def test_part_that_is_too_long_is_started_again(server, target, part):
    part.write_bytes(CONTENT + b"more")
    get(server, target)
    assert target.read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [f"bytes={len(CONTENT) + 4}-", None]


@pytest.mark.parametrize("spoilt", ["server", "part"])
def test_wrong_md5_deletes_the_part_and_says_so(server, target, part, spoilt):
    if spoilt == "server":
        server.files["/file"] = CONTENT[:-1] + b"\0"
    else:
        part.write_bytes(bytes(1000))
    with pytest.raises(UserError, match="wrong md5 and was deleted") as error:
        get(server, target)
    assert "try again" in sentence(error)
    assert not part.exists()
    assert not target.exists()
    if spoilt == "part":
        get(server, target)
        assert target.read_bytes() == CONTENT


def test_connection_that_breaks_off_is_resumed_next_time(server, target):
    server.behaviour = "break off"
    with pytest.raises(UserError, match="the connection broke off") as error:
        get(server, target)
    part = target.with_name("file.gz.part")
    assert part.read_bytes() == CONTENT[:100_000]
    assert f"{part} is kept and the same command resumes it" in sentence(error)
    server.behaviour = ""
    get(server, target)
    assert target.read_bytes() == CONTENT
    assert server.requests[-1] == ("/file", "bytes=100000-")


def test_no_connection_is_a_sentence(closed_port, target, part, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(UserError, match="no connection") as error:
        download.download([f"{closed_port}/file"], target, MD5)
    for words in ("file.gz", closed_port, f"{part} is kept", "resumes", "stand-in"):
        assert words in sentence(error)
    assert part.read_bytes() == CONTENT[:1000]


def test_silent_server_times_out(target, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "TIMEOUT", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/file"
        start = time.monotonic()
        with pytest.raises(UserError, match="no answer in time"):
            download.download([url], target, MD5)
        assert time.monotonic() - start < 4


def test_server_error_is_named(server, target):
    server.behaviour = "error"
    with pytest.raises(UserError, match="the server answered 503"):
        get(server, target)


def test_second_mirror_continues_where_the_first_failed(server, closed_port, target, part):
    urls = [f"{closed_port}/file", f"{server.url}/missing", f"{server.url}/file"]
    download.download(urls, target, MD5)
    assert target.read_bytes() == CONTENT
    assert server.requests[-1] == ("/file", "bytes=1000-")


def test_second_mirror_replaces_a_wrong_file(server, target):
    server.files["/wrong"] = CONTENT[::-1]
    download.download([f"{server.url}/wrong", f"{server.url}/file"], target, MD5)
    assert target.read_bytes() == CONTENT


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a full disk")
def test_full_disk_is_a_sentence(server, target):
    target.parent.mkdir(parents=True)
    target.with_name("file.gz.part").symlink_to("/dev/full")
    with pytest.raises(UserError, match="No space left on device") as error:
        get(server, target)
    assert str(target) in sentence(error)


def test_folder_that_cannot_be_made_is_a_sentence(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        get(server, tmp_path / "file" / "folder" / "file.gz")


def test_two_at_once_are_an_error(server, target, part):
    with (
        FileLock(f"{part}.lock"),
        pytest.raises(UserError, match="by another process"),
    ):
        get(server, target)
    assert part.read_bytes() == CONTENT[:1000]


# --- which files --------------------------------------------------------------------------------


@pytest.fixture
def mirrored(server, closed_port, monkeypatch):
    """Serve stand-ins of the official archives where torchvision says they are."""
    names = [name for name, _ in vision.MNIST.resources]
    for name in ["cifar-10-python.tar.gz", *names]:
        server.files[f"/{name}"] = name.encode() * 1000
    sums = {
        name: hashlib.md5(server.files[f"/{name}"]).hexdigest()
        for name in ["cifar-10-python.tar.gz", *names]
    }
    monkeypatch.setattr(vision.CIFAR10, "url", f"{server.url}/cifar-10-python.tar.gz")
    monkeypatch.setattr(vision.CIFAR10, "tgz_md5", sums["cifar-10-python.tar.gz"])
    monkeypatch.setattr(vision.MNIST, "mirrors", [f"{closed_port}/", f"{server.url}/"])
    monkeypatch.setattr(vision.MNIST, "resources", [(name, sums[name]) for name in names])
    return server


def test_fetch_puts_the_files_where_load_looks(mirrored, root):
    files = data.fetch(["cifar10", "mnist"], progress=False)
    assert len(files) == 5
    assert all(file.is_file() for file in files)
    assert data.locate("cifar10", source="official").path == files[0]
    assert data.locate("mnist", source="official").path == root / "MNIST" / "raw"
    count = len(mirrored.requests)
    assert data.fetch(["cifar10", "mnist"], progress=False) == files
    assert len(mirrored.requests) == count


def test_fetch_takes_a_root_and_makes_it(mirrored, tmp_path):
    (file,) = data.fetch(["cifar10"], root=tmp_path / "a" / "b", progress=False)
    assert file == tmp_path / "a" / "b" / "cifar-10-python.tar.gz"
    assert data.fetch("cifar10", root=tmp_path / "a" / "b") == [file]


def test_addresses_and_sums_are_torchvisions():
    assert vision.CIFAR10.filename == "cifar-10-python.tar.gz"
    assert vision.CIFAR10.url.startswith("https://")
    assert len(vision.MNIST.resources) == 4
    wanted = STANDARDS["mnist"].files
    assert [f"MNIST/raw/{name}" for name, _ in vision.MNIST.resources] == list(wanted)
