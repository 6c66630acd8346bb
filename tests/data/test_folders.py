"""Image folders and tars of them: every pixel in order, or a sentence."""

import os
import shutil
import tarfile

import numpy as np
import pytest
import torch
from made_files import pack, pixels, sentence, write_image_folder
from PIL import Image

from bnn_geometry import data
from bnn_geometry.data.standards import STANDARDS
from bnn_geometry.errors import UserError


def test_png_folder_keeps_every_pixel_in_sorted_order(root):
    write_image_folder(root / "cifar10", suffix="png")
    dataset = data.load("cifar10")
    expected = np.stack([pixels([label, i, 3], 32, 32, 3) for label in (0, 1) for i in range(3)])
    assert torch.equal(dataset.train.images, torch.from_numpy(expected).permute(0, 3, 1, 2))
    assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.test.labels.tolist() == [0, 0, 1, 1]
    assert dataset.classes == ("airplane", "bird")
    assert dataset.provenance.source == "folder"


def test_mnist_folder_has_one_channel(root):
    write_image_folder(root / "mnist", suffix="png", classes=("0", "1"), size=(28, 28, 1))
    dataset = data.load("mnist")
    assert dataset.train.images.shape == (6, 1, 28, 28)
    assert torch.equal(dataset.train.images[0, 0], torch.from_numpy(pixels([0, 0, 3], 28, 28)))


@pytest.mark.parametrize(("suffix", "mode"), [("jpg", "xz"), ("png", "gz"), ("jpg", "")])
def test_folder_and_tar_have_one_fingerprint(root, suffix, mode):
    folder = write_image_folder(root / "cifar10", suffix=suffix)
    # What must not disturb the order or be taken for an image.
    (folder / "train" / "bird" / "more-a").mkdir()
    (folder / "train" / "bird" / "more").mkdir()
    for name in ("more-a/0000", "more/0001", "0010", "002"):
        Image.fromarray(pixels(9, 32, 32, 3)).save(folder / "train" / "bird" / f"{name}.{suffix}")
    (folder / "train" / "bird" / "notes.txt").write_text("no image")
    (folder / "train" / "bird" / "._0000.jpg").write_text("no image")
    (folder / "readme.txt").write_text("no image")
    from_folder = data.load("cifar10")
    pack(folder, root / f"cifar10-jpeg.tar{mode and '.' + mode}", f"w:{mode}")
    shutil.rmtree(folder)
    assert data.locate("cifar10").kind == "tar"
    from_tar = data.load("cifar10")
    assert from_tar.provenance.fingerprint == from_folder.provenance.fingerprint
    assert torch.equal(from_tar.train.images, from_folder.train.images)
    assert len(from_tar.train.images) == 10
    assert sorted(root.iterdir()) == [data.locate("cifar10").path]  # nothing unpacked there


def test_titles_claim_no_more_than_is_there(root):
    standard = STANDARDS["cifar10"]
    write_image_folder(root / "cifar10", classes=standard.classes)
    assert data.load("cifar10").provenance.title == "CIFAR-10, JPEG re-encoding (subset)"
    shutil.rmtree(root / "cifar10")
    write_image_folder(root / "cifar10", suffix="png", classes=standard.classes)
    assert data.load("cifar10").provenance.title == "CIFAR-10, PNG image folder (subset)"
    shutil.rmtree(root / "cifar10")
    write_image_folder(root / "cifar10", classes=("cat", "dog"))
    assert "CIFAR" not in data.load("cifar10").provenance.title


def test_one_jpeg_among_png_makes_it_a_re_encoding(root):
    folder = write_image_folder(
        root / "cifar10", suffix="png", classes=STANDARDS["cifar10"].classes
    )
    # The format counts, not the suffix.
    Image.fromarray(pixels(1, 32, 32, 3)).save(folder / "test" / "cat" / "0000.png", "JPEG")
    assert "JPEG" in data.load("cifar10").provenance.title


def spoil_size(folder):
    Image.fromarray(pixels(1, 33, 32, 3)).save(folder / "train" / "bird" / "0001.jpg")
    return "cifar10/train/bird/0001.jpg", "32×33"


def spoil_mode(folder):
    Image.fromarray(pixels(1, 32, 32, 4)).convert("CMYK").save(
        folder / "train" / "bird" / "0001.jpg"
    )
    return "cifar10/train/bird/0001.jpg", "CMYK"


def spoil_image(folder):
    (folder / "test" / "airplane" / "0001.jpg").write_text("no image")
    return "cifar10/test/airplane/0001.jpg", "is damaged, or no JPEG or PNG"


def spoil_end_of_image(folder):
    file = folder / "test" / "airplane" / "0001.jpg"
    file.write_bytes(file.read_bytes()[:-300])
    return "cifar10/test/airplane/0001.jpg", "is damaged, or no JPEG or PNG"


def spoil_test(folder):
    shutil.rmtree(folder / "test")
    return "cifar10/test", "has no folder"


def spoil_class(folder):
    for file in (folder / "train" / "bird").iterdir():
        file.unlink()
    return "cifar10/train/bird", "holds no JPEG or PNG image"


def spoil_sets(folder):
    shutil.rmtree(folder / "test" / "bird")
    return "bird", "in train but not in test"


def spoil_sets_the_other_way(folder):
    shutil.rmtree(folder / "train" / "bird")
    return "bird", "in test but not in train"


def spoil_number(folder):
    shutil.rmtree(folder / "test" / "bird")
    shutil.rmtree(folder / "train" / "bird")
    return "cifar10", "has fewer than 2 class folders in train"


def spoil_classes(folder):
    for part in ("train", "test"):
        shutil.rmtree(folder / part)
        (folder / part).mkdir()
    return "cifar10", "has fewer than 2 class folders in train"


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_size, spoil_mode, spoil_image, spoil_end_of_image, spoil_test,
        spoil_class, spoil_sets, spoil_sets_the_other_way, spoil_number, spoil_classes,
    ],
)  # fmt: skip
def test_what_is_wrong_in_an_image_folder_is_named(root, spoil):
    folder = write_image_folder(root / "cifar10")
    expected = spoil(folder)
    with pytest.raises(UserError) as error:
        data.load("cifar10")
    assert all(words in sentence(error) for words in (*expected, str(folder)))
    tar = pack(folder, root / "cifar10-jpeg.tar.xz")
    shutil.rmtree(folder)
    with pytest.raises(UserError) as error:
        data.load("cifar10")
    assert all(words in sentence(error) for words in (*expected, str(tar)))


def test_large_file_in_a_tar_is_not_read_into_memory(root):
    folder = write_image_folder(root / "cifar10")
    (folder / "test" / "airplane" / "0001.jpg").write_bytes(bytes(2 << 20))
    pack(folder, root / "cifar10-jpeg.tar.xz")
    shutil.rmtree(folder)
    with pytest.raises(UserError, match=r"airplane/0001\.jpg in .* has 2097152 bytes"):
        data.load("cifar10")


def test_link_in_a_tar_is_an_error(root):
    folder = write_image_folder(root / "cifar10")
    first = folder / "train" / "bird" / "0000.jpg"
    os.link(first, first.with_name("0009.jpg"))
    pack(folder, root / "cifar10-jpeg.tar.xz")
    shutil.rmtree(folder)
    with pytest.raises(UserError, match="is a link"):
        data.load("cifar10")


@pytest.mark.parametrize("mode", ["xz", "gz", ""])
def test_tar_cut_short_is_named(root, mode):
    folder = write_image_folder(root / "cifar10")
    tar = pack(folder, root / f"cifar10-jpeg.tar{mode and '.' + mode}", f"w:{mode}")
    shutil.rmtree(folder)
    content = tar.read_bytes()
    if not mode:  # without the zeros that end it and fill its last block
        content = content.rstrip(b"\0")
    for share in (0.0, 0.3, 0.8):
        tar.write_bytes(content[: int(share * len(content))])
        with pytest.raises(UserError, match=r"cut short or damaged|no folder|has a class") as error:
            data.load("cifar10")
        assert str(tar) in sentence(error)


def test_decoding_says_so_in_one_line(root, capsys):
    write_image_folder(root / "cifar10")
    data.load("cifar10")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"decoding 10 images from {root / 'cifar10'}\n"
    data.load("cifar10")
    data.load("mnist")
    assert capsys.readouterr().err == ""


def in_a_tar(folder):
    """The tar of an image folder, in its place."""
    tar = pack(folder, folder.with_name(f"{folder.name}.tar"), "w")
    shutil.rmtree(folder)
    return tar


@pytest.mark.parametrize("packed", [False, True])
def test_what_other_programs_leave_is_passed_over(root, packed):
    folder = write_image_folder(root / "cifar10")
    expected = data.load("cifar10").provenance.fingerprint
    for name in (
        *("train/.ipynb_checkpoints", "test/@eaDir", "train/bird/.thumbnails", "test/bird/@eaDir"),
    ):
        (folder / name).mkdir()
        shutil.copy(folder / "train" / "bird" / "0000.jpg", folder / name / "0000.jpg")
    if packed:
        in_a_tar(folder)
    assert data.load("cifar10").provenance.fingerprint == expected


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("suffix", ["bmp", "webp", "TIFF"])
def test_image_of_another_format_is_not_lost_silently(root, suffix, packed):
    folder = write_image_folder(root / "cifar10")
    (folder / "test" / "bird" / f"0009.{suffix}").write_bytes(b"an image")
    if packed:
        in_a_tar(folder)
    with pytest.raises(UserError, match=rf"bird/0009\.{suffix}.* is no JPEG or PNG image: c"):
        data.load("cifar10")


def test_tar_is_read_to_its_end_mark(root):
    tar = in_a_tar(write_image_folder(root / "cifar10"))
    content = tar.read_bytes()
    with tarfile.open(tar) as opened:
        members = opened.getmembers()
    flipped = bytearray(content)
    flipped[members[9].offset + 3] ^= 1  # in the header of one in the middle
    for damaged in (flipped, content[: members[9].offset]):  # or cut between two
        tar.write_bytes(damaged)
        with pytest.raises(UserError, match=r"cifar10\.tar is cut short or damaged") as error:
            data.load("cifar10")
        sentence(error)


@pytest.mark.skipif(os.name == "nt", reason="links and pipes as POSIX has them")
def test_only_ordinary_files_of_a_sensible_size_are_read(root):
    folder = write_image_folder(root / "cifar10")
    file = folder / "train" / "bird" / "0001.jpg"
    for make, message in (
        (lambda: file.symlink_to("/dev/zero"), "0001.jpg is no ordinary file"),
        (lambda: file.symlink_to("/nowhere"), "0001.jpg is a link that leads nowhere"),
        (lambda: file.symlink_to(folder / "train"), "0001.jpg is a link to a folder that holds it"),
        (lambda: file.symlink_to("/"), "0001.jpg is a link to a folder that holds it"),
        (lambda: os.mkfifo(file), "0001.jpg is no ordinary file"),
        (lambda: (file.touch(), os.truncate(file, 8 << 30)), "has 8589934592 bytes"),
    ):
        file.unlink()
        make()
        with pytest.raises(UserError, match=message):
            data.load("cifar10")
