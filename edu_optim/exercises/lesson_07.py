"""Lesson 07, Adadelta: its exercises, their hints, and the answers that go wrong."""

import dataclasses
import functools

import torch

from .. import rules
from . import lesson_01
from .exercise import Exercise, at, convention, edit

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
        "the step divides by the value from before this gradient",
        {
            "    s = rho * s + (1 - rho) * g**2  # (1) running mean of the squared gradients\n": "",
            "    u = rho * u +": "    s = rho * s + (1 - rho) * g**2\n    u = rho * u +",
        },
        why="At the first step s is zero, so eps alone stands below.",
        ask="Which of your lines should come first?",
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
        "eps stands outside the upper root, and lr still scales what the memory keeps",
        {"(u + eps) ** 0.5": "(u**0.5 + eps)", "(1 - rho) * d**2": "(1 - rho) * (lr * d) ** 2"},
        why="It moves, but starts from eps itself, not from its root; the second fault is still there.",
        ask="With u = 0 and eps = 1e-6, what is the root of u + eps, and what is the root of u, plus eps?",
    ),
]


def first_step_of_adadelta(g, rho, eps):
    s = (1 - rho) * g**2
    return -(eps**0.5) / (s + eps) ** 0.5 * g


_steps = functools.partial(torch.tensor, dtype=torch.float64)
OPTIMIZERS = {
    "gradient descent": lambda unit: _steps([-0.1, -0.09]) / unit,
    "Newton's method": lambda unit: _steps([-0.5, -0.25]) * unit,
    "Adagrad": lambda unit: _steps([-0.1, -0.1 / 2**0.5]),
    "Adadelta with eps = 0": lambda unit: _adadelta(unit),
    "an optimizer that goes a tenth too far in the new unit": lambda unit: (
        _steps([-0.4, 0.3]) * (unit if unit == 1 else 1.1 * unit)
    ),
    "an optimizer whose second step stays in the old unit": lambda unit: _steps([-0.5 * unit, -0.25]),
    "an optimizer whose first step stays in the old unit": lambda unit: _steps([-0.5, -0.25 * unit]),
    "an optimizer that swaps its steps in the new unit": lambda unit: (
        _steps([-0.4, 0.3] if unit == 1 else [0.3, -0.4]) * unit
    ),
    "an optimizer of tiny steps that keeps their number in the new unit": lambda unit: _steps([-4e-6, 3e-6]),
    "an optimizer that changes direction with the unit": lambda unit: (
        _steps([-0.4, 0.3] if unit == 1 else [0.4, -0.3]) * unit
    ),
}


def _adadelta(unit):
    g = 2.0 / unit
    p, s, u = rules.adadelta(0.0, g, unit**-2.0, unit**2.0, eps=0.0)
    q, s, u = rules.adadelta(p, g, s, u, eps=0.0)
    return _steps([p, q - p])


def keeps_units(travel):
    return torch.allclose(travel(1000), 1000 * travel(1))


def _watch_units(answer):
    for name, travel in OPTIMIZERS.items():
        yield f"for {name} your answer", bool(answer(travel))


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
                "eps stands outside both roots",
                {"-(eps**0.5) / (s + eps) ** 0.5": "-eps / (s**0.5 + eps)"},
                why="The rule adds eps to the mean squares before their roots are taken.",
                ask="With u = 0 and eps = 1e-6, what is the root of u + eps, and what is the root of u, plus eps?",
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
    Exercise(
        "keeps_units",
        keeps_units,
        [
            "One meter is 1000 millimeters. If the first step in meters is 0.1, what should it be in millimeters?",
            "Call travel twice, with 1 and with 1000, and compare every step. Rounding forbids `==`: `torch.allclose` "
            "compares.",
        ],
        [
            edit(
                "the same number is asked for in both units",
                {"1000 * travel(1)": "travel(1)"},
                why="0.1 meters are not 0.1 millimeters.",
                ask="If a step is 0.1 meters long, how many millimeters is it?",
            ),
            edit(
                "a smaller number is asked for in the smaller unit",
                {"travel(1000), 1000 * travel(1)": "1000 * travel(1000), travel(1)"},
                why="A step has more millimeters than meters.",
                ask="If a step is 0.1 meters long, how many millimeters is it?",
            ),
            edit(
                "a difference of rounding is held against an optimizer",
                {"torch.allclose": "torch.equal"},
                why="The two paths of Adadelta with eps = 0 differ in their last digits alone.",
                ask="Is 1000 times a rounded number the rounded number of 1000 times as much?",
            ),
            edit(
                "sums of steps are compared",
                {"travel(1000), 1000 * travel(1)": "travel(1000).sum(), 1000 * travel(1).sum()"},
                why="Two paths of the same sum may be made of other steps.",
                ask="Which steps has a path of the same sum, taken in another order?",
            ),
            edit(
                "only the first steps are compared",
                {"travel(1000), 1000 * travel(1)": "travel(1000)[0], 1000 * travel(1)[0]"},
                why="The later steps may still differ.",
                ask="Which of the steps must be the same in both units?",
            ),
            edit(
                "only the last steps are compared",
                {"travel(1000), 1000 * travel(1)": "travel(1000)[-1], 1000 * travel(1)[-1]"},
                why="The earlier steps may still differ.",
                ask="Which of the steps must be the same in both units?",
            ),
            edit(
                "only the longest steps are compared",
                {"travel(1000), 1000 * travel(1)": "travel(1000).abs().max(), 1000 * travel(1).abs().max()"},
                why="The other steps, and the signs of all, may still differ.",
                ask="Which of the steps must be the same in both units?",
            ),
            edit(
                "any ratio passes that is the same for all steps",
                {"torch.allclose(travel(1000), 1000 * travel(1))": "bool((travel(1000) / travel(1)).std() < 1e-3)"},
                why="Gradient descent passes too, and its steps become shorter in the smaller unit.",
                ask="How many times the number must a step be in millimeters?",
            ),
            edit(
                "one length for all steps is compared",
                {"travel(1000), 1000 * travel(1)": "travel(1000).norm(), 1000 * travel(1).norm()"},
                why="Steps in another order, or the other way, give the same length.",
                ask="Which of the steps must be the same in both units?",
            ),
            edit(
                "steps that differ by a tenth pass",
                {"1000 * travel(1))": "1000 * travel(1), rtol=0.2)"},
                why="A tolerance is there for rounding, which is far smaller.",
                ask="How large is the difference of rounding between two paths that are the same?",
            ),
            edit(
                "paths that differ by half pass",
                {
                    "torch.allclose(travel(1000), 1000 * travel(1))": "bool((travel(1000) - 1000 * travel(1)).norm() "
                    "< 0.5 * travel(1000).norm())"
                },
                why="A tolerance is there for rounding, which is far smaller.",
                ask="How large is the difference of rounding between two paths that are the same?",
            ),
            edit(
                "a fixed difference passes, however small the steps",
                {"1000 * travel(1))": "1000 * travel(1), atol=0.1)"},
                why="Steps smaller than the difference pass in any unit.",
                ask="Against what must a difference be small?",
            ),
            edit(
                "a large fixed difference passes",
                {"1000 * travel(1))": "1000 * travel(1), atol=50)"},
                why="Steps that differ by a tenth pass, and so do all that are small.",
                ask="Against what must a difference be small?",
            ),
            edit(
                "every optimizer passes",
                {"torch.allclose(travel(1000), 1000 * travel(1))": "True"},
                why="Gradient descent passes too, and its steps become shorter in the smaller unit.",
                ask="Which two tensors have to be compared?",
            ),
            edit(
                "no optimizer passes",
                {"torch.allclose(travel(1000), 1000 * travel(1))": "False"},
                why="Newton's method fails too, and its steps become a thousand times the number.",
                ask="Which two tensors have to be compared?",
            ),
            edit(
                "True and False have changed places",
                {"return torch": "return not torch"},
                why="What takes the same path is turned away, and everything else passes.",
                ask="Of which optimizers should it be True?",
            ),
            edit(
                "only the lengths of the steps are compared",
                {"travel(1000), 1000 * travel(1)": "travel(1000).abs(), 1000 * travel(1).abs()"},
                why="A step the other way has the same length.",
                ask="What becomes of the sign of a step when the unit changes?",
            ),
        ],
        _watch_units,
    ),
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
