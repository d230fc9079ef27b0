"""Lesson 09, AdamW and parameter groups: its tasks, their hints, and the answers that go wrong."""

import math

import torch

from .. import rules
from .registry import bug, task, variant


@task((0.01, 0.1), (0.001, 0.5))
def l2_coefficient(decay, lr):
    """Write down one step of each, with the gradient of the data at zero. What is a weight multiplied by?

    In one it is 1 - decay, in the other 1 - lr * coefficient.
    """
    return decay / lr


@bug("l2_coefficient")
def l2_coefficient_as_it_is(decay, lr):
    """L2 goes through the step, so lr multiplies it; the decay here does not.

    With a coefficient of 0.01 and lr = 0.1, what is a weight multiplied by?
    """
    return decay


@bug("l2_coefficient")
def l2_coefficient_product(decay, lr):
    """This converts the other way.

    With this coefficient and lr = 0.1, what is a weight multiplied by?
    """
    return decay * lr


@task((0.1, 0.1), (0.001, 0.5), (0.5, 0.8))
def half_life(lr, weight_decay):
    """What is a weight multiplied by in one step, if no gradient comes?

    By 1 - lr * weight_decay. To which power is that 1/2? Not a whole number; leave it as it is.
    """
    return math.log(0.5) / math.log(1 - lr * weight_decay)


@variant("half_life")
def half_life_approximate(lr, weight_decay):
    """This is the textbook's ln 2 / (lr * weight_decay), good to a per cent while lr * weight_decay is below 0.02.

    The exact one has log(1 - lr * weight_decay) below. Does your use ever leave that range?
    """
    return math.log(2) / (lr * weight_decay)


@bug("half_life")
def half_life_without_lr(lr, weight_decay):
    """This is right where a step takes weight_decay away; in torch's form lr multiplies it.

    By how much does one step shrink a weight of 1 with lr = 0.1 and weight_decay = 0.1?
    """
    return math.log(0.5) / math.log(1 - weight_decay)


@bug("half_life")
def half_life_negative(lr, weight_decay):
    """That many steps ago it was; two logarithms of numbers below 1 are both negative.

    Is one of your two logarithms of 2, and the other of a number below 1?
    """
    return math.log(2) / math.log(1 - lr * weight_decay)


def _watch_groups(answer):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    groups = answer(model, 0.1, 0.01)
    given = torch.optim.AdamW(groups, lr=0.1, weight_decay=0.01).param_groups
    settings = {id(p): group for group in given for p in group["params"]}
    seen = []
    for name, p in model.named_parameters():
        group = settings.get(id(p), {"lr": "none, for it is in no group", "weight_decay": "none"})
        seen += [(f"the {key} of {name}", group[key]) for key in ("lr", "weight_decay")]
    return seen


def _grouped(model, lr, weight_decay, spared, slower=0.1):
    return [
        {
            "params": [p],
            "lr": lr * (slower if name.startswith("0.") else 1),
            "weight_decay": 0 if spared(name, p) else weight_decay,
        }
        for name, p in model.named_parameters()
    ]


@task(observe=_watch_groups)
def parameter_groups(model, lr, weight_decay):
    """`model.named_parameters()` gives a name and a parameter at a time. What do biases and gains have in common?

    A weight matrix has two dimensions, `p.ndim`; a bias and a gain have one. The first layer's names begin with `0.`.

    A group may hold a single parameter: one dict for each, with its "params", "lr" and "weight_decay".
    """
    return _grouped(model, lr, weight_decay, lambda name, p: p.ndim < 2)


@bug("parameter_groups")
def parameter_groups_decays_gains(model, lr, weight_decay):
    """The biases are spared, but the gain of the LayerNorm, which is called a weight, still decays.

    Which number should a gain stay close to, and where does decay pull it?
    """
    return _grouped(model, lr, weight_decay, lambda name, p: name.endswith("bias"))


@bug("parameter_groups")
def parameter_groups_decays_everything(model, lr, weight_decay):
    """The learning rates are right, and every parameter decays.

    What happens under decay to a bias that ought to be 10?
    """
    return _grouped(model, lr, weight_decay, lambda name, p: False)


@bug("parameter_groups")
def parameter_groups_one_learning_rate(model, lr, weight_decay):
    """The decay is right, and every layer has the same learning rate.

    Which layer should move at a tenth of lr, and how do its names begin?
    """
    return _grouped(model, lr, weight_decay, lambda name, p: p.ndim < 2, slower=1)


@bug("parameter_groups")
def parameter_groups_first_matrix_only(model, lr, weight_decay):
    """Of the first layer only the weight is slowed; its bias moves at the full rate.

    Which parameters belong to the first layer?
    """
    groups = _grouped(model, lr, weight_decay, lambda name, p: p.ndim < 2)
    groups[1]["lr"] = lr
    return groups


@bug("adamw")
def adamw_l2_instead(p, g, m, v, *, t, lr, betas, eps, weight_decay):
    """The decay is added to the gradient, so Adam divides it by the gradient's own size: this is L2 through Adam.

    How far does a weight shrink here if its gradient is zero, and how far if its gradient is large?
    """
    return rules.adam(p, g + weight_decay * p, m, v, t=t, lr=lr, betas=betas, eps=eps)


@bug("adamw")
def adamw_decay_without_lr(p, g, m, v, *, t, lr, betas, eps, weight_decay):
    """The weight shrinks by weight_decay at every step; in torch's form lr multiplies it.

    If a schedule takes lr to zero, should the weights go on shrinking?
    """
    return rules.adam(p - weight_decay * p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)


@bug("adamw")
def adamw_no_decay(p, g, m, v, *, t, lr, betas, eps, weight_decay):
    """Nothing decays: this is Adam.

    What happens to a weight whose gradient is always zero?
    """
    return rules.adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)


@bug("adamw")
def adamw_grows(p, g, m, v, *, t, lr, betas, eps, weight_decay):
    """The decay has the wrong sign: every step makes the weights larger.

    With lr * weight_decay = 0.1, by which factor should a weight be multiplied before Adam's step?
    """
    return rules.adam(p + lr * weight_decay * p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)


@bug("adamw")
def adamw_decays_after_the_step(p, g, m, v, *, t, lr, betas, eps, weight_decay):
    """The decay comes after Adam's step and shrinks that step too; torch decays first.

    Which value of the weight should the decay see, the one before the step or the one after?
    """
    p, m, v = rules.adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)
    return p - lr * weight_decay * p, m, v
