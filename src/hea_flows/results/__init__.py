"""Reading back what jobs stored: queries, figures, tables, the report, and files for others."""

from __future__ import annotations

__all__: list[str] = []
