"""Radial networks with their derivative by the length of the bond, both in one forward pass.

A network's only variable is a length, so its derivative is one more column of numbers per bond,
carried along as a tangent. A loss on forces then takes one ordinary backward pass through the
networks, where differentiating twice takes three.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from hea_flows.potentials.mace.fast import weights


def is_supported(network: nn.Module) -> bool:
    """Return whether a `FullyConnectedNet` is one of SiLU layers."""
    layers = [getattr(layer, "base", layer) for layer in network.children()]
    silu = torch.nn.functional.silu
    return layers[-1].act is None and all(layer.act.f is silu for layer in layers[:-1])


def with_slopes(network: nn.Module, values: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """Return a network's outputs (U, P) and their derivatives by the length (U, P).

    Parameters
    ----------
    network
        One that `is_supported`.
    values, slopes
        Its inputs, and theirs, (U, F).
    """
    both = torch.cat([values, slopes])
    *hidden, last = weights.dense(network)
    for matrix in hidden:
        both = _DualSiLU.apply(both @ matrix)
    value, slope = (both @ last).chunk(2)
    return value, slope


class _DualSiLU(torch.autograd.Function):  # type: ignore[misc]
    """``(x, t) -> (s(x), s'(x) t)`` with s(x) = x σ(x), x in the upper half of the rows."""

    @staticmethod
    def forward(ctx: FunctionCtx, both: Tensor) -> Tensor:
        x, t = both.chunk(2)
        sigma = torch.sigmoid(x)
        out = torch.empty_like(both)
        value, tangent = out.chunk(2)
        torch.mul(x, sigma, out=value)
        slope = torch.addcmul(sigma, value, 1.0 - sigma)  # σ + s (1 − σ)
        torch.mul(slope, t, out=tangent)
        ctx.save_for_backward(both, sigma, slope)
        return out

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        both, sigma, slope = ctx.saved_tensors
        x, t = both.chunk(2)
        by_value, by_tangent = gradient.chunk(2)
        out = torch.empty_like(gradient)
        by_x, by_t = out.chunk(2)
        torch.mul(by_tangent, slope, out=by_t)
        bend = torch.addcmul(sigma + slope, x * sigma, sigma, value=-1.0)
        bend.mul_(1.0 - sigma)  # s'' = (1 − σ)(σ + s' − s σ)
        torch.mul(by_value, slope, out=by_x)
        by_x.addcmul_(bend.mul_(t), by_tangent)
        return out
