"""Graphs for training MACE: bonds once, not once per direction, with what no weight changes.

The radial basis and the spherical harmonics of a bond have no trained weight, and the geometry of
a frame stays while a model is trained. So they, and their derivatives by the bond's vector, are
computed once; training differentiates the energy by them and never goes back to positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hea_flows.potentials.mace.fast.slots import Slots


@dataclass(frozen=True)
class Bonds:
    """The bonds of one frame (U bonds, E = 2U ends, N atoms); integers except where said.

    Parameters
    ----------
    receiver, sender
        Atom at this and at the other end, (E,).
    column
        Number of this end among those of its receiver, (E,).
    bond
        Bond of each end, (E,).
    reverse
        The other end, (E,).
    first, second
        Both ends of each bond, (U,).
    vectors
        From the sender to the receiver of each first end (Å), (U, 3), floats.
    """

    receiver: NDArray[np.int64]
    sender: NDArray[np.int64]
    column: NDArray[np.int64]
    bond: NDArray[np.int64]
    reverse: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    vectors: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        edges: NDArray[np.int64],
        shifts: NDArray[np.int64],
        positions: NDArray[np.float64],
        cell: NDArray[np.float64],
    ) -> Bonds:
        """Pair the two directions of each bond.

        Parameters
        ----------
        edges
            Sender and receiver, (2, E).
        shifts
            Cell vectors crossed, (E, 3).
        positions, cell
            Å, (N, 3) and (3, 3).
        """
        ends = np.column_stack([edges[1], edges[0], np.asarray(shifts, dtype=np.int64)])
        ends = ends[np.lexsort(ends.T[::-1])]  # by receiver
        turned = np.column_stack([ends[:, 1], ends[:, 0], -ends[:, 2:]])
        codes, reverse_codes = _numbered(ends, turned)
        # At the cutoff rounding may keep one direction only; the model's envelope is zero there.
        whole = np.isin(reverse_codes, codes)
        ends, reverse = ends[whole], np.searchsorted(codes[whole], reverse_codes[whole])
        number = np.arange(len(ends))
        first = number[number < reverse]
        bond = np.empty(len(ends), dtype=np.int64)
        bond[first] = bond[reverse[first]] = np.arange(len(first))
        receiver, sender, crossed = ends[:, 0], ends[:, 1], ends[:, 2:]
        column = number - np.searchsorted(receiver, receiver)
        vectors = positions[receiver] - positions[sender] + crossed @ cell
        return cls(receiver, sender, column, bond, reverse, first, reverse[first], vectors[first])


def _numbered(*tables: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return a number for each row (R, 5) of some tables; equal for equal rows, in their order."""
    lowest = np.min([t.min(axis=0, initial=0) for t in tables], axis=0)
    sizes = np.max([t.max(axis=0, initial=0) for t in tables], axis=0) - lowest + 1
    return [np.ravel_multi_index(tuple((t - lowest).T), tuple(sizes)) for t in tables]


def bond_slots(parts: Sequence[Bonds], counts: Sequence[int], like: Tensor) -> Slots:
    """Join frames with so many atoms each; floats and device as those of the tensor `like`."""
    width = max((int(b.column.max()) + 1 for b in parts if len(b.column)), default=1)
    atoms = np.cumsum([0, *counts])
    ends = np.cumsum([0, *(len(b.bond) for b in parts)])
    bonds = np.cumsum([0, *(len(b.first) for b in parts)])

    def join(name: str, starts: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.concatenate([getattr(b, name) + s for b, s in zip(parts, starts, strict=False)])

    place = join("receiver", atoms) * width + join("column", 0 * atoms)
    total = int(atoms[-1]) * width
    bond, sender = np.zeros(total, dtype=np.int64), np.arange(total) // width
    reverse, sign = np.arange(total), np.zeros((total, 1))
    first, second = place[join("first", ends)], place[join("second", ends)]
    bond[place] = join("bond", bonds)
    sender[place] = join("sender", atoms)
    reverse[place] = place[join("reverse", ends)]
    sign[first], sign[second] = 1.0, -1.0

    def index(array: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(array).to(like.device)

    return Slots(
        width,
        index(bond),
        index(sender),
        index(reverse),
        index(first),
        index(second),
        torch.from_numpy(sign).to(like),
    )


@dataclass(frozen=True)
class Features:
    """What the weights see of U bonds, and derivatives by the vectors.

    Parameters
    ----------
    vectors, directions
        Å, and of length 1, (U, 3).
    radial
        Radial basis, envelope included or as its last column, (U, F).
    radial_slope
        Its derivative by the length, (U, F).
    angular
        Spherical harmonics, (U, M).
    angular_slope
        Their derivatives by the vector, (U, 3, M).
    """

    vectors: Tensor
    directions: Tensor
    radial: Tensor
    radial_slope: Tensor
    angular: Tensor
    angular_slope: Tensor

    @classmethod
    def join(cls, parts: Sequence[Features]) -> Features:
        """Join the bonds of several frames."""
        return cls(*(torch.cat([getattr(p, name) for p in parts]) for name in cls._names()))

    def split(self, counts: Sequence[int]) -> list[Features]:
        """Return the features of frames with so many bonds each."""
        columns = [getattr(self, name).split(list(counts)) for name in self._names()]
        return [Features(*own) for own in zip(*columns, strict=True)]

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        return tuple(cls.__dataclass_fields__)


def bond_features(module: nn.Module, vectors: Tensor, attributes: Tensor, ends: Tensor) -> Features:
    """Evaluate the embeddings of a MACE module and their derivatives.

    Parameters
    ----------
    module
        The model.
    vectors
        Å, (U, 3).
    attributes
        One-hot species (N, elements).
    ends
        Sender and receiver of each bond, (2, U).
    """
    lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True).requires_grad_()
    with torch.enable_grad():
        radial, envelope = module.radial_embedding(lengths, attributes, ends, module.atomic_numbers)
        if envelope is not None:
            radial = torch.cat([radial, envelope], dim=1)
        angles = vectors.detach().clone().requires_grad_()
        angular = module.spherical_harmonics(angles)
    return Features(
        vectors,
        vectors / lengths.detach(),
        radial.detach(),
        _slopes(radial, lengths)[:, 0],
        angular.detach(),
        _slopes(angular, angles),
    )


def _slopes(values: Tensor, by: Tensor) -> Tensor:
    """Return the derivatives (U, D, F) of values (U, F) by (U, D); rows depend on no others."""
    columns = []
    for column in values.sum(0):
        if column.requires_grad:
            (slope,) = torch.autograd.grad(column, by, retain_graph=True, materialize_grads=True)
        else:
            slope = torch.zeros_like(by)
        columns.append(slope)
    return torch.stack(columns, dim=2)
