"""Monte Carlo chains as mchammer's data containers, for its own analysis."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ase.units import kB
from mchammer import DataContainer

from hea_flows.alloy.lattice import (
    Ordering,
    correlation_matrix,
    neighbour_pairs,
    own_image_share,
    pair_labels,
)
from hea_flows.alloy.sampling import ChainSummary
from hea_flows.runtime import atomic_write
from hea_flows.schemas import ChainSeries, MonteCarloDoc


def data_container(doc: MonteCarloDoc, chain: ChainSummary, series: ChainSeries) -> DataContainer:
    """Return one chain of a document.

    A record per step, at its number of trials since the burn-in: ``potential`` (eV per cell, the
    model's own energy), ``acceptance_ratio`` (of all steps) and the order parameters, ``CV A-B``
    for nearest neighbours and ``CV A-B shell 2``, …, less those of random decorations. The first
    and last record have the decoration, which ``get("trajectory")`` returns.

    Parameters
    ----------
    doc, chain
        The document, and one of its chains.
    series
        The document's `series`, read.
    """
    host, row = doc.alloy.to_alloy(), doc.chains.index(chain)
    first, last = (
        Ordering(host, doc.supercell, tuple(species)).to_atoms(doc.lattice_constant)
        for species in (chain.initial_species, chain.final_species)
    )
    symbols = first.get_chemical_symbols()
    parameters = {
        "n_atoms": len(first),
        **{f"n_atoms_{s}": symbols.count(s) for s in dict.fromkeys(symbols)},
        "temperature": chain.temperature,
        "boltzmann_constant": kB,
    }
    metadata = {
        "ensemble_name": "CanonicalEnsemble",
        "model": doc.model.title,
        "mode": doc.mode,
        "method": doc.settings.method,
        "run": chain.run,
        "seed": doc.seed,
        "averages_from_mctrial": chain.averaged_from * chain.block,
        "document": doc.uuid,
    }
    container = DataContainer(first, parameters, metadata)
    columns = {"potential": series.energies[row] * doc.n_sites}
    n = len(doc.alloy.elements)
    upper, numbers = np.triu_indices(n), [doc.counts[e] for e in doc.alloy.elements]
    for shell in doc.settings.shells:
        own_images = own_image_share(neighbour_pairs(host, doc.supercell, shell))
        counts = series.matrices(shell, n)[row]
        values = correlation_matrix(counts, numbers, own_images)[:, upper[0], upper[1]]
        tail = "" if shell == 1 else f" shell {shell}"
        for pair, column in zip(pair_labels(doc.alloy.elements), values.T, strict=True):
            columns[f"CV {pair}{tail}"] = column
    steps = len(series.energies[row])
    for step in range(steps):
        record: dict[str, float | list[int]] = {k: float(v[step]) for k, v in columns.items()}
        record["acceptance_ratio"] = chain.acceptance
        if step in {0, steps - 1}:
            record["occupations"] = (first if step == 0 else last).numbers.tolist()
        container.append(step * chain.block, record)
    return container


def export_chains(doc: MonteCarloDoc, folder: Path) -> list[Path]:
    """Write every chain of a document as ``T400-run0.dc``, each whole or not at all.

    Parameters
    ----------
    doc
        The document, loaded.
    folder
        Made if it is not there.

    Raises
    ------
    ValueError
        If the series was not loaded.
    """
    series = ChainSeries.from_file(doc.series)
    files = []
    with TemporaryDirectory() as scratch:  # mchammer writes to a path, in parts
        for chain in doc.chains:
            whole = Path(scratch) / f"T{chain.temperature:g}-run{chain.run}.dc"
            data_container(doc, chain, series).write(str(whole))
            files.append(folder / whole.name)
            atomic_write(files[-1], whole.read_bytes())
    return files
