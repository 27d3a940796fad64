"""Chains as mchammer's data containers: what was stored comes out of mchammer's own reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from jobflow import JobStore
from mchammer import DataContainer

from hea_flows.alloy.lattice.bonds import bond_counts, neighbour_pairs, species_codes
from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.cli import main
from hea_flows.results.export import export_chains
from hea_flows.results.store import CampaignDocuments
from hea_flows.schemas import ChainSeries, StoredFile


def test_every_chain_is_read_by_mchammer(inputs: CampaignDocuments, tmp_path: Path) -> None:
    [doc] = inputs.montecarlo
    files = export_chains(doc, tmp_path / "chains")
    assert [f.name for f in files[:3]] == ["T200-run0.dc", "T200-run1.dc", "T300-run0.dc"]
    assert len(files) == 10
    container = DataContainer.read(str(files[3]))
    chain, series = doc.chains[3], ChainSeries.from_file(doc.series)
    trials, potential = container.get("mctrial", "potential")
    np.testing.assert_array_equal(trials, 625 * np.arange(9))
    np.testing.assert_array_equal(potential, 100 * series.energies[3])
    assert container.ensemble_parameters["temperature"] == 300
    assert container.ensemble_parameters["n_atoms"] == 300
    assert container.ensemble_parameters["n_atoms_V"] == 20
    first, last = container.get("trajectory")
    host = doc.alloy.to_alloy()
    for atoms, species in ((first, chain.initial_species), (last, chain.final_species)):
        expected = Ordering(host, doc.supercell, tuple(species)).to_atoms(doc.lattice_constant)
        assert atoms == expected
    # The mean of mchammer's own analysis, from the trial that averages begin at.
    mean = container.get_average("CV V-V", start=container.metadata["averages_from_mctrial"])
    n_vv = series.matrices(1, 5)[3, 2:, 4, 4]
    assert mean == pytest.approx(np.mean(n_vv / 300 - 19 / 99 / 5), rel=1e-12)


def test_a_series_is_the_same_after_its_file(inputs: CampaignDocuments) -> None:
    [doc] = inputs.montecarlo
    series = ChainSeries.from_file(doc.series)
    assert series.counts[1].sum(axis=2).tolist() == [[300] * 9] * 10
    again = ChainSeries.from_file(series.to_file())
    np.testing.assert_array_equal(again.energies, series.energies)
    np.testing.assert_array_equal(again.counts[1], series.counts[1])
    assert series.to_file().sha256 == doc.series.sha256  # the same bytes on another day


def test_bonds_of_a_series_are_those_of_the_decoration(inputs: CampaignDocuments) -> None:
    [doc] = inputs.montecarlo
    elements, species = doc.alloy.elements, doc.chains[0].final_species
    pairs = neighbour_pairs(doc.alloy.to_alloy(), doc.supercell)
    counts = bond_counts(species_codes(species, elements), pairs, 5)
    series = ChainSeries.collect([[0.0]], [{1: counts[None]}])
    again = ChainSeries.from_file(series.to_file()).matrices(1, 5)[0, 0]
    np.testing.assert_array_equal(again, counts)


def test_verb_writes_the_newest_chains_of_a_campaign(
    database: JobStore,
    inputs: CampaignDocuments,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    [doc] = inputs.montecarlo
    folder = tmp_path / "chains"
    assert main(["export", "chains", str(folder), "--campaign", "toy"]) == 0
    assert capsys.readouterr().out == f"10 chains of 8 steps: {folder}\n"
    container = DataContainer.read(str(folder / "T1000-run1.dc"))
    energies = ChainSeries.from_file(doc.series).energies
    np.testing.assert_array_equal(container.get("potential"), 100 * energies[9])
    assert main(["export", "chains", str(folder), "--campaign", "other"]) == 1
    assert "no montecarlo document of campaign 'other'" in capsys.readouterr().err


def test_a_series_that_was_not_loaded_is_refused(inputs: CampaignDocuments, tmp_path: Path) -> None:
    [doc] = inputs.montecarlo
    without = doc.model_copy(
        update={"series": StoredFile(name="series", sha256="not loaded", content="")}
    )
    with pytest.raises(ValueError, match="not used"):
        export_chains(without, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_written_whole_or_not_at_all(
    inputs: CampaignDocuments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [doc] = inputs.montecarlo
    [first, *_] = export_chains(doc, tmp_path)
    before, write = first.read_bytes(), DataContainer.write

    def stopped(container: DataContainer, path: str) -> None:
        write(container, path)
        Path(path).write_bytes(Path(path).read_bytes()[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(DataContainer, "write", stopped)
    with pytest.raises(KeyboardInterrupt):
        export_chains(doc, tmp_path)
    assert first.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 10
