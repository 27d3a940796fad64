"""Custodian's log of one attempt to run VASP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from custodian.custodian import CustodianError, ReturnCodeError, ValidationError

from hea_flows.reference.vasp.files import Folder, read_text


def _log(attempt: Path) -> list[dict[str, Any]]:
    try:
        return list(json.loads(read_text(Folder(attempt), "custodian.json")))
    except ValueError:  # absent or cut
        return []


def handlers(attempt: Path) -> set[str]:
    """Return the names of the handlers that found something."""
    entries = [c.get("handler") for job in _log(attempt) for c in job["corrections"]]
    return {e["@class"] for e in entries if isinstance(e, dict) and "@class" in e}


def gave_up(attempt: Path) -> bool:
    """Return whether custodian made all the corrections it was allowed to."""
    limits = ("max_errors", "max_errors_per_job", "max_errors_per_handler")
    return any(job.get(limit) for job in _log(attempt) for limit in limits)


def corrections(attempt: Path) -> list[str]:
    """Return the errors that custodian found and what it did, one line each."""
    texts = []
    for job in _log(attempt):
        for correction in job["corrections"]:
            if correction.get("errors") == ["Walltime reached"]:  # once per look
                continue
            actions = [_action(a) for a in correction.get("actions") or []]
            errors = ", ".join(str(e) for e in correction.get("errors") or [])
            texts.append(f"{errors}: {'; '.join(actions) or 'nothing could be done'}")
    return texts


def _action(action: Mapping[str, Any]) -> str:
    target = action.get("dict") or action.get("file") or ""
    changes = action.get("action") or {}
    parts = []
    for how, what in changes.items():
        if how == "_set" and isinstance(what, dict):
            parts += [f"{target} {k} = {v}" for k, v in what.items()]
        elif how == "_unset" and isinstance(what, dict):
            parts += [f"{target} without {k}" for k in what]
        else:
            detail = what.get("dest", "") if isinstance(what, dict) else what
            parts.append(f"{target} {how.removeprefix('_').replace('_', ' ')} {detail}".strip())
    return ", ".join(parts)


def why(error: CustodianError, attempt: Path) -> str:
    """Return in one line what custodian could not correct."""
    texts = corrections(attempt)
    if isinstance(error, ValidationError):
        lines = (attempt / "std_err.txt").read_text(errors="replace").split("\n")
        message = next((f": {line.strip()}" for line in lines if line.strip()), "")
        return f"VASP ended without complete output{message}"
    if isinstance(error, ReturnCodeError):
        return "VASP ended with an error code"
    last = f", last of {texts[-1]}" if texts else ""
    return f"custodian gave up after {len(texts)} corrections{last}"
