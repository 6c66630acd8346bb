"""The cache of decoded data: true to the files, or made again."""

import os
import struct
import threading
import time

import pytest
import safetensors
import safetensors.torch
import torch
from made_files import pixels, write_image_folder
from PIL import Image

from bnn_geometry import data, paths
from bnn_geometry.data import cache
from bnn_geometry.data.standards import Decoded
from bnn_geometry.errors import UserError


def cache_file(name="cifar10", source="folder"):
    return paths.cache_root() / "decoded" / f"{name}-{source}.safetensors"


@pytest.fixture
def cached(root, decodings):
    """Load a tiny folder once, so that its cache is there."""
    write_image_folder(root / "cifar10")
    dataset = data.load("cifar10")
    assert len(decodings) == 1
    return dataset


def same(one, other):
    return one.provenance == other.provenance and all(
        torch.equal(getattr(getattr(one, split), x), getattr(getattr(other, split), x))
        for split in ("train", "test")
        for x in ("images", "labels")
    )


def test_second_load_comes_from_the_cache(cached, decodings):
    again = data.load("cifar10")
    assert len(decodings) == 1
    assert same(again, cached)
    again.train.images[0] = 0  # ours to write to
    assert same(data.load("cifar10"), cached)
    assert data.fingerprint("cifar10") == cached.provenance.fingerprint
    assert sorted(x.suffix for x in cache_file().parent.iterdir()) == [".lock", ".safetensors"]


def flip(position):
    def spoil(file):
        content = bytearray(file.read_bytes())
        content[position if position >= 0 else len(content) + position] ^= 1
        file.write_bytes(content)

    return spoil


def cut(count):
    return lambda file: file.write_bytes(file.read_bytes()[:count])


def rewrite(**changes):
    """Write the cache anew, whole, with other metadata and a checksum that fits it."""

    def spoil(file):
        with safetensors.safe_open(file, "pt") as opened:
            metadata = opened.metadata()
        metadata.update(changes)
        metadata["checksum"] = cache._checksum(metadata)
        safetensors.torch.save_file(safetensors.torch.load_file(file), file, metadata)

    return spoil


def edit_header(old, new):
    def spoil(file):
        content = file.read_bytes()
        assert content.count(old) >= 1
        assert len(old) == len(new)
        file.write_bytes(content.replace(old, new, 1))

    return spoil


SPOILERS = {
    "pixel": flip(-100),
    "first byte": flip(0),
    "header": flip(9),
    "long header": flip(6),
    "cut": cut(-1),
    "cut in header": cut(50),
    "empty": cut(0),
    "longer": lambda file: file.write_bytes(file.read_bytes() + b"\0"),
    "text": lambda file: file.write_text("no cache"),
    "json": lambda file: file.write_bytes(struct.pack("<Q", 2) + b"[]"),
    "format": rewrite(format="0"),
    "signature": rewrite(signature="0" * 64),
    "fingerprint": rewrite(fingerprint="0" * 64),
    "classes": rewrite(classes='["bird", "airplane"]'),
    "title": edit_header(b"JPEG image folder", b"JPEG image hallow"),
    "type": edit_header(b'"dtype":"U8"', b'"dtype":"I8"'),
}


@pytest.mark.parametrize("spoil", SPOILERS.values(), ids=SPOILERS.keys())
def test_spoilt_cache_is_rebuilt(cached, decodings, spoil):
    before = cache_file().read_bytes()
    spoil(cache_file())
    assert cache_file().read_bytes() != before
    assert same(data.load("cifar10"), cached)
    assert len(decodings) == 2
    assert same(data.load("cifar10"), cached)  # from the new cache
    assert len(decodings) == 2


@pytest.mark.parametrize("what", ["cut", "header", "signature", "title", "format"])
def test_spoilt_header_is_not_asked_for_the_fingerprint(cached, decodings, what):
    SPOILERS[what](cache_file())
    assert data.fingerprint("cifar10") == cached.provenance.fingerprint
    assert len(decodings) == 2


def test_changed_files_are_decoded_again(cached, decodings, root):
    Image.fromarray(pixels(77, 32, 32, 3)).save(root / "cifar10" / "train" / "bird" / "0000.jpg")
    changed = data.load("cifar10")
    assert len(decodings) == 2
    assert changed.provenance.fingerprint != cached.provenance.fingerprint


def test_fingerprint_depends_on_pixels_labels_and_classes_alone(cached, root):
    reference = cached.provenance.fingerprint
    for file in (root / "cifar10").rglob("*.jpg"):
        os.utime(file, (1, 1))
    assert data.fingerprint("cifar10") == reference
    (root / "cifar10").rename(root / "moved")
    (root / "moved" / "cifar10").mkdir()
    for part in ("train", "test"):
        (root / "moved" / part).rename(root / "moved" / "cifar10" / part)
    assert data.fingerprint("cifar10", root=root / "moved") == reference

    classes, tensors = cached.classes, {}
    for part in ("train", "test"):
        tensors[f"{part}_images"] = getattr(cached, part).images
        tensors[f"{part}_labels"] = getattr(cached, part).labels
    assert cache.fingerprint_of(Decoded(classes, tensors, "a", "b")) == reference
    renamed = Decoded(("airplane", "birds"), tensors, "a", "b")
    assert cache.fingerprint_of(renamed) != reference
    for key in tensors:
        altered = tensors | {key: tensors[key].clone()}
        altered[key].view(-1)[-1] += 1
        assert cache.fingerprint_of(Decoded(classes, altered, "a", "b")) != reference


def test_cache_that_cannot_be_made_is_one_line_and_no_error(
    root, tmp_path, monkeypatch, decodings, capsys
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BNN_CACHE", str(tmp_path / "file" / "cache"))
    dataset = data.load("mnist")
    assert len(dataset.train.images) == 1500
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "cannot be kept" in lines[0]
    assert "BNN_CACHE" in lines[0]
    assert data.fingerprint("mnist") == dataset.provenance.fingerprint


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a full disk")
def test_full_disk_is_one_line_and_leaves_no_half_written_file(capsys):
    folder = cache_file().parent
    folder.mkdir(parents=True)
    (folder / "mnist-stand-in.part").symlink_to("/dev/full")
    assert len(data.load("mnist").train.images) == 1500
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "No space left on device" in line
    assert [x.name for x in folder.iterdir()] == ["mnist-stand-in.lock"]


def test_interrupted_write_leaves_the_old_cache(cached, decodings, root, monkeypatch):
    before = cache_file().read_bytes()
    os.utime(root / "cifar10" / "train" / "bird" / "0000.jpg", (1, 1))

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        data.load("cifar10")
    assert cache_file().read_bytes() == before
    assert sorted(x.suffix for x in cache_file().parent.iterdir()) == [".lock", ".safetensors"]


def test_two_at_once_decode_once(root, decodings, monkeypatch):
    write_image_folder(root / "cifar10")
    counting = cache.decode

    def slow(*args):  # long enough for the other threads to find no cache either
        time.sleep(0.2)
        return counting(*args)

    monkeypatch.setattr(cache, "decode", slow)
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(data.load("cifar10"))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert all(same(result, results[0]) for result in results)
    assert len(decodings) == 1


def test_a_change_that_keeps_size_and_time_is_seen(root):
    folder = write_image_folder(root / "cifar10", suffix="bmp")  # all of one size
    for file in folder.rglob("*.bmp"):
        file.rename(file.with_suffix(".png"))
    file = folder / "train" / "bird" / "0000.png"
    before = file.stat()
    signature = data.locate("cifar10").signature
    file.write_bytes((folder / "train" / "airplane" / "0000.png").read_bytes())
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert data.locate("cifar10").signature != signature


def test_a_change_while_the_files_are_read_is_not_kept(root, monkeypatch):
    write_image_folder(root / "cifar10")
    decode = cache.decode

    def change(*args):
        decoded = decode(*args)
        (root / "cifar10" / "train" / "bird" / "0000.jpg").touch()
        return decoded

    monkeypatch.setattr(cache, "decode", change)
    with pytest.raises(UserError, match="was changed while it was read: run this again"):
        data.load("cifar10")
    assert not cache_file().exists()
