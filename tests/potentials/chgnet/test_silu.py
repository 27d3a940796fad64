from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hea_flows.potentials.chgnet.silu import silu, silu_gate  # noqa: E402


def test_values_and_derivatives_to_second_order() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (
        torch.randn(5, 4, generator=generator, dtype=torch.float64).mul(3).requires_grad_()
        for _ in range(2)
    )
    assert torch.equal(silu(x), torch.nn.functional.silu(x))
    expected = torch.nn.functional.silu(x) * torch.sigmoid(y)
    assert torch.allclose(silu_gate(x, y), expected, rtol=1e-15)
    assert torch.autograd.gradcheck(silu, (x,))
    assert torch.autograd.gradgradcheck(silu, (x,))
    assert torch.autograd.gradcheck(silu_gate, (x, y))
    assert torch.autograd.gradgradcheck(silu_gate, (x, y))
