"""Lesson 01, gradient descent: its tasks, their hints, and the answers that go wrong."""

import math

from .registry import RULE_HINTS, bug, task

RULE_HINTS["gradient_descent"] = [
    "`p = p - lr * g` makes a new tensor. Which one does the model hold?",
    "The options of a group are in `group`, the gradient is in `p.grad`, and a frozen parameter has None there.",
    "`p.sub_(...)` or `p.copy_(...)` writes into the tensor that the model holds.",
]


@task(([1.0, 25.0],), ([4.0],), ([0.5, 3.0, 10.0],))
def largest_rate(curvatures):
    """One step multiplies the distance along a curvature by 1 - lr * curvature. When does it shrink?

    The factor must lie between -1 and 1. Which curvature is the first to leave that range as lr grows?

    Set the factor of the largest curvature to -1.
    """
    return 2 / max(curvatures)


@bug("largest_rate")
def largest_rate_one_jump(curvatures):
    """This rate takes the steepest direction to its minimum in one jump, and there is room beyond it.

    Where does a jump twice as long end, and is it farther away than before?
    """
    return 1 / max(curvatures)


@bug("largest_rate")
def largest_rate_of_the_floor(curvatures):
    """The flattest direction would bear this rate; in the steepest one the walk explodes.

    All directions share one rate; which of them is the first to complain?
    """
    return 2 / min(curvatures)


@bug("largest_rate")
def largest_rate_best_compromise(curvatures):
    """This rate is the fastest, where floor and wall shrink alike. It is not yet the largest.

    What is the factor of the steepest direction here, and how far is it from -1?
    """
    return 2 / (min(curvatures) + max(curvatures))


@bug("largest_rate")
def largest_rate_of_the_mean(curvatures):
    """The mean of the curvatures says nothing about the steepest of them, and that one explodes first.

    What happens along the largest curvature with this rate?
    """
    return 2 * len(curvatures) / sum(curvatures)


@task((4.0, 0.1, 1e-6), (1.0, 0.04, 0.01), (25.0, 0.07, 1e-3))
def steps_needed(curvature, lr, accuracy):
    """After n steps the distance has been multiplied by a factor n times. Which factor?

    The size of 1 - lr * curvature, to the power n, has to come below accuracy. Logarithms turn the power around.

    There is no step number 13.2: `math.ceil` gives the next whole one.
    """
    return math.ceil(math.log(accuracy) / math.log(abs(1 - lr * curvature)))


@bug("steps_needed")
def steps_needed_rounded_down(curvature, lr, accuracy):
    """This many steps are one too few: the distance is still a little larger than asked.

    After 27.04 steps you would be there; which whole number is enough?
    """
    return math.floor(math.log(accuracy) / math.log(abs(1 - lr * curvature)))


@bug("steps_needed")
def steps_needed_not_whole(curvature, lr, accuracy):
    """The formula is right, but nobody takes a fraction of a step.

    Which whole number of steps is enough?
    """
    return math.log(accuracy) / math.log(abs(1 - lr * curvature))


@bug("steps_needed")
def steps_needed_for_the_loss(curvature, lr, accuracy):
    """After this many steps the loss has fallen that far; the distance falls as the root of the loss.

    If the loss is a hundredth of what it was, what has become of the distance?
    """
    return math.ceil(math.log(accuracy) / math.log((1 - lr * curvature) ** 2))


@bug("steps_needed")
def steps_needed_by_the_product(curvature, lr, accuracy):
    """lr * curvature is what a step takes away; what is left is something else.

    If a step takes away a tenth of the distance, by what is the distance multiplied?
    """
    return math.ceil(math.log(accuracy) / math.log(lr * curvature))


@bug("gradient_descent")
def gradient_descent_ignores_lr(p, g, *, lr):
    """The whole gradient is subtracted, whatever lr is.

    Which of your arguments is not used?
    """
    return (p - g,)


@bug("gradient_descent")
def gradient_descent_scales_the_weight(p, g, *, lr):
    """The weight itself is multiplied by lr.

    What multiplies p in the formula, and what multiplies g?
    """
    return (lr * p - g,)
