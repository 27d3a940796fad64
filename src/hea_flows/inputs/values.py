"""Values that mean what they say: numbers that are no booleans, names; and values in messages."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

#: Characters of a value that a message shows.
SHOWN = 80
_MOST_DIGITS = 100


def shown(value: object, width: int = SHOWN) -> str:
    """Return a value as Python writes it, cut where it is long, to be part of a message.

    Examples
    --------
    >>> from hea_flows.inputs import shown
    >>> shown("2(2)"), shown("abcdefgh", width=6), shown(10**400)
    ("'2(2)'", "'abcd…", 'a number of 401 digits')
    """
    if isinstance(value, int) and not isinstance(value, bool):
        digits = int(abs(value).bit_length() * 0.30103) + 1
        if digits > _MOST_DIGITS:  # Python itself refuses to write one of 4300 digits
            return f"a number of {digits} digits"
    try:
        text = repr(value[: 2 * width] if isinstance(value, str) else value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__} that cannot be shown"
    return cut(text, width)


def cut(text: str, width: int = SHOWN) -> str:
    """Return a text as part of a message, cut where it is long."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _number(value: object) -> object:
    """Refuse what Python counts as a number and people do not."""
    if isinstance(value, bool):
        kind, msg = "number_type", "input should be a number, not true or false"
        raise PydanticCustomError(kind, msg)
    if isinstance(value, int) and abs(value) > 10**18:
        kind, msg = "number_size", "numbers have at most 18 digits"
        raise PydanticCustomError(kind, msg)
    if isinstance(value, float) and not math.isfinite(value):
        kind, msg = "finite_number", "input should be a finite number"
        raise PydanticCustomError(kind, msg)
    return value


#: A real number of a size that physics has; ``true`` is none.
Number = Annotated[float, BeforeValidator(_number), Field(ge=-1e12, le=1e12, allow_inf_nan=False)]
#: A whole number; ``true`` is none.
Whole = Annotated[int, BeforeValidator(_number), Field(ge=-(10**9), le=10**9)]
#: A computed number, NaN where there is none. JSON writers that know no NaN make it null.
Computed = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
#: Of random numbers. Up to what every library and MongoDB can hold.
Seed = Annotated[int, BeforeValidator(_number), Field(ge=0, le=2**53)]
#: What something is called, on one line.
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
