"""Lesson 07, Adadelta: its tasks, their hints, and the answers that go wrong."""

import math

import torch

from .. import rules
from .registry import RULE_HINTS, bug, task, variant

RULE_HINTS["adadelta"] = [
    "What does the optimizer know about its steps before it has taken this one?",
    "The roots of two means scale the gradient; one of them is brought up to date after the step is known.",
    "Work out the step with the old `u`, then let its square into `u`, then move.",
]


@task((2.0, 0.9, 1e-6), (-1e-3, 0.95, 1e-4), (0.5, 0.0, 1.0))
def first_step_of_adadelta(g, rho, eps):
    """At the first step u is still zero, and s is not.

    s is (1 - rho) * g**2. Put both into line (2) of the rule; the parameter moves by -d.

    Keep the eps in the denominator: for small gradients it counts.
    """
    return -(eps**0.5) / ((1 - rho) * g**2 + eps) ** 0.5 * g


@bug("first_step_of_adadelta")
def first_step_of_adadelta_uphill(g, rho, eps):
    """The length is right; the parameter moves the other way.

    What does line (4) of the rule do with d?
    """
    return -first_step_of_adadelta(g, rho, eps)


@bug("first_step_of_adadelta")
def first_step_of_adadelta_large_gradient(g, rho, eps):
    """sqrt(eps / (1 - rho)) is what it comes to for large gradients; a small one feels the eps below.

    With g = 0.001 and eps = 0.0001, which of the two terms under the lower root is the larger?
    """
    return -math.copysign((eps / (1 - rho)) ** 0.5, g)


@bug("first_step_of_adadelta")
def first_step_of_adadelta_full_square(g, rho, eps):
    """The square enters s at the weight 1 - rho, not whole.

    After one gradient of 2 with rho = 0.9, what is s?
    """
    return -(eps**0.5) / (g**2 + eps) ** 0.5 * g


@bug("first_step_of_adadelta")
def first_step_of_adadelta_wrong_order(g, rho, eps):
    """The memory of steps is used here with the step in it that it should scale.

    Before the first step, what is u?
    """
    d = first_step_of_adadelta(g, rho, eps)
    return math.copysign(((1 - rho) * d**2 + eps) ** 0.5 / ((1 - rho) * g**2 + eps) ** 0.5 * g, -g)


def _walkers():
    """Optimizers as functions of a unit: the two steps they take from a place that is one meter away, in that unit."""

    def descent(unit):
        return torch.tensor([-0.1, -0.09]) / unit

    def newton(unit):
        return torch.tensor([-0.5, -0.25]) * unit

    def adagrad(unit):
        return torch.tensor([-0.1, -0.1 / 2**0.5])

    def adadelta(unit):
        start, s, u, g = (torch.tensor(value) for value in (0.0, unit**-2.0, unit**2.0, 3.0 / unit))
        p, s, u = rules.adadelta(start, g, s, u, eps=0.0)
        q, s, u = rules.adadelta(p, g, s, u, eps=0.0)
        return torch.stack([p, q - p])

    return {"gradient descent": descent, "Newton": newton, "Adagrad": adagrad, "Adadelta with eps = 0": adadelta}


def _watch_units(answer):
    return [(f"for {name} your answer", bool(answer(walk))) for name, walk in _walkers().items()]


@task(observe=_watch_units)
def keeps_units(travel):
    """One meter is 1000 millimeters. If the first step in meters is 0.1, what should it be in millimeters?

    Call travel twice, with 1 and with 1000, and compare. Rounding forbids `==`: `torch.allclose` compares.
    """
    return torch.allclose(travel(1000), 1000 * travel(1))


@bug("keeps_units")
def keeps_units_same_number(travel):
    """This asks for the same number in both units, and 0.1 meters are not 0.1 millimeters.

    If a step is 0.1 meters long, how many millimeters is it?
    """
    return torch.allclose(travel(1000), travel(1))


@bug("keeps_units")
def keeps_units_upside_down(travel):
    """This asks for a smaller number in the smaller unit.

    If a step is 0.1 meters long, how many millimeters is it?
    """
    return torch.allclose(1000 * travel(1000), travel(1))


@bug("adadelta")
def adadelta_wrong_order(p, g, s, u, *, lr, rho, eps):
    """The mean square of the steps is updated before the step that it scales, with a step that used the old one.

    When a step is worked out, which steps has the optimizer already taken?
    """
    s = rho * s + (1 - rho) * g**2
    d = (u + eps) ** 0.5 / (s + eps) ** 0.5 * g
    u = rho * u + (1 - rho) * d**2
    return p - lr * (u + eps) ** 0.5 / (s + eps) ** 0.5 * g, s, u


@bug("adadelta")
def adadelta_no_eps_on_top(p, g, s, u, *, lr, rho, eps):
    """Without eps on top the first step is zero, so there is no step to learn from, and it stands still for ever.

    What is the mean square of no steps at all?
    """
    s = rho * s + (1 - rho) * g**2
    d = u**0.5 / (s + eps) ** 0.5 * g
    return p - lr * d, s, rho * u + (1 - rho) * d**2


@variant("adadelta")
def adadelta_lr_in_accumulator(p, g, s, u, *, lr, rho, eps):
    """Here the step is remembered after lr has scaled it; torch remembers it before.

    At lr = 1, the paper's, both are the same. Does your sheet ask for torch's?
    """
    s = rho * s + (1 - rho) * g**2
    d = lr * (u + eps) ** 0.5 / (s + eps) ** 0.5 * g
    return p - d, s, rho * u + (1 - rho) * d**2


@bug("adadelta")
def adadelta_upside_down(p, g, s, u, *, lr, rho, eps):
    """The two roots have changed places: the step grows with the gradient and shrinks with the past steps.

    Which of the two has the units of the weight, and should it stand on top or below?
    """
    s = rho * s + (1 - rho) * g**2
    d = (s + eps) ** 0.5 / (u + eps) ** 0.5 * g
    return p - lr * d, s, rho * u + (1 - rho) * d**2
