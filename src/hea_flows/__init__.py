"""hea-flows: from one YAML file to fine-tuned potentials and phase stability of alloys.

The public names are loaded when first used; importing the package imports neither torch nor
jobflow.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Any

__version__ = version("hea-flows")

_PUBLIC = {
    "Alloy": "hea_flows.alloy.lattice.prototypes",
    "Ordering": "hea_flows.alloy.lattice.ordering",
    "Campaign": "hea_flows.config",
    "load_campaign": "hea_flows.config",
    "CampaignMaker": "hea_flows.flows.campaign",
    "register_family": "hea_flows.plugins",
    "register_reference_engine": "hea_flows.plugins",
}

__all__ = [  # noqa: PLE0604  names are strings, gathered from the table above
    "__version__",
    *_PUBLIC,
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _PUBLIC:
        msg = f"module 'hea_flows' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_PUBLIC[name]), name)
