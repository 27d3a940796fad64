"""MACE's symmetric contraction as polynomials: only the products of features that it contains.

A contraction to scalars (arXiv:2206.07697, equations 10 and 11) is a sum over tensors U that are
symmetric once they meet the same features x in every place, and most of their entries are zero:
of the 4096 products of three of 16 features, 77 different ones remain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Polynomials:
    """Invariant polynomials of M features, up to some degree.

    Parameters
    ----------
    factors
        One entry per degree from 2 on: for each product the row of the degree before, and of the
        feature that multiplies it.
    matrix
        Coefficients of the polynomials over all products of all degrees, (P, products).
    """

    factors: tuple[tuple[Any, Any], ...]
    matrix: Any

    @classmethod
    def of(cls, contraction: Any) -> Polynomials:  # noqa: ANN401
        """Read the tensors of a `mace.modules.symmetric_contraction.Contraction` to scalars."""
        tensors = [contraction.U_tensors(n) for n in range(1, contraction.correlation + 1)]
        n_features = len(tensors[0])
        terms: list[dict[tuple[int, ...], Any]] = []
        for tensor in tensors:
            values = tensor.detach().cpu().numpy()
            found: dict[tuple[int, ...], Any] = {}
            for place in np.argwhere(np.any(values != 0.0, axis=-1)).tolist():
                key = tuple(sorted(place))
                found[key] = found.get(key, 0.0) + values[tuple(place)]
            terms.append(found)
        # a product of higher degree is built on one of its prefixes, which may be needed for that
        for degree in range(len(terms) - 1, 0, -1):
            for key in terms[degree]:
                terms[degree - 1].setdefault(key[:-1], np.zeros(tensors[degree - 1].shape[-1]))
        rows = [{(i,): i for i in range(n_features)}]
        factors, device = [], tensors[0].device
        for found in terms[1:]:
            before = rows[-1]
            rows.append({key: row for row, key in enumerate(sorted(found))})
            pairs = [(before[key[:-1]], key[-1]) for key in sorted(found)]
            index = torch.tensor(pairs, device=device).reshape(-1, 2)
            factors.append((index[:, 0].contiguous(), index[:, 1].contiguous()))
        widths = [t.shape[-1] for t in tensors]
        matrix = np.zeros((sum(widths), sum(len(r) for r in rows)))
        top = left = 0
        for found, row, width in zip(terms, rows, widths, strict=True):
            for key, value in found.items():
                matrix[top : top + width, left + row[key]] = value
            top, left = top + width, left + len(row)
        return cls(tuple(factors), torch.as_tensor(matrix).to(tensors[0]))

    def __call__(self, features: Any) -> Any:  # noqa: ANN401
        """Return the polynomials (P, R) of features (M, R)."""
        products = [features]
        for before, factor in self.factors:
            products.append(products[-1].index_select(0, before) * features.index_select(0, factor))
        return self.matrix @ torch.cat(products)


def weights(contraction: Any) -> Any:  # noqa: ANN401
    """Return the weights of the polynomials, (elements, P, channels), lowest degree first."""
    lower = list(contraction.weights)[::-1]
    return torch.cat([*lower, contraction.weights_max], dim=1)
