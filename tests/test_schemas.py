from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from monty.json import MontyDecoder, MontyEncoder, jsanitize
from stored_campaign import campaign_documents

from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.config import LabelSpec
from hea_flows.jobs.labelling.labels import LabelsMaker
from hea_flows.schemas import (
    AlloySpec,
    ModelSpec,
    RelaxationSummary,
    StoredFile,
    StructureEntry,
    Trajectory,
)


def _frames(n: int, *, moments: tuple[int, ...] | None) -> list[Atoms]:
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(n):
        atoms = Atoms("MoS2", rng.normal(size=(3, 3)), cell=rng.normal(size=(3, 3)), pbc=(1, 1, 0))
        results = {
            "energy": rng.normal(),
            "free_energy": rng.normal(),
            "forces": rng.normal(size=(3, 3)),
            "stress": rng.normal(size=6),
        }
        if moments is not None:
            results["magmoms"] = rng.normal(size=moments)
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    return frames


@pytest.mark.parametrize("moments", [None, (3,), (3, 3)], ids=["no moments", "numbers", "vectors"])
def test_trajectory_keeps_every_digit_through_json(moments: tuple[int, ...] | None) -> None:
    frames = _frames(3, moments=moments)
    text = json.dumps(jsanitize(Trajectory.from_frames(frames), strict=True))
    again = json.loads(text, cls=MontyDecoder).to_frames(structure_id="a")
    for i, (old, new) in enumerate(zip(frames, again, strict=True)):
        assert new.info == {"structure_id": "a", "step": i}
        assert new.get_chemical_formula() == old.get_chemical_formula()
        assert new.pbc.tolist() == [True, True, False]
        np.testing.assert_array_equal(new.positions, old.positions)
        np.testing.assert_array_equal(new.cell.array, old.cell.array)
        assert set(new.calc.results) == set(old.calc.results)
        for key, value in old.calc.results.items():
            np.testing.assert_array_equal(new.calc.results[key], value)


def test_documents_pass_through_json() -> None:
    """jobflow-remote hands results on as files, in which NaN is null."""
    for document in campaign_documents():
        text = json.dumps(document.as_dict(), cls=MontyEncoder).replace("NaN", "null")
        assert '"datetime"' in text
        again = json.loads(text, cls=MontyDecoder)
        assert type(again) is type(document)
        assert again.model_dump_json() == document.model_dump_json()


def test_stored_file_is_checked_before_it_is_written(tmp_path: Path) -> None:
    stored = StoredFile.from_bytes("model.pt", pickle.dumps({"a": 1}))
    path = stored.write_to(tmp_path)
    assert path.read_bytes() == pickle.dumps({"a": 1})
    other = StoredFile.from_bytes("x", b"changed")
    tampered = stored.model_copy(update={"content": other.content})
    with pytest.raises(ValueError, match=r"model\.pt: sha256 is [0-9a-f]{64}, the document says"):
        tampered.write_to(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_maker_that_holds_records_survives_json() -> None:
    maker = LabelsMaker(labels=LabelSpec(engine="archive", options={"dataset": "x"}), seed=4)
    again = json.loads(json.dumps(maker.as_dict()), cls=MontyDecoder)
    assert again == maker
    assert isinstance(again.labels, LabelSpec)
    assert not hasattr(LabelSpec, "as_dict")  # monty would call it on output schemas, classes


def test_an_entry_knows_its_host() -> None:
    layer = AlloySpec(elements=("Mo", "W")).to_alloy()
    entry = StructureEntry.from_ordering(
        Ordering(layer, ((2, 0, 0), (0, 1, 0), (0, 0, 1)), ("Mo", "W"))
    )
    assert entry.to_ordering(layer).species == ("Mo", "W")
    other = AlloySpec(elements=("Mo", "W"), prototype="1T-MX2").to_alloy()
    with pytest.raises(ValueError, match="it was made for another host"):
        entry.to_ordering(other)


def test_model_labels() -> None:
    assert ModelSpec(family="chgnet", name="0.3.0").title == "chgnet-0.3.0"
    assert ModelSpec(family="mace", sha256="0123456789ab").title == "mace-01234567"
    assert not ModelSpec(family="mace").pretrained


def test_how_good_relaxed_energies_were_in_words() -> None:
    summary = RelaxationSummary(
        samples=20, rms_error_mev=1.23, largest_error_mev=1.7, shifts={"Mo": 0.05, "V": 0.1}
    )
    assert summary.words() == (
        "Relaxed energies are off by 1.2 meV per cell (root mean square of 20 decorations; aimed "
        "at 1.7). Mean distance of sites from the lattice: Mo 0.050, V 0.100 Å."
    )
