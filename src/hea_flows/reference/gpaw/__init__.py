"""GPAW, the open-source plane-wave PBE engine; importing this package does not load GPAW."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hea_flows.reference.gpaw.maker import GPAWMaker

__all__ = ["GPAWMaker"]


def __getattr__(name: str) -> object:
    # Not before it is asked for: `python -m hea_flows.reference.gpaw.command` runs a part of it.
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from hea_flows.reference.gpaw.maker import GPAWMaker

    return GPAWMaker
