"""Finished runs in a few tar files of limited size, for a machine that gives no more back."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from bnn_geometry import storage

SIZE = 16 * 2**20
"""Bytes that no shard exceeds."""

MOST = 8
"""Shards."""

_BLOCK, _RECORD = 512, 10240  # of a tar: a header or content, and the whole


def pack(
    items: Sequence[tuple[str, Sequence[Path]]],
    folder: Path,
    *,
    size: int = SIZE,
    most: int = MOST,
) -> list[str]:
    """Write ``shard-1.tar``, … into a folder; each item lies whole in the first that has room.

    So a further item changes no shard but the one that it goes to.

    Parameters
    ----------
    items : sequence of (str, sequence of Path)
        A name and its files; in the tar each is called as here with its folder, ``RUN/run.json``.
    folder : Path
        Shards that are there and no longer wanted are removed.
    size, most : int
        Bytes of a shard, and their number.

    Returns
    -------
    list of str
        The names of the items for which there is no room.
    """
    shards: list[list[Path]] = []
    room: list[int] = []
    left_out = []
    for name, files in items:
        need = sum(_in_tar(path) for path in files)
        at = next((i for i, free in enumerate(room) if need <= free), None)
        if at is None:
            # two blocks of zeros end a tar, and it is filled up to a whole record
            empty = size // _RECORD * _RECORD - 2 * _BLOCK
            if len(shards) == most or need > empty:
                left_out.append(name)
                continue
            shards.append([])
            room.append(empty)
            at = len(shards) - 1
        shards[at] += files
        room[at] -= need
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {f"shard-{i}.tar": _tar(files) for i, files in enumerate(shards, 1)}
    for name, content in wanted.items():
        file = folder / name
        if not file.exists() or file.read_bytes() != content:
            storage.write_file(file, content)
    for file in folder.glob("shard-*.tar"):
        if file.name not in wanted:
            file.unlink()
    return left_out


def _in_tar(path: Path) -> int:
    return _BLOCK + -(-path.stat().st_size // _BLOCK) * _BLOCK


def _tar(files: Sequence[Path]) -> bytes:
    # the same files, the same bytes: no times, no owners
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in files:
            member = tarfile.TarInfo(f"{path.parent.name}/{path.name}")
            member.size = path.stat().st_size
            with path.open("rb") as file:
                tar.addfile(member, file)
    return content.getvalue()
