"""Muon of torch.optim: its constructor, its defaults, the key of its checkpoints, and our rule."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..arguments import check_options
from ..base import Number, Params, RuleOptimizer, Run, named
from ..execute import Columns, per_tensor
from . import rules


def stacked(rule: Callable, columns: Columns, hyper: Mapping[str, Any]) -> None:
    """Run a rule of matrices once for all matrices of one shape, dtype and device: they are stacked.

    >>> ones = [torch.ones(2, 2) for _ in range(3)]
    >>> stacked(lambda p, g, *, lr: (p - lr * g @ g,), [ones, [torch.eye(2)] * 3], {"lr": 0.5})
    >>> ones[2].diag()
    tensor([0.5000, 0.5000])
    """
    alike = defaultdict(list)
    for arguments in zip(*columns, strict=True):
        alike[arguments[0].shape, arguments[0].dtype, arguments[0].device].append(arguments)
    for rows in alike.values():
        old = [list(column) for column in zip(*rows, strict=True)]
        new = [torch.stack(column) for column in old]
        per_tensor(rule, [[column] for column in new], hyper)
        for into, result in zip([old[0], *old[2:]], [new[0], *new[2:]], strict=True):
            torch._foreach_copy_(into, list(result.unbind()))


class Muon(RuleOptimizer):
    """Momentum whose step is made orthogonal, for the matrices of the hidden layers: `torch.optim.Muon`.

    It works in the dtype of the parameters, where torch rounds to bfloat16, and steps all matrices of one shape at
    once. Everything else a network has goes to another optimizer: see `split`.

    Args:
        params: matrices ``[rows, columns]``, or stacks of them ``[..., rows, columns]``, in the forms of
            `edu_optim.SGD`.
        lr: learning rate, in [p].
        weight_decay: in [1/p]: each step begins by shrinking the parameters by lr * weight_decay of themselves.
        momentum: what is kept of the mean gradient from step to step.
        nesterov: let the newest gradient count once more.
        ns_coefficients: a, b and c of the Newton-Schulz iteration.
        eps: the least length that a mean gradient is divided by, in [f/p].
        ns_steps: of the Newton-Schulz iteration.
        adjust_lr_fn: what a step is multiplied by for its shape: None or ``"original"`` is Jordan's
            ``max(1, rows / columns) ** 0.5``, ``"match_rms_adamw"`` is ``0.2 * max(rows, columns) ** 0.5``.
        run: None, ``"per_tensor"``, or a callable like those in `edu_optim.execute`.

    >>> p = torch.zeros(2, 2, requires_grad=True)
    >>> p.grad = torch.eye(2)
    >>> Muon([p], lr=0.5, ns_coefficients=(1.5, -0.5, 0)).step()
    >>> p
    tensor([[-0.5000,  0.0000],
            [ 0.0000, -0.5000]], requires_grad=True)
    """

    keys = {"b": "momentum_buffer"}

    def __init__(
        self,
        params: Params,
        lr: Number = 1e-3,
        weight_decay: Number = 0.1,
        momentum: Number = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: Number = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        run: Run = None,
    ) -> None:
        super().__init__(**{**named(locals()), "run": stacked if run is None else run})

    def rule(self, group: Mapping[str, Any]) -> Callable:
        return rules.muon

    def advance(self, states: list[dict[str, Any]]) -> list:
        """Like torch's, this class keeps no count."""
        return [1] * len(states)

    def check(self, options: Mapping[str, Any], tensors: list[torch.Tensor]) -> None:
        if self.run in ("multi_tensor", "compiled"):
            raise ValueError(f"run must be None, 'per_tensor' or a callable for Muon, got {self.run!r}")
        check_options({**options, "nesterov": False}, tensors, [])  # which here needs no momentum
        coefficients, steps, adjust = (options[name] for name in ("ns_coefficients", "ns_steps", "adjust_lr_fn"))
        if not isinstance(options["nesterov"], bool):
            raise TypeError(f"nesterov must be True or False, got {options['nesterov']!r}")
        if not isinstance(coefficients, tuple | list) or len(coefficients) != 3:
            raise ValueError(f"ns_coefficients must be three numbers, got {coefficients!r}")
        if not isinstance(steps, int) or not 0 <= steps < 100:
            raise ValueError(f"ns_steps must be a whole number in [0, 100), got {steps!r}")
        if adjust not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"adjust_lr_fn must be None, 'original' or 'match_rms_adamw', got {adjust!r}")
        for p in tensors:
            if p.ndim < 2 or p.is_complex():
                raise ValueError(f"params must hold real matrices, got {p.dtype} of shape {tuple(p.shape)}")


def split(model: torch.nn.Module) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    """The parameters of a network for Muon, and the others: for AdamW, say.

    For Muon are the matrices of its hidden layers. The others are what is no matrix, and the first and the last matrix,
    which take in and put out features that mean something one by one. Where a network has embeddings, these are its
    first matrices, and its last one too if they also put out. Source: K. Jordan et al. 2024, as in
    `edu_optim.later.rules.muon`.

    >>> net = torch.nn.Sequential(*[torch.nn.Linear(4, 4) for _ in range(3)])
    >>> matrices, others = split(net)
    >>> len(matrices), len(others)
    (1, 5)
    """
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    put_out = any(isinstance(module, torch.nn.Linear) and id(module.weight) in embeddings for module in model.modules())
    given = list(model.parameters())
    hidden = [p for p in given if p.ndim == 2 and id(p) not in embeddings]
    hidden = hidden[0 if embeddings else 1 : None if put_out else -1]
    chosen = set(map(id, hidden))
    return hidden, [p for p in given if id(p) not in chosen]
