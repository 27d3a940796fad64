"""POTCARs are validated once: programs read each of them a dozen times per run of VASP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymatgen.io.vasp.inputs import PotcarSingle

#: Content of a POTCAR to whether pymatgen takes it for valid, and the statistics it compares.
_JUDGED: dict[str, tuple[bool, Any]] = {}


@contextmanager
def judged_once() -> Iterator[None]:
    """Let pymatgen remember, within the block, its verdict on a POTCAR of the same content.

    Whenever pymatgen, custodian or TaskDoc read a POTCAR, all its numbers (some 10,000) are
    compared with a table of all that are known. A run of VASP with three elements makes that
    about fifty times: most of what a label costs beside VASP.
    """
    judge = PotcarSingle.is_valid
    assert isinstance(judge, property)
    assert judge.fget is not None
    look = judge.fget

    def is_valid(potcar: PotcarSingle) -> bool:
        if potcar.data not in _JUDGED:
            _JUDGED[potcar.data] = bool(look(potcar)), potcar._summary_stats  # noqa: SLF001
        valid, potcar._summary_stats = _JUDGED[potcar.data]  # noqa: SLF001
        return valid

    PotcarSingle.is_valid = property(is_valid)
    try:
        yield
    finally:
        PotcarSingle.is_valid = judge
