"""Tiny files of the real formats, made for the tests."""

import hashlib
import tarfile

import numpy as np
from PIL import Image


def md5(content):
    return hashlib.md5(content).hexdigest()


def pixels(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


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


def damage(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def sentence(error):
    """Check that the message is one sentence on one line, and return it."""
    text = str(error.value)
    assert "\n" not in text
    assert "Traceback" not in text
    return text
