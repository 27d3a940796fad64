"""The energy of the stand-in: CHGNet 0.3.0 in double precision, on one thread.

The same geometry always gives the same number: one structure at a time, atoms in their order.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Digits after the point that the stand-in writes of lattice vectors (Å), fractional
#: coordinates and energies (eV), and to which geometries are rounded before they are evaluated.
DECIMALS = 8
_GPA = 160.21766208  # per eV/Å³, CHGNet's own factor


def evaluate(cell: Any, frac: Any, symbols: Sequence[str]) -> dict[str, Any]:
    """Return what the stand-in writes for a geometry.

    Parameters
    ----------
    cell
        Lattice vectors as rows, (3, 3), Å.
    frac
        Fractional coordinates, (atoms, 3).
    symbols
        One chemical symbol per atom.

    Returns
    -------
    dict
        energy (eV, rounded to the 8 decimals that are written), forces (eV/Å, (atoms, 3)),
        stress (eV/Å³, (3, 3), positive under tension) and magmoms (μB, (atoms,)).
    """
    import torch
    from pymatgen.core import Lattice, Structure

    cell, frac = rounded(cell), rounded(frac)
    model = _model()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        graph = model.graph_converter(Structure(Lattice(cell), list(symbols), frac))
        graph.atom_frac_coord = torch.tensor(frac, dtype=torch.float64, requires_grad=True)
        graph.lattice = torch.tensor(cell, dtype=torch.float64, requires_grad=True)
        graph.neighbor_image = graph.neighbor_image.to(torch.float64)
        result = model.predict_graph(graph, task="efsm")
    finally:
        torch.set_num_threads(threads)
    stress = result["s"] / _GPA
    return {
        "energy": round(float(result["e"]) * len(symbols), DECIMALS),
        "forces": np.asarray(result["f"], dtype=float),
        "stress": np.asarray(stress + stress.T, dtype=float) / 2,
        "magmoms": np.asarray(result["m"], dtype=float),
    }


def rounded(values: Any) -> NDArray[np.float64]:
    """Return the numbers that their written form has."""
    array = np.asarray(values, dtype=float)
    texts = [f"{value:.{DECIMALS}f}" for value in array.flat]
    return np.array([float(text) + 0.0 for text in texts]).reshape(array.shape)


@functools.cache
def _model() -> Any:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch
    from chgnet.model import CHGNet

    model = CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False)
    model.to(torch.float64)
    model.composition_model.to(torch.float32)  # its features are float32
    model.graph_converter.set_isolated_atom_response("error")
    return model.eval()
