"""Stand-ins for the data sets: real images that are installed with scikit-image and scikit-learn.

They can never be mistaken for what they stand in for: title and detail say what they are.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from bnn_geometry.data.standards import STANDARDS, Decoded
from bnn_geometry.errors import UserError

STAND_IN_TITLES = {
    "cifar10": "stand-in: patches of ten photographs",
    "mnist": "stand-in: scikit-learn digits",
}
# Ten photographs in scikit-image's wheel; PNG alone, because its decoding never varies by a bit.
PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "camera",
    "chelsea",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "ihc",
    "motorcycle_left",
)
PATCHES = (500, 100)  # per photograph: train, test
DIGITS = 1500  # of the 1,797 digits, in their order, the ones to train on


def stand_in_files(name: str) -> list[Path]:
    """Return the installed files that a stand-in is made from, without importing their package.

    Raises
    ------
    UserError
        The package is not installed.
    """
    package = "skimage" if name == "cifar10" else "sklearn"
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(
            f"{package}, which ships the stand-in for {name}, is not installed: "
            f"`pip install scikit-image scikit-learn`."
        )
    folder = Path(spec.origin).parent
    if name == "mnist":
        return [folder / "datasets" / "data" / "digits.csv.gz"]
    return [folder / "data" / f"{photograph}.png" for photograph in PHOTOGRAPHS]


def decode_photographs() -> Decoded:
    """Cut ten photographs into patches; the class of a patch is its photograph."""
    import torch
    from PIL import Image

    generator = np.random.default_rng(20170519)
    parts: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for file in stand_in_files("cifar10"):
        with Image.open(file) as image:
            photograph = np.asarray(image.convert("RGB"))
        for part, patches in zip(parts, _patches(photograph, generator), strict=True):
            part.append(patches)
    tensors = {}
    for part, patches, count in zip(("train", "test"), parts, PATCHES, strict=True):
        images = torch.from_numpy(np.concatenate(patches))
        tensors[f"{part}_images"] = images.permute(0, 3, 1, 2).contiguous()
        tensors[f"{part}_labels"] = torch.arange(len(PHOTOGRAPHS)).repeat_interleave(count)
    detail = (
        "Not CIFAR-10: 32×32 patches of ten photographs that ship with scikit-image, training "
        "and test patches from disjoint regions, the photograph as the class."
    )
    return Decoded(PHOTOGRAPHS, tensors, STAND_IN_TITLES["cifar10"], detail)


def _patches(
    photograph: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw training and test patches from disjoint regions of a photograph.

    The photograph is divided into 4 × 4 tiles; the four marked T below, one in every row and
    column, are for testing. A patch lies wholly inside one tile, so no pixel is in both sets.

        T . . .
        . . T .
        . . . T
        . T . .

    Parameters
    ----------
    photograph
        Uint8, (height, width, 3), at least 128 pixels each way.
    generator
        Draws the corners, without replacement.

    Returns
    -------
    uint8, (500, 32, 32, 3) for training and (100, 32, 32, 3) for testing.
    """
    size, tiles, test_column = 32, 4, (0, 2, 3, 1)
    height, width, _ = photograph.shape
    rows = [height * i // tiles for i in range(tiles + 1)]
    columns = [width * i // tiles for i in range(tiles + 1)]
    allowed = np.zeros((2, height, width), dtype=bool)  # upper left corners: train, test
    for i in range(tiles):
        for j in range(tiles):
            is_test = int(test_column[i] == j)
            inside = (
                slice(rows[i], rows[i + 1] - size + 1),
                slice(columns[j], columns[j + 1] - size + 1),
            )
            allowed[is_test][inside] = True
    drawn = []
    for corners, count in zip(allowed, PATCHES, strict=True):
        chosen = generator.choice(np.flatnonzero(corners), size=count, replace=False)
        tops, lefts = np.divmod(chosen, width)
        drawn.append(
            np.stack(
                [photograph[y : y + size, x : x + size] for y, x in zip(tops, lefts, strict=True)]
            )
        )
    return drawn[0], drawn[1]


def decode_digits() -> Decoded:
    """Enlarge scikit-learn's 8×8 digits to 28×28; a pixel that is 0 there stays background."""
    import torch
    from PIL import Image

    (file,) = stand_in_files("mnist")
    table = np.loadtxt(file, delimiter=",", dtype=np.int64)  # (1797, 64 pixels of 0..16 and label)
    digits = np.rint(table[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    # Pillow's bilinear filter works in integers: the same bytes on every machine.
    bilinear = Image.Resampling.BILINEAR
    enlarged = [np.asarray(Image.fromarray(x).resize((28, 28), bilinear)) for x in digits]
    images = torch.from_numpy(np.stack(enlarged)).unsqueeze(1)  # (1797, 1, 28, 28)
    labels = torch.from_numpy(table[:, 64].copy())
    tensors = {
        "train_images": images[:DIGITS].contiguous(),
        "train_labels": labels[:DIGITS].contiguous(),
        "test_images": images[DIGITS:].contiguous(),
        "test_labels": labels[DIGITS:].contiguous(),
    }
    detail = (
        "Not MNIST: the 1,797 digits of 8×8 that ship with scikit-learn, enlarged to 28×28; the "
        "first 1,500 are for training."
    )
    return Decoded(STANDARDS["mnist"].classes, tensors, STAND_IN_TITLES["mnist"], detail)
