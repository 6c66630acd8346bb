# ruff: noqa: UP010, UP024, UP031
"""Set up .venv with exactly what requirements.lock pins, or do nothing if that is done.

Run by the Makefile as ``python3 tools/bootstrap.py``. Standard library only, and written so that
an old Python, even 2.7, can read it to the point of saying that it is too old.
"""

from __future__ import print_function

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time

OLDEST = (3, 11)
WINDOWS = os.name == "nt"
LINUX = sys.platform.startswith("linux")

VENV = ".venv"  # relative: main() changes to the repository's root
VENV_BIN = os.path.join(VENV, "Scripts" if WINDOWS else "bin")
VENV_PYTHON = os.path.join(VENV_BIN, "python.exe" if WINDOWS else "python")
STAMP = os.path.join(VENV, ".bnn-geometry-installed")
LOCK = os.path.join(VENV, ".bnn-geometry-lock")
INPUTS = ("requirements.lock", "pyproject.toml")

# On Linux, torch brings the CUDA libraries with it.
DOWNLOAD_GB = 3 if LINUX else 1
DISK_GB = 7 if LINUX else 2

OLD_PYTHON = (
    "This is Python %s and %s or later is needed: name one, as in "
    "make PYTHON=/path/to/python3.11 book"
)
OLD_VENV = (
    "The folder .venv holds Python %s and %s or later is needed: delete it (rm -rf .venv) and run "
    "make again."
)


class Stop(Exception):  # noqa: N818
    """A condition that one sentence tells the reader how to mend."""


def say(text):
    """Print a line at once, so that it stands in order with pip's own output."""
    print(text)
    sys.stdout.flush()


def check_version(found, advice):
    """Stop with advice unless the version, a tuple (major, minor, micro), is new enough."""
    if tuple(found[:2]) < OLDEST:
        names = ".".join(map(str, found[:3])), ".".join(map(str, OLDEST))
        raise Stop(advice % names)


def has_module(name):
    """Tell whether a module imports."""
    try:
        __import__(name)
    except ImportError:
        return False
    return True


def check_modules():
    """Stop unless this Python can make virtual environments (Debian splits that off)."""
    for name in ("venv", "ensurepip"):
        if not has_module(name):
            raise Stop(
                "This Python (%s) comes without the module %s, which makes virtual environments: "
                "install it (on Debian and Ubuntu: sudo apt install python3-venv) and run make "
                "again." % (sys.executable, name)
            )


def size_gb(folder):
    """Return what the files below a folder hold, in GB."""
    total = 0
    for where, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(where, name)
            if not os.path.islink(path):
                total += os.path.getsize(path)
    return total / 1e9


def device(folder):
    """Return what tells apart the disks that folders are on."""
    return os.stat(folder).st_dev


def check_disk():
    """Stop unless there is room for what .venv does not hold yet, and for pip's downloads."""
    missing = max(0.0, 1 - size_gb(VENV) / DISK_GB)  # 1 for a fresh install
    needed = {}
    for folder, size in [(VENV, DISK_GB), (tempfile.gettempdir(), DOWNLOAD_GB)]:
        # often one disk is to hold both
        needed.setdefault(device(folder), [folder, 0.0])[1] += missing * size
    for folder, size in needed.values():
        free = shutil.disk_usage(folder).free / 1e9
        if free < size:
            raise Stop(
                "The set-up needs about %.1f GB of free disk and there is %.1f GB at %s: free "
                "some space and run make again." % (size, free, os.path.abspath(folder))
            )


def fingerprint():
    """Return the sha256 of the files that decide what is installed."""
    digest = hashlib.sha256()
    for name in INPUTS:
        with open(name, "rb") as file:
            digest.update(file.read() + b"\0")
    return digest.hexdigest()


def read_stamp():
    """Return the fingerprint that .venv was installed from and where, or two empty strings."""
    try:
        with open(STAMP) as file:
            lines = file.read().splitlines()
    except (IOError, OSError, ValueError):
        return "", ""
    return tuple(lines) if len(lines) == 2 else ("", "")


def write_stamp(digest):
    """Record that .venv is complete; the file appears whole or not at all."""
    with open(STAMP + ".tmp", "w") as file:
        file.write("%s\n%s\n" % (digest, os.getcwd()))
    os.replace(STAMP + ".tmp", STAMP)


def same_place(folder):
    """Tell whether a path still names this repository: its scripts hold absolute paths."""
    return os.path.isdir(folder) and os.path.samefile(folder, os.getcwd())


def is_installed():
    """Tell whether .venv holds what the lock asks for."""
    digest, folder = read_stamp()
    return digest == fingerprint() and same_place(folder) and os.path.exists(VENV_PYTHON)


def acquire_lock():
    """Wait until no other process sets up .venv; return the open lock.

    The system lets go of the lock when its holders end, however they end: none is ever stale.
    """
    lock = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    waiting = False
    while not try_lock(lock):
        if not waiting:
            say("Another process is setting up .venv; waiting until it is done.")
            waiting = True
        time.sleep(0.2)
    return lock


def try_lock(lock):
    """Take the lock if it is free; a file system that knows no locks counts as free."""
    try:
        if WINDOWS:
            import msvcrt

            msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
    return True


def venv_version():
    """Return the version of the Python inside .venv, or None if it does not run there."""
    probe = "import sys; print('%d %d %d' % sys.version_info[:3]); print(sys.prefix)"
    try:
        output = subprocess.check_output(
            [VENV_PYTHON, "-c", probe], stderr=subprocess.DEVNULL, universal_newlines=True
        )
        version, prefix = output.splitlines()
        inside = os.path.samefile(prefix, VENV)  # else pip would install outside .venv
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None
    return tuple(map(int, version.split())) if inside else None


def pip_runs():
    """Tell whether pip runs inside .venv."""
    command = [VENV_PYTHON, "-m", "pip", "--version"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return os.path.exists(VENV_PYTHON) and subprocess.call(command, **quiet) == 0


def empty_venv():
    """Delete what is in .venv, but not the lock that this process holds in it."""
    for name in os.listdir(VENV):
        path = os.path.join(VENV, name)
        if path == LOCK:
            continue
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.remove(path)


def make_venv():
    """Bring .venv to where its own Python and pip run, making it anew if it is half-made."""
    _, folder = read_stamp()
    if folder and not same_place(folder):
        say("This repository was moved or copied: .venv is made again.")
        empty_venv()
    version = venv_version()
    if version:
        check_version(version, OLD_VENV)
        if pip_runs():
            return
        say("There is no working pip in .venv: it is added.")
        if subprocess.call([VENV_PYTHON, "-m", "ensurepip"]) == 0 and pip_runs():
            return
    if set(os.listdir(VENV)) - {os.path.basename(LOCK)}:
        say(".venv is half-made: it is made again.")
        empty_venv()
    else:
        say("Making the virtual environment .venv with Python %d.%d.%d." % sys.version_info[:3])
    # The base interpreter: this one may be .venv's own, just deleted.
    base = getattr(sys, "_base_executable", None) or sys.executable
    if subprocess.call([base, "-m", "venv", os.path.realpath(VENV)]) or not pip_runs():
        raise Stop("The virtual environment .venv could not be made; the reason stands above.")


def forget_half_installed():
    """Delete the metadata of packages whose installation was cut short.

    pip takes a package with metadata for installed, yet it writes INSTALLER after everything
    that a package needs to run: without that file, let pip install the package again.
    """
    for where, folders, _ in os.walk(VENV):
        if os.path.basename(where) == "site-packages":
            for folder in [name for name in folders if name.endswith(".dist-info")]:
                path = os.path.join(where, folder)
                if not os.path.exists(os.path.join(path, "INSTALLER")):
                    shutil.rmtree(path)
            folders[:] = []


def pip_install(arguments, lock):
    """Run pip install inside .venv, its output shown."""
    command = [VENV_PYTHON, "-m", "pip", "install", "--disable-pip-version-check"]
    # pip holds the lock too: if this process is killed, the next one waits for pip to end.
    inherited = () if WINDOWS else (lock,)
    if subprocess.call(command + arguments, pass_fds=inherited):
        raise Stop(
            "The set-up stopped because pip install %s failed; pip's own message stands above, "
            "and make continues from here when run again." % " ".join(arguments)
        )


def install(lock):
    """Install the locked packages and this one, and record that it is done."""
    digest = fingerprint()
    if os.path.exists(STAMP):
        os.remove(STAMP)  # a changed lock: from here on .venv is neither the old set nor the new
    forget_half_installed()
    say(
        "Installing the packages in requirements.lock into .venv: about %d GB to download the "
        "first time, up to %d GB on disk." % (DOWNLOAD_GB, DISK_GB)
    )
    pip_install(["-r", "requirements.lock"], lock)
    say("Installing bnn-geometry itself, in place: what you edit in src/ is what runs.")
    pip_install(["--no-deps", "-e", "."], lock)
    write_stamp(digest)
    say(".venv is complete.")


def set_up(version):
    """Do what is left to do, running under a Python of this version."""
    if is_installed():  # an old Python does no harm then: .venv has its own
        return
    check_version(version, OLD_PYTHON)
    check_modules()
    if not os.path.isdir(VENV):
        os.mkdir(VENV)
    lock = acquire_lock()
    if is_installed():  # by the process that this one waited for
        return
    check_disk()
    make_venv()
    install(lock)


def main(version=sys.version_info):
    """Set up .venv from the repository's root; return the exit code."""
    os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        set_up(version)
    except Stop as stop:
        message = str(stop)
    except KeyboardInterrupt:
        message = "\nThe set-up was interrupted; make continues from here when run again."
    except (IOError, OSError) as error:
        message = "The set-up stopped: %s." % error
    else:
        return 0
    sys.stdout.flush()
    sys.stderr.write(message + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
