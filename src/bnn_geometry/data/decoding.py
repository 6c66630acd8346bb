"""From files that were found to uint8 tensors in memory; nothing here looks for anything.

torch, torchvision and Pillow are imported inside the functions that decode: finding the data must
not cost their import.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bnn_geometry.data.folders import decode_folder, decode_tar
from bnn_geometry.data.official import decode_cifar10, decode_mnist
from bnn_geometry.data.stand_ins import decode_digits, decode_photographs
from bnn_geometry.data.standards import Decoded
from bnn_geometry.errors import UserError


def decode(name: str, kind: str, path: Path | None) -> Decoded:
    """Decode one data set.

    Parameters
    ----------
    name
        ``"cifar10"`` or ``"mnist"``.
    kind
        ``"archive"``, ``"batches"``, ``"raw"``, ``"folder"``, ``"tar"`` or ``"stand-in"``.
    path
        The file or folder; None for a stand-in.

    Raises
    ------
    UserError
        The files are damaged, cannot be read, or are not what they should be.
    """
    if path is None:
        return decode_photographs() if name == "cifar10" else decode_digits()
    try:
        if kind == "folder":
            return decode_folder(name, path)
        if kind == "tar":
            return decode_tar(name, path)
        # Unpacked in a temporary folder, because the data root may be read-only.
        with tempfile.TemporaryDirectory(prefix="bnn-geometry-") as scratch:
            if name == "mnist":
                return decode_mnist(path, Path(scratch))
            return decode_cifar10(path, kind, Path(scratch))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error}): see that it is readable and that "
            f"{tempfile.gettempdir()} has room."
        ) from error
