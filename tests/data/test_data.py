"""Finding, decoding and caching the data, on tiny files of the real formats made here."""

import gzip
import hashlib
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from PIL import Image
from torchvision import datasets as vision

from bnn_geometry import paths
from bnn_geometry.data import datasets as data
from bnn_geometry.data import decoding
from bnn_geometry.errors import UserError

# Real files, for the tests at the end; BNN_DATA itself is set anew for every test.
REAL_DATA = os.environ.get("BNN_TEST_DATA")


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """Give an empty data root, with the cache beside it."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("BNN_DATA", str(folder))
    monkeypatch.setenv("BNN_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def decodings(monkeypatch):
    """Count how often something is decoded: the list grows by one each time."""
    calls = []

    def counting(*args):
        calls.append(args)
        return decoding.decode(*args)

    monkeypatch.setattr(data, "decode", counting)
    return calls


def md5(content):
    return hashlib.md5(content).hexdigest()


def pixels(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


# --- files of the real formats ------------------------------------------------------------------


def write_image_folder(folder, *, suffix="jpg", classes=("airplane", "bird"), size=(32, 32, 3)):
    """Write 3 training and 2 test images per class under ``folder``."""
    for part, count in (("train", 3), ("test", 2)):
        for label, name in enumerate(classes):
            (folder / part / name).mkdir(parents=True)
            for i in range(count):
                array = pixels([label, i, count], *size)
                image = Image.fromarray(array.squeeze())
                image.save(folder / part / name / f"{i:04}.{suffix}")
    return folder


def pack(folder, tar_path, mode="w:xz"):
    """Tar a folder under its own name, in an order that is not the sorted one."""
    with tarfile.open(tar_path, mode) as tar:
        for file in sorted(folder.rglob("*"), reverse=True):
            tar.add(file, file.relative_to(folder.parent), recursive=False)
    return tar_path


@pytest.fixture
def cifar10_batches(tmp_path, monkeypatch):
    """Make cifar-10-batches-py with 2 images per batch, and torchvision expect just that."""
    folder = tmp_path / "made" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for i, name in enumerate(names):
        batch = {"data": pixels(i, 2, 3072), "labels": [i, 9 - i]}
        (folder / name).write_bytes(pickle.dumps(batch))
    meta = pickle.dumps({"label_names": list(decoding.STANDARDS["cifar10"].classes)})
    (folder / "batches.meta").write_bytes(meta)
    sums = {file.name: md5(file.read_bytes()) for file in folder.iterdir()}
    monkeypatch.setattr(vision.CIFAR10, "train_list", [[x, sums[x]] for x in names[:5]])
    monkeypatch.setattr(vision.CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setitem(vision.CIFAR10.meta, "md5", sums["batches.meta"])
    return folder


@pytest.fixture
def cifar10_archive(cifar10_batches, root, monkeypatch):
    path = pack(cifar10_batches, root / "cifar-10-python.tar.gz", "w:gz")
    monkeypatch.setattr(vision.CIFAR10, "tgz_md5", md5(path.read_bytes()))
    return path


@pytest.fixture
def mnist_raw(root, monkeypatch):
    """Write four idx files, 7 training and 4 test images, as torchvision is made to expect."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    resources = []
    for part, count in (("train", 7), ("t10k", 4)):
        images = struct.pack(">4I", 0x803, count, 28, 28) + pixels(count, count, 784).tobytes()
        labels = struct.pack(">2I", 0x801, count) + bytes(range(count))
        for kind, content in (("images-idx3", images), ("labels-idx1", labels)):
            file = raw / f"{part}-{kind}-ubyte.gz"
            file.write_bytes(gzip.compress(content))
            resources.append((file.name, md5(file.read_bytes())))
    monkeypatch.setattr(vision.MNIST, "resources", resources)
    return raw


def sentence(error):
    """Check that the message is one sentence on one line, and return it."""
    text = str(error.value)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


# --- official data ------------------------------------------------------------------------------


def test_official_cifar10_has_the_pixels_and_labels_of_its_batches(cifar10_archive):
    dataset = data.load("cifar10")
    expected = np.concatenate([pixels(i, 2, 3072).reshape(2, 3, 32, 32) for i in range(5)])
    assert torch.equal(dataset.train.images, torch.from_numpy(expected))
    assert dataset.train.labels.tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]
    assert torch.equal(
        dataset.test.images, torch.from_numpy(pixels(5, 2, 3072).reshape(2, 3, 32, 32))
    )
    assert dataset.test.labels.tolist() == [5, 4]
    assert dataset.train.images.dtype == torch.uint8
    assert dataset.train.labels.dtype == torch.int64
    assert dataset.train.images.is_contiguous()
    assert dataset.classes[:2] == ("airplane", "automobile")
    assert dataset.provenance.title == "CIFAR-10"
    assert dataset.provenance.source == "official"
    assert (dataset.provenance.train_images, dataset.provenance.test_images) == (10, 2)
    assert not (cifar10_archive.parent / "cifar-10-batches-py").exists()


def test_batches_and_archive_have_one_fingerprint(cifar10_archive, cifar10_batches, root):
    archive = data.load("cifar10").provenance
    cifar10_archive.unlink()
    shutil.copytree(cifar10_batches, root / "cifar-10-batches-py")
    batches = data.load("cifar10").provenance
    assert data.locate("cifar10").kind == "batches"
    assert batches.fingerprint == archive.fingerprint
    assert batches.path != archive.path


def test_official_mnist_has_the_pixels_and_labels_of_its_files(mnist_raw):
    before = sorted(mnist_raw.iterdir())
    dataset = data.load("mnist")
    expected = torch.from_numpy(pixels(7, 7, 784).reshape(7, 1, 28, 28))
    assert torch.equal(dataset.train.images, expected)
    assert dataset.train.labels.tolist() == list(range(7))
    assert dataset.test.labels.tolist() == list(range(4))
    assert dataset.train.labels.dtype == torch.int64
    assert dataset.classes == tuple("0123456789")
    assert dataset.provenance.title == "MNIST"
    assert sorted(mnist_raw.iterdir()) == before  # the data root may be read-only


def damage(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_damaged_archive_is_an_error_and_not_the_stand_in(cifar10_archive):
    damage(cifar10_archive)
    with pytest.raises(UserError) as error:
        data.load("cifar10")
    assert str(cifar10_archive) in sentence(error)
    assert "`bnn-geometry fetch cifar10`" in sentence(error)


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_damaged_or_missing_batch_is_named(cifar10_batches, root, name):
    file = Path(shutil.copytree(cifar10_batches, root / "cifar-10-batches-py")) / name
    damage(file)
    with pytest.raises(UserError, match="damaged") as error:
        data.load("cifar10")
    assert str(file) in sentence(error)
    file.unlink()
    with pytest.raises(UserError, match="is missing") as error:
        data.load("cifar10")
    assert str(file) in sentence(error)


def test_damaged_mnist_file_is_named(mnist_raw):
    file = mnist_raw / "t10k-labels-idx1-ubyte.gz"
    damage(file)
    with pytest.raises(UserError, match="`bnn-geometry fetch mnist`") as error:
        data.load("mnist")
    assert str(file) in sentence(error)


def test_incomplete_mnist_is_not_official(mnist_raw):
    (mnist_raw / "t10k-labels-idx1-ubyte.gz").unlink()
    assert data.locate("mnist").source == "stand-in"


def test_torchvision_is_never_let_to_download(cifar10_archive, mnist_raw, monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("torchvision tried to download")

    monkeypatch.setattr(vision.cifar, "download_and_extract_archive", fail)
    monkeypatch.setattr(vision.mnist, "download_and_extract_archive", fail)
    data.load("cifar10")
    data.load("mnist")


# --- image folders and tars ---------------------------------------------------------------------


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


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("mode", ["xz", "gz", ""])
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
    standard = decoding.STANDARDS["cifar10"]
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
        root / "cifar10", suffix="png", classes=decoding.STANDARDS["cifar10"].classes
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
    return "cifar10/train/bird", "holds no .jpg, .jpeg, .png file"


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


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "tar"])
@pytest.mark.parametrize(
    "spoil",
    [
        spoil_size, spoil_mode, spoil_image, spoil_end_of_image, spoil_test,
        spoil_class, spoil_sets, spoil_sets_the_other_way, spoil_number, spoil_classes,
    ],
)  # fmt: skip
def test_what_is_wrong_in_an_image_folder_is_named(root, spoil, packed):
    folder = write_image_folder(root / "cifar10")
    expected = spoil(folder)
    if packed:
        tar = pack(folder, root / "cifar10-jpeg.tar.xz")
        shutil.rmtree(folder)
    with pytest.raises(UserError) as error:
        data.load("cifar10")
    for words in (*expected, str(tar) if packed else str(folder)):
        assert words in sentence(error)


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
@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_tar_cut_short_is_named(root, mode, share):
    folder = write_image_folder(root / "cifar10")
    tar = pack(folder, root / f"cifar10-jpeg.tar{mode and '.' + mode}", f"w:{mode}")
    shutil.rmtree(folder)
    if not mode:  # without the zeros that end it and fill its last block
        tar.write_bytes(tar.read_bytes().rstrip(b"\0"))
    tar.write_bytes(tar.read_bytes()[: int(share * tar.stat().st_size)])
    with pytest.raises(UserError, match=r"cut short or damaged|has no folder|has a class") as error:
        data.load("cifar10")
    assert str(tar) in sentence(error)


def test_two_tars_are_an_error(root):
    for name in ("cifar10-jpeg.tar.xz", "cifar10.tar"):
        (root / name).touch()
    with pytest.raises(UserError, match=r"cifar10-jpeg\.tar\.xz and cifar10\.tar"):
        data.locate("cifar10")


def test_cifar100_is_not_taken_for_cifar10(root):
    (root / "cifar100.tar.xz").touch()
    (root / "cifar10-jpeg.tar.xz.part").touch()
    assert data.locate("cifar10").source == "stand-in"


# --- finding ------------------------------------------------------------------------------------


def test_auto_takes_official_then_folder_then_stand_in(cifar10_archive, root):
    write_image_folder(root / "cifar10")
    assert data.locate("cifar10").source == "official"
    assert data.locate("cifar10", source="folder").path == root / "cifar10"
    assert data.locate("cifar10", source="stand-in").path is None
    cifar10_archive.unlink()
    assert data.locate("cifar10").source == "folder"
    pack(root / "cifar10", root / "cifar10-jpeg.tar.xz")
    assert data.locate("cifar10").kind == "folder"
    shutil.rmtree(root / "cifar10")
    assert data.locate("cifar10").kind == "tar"
    (root / "cifar10-jpeg.tar.xz").unlink()
    assert data.locate("cifar10").source == "stand-in"


def test_roots_come_from_argument_then_environment_then_home(monkeypatch, tmp_path):
    assert paths.data_root(tmp_path) == tmp_path
    assert paths.data_root() == tmp_path / "data"
    assert paths.cache_root() == tmp_path / "cache"
    monkeypatch.delenv("BNN_DATA")
    monkeypatch.setenv("BNN_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert paths.data_root() == paths.cache_root() == tmp_path / "xdg" / "bnn-geometry"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert paths.data_root() == tmp_path / ".cache" / "bnn-geometry"


def test_missing_root_is_an_error_only_if_it_was_set(monkeypatch, tmp_path):
    with pytest.raises(UserError, match="does not exist") as error:
        data.locate("cifar10", root=tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in sentence(error)
    monkeypatch.setenv("BNN_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(UserError, match="elsewhere does not exist"):
        data.load("mnist", source="stand-in")
    monkeypatch.delenv("BNN_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert data.locate("cifar10").source == "stand-in"


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(UserError, match="'cifar100': choose one of cifar10, mnist"):
        data.load("cifar100")
    with pytest.raises(UserError, match="choose one of auto, official, folder, stand-in"):
        data.locate("mnist", source="web")
    with pytest.raises(UserError, match="choose one of cifar10, mnist"):
        data.fetch(["imagenet"])


@pytest.mark.parametrize("name", data.DATASETS)
def test_absent_source_is_an_error_that_says_where_it_was_looked_for(root, name):
    with pytest.raises(UserError, match=f"`bnn-geometry fetch {name}` downloads it") as error:
        data.load(name, source="official")
    assert str(root / decoding.STANDARDS[name].files[0]).rsplit(os.sep, 1)[0] in sentence(error)
    with pytest.raises(UserError, match="was not found") as error:
        data.load(name, source="folder")
    assert str(root / name) in sentence(error)


def test_describe_is_one_line(cifar10_archive, root):
    assert str(cifar10_archive) in data.describe("cifar10")
    line = data.describe("mnist")
    assert "stand-in" in line
    assert "`bnn-geometry fetch mnist`" in line
    assert "\n" not in line
    write_image_folder(root / "cifar10")
    assert str(root / "cifar10") in data.describe("cifar10", source="folder")


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_signature_changes_with_the_files(root, name):
    size = decoding.STANDARDS[name].shape[1]
    folder = write_image_folder(root / name, size=(size, size, 3))
    signatures = [data.locate(name).signature]
    assert data.locate(name).signature == signatures[0]
    os.utime(folder / "test" / "bird" / "0001.jpg", (1, 1))
    signatures.append(data.locate(name).signature)
    (folder / "test" / "bird" / "0001.jpg").rename(folder / "test" / "bird" / "0002.jpg")
    signatures.append(data.locate(name).signature)
    (folder / "train" / "cat").mkdir()
    signatures.append(data.locate(name).signature)
    signatures.append(data.locate(name, source="stand-in").signature)
    assert len(set(signatures)) == 5


def test_finding_and_cached_fingerprint_import_neither_torch_nor_torchvision(root):
    write_image_folder(root / "cifar10")
    data.load("cifar10")
    data.load("mnist")
    code = (
        "import sys; from bnn_geometry import data\n"
        "for name in data.DATASETS:\n"
        "    paths.data_root(); data.locate(name); data.describe(name); data.fingerprint(name)\n"
        "heavy = {'torch', 'torchvision', 'skimage', 'sklearn', 'scipy', 'PIL', 'requests'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# --- stand-ins ----------------------------------------------------------------------------------


def test_photograph_stand_in_is_balanced_and_the_same_each_time(monkeypatch, tmp_path):
    dataset = data.load("cifar10")
    assert dataset.train.images.shape == (5000, 3, 32, 32)
    assert dataset.test.images.shape == (1000, 3, 32, 32)
    assert dataset.train.labels.bincount().tolist() == [500] * 10
    assert dataset.test.labels.bincount().tolist() == [100] * 10
    assert len(dataset.classes) == 10
    monkeypatch.setenv("BNN_CACHE", str(tmp_path / "another"))
    again = data.load("cifar10")
    assert torch.equal(again.train.images, dataset.train.images)
    # The published outputs of the test notebooks rest on these very bytes.
    assert dataset.provenance.fingerprint.startswith("f914ac3d783df20d")


@pytest.mark.parametrize(("height", "width"), [(300, 451), (512, 512), (303, 384)])
def test_training_and_test_patches_share_no_pixel(height, width):
    # A photograph in which every pixel has a colour of its own, so that a patch tells its place.
    index = np.arange(height * width).reshape(height, width)
    colours = np.stack([index >> 16, index >> 8 & 255, index & 255], axis=-1).astype(np.uint8)
    places = []
    for patches in decoding._patches(colours, np.random.default_rng(0)):
        red, green, blue = np.moveaxis(patches.astype(np.int64), -1, 0)
        place = (red << 16) + (green << 8) + blue
        places.append(np.unique(place))
        # Each patch is a true cut-out, and no two are the same.
        assert (np.diff(place, axis=2) == 1).all()
        assert (np.diff(place, axis=1) == width).all()
        assert len(np.unique(place[:, 0, 0])) == len(patches)
    assert not np.intersect1d(*places).size
    # Both cover all quarters of the photograph, none is a corner of it.
    for place in places:
        rows, columns = np.divmod(place, width)
        for values, length in ((rows, height), (columns, width)):
            assert set(values * 4 // length) == {0, 1, 2, 3}


def test_digit_stand_in_is_scikit_learns():
    from sklearn.datasets import load_digits

    digits = load_digits()
    dataset = data.load("mnist")
    assert dataset.train.images.shape == (1500, 1, 28, 28)
    assert dataset.test.images.shape == (297, 1, 28, 28)
    labels = torch.cat([dataset.train.labels, dataset.test.labels])
    assert labels.tolist() == digits.target.tolist()
    images = torch.cat([dataset.train.images, dataset.test.images]).float()
    # Independent of Pillow: torch's bilinear interpolation, to within rounding.
    small = torch.from_numpy(digits.images).float().unsqueeze(1) * 255 / 16
    expected = torch.nn.functional.interpolate(small, size=(28, 28), mode="bilinear")
    assert (images - expected).abs().max() <= 1.5
    assert images.max() == 255
    assert (images == 0).float().mean() > 0.3
    assert dataset.provenance.fingerprint.startswith("c7c390bb7f61660e")


@pytest.mark.parametrize("name", data.DATASETS)
def test_stand_in_cannot_be_mistaken(name):
    dataset = data.load(name)
    assert dataset.name == name
    assert dataset.provenance.source == "stand-in"
    assert dataset.provenance.path is None
    assert dataset.provenance.title.startswith("stand-in: ")
    assert "CIFAR" not in dataset.provenance.title.upper()
    assert "MNIST" not in dataset.provenance.title.upper()
    assert json.loads(json.dumps(dataset.provenance.as_dict()))["source"] == "stand-in"


def test_missing_photograph_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(decoding, "PHOTOGRAPHS", ("nobody",))
    with pytest.raises(UserError, match=r"nobody\.png cannot be read"):
        data.locate("cifar10")


# --- the cache ----------------------------------------------------------------------------------


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
        metadata["checksum"] = data._checksum(metadata)
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
    assert data._fingerprint(decoding.Decoded(classes, tensors, "a", "b")) == reference
    renamed = decoding.Decoded(("airplane", "birds"), tensors, "a", "b")
    assert data._fingerprint(renamed) != reference
    for key in tensors:
        altered = tensors | {key: tensors[key].clone()}
        altered[key].view(-1)[-1] += 1
        assert data._fingerprint(decoding.Decoded(classes, altered, "a", "b")) != reference


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
    counting = data.decode

    def slow(*args):  # long enough for the other threads to find no cache either
        time.sleep(0.5)
        return counting(*args)

    monkeypatch.setattr(data, "decode", slow)
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


def test_decoding_says_so_in_one_line(root, capsys):
    write_image_folder(root / "cifar10")
    data.load("cifar10")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"decoding 10 images from {root / 'cifar10'}\n"
    data.load("cifar10")
    data.load("mnist")
    assert capsys.readouterr().err == ""


# --- a few of them --------------------------------------------------------------------------------


def test_a_sample_is_drawn_from_everywhere_and_does_not_change():
    images = torch.arange(100, dtype=torch.uint8).reshape(100, 1, 1, 1).expand(100, 1, 2, 2)
    split = data.Split(images, torch.arange(100))
    first = split.sample(20, seed=3)
    assert torch.equal(first.images[:, 0, 0, 0].long(), first.labels)  # still each its own label
    assert len(set(first.labels.tolist())) == 20
    assert first.labels.max() > 50  # not from the front
    assert torch.equal(split.sample(20, seed=3).labels, first.labels)
    assert not torch.equal(split.sample(20, seed=4).labels, first.labels)
    assert torch.equal(split.sample(30, seed=3).labels[:20], first.labels)
    assert sorted(split.sample(1000, seed=3).labels.tolist()) == list(range(100))
    with pytest.raises(ValueError, match="At least 1 image must be drawn, not 0"):
        split.sample(0, seed=3)


# --- the real files -----------------------------------------------------------------------------

real = pytest.mark.skipif(
    REAL_DATA is None, reason="BNN_TEST_DATA does not name a folder with the real data"
)


@real
def test_real_mnist():
    if data.locate("mnist", root=REAL_DATA).source != "official":
        pytest.skip("no official MNIST in BNN_TEST_DATA")
    dataset = data.load("mnist", root=REAL_DATA)
    assert dataset.train.images.shape == (60_000, 1, 28, 28)
    histograms = [split.labels.bincount().tolist() for split in (dataset.train, dataset.test)]
    assert histograms == [
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    ]
    mean = dataset.train.images.double().mean().item() / 255
    assert mean == pytest.approx(0.1307, abs=5e-5)  # as everyone normalizes it


@real
@pytest.mark.slow
def test_real_cifar10():
    if data.locate("cifar10", root=REAL_DATA).source == "stand-in":
        pytest.skip("no CIFAR-10 in BNN_TEST_DATA")
    dataset = data.load("cifar10", root=REAL_DATA)
    assert dataset.train.images.shape == (50_000, 3, 32, 32)
    assert dataset.train.labels.bincount().tolist() == [5000] * 10
    assert dataset.test.labels.bincount().tolist() == [1000] * 10
    assert dataset.classes == decoding.STANDARDS["cifar10"].classes
    assert dataset.provenance.title in (
        "CIFAR-10", "CIFAR-10, JPEG re-encoding", "CIFAR-10, PNG image folder",
    )  # fmt: skip
    # The published channel means; JPEG at quality 75 moves them by far less than this.
    means = dataset.train.images.double().mean(dim=(0, 2, 3)) / 255
    assert means.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=2e-3)
    assert data.fingerprint("cifar10", root=REAL_DATA) == dataset.provenance.fingerprint
