"""Weights of e3nn's linear maps and tensor products as plain matrices, factors included."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Coupling:
    """How a scalar and one angular momentum couple.

    Parameters
    ----------
    size
        Components, 2l + 1.
    parity
        Of the spherical harmonics under inversion, (−1)^l.
    factor
        What e3nn multiplies the product with.
    """

    size: int
    parity: float
    factor: float


def couplings(product: nn.Module) -> list[Coupling]:
    """Return the paths of a `TensorProduct` of scalars with spherical harmonics, in order.

    Raises
    ------
    ValueError
        If there is not exactly one path per angular momentum, in the order of the harmonics.
    """
    paths = []
    for number, path in enumerate(product.instructions):
        mul, irrep = product.irreps_in2[path.i_in2]
        if (path.i_in1, path.i_in2, path.i_out, mul) != (0, number, number, 1):
            msg = f"the tensor product {product} is not one of scalars with spherical harmonics"
            raise ValueError(msg)
        paths.append(Coupling(irrep.dim, (-1.0) ** irrep.l, path.path_weight / irrep.dim**0.5))
    return paths


def linear(module: nn.Module) -> list[Tensor]:
    """Return the matrices (in, out) of an `o3.Linear`, or of one with a low-rank change to it."""
    if hasattr(module, "compute_merged_weight"):  # mace.modules.lora.LoRAO3Linear
        weight, paths = module.compute_merged_weight(), module.base.instructions
    else:
        weight, paths = module.weight, module.instructions
    parts = weight.split([p.path_shape[0] * p.path_shape[1] for p in paths])
    return [p.path_weight * part.view(p.path_shape) for p, part in zip(paths, parts, strict=True)]


def dense(network: nn.Module) -> list[Tensor]:
    """Return the matrices (in, out) of a `FullyConnectedNet`; activations need no more factors."""
    matrices, before = [], 1.0
    for layer in network.children():
        weight = (
            layer.base.weight + layer.scaling * layer.compute_delta()
            if (
                hasattr(layer, "compute_delta")  # mace.modules.lora.LoRAFCLayer
            )
            else layer.weight
        )
        plain = getattr(layer, "base", layer)
        factor = before / (plain.h_in * plain.var_in) ** 0.5
        if plain.act is None:
            factor *= plain.var_out**0.5
        else:
            before = plain.act.cst * plain.var_out**0.5
        matrices.append(factor * weight)
    return matrices


def of_species(module: nn.Module) -> list[Tensor]:
    """Return the tensors (in, elements, out) of a `FullyConnectedTensorProduct` with species."""
    paths = module.instructions
    sizes = [p.path_shape[0] * p.path_shape[1] * p.path_shape[2] for p in paths]
    return [
        (p.path_weight / module.irreps_out[p.i_out].ir.dim ** 0.5) * part.view(p.path_shape)
        for p, part in zip(paths, module.weight.split(sizes), strict=True)
    ]
