"""Limits: what something costs is compared with what is accepted before it is paid."""

from __future__ import annotations

import math

#: What the names of environment variables begin with.
VARIABLE_PREFIX = "HEA_FLOWS_"
#: Defaults of the settings ``max_structures`` and ``max_set_seconds``.
MOST_STRUCTURES, MOST_SET_SECONDS = 20_000, 300.0


class LimitError(ValueError):
    """Something is larger than a setting accepts."""


def refuse_above(number: float, limit: float, what: str, setting: str) -> None:
    """Raise if a number is above a limit.

    Parameters
    ----------
    number, limit
        What there is, and what is accepted.
    what
        Begins the message, with ``{}`` where the number stands: ``"set 2(4) has {} structures"``.
    setting
        Name of the setting that holds the limit.

    Raises
    ------
    LimitError
        One line with the number, the limit and the setting that raises it.
    """
    if number > limit:
        line = what.replace("{}", _spelled(number), 1)
        variable = VARIABLE_PREFIX + setting.upper()
        msg = f"{line}; at most {_spelled(limit)} are accepted ({variable} raises the limit)"
        raise LimitError(msg)


def _spelled(number: float) -> str:
    """Return a number as people read it; whole numbers may be too large for a float."""
    if number < 1e9:
        return f"{number:,.0f}"
    return "endless" if number == math.inf else f"about 10^{math.log10(number):.0f}"
