"""The optimizers of torch.optim: its options, its defaults, the keys of its checkpoints, and our rules."""

from . import rules
from .base import RuleOptimizer, is_set


class SGD(RuleOptimizer):
    """Gradient descent, with momentum or Nesterov momentum: `torch.optim.SGD`.

    >>> import torch
    >>> p = torch.tensor([1.0], requires_grad=True)
    >>> p.grad = torch.tensor([4.0])
    >>> SGD([p], lr=0.125).step()
    >>> p
    tensor([0.5000], requires_grad=True)
    """

    options = {"lr": 1e-3, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False}
    keys = {"b": "momentum_buffer"}
    takes_sparse = True

    def rule(self, group):
        if not is_set(group["momentum"]):
            return rules.gradient_descent
        return rules.nesterov if group["nesterov"] else rules.momentum

    def hyper(self, group, t):
        return {**group, "dampening": 0 if t == 1 else group["dampening"]}  # torch does not dampen the first step

    def advance(self, params):
        """1 for the first step of a parameter with momentum, else 2: like torch's, this class keeps no count."""
        return [1 if self.state.get(p, {}).get("momentum_buffer") is None else 2 for p in params]

    def check(self, options, tensors):
        super().check(options, tensors)
        if options["nesterov"] and (not is_set(options["momentum"]) or is_set(options["dampening"])):
            seen = f"momentum={options['momentum']!r} and dampening={options['dampening']!r}"
            raise ValueError(f"nesterov=True needs a momentum above 0 and dampening=0, got {seen}")


class Adagrad(RuleOptimizer):
    """A learning rate for each coordinate: `torch.optim.Adagrad`.

    >>> import torch
    >>> p = torch.tensor([1.0, 1.0], requires_grad=True)
    >>> p.grad = torch.tensor([4.0, 0.01])
    >>> Adagrad([p], lr=0.125).step()
    >>> p
    tensor([0.8750, 0.8750], requires_grad=True)
    """

    options = {"lr": 1e-2, "lr_decay": 0, "weight_decay": 0, "initial_accumulator_value": 0, "eps": 1e-10}
    keys = {"s": "sum"}
    takes_sparse = True

    def rule(self, group):
        return rules.adagrad

    def hyper(self, group, t):
        return {**group, "lr": group["lr"] / (1 + (t - 1) * group["lr_decay"])}

    def initial(self, group, key):
        return group["initial_accumulator_value"]


class RMSprop(RuleOptimizer):
    """Adagrad with a fading memory: `torch.optim.RMSprop`.

    >>> import torch
    >>> p = torch.tensor([1.0], requires_grad=True)
    >>> p.grad = torch.tensor([4.0])
    >>> RMSprop([p], lr=0.125, alpha=0.75).step()
    >>> p
    tensor([0.7500], requires_grad=True)
    """

    options = {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0, "momentum": 0, "centered": False}
    keys = {"s": "square_avg", "a": "grad_avg", "b": "momentum_buffer"}

    def rule(self, group):
        if is_set(group["momentum"]):
            return rules.rmsprop_centered_momentum if group["centered"] else rules.rmsprop_momentum
        return rules.rmsprop_centered if group["centered"] else rules.rmsprop


class Adadelta(RuleOptimizer):
    """RMSprop with the units of a step: `torch.optim.Adadelta`.

    >>> import torch
    >>> p = torch.tensor([1.0], requires_grad=True)
    >>> p.grad = torch.tensor([4.0])
    >>> Adadelta([p], rho=0.5, eps=8.0).step()
    >>> p
    tensor([-1.8284], requires_grad=True)
    """

    options = {"lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0}
    keys = {"s": "square_avg", "u": "acc_delta"}

    def rule(self, group):
        return rules.adadelta


class Adam(RuleOptimizer):
    """Momentum over RMSprop, corrected at the start: `torch.optim.Adam`.

    >>> import torch
    >>> p = torch.tensor([1.0, 1.0], requires_grad=True)
    >>> p.grad = torch.tensor([4.0, -0.01])
    >>> Adam([p], lr=0.125).step()
    >>> p
    tensor([0.8750, 1.1250], requires_grad=True)
    """

    options = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "amsgrad": False}
    keyword_options = {"decoupled_weight_decay": False}
    keys = {"m": "exp_avg", "v": "exp_avg_sq", "v_max": "max_exp_avg_sq"}

    def rule(self, group):
        if group["decoupled_weight_decay"] and is_set(group["weight_decay"]):
            return rules.adamw_amsgrad if group["amsgrad"] else rules.adamw
        return rules.amsgrad if group["amsgrad"] else rules.adam


class AdamW(Adam):
    """Adam with weight decay that no gradient touches: `torch.optim.AdamW`.

    >>> import torch
    >>> p = torch.tensor([1.0], requires_grad=True)
    >>> p.grad = torch.tensor([0.0])
    >>> AdamW([p], lr=0.125, weight_decay=2.0).step()
    >>> p
    tensor([0.7500], requires_grad=True)
    """

    options = {**Adam.options, "weight_decay": 1e-2}
    keyword_options = {}

    def rule(self, group):
        return super().rule({**group, "decoupled_weight_decay": True})
