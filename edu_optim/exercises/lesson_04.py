"""Lesson 04, Nesterov: its tasks, their hints, and the answers that go wrong."""

import torch

from .registry import RULE_HINTS, bug, task, variant

RULE_HINTS["nesterov"] = [
    "Work out both programs with pencil and paper for two gradients of 1. Where do they part?",
    "The step is made of the newest gradient and of the velocity, and each has a factor of its own.",
    "The velocity is made first, with the newest gradient in it; the step then adds `momentum` times it to `g`.",
]


def _bowl(p):
    return torch.tensor([1.0, 10.0], dtype=torch.float64) * p


def _watch_path(answer):
    start = torch.tensor([1.0, -2.0], dtype=torch.float64)
    path = list(answer(_bowl, start, 0.05, 0.8, 5))
    return [("the number of places", len(path)), *((f"place {k}", place) for k, place in enumerate(path, 1))]


@task(observe=_watch_path)
def look_ahead_path(gradient, p, lr, momentum, steps):
    """The velocity first carries you to a point ahead; the gradient is asked for there, not where you stand.

    In one step: where does `momentum` times the velocity lead, what is the gradient there, what is the new velocity,
    where do you stand now?

    torch writes down the point ahead. After each step, where would the new velocity carry you?
    """
    velocity, path = 0 * p, []
    for _ in range(steps):
        ahead = p - lr * momentum * velocity
        velocity = momentum * velocity + gradient(ahead)
        p = p - lr * velocity
        path.append(p - lr * momentum * velocity)
    return path


@variant("look_ahead_path")
def look_ahead_path_look_ahead(gradient, p, lr, momentum, steps):
    """These are the places where the method of Sutskever et al. 2013 stands; torch writes down the points ahead.

    Both are one walk. To convert, subtract `lr * momentum * velocity` from each place. Does your sheet ask for torch's?
    """
    velocity, path = 0 * p, []
    for _ in range(steps):
        velocity = momentum * velocity + gradient(p - lr * momentum * velocity)
        p = p - lr * velocity
        path.append(p)
    return path


@bug("look_ahead_path")
def look_ahead_path_plain_momentum(gradient, p, lr, momentum, steps):
    """The gradient is asked for where you stand, so this is plain momentum.

    Where will the velocity have carried you when the gradient begins to act?
    """
    velocity, path = 0 * p, []
    for _ in range(steps):
        velocity = momentum * velocity + gradient(p)
        p = p - lr * velocity
        path.append(p)
    return path


@bug("look_ahead_path")
def look_ahead_path_looks_behind(gradient, p, lr, momentum, steps):
    """The gradient is asked for behind you: the velocity is subtracted in a step, so ahead is the other way.

    Which sign does the velocity have in your step, and which in your look ahead?
    """
    velocity, path = 0 * p, []
    for _ in range(steps):
        velocity = momentum * velocity + gradient(p + lr * momentum * velocity)
        p = p - lr * velocity
        path.append(p - lr * momentum * velocity)
    return path


@task((4.0,), (25.0,), (100.0,))
def best_momentum(condition):
    """With lr = 1/L the wall is gone in one step. Only the floor is left: lr * m = 1 / condition.

    The roots on the floor are those of z**2 - (1 + beta) * (1 - 1/condition) * z + beta * (1 - 1/condition).

    They are equal where (1 + beta)**2 * (1 - 1/condition) = 4 * beta. The root of the condition number makes it short.
    """
    return (condition**0.5 - 1) / (condition**0.5 + 1)


@bug("best_momentum")
def best_momentum_heavy_ball(condition):
    """This is the momentum that suits the heavy ball of lesson 03, with a larger lr.

    With this momentum, are the two roots of the floor equal?
    """
    return ((condition**0.5 - 1) / (condition**0.5 + 1)) ** 2


@bug("best_momentum")
def best_momentum_no_root(condition):
    """The condition number stands here where its root belongs.

    With this momentum, are the two roots of the floor equal?
    """
    return (condition - 1) / (condition + 1)


@bug("best_momentum")
def best_momentum_rate(condition):
    """This is the rate at which the method comes in, the double root itself.

    Which momentum gives that root?
    """
    return 1 - condition**-0.5


@bug("nesterov")
def nesterov_old_buffer(p, g, b, *, lr, momentum):
    """The look-ahead uses the velocity from before this gradient, and what is left is plain momentum.

    When you look ahead, does the velocity already know the newest gradient?
    """
    return p - lr * (g + momentum * b), momentum * b + g


@bug("nesterov")
def nesterov_double(p, g, b, *, lr, momentum):
    """The whole velocity is added to its own look-ahead, so old gradients count twice.

    In the step, which term stands beside momentum * b: the velocity or the newest gradient?
    """
    b = momentum * b + g
    return p - lr * (b + momentum * b), b


@variant("nesterov")
def nesterov_lr_inside(p, g, b, *, lr, momentum):
    """Here lr is inside the velocity, as in Keras; torch multiplies the whole step.

    Both walk one path until lr changes. Does your sheet ask for torch's form?
    """
    b = momentum * b + lr * g
    return p - (lr * g + momentum * b), b
