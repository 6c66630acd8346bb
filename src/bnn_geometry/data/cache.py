"""What was decoded once, kept as a checked file in the cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import sys
from pathlib import Path

from bnn_geometry.data.decoding import decode
from bnn_geometry.data.locations import Location, signature
from bnn_geometry.data.standards import FORMAT, Decoded
from bnn_geometry.errors import UserError
from bnn_geometry.paths import cache_root

_TENSORS = ("train_images", "train_labels", "test_images", "test_labels")


def _cache_file(location: Location) -> Path:
    return cache_root() / "decoded" / f"{location.dataset}-{location.source}.safetensors"


def _checksum(metadata: dict[str, str]) -> str:
    rest = {key: value for key, value in metadata.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read_header(location: Location) -> dict[str, str] | None:
    """Return the cache's metadata, or None unless it is whole and belongs to ``location``.

    A safetensors file begins with the length of its header, 8 bytes, and the header, JSON. Read
    by hand: that takes no import, and the length of the file shows whether it was cut.
    """
    try:
        with open(_cache_file(location), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, size)))
        metadata = header.pop("__metadata__")
        whole = size == 8 + length + max(entry["data_offsets"][1] for entry in header.values())
        valid = (
            whole
            and metadata["format"] == FORMAT
            and metadata["signature"] == location.signature
            and metadata["checksum"] == _checksum(metadata)
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, struct.error):
        return None
    return metadata if valid else None


def read(location: Location) -> tuple[Decoded, str] | None:
    """Return the cached data and their fingerprint, or None unless every byte is right."""
    metadata = read_header(location)
    if metadata is None:
        return None
    import safetensors
    import safetensors.torch

    try:
        # Into memory, not mapped: what was verified is then what is used, whatever happens to
        # the file afterwards.
        tensors = safetensors.torch.load(_cache_file(location).read_bytes())
        classes = tuple(json.loads(metadata["classes"]))
        decoded = Decoded(classes, tensors, metadata["title"], metadata["detail"])
        digest = fingerprint_of(decoded)
    except (OSError, safetensors.SafetensorError, LookupError):
        return None
    return (decoded, digest) if digest == metadata["fingerprint"] else None


def fill(location: Location) -> tuple[Decoded, str]:
    """Decode and write the cache; a cache that cannot be written costs time, not the data."""
    import filelock

    path = _cache_file(location)
    lock = filelock.FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        _report_unwritable(path, error)
        return _decode(location)
    try:
        # Another process may have written it while this one waited.
        return read(location) or _decode_and_write(location)
    finally:
        lock.release()


def _decode(location: Location) -> tuple[Decoded, str]:
    decoded = decode(location.dataset, location.kind, location.path)
    place = (location.dataset, location.source, location.path, location.kind)
    if location.path is not None and signature(*place) != location.signature:
        raise UserError(f"{location.path} was changed while it was read: run this again.")
    return decoded, fingerprint_of(decoded)


def _decode_and_write(location: Location) -> tuple[Decoded, str]:
    import safetensors.torch

    decoded, digest = _decode(location)
    metadata = {
        "format": FORMAT,
        "signature": location.signature,
        "fingerprint": digest,
        "classes": json.dumps(decoded.classes),
        "title": decoded.title,
        "detail": decoded.detail,
    }
    metadata["checksum"] = _checksum(metadata)
    path = _cache_file(location)
    beside = path.with_suffix(".part")  # one name: what a killed process left is overwritten
    try:
        beside.write_bytes(safetensors.torch.save(decoded.tensors, metadata))
        os.replace(beside, path)
    except OSError as error:
        _report_unwritable(path, error)
    finally:
        beside.unlink(missing_ok=True)
    return decoded, digest


def _report_unwritable(path: Path, error: Exception) -> None:
    print(
        f"the decoded images cannot be kept in {path.parent} "
        f"({getattr(error, 'strerror', None) or error}): they are decoded again each time; set "
        f"BNN_CACHE to a folder with room",
        file=sys.stderr,
    )


def fingerprint_of(decoded: Decoded) -> str:
    """SHA-256 over class names, and type, shape and bytes of the four tensors."""
    tensors = decoded.tensors
    layout = [[key, str(tensors[key].dtype), list(tensors[key].shape)] for key in _TENSORS]
    digest = hashlib.sha256(json.dumps([list(decoded.classes), layout]).encode())
    for key in _TENSORS:
        digest.update(tensors[key].contiguous().numpy())
    return digest.hexdigest()
