"""The exercise in which the end of a burst is predicted, its hints, and the answers that go wrong."""

import math

from .exercise import Exercise, at, edit, instead


def burst_ends(alpha, times):
    return math.ceil(math.log(1 - times**-2) / math.log(alpha))


def _mean_ends(alpha, times):
    t, way = 1, (1 - alpha) ** -0.5
    while way > t * times:
        t += 1
        way += (1 - alpha**t) ** -0.5
    return t


EXERCISE = Exercise(
    "burst_ends",
    burst_ends,
    [
        "With gradients of one size, how long is step t, in lr? The memory holds the share 1 - alpha**t.",
        "How small must alpha**t be, for a step that is at most `times` long? Take logarithms, or try t = 1, 2, 3.",
    ],
    [
        edit(
            "the root is forgotten",
            {"times**-2": "1 / times"},
            why="A step is one over the root of the filled share, not one over the share.",
            ask="If a quarter of the memory is filled, how many times too long is the step?",
        ),
        edit(
            "a part of a step",
            {"math.ceil(math.log(1 - times**-2) / math.log(alpha))": "math.log(1 - times**-2) / math.log(alpha)"},
            why="There are whole steps only.",
            ask="Which is the first whole number of steps after which it holds?",
        ),
        edit(
            "the filled share where the empty one belongs",
            {"1 - times**-2": "times**-2"},
            why="alpha**t is the share of the memory that is still empty.",
            ask="Which share is filled after t steps?",
        ),
        edit(
            "the length of the window",
            {"math.ceil(math.log(1 - times**-2) / math.log(alpha))": "math.ceil(1 / (1 - alpha))"},
            why="The window is a rule of thumb and does not know how much too long a step may be.",
            ask="After one window, which share of the memory is filled?",
        ),
        edit(
            "the length of the window, to the nearest step",
            {"math.ceil(math.log(1 - times**-2) / math.log(alpha))": "round(1 / (1 - alpha))"},
            why="The window is a rule of thumb and does not know how much too long a step may be.",
            ask="After one window, which share of the memory is filled?",
        ),
        edit(
            "the length of the window, with a part of a step",
            {"math.ceil(math.log(1 - times**-2) / math.log(alpha))": "1 / (1 - alpha)"},
            why="The window is a rule of thumb and does not know how much too long a step may be.",
            ask="After one window, which share of the memory is filled?",
        ),
        edit(
            "the length of the first step",
            {"math.ceil(math.log(1 - times**-2) / math.log(alpha))": "(1 - alpha) ** -0.5"},
            why="This is how long step 1 is, in lr; the number of a step is asked for.",
            ask="How long is step 2, in lr, and which step is the first that is at most `times` lr long?",
        ),
        edit(
            "counted in windows, not in steps",
            {"return math.ceil": "return (1 - alpha) * math.ceil"},
            why="The number t of a step is asked for; a window is 1 / (1 - alpha) steps.",
            ask="How many steps are one window at alpha = 0.99?",
        ),
        edit(
            "counted in windows, with a part of a step",
            {"math.ceil(math.log(1 - times**-2)": "(1 - alpha) * (math.log(1 - times**-2)"},
            why="The number t of a step is asked for; a window is 1 / (1 - alpha) steps.",
            ask="How many steps are one window at alpha = 0.99?",
        ),
        edit(
            "1 - alpha for the logarithm",
            {"math.log(alpha)": "(alpha - 1)"},
            why="The logarithm of alpha is only nearly alpha - 1, the more nearly, the longer the memory.",
            ask="At alpha = 0.7, what are the two?",
        ),
        edit(
            "times is taken for the excess",
            {"times**-2": "(1 + times) ** -2"},
            why="A step that is times as long as lr exceeds lr by times - 1.",
            ask="If times is 2, how long may the step be, in lr?",
        ),
        edit(
            "the number of steps that are still too long",
            {"math.log(alpha))": "math.log(alpha)) - 1"},
            why="Step t is the first that is short enough; the steps before it are one fewer.",
            ask="If the first two steps are too long, which step is the first that is not?",
        ),
        edit(
            "a part of a step is rounded down",
            {"math.ceil": "math.floor"},
            why="The whole step before the part is still too long.",
            ask="If the formula gives 2.4, which step is the first that is short enough?",
        ),
        edit(
            "a step that is exactly `times` as long is taken for too long",
            {
                "math.ceil(math.log(1 - times**-2) / math.log(alpha))": (
                    "math.floor(math.log(1 - times**-2) / math.log(alpha)) + 1"
                )
            },
            why="At most `times` as long allows for just as long.",
            ask="At alpha = 0.75, how long is step 1, in lr, and is that at most 2?",
        ),
        instead(
            "the mean of the steps so far is compared, not the step",
            _mean_ends,
            why="The long first steps stay in the mean, so it comes down later than the steps do.",
            ask="At alpha = 0.5, how long is step 3, in lr, and what is the mean of the first three?",
        ),
        edit(
            "alpha is fixed at torch's 0.99",
            {"math.log(alpha)": "math.log(0.99)"},
            why="How long a burst lasts depends on the memory.",
            ask="Where does your function use the alpha that it is given?",
        ),
    ],
    at("burst_ends", (0.93, 1.13), (0.985, 1.07), (0.71, 1.61), (0.99, 1.05), (0.75, 2.0)),
    secret=True,
)
