"""The exercise in which a test for units is written, its hints, and the answers that go wrong."""

import functools

import torch

from .. import rules
from .exercise import Exercise, edit

_steps = functools.partial(torch.tensor, dtype=torch.float64)
OPTIMIZERS = {
    "gradient descent": lambda unit: _steps([-0.1, -0.09]) / unit,
    "Newton's method": lambda unit: _steps([-0.5, -0.25]) * unit,
    "Adagrad": lambda unit: _steps([-0.1, -0.1 / 2**0.5]),
    "Adadelta with eps = 0": lambda unit: _adadelta(unit, eps=0.0),
    "Adadelta with eps = 1e-6": lambda unit: _adadelta(unit, eps=1e-6),
    "an optimizer that goes a tenth too far in the new unit": lambda unit: (
        _steps([-0.4, 0.3]) * (unit if unit == 1 else 1.1 * unit)
    ),
    "an optimizer whose second step stays in the old unit": lambda unit: _steps([-0.5 * unit, -0.25]),
    "an optimizer whose first step stays in the old unit": lambda unit: _steps([-0.5, -0.25 * unit]),
    "an optimizer that swaps its steps in the new unit": lambda unit: (
        _steps([-0.4, 0.3] if unit == 1 else [0.3, -0.4]) * unit
    ),
    "an optimizer that shares its way evenly in the new unit": lambda unit: (
        _steps([-0.4, 0.3] if unit == 1 else [-0.05, -0.05]) * unit
    ),
    "an optimizer of tiny steps that keeps their number in the new unit": lambda unit: _steps([-4e-7, 3e-7]),
    "an optimizer that goes a hundredth too far in the new unit": lambda unit: (
        _steps([-0.4, 0.3]) * (unit if unit == 1 else 1.01 * unit)
    ),
    "an optimizer of negative steps that are twice too long in the new unit": lambda unit: (
        _steps([-0.4, -0.3]) * (unit if unit == 1 else 2 * unit)
    ),
    "an optimizer whose steps are moved by 100 in the new unit": lambda unit: (
        _steps([-0.4, 0.3]) * unit + (0 if unit == 1 else 100)
    ),
    "an optimizer whose first step is half as long and whose second half as long again in the new unit": lambda unit: (
        _steps([-0.4, 0.3] if unit == 1 else [-200, 450])
    ),
    "an optimizer that swaps two of its middle steps in the new unit": lambda unit: (
        _steps([-0.4, 0.3, 0.1, 0.25, 0.05, 0.2] if unit == 1 else [-0.4, 0.3, 0.1, 0.05, 0.25, 0.2]) * unit
    ),
    "an optimizer that changes direction with the unit": lambda unit: (
        _steps([-0.4, 0.3] if unit == 1 else [0.4, -0.3]) * unit
    ),
}


def _adadelta(unit, eps):
    g = 2.0 / unit
    p, s, u = rules.adadelta(0.0, g, unit**-2.0, unit**2.0, eps=eps)
    q, s, u = rules.adadelta(p, g, s, u, eps=eps)
    return _steps([p, q - p])


def keeps_units(travel):
    return torch.allclose(travel(1000), 1000 * travel(1))


def _watch_units(answer):
    for name, travel in OPTIMIZERS.items():
        yield f"for {name} your answer", bool(answer(travel))


EXERCISE = Exercise(
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
            "sums or means of steps are compared",
            {"travel(1000), 1000 * travel(1)": "travel(1000).sum(), 1000 * travel(1).sum()"},
            why="Two paths of the same sum may be made of other steps.",
            ask="Which steps has a path of the same sum, taken in another order?",
        ),
        edit(
            "steps are compared without their order",
            {"travel(1000), 1000 * travel(1)": "travel(1000).sort().values, 1000 * travel(1).sort().values"},
            why="The same steps in another order are another path.",
            ask="Where is the optimizer after the first step, and where if it takes the second first?",
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
            "one step that is right is enough",
            {"torch.allclose": "torch.isclose", "1000 * travel(1))": "1000 * travel(1)).any().item()"},
            why="The other steps may still differ.",
            ask="Which of the steps must be the same in both units?",
        ),
        edit(
            "a path that goes wrong in the middle passes",
            {"travel(1000), 1000 * travel(1)": "travel(1000)[[0, 1, -1]], 1000 * travel(1)[[0, 1, -1]]"},
            why="Two paths that begin and end alike may still differ in between.",
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
            "one number for all steps is compared",
            {"travel(1000), 1000 * travel(1)": "travel(1000).norm(), 1000 * travel(1).norm()"},
            why="Steps in another order, or the other way, give the same number.",
            ask="Which of the steps must be the same in both units?",
        ),
        edit(
            "steps that differ by a tenth pass",
            {"1000 * travel(1))": "1000 * travel(1), rtol=0.2)"},
            why="A tolerance is there for rounding, which is far smaller.",
            ask="How large is the difference of rounding between two paths that are the same?",
        ),
        edit(
            "steps that differ by a hundredth pass",
            {"1000 * travel(1))": "1000 * travel(1), rtol=0.05)"},
            why="A tolerance is there for rounding, which is far smaller.",
            ask="How large is the difference of rounding between two paths that are the same?",
        ),
        edit(
            "a difference below zero passes, however large",
            {"torch.allclose(travel(1000), 1000 * travel(1))": "bool((travel(1000) - 1000 * travel(1) < 1e-6).all())"},
            why="Negative steps that are too long pass.",
            ask="Which sign can the difference of two steps have?",
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
)
