"""What people give: YAML, numbers and names that mean what they say, limits, named functions."""

from __future__ import annotations

from hea_flows.inputs.limits import (
    MOST_SET_SECONDS,
    MOST_STRUCTURES,
    VARIABLE_PREFIX,
    LimitError,
    refuse_above,
)
from hea_flows.inputs.named import load_named, named_files, promised_files
from hea_flows.inputs.values import Computed, Name, Number, Seed, Whole, cut, shown
from hea_flows.inputs.yaml_text import MOST_VALUES, load_yaml, read_yaml

__all__ = [
    "MOST_SET_SECONDS",
    "MOST_STRUCTURES",
    "MOST_VALUES",
    "VARIABLE_PREFIX",
    "Computed",
    "LimitError",
    "Name",
    "Number",
    "Seed",
    "Whole",
    "cut",
    "load_named",
    "load_yaml",
    "named_files",
    "promised_files",
    "read_yaml",
    "refuse_above",
    "shown",
]
