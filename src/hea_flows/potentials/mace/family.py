"""MACE: foundations by name or file, fine-tuned, or small models from scratch."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import torch
from ase import Atoms

from hea_flows.potentials import model_files
from hea_flows.potentials.base import NativeFile
from hea_flows.potentials.mace import foundations, methods, modules
from hea_flows.potentials.mace.fast import ScalarMACE, supported
from hea_flows.potentials.mace.potential import MACEPotential, neighbours
from hea_flows.potentials.model_files import Content, ModelFile
from hea_flows.potentials.potential import Potential
from hea_flows.potentials.torch_family import TorchFamily
from hea_flows.potentials.training import replay_frames, scaling
from hea_flows.schemas import ModelSpec, Promised, Replay, TrainingSettings


class MACEFamily(TorchFamily[MACEPotential]):
    """MACE models: fine-tuned in every way, or from scratch."""

    name = "mace"
    packages = ("torch", "mace-torch")
    methods = methods.METHODS
    ARCHITECTURE = modules.ARCHITECTURE

    def names(self) -> list[str]:
        """Return the names of foundations that the installed MACE can download."""
        return foundations.names()

    def missing(self, spec: ModelSpec) -> str | None:
        """Return the address of a foundation's file that is not in MACE's cache; None if it is."""
        return foundations.missing(spec)

    def promised(self, spec: ModelSpec) -> Promised | None:
        """Return the checksum given with a model, or published for its name; no file is read."""
        return spec.sha256 or foundations.CHECKSUMS.get(spec.name or "")

    def licence(self, spec: ModelSpec) -> str | None:
        """Return the licence given with a model, or known for its name."""
        return spec.licence or foundations.licence(spec.name)

    def locate(self, spec: ModelSpec) -> ModelFile:
        """Return the file that a spec means, with what is promised; a name may download it."""
        return foundations.locate(spec)

    def read(self, file: ModelFile) -> Content:
        """Return what a file holds: this package's are plain data, MACE's own are pickles."""
        return model_files.load_plain_or_pickle(file)

    def load(self, spec: ModelSpec, device: str = "cpu") -> MACEPotential:
        """Load a model; see `hea_flows.potentials.base.Family.resolve` for errors."""
        file = self.locate(spec)
        content = self.read(file)
        if isinstance(content, torch.nn.Module):
            with torch.random.fork_rng(devices=[]):
                module, config = modules.rebuilt(content)
        else:
            checkpoint = model_files.as_checkpoint(content, self.name, file.path)
            config = dict(checkpoint.config)
            module = modules.build(config)
            model_files.fill(module, checkpoint.state, file.path)
        return MACEPotential(module, config, spec.dtype, device)

    def fresh(
        self, frames: Sequence[Atoms], seed: int, device: str = "cpu", elements: Sequence[int] = ()
    ) -> MACEPotential:
        """Return an untrained model scaled to labelled frames; see `TorchFamily.fresh`.

        The shift is the mean energy per atom, the scale the root mean square force, as MACE's own
        scripts choose them.
        """
        config = self.full_architecture()
        statistics = scaling(frames, self.name)
        numbers = sorted(elements or {int(z) for f in frames for z in f.numbers})
        n_edges = sum(neighbours(f, config["r_max"])[0].shape[1] for f in frames)
        config |= {
            "atomic_numbers": numbers,
            "atomic_energies": [0.0] * len(numbers),
            "avg_num_neighbors": max(n_edges / sum(len(f) for f in frames), 1.0),
            "atomic_inter_scale": statistics.forces_rms,
            "atomic_inter_shift": statistics.energy_per_atom,
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = modules.build(config)
        modules.widen_species(module)
        return MACEPotential(module, config, self.dtype, device)

    def prepare_training(self, start: MACEPotential, settings: TrainingSettings) -> Sequence[Atoms]:
        """Set the model up for the training method; return the frames of a replay."""
        method = settings.method
        frames = replay_frames(method, start.numbers) if isinstance(method, Replay) else ()
        methods.prepare(start, settings)
        return methods.of_replay(frames)

    def native(self, spec: ModelSpec, offsets: Mapping[str, float]) -> NativeFile:
        """Return a model as MACE saves its own: a pickled module, in float64.

        Offsets become part of its E0. Weights that were trained in float32 keep their values.
        """
        potential = self.load(spec.model_copy(update={"dtype": "float64"}))
        potential.add_atomic_energies(offsets)
        buffer = io.BytesIO()
        torch.save(potential.module.eval(), buffer)
        opening = (
            "from mace.calculators import MACECalculator\n"
            'calc = MACECalculator(model_paths={path}, device="cpu", '
            f'default_dtype="{spec.dtype}")'
        )
        return NativeFile(buffer.getvalue(), opening)

    def quickest(self, potential: MACEPotential) -> Potential:
        """Return the same model in its quickest form."""
        return ScalarMACE(potential) if supported(potential.module) else potential
