"""One Maker per unit of retry and of database output, in rooms by topic.

Modules: `campaign` stores the campaign's file, `report` its page; `routing` says which workers take
a job.
"""

from __future__ import annotations

__all__ = ["campaign", "report", "routing"]
