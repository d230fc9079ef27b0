"""Lesson 05, Adagrad: its tasks, their hints, and the answers that go wrong."""

import torch

from .. import rules
from ..rules import maximum
from .registry import bug, task, variant


@task((1e-3, 10.0), (0.5, 0.01))
def scaled_eps(eps, factor):
    """In which units is eps? It is added to the root of a sum of squared gradients.

    If every gradient is 10 times as large, so is the root. What must eps be for the quotient to stay?
    """
    return eps * factor


@bug("scaled_eps")
def scaled_eps_as_it_is(eps, factor):
    """With the old eps the steps change a little, and most where gradients are small.

    In which units is eps?
    """
    return eps


@bug("scaled_eps")
def scaled_eps_squared(eps, factor):
    """This would be right if eps stood inside the root, beside the squares.

    In this rule, is eps added to a square or to a root?
    """
    return eps * factor**2


@bug("scaled_eps")
def scaled_eps_upside_down(eps, factor):
    """Larger gradients need a larger eps beside them, not a smaller one.

    What becomes of the root if every gradient is 10 times as large?
    """
    return eps / factor


@task((1.0, 4), (0.1, 100))
def adagrad_distance(lr, steps):
    """On a steady slope the sum after t steps is t times the square. What is the step then?

    Step t is lr / sqrt(t). Add them up.
    """
    return lr * sum(t**-0.5 for t in range(1, steps + 1))


@bug("adagrad_distance")
def adagrad_distance_integral(lr, steps):
    """2 lr sqrt(steps) is what the distance grows like; it is too long by about 1.46 lr.

    What does this give for one step, and how long is the first step?
    """
    return 2 * lr * steps**0.5


@bug("adagrad_distance")
def adagrad_distance_harmonic(lr, steps):
    """Step t is taken here to be lr / t, which dies much sooner.

    After four gradients of 1, what is s, and what is its root?
    """
    return lr * sum(1 / t for t in range(1, steps + 1))


@bug("adagrad_distance")
def adagrad_distance_constant(lr, steps):
    """Every step is taken here to be lr long.

    After four gradients of 1, what is s, and what is its root?
    """
    return lr * steps


@bug("adagrad_distance")
def adagrad_distance_from_zero(lr, steps):
    """The last step is missing: the sum ends one early.

    Where does `range(1, steps)` end?
    """
    return lr * sum(t**-0.5 for t in range(1, steps))


def _watch_logistic(answer):
    draw = torch.Generator().manual_seed(5)
    seen = torch.rand(40, 3, generator=draw, dtype=torch.float64) < torch.tensor([1.0, 0.4, 0.1])
    inputs = seen * torch.randn(40, 3, generator=draw, dtype=torch.float64)
    labels = (inputs.sum(dim=1) > 0.2).double()
    return [(f"the weights after {steps} steps", answer(inputs, labels, 0.5, steps)) for steps in (1, 2, 20)]


def _logistic(inputs, labels, lr, steps, squash=torch.sigmoid, rule=rules.adagrad):
    w = s = torch.zeros(inputs.shape[1], dtype=inputs.dtype)
    for _ in range(steps):
        g = inputs.T @ (squash(inputs @ w) - labels) / len(labels)
        w, s = rule(w, g, s, lr=lr)
    return w


@task(observe=_watch_logistic)
def sparse_logistic(inputs, labels, lr, steps):
    """The prediction is `torch.sigmoid(inputs @ w)`; start with w and s at zero, one for each column.

    The gradient of the mean cross-entropy is `inputs.T @ (prediction - labels) / len(labels)`.

    In each step: prediction, gradient, one call of the lesson's `adagrad` with w, the gradient and s.
    """
    return _logistic(inputs, labels, lr, steps)


@bug("sparse_logistic")
def sparse_logistic_no_sigmoid(inputs, labels, lr, steps):
    """The labels are compared with the scores themselves, which fits a line to zeros and ones.

    Which function turns a score into a probability?
    """
    return _logistic(inputs, labels, lr, steps, squash=lambda scores: scores)


@bug("sparse_logistic")
def sparse_logistic_climbs(inputs, labels, lr, steps):
    """All weights have the wrong sign: the loss is climbed.

    In the gradient, which comes first, the prediction or the label?
    """
    return _logistic(inputs, labels, -lr, steps)


@bug("sparse_logistic")
def sparse_logistic_plain_descent(inputs, labels, lr, steps):
    """This is gradient descent: the rare input gets the same learning rate as the common one.

    You have a sum of squares; which quantity does it divide?
    """
    return _logistic(inputs, labels, lr, steps, rule=lambda w, g, s, lr: (w - lr * g, s))


@bug("sparse_logistic")
def sparse_logistic_one_sum_for_all(inputs, labels, lr, steps):
    """One sum serves all weights, so the rare input is braked by the common one.

    Which shape should s have?
    """

    def shared(w, g, s, lr):
        s = s + (g**2).sum()
        return w - lr * g / (s**0.5 + 1e-10), s

    return _logistic(inputs, labels, lr, steps, rule=shared)


@bug("adagrad")
def adagrad_forgets(p, g, s, *, lr, eps):
    """The sum is replaced by the newest square, so every step is lr long.

    After two gradients of 2, what should s be?
    """
    s = g**2
    return p - lr * g / (s**0.5 + eps), s


@bug("adagrad")
def adagrad_no_root(p, g, s, *, lr, eps):
    """The step divides by the sum of squares and not by its root.

    If all gradients were ten times as large, should the steps change?
    """
    s = s + g**2
    return p - lr * g / (s + eps), s


@bug("adagrad")
def adagrad_abs_not_square(p, g, s, *, lr, eps):
    """The sum is of the sizes of the gradients, not of their squares.

    The root in the denominator undoes a power; where is that power taken?
    """
    s = s + maximum(g, -g)
    return p - lr * g / (s**0.5 + eps), s


@bug("adagrad")
def adagrad_uses_before_adding(p, g, s, *, lr, eps):
    """The step divides by the sum from before this gradient, which is zero at the first step: a step of lr g / eps.

    Which of your two lines should come first?
    """
    return p - lr * g / (s**0.5 + eps), s + g**2


@bug("adagrad")
def adagrad_no_eps(p, g, s, *, lr, eps):
    """There is no eps, so a weight whose gradient has always been zero becomes nan: zero by zero.

    What is the denominator of a weight that no example has touched yet?
    """
    s = s + g**2
    return p - lr * g / s**0.5, s


@variant("adagrad")
def adagrad_eps_inside(p, g, s, *, lr, eps):
    """Here eps is added to the sum before the root; torch adds it after.

    The root of eps does here what eps does there, where gradients are small. Does your sheet ask for torch's?
    """
    s = s + g**2
    return p - lr * g / (s + eps) ** 0.5, s
