"""A checkpoint that runs a command: no family and no way in opens it without a promised checksum.

The trap makes a folder when it is unpickled; after every test there is none.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")

from hea_flows.alloy.sets import parse  # noqa: E402
from hea_flows.cli import main  # noqa: E402
from hea_flows.config import StartSpec, load_campaign  # noqa: E402
from hea_flows.flows import CampaignMaker  # noqa: E402
from hea_flows.jobs.labelling.labels import LabelsMaker, StartMaker  # noqa: E402
from hea_flows.jobs.learning import BenchmarkMaker, TrainMaker  # noqa: E402
from hea_flows.jobs.learning.train import local_model  # noqa: E402
from hea_flows.potentials import (  # noqa: E402
    decoration_energies,
    evaluator,
    families,
    family,
    model_files,
)
from hea_flows.potentials.training import replay_frames  # noqa: E402
from hea_flows.reference.synthetic import SyntheticMaker  # noqa: E402
from hea_flows.schemas import (  # noqa: E402
    AlloySpec,
    ModelSpec,
    Replay,
    StoredFile,
    StructureEntry,
    StructuresDoc,
    TrainingDoc,
    TrainingSettings,
)
from hea_flows.testing.families import labelled_frames  # noqa: E402

NEEDS = {
    "chgnet": "chgnet",
    "cluster-expansion": "icet",
    "committee": "torch",
    "mace": "mace",
    "mattersim": "mattersim",
    "nequix": "e3nn",
    "sevennet": "sevenn",
}
#: What is said instead where a family does not train from a file.
ELSEWHERE = ("not here", "each by its own family", "are fitted afresh", "no member of", "no forces")
#: Families whose own files are, or hold, code; of the others nothing opens a pickle.
PICKLES = {"mace", "mattersim", "nequip"}
ALLOY = AlloySpec(elements=("Mo", "W"))
[ORDERING, *_] = parse("2(2)").build(ALLOY.to_alloy(), 0)
ENTRY = StructureEntry.from_ordering(ORDERING)
CELL = ((2, 0, 0), (0, 1, 0), (0, 0, 1))
CAMPAIGN = """\
name: trust
alloy: {elements: [Mo, W]}
structures: [{set: "1(1)+2(2)"}]
"""


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.victim),))


class UnpicklingCalculator:
    """What nequip's calculator does with a file, where nequip itself is not installed."""

    @classmethod
    def _from_saved_model(cls, path: Path, device: str) -> UnpicklingCalculator:
        pickle.loads(path.read_bytes())  # noqa: S301  as theirs does, inside torch's archive
        return cls()

    from_compiled_model = _from_saved_model


@pytest.fixture(params=sorted([*NEEDS, "nequip"]))
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name: str = request.param
    if name != "nequip":
        pytest.importorskip(NEEDS[name])
        yield name
        return
    absent = find_spec("nequip") is None
    if absent:
        for module in ("nequip", "nequip.integrations", "nequip.integrations.ase"):
            monkeypatch.setitem(sys.modules, module, ModuleType(module))
        sys.modules["nequip.integrations.ase"].NequIPCalculator = UnpicklingCalculator  # type: ignore[attr-defined]
    yield name
    if absent:
        sys.modules.pop("hea_flows.potentials.foreign.nequip", None)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    return tmp_path / "victim"


@pytest.fixture
def trap(name: str, tmp_path: Path, victim: Path) -> Path:
    path = tmp_path / ("trap.nequip.zip" if name == "nequip" else "trap.model")
    path.write_bytes(pickle.dumps(Payload(victim), protocol=2))
    return path


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def made(maker: Any, *arguments: Any, **options: Any) -> Any:
    """Run what a job of a Maker runs."""
    return type(maker).make.original(maker, *arguments, **options)


def trained(spec: ModelSpec, folder: Path) -> Any:
    frames = labelled_frames(2)
    return family(spec.family).train(spec, frames, frames, [], TrainingSettings(epochs=1), folder)


def labelled(spec: ModelSpec) -> Any:
    document = made(SyntheticMaker(model=spec, calculation="static"), ENTRY, ALLOY)
    raise ValueError(document.reason)  # a label says why it failed, or what refused


def decorated(spec: ModelSpec, mode: Any) -> Any:
    energies = decoration_energies(spec, ALLOY.to_alloy(), CELL, 3.2, mode=mode)
    return energies.energies(np.array([[0, 1]]))


def start(spec: ModelSpec) -> Any:
    return StartMaker(start=StartSpec(model=spec))


def labels_of(spec: ModelSpec) -> Any:
    labels = {"engine": "synthetic", "start": {"model": spec.model_dump()}}
    maker = LabelsMaker(labels=labels_spec(labels))
    return maker._identities(StructuresDoc.model_construct(structures=[ENTRY], alloy=ALLOY))


def labels_spec(labels: dict[str, Any]) -> Any:
    from hea_flows.config import LabelSpec

    return LabelSpec.model_validate(labels)


#: What Python offers to do with a model.
USES: dict[str, Callable[[ModelSpec, Path], Any]] = {
    "resolve": lambda spec, _: family(spec.family).resolve(spec),
    "calculator": lambda spec, _: family(spec.family).calculator(spec),
    "evaluate": lambda spec, _: family(spec.family).evaluate(spec, labelled_frames(1)),
    "evaluator": lambda spec, _: evaluator(spec)(labelled_frames(1)),
    "lattice energies": lambda spec, _: decorated(spec, "fixed lattice"),
    "relaxed energies": lambda spec, _: decorated(spec, "relaxed"),
    "train": trained,
    "TrainMaker": lambda spec, _: made(TrainMaker(model=spec), SimpleNamespace()),
    "BenchmarkMaker": lambda spec, _: made(
        BenchmarkMaker(), [SimpleNamespace(settings_id="a")], foundation=spec
    ),
    "StartMaker": lambda spec, _: made(start(spec), ENTRY, ALLOY),
    "LabelsMaker with a start": lambda spec, _: labels_of(spec),
    "SyntheticMaker, checked": lambda spec, _: SyntheticMaker(model=spec).check(ALLOY),
    "SyntheticMaker": lambda spec, _: labelled(spec),
}
#: Where a campaign file names a model.
PLACES = {
    "model": "model: MODEL\n",
    "model of a study": "test_sets: {B: 2(2)}\n"
    "models: [{name: one, set: 1(1)+2(2), model: MODEL}]\n",
    "foundation of a study": "test_sets: {B: 2(2)}\nmodels: [{name: one, model: MODEL}]\n",
    "start geometry": "labels: {engine: archive, start: {model: MODEL}}\n",
    "engine of labels": "labels: {engine: synthetic, options: {model: MODEL}}\n",
    "engine of a test set": "model: chgnet\n"
    "test_sets: {B: {set: 2(2), labels: {engine: synthetic, options: {model: MODEL}}}}\n",
}


def campaign(folder: Path, place: str, spec: ModelSpec) -> Path:
    given = spec.model_dump(exclude_defaults=True)
    text = yaml.safe_dump(given, default_flow_style=True, width=10_000).strip()
    path = folder / "trust.yaml"
    path.write_text(CAMPAIGN + PLACES[place].replace("MODEL", text))
    return path


def one_line(error: BaseException, trap: Path) -> str:
    said = str(error)
    assert "\n" not in said
    assert len(said) < 600
    assert str(trap) in said or any(words in said for words in ELSEWHERE)
    return said


def test_every_family_is_tested() -> None:
    # a calculator's files: tests/potentials/foreign/test_ase_calculator.py
    assert families() == sorted([*NEEDS, "ase", "nequip"])


@pytest.mark.parametrize("known", ["nothing", "measured", "wrong"])
@pytest.mark.parametrize("use", USES)
def test_python(
    name: str, use: str, known: str, trap: Path, victim: Path, tmp_path: Path, machine: Path
) -> None:
    spec = ModelSpec(family=name, path=str(trap))
    if known == "measured":  # as a document, or a Maker on the launchpad, may hold it
        spec = ModelSpec.model_validate(spec.model_dump() | {"measured": sha256_of(trap)})
    elif known == "wrong":
        spec = ModelSpec.model_validate(spec.model_dump() | {"sha256": "ab" * 32})
    with pytest.raises(ValueError) as caught:
        USES[use](spec, tmp_path / "training")
    assert not victim.exists()
    said = one_line(caught.value, trap)
    if known == "wrong":
        line = f"sha256 is {sha256_of(trap)}, {'ab' * 32} was expected; not loaded"
        assert line in said or any(words in said for words in ELSEWHERE)
    elif name in PICKLES and "not here" not in said:
        line = f"write model: {{family: {name}, path: {trap}, sha256: {sha256_of(trap)}}}"
        assert said.endswith(line)


@pytest.mark.parametrize("known", ["nothing", "wrong"])
@pytest.mark.parametrize("place", PLACES)
def test_campaign_files(
    name: str, place: str, known: str, trap: Path, victim: Path, tmp_path: Path, machine: Path
) -> None:
    spec = ModelSpec(family=name, path=str(trap))
    if known == "wrong":
        spec = ModelSpec.model_validate(spec.model_dump() | {"sha256": "ab" * 32})
    loaded, _ = load_campaign(campaign(tmp_path, place, spec))
    with pytest.raises(ValueError) as caught:
        CampaignMaker.from_campaign(loaded)
    assert not victim.exists()
    if name != "nequip" or "not here" not in str(caught.value):
        one_line(caught.value, trap)


@pytest.mark.parametrize("verb", ["run", "submit", "check"])
def test_the_command_line(
    name: str,
    verb: str,
    trap: Path,
    victim: Path,
    tmp_path: Path,
    machine: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = campaign(tmp_path, "engine of labels", ModelSpec(family=name, path=str(trap)))
    code, said = main([verb, str(path)]), capsys.readouterr().err
    assert not victim.exists()
    assert not machine.exists()  # no database was started either
    if verb == "estimate" and code == 0:
        return
    assert code == 1
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert str(trap) in said


def test_a_process_of_its_own_says_one_line(tmp_path: Path, machine: Path, victim: Path) -> None:
    """Also what torch warns of is not printed, and MACE's import does not weaken its check."""
    pytest.importorskip("mace")
    trap = tmp_path / "trap.model"
    trap.write_bytes(pickle.dumps(Payload(victim), protocol=4))
    path = campaign(tmp_path, "model", ModelSpec(family="mace", path=str(trap)))
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "hea_flows", "run", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stderr.splitlines() if "e3nn" not in line and "_Jd" not in line]
    assert len(lines) == 1, done.stderr
    assert lines[0].endswith(f"sha256: {sha256_of(trap)}}}")
    assert (done.returncode, victim.exists()) == (1, False)


def test_a_promise_opens_a_file_that_runs_code(name: str, trap: Path, victim: Path) -> None:
    """The trap works; where no file of a family is a pickle, no promise opens one."""
    spec = ModelSpec.model_validate(
        {"family": name, "path": str(trap), "sha256": sha256_of(trap).upper()}
    )
    with pytest.raises(Exception):  # noqa: B017  a folder's name is no model
        family(name).calculator(spec)
    assert victim.exists() == (name in PICKLES)


@pytest.mark.parametrize(
    ("name", "foundation", "file"),
    [
        ("mace", "medium", "{cache}/mace/20231203mace128L1_epoch199model"),
        (
            "mattersim",
            "v1.0.0-1M",
            "{home}/.local/mattersim/pretrained_models/mattersim-{name}.pth",
        ),
        ("nequix", "omat-1", "{home}/.cache/nequix/models/nequix-{name}.nqx"),
    ],
    ids=["mace", "mattersim", "nequix"],
)
def test_a_name_without_a_published_checksum(
    name: str,
    foundation: str,
    file: str,
    victim: Path,
    tmp_path: Path,
    machine: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Refused once, with the line to write; a checksum beside the file is no promise."""
    pytest.importorskip(NEEDS[name])
    home = Path(os.environ["HOME"])
    trap = Path(file.format(cache=home / ".cache", home=home, name=foundation))
    trap.parent.mkdir(parents=True)
    trap.write_bytes(pickle.dumps(Payload(victim), protocol=2))
    trap.with_name(f"{trap.name}.sha256").write_text(sha256_of(trap))
    if name == "mace":
        from hea_flows.potentials.mace import foundations

        monkeypatch.delitem(foundations.CHECKSUMS, foundation)  # as a name that a later MACE adds
        theirs = sys.modules["mace.calculators.foundations_models"]
        monkeypatch.setattr(theirs, "download_mace_mp_checkpoint", lambda _: str(trap))
    path = tmp_path / "trust.yaml"
    path.write_text(f"{CAMPAIGN}model: {name}:{foundation}\n")
    for _ in range(2):  # and nothing is remembered
        assert main(["submit", str(path)]) == 1
        said = capsys.readouterr().err
        assert f"{name} model '{foundation}' has no published checksum; if you trust" in said
    assert not victim.exists()
    [line] = re.findall(r"write (model: \{.*\})\n", said)
    assert yaml.safe_load(line) == {
        "model": {"family": name, "name": foundation, "sha256": sha256_of(trap)}
    }
    path.write_text(f"{CAMPAIGN}{line}\n")
    maker = CampaignMaker.from_campaign(load_campaign(path)[0])
    assert [entry.maker.train.model.sha256 for entry in maker.models] == [sha256_of(trap)]
    assert not victim.exists()  # what is promised is opened where it is used


def test_a_replay_file_is_read_as_text_only(tmp_path: Path, victim: Path) -> None:
    path = tmp_path / "replay.xyz"
    path.write_bytes(pickle.dumps(Payload(victim), protocol=2))
    with pytest.raises(ValueError, match="is not a readable extended XYZ file"):
        replay_frames(Replay(file=str(path)), [42])
    assert not victim.exists()


def test_a_file_that_changed_between_two_jobs(tmp_path: Path, victim: Path, machine: Path) -> None:
    """What a campaign measured when it was submitted is compared where the model is trained."""
    pytest.importorskip("mace")
    path = tmp_path / "plain.pt"
    small: Any = {"hidden_irreps": "4x0e", "max_ell": 1, "radial_MLP": [8], "correlation": 1}
    fresh: Any = family("mace", architecture=small)
    sha256 = model_files.save(path, fresh.fresh(labelled_frames(2), 0).checkpoint())
    spec = ModelSpec(family="mace", path=str(path))
    loaded, _ = load_campaign(campaign(tmp_path, "model", spec))
    [entry] = CampaignMaker.from_campaign(loaded).models
    model = entry.maker.train.model
    assert (model.sha256, model.measured) == (None, sha256)
    path.write_bytes(pickle.dumps(Payload(victim), protocol=2))
    with pytest.raises(ValueError, match=f"{sha256} was expected; not loaded"):
        made(TrainMaker.from_dict(entry.maker.train.as_dict()), SimpleNamespace())
    assert not victim.exists()


@pytest.mark.parametrize(
    "name", sorted({*NEEDS} - {"cluster-expansion", "committee"}), indirect=True
)
def test_our_own_models_open_without_a_word_from_anybody(
    name: str, tmp_path: Path, machine: Path
) -> None:
    from tests.potentials.test_checkpoint_refusals import ARCHITECTURE

    chosen: Any = family(name, architecture=ARCHITECTURE[name])
    path, frames = tmp_path / "model.pt", labelled_frames(1)
    model_files.save(path, chosen.fresh(labelled_frames(2), 0).checkpoint())
    plain = ModelSpec(family=name, path=str(path))  # as `hea-flows export model` writes it
    document = TrainingDoc.model_construct(
        model=ModelSpec(family=name), model_file=StoredFile.from_bytes("m.pt", path.read_bytes())
    )
    stored = local_model(document)
    assert stored.sha256 == sha256_of(path)
    energies = [family(name).evaluate(spec, frames)[0].energy for spec in (plain, stored)]
    assert energies[0] == energies[1]
