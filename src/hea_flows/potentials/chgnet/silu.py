"""Activations with their first and second derivatives written out.

A loss on forces differentiates an activation twice. Torch takes its derivative apart for that, into
a dozen passes over memory; in closed form there are a few.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


def silu(x: Tensor) -> Tensor:
    """Return x σ(x)."""
    return _SiLU.apply(x)


def silu_gate(x: Tensor, y: Tensor) -> Tensor:
    """Return x σ(x) σ(y)."""
    return _Gate.apply(x, y)


def _silu_slope(x: Tensor, sigma: Tensor) -> Tensor:
    return torch.addcmul(sigma, x * sigma, 1.0 - sigma)


def _silu_bend(x: Tensor, sigma: Tensor) -> Tensor:
    """Return σ (1 − σ) (2 + x (1 − 2σ))."""
    return torch.addcmul(2.0 + x, x, sigma, value=-2.0).mul_(sigma).mul_(1.0 - sigma)


class _SiLU(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.nn.functional.silu(x)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return _SiLUSlope.apply(gradient, x)


class _SiLUSlope(torch.autograd.Function):  # type: ignore[misc]
    """``g s'(x)``."""

    @staticmethod
    def forward(ctx: FunctionCtx, gradient: Tensor, x: Tensor) -> Tensor:
        sigma = torch.sigmoid(x)
        slope = _silu_slope(x, sigma)
        ctx.save_for_backward(gradient, x, sigma, slope)
        return gradient * slope

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: FunctionCtx, by_out: Tensor) -> tuple[Tensor, ...]:
        gradient, x, sigma, slope = ctx.saved_tensors
        return by_out * slope, _silu_bend(x, sigma).mul_(gradient).mul_(by_out)


class _Gate(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(x, y)
        return torch.nn.functional.silu(x).mul_(torch.sigmoid(y))

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        return _GateSlope.apply(gradient, *ctx.saved_tensors)


class _GateSlope(torch.autograd.Function):  # type: ignore[misc]
    """``(g s'(x) σ(y), g s(x) σ'(y))``."""

    @staticmethod
    def forward(ctx: FunctionCtx, gradient: Tensor, x: Tensor, y: Tensor) -> Tensor:
        sigma, opening = torch.sigmoid(x), torch.sigmoid(y)
        slope, opened = _silu_slope(x, sigma), opening * (1.0 - opening)
        ctx.save_for_backward(gradient, x, sigma, slope, opening, opened)
        return (slope * opening).mul_(gradient), (x * sigma).mul_(opened).mul_(gradient)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: FunctionCtx, by_x: Tensor, by_y: Tensor) -> tuple[Tensor, ...]:
        gradient, x, sigma, slope, opening, opened = ctx.saved_tensors
        value = x * sigma
        first, second = by_x * opening, by_y * opened  # what s'(x) and s(x) are multiplied with
        by_gradient = torch.addcmul(first * slope, second, value)
        to_x = torch.addcmul(second * slope, first, _silu_bend(x, sigma)).mul_(gradient)
        # σ'' = σ' (1 − 2σ)
        bend = torch.addcmul(by_x * slope, by_y * value, 1.0 - 2.0 * opening)
        return by_gradient, to_x, bend.mul_(opened).mul_(gradient)
