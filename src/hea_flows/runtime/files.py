"""Files written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path


def atomic_write(path: Path, content: bytes | str, *, private: bool = False) -> None:
    """Write a file whole or not at all; it is on disk before it gets its name.

    Several processes may write the same file at once: each writes a file of its own beside it, and
    the last rename wins. Readers see an old or a new file, never part of one.

    Parameters
    ----------
    path
        The file; its folder is created.
    content
        Text is encoded as UTF-8.
    private
        Whether only the owner may read it (mode 0600; a new folder has 0700).
    """
    path.parent.mkdir(mode=0o700 if private else 0o777, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with os.fdopen(os.open(partial, flags, 0o600 if private else 0o666), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
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


def clear_partial(path: Path) -> None:
    """Remove the partial files of killed writers; nobody may be writing the file now."""
    for partial in path.parent.glob(f".{path.name}.*"):
        partial.unlink(missing_ok=True)
