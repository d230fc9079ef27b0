"""Lesson 06, RMSprop: its tasks, their hints, and the answers that go wrong."""

import math

import torch

from .. import rules
from .registry import bug, task, variant


@task((1.0, 0.99), (0.01, 0.9), (0.1, 0.0))
def first_step_of_rmsprop(lr, alpha):
    """After one gradient g, what is s?

    s is (1 - alpha) * g**2. Divide g by its root, and g is gone.
    """
    return lr / (1 - alpha) ** 0.5


@bug("first_step_of_rmsprop")
def first_step_of_rmsprop_lr(lr, alpha):
    """That is the length the steps come to later; the memory is still almost empty at the first one.

    After one gradient of 1, what is s?
    """
    return lr


@bug("first_step_of_rmsprop")
def first_step_of_rmsprop_no_root(lr, alpha):
    """The step divides by the root of s, not by s.

    With alpha = 0.99 and a gradient of 1, s is 0.01. What is the root of 0.01?
    """
    return lr / (1 - alpha)


@bug("first_step_of_rmsprop")
def first_step_of_rmsprop_upside_down(lr, alpha):
    """A small s stands in the denominator, so the first step is long, not short.

    What does a number become when you divide it by 0.1?
    """
    return lr * (1 - alpha) ** 0.5


@bug("first_step_of_rmsprop")
def first_step_of_rmsprop_alpha(lr, alpha):
    """alpha is what the memory keeps; what enters it is the rest.

    After one gradient of 1, with a memory of 0 before it, what is s?
    """
    return lr / alpha**0.5 if alpha else math.inf


@task((1e-2, 1.0), (1e-6, 1e-4), (0.5, 0.0))
def eps_outside(eps, s):
    """Write down both denominators, the one with eps inside the root and the one with the new eps outside.

    They must be equal: the root of s + eps, and the root of s plus the number you look for.
    """
    return (s + eps) ** 0.5 - s**0.5


@bug("eps_outside")
def eps_outside_root(eps, s):
    """This is right where s is zero. For a larger s the eps inside counts for less.

    With s = 1 and eps = 0.01 inside, what is the denominator, and how much of it is due to eps?
    """
    return eps**0.5


@bug("eps_outside")
def eps_outside_as_it_is(eps, s):
    """The same number counts for much more inside the root than outside where s is small.

    With s = 0 and eps = 0.0001 inside, what is the denominator?
    """
    return eps


@bug("eps_outside")
def eps_outside_squared(eps, s):
    """Squaring is the way back, from outside to inside.

    With s = 0 and eps = 0.0001 inside, what is the denominator?
    """
    return eps**2


@bug("eps_outside")
def eps_outside_small(eps, s):
    """eps / (2 sqrt(s)) is the first term of the answer, good while eps is far below s.

    With s = 0, what does it give?
    """
    return eps / (2 * s**0.5) if s else math.inf


def _watch_variance(answer):
    g, alpha, steps = answer()
    p = s = a = torch.zeros(1, dtype=torch.float32)
    for _ in range(min(int(steps), 10_000)):
        p, s, a = rules.rmsprop_centered(p, torch.full((1,), float(g)), s, a, lr=0.0, alpha=alpha, eps=1.0)
    return [
        ("alpha between 0 and 1, and at most 10000 steps", 0 <= alpha < 1 and steps <= 10_000),
        ("a variance below zero", bool(s - a**2 < 0)),
    ]


@task(observe=_watch_variance)
def negative_variance():
    """In exact arithmetic it cannot be done. Which numbers does `float32` round?

    The difference fades as alpha**t, down to the rounding of s. Take many steps, and a slope that is no power of two.

    Try slopes such as 0.1, 0.2, 0.3 with a short memory in a loop, print s - a**2, and keep one that is below zero.
    """
    return 0.3, 0.9, 400


@bug("rmsprop")
def rmsprop_alpha_swapped(p, g, s, *, lr, alpha, eps):
    """alpha and 1 - alpha have changed places, so the mean hardly remembers anything.

    With alpha = 0.99, how much of the old mean should be kept?
    """
    s = (1 - alpha) * s + alpha * g**2
    return p - lr * g / (s**0.5 + eps), s


@bug("rmsprop")
def rmsprop_no_one_minus(p, g, s, *, lr, alpha, eps):
    """The square enters at full weight, so s is a fading sum and not a mean, and the steps are too short.

    The weights of a mean add up to one; what do alpha and 1 add up to?
    """
    s = alpha * s + g**2
    return p - lr * g / (s**0.5 + eps), s


@variant("rmsprop")
def rmsprop_eps_inside(p, g, s, *, lr, alpha, eps):
    """Here eps is added to the mean square before the root, as TensorFlow did; torch adds it after.

    The root of eps does here what eps does there, where gradients are small. Does your sheet ask for torch's?
    """
    s = alpha * s + (1 - alpha) * g**2
    return p - lr * g / (s + eps) ** 0.5, s


@bug("rmsprop")
def rmsprop_gradient_squared_on_top(p, g, s, *, lr, alpha, eps):
    """The square of the gradient stands on top, so the step has lost its sign and never turns back.

    Which way does a weight move here if its gradient is negative?
    """
    s = alpha * s + (1 - alpha) * g**2
    return p - lr * g**2 / (s**0.5 + eps), s


@bug("rmsprop")
def rmsprop_no_root(p, g, s, *, lr, alpha, eps):
    """The step divides by the mean square and not by its root.

    If all gradients were ten times as large, should the steps change?
    """
    s = alpha * s + (1 - alpha) * g**2
    return p - lr * g / (s + eps), s


@bug("rmsprop")
def rmsprop_old_buffer(p, g, s, *, lr, alpha, eps):
    """The step divides by the mean from before this gradient, which is zero at the first step.

    Which of your two lines should come first?
    """
    return p - lr * g / (s**0.5 + eps), alpha * s + (1 - alpha) * g**2


@bug("rmsprop_centered")
def rmsprop_centered_centered_sign(p, g, s, a, *, lr, alpha, eps):
    """The square of the mean is added to the mean square; a variance is the mean square minus the squared mean.

    If all gradients are alike, how much do they vary?
    """
    s, a = alpha * s + (1 - alpha) * g**2, alpha * a + (1 - alpha) * g
    return p - lr * g / ((s + a**2) ** 0.5 + eps), s, a


@bug("rmsprop_centered")
def rmsprop_centered_not_centered(p, g, s, a, *, lr, alpha, eps):
    """The mean is kept but not taken off, so this is plain RMSprop.

    Where is the mean of the gradients used?
    """
    s, a = alpha * s + (1 - alpha) * g**2, alpha * a + (1 - alpha) * g
    return p - lr * g / (s**0.5 + eps), s, a
