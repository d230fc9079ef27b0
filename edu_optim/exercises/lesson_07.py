"""Lesson 07, Adadelta: its exercises, their hints, and the answers that go wrong."""

import dataclasses

from .. import rules
from . import lesson_01
from .exercise import Exercise, at, convention, edit
from .lesson_07_units import EXERCISE as KEEPS_UNITS

RULES = {
    "adadelta": [
        "What does the optimizer know about its steps before it has taken this one?",
        "The roots of two means scale the gradient; one of them is brought up to date after the step is known.",
        "Work out the step with the old `u`, then let its square into `u`, then move.",
    ]
}

LR_IN_ACCUMULATOR = convention(
    "the step is remembered after lr has scaled it",
    {"/ (s + eps) ** 0.5 * g": "/ (s + eps) ** 0.5 * g * lr", "p - lr * d": "p - d"},
    why="torch remembers it before; at lr = 1, the paper's, both are the same.",
    ask="Which of the two do you want to match?",
)
CATALOG = [
    edit(
        "the memory of steps is updated before the step that it scales",
        {
            "    u = rho * u + (1 - rho) * d**2  # (3) running mean of the squared steps\n": (
                "    u = rho * u + (1 - rho) * d**2\n    d = (u + eps) ** 0.5 / (s + eps) ** 0.5 * g\n"
            )
        },
        why="A step that was worked out with the old memory goes in first, and the step taken uses the new one.",
        ask="When a step is worked out, which steps has the optimizer already taken?",
    ),
    edit(
        "the two roots are alike, so the step is the gradient itself",
        {
            "    s = rho * s + (1 - rho) * g**2  # (1) running mean of the squared gradients\n": "",
            "    u = rho * u +": "    s = rho * s + (1 - rho) * g**2\n    u = rho * u +",
        },
        why="So it comes out if this gradient enters s too late, or if u holds the squares of gradients.",
        ask="What do s and u hold at the moment when your step is worked out?",
    ),
    edit(
        "there is no eps on top",
        {"(u + eps) ** 0.5": "u**0.5"},
        why="The first step is zero, so there is no step to learn from, and it stands still for ever.",
        ask="What is the mean square of no steps at all?",
    ),
    LR_IN_ACCUMULATOR,
    edit(
        "the two roots have changed places",
        {"(u + eps) ** 0.5 / (s + eps) ** 0.5": "(s + eps) ** 0.5 / (u + eps) ** 0.5"},
        why="The step grows with the gradient and shrinks with the past steps.",
        ask="Which of the two has the units of the weight, and should it stand on top or below?",
    ),
    edit(
        "eps stands outside the roots",
        {"(u + eps) ** 0.5 / (s + eps) ** 0.5": "(u**0.5 + eps) / (s**0.5 + eps)"},
        why="In Zeiler's paper and in torch eps is added to the mean squares before their roots are taken.",
        ask="How long is the first step with eps outside, and how long with eps inside?",
    ),
    edit(
        "eps stands outside the upper root",
        {"(u + eps) ** 0.5": "(u**0.5 + eps)"},
        why="The first step starts from eps itself, not from its root, and is far too short.",
        ask="With u = 0 and eps = 1e-6, what is the root of u + eps, and what is the root of u, plus eps?",
    ),
    edit(
        "eps stands outside the lower root",
        {"(s + eps) ** 0.5": "(s**0.5 + eps)"},
        why="In Zeiler's paper and in torch eps is added to the mean squares before their roots are taken.",
        ask="With s = 0 and eps = 1e-6, what is the root of s + eps, and what is the root of s, plus eps?",
    ),
    edit(
        "on top, u and eps each have a root of their own",
        {"(u + eps) ** 0.5": "(u**0.5 + eps**0.5)"},
        why="The rule takes one root, of their sum.",
        ask="With u = 9 and eps = 16, what is the root of the sum, and what is the sum of the roots?",
    ),
    edit(
        "eps is a floor under both mean squares, not added to them",
        {"(u + eps) ** 0.5 / (s + eps)": "(u + (eps - u) * (u < eps)) ** 0.5 / (s + (eps - s) * (s < eps))"},
        why="In Zeiler's paper and in torch eps is added to the mean squares, however large they are.",
        ask="With u = 3e-6 and eps = 1e-6, which is larger: their sum, or the larger of the two?",
    ),
    edit(
        "on top, eps is a floor under u, not added to it",
        {"(u + eps) ** 0.5": "(u + (eps - u) * (u < eps)) ** 0.5"},
        why="The first step is right; once u is not 0 the sum of the two is larger than either.",
        ask="With u = 3e-6 and eps = 1e-6, which is larger: their sum, or the larger of the two?",
    ),
    edit(
        "there is no eps below",
        {"(s + eps) ** 0.5": "s**0.5"},
        why="As long as all gradients are 0 the step is 0 / 0, and that is no number.",
        ask="What is s after a first gradient of 0?",
    ),
    edit(
        "rho and 1 - rho have changed places",
        {"rho * s + (1 - rho)": "(1 - rho) * s + rho", "rho * u + (1 - rho)": "(1 - rho) * u + rho"},
        why="Both memories hardly remember anything.",
        ask="With rho = 0.9, how much of the old mean should be kept?",
    ),
    edit(
        "the memory of steps keeps lengths, not their squares",
        {"(1 - rho) * d**2": "(1 - rho) * abs(d)"},
        why="Under the upper root a length stands where a square belongs.",
        ask="In which units is u, if the root of it must be in those of the weight?",
    ),
    edit(
        "eps stands on top only while the memory of steps is empty",
        {"(u + eps) ** 0.5": "(u + eps * (u == 0)) ** 0.5"},
        why="The first step is right; after it the rule still adds eps to u, and here nothing does.",
        ask="From which step on does your eps no longer count?",
    ),
    edit(
        "the memory of steps is filled with gradients",
        {"(1 - rho) * d**2": "(1 - rho) * g**2"},
        why="u collects the squares of the gradients, like s.",
        ask="Whose size should stand on top?",
    ),
]
STILL_LR = dataclasses.replace(
    LR_IN_ACCUMULATOR, kind="mistake", ask="With lr = 2, does torch's memory keep the squares of d or of 2 * d?"
)
MENDED = [STILL_LR if entry is LR_IN_ACCUMULATOR else entry for entry in CATALOG]
MENDED += [
    edit(
        "lr multiplies the squares that the memory keeps",
        {"(1 - rho) * d**2": "(1 - rho) * lr * d**2"},
        why="torch's memory keeps the squares of d, whatever lr makes of it.",
        ask="With lr = 2, does torch's memory keep the squares of d or twice as much?",
    ),
    edit(
        "eps stands outside the upper root, and lr still scales what the memory keeps",
        {"(u + eps) ** 0.5": "(u**0.5 + eps)", "(1 - rho) * d**2": "(1 - rho) * (lr * d) ** 2"},
        why="It moves, but starts from eps itself, not from its root; the second fault is still there.",
        ask="With u = 0 and eps = 1e-6, what is the root of u + eps, and what is the root of u, plus eps?",
    ),
]


def first_step_of_adadelta(g, rho, eps):
    s = (1 - rho) * g**2
    return -(eps**0.5) / (s + eps) ** 0.5 * g


EXERCISES = [
    Exercise(
        "first_step_of_adadelta",
        first_step_of_adadelta,
        [
            "At the first step u is still zero, and s is not.",
            "s is (1 - rho) * g**2. Put both into line (2) of the rule; the parameter moves by -d.",
            "Keep the eps in the denominator: for small gradients it counts.",
        ],
        [
            edit(
                "the parameter moves the other way",
                {"-(eps**0.5)": "(eps**0.5)"},
                why="The length is right.",
                ask="What does line (4) of the rule do with d?",
            ),
            edit(
                "true for large gradients only",
                {"(s + eps) ** 0.5 * g": "s**0.5 * g"},
                why="A small gradient feels the eps below.",
                ask="With g = 0.001 and eps = 0.0001, which of the two terms under the lower root is the larger?",
            ),
            edit(
                "the whole square enters s",
                {"(1 - rho) * g**2": "g**2"},
                why="The square enters s at the weight 1 - rho.",
                ask="After one gradient of 2 with rho = 0.9, what is s?",
            ),
            edit(
                "the memory of steps holds this step already",
                {
                    "return -(eps**0.5) / (s + eps) ** 0.5 * g": (
                        "d = eps**0.5 / (s + eps) ** 0.5 * g\n    return -(((1 - rho) * d**2 + eps) ** 0.5) / (s + "
                        "eps) ** 0.5 * g"
                    )
                },
                why="The memory of steps is used with the step in it that it should scale.",
                ask="Before the first step, what is u?",
            ),
            edit(
                "rho in the place of 1 - rho",
                {"(1 - rho)": "rho"},
                why="rho is what the memory keeps; what enters it is the rest.",
                ask="After one gradient of 2 with rho = 0.9, what is s?",
            ),
            edit(
                "the step of a large positive gradient, for all gradients",
                {"-(eps**0.5) / (s + eps) ** 0.5 * g": "-((eps / (1 - rho)) ** 0.5)"},
                why="A negative gradient moves the parameter up, and a small one moves it less.",
                ask="With g = -2, which way does the parameter move?",
            ),
            edit(
                "the size of a large step, without its sign",
                {"-(eps**0.5) / (s + eps) ** 0.5 * g": "(eps / (1 - rho)) ** 0.5"},
                why="A positive gradient moves the parameter down, and a small one moves it less.",
                ask="With g = 2, which way does the parameter move?",
            ),
            edit(
                "the root on top is left out",
                {"-(eps**0.5) / (s + eps) ** 0.5": "-1 / (s + eps) ** 0.5"},
                why="The memory of steps is empty, but eps is added to it before its root is taken.",
                ask="With u = 0 and eps = 1e-6, what is the root of u + eps?",
            ),
            edit(
                "both roots are left out",
                {"-(eps**0.5) / (s + eps) ** 0.5": "-eps / (s + eps)"},
                why="The rule divides the root of a mean square by the root of another.",
                ask="In which units is u, and in which its root?",
            ),
            edit(
                "eps stands outside both roots",
                {"-(eps**0.5) / (s + eps) ** 0.5": "-eps / (s**0.5 + eps)"},
                why="The rule adds eps to the mean squares before their roots are taken.",
                ask="With u = 0 and eps = 1e-6, what is the root of u + eps, and what is the root of u, plus eps?",
            ),
            edit(
                "1 - rho stands outside the lower root",
                {"(1 - rho) * g**2": "g**2", "(s + eps) ** 0.5": "((1 - rho) * (s + eps) ** 0.5)"},
                why="It is the square that enters s at the weight 1 - rho, under the root.",
                ask="After one gradient of 2 with rho = 0.9, what is the root of s?",
            ),
            edit(
                "below, s and eps each have a root of their own",
                {"(s + eps) ** 0.5": "(s**0.5 + eps**0.5)"},
                why="The rule takes one root, of their sum.",
                ask="With s = 9 and eps = 16, what is the root of the sum, and what is the sum of the roots?",
            ),
            edit(
                "eps stands outside the lower root",
                {"(s + eps) ** 0.5": "(s**0.5 + eps)"},
                why="The rule adds eps to the mean square before its root is taken.",
                ask="With s = 0 and eps = 1e-6, what is the root of s + eps, and what is the root of s, plus eps?",
            ),
        ],
        at("first_step_of_adadelta", (2.3, 0.87, 3e-6), (-1.3e-3, 0.93, 7e-5), (0.41, 0.21, 0.6)),
        secret=True,
    ),
    KEEPS_UNITS,
    Exercise(
        "mended_adadelta",
        rules.adadelta,
        [
            "Take the first step by hand: what are `u`, and so `d`, before anything has moved?",
            "A small number below keeps the quotient finite; which keeps the step from being nothing?",
            "ε stands under both roots; and `u` remembers `d`, whatever lr makes of it.",
        ],
        [*lesson_01.CATALOG, *MENDED],
    ),
]
