"""A table of texts for page and terminal, and numbers as text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import isfinite
from textwrap import fill

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.table import Table as RichTable

NONE = "–"
#: Longer words are folded.
_LONG = 24


@dataclass(frozen=True)
class Table:
    """A table of texts; columns named in `wide` hold words, the others numbers.

    Parameters
    ----------
    caption
        What it shows, with units that the columns do not name.
    columns
        Headings.
    rows
        Cells, as many per row as there are headings.
    wide
        Positions of the columns that are set flush left.
    folded
        True if it is shown on demand only.
    """

    caption: str
    columns: list[str]
    rows: list[list[str]]
    wide: set[int] = field(default_factory=lambda: {0})
    folded: bool = False

    @classmethod
    def from_rows(
        cls, caption: str, rows: Sequence[Mapping[str, str]], words: Collection[str]
    ) -> Table:
        """Return the table of rows that map column to cell; columns of `words` are wide."""
        columns = list(rows[0]) if rows else []
        wide = {i for i, column in enumerate(columns) if column in words}
        return cls(caption, columns, [list(row.values()) for row in rows], wide)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Print the table, its caption above; the last columns are left out where there is no room.

        Words fold, numbers stay whole.
        """
        needed = [self._width(i) for i in range(len(self.columns))]
        ends = accumulate(width + 2 for width in needed)  # two between columns
        shown = max(1, sum(end <= options.max_width for end in ends))
        caption = self.caption
        if left_out := self.columns[shown:]:
            caption += f" No room here for: {', '.join(left_out)}."
        table = RichTable(
            title=escape(caption),
            title_justify="left",
            box=SIMPLE_HEAD,
            collapse_padding=True,
            pad_edge=False,
        )
        for i, column in enumerate(self.columns[:shown]):
            if i in self.wide:
                table.add_column(escape(column), overflow="fold")
            else:
                heading = fill(column, needed[i])
                table.add_column(escape(heading), justify="right", no_wrap=True)
        for row in self.rows:
            table.add_row(*map(escape, row[:shown]))
        yield table

    def _width(self, i: int) -> int:
        """Return the least width of a column: its longest number, or word that is not folded."""
        cells = [row[i] for row in self.rows]
        words = (w[:_LONG] for w in " ".join(cells).split()) if i in self.wide else cells
        return max(map(len, [*self.columns[i].split(), *words]))


def number(value: float | None, digits: int = 2) -> str:
    """Return a number with fixed digits and a true minus sign; a dash for None, nan and inf."""
    if value is None or not isfinite(value):
        return NONE
    text = f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−").replace(",", " ")


def with_error(value: float, error: float, digits: int = 2) -> str:
    """Return ``value ± error``; the value alone where the error is unknown."""
    return number(value, digits) + (f" ± {number(error, digits)}" if isfinite(error) else "")


def interval(ends: tuple[float, float] | None, digits: int = 2) -> str:
    """Return ``low to high``; a dash for None, or for ends that are not numbers."""
    if ends is None or not all(map(isfinite, ends)):
        return NONE
    return f"{number(ends[0], digits)} to {number(ends[1], digits)}"
