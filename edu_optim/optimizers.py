"""The optimizers of torch.optim: its constructors, its defaults, the keys of its checkpoints, and our rules."""

from collections.abc import Callable, Mapping
from typing import Any

from . import rules
from .arguments import is_set
from .base import Number, Params, RuleOptimizer, Run, named, step_count


class SGD(RuleOptimizer):
    """Gradient descent, with momentum or Nesterov momentum: `torch.optim.SGD`.

    Units: [p] of a parameter, [f] of the loss.

    Args:
        params: tensors, named tensors, or groups: dicts with ``"params"`` and options of their own.
        lr: learning rate, in [p²/f]. This and every other number may be a tensor that broadcasts against the
            parameters.
        momentum: what is kept of the velocity from step to step.
        dampening: what is taken from a gradient before it enters the velocity, from the second step on.
        weight_decay: coefficient of the L2 penalty, in [f/p²]: this times the parameter is added to its gradient.
        nesterov: let the newest gradient count once more; needs a momentum, and no dampening.
        maximize: climb instead of descend.
        foreach, fused: torch's words for ``run``: ``foreach=True`` is multi_tensor, ``fused=True`` compiled, False
            per_tensor.
        differentiable: must be False.
        run: how a step is run: ``"per_tensor"``, ``"multi_tensor"``, ``"compiled"`` or a callable like those in
            `edu_optim.execute`. None is the fastest that is there: compiled to C, or else multi_tensor.

    >>> import torch
    >>> p = torch.tensor([1.0], requires_grad=True)
    >>> p.grad = torch.tensor([4.0])
    >>> SGD([p], lr=0.125).step()
    >>> p
    tensor([0.5000], requires_grad=True)
    """

    keys = {"b": "momentum_buffer"}
    takes_sparse = True

    def __init__(
        self,
        params: Params,
        lr: Number = 1e-3,
        momentum: Number = 0,
        dampening: Number = 0,
        weight_decay: Number = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
        run: Run = None,
    ) -> None:
        super().__init__(**named(locals()))

    def rule(self, group: Mapping[str, Any]) -> Callable:
        if not is_set(group["momentum"]):
            return rules.gradient_descent
        return rules.nesterov if group["nesterov"] else rules.momentum

    def hyper(self, group: Mapping[str, Any], t: float) -> dict[str, Any]:
        return {**group, "dampening": 0 if t == 1 else group["dampening"]}  # torch does not dampen the first step

    def advance(self, states: list[dict[str, Any]]) -> list:
        """1 for the first step of a parameter with momentum, else 2: like torch's, this class keeps no count."""
        return [1 if state.get("momentum_buffer") is None else 2 for state in states]


class Adagrad(RuleOptimizer):
    """A learning rate for each coordinate: `torch.optim.Adagrad`.

    The state exists from the start, so that `share_memory` can share it between processes.

    Args:
        params, weight_decay, foreach, maximize, differentiable, fused, run: as in `SGD`.
        lr: learning rate, in [p]; a number or a tensor that broadcasts against the parameters, as all numbers.
        lr_decay: step t is taken with lr / (1 + (t - 1) lr_decay).
        initial_accumulator_value: what the sum of squares starts from, in [f²/p²].
        eps: added to the root of the sum, in [f/p].

    >>> import torch
    >>> p = torch.tensor([1.0, 1.0], requires_grad=True)
    >>> p.grad = torch.tensor([4.0, 0.01])
    >>> Adagrad([p], lr=0.125).step()
    >>> p
    tensor([0.8750, 0.8750], requires_grad=True)
    """

    keys = {"s": "sum"}
    takes_sparse = True

    def __init__(
        self,
        params: Params,
        lr: Number = 1e-2,
        lr_decay: Number = 0,
        weight_decay: Number = 0,
        initial_accumulator_value: Number = 0,
        eps: Number = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        run: Run = None,
    ) -> None:
        super().__init__(**named(locals()))
        for group in self.param_groups:
            states = [self.state[p] for p in group["params"]]
            self.buffers(group, group["params"], states, self.keys)
            for state in states:
                state["step"] = step_count(0)

    def share_memory(self) -> None:
        """Move the sums of squares into memory that processes share, as torch's Adagrad does."""
        for state in self.state.values():
            state["sum"].share_memory_()

    def rule(self, group: Mapping[str, Any]) -> Callable:
        return rules.adagrad

    def hyper(self, group: Mapping[str, Any], t: float) -> dict[str, Any]:
        return {**group, "lr": group["lr"] / (1 + (t - 1) * group["lr_decay"])}


class RMSprop(RuleOptimizer):
    """Adagrad with a fading memory: `torch.optim.RMSprop`.

    Args:
        params, weight_decay, foreach, maximize, differentiable, run: as in `SGD`.
        lr: learning rate, in [p]; a number or a tensor that broadcasts against the parameters, as all numbers.
        alpha: what is kept of the mean square from step to step, in [0, 1].
        eps: added to the root of the mean square, in [f/p].
        momentum: what is kept of a velocity that the scaled gradient drives; 0 for none.
        centered: divide by the standard deviation of the gradient in the place of its root mean square.
        capturable: must be False.

    >>> import torch
    >>> p = torch.tensor([1.0], requires_grad=True)
    >>> p.grad = torch.tensor([4.0])
    >>> RMSprop([p], lr=0.125, alpha=0.75).step()
    >>> p
    tensor([0.7500], requires_grad=True)
    """

    keys = {"s": "square_avg", "a": "grad_avg", "b": "momentum_buffer"}

    def __init__(
        self,
        params: Params,
        lr: Number = 1e-2,
        alpha: Number = 0.99,
        eps: Number = 1e-8,
        weight_decay: Number = 0,
        momentum: Number = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        run: Run = None,
    ) -> None:
        super().__init__(**named(locals()))

    def rule(self, group: Mapping[str, Any]) -> Callable:
        if is_set(group["momentum"]):
            return rules.rmsprop_centered_momentum if group["centered"] else rules.rmsprop_momentum
        return rules.rmsprop_centered if group["centered"] else rules.rmsprop


class Adadelta(RuleOptimizer):
    """RMSprop with the units of a step: `torch.optim.Adadelta`.

    Args:
        params, weight_decay, foreach, maximize, differentiable, run: as in `SGD`.
        lr: what the step is multiplied by, a plain number or a tensor that broadcasts against the parameters.
        rho: what is kept of both mean squares from step to step, in [0, 1].
        eps: added to both mean squares under their roots.
        capturable: must be False.

    >>> import torch
    >>> p = torch.tensor([1.0], requires_grad=True)
    >>> p.grad = torch.tensor([4.0])
    >>> Adadelta([p], rho=0.5, eps=8.0).step()
    >>> p
    tensor([-1.8284], requires_grad=True)
    """

    keys = {"s": "square_avg", "u": "acc_delta"}

    def __init__(
        self,
        params: Params,
        lr: Number = 1.0,
        rho: Number = 0.9,
        eps: Number = 1e-6,
        weight_decay: Number = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
        run: Run = None,
    ) -> None:
        super().__init__(**named(locals()))

    def rule(self, group: Mapping[str, Any]) -> Callable:
        return rules.adadelta


class Adam(RuleOptimizer):
    """Momentum over RMSprop, corrected at the start: `torch.optim.Adam`.

    Args:
        params, weight_decay, foreach, maximize, differentiable, fused, run: as in `SGD`.
        lr: learning rate, in [p]; a number or a tensor that broadcasts against the parameters, as all numbers.
        betas: what is kept from step to step of the mean of the gradients and of the mean of their squares; two
            numbers in [0, 1).
        eps: added to the root of the corrected mean square, in [f/p].
        amsgrad: divide by the largest mean square so far.
        capturable: must be False.
        decoupled_weight_decay: shrink the parameters by lr * weight_decay, as `AdamW` does.

    >>> import torch
    >>> p = torch.tensor([1.0, 1.0], requires_grad=True)
    >>> p.grad = torch.tensor([4.0, -0.01])
    >>> Adam([p], lr=0.125).step()
    >>> p
    tensor([0.8750, 1.1250], requires_grad=True)
    """

    keys = {"m": "exp_avg", "v": "exp_avg_sq", "v_max": "max_exp_avg_sq"}

    def __init__(
        self,
        params: Params,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
        run: Run = None,
    ) -> None:
        super().__init__(**named(locals()))

    def rule(self, group: Mapping[str, Any]) -> Callable:
        if group["decoupled_weight_decay"] and is_set(group["weight_decay"]):
            return rules.adamw_amsgrad if group["amsgrad"] else rules.adamw
        return rules.amsgrad if group["amsgrad"] else rules.adam


class AdamW(Adam):
    """Adam with weight decay that no gradient touches: `torch.optim.AdamW`.

    Args:
        weight_decay: in [1/p]: each step begins by shrinking the parameters by lr * weight_decay of themselves.
        params and all others: as in `Adam`.

    >>> import torch
    >>> p = torch.tensor([1.0], requires_grad=True)
    >>> p.grad = torch.tensor([0.0])
    >>> AdamW([p], lr=0.125, weight_decay=2.0).step()
    >>> p
    tensor([0.7500], requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        run: Run = None,
    ) -> None:
        super().__init__(**named(locals()), decoupled_weight_decay=True)
