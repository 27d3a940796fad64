"""Quick evaluation of MACE models with scalar messages: MACE's numbers in less time.

docs/fast-mace.md says what it computes, why it is exact and how it is tested.
"""

from __future__ import annotations

from hea_flows.potentials.mace.fast.lattice import LatticeMACE
from hea_flows.potentials.mace.fast.layers import supported
from hea_flows.potentials.mace.fast.scalar import ScalarMACE

__all__ = ["LatticeMACE", "ScalarMACE", "supported"]
