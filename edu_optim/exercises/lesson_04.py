"""Lesson 04, Nesterov: its exercises, their hints, and the answers that go wrong."""

import torch

from .. import rules
from . import lesson_01, lesson_03
from .exercise import Exercise, at, edit

RULES = {
    "nesterov": [
        "Work out both programs with pencil and paper for two gradients of 1. Where do they part?",
        "The step is made of the newest gradient and of the velocity, and each has a factor of its own.",
        "The velocity is made first, with the newest gradient in it; the step then adds `momentum` times it to `g`.",
    ]
}

PLACES = "lr * (g + momentum * b)", "(lr * g + momentum * b)"  # with lr outside the velocity, and inside
MIXED = [  # the step of one velocity with the other velocity in it
    ("the velocity acts backwards and with lr twice", "lr * (g - lr * momentum * b)", "lr * (g - momentum * b)"),
    ("the gradient leads uphill, and lr comes twice", "lr * (lr * momentum * b - g)", "lr * (momentum * b - g)"),
    ("the gradient leads uphill and lacks lr", "(lr * momentum * b - g)", "(momentum * b - g)"),
    ("the velocity acts backwards, and the gradient lacks lr", "(g - lr * momentum * b)", "(g - momentum * b)"),
    ("the velocity acts backwards and without lr", "(lr * g - momentum * b)"),
]
CATALOG = [
    edit(
        "it does not look ahead",
        {"p - lr * (g + momentum * b)": "p - lr * b"},
        {"(lr * g + momentum * b)": "b"},
        why="What is left is plain momentum.",
        ask="When you look ahead, which velocity carries you, the one from before this gradient or the new one?",
    ),
    edit(
        "the whole velocity is added to its own look-ahead",
        {"(g + momentum * b)": "(b + momentum * b)"},
        {"(lr * g + momentum * b)": "(b + momentum * b)"},
        why="Old gradients count twice.",
        ask="In the step, which term stands beside momentum * b: the velocity or the newest gradient?",
    ),
    edit(
        "the new velocity stands where the old one belongs",
        {"(g + momentum * b)": "((1 + momentum) * g + momentum * momentum * b)"},
        {"(lr * g + momentum * b)": "((1 + momentum) * lr * g + momentum * momentum * b)"},
        why="momentum**2 times the old velocity and 1 + momentum times the gradient make the step; the new velocity "
        "holds this gradient already, which so counts once more.",
        ask="Which of your lines must still see the velocity from before this gradient?",
    ),
    edit(
        "the look-ahead does not fade",
        {"(g + momentum * b)": "(g + b)"},
        {"(lr * g + momentum * b)": "(lr * g + b)"},
        why="The velocity stands in the step without its factor.",
        ask="By what is the velocity multiplied when it carries you one step further?",
    ),
    edit(
        "the step is the whole velocity and momentum times the gradient",
        {"(g + momentum * b)": "(momentum * g + b)"},
        {"(lr * g + momentum * b)": "(momentum * lr * g + b)"},
        why="Written with the new velocity, it has the factor momentum at the gradient and not at the velocity; "
        "written with the old one, one momentum is missing before it.",
        ask="How often has the old velocity been multiplied by momentum when the step is taken, and how often by you?",
    ),
    edit(
        "the step leaves the newest gradient out",
        {"(g + momentum * b)": "(momentum * b)"},
        {"(lr * g + momentum * b)": "(momentum * b)"},
        why="The velocity alone carries the step; the gradient beside it is missing.",
        ask="Which two moves make a step of the point ahead?",
    ),
    edit(
        "the newest gradient pushes uphill",
        {"(g + momentum * b)": "(momentum * b - g)"},
        {"(lr * g + momentum * b)": "(momentum * b - lr * g)"},
        why="The velocity goes against the gradient, and the step then goes along with it.",
        ask="Which sign does the gradient have in your velocity, and which in your step?",
    ),
    edit(
        "the velocity enters the step with the wrong sign",
        {"(g + momentum * b)": "(g - momentum * b)"},
        {"(lr * g + momentum * b)": "(lr * g - momentum * b)"},
        why="The newest gradient leads downhill, and the velocity back.",
        ask="Which sign has a gradient of 1 in your velocity, and which in your step?",
    ),
    edit(
        "the old velocity is added where it is taken off",
        {"(g + momentum * b)": "((2 + momentum) * b - g)"},
        {"(lr * g + momentum * b)": "((2 + momentum) * b - lr * g)"},
        why="The step is 1 + momentum times the new velocity, less momentum times the old one.",
        ask="Which sign has momentum times the old velocity beside 1 + momentum times the new one?",
    ),
    edit(
        "the gradient in the step is not multiplied by lr",
        {"lr * (g + momentum * b)": "(g + lr * momentum * b)"},
        {"(lr * g + momentum * b)": "(g + momentum * b)"},
        why="lr is in the velocity's part of the step alone.",
        ask="From rest, with momentum 0, how long should the step be, and how long is yours?",
    ),
    edit(
        "the step is divided by 1 + momentum",
        {"(g + momentum * b)": "(g + momentum * b) / (1 + momentum)"},
        {"(lr * g + momentum * b)": "(lr * g + momentum * b) / (1 + momentum)"},
        why="The newest gradient counts 1 + momentum times in this step, and must; divided, every step is short.",
        ask="From rest, how long is the step of the rule with momentum 0.9, and how long is yours?",
    ),
    *[
        edit(
            name,
            *({place: step} for place, step in zip(PLACES, steps, strict=False)),
            why="A velocity that holds the minus and lr is added; one with neither is subtracted, times lr.",
            ask="Does your velocity hold a minus and lr, and does your gradient?",
        )
        for name, *steps in MIXED
    ],
]


def best_momentum(condition):
    root = (2 * condition) ** 0.5
    return (root - 1) / (root + 1)


def look_ahead_path(gradient, p, lr, momentum, steps):
    velocity, path = 0 * p, []
    for _ in range(steps):
        ahead = p - lr * momentum * velocity
        velocity = momentum * velocity + gradient(ahead)
        p = p - lr * velocity
        path.append(p - lr * momentum * velocity)
    return path


def _bowl(p):
    return torch.tensor([1.3, 9.1], dtype=torch.float64) * p


def _watch_path(answer):
    for lr, momentum, steps in [(0.043, 0.77, 5), (0.091, 0.6, 3)]:
        path = list(answer(_bowl, torch.tensor([1.1, -1.7], dtype=torch.float64), lr, momentum, steps))
        yield f"with {steps} steps, how many places there are", len(path)
        places = [torch.as_tensor(place) for place in path]
        yield f"with {steps} steps, how many of them are tensors of their own", len({p.data_ptr() for p in places})
        for k, place in enumerate(path, 1):
            yield f"with {steps} steps, place {k}", place


POINT = "path.append(p - lr * momentum * velocity)"
LOOKS = [
    (
        "the learning rate is missing in the look ahead",
        "p - momentum * velocity",
        "A step carries you by lr times the velocity.",
        "How far would the old velocity alone carry you in one step?",
    ),
    (
        "the look ahead does not fade",
        "p - lr * velocity",
        "Of the old velocity a step keeps `momentum` times.",
        "How much of the old velocity is in the new one?",
    ),
    (
        "you look behind",
        "p + lr * momentum * velocity",
        "The velocity is subtracted in a step, so ahead is the other way.",
        "Which sign does the velocity have in your step, and which in your look ahead?",
    ),
]

EXERCISES = [
    Exercise(
        "best_momentum",
        best_momentum,
        [
            "Only the floor matters: lr * m = 1 / (2 * condition).",
            "With x = lr * m, the roots on the floor are those of z**2 - (1 + beta) * (1 - x) * z + beta * (1 - x).",
            "They are equal where (1 + beta)**2 * (1 - x) = 4 * beta. The root of 1 / x makes it short.",
        ],
        [
            edit(
                "the momentum for a learning rate of 1/L",
                {"(2 * condition) ** 0.5": "condition**0.5"},
                why="This is the lesson's; with half the learning rate the floor has another curvature, in steps.",
                ask="How large is lr * m on the floor, with lr = 1 / (2 L)?",
            ),
            edit(
                "the momentum that suits the heavy ball",
                {"(root - 1) / (root + 1)": "((root - 1) / (root + 1)) ** 2"},
                why="It belongs to lesson 03's method, with a larger lr.",
                ask="With this momentum, are the two roots of the floor equal?",
            ),
            edit(
                "the critical momentum of the heavy ball at this learning rate",
                {"(root - 1) / (root + 1)": "(1 - 1 / root) ** 2"},
                why="Its velocity does not look ahead; looking ahead brakes, so more momentum is best.",
                ask="Which product of the two roots belongs to the heavy ball, and which to Nesterov's method?",
            ),
            edit(
                "the critical momentum of the heavy ball at a learning rate of 1/L",
                {"(2 * condition) ** 0.5": "condition**0.5", "(root - 1) / (root + 1)": "(1 - 1 / root) ** 2"},
                why="It is lesson 03's, for lr = 1 / L; here the velocity looks ahead, and lr is half of that.",
                ask="How large is lr * m on the floor, and what does the look ahead change in the two roots?",
            ),
            edit(
                "Polyak's momentum for the heavy ball",
                {"(2 * condition) ** 0.5": "condition**0.5", "root - 1) / (root + 1)": "(root - 1) / (root + 1)) ** 2"},
                why="It belongs to a larger learning rate than 1 / L, and to a velocity that does not look ahead.",
                ask="With this momentum, are the two roots of the floor equal?",
            ),
            edit(
                "the momentum for a learning rate of 2/L",
                {"(2 * condition) ** 0.5": "(condition / 2) ** 0.5"},
                why="Half of 1 / L is taken for twice 1 / L, and so the 2 is on the other side.",
                ask="How large is lr * m on the floor, with lr = 1 / (2 L)?",
            ),
            edit(
                "a plus in the denominator where a minus belongs",
                {"(root - 1) / (root + 1)": "(root - 1) ** 2 / (root**2 + 1)"},
                why="With x = lr * m it is (1 - x**0.5)**2 / (1 + x); the product of the two roots is beta * (1 - x).",
                ask="Where the roots are equal, which product is the square of each?",
            ),
            edit(
                "the condition number where its root belongs",
                {"(2 * condition) ** 0.5": "(2 * condition)"},
                why="The condition number itself stands in both places.",
                ask="With this momentum, are the two roots of the floor equal?",
            ),
            edit(
                "the convergence rate of gradient descent at its best, not a momentum",
                {"(2 * condition) ** 0.5": "condition"},
                why="It is lesson 01's; in the momentum a root stands in the place of each condition number.",
                ask="With this momentum, are the two roots of the floor equal?",
            ),
            edit(
                "the convergence rate of the method at 1/L, not the momentum",
                {"(2 * condition) ** 0.5": "condition**0.5", "(root - 1) / (root + 1)": "1 - 1 / root"},
                why="At the lesson's learning rate this is what a step leaves in the long run.",
                ask="How large is lr * m on the floor, with lr = 1 / (2 L), and which momentum makes the roots equal?",
            ),
            edit(
                "the convergence rate, not the momentum",
                {"(root - 1) / (root + 1)": "1 - 1 / root"},
                why="This is the convergence rate on the floor, the double root itself.",
                ask="Which momentum gives that root?",
            ),
        ],
        at("best_momentum", (37.0,), (5.3,), (410.0,)),
        secret=True,
    ),
    Exercise("mended_nesterov", rules.nesterov, RULES["nesterov"], [*lesson_01.CATALOG, *lesson_03.CATALOG, *CATALOG]),
    Exercise(
        "look_ahead_path",
        look_ahead_path,
        [
            "The velocity first carries you to a point ahead; the gradient is asked for there, not where you stand.",
            "In one step: where does `momentum` times the velocity lead, what is the gradient there, what is the new "
            "velocity, where do you stand now?",
            "torch writes down the point ahead. After each step, where would the new velocity carry you?",
        ],
        [
            edit(
                "the places where the method stands, not those ahead",
                {POINT: "path.append(p)"},
                why="This is the path of Sutskever et al. 2013; torch, and this exercise, write down the points ahead.",
                ask="Where would the new velocity carry you from each of these places?",
            ),
            edit(
                "the start stands in the list, too",
                {"velocity, path = 0 * p, []": "velocity, path = 0 * p, [p]"},
                why="The places are those after each step, so there are `steps` of them.",
                ask="How many places does your list have after one step?",
            ),
            edit(
                "the gradient is asked for where you stand",
                {"ahead = p - lr * momentum * velocity": "ahead = p", POINT: "path.append(p)"},
                why="This is plain momentum.",
                ask="Where will the velocity have carried you when the gradient begins to act?",
            ),
            edit(
                "the points ahead are written down, but the gradient is asked for where you stand",
                {"gradient(ahead)": "gradient(p)"},
                why="The velocity is that of plain momentum.",
                ask="Which of the two places does Nesterov ask for its gradient?",
            ),
            *[
                edit(name, {"ahead = p - lr * momentum * velocity": f"ahead = {look}", **written}, why=why, ask=ask)
                for name, look, why, ask in LOOKS
                for written in ({}, {POINT: f"path.append({look})"})
            ],
            edit(
                "torch's step is taken, and the gradient asked ahead of torch's parameters",
                {
                    "p = p - lr * velocity": "p = p - lr * (gradient(ahead) + momentum * velocity)",
                    POINT: "path.append(p)",
                },
                why="torch's parameters are the point ahead already, so this looks ahead twice.",
                ask="If your place is torch's parameter, where is its gradient asked for?",
            ),
            edit(
                "the path of gradient descent",
                {"momentum * velocity + gradient(ahead)": "gradient(p)", POINT: "path.append(p)"},
                why="No step remembers the one before it.",
                ask="What of the old velocity should be in the new one?",
            ),
            edit(
                "the velocity is a running mean",
                {"+ gradient(ahead)": "+ (1 - momentum) * gradient(ahead)"},
                why="Each gradient enters at the weight 1 - momentum; torch's velocity takes it in whole.",
                ask="With a gradient of 1 for ever, where should the velocity come to, 1 or 1 / (1 - momentum)?",
            ),
            *[
                edit(
                    "the velocity starts at a gradient, not at 0",
                    {"velocity, path = 0 * p, []": f"velocity, path = {first}, []"},
                    why="The first step then finds a velocity that no step has made.",
                    ask="How fast is the ball before its first step?",
                )
                for first in ("gradient(p)", "lr * gradient(p)")
            ],
            edit(
                "the velocity is made anew in each step",
                {"velocity = momentum * velocity + gradient(ahead)": "velocity = gradient(ahead)"},
                why="It holds the newest gradient alone, and forgets all before it.",
                ask="What of the old velocity should be in the new one?",
            ),
            edit(
                "the learning rate is in the velocity as well as in the step",
                {"momentum * velocity + gradient(ahead)": "momentum * velocity + lr * gradient(ahead)"},
                why="Each gradient is multiplied by lr twice.",
                ask="In which one of your lines should lr stand?",
            ),
            edit(
                "the places where the gradient was asked for",
                {POINT: "path.append(ahead)"},
                why="The points are right and one step late: each is where this step began to look.",
                ask="After a step, which velocity carries you to the next point ahead, the old one or the new one?",
            ),
            *[
                edit(
                    "the list holds one tensor many times",
                    {
                        "p = p - lr * velocity\n        path.append(p - lr * momentum * velocity)": (
                            f"p -= {step}\n        path.append(p)"
                        ),
                        **stand,
                    },
                    why="`p -= ...` changes the tensor that stands in the list already, so every place shows the last.",
                    ask="Which spelling of the step makes a new tensor, or which method a copy?",
                )
                for step, stand in [
                    ("lr * velocity", {}),
                    ("lr * (gradient(p) + momentum * velocity)", {"ahead = p - lr * momentum * velocity": "ahead = p"}),
                ]
            ],
            *[
                edit(
                    "the velocity carries you twice",
                    {"p = p - lr * velocity": "p = ahead - lr * velocity", "p - lr * momentum * velocity)": written},
                    why="The new velocity holds `momentum` times the old one, and the step from the point ahead has "
                    "been carried by it already.",
                    ask="From where does the whole velocity lead, from where you stood or from the point ahead?",
                )
                for written in ("p - lr * momentum * velocity)", "p)", "ahead)")
            ],
        ],
        _watch_path,
    ),
]
