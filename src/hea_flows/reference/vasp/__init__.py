"""VASP, with Materials Project's settings, through atomate2 and custodian.

The module `validation` tells what a machine lacks and what Materials Project would object to.
"""

from __future__ import annotations

from hea_flows.reference.vasp.maker import VaspMaker
from hea_flows.reference.vasp.outputs import (
    VaspInput,
    VaspOutput,
    is_vasp_task,
    read_output,
    read_task,
)
from hea_flows.reference.vasp.rules import run_rules

__all__ = [
    "VaspInput",
    "VaspMaker",
    "VaspOutput",
    "is_vasp_task",
    "read_output",
    "read_task",
    "run_rules",
    "validation",
]
