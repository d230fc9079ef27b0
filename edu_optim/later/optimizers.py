"""NAdam and RAdam of torch.optim: its constructors, its defaults, the keys of its checkpoints, and our rules."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..arguments import is_set
from ..base import Number, Params, RuleOptimizer, Run, named, step_count
from . import rules


class NAdam(RuleOptimizer):
    """Adam with Nesterov's look ahead: `torch.optim.NAdam`.

    The product of the betas so far is kept for each parameter as torch keeps it, in single precision unless the
    default is double.

    Args:
        params, betas, eps, weight_decay, foreach, maximize, capturable, differentiable, run: as in `edu_optim.Adam`.
        lr: learning rate, in [p].
        momentum_decay: how fast beta1 rises from half its value; 0 for never.
        decoupled_weight_decay: shrink the parameters by lr * weight_decay, as `edu_optim.AdamW` does.

    >>> import torch
    >>> p = torch.tensor([1.0], requires_grad=True)
    >>> p.grad = torch.tensor([4.0])
    >>> NAdam([p], lr=0.125).step()
    >>> p
    tensor([0.8679], requires_grad=True)
    """

    keys = {"m": "exp_avg", "v": "exp_avg_sq"}

    def __init__(
        self,
        params: Params,
        lr: Number = 2e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0,
        momentum_decay: Number = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        run: Run = None,
    ) -> None:
        super().__init__(**named(locals()))

    def rule(self, group: Mapping[str, Any]) -> Callable:
        return _decoupled if group["decoupled_weight_decay"] and is_set(group["weight_decay"]) else _plain

    def advance(self, states: list[dict[str, Any]]) -> list:
        for state in states:
            state.setdefault("mu_product", step_count(1))
        return list(zip(super().advance(states), [float(state["mu_product"]) for state in states], strict=True))

    def buffers(self, group: Mapping[str, Any], params: list, states: list, letters: Iterable[str]) -> list[list]:
        for state in states:
            state["mu_product"] *= _mu(float(state["step"]), group["betas"][0], group["momentum_decay"])
        return super().buffers(group, params, states, letters)

    def hyper(self, group: Mapping[str, Any], t: Any) -> dict[str, Any]:
        step, product = t
        return {**group, "t": step, "c": 1 - product}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for buffers in self.state.values():
            if "mu_product" in buffers:  # which torch casts and moves as if it were a buffer
                buffers["mu_product"] = step_count(buffers["mu_product"])


def _mu(t, beta1, momentum_decay):
    """Line (1) of `rules.nadam`."""
    return beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))


def _plain(p, g, m, v, *, c, t, lr, betas, eps, momentum_decay):
    """`rules.nadam` with one number c for all weights of a parameter."""
    return rules.nadam(p, g, m, v, c, t=t, lr=lr, betas=betas, eps=eps, momentum_decay=momentum_decay)[:3]


def _decoupled(p, g, m, v, *, c, t, lr, betas, eps, momentum_decay, weight_decay):
    """The same, after the decay of `edu_optim.rules.adamw`."""
    p = p - lr * weight_decay * p
    return _plain(p, g, m, v, c=c, t=t, lr=lr, betas=betas, eps=eps, momentum_decay=momentum_decay)


class RAdam(RuleOptimizer):
    """Adam that waits until its mean square can be trusted: `torch.optim.RAdam`.

    Its rule has a branch, so it runs as multi_tensor where others run compiled.

    Args:
        params, betas, eps, weight_decay, foreach, maximize, capturable, differentiable, run: as in `edu_optim.Adam`.
        lr: learning rate, in [p] once the mean square is used and in [p²/f] before.
        decoupled_weight_decay: shrink the parameters by lr * weight_decay, as `edu_optim.AdamW` does.

    >>> import torch
    >>> p = torch.tensor([1.0], requires_grad=True)
    >>> p.grad = torch.tensor([4.0])
    >>> RAdam([p], lr=0.125).step()
    >>> p
    tensor([0.5000], requires_grad=True)
    """

    keys = {"m": "exp_avg", "v": "exp_avg_sq"}

    def __init__(
        self,
        params: Params,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        run: Run = None,
    ) -> None:
        super().__init__(**named(locals()))

    def rule(self, group: Mapping[str, Any]) -> Callable:
        decoupled = group["decoupled_weight_decay"] and is_set(group["weight_decay"])
        return rules.radam_decoupled if decoupled else rules.radam
