"""Nequix as a torch module: an equivariant network for energies (arXiv:2508.16067).

Nequix's own torch code (0.4.5) is not used: importing its package imports JAX, and it asks for a
newer e3nn than mace-torch allows. This module has the same weights in the same order, so that a
Nequix file is read into it leaf by leaf; its numbers are tested against Nequix's own calculator.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy.special import erfinv
from torch import Tensor

with torch.serialization.safe_globals([slice]):  # e3nn loads a table while it is imported
    from e3nn import o3

#: What a small model from scratch is made of; names as in Nequix's own configuration.
ARCHITECTURE: Mapping[str, Any] = {
    "cutoff": 5.0,
    "hidden_irreps": "32x0e + 16x1o + 8x2e",
    "lmax": 2,
    "n_layers": 3,
    "radial_basis_size": 8,
    "radial_mlp_size": 32,
    "radial_mlp_layers": 2,
    "radial_polynomial_p": 6.0,
    "mlp_init_scale": 4.0,
    "layer_norm": True,
}

#: An irreducible representation: degree and parity.
Irrep = tuple[int, int]
_SCALAR: Irrep = (0, 1)
Multiplicities = dict[Irrep, int]
#: By representation, (N, multiplicity, 2l + 1).
Features = dict[Irrep, Tensor]


class Nequix(torch.nn.Module):  # type: ignore[misc]
    """Energies of atoms from the vectors to their neighbours.

    Parameters
    ----------
    config
        `ARCHITECTURE`'s entries, ``atomic_numbers``, and the statistics ``scale``, ``shift`` (eV
        per atom) and ``avg_n_neighbors``.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        if config.get("index_weights"):
            msg = "Nequix models with weights per species (index_weights) cannot be used"
            raise ValueError(msg)
        self.n_species = len(config["atomic_numbers"])
        self.cutoff, self.p = float(config["cutoff"]), float(config["radial_polynomial_p"])
        self.n_basis, self.lmax = int(config["radial_basis_size"]), int(config["lmax"])
        self.scale, self.shift = float(config["scale"]), float(config["shift"])
        hidden = _multiplicities(config["hidden_irreps"])
        scalars = {_SCALAR: hidden[_SCALAR]}
        self.register_buffer("atom_energies", torch.zeros(self.n_species))
        n = int(config["n_layers"])
        inputs = [{_SCALAR: self.n_species}] + [hidden] * (n - 1)
        outputs = [hidden] * (n - 1) + [scalars]
        self.layers = torch.nn.ModuleList(
            Convolution(i, o, self.lmax, config) for i, o in zip(inputs, outputs, strict=True)
        )
        self.readout = Linear(scalars, {_SCALAR: 1})
        for degree in range(2, self.lmax + 1):
            coupling = _coupling((1, -1), (degree - 1, (-1) ** (degree - 1)), (degree, 1))
            self.register_buffer(f"harmonic_{degree}", coupling, persistent=False)

    def forward(
        self, vectors: Tensor, species: Tensor, receivers: Tensor, senders: Tensor
    ) -> Tensor:
        """Return the energy of each atom (eV), shape (N,).

        Parameters
        ----------
        vectors
            Å, shape (E, 3), from receiver to sender.
        species
            Indices (N,) into the model's atomic numbers.
        receivers, senders
            Atoms (E,) of each edge.
        """
        lengths = torch.linalg.vector_norm(vectors, dim=1)
        harmonics = self.harmonics(vectors / lengths[:, None])
        radial = self.radial_basis(lengths)
        one_hot = torch.nn.functional.one_hot(species, self.n_species).to(vectors.dtype)
        features = {_SCALAR: one_hot[:, :, None]}
        for layer in self.layers:
            features = layer(features, harmonics, radial, senders, receivers)
        energies = self.readout(features)[_SCALAR][:, 0, 0]
        return energies * self.scale + self.shift + self.atom_energies[species]

    def harmonics(self, directions: Tensor) -> list[Tensor]:
        """Return spherical harmonics (E, 2l + 1) of unit vectors, of squared norm 2l + 1."""
        harmonics = [torch.ones_like(directions[:, :1]), math.sqrt(3.0) * directions]
        for degree in range(2, self.lmax + 1):
            coupling = getattr(self, f"harmonic_{degree}")
            product = torch.einsum("ea,abc,eb->ec", directions, coupling, harmonics[-1])
            harmonics.append(product * _harmonic_factor(degree))
        return harmonics[: self.lmax + 1]

    def radial_basis(self, lengths: Tensor) -> Tensor:
        """Return Bessel functions times a polynomial cutoff, (E, n)."""
        roots = math.pi * torch.arange(
            1, self.n_basis + 1, dtype=lengths.dtype, device=lengths.device
        )
        x, p = (lengths / self.cutoff)[:, None], self.p
        bessel = 2.0 / self.cutoff * torch.sin(roots * x) / lengths[:, None]
        envelope = (
            1.0
            - (p + 1.0) * (p + 2.0) / 2.0 * x**p
            + p * (p + 2.0) * x ** (p + 1.0)
            - p * (p + 1.0) / 2.0 * x ** (p + 2.0)
        )
        return bessel * envelope * (x < 1.0)


class Convolution(torch.nn.Module):  # type: ignore[misc]
    """One layer: messages from neighbours, summed, mixed, normalised and gated."""

    def __init__(
        self, inputs: Multiplicities, outputs: Multiplicities, lmax: int, config: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.outputs = outputs
        self.norm_factor = 1.0 / math.sqrt(config["avg_n_neighbors"])
        self.paths = _paths(inputs, outputs, lmax)
        summed: Multiplicities = {}
        for source, _, target in self.paths:
            summed[target] = summed.get(target, 0) + inputs[source]
        if set(summed) != set(outputs):
            lost = ", ".join(str(o3.Irrep(*ir)) for ir in outputs if ir not in summed)
            msg = f"no path of this Nequix architecture leads to {lost}; leave it out"
            raise ValueError(msg)
        gated = {
            ir: mul + (sum(outputs.values()) - mul if ir == _SCALAR else 0)
            for ir, mul in outputs.items()
        }
        widths = [int(config["radial_mlp_size"])] * int(config["radial_mlp_layers"])
        sizes = [int(config["radial_basis_size"]), *widths, sum(summed.values())]
        self.radial = torch.nn.ParameterList(
            torch.randn(a, b) * math.sqrt((config["mlp_init_scale"] if b != sizes[-1] else 1.0) / a)
            for a, b in pairwise(sizes)
        )
        self.linear_1 = Linear(inputs, inputs)
        self.linear_2 = Linear(summed, gated)
        self.skip = Linear(inputs, gated)
        self.norm = Normalisation(gated) if config["layer_norm"] else torch.nn.Identity()
        self.sources = {ir: [k for k, p in enumerate(self.paths) if p[0] == ir] for ir in inputs}
        splits = [inputs[source] for source, _, _ in self.paths]
        self.splits = splits
        for source, chosen in self.sources.items():
            for k in chosen:
                _, degree, target = self.paths[k]
                coupling = _coupling(source, (degree, (-1) ** degree), target)
                self.register_buffer(f"coupling_{k}", coupling, persistent=False)

    def forward(
        self,
        features: Features,
        harmonics: Sequence[Tensor],
        radial: Tensor,
        senders: Tensor,
        receivers: Tensor,
    ) -> Features:
        """Return new features, each (N, multiplicity, 2l + 1)."""
        weights = radial
        for k, matrix in enumerate(self.radial):
            weights = torch.nn.functional.silu(weights) if k else weights
            weights = weights @ matrix
        summed = self._messages(
            self.linear_1(features), harmonics, weights * self.norm_factor, senders, receivers
        )
        mixed, skipped = self.linear_2(summed), self.skip(features)
        total = {ir: x + skipped[ir] if ir in skipped else x for ir, x in mixed.items()}
        return self._gate(self.norm(total))

    def _messages(
        self,
        features: Features,
        harmonics: Sequence[Tensor],
        weights: Tensor,
        senders: Tensor,
        receivers: Tensor,
    ) -> Features:
        """Couple features of senders with harmonics, weigh and sum them at receivers."""
        per_path = torch.split(weights, self.splits, dim=1)
        sums: dict[int, Tensor] = {}
        for source, chosen in self.sources.items():
            if not chosen:
                continue
            sent = features[source][senders]
            blocks = [
                torch.einsum("abc,eb->eac", getattr(self, f"coupling_{k}"), harmonics[j])
                for k, j in ((k, self.paths[k][1]) for k in chosen)
            ]
            for k, block in zip(chosen, blocks, strict=True):
                message = (sent * per_path[k][:, :, None]) @ block
                shape = (len(features[source]), *message.shape[1:])
                sums[k] = message.new_zeros(shape).index_add(0, receivers, message)
        return {
            target: torch.cat(
                [sums[k] for k, path in enumerate(self.paths) if path[2] == target], 1
            )
            for target in dict.fromkeys(path[2] for path in self.paths)
        }

    def _gate(self, features: Features) -> Features:
        """Apply SiLU to scalars, and multiply the others by SiLU of the scalars left over."""
        silu = _silu_norm()
        others = [ir for ir in self.outputs if ir != _SCALAR]
        activated = torch.nn.functional.silu(features[_SCALAR]) / silu
        sizes = [self.outputs[_SCALAR], *(self.outputs[ir] for ir in others)]
        scalars, *gates = torch.split(activated, sizes, dim=1)
        gated = {ir: features[ir] * gate for ir, gate in zip(others, gates, strict=True)}
        return {_SCALAR: scalars, **gated}


class Linear(torch.nn.Module):  # type: ignore[misc]
    """Mix the copies of each irreducible representation."""

    def __init__(self, inputs: Multiplicities, outputs: Multiplicities) -> None:
        super().__init__()
        self.outputs = outputs
        self.shared = [ir for ir in inputs if ir in outputs]
        self.weights = torch.nn.ParameterList(
            torch.randn(inputs[ir], outputs[ir]) for ir in self.shared
        )

    def forward(self, features: Features) -> Features:
        """Return what `outputs` and the input have in common."""
        return {
            ir: torch.einsum("nua,uv->nva", features[ir], weight / math.sqrt(len(weight)))
            for ir, weight in zip(self.shared, self.weights, strict=True)
        }


class Normalisation(torch.nn.Module):  # type: ignore[misc]
    """Divide by the root mean square over all features, then scale each."""

    def __init__(self, irreps: Multiplicities) -> None:
        super().__init__()
        self.weights = torch.nn.ParameterList(torch.ones(mul) for mul in irreps.values())

    def forward(self, features: Features) -> Features:
        """Return normalised features."""
        total = sum(
            (x**2).sum(dim=1, keepdim=True).mean(dim=2, keepdim=True) / x.shape[2]
            for x in features.values()
        )
        factor = (total / len(features) + 1e-12) ** -0.5
        return {
            ir: x * weight[:, None] * factor
            for (ir, x), weight in zip(features.items(), self.weights, strict=True)
        }


def _multiplicities(text: str) -> Multiplicities:
    """Read ``32x0e + 16x1o``; in e3nn's order, each representation once."""
    counts: Multiplicities = {}
    for mul, ir in o3.Irreps(text).sort().irreps:
        counts[(ir.l, ir.p)] = counts.get((ir.l, ir.p), 0) + mul
    if (0, -1) in counts or _SCALAR not in counts:
        msg = f"Nequix models need 0e and no 0o among their features, got {text!r}"
        raise ValueError(msg)
    return counts


def _paths(
    inputs: Multiplicities, outputs: Multiplicities, lmax: int
) -> list[tuple[Irrep, int, Irrep]]:
    """Return (input, degree of harmonic, output) in the order of the radial weights."""
    paths = []
    for source in inputs:
        for degree in range(lmax + 1):
            parity = source[1] * (-1) ** degree
            paths += [
                (source, degree, (target, parity))
                for target in range(abs(source[0] - degree), source[0] + degree + 1)
                if (target, parity) in outputs
            ]
    return sorted(paths, key=lambda path: o3.Irrep(*path[2]))  # stable, as in e3nn


def _coupling(a: Irrep, b: Irrep, c: Irrep) -> Tensor:
    """Return Wigner's 3j symbols times √(2l + 1) of the result, (2l₁+1, 2l₂+1, 2l₃+1)."""
    return o3.wigner_3j(a[0], b[0], c[0]) * math.sqrt(2 * c[0] + 1)


@lru_cache
def _harmonic_factor(degree: int) -> float:
    """Return what makes the coupled product of harmonics have the squared norm 2l + 1."""
    x = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    below = o3.spherical_harmonics(degree - 1, x, normalize=True, normalization="component")
    wanted = o3.spherical_harmonics(degree, x, normalize=True, normalization="component")
    coupling = _coupling((1, -1), (degree - 1, 1), (degree, 1)).double()
    product = torch.einsum("ea,abc,eb->ec", x, coupling, below)
    return float((product * wanted).sum() / (product**2).sum())


@lru_cache
def _silu_norm() -> float:
    """Return the root mean square of SiLU for normally distributed input, on e3nn's grid."""
    x = math.sqrt(2.0) * erfinv(np.linspace(-1.0, 1.0, 1_000_003)[1:-1])
    return math.sqrt(np.mean((x / (1.0 + np.exp(-x))) ** 2))
