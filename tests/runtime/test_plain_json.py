from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import pytest

from hea_flows.runtime import to_json


def _refuse(constant: str) -> None:
    msg = f"{constant} is no JSON"
    raise ValueError(msg)


def test_numbers_that_are_none_become_null() -> None:
    data = {
        "a": math.nan,
        "b": [1.5, -math.inf, (math.inf, {"c": math.nan})],
        "when": datetime(2026, 1, 2, tzinfo=UTC),
        "name": "NaN Å",
        "n": 3,
        "flag": True,
    }
    assert json.loads(to_json(data), parse_constant=_refuse) == {
        "a": None,
        "b": [1.5, None, [None, {"c": None}]],
        "when": "2026-01-02 00:00:00+00:00",
        "name": "NaN Å",
        "n": 3,
        "flag": True,
    }


@pytest.mark.parametrize("value", [0.1, 1e-300, -2.5e17, 1 / 3])
def test_numbers_keep_all_digits(value: float) -> None:
    assert json.loads(to_json([value])) == [value]
