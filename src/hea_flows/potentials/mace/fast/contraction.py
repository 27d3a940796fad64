"""MACE's symmetric contraction as polynomials: only the products of features that it contains.

A contraction to scalars (arXiv:2206.07697, equations 10 and 11) is a sum over tensors U that are
symmetric once they meet the same features x in every place, and most of their entries are zero:
of the 4096 products of three of 16 features, 77 different ones remain.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import block_diag, qr
from torch import Tensor, nn


@dataclass(frozen=True)
class Polynomials:
    """Invariant polynomials of M features, and how a contraction's weights combine them.

    Parameters
    ----------
    factors
        One entry per degree from 2 on: for each product the row of the degree before, and of the
        feature that multiplies it.
    matrices
        One entry per degree: coefficients of independent polynomials over the products.
    combine
        Each of the contraction's P polynomials in terms of the independent ones, (P, R).
    """

    factors: tuple[tuple[Tensor, Tensor], ...]
    matrices: tuple[Tensor, ...]
    combine: Tensor

    @classmethod
    def of(cls, contraction: nn.Module) -> Polynomials:
        """Read the tensors of a `mace.modules.symmetric_contraction.Contraction` to scalars."""
        tensors = [contraction.U_tensors(n) for n in range(1, contraction.correlation + 1)]
        terms = [_terms(tensor.detach().cpu().double().numpy()) for tensor in tensors]
        # a product of higher degree is built on one of its prefixes
        for lower, higher, tensor in reversed(list(zip(terms, terms[1:], tensors, strict=False))):
            for key in higher:
                lower.setdefault(key[:-1], np.zeros(tensor.shape[-1]))
        for i in range(len(tensors[0])):
            terms[0].setdefault((i,), np.zeros(tensors[0].shape[-1]))
        rows = [{key: row for row, key in enumerate(sorted(products))} for products in terms]
        factors = []
        for before, row in itertools.pairwise(rows):
            pairs = torch.tensor([(before[key[:-1]], key[-1]) for key in row])
            pairs = pairs.reshape(-1, 2).to(tensors[0].device)
            factors.append((pairs[:, 0].contiguous(), pairs[:, 1].contiguous()))
        blocks = [_independent(np.stack([t[key] for key in sorted(t)], axis=1)) for t in terms]
        return cls(
            tuple(factors),
            tuple(torch.as_tensor(chosen).to(tensors[0]) for _, chosen in blocks),
            torch.as_tensor(block_diag(*(combine for combine, _ in blocks))).to(tensors[0]),
        )

    def __call__(self, features: Tensor) -> Tensor:
        """Return the independent polynomials (R, n) of features (M, n)."""
        product, values = features, [self.matrices[0] @ features]
        for (before, factor), matrix in zip(self.factors, self.matrices[1:], strict=True):
            product = product.index_select(0, before) * features.index_select(0, factor)
            values.append(matrix @ product)
        return torch.cat(values)

    def weights(self, contraction: nn.Module) -> Tensor:
        """Return the weights of the independent polynomials, (R, elements, channels)."""
        lower = list(contraction.weights)[::-1]
        theirs = torch.cat([*lower, contraction.weights_max], dim=1)
        return torch.tensordot(self.combine, theirs, dims=([0], [1]))


def _terms(tensor: NDArray[np.float64]) -> dict[tuple[int, ...], NDArray[np.float64]]:
    """Return the coefficients (paths,) of every product of features in a tensor (M, …, paths)."""
    terms: dict[tuple[int, ...], NDArray[np.float64]] = {}
    for place in np.argwhere(np.any(tensor != 0.0, axis=-1)).tolist():
        key = tuple(sorted(place))
        terms[key] = terms.get(key, 0.0) + tensor[tuple(place)]
    return terms


def _independent(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Split a matrix (P, n) into (P, R) times R of its own rows, R its rank."""
    _, triangle, order = qr(rows.T, mode="economic", pivoting=True)
    size = np.abs(np.diag(triangle))
    chosen = rows[order[: np.count_nonzero(size > 1e-9 * size.max(initial=0.0))]]
    combine = np.linalg.lstsq(chosen.T, rows.T, rcond=None)[0].T
    combine[np.abs(combine) < 1e-12] = 0.0
    return combine, chosen
