"""One resumable, checked download of the official files."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from bnn_geometry.data.standards import DATASETS, check_choice, vision_datasets
from bnn_geometry.errors import UserError
from bnn_geometry.paths import data_root

TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds between two pieces of the answer
CHUNK = 1 << 16  # bytes


def md5_of(path: Path) -> str:
    """Return the MD5 of a file as 32 hex digits.

    MD5 because it is what torchvision publishes for these files; it guards against damage, not
    against malice.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def fetch(
    names: Iterable[str], *, root: str | os.PathLike[str] | None = None, progress: bool = True
) -> list[Path]:
    """Download the official archives, resuming what was interrupted; check them by MD5.

    Addresses and MD5 sums are torchvision's. Files that are there and right are left alone.

    Parameters
    ----------
    names
        Of ``DATASETS``.
    root
        See :func:`bnn_geometry.paths.data_root`; created if it does not exist.
    progress
        Show a bar on standard error when that is a terminal, else a line per file.

    Returns
    -------
    The files, one for CIFAR-10 and four for MNIST.

    Raises
    ------
    UserError
        Unknown name, no connection, wrong file, or no room; the sentence says what
        stays and how to go on.
    """
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        check_choice("data set", name, DATASETS)
    vision = vision_datasets()
    wanted = []  # (file, addresses, md5)
    for name in names:
        if name == "cifar10":
            cifar10 = vision.CIFAR10
            wanted.append((cifar10.filename, [cifar10.url], cifar10.tgz_md5))
        else:
            for file, md5 in vision.MNIST.resources:
                mirrors = [mirror + file for mirror in vision.MNIST.mirrors]
                wanted.append((f"MNIST/raw/{file}", mirrors, md5))
    folder = data_root(root)
    return [download(urls, folder / file, md5, progress=progress) for file, urls, md5 in wanted]


def download(urls: Sequence[str], target: Path, md5: str, *, progress: bool = True) -> Path:
    """Download one file from the first mirror that delivers it, and check it.

    The bytes go to ``<target>.part``, which an interrupted download leaves behind and the next
    one continues; only a file with the right MD5 gets the name ``target``. A ``target`` that is
    already right is left alone.

    Parameters
    ----------
    urls
        Mirrors of the same file, tried in order.
    target
        Where the file goes; its folder is made if needed.
    md5
        What it has to be, 32 hex digits.
    progress
        Show a bar on standard error when that is a terminal, else one line.

    Returns
    -------
    ``target``.

    Raises
    ------
    UserError
        No mirror delivered the right file, another process is downloading it, or it
        cannot be written.
    """
    import filelock

    try:
        if target.is_file() and md5_of(target) == md5:
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        # Two downloads appending to one .part would spoil it.
        lock = Path(f"{target}.part.lock")
        with filelock.FileLock(lock, timeout=0):
            _from_mirrors(urls, target, md5, progress)
        lock.unlink(missing_ok=True)
        return target
    except filelock.Timeout as error:
        raise UserError(
            f"{target.name} is being downloaded by another process: wait until that one is done."
        ) from error
    except OSError as error:
        raise UserError(
            f"{target} cannot be written ({error.strerror or error}): make room or choose "
            f"another data folder with BNN_DATA, and run the same command again."
        ) from error


def _from_mirrors(urls: Sequence[str], target: Path, md5: str, progress: bool) -> None:
    import requests
    import urllib3

    part = Path(f"{target}.part")
    failures = []
    for url in urls:
        # requests lets urllib3's own errors through when its raw stream is read.
        try:
            _append(url, part, progress)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            failures.append(f"{url}: {_short(error)}")
            continue
        if md5_of(part) == md5:
            os.replace(part, target)
            return
        part.unlink()
        failures.append(f"{url}: the file received has the wrong md5 and was deleted")
    kept = f"{part} is kept and the same command resumes it" if part.is_file() else "try again"
    raise UserError(
        f"{target.name} could not be downloaded ({'; '.join(failures)}): {kept}; the book builds "
        f"with its stand-in images meanwhile."
    )


def _append(url: str, part: Path, progress: bool) -> None:
    """Bring ``part`` to its full length from ``url``, continuing where it ends."""
    import requests
    from tqdm import tqdm

    start = part.stat().st_size if part.is_file() else 0
    # "identity" and the raw stream: a .gz file has to arrive as it is, not decompressed.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        content_range = response.headers.get("Content-Range", "")
        if response.status_code == 416 and content_range == f"bytes */{start}":
            return  # every byte is there already
        begins = f"bytes {start}-"
        if start and (
            response.status_code == 416
            or (response.status_code == 206 and not content_range.startswith(begins))
        ):
            part.unlink()  # what is there does not fit the file on the server: from the beginning
            return _append(url, part, progress)
        response.raise_for_status()
        if response.status_code == 200:
            start = 0  # the server ignores Range and sends the whole file
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        if progress and not sys.stderr.isatty():
            print(f"downloading {url}", file=sys.stderr)
        with (
            open(part, "ab" if start else "wb") as file,
            tqdm(
                desc=part.name.removesuffix(".part"),
                total=total,
                initial=start,
                unit="B",
                unit_scale=True,
                disable=not (progress and sys.stderr.isatty()),
            ) as bar,
        ):
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and part.stat().st_size < total:
        raise requests.RequestException("the connection broke off")


def _short(error: Exception) -> str:
    """Say what failed in a few words: requests' own messages run over several lines."""
    import requests
    import urllib3

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, urllib3.exceptions.HTTPError):
        return "the connection broke off"
    return " ".join(str(error).split()) or type(error).__name__
