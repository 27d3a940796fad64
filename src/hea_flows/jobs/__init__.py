"""One Maker per unit of retry and of database output, in rooms by topic.

Modules: `campaign` stores the campaign's file, `report` its page; `routing` says which workers take
a job, `inputs` checks what it is given, `added` gives the jobs that it adds their uuids, `reuse`
takes results that are in the store, `failures` keeps why a job failed, `growth` judges the steps of
a growing training set, and `estimate` says how long a campaign's parts take.
"""

from __future__ import annotations

__all__ = [
    "added",
    "campaign",
    "estimate",
    "failures",
    "growth",
    "inputs",
    "report",
    "reuse",
    "routing",
]
