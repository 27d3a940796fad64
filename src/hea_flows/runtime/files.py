"""Files written whole or not at all, and where results may be written."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Links that are followed one by one before a path counts as a loop, as on Linux.
_MAX_LINKS = 40
#: Longest name (bytes) that gets a suffix; file systems allow 255.
_LONGEST = 200


def atomic_write(path: Path, content: bytes | str, *, private: bool = False) -> None:
    """Write a file whole or not at all; it is on disk before it gets its name.

    Several processes may write the same file at once: each writes a file of its own beside it, and
    the last rename wins. Readers see an old or a new file, never part of one.

    Only a regular file is replaced. A symbolic link stays and its target is replaced, as a shell's
    ``>`` does; a device, a FIFO and a path of an open descriptor (``/dev/stdout``) are written to.

    Parameters
    ----------
    path
        The file; its folder is created.
    content
        Text is encoded as UTF-8.
    private
        Whether only the owner may read it (mode 0600; a new folder has 0700).

    Raises
    ------
    OSError
        If it cannot be written; it names `path`. Nothing is left behind.
    """
    raw = content.encode() if isinstance(content, str) else content
    with _naming(path):
        if (descriptor := open_descriptor(path)) is not None:
            _write_through(os.dup(descriptor), raw)
        elif (mode := _mode(path)) is None or stat.S_ISREG(mode):
            _replace(Path(os.path.realpath(path)), raw, private=private)
        else:  # a folder refuses to be opened
            _write_through(os.open(path, os.O_WRONLY | os.O_CLOEXEC), raw)


def check_writable(path: Path) -> None:
    """Raise what `atomic_write` would raise, as far as it can be known; nothing is written.

    Raises
    ------
    OSError
        If a file cannot be written there: `path` is a folder, lies below a file, has too long a
        name, or permission is missing.
    """
    with _naming(path):
        if open_descriptor(path) is not None:
            return
        mode = _mode(path)
        if mode is not None and stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        if mode is not None and not os.access(path, os.W_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        if mode is None or stat.S_ISREG(mode):
            folder = Path(os.path.realpath(path)).parent
            while not folder.exists():
                folder = folder.parent
            if not folder.is_dir():
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if not os.access(folder, os.W_OK | os.X_OK):
                raise OSError(errno.EACCES, os.strerror(errno.EACCES))


def open_descriptor(path: Path) -> int | None:
    """Return the open descriptor of this process that a path such as ``/dev/stdout`` means.

    A file that the standard output was redirected to must not be replaced under its writer, so
    that the name of that file is not looked at.
    """
    for _ in range(_MAX_LINKS):
        folder = Path(os.path.realpath(path.parent))
        if folder in {Path(f"/proc/{os.getpid()}/fd"), Path("/dev/fd")} and path.name.isdigit():
            return int(path.name)
        if not path.is_symlink():
            return None
        path = folder / path.readlink()
    return None


def read_text(path: Path) -> str:
    """Return the text of a file that a person wrote.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        msg = f"{path} is not text in UTF-8 (byte {error.start + 1} is no part of a character)"
        raise ValueError(msg) from None


def clear_partial(path: Path) -> None:
    """Remove the partial files of killed writers; nobody may be writing the file now."""
    for partial in path.parent.glob(f"{glob.escape(_hidden(path))}.*"):
        partial.unlink(missing_ok=True)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let errors name the path that was asked for, not a part of the way there."""
    try:
        yield
    except OSError as error:
        # `mkdir` below a file says that the file exists.
        number = errno.ENOTDIR if error.errno == errno.EEXIST else error.errno or errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from None


def _mode(path: Path) -> int | None:
    """Return the kind of what a path leads to; None where nothing is."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _hidden(path: Path) -> str:
    name = path.name
    if len(os.fsencode(name)) > _LONGEST:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f".{name}"


def _replace(path: Path, raw: bytes, *, private: bool) -> None:
    path.parent.mkdir(mode=0o700 if private else 0o777, parents=True, exist_ok=True)
    partial = path.with_name(f"{_hidden(path)}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with os.fdopen(os.open(partial, flags, 0o600 if private else 0o666), "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def is_disk_full(error: BaseException | None) -> bool:
    """Return whether an error came of a full disk, which is a fault of the machine, no result."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return True
        error = error.__cause__ or error.__context__
    return False


def _write_through(descriptor: int, raw: bytes) -> None:
    """Write to what is open, after what was printed before, and close it."""
    try:
        sys.stdout.flush()
        rest = memoryview(raw)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)
