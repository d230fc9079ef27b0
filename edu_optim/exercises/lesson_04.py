"""Lesson 04, Nesterov: its exercises, their hints, and the answers that go wrong."""

from .. import rules
from . import lesson_01, lesson_03
from .exercise import Exercise, at, edit
from .lesson_04_path import EXERCISE as LOOK_AHEAD

RULES = {
    "nesterov": [
        "Work out both programs with pencil and paper for two gradients of 1. Where do they part?",
        "The step is made of the newest gradient and of the velocity, and each has a factor of its own.",
        "The velocity is made first, with the newest gradient in it; the step then adds `momentum` times it to `g`.",
    ]
}

MENDED = (
    "The velocity is made first, with the newest gradient in it; the step then adds `momentum` times it and takes "
    "off `lr * g`."
)

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
        why="The old velocity gets momentum * (1 + momentum) in the place of momentum**2.",
        ask="In the step, which term stands beside momentum * b: the velocity or the newest gradient?",
    ),
    edit(
        "the whole velocity is added to its own look-ahead, and the step leads uphill",
        {"(g + momentum * b)": "(-(b + momentum * b))"},
        {"(lr * g + momentum * b)": "(-(b + momentum * b))"},
        why="The step has its sign from a velocity of the other sign.",
        ask="From rest, with a gradient of 1, where does your first step lead?",
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
        "the old velocity carries you twice",
        {"(g + momentum * b)": "(2 * b - g)"},
        {"(lr * g + momentum * b)": "(2 * b - lr * g)"},
        why="The parameters are the point ahead, so the step before has carried them by the old velocity already.",
        ask="By which velocity should this step carry you ahead, the old one or the new one?",
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
                "the critical momentum of the heavy ball at a learning rate of 1/(4 L)",
                {"(2 * condition) ** 0.5": "2 * condition**0.5", "(root - 1) / (root + 1)": "(1 - 1 / root) ** 2"},
                why="It is lesson 03's rule, for lr * m = 1 / (4 * condition); here the velocity looks ahead.",
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
                "the momentum for a learning rate of 1/(4 L)",
                {"(2 * condition) ** 0.5": "2 * condition**0.5"},
                why="The 2 stands outside the root, or the learning rate is halved twice.",
                ask="How large is lr * m on the floor, with lr = 1 / (2 L)?",
            ),
            edit(
                "the momentum for a learning rate of 4/L",
                {"(2 * condition) ** 0.5": "condition**0.5 / 2"},
                why="The 2 divides the root of the condition number, where inside the root it would multiply.",
                ask="How large is lr * m on the floor, with lr = 1 / (2 L)?",
            ),
            edit(
                "the momentum of Lessard, Recht and Packard",
                {"(2 * condition) ** 0.5": "(3 * condition + 1) ** 0.5 / 2"},
                why="It belongs to lr = 4 / (3 L + m), where floor and wall are equally slow.",
                ask="How large is lr * m on the floor, with lr = 1 / (2 L)?",
            ),
            edit(
                "half of the momentum for a learning rate of 1/L",
                {"(2 * condition) ** 0.5": "condition**0.5", "(root - 1) / (root + 1)": "(root - 1) / (root + 1) / 2"},
                why="Half the learning rate does not halve the momentum: a flatter floor wants more of it.",
                ask="With this momentum, are the two roots of the floor equal?",
            ),
            *[
                edit(
                    name,
                    {"(2 * condition) ** 0.5": root, "(root - 1) / (root + 1)": "1 - 2 / root"},
                    why="(root - 1) / (root + 1) is 1 - 2 / (root + 1), and the 1 counts where root is small.",
                    ask="With this momentum, are the two roots of the floor exactly equal?",
                )
                for name, root in [
                    ("the right one only where the condition number is very large", "(2 * condition) ** 0.5"),
                    ("for a learning rate of 1/L, and only where the condition number is very large", "condition**0.5"),
                ]
            ],
            *[
                edit(
                    f"the 2 stands in the {where} alone",
                    {"(root - 1) / (root + 1)": fraction},
                    why="The other root lacks it.",
                    ask="Where the roots are equal, which number stands in both places?",
                )
                for where, fraction in [
                    ("numerator", "(root - 1) / (condition**0.5 + 1)"),
                    ("denominator", "(condition**0.5 - 1) / (root + 1)"),
                ]
            ],
            *[
                edit(
                    f"what a step of gradient descent at {lr} leaves of the floor, not a momentum",
                    {"(2 * condition) ** 0.5": root, "(root - 1) / (root + 1)": "1 - 1 / root"},
                    why="This is 1 - lr * m.",
                    ask="Which momentum makes the two roots of the floor equal?",
                )
                for lr, root in [("1/(2 L)", "(2 * condition)"), ("1/L", "condition")]
            ],
            edit(
                "the right momentum, divided by 1 - lr * m",
                {"(root - 1) / (root + 1)": "(root - 1) / (root + 1) / (1 - 1 / root**2)"},
                why="With x = lr * m the product of the two roots is beta * (1 - x); this is beta / (1 - x).",
                ask="Which of your numbers is the momentum, and which the product of the two roots?",
            ),
            edit(
                "the root of 1 - lr * m, not a momentum",
                {"(root - 1) / (root + 1)": "(1 - 1 / root**2) ** 0.5"},
                why="With x = lr * m the rate where the ball swings is (beta * (1 - x)) ** 0.5; no beta is in this.",
                ask="Which momentum makes the two roots of the floor equal?",
            ),
            edit(
                "lr * m on the floor, not a momentum",
                {"(root - 1) / (root + 1)": "1 / root**2"},
                why="The two roots depend on it and on the momentum.",
                ask="Which momentum makes the two roots of the floor equal?",
            ),
            edit(
                "the convergence rate at a learning rate of 1/(4 L), not the momentum",
                {"(2 * condition) ** 0.5": "2 * condition**0.5", "(root - 1) / (root + 1)": "1 - 1 / root"},
                why="The rate is 1 - (lr * m) ** 0.5, and here lr * m is a quarter of 1 / condition.",
                ask="How large is lr * m on the floor, with lr = 1 / (2 L), and which momentum makes the roots equal?",
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
    Exercise(
        "mended_nesterov",
        rules.nesterov,
        [*RULES["nesterov"][:2], MENDED],
        [*lesson_01.CATALOG, *lesson_03.CATALOG, *CATALOG],
    ),
    LOOK_AHEAD,
]
