"""The family of cluster expansions: fitted to relaxed labels, evaluated by the decoration."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from hea_flows.alloy import seed_of
from hea_flows.alloy.clusters import HostExpansion, decoration_of, fit_host_expansion
from hea_flows.potentials import foundations, model_files
from hea_flows.potentials.base import (
    Evaluate,
    Family,
    LatticeEnergies,
    NativeFile,
    Prediction,
    TrainingResult,
)
from hea_flows.potentials.cluster_expansion.files import (
    FAMILY,
    checked_cutoffs,
    read_expansion,
    to_checkpoint,
)
from hea_flows.potentials.cluster_expansion.labels import (
    alloy_of,
    fitted_calculation,
    is_mixed,
    last_frames,
)
from hea_flows.potentials.cluster_expansion.predictions import (
    ExpansionCalculator,
    ExpansionEnergies,
    predict,
)
from hea_flows.potentials.model_files import ModelFile
from hea_flows.potentials.training import methods as training_methods
from hea_flows.schemas import Epoch, ErrorSummary, ModelSpec, TrainingSettings

_NAN = float("nan")


@dataclass(frozen=True)
class ClusterExpansionFamily(Family):
    """Cluster expansions of relaxed energies: numbers of a decoration, without a geometry.

    Of `TrainingSettings` only the seed matters, that of the cross-validation. Energies are in
    double precision.

    Parameters
    ----------
    architecture
        ``cutoffs``: largest diameters of pairs, triplets, …, in distances of nearest alloyed sites;
        without, they are chosen, see `hea_flows.alloy.clusters.fit_host_expansion`.
    """

    architecture: Mapping[str, Any] = field(default_factory=dict)
    name: ClassVar[str] = FAMILY
    packages: ClassVar[tuple[str, ...]] = ("trainstation", "scikit-learn", "torch")
    methods: ClassVar[frozenset[str]] = frozenset()
    relaxes: ClassVar[bool] = False

    def check(self, spec: ModelSpec) -> None:
        """Raise `ValueError` for a name, another precision, or cutoffs that are none."""
        if spec.name is not None and spec.path is None:
            raise foundations.unknown(self.name, spec.name, ())
        if spec.dtype != "float32":  # the default, of which nothing follows here
            msg = f"{self.name} is in double precision always; leave out dtype"
            raise ValueError(msg)
        _cutoffs(spec.architecture)

    def resolve(self, spec: ModelSpec) -> ModelSpec:
        """Return `spec` with the checksum of its file, which is read; see `Family.resolve`."""
        file = self._file(spec)
        read_expansion(file)
        return file.resolved()

    def load(self, spec: ModelSpec) -> HostExpansion:
        """Return the expansion of a file, plain data; see `Family.resolve` for errors."""
        return read_expansion(self._file(spec))

    def calculator(self, spec: ModelSpec, device: str = "cpu") -> Calculator:
        """Return an ASE calculator of the energy (eV) alone."""
        del device
        return ExpansionCalculator(self.load(spec))

    def evaluate(
        self,
        spec: ModelSpec,
        atoms_list: Sequence[Atoms],
        *,
        batch_size: int = 16,
        device: str = "cpu",
    ) -> list[Prediction]:
        """Predict structures in their order; forces and stress are NaN."""
        del batch_size, device
        return predict(self.load(spec), atoms_list)

    def evaluator(
        self, spec: ModelSpec, *, device: str = "cpu", max_atoms: int | None = None
    ) -> Evaluate:
        """Load the expansion once; see `Family.evaluator`."""
        del device, max_atoms
        expansion = self.load(spec)
        return lambda atoms_list: predict(expansion, atoms_list)

    def lattice_energies(self, spec: ModelSpec, *, device: str = "cpu") -> LatticeEnergies:
        """Return the energies of decorations, by tables of clusters; `a` makes no difference.

        Raises
        ------
        ValueError
            If the alloy is not that of the expansion, or has more elements.
        """
        del device
        expansion = self.load(spec)
        return lambda alloy, supercell, _: ExpansionEnergies(expansion, alloy, supercell)

    def native(self, spec: ModelSpec, offsets: Mapping[str, float]) -> NativeFile:
        """Return icet's `ClusterExpansion` of the energy per primitive cell (eV).

        Such a file holds a pickle, as icet writes it. Who wrote it, and where, is left out.
        """
        from icet import ClusterExpansion

        expansion = self.load(spec).plus(offsets)
        theirs = ClusterExpansion(expansion.space, expansion.parameters)
        for key in ("username", "hostname"):
            theirs.metadata.pop(key, None)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.ce"
            theirs.write(str(path))
            content = path.read_bytes()
        opening = "from icet import ClusterExpansion\nmodel = ClusterExpansion.read({path})"
        return NativeFile(content, opening, suffix=".ce")

    def train(
        self,
        parent: ModelSpec | None,
        train: Sequence[Atoms],
        validation: Sequence[Atoms],
        test: Sequence[Atoms],
        settings: TrainingSettings,
        directory: Path,
        on_epoch: Callable[[Epoch], None] | None = None,
        *,
        device: str = "cpu",
    ) -> TrainingResult:
        """Fit an expansion to relaxed energies; nothing of it is iterative.

        Of every structure the last frame of its converged relaxation counts; single points only
        where no relaxation converged. Frames of all splits are used, since cutoffs and ridge follow
        from a cross-validation over structures; only where a dataset is split by structure, the
        mixed ones of its test split are kept out.

        Returns
        -------
        TrainingResult
            One epoch. Errors of ``train`` are those of the fit, of ``validation`` those of the
            cross-validation, both of mixing energies; of ``test`` those of structures kept out.

        Raises
        ------
        ValueError
            With a parent, for frames that do not say which alloy they are of, or too few relaxed
            structures.
        """
        del device
        training_methods.check(self, parent, settings)
        begun = time.monotonic()
        frames, held = [*train, *validation, *test], []
        alloy = alloy_of(frames)
        if frames[0].info.get("split_by") == "structure":
            held = [f for f in test if is_mixed(f, alloy)]
            frames = [*train, *validation, *(f for f in test if not is_mixed(f, alloy))]
        calculation = fitted_calculation(frames)
        used, held = last_frames(frames, calculation), last_frames(held, calculation)
        fit = fit_host_expansion(
            alloy,
            [decoration_of(alloy, frame) for frame in used],
            [frame.get_potential_energy() for frame in used],
            seed_of(settings.seed, "cluster expansion"),
            _cutoffs(self.architecture),
        )
        path = directory / "model.pt"
        sha256 = model_files.save(path, to_checkpoint(fit.expansion))
        per_atom = 1e3 / alloy.atoms_per_unit
        errors = {
            "train": _summary(fit.n, per_atom * fit.rmse),
            "validation": _summary(fit.n, per_atom * fit.cv_rmse),
        }
        if held:
            off = [
                1e3 * (p.energy - f.get_potential_energy()) / len(f)
                for p, f in zip(predict(fit.expansion, held), held, strict=True)
            ]
            errors["test"] = _summary(len(held), float(np.sqrt(np.mean(np.square(off)))))
        seconds = time.monotonic() - begun
        epoch = _epoch(errors, settings.weights.energy, seconds)
        if on_epoch is not None:
            on_epoch(epoch)
        model = ModelSpec(family=self.name, path=str(path), sha256=sha256)
        return TrainingResult(model, settings, 1, [epoch], errors, seconds)

    def _file(self, spec: ModelSpec) -> ModelFile:
        return foundations.locate(spec, self.name, {})


def _cutoffs(architecture: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Return the cutoffs of an architecture; None if it leaves them open."""
    if unknown := [key for key in architecture if key != "cutoffs"]:
        msg = f"unknown {FAMILY} architecture entry {unknown[0]!r}; accepted: cutoffs"
        raise ValueError(msg)
    return checked_cutoffs(architecture["cutoffs"]) if architecture else None


def _summary(n: int, energy_mev: float) -> ErrorSummary:
    return ErrorSummary(n_frames=n, energy_mev=energy_mev, forces_mev=_NAN, stress=_NAN)


def _epoch(errors: Mapping[str, ErrorSummary], weight: float, seconds: float) -> Epoch:
    """Return the only epoch: losses are those of the energy."""
    rmse = {
        k: errors[k].energy_mev if k in errors else _NAN for k in ("train", "validation", "test")
    }
    nothing = {f"{k}_{q}": _NAN for k in rmse for q in ("forces_mev", "stress")}
    return Epoch(
        epoch=1,
        learning_rate=0.0,
        train_loss=weight * (1e-3 * rmse["train"]) ** 2,
        validation_loss=weight * (1e-3 * rmse["validation"]) ** 2,
        seconds=seconds,
        **{f"{k}_energy_mev": v for k, v in rmse.items()},
        **nothing,
    )
