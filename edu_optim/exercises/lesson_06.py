"""Lesson 06, RMSprop: its exercises, their hints, and the answers that go wrong."""

import math

import torch

from .. import rules
from .exercise import Exercise, at, convention, edit
from .lesson_06_burst import EXERCISE as BURST_ENDS

RULES = {
    "rmsprop": [
        "Adagrad's sum never forgets; which running mean takes its place?",
        "The old mean is kept at the weight alpha, and the new square enters at 1 - alpha.",
    ],
    "rmsprop_centered": [
        "A variance is the mean of the squares less the square of the mean. Which two means do you keep?",
        "The step divides by the root of s - a**2, plus eps.",
    ],
    "rmsprop_momentum": [
        "The gradient over its root is what drives the velocity, in the place of the gradient.",
        "The velocity fades by `momentum`; lr multiplies it in the step, not before.",
    ],
    "rmsprop_centered_momentum": [
        "It is centered RMSprop's quotient that drives the velocity.",
        "The velocity fades by `momentum`; lr multiplies it in the step, not before.",
    ],
}

CATALOG = [
    edit(
        "alpha and 1 - alpha have changed places",
        {"alpha * s + (1 - alpha)": "(1 - alpha) * s + alpha", "alpha * a + (1 - alpha)": "(1 - alpha) * a + alpha"},
        {"alpha * s + (1 - alpha)": "(1 - alpha) * s + alpha"},
        why="The mean hardly remembers anything.",
        ask="With alpha = 0.99, how much of the old mean should be kept?",
    ),
    edit(
        "the squares are a fading sum, not a mean",
        {"(1 - alpha) * g**2": "g**2"},
        {"(1 - beta2) * g**2": "g**2"},
        why="The square enters at full weight, so the steps come out too short.",
        ask="The weights of a mean add up to one; what do the two weights here add up to?",
    ),
    edit(
        "the squares never fade",
        {"alpha * s + (1 - alpha) * g**2": "s + g**2"},
        {"beta2 * v + (1 - beta2) * g**2": "v + g**2"},
        why="All squares are added up, as in Adagrad.",
        ask="Which factor makes an old square count less?",
    ),
    edit(
        "the square of the gradient stands on top",
        {"lr * g / (": "lr * g**2 / ("},
        {"b + g / (": "b + g**2 / ("},
        why="The step has lost the sign of the gradient and never turns back.",
        ask="Which way does a weight move here if its gradient is negative?",
    ),
    convention(
        "the mean square starts at the first square",
        {"(1 - alpha) * g**2": "(g**2 - alpha * g**2 * (s != 0))"},
        why="So fastai starts its means, which makes the first step lr long; torch starts at zero, which makes it "
        "1 / sqrt(1 - alpha) times as long.",
        ask="After some 1 / (1 - alpha) steps both are alike. Which do you want to match?",
    ),
    edit(
        "the squared mean is added, not taken off",
        {"s - a**2": "s + a**2"},
        why="A variance is the mean square minus the squared mean.",
        ask="If all gradients are alike, how much do they vary?",
    ),
    edit(
        "the mean is taken off on top as well",
        {"g / ((s - a**2)": "(g - a) / ((s - a**2)"},
        why="The step is driven by how far the gradient is from its mean: a steady slope drives nothing in the end.",
        ask="If every gradient were 1, should the parameter move?",
    ),
    edit(
        "the mean is kept but not taken off",
        {"(s - a**2) ** 0.5": "s**0.5"},
        why="This is plain RMSprop.",
        ask="Where is the mean of the gradients used?",
    ),
]


def eps_outside(eps, s):
    return (s + eps) ** 0.5 - s**0.5


def negative_variance():
    return 0.1, 0.99, 1500


def _watch_variance(answer):
    g, alpha, steps = answer()
    g, alpha, whole = float(g), float(alpha), int(steps)
    slope = torch.full((1,), g, dtype=torch.float32)
    p = s = a = torch.zeros_like(slope)
    for _ in range(min(whole, 10_000)):
        p, s, a = rules.rmsprop_centered(p, slope, s, a, lr=0.0, alpha=alpha, eps=1.0)
    for question, holds in {
        "is the gradient a number other than zero?": math.isfinite(g) and g != 0,
        "does alpha lie between 0 and 1?": 0 < alpha < 1,
        "is the last of the three a whole number of steps, from 1 to 10000?": whole == steps and 1 <= whole <= 10_000,
    }.items():
        yield question, "yes" if holds else "no"
    variance = (s - a**2).item()
    if variance < 0:
        yield "s - a**2 is", "below zero"
        return
    if not math.isfinite(variance):
        yield "s - a**2 is", "no finite number"
        return
    if s == 0 != slope:
        yield "s - a**2 is", "zero, as s itself is"
        return
    _, *after = rules.rmsprop_centered(p, slope, s, a, lr=0.0, alpha=alpha, eps=1.0)
    place = "exactly zero" if variance == 0 else "above zero"
    yield "s - a**2 is", f"{place}, {'and more steps change nothing' if after == [s, a] else 'and still changing'}"


EXERCISES = [
    BURST_ENDS,
    Exercise(
        "eps_outside",
        eps_outside,
        [
            "Write down both denominators, the one with eps inside the root and the one with the new eps outside.",
            "They must be equal: the root of s + eps, and the root of s plus the number you look for.",
        ],
        [
            edit(
                "right where s is zero",
                {"(s + eps) ** 0.5 - s**0.5": "eps**0.5"},
                why="For a larger s the eps inside counts for less.",
                ask="With s = 1 and eps = 0.01 inside, what is the denominator, and how much of it is due to eps?",
            ),
            edit(
                "the same number outside as inside",
                {"(s + eps) ** 0.5 - s**0.5": "eps"},
                why="It counts for much more inside the root than outside where s is small.",
                ask="With s = 0 and eps = 0.0001 inside, what is the denominator?",
            ),
            edit(
                "eps is squared",
                {"(s + eps) ** 0.5 - s**0.5": "eps**2"},
                why="Squaring is the way back, from outside to inside, and exact only where s is zero.",
                ask="With s = 0 and eps = 0.0001 inside, what is the denominator?",
            ),
            edit(
                "the first term of the answer",
                {"(s + eps) ** 0.5 - s**0.5": "eps / (2 * s**0.5)"},
                why="eps / (2 sqrt(s)) is good while eps is far below s.",
                ask="What does it give for a very small s, and what is the denominator there?",
            ),
            edit(
                "twice the first term of the answer",
                {"(s + eps) ** 0.5 - s**0.5": "eps / s**0.5"},
                why="The root grows by about eps / (2 sqrt(s)) while eps is far below s.",
                ask="What is the slope of the root at s?",
            ),
            edit(
                "the sum of the two roots",
                {"(s + eps) ** 0.5 - s**0.5": "s**0.5 + eps**0.5"},
                why="The root of s stands there anyway, and the root of eps is too much for any s above zero.",
                ask="With s = 9 and eps = 16, what is the root of their sum, and what is the sum of their roots?",
            ),
            edit(
                "the first term, taken at s + eps",
                {"(s + eps) ** 0.5 - s**0.5": "eps / (2 * (s + eps) ** 0.5)"},
                why="The slope of the root at s + eps, times eps, is less than the root loses on the way down to s.",
                ask="What does it give for s = 0, and what is the denominator there?",
            ),
            edit(
                "the first two terms of the answer",
                {"(s + eps) ** 0.5 - s**0.5": "eps / (2 * s**0.5) - eps**2 / (8 * s**1.5)"},
                why="A few terms are good while eps is far below s.",
                ask="What do they give for a very small s, and what is the denominator there?",
            ),
            edit(
                "eps and s have changed places",
                {"(s + eps) ** 0.5 - s**0.5": "(s + eps) ** 0.5 - eps**0.5"},
                why="Outside, the new number is added to the root of s, not to that of eps.",
                ask="If eps is 0, what has to be added to the root of s?",
            ),
            edit(
                "eps is taken off s, not added",
                {"(s + eps) ** 0.5 - s**0.5": "s**0.5 - (s - eps) ** 0.5"},
                why="The library's denominator is the root of s + eps, above the root of s.",
                ask="What does it give where eps is larger than s?",
            ),
            edit(
                "the way back, from outside to inside",
                {"(s + eps) ** 0.5 - s**0.5": "(s**0.5 + eps) ** 2 - s"},
                why="This is the eps inside the root that does what the given one does outside.",
                ask="On which side of the root does the given eps stand?",
            ),
            edit(
                "s is taken for its root",
                {"(s + eps) ** 0.5 - s**0.5": "(s**2 + eps) ** 0.5 - s"},
                why="s is the mean square, and its root stands in the denominator.",
                ask="With s = 4 and no eps, what is the denominator?",
            ),
            edit(
                "the quotient of the two roots, not their difference",
                {"(s + eps) ** 0.5 - s**0.5": "((s + eps) / s) ** 0.5"},
                why="Outside, the new number is added to the root of s; a quotient multiplies it.",
                ask="With s = 9 and eps = 16, what is the root of their sum, and how much more is it than that of 9?",
            ),
            edit(
                "the whole denominator",
                {" - s**0.5": ""},
                why="This is the root of s + eps; the root of s is added outside anyway.",
                ask="Which part of this denominator is there without any eps?",
            ),
        ],
        at("eps_outside", (0.013, 1.7), (3.1e-6, 4.3e-4), (0.47, 0.021)),
    ),
    Exercise(
        "negative_variance",
        negative_variance,
        [
            "In exact arithmetic it cannot be done. Which numbers does `float32` round?",
            "The difference fades as alpha**t, down to the rounding of s. Take many steps, and a slope that is no "
            "power of two.",
            "Try slopes such as 0.1, 0.2, 0.3 and several memories in a loop, print s - a**2, and keep one below zero.",
        ],
        [
            edit(
                "the means are not yet at rest",
                {"1500": "15"},
                why="The variance fades as alpha**t, and `float32` rounds it away only when that is tiny.",
                ask="At your alpha, after how many steps is alpha**t below 6e-8? If they are too many, which alpha is "
                "faster?",
            ),
            edit(
                "rounding has left the variance above zero",
                {"0.1, 0.99, 1500": "0.3, 0.9, 400"},
                why="With your numbers as gradient, alpha and steps, in this order, both means have come to rest.",
                ask="Which other slopes and memories could be rounded the other way?",
            ),
            edit(
                "rounding has left the variance at zero",
                {"0.1, 0.99, 1500": "0.3, 0.5, 400"},
                why="With your numbers as gradient, alpha and steps, in this order, both means rest with s at a**2.",
                ask="Which other slopes and memories could be rounded otherwise?",
            ),
            edit(
                "the gradient is zero",
                {"0.1, 0.99, 1500": "0.0, 0.99, 1500"},
                why="Both means stay zero, and there is nothing to round.",
                ask="Which slopes can `float32` not hold exactly?",
            ),
            edit(
                "a square too small for float32",
                {"0.1, 0.99, 1500": "1e-30, 0.99, 1500"},
                why="What each step adds to s, (1 - alpha) * g**2, is too small for `float32`, so s stays zero.",
                ask="What is the smallest number that `float32` holds, and what is (1 - alpha) * g**2?",
            ),
            edit(
                "a square too large for float32",
                {"0.1, 0.99, 1500": "1e30, 0.99, 1500"},
                why="g**2 is infinite there, and so is s.",
                ask="What is the largest number that `float32` holds, and what is g**2?",
            ),
        ],
        _watch_variance,
    ),
]
