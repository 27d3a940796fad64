"""JSON that any program reads: numbers that are none become null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping


def to_json(data: object) -> str:
    """Return the JSON of plain data, indented.

    JSON has no NaN and no infinity; Python would write them all the same, and other programs refuse
    the file. They become null, as JavaScript writes them. What JSON has no type for, such as a
    date, becomes text.
    """
    return json.dumps(_finite(data), indent=2, ensure_ascii=False, allow_nan=False, default=str)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value
