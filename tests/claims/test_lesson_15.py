"""What lesson 15 says in general, tried beside its own settings."""

import pytest
import torch

from edu_optim import Muon, from_rule, sweep
from edu_optim.later import rules
from edu_optim.problems import quadratic


@pytest.mark.parametrize("beta2", [0.9, 0.97, 0.999, 0.9999])
def test_radam_is_momentum_for_five_steps(beta2):
    """At the usual $\\beta_2$ the first five steps are momentum."""
    short = [rules.radam(0.0, 4.0, 0.0, 0.0, t=t, lr=1.0, betas=(0.0, beta2))[0] == -4.0 for t in range(1, 9)]
    assert short == [True] * 5 + [False] * 3


@pytest.mark.parametrize("lr", [0.01, 0.3])
@pytest.mark.parametrize("g", [-7.0, 1e-6, 3.0])
def test_every_weight_moves_by_lr_under_lion(lr, g):
    """It keeps one buffer in the place of two, and every weight moves by `lr`."""
    p, m = 0.5, 0.1 * g
    for _ in range(4):
        moved, m = rules.lion(p, g, m, lr=lr)
        assert abs(abs(moved - p) - lr) < 1e-12
        p = moved


@pytest.mark.parametrize("beta", [0.5, 0.9])
def test_the_average_of_schedule_free_is_that_of_the_fast_points(beta):
    """keeps a fast point $z$ and the average $x$ of all such points, and asks for the gradient at $p$"""
    p, e, fast = 1.0, 0.0, []
    for t, g in enumerate([0.7, -2.0, 3.0, 0.1], 1):
        p, e = rules.schedule_free_sgd(p, g, e, t=t, lr=0.2, beta=beta)
        fast.append(p - beta * e)
        assert abs(p + (1 - beta) * e - sum(fast) / t) < 1e-12


@pytest.mark.parametrize("size", [0.01, 3.0])
@pytest.mark.parametrize("n", [2, 9])
def test_a_vector_has_one_singular_value(n, size):
    """So Muon on a vector is a gradient divided by its length, whatever that is, and the class refuses one."""
    g = size * torch.randn(1, n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    torch.testing.assert_close(rules.orthogonal(g, (1.5, -0.5, 0), 5), g / g.norm())
    with pytest.raises(ValueError, match="real matrices"):
        Muon([g[0].requires_grad_()])


@pytest.mark.parametrize("smallest", [1e-3, 0.02, 0.3])
def test_the_cubic_polynomial_converges_and_the_quintic_does_not(smallest):
    """The cubic polynomial converges and the quintic one does not, but that multiplies small values by 3.4 at each step, and is near enough for a step."""  # noqa: E501
    s = torch.tensor([1.0, smallest], dtype=torch.float64)
    off = {}
    for name, coefficients in {"cubic": (1.5, -0.5, 0.0), "quintic": (3.4445, -4.775, 2.0315)}.items():
        off[name] = (rules.orthogonal(s.diag(), coefficients, 60).diag() - 1).abs().max()
    assert off["cubic"] < 1e-9 and 1e-3 < off["quintic"] < 0.4


def test_lion_is_elementwise_as_a_sweep_needs():
    """**Muon is not elementwise**, so what you learned of sweeps in lesson 13 does not hold for it."""
    bowl, lion = quadratic(condition=4), from_rule(rules.lion)
    starts = torch.tensor([[1.0, 2.0], [-3.0, 0.5]], dtype=torch.float64)
    together = sweep(bowl, lion, 20, starts, lr=0.1).points
    alone = [sweep(bowl, lion, 20, start[None], lr=0.1).points[0] for start in starts]
    torch.testing.assert_close(together, torch.stack(alone))
    p, g, b = (torch.randn(3, 3, generator=torch.Generator().manual_seed(1)) for _ in range(3))
    apart = rules.muon(p[:1], g[:1], b[:1], lr=1.0)[0] - rules.muon(p, g, b, lr=1.0)[0][:1]
    assert apart.abs().max() > 0.01
