"""Whatever is wrong with a folder or an archive: all of its images, or a sentence."""

import io
import os
import shutil
import struct
import tarfile
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_files import pack, pixels, sentence, write_image_folder
from PIL import Image

from bnn_geometry import data
from bnn_geometry.data import cache, folders
from bnn_geometry.data.folders import decode_folder, decode_tar
from bnn_geometry.errors import UserError


def png(number):
    """A digit's image that has its number in the first pixel."""
    image = pixels(number, 28, 28)
    image[0, 0] = number
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


IMAGES = [png(number) for number in range(24)]


def decoded_or_sentence(decode, path):
    try:
        return decode("mnist", path)
    except UserError:
        return None


# ---------------------------------------------------------------- archives with random damage


@pytest.fixture(scope="module")
def tars(tmp_path_factory):
    """A tar of eight images in every packing: its path, its bytes, where its members begin."""
    folder = tmp_path_factory.mktemp("tars") / "mnist"
    for i, place in enumerate(("train/0", "train/1", "test/0", "test/1")):
        (folder / place).mkdir(parents=True)
        for j in (0, 1):
            (folder / place / f"{j}.png").write_bytes(IMAGES[2 * i + j])
    found = {}
    for mode in ("", "gz", "xz", "bz2"):
        path = pack(folder, folder.with_name(f"mnist.tar.{mode}"), f"w:{mode}")
        with tarfile.open(path) as tar:
            found[mode] = path, path.read_bytes(), [member.offset for member in tar]
    return found


@settings(max_examples=150, deadline=None)
@given(
    mode=st.sampled_from(["", "", "gz", "xz", "bz2"]),
    how=st.sampled_from(["flip", "flip", "cut", "append", "zero"]),
    where=st.floats(0, 1, exclude_max=True),
    member=st.integers(0, 13),
    shift=st.integers(0, 600),
    bit=st.integers(0, 7),
)
@example(mode="", how="cut", where=0, member=11, shift=0, bit=0)  # before the last image
@example(mode="gz", how="flip", where=0.9999, member=0, shift=0, bit=0)  # in a checksum
@example(mode="", how="append", where=0, member=0, shift=0, bit=0)  # two tars in one file
def test_a_damaged_tar_gives_all_its_images_or_a_sentence(
    tars, mode, how, where, member, shift, bit
):
    path, content, offsets = tars[mode]
    place = int(where * len(content))
    if not mode:  # where it hurts: in a header or just behind one
        place = min(offsets[member] + shift, len(content) - 1)
    if how == "append":
        damaged = content + content
    elif how == "cut":
        damaged = content[:place]
    else:
        changed = bytearray(content)
        changed[place] = changed[place] ^ 1 << bit if how == "flip" else 0
        damaged = bytes(changed)
    spoilt = path.with_name(f"spoilt-{path.name}")
    spoilt.write_bytes(damaged)
    decoded = decoded_or_sentence(decode_tar, spoilt)
    if decoded is not None:
        whole = decode_tar("mnist", path)
        assert cache.fingerprint_of(decoded) == cache.fingerprint_of(whole)
    if how == "append" and not mode:
        assert decoded is None


# ---------------------------------------------------------------- trees with all sorts of files

NAMES = ("0.png", "1.PNG", "no suffix", "notes.txt", "a.webp", "._0.png", "é.png", "Thumbs.db")
FOLDERS = ((), ("more",), ("more-a",), (".hidden",), ("@eaDir", "more"))
PLACES = [
    (split, label, *folder, name)
    for split in ("train", "test")
    for label in ("0", "1", ".trash")
    for folder in FOLDERS
    for name in NAMES
]


@settings(max_examples=25, deadline=None)
@given(places=st.sets(st.sampled_from(PLACES), max_size=10))
def test_of_a_tree_every_visible_image_is_read_and_the_rest_counted_or_refused(places):
    always = {(split, label, "2.png") for split in ("train", "test") for label in "01"}
    ordered = sorted(
        always | places, key=lambda p: (p[0] == "test", p[1], "/".join(p[2:-1]), p[-1])
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "mnist")
        for number, place in enumerate(ordered):
            file = folder.joinpath(*place)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(IMAGES[number])
        found = decoded_or_sentence(decode_folder, folder)
        packed = decoded_or_sentence(decode_tar, pack(folder, folder.with_suffix(".tar"), "w"))
    visible = [
        (number, place)
        for number, place in enumerate(ordered)
        if not any(part[0] in ".@" for part in place) and place[-1] != "Thumbs.db"
    ]
    if any(place[-1].endswith("webp") for _, place in visible):
        assert found is packed is None
        return
    read = [(n, place) for n, place in visible if place[-1].lower().endswith("png")]
    for split in ("train", "test"):
        numbers = found.tensors[f"{split}_images"][:, 0, 0, 0].tolist()
        assert numbers == [number for number, place in read if place[0] == split]
    assert cache.fingerprint_of(packed) == cache.fingerprint_of(found)
    others = len(visible) - len(read)
    assert ("passed over" in found.detail) == (others > 0)
    assert f" {others} other" in found.detail or not others


# ---------------------------------------------------------------- what an image would lose


def sixteen_bits():
    def chunk(name, content):
        crc = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + crc

    header = struct.pack(">IIBBBBB", 32, 32, 16, 2, 0, 0, 0)
    rows = zlib.compress(bytes(32 * (1 + 32 * 6)))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def saved(image_format="PNG", mode="RGB", **options):
    file = io.BytesIO()
    Image.fromarray(pixels(1, 32, 32, 3)).convert(mode).save(file, image_format, **options)
    return file.getvalue()


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved("JPEG", exif=exif)


MORE = {"save_all": True, "append_images": [Image.fromarray(pixels(2, 32, 32, 3))]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (sixteen_bits(), "has 16 bits a channel"),
        (saved(transparency=(1, 2, 3)), "has transparent pixels"),
        (saved(mode="P", transparency=3), "has transparent pixels"),
        (saved(mode="RGBA"), "is 32×32 in mode RGBA"),
        (saved(mode="LA"), "is 32×32 in mode LA"),
        (saved(**MORE), "has more than one frame"),
        (saved("MPO", **MORE), "has more than one frame"),
        (turned(), "is turned by its EXIF orientation"),
        (b"", "is damaged"),
    ],
)
def test_an_image_that_would_lose_something_is_refused(root, content, message):
    folder = write_image_folder(root / "cifar10")
    (folder / "test" / "bird" / "0001.jpg").write_bytes(content)
    with pytest.raises(UserError, match=rf"test/bird/0001\.jpg {message}") as error:
        data.load("cifar10")
    sentence(error)


def test_a_flipped_bit_in_a_png_is_seen():
    image = np.zeros((28, 28), np.uint8) + np.arange(28, dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    whole = file.getvalue()
    refused = 0
    for bit in range(64, 8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            pixels_read, _ = folders._decode_image("mnist", "x.png", bytes(flipped))
            assert np.array_equal(pixels_read[..., 0], image), bit
        except UserError:
            refused += 1
    assert refused > 500


@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_grey_and_palette_images_are_read_as_torchvision_reads_them(root, mode):
    folder = write_image_folder(root / "cifar10", suffix="png")
    file = folder / "train" / "airplane" / "0000.png"
    file.write_bytes(saved(mode=mode))
    read = data.load("cifar10").train.images[0].permute(1, 2, 0).numpy()
    assert np.array_equal(read, np.asarray(Image.open(file).convert("RGB")))


# ---------------------------------------------------------------- names and other packings


@pytest.mark.parametrize("name", ["/mnist/train/0/1.png", "mnist/train/0/../1/1.png"])
def test_a_tar_with_names_that_lead_out_is_refused(tars, tmp_path, name):
    path = tmp_path / "mnist.tar"
    shutil.copy(tars[""][0], path)
    with tarfile.open(path, "a") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(IMAGES[0])
        tar.addfile(member, io.BytesIO(IMAGES[0]))
    with pytest.raises(UserError, match=r"which leads out of the folder: pack it again"):
        decode_tar("mnist", path)


@pytest.mark.skipif(os.name == "nt", reason="names as POSIX has them")
def test_a_name_that_is_no_text_is_refused(root):
    folder = write_image_folder(root / "cifar10")
    for split in (folder / "train", folder / "test"):
        os.rename(os.fsencode(split / "bird"), os.fsencode(split) + b"/caf\xe9")
    with pytest.raises(UserError, match="no text in UTF-8: rename it"):
        data.load("cifar10")
    (root / "new").mkdir()
    os.rename(os.fsencode(root / "new"), os.fsencode(root) + b"/\xe9")
    shutil.move(folder, os.fsdecode(os.fsencode(root) + b"/\xe9"))
    with pytest.raises(UserError, match="no text in UTF-8: rename it"):
        data.locate("cifar10", root=os.fsdecode(os.fsencode(root) + b"/\xe9"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: (root / "mnist.zip").touch(), r"unpack it to .*mnist"),
        (lambda root: (root / "mnist-png.tar.zst").touch(), r"unpack it to .*mnist"),
        (lambda root: (root / "mnist.tar").mkdir(), "is no ordinary file"),
        (lambda root: os.mkfifo(root / "mnist.TGZ"), "is no ordinary file"),
    ],
)
def test_an_archive_that_cannot_be_read_is_not_taken_for_nothing(root, make, message):
    make(root)
    with pytest.raises(UserError, match=message) as error:
        data.load("mnist")
    sentence(error)


@pytest.mark.parametrize("name", ["mnist.tar.bz2", "mnist.tgz", "mnist-a.TAR"])
def test_every_packing_of_a_tar_that_python_reads_is_read(root, tars, name):
    mode = {"bz2": "bz2", "tgz": "gz"}.get(name[-3:], "")
    shutil.copy(tars[mode][0], root / name)
    assert len(data.load("mnist").train.images) == 4
