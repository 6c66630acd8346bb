"""Which data are found, without reading them."""

import os
import shutil
import subprocess
import sys

import pytest
from made_files import pack, sentence, write_image_folder

from bnn_geometry import data
from bnn_geometry.data.standards import STANDARDS
from bnn_geometry.errors import UserError


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


def test_incomplete_mnist_is_not_official(mnist_raw):
    (mnist_raw / "t10k-labels-idx1-ubyte.gz").unlink()
    assert data.locate("mnist").source == "stand-in"


def test_two_tars_are_an_error(root):
    for name in ("cifar10-jpeg.tar.xz", "cifar10.tar"):
        (root / name).touch()
    with pytest.raises(UserError, match=r"cifar10-jpeg\.tar\.xz and cifar10\.tar"):
        data.locate("cifar10")


def test_cifar100_is_not_taken_for_cifar10(root):
    (root / "cifar100.tar.xz").touch()
    (root / "cifar10-jpeg.tar.xz.part").touch()
    assert data.locate("cifar10").source == "stand-in"


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
    assert str(root / STANDARDS[name].files[0]).rsplit(os.sep, 1)[0] in sentence(error)
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
    size = STANDARDS[name].shape[1]
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
        "    data.locate(name); data.describe(name); data.fingerprint(name)\n"
        "heavy = {'torch', 'torchvision', 'skimage', 'sklearn', 'scipy', 'PIL', 'requests'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
