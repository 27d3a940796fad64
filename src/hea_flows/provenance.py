"""Where a document comes from: its job, campaign, package versions and source documents."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from jobflow import CURRENT_JOB

from hea_flows.schemas import Document

_PACKAGES = ("hea-flows", "jobflow", "numpy", "ase", "icet")


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python, the packages in every document, and `packages`."""
    result = {"python": platform.python_version()}
    for package in (*_PACKAGES, *packages):
        try:
            result[package] = version(package)
        except PackageNotFoundError:
            continue
    return result


def provenance(*packages: str, **sources: Document | Sequence[Document] | None) -> dict[str, Any]:
    """Return the fields of a `Document` that say where it comes from.

    Parameters
    ----------
    packages
        Further packages whose versions matter to the result.
    sources
        The document or documents that this one is made from, by role.
    """
    job = CURRENT_JOB.job
    links: dict[str, list[str]] = {}
    for role, given in sources.items():
        documents = [given] if isinstance(given, Document) or given is None else given
        if uuids := [d.uuid for d in documents if d is not None]:
            links[role] = uuids
    return {
        "uuid": job.uuid if job else "",
        "campaign": job.metadata.get("campaign") if job else None,
        "versions": versions(*packages),
        "sources": links,
    }


def settings_id(rule: Mapping[str, object]) -> str:
    """Return the id of a settings rule: the hash of its canonical JSON, 12 hex digits.

    Labels may share a dataset exactly if their ids are equal. The *rule* is hashed (mesh density,
    spin rule), never what it gave for one cell.
    """
    text = json.dumps(dict(rule), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
