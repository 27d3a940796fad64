"""Sums over the bonds of atoms as gathers, each the exact adjoint of another.

Atoms sit in rows of K slots, one for each neighbour, the rest empty. Torch differentiates a gather
into a scattered addition, which is slow on a CPU and not reproducible on a GPU. Here a bond knows
its two slots and a slot the one that holds its bond at the other end, so the derivative of a
gather, and the derivative of that, are gathers again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx


@dataclass(frozen=True)
class Slots:
    """N atoms with K slots each, and U bonds.

    Parameters
    ----------
    width
        K.
    bond
        Bond in each slot, (N·K,); any bond in an empty slot.
    sender
        Atom at the other end of each slot's bond, (N·K,); the atom itself in an empty slot.
    reverse
        Slot of the same bond at its other end, (N·K,); an empty slot itself.
    first, second
        The two slots of each bond, (U,). Seen from the first one a bond points as recorded.
    sign
        1 in the first slot of a bond, −1 in the second, 0 in an empty one, (N·K, 1).
    """

    width: int
    bond: Tensor
    sender: Tensor
    reverse: Tensor
    first: Tensor
    second: Tensor
    sign: Tensor


def expand(x: Tensor, slots: Slots) -> Tensor:
    """Return the rows of bonds (U, F) in the slots (N·K, F).

    What ends up in empty slots is arbitrary: whoever uses it multiplies it by zero there.
    """
    return _Expand.apply(x, slots)


def spread(x: Tensor, slots: Slots) -> Tensor:
    """Return the rows of atoms (N, F) in the slots of their neighbours (N·K, F)."""
    return _Spread.apply(x, slots)


class _Expand(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, slots: Slots) -> Tensor:
        ctx.slots = slots
        if not len(x):  # no atom has a neighbour: all slots are empty
            return x.new_zeros((len(slots.bond), *x.shape[1:]))
        return x.index_select(0, slots.bond)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        return _Contract.apply(gradient, ctx.slots), None


class _Contract(torch.autograd.Function):  # type: ignore[misc]
    """The sum of both slots of each bond."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, slots: Slots) -> Tensor:
        ctx.slots = slots
        return x.index_select(0, slots.first).add_(x.index_select(0, slots.second))

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        return _Expand.apply(gradient, ctx.slots), None


class _Spread(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, slots: Slots) -> Tensor:
        ctx.slots = slots
        return x.index_select(0, slots.sender)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        return _Collect.apply(gradient, ctx.slots), None


class _Collect(torch.autograd.Function):  # type: ignore[misc]
    """The sum over all slots that hold an atom."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, slots: Slots) -> Tensor:
        ctx.slots = slots
        return x.index_select(0, slots.reverse).view(-1, slots.width, x.shape[1]).sum(1)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        return _Spread.apply(gradient, ctx.slots), None
