"""What running on a machine needs: whole files, locks, time limits, no secrets, extended XYZ, JSON.

`crystal_files`, `dialects` and `extxyz` (ASE) and `continuation` (jobflow) are modules behind this
front; the rest imports nothing.
"""

from __future__ import annotations

from hea_flows.runtime.files import (
    atomic_write,
    check_writable,
    clear_partial,
    is_disk_full,
    open_descriptor,
    read_text,
)
from hea_flows.runtime.locks import alone, try_lock
from hea_flows.runtime.plain_json import to_json
from hea_flows.runtime.redaction import redact
from hea_flows.runtime.walltime import OutOfTimeError, seconds_left, too_late

__all__ = [
    "OutOfTimeError",
    "alone",
    "atomic_write",
    "check_writable",
    "clear_partial",
    "continuation",
    "crystal_files",
    "dialects",
    "extxyz",
    "is_disk_full",
    "open_descriptor",
    "read_text",
    "redact",
    "seconds_left",
    "to_json",
    "too_late",
    "try_lock",
]
