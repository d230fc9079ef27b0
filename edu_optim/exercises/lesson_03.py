"""Lesson 03, momentum: its exercises, their hints, and the answers that go wrong."""

from .exercise import Exercise, at, convention, edit
from .lesson_03_drop import EXERCISE as TRAVEL_AFTER_DROP

RULES = {
    "momentum": [
        "Two lines: first the velocity takes in the gradient, then the parameter follows the velocity.",
        "The old velocity fades by the factor `momentum`, and `(1 - dampening)` times the gradient is added.",
    ]
}

INSIDE = "Does your source put lr before the gradient or before the velocity?"
CATALOG = [
    convention(
        "the velocity is a running mean",
        {"(1 - dampening) * g": "(1 - momentum) * g"},
        {
            "b = momentum * b + g": "b = momentum * b + (1 - momentum) * g",
            "(g + momentum": "((1 - momentum) * g + momentum",
        },
        why="As in Adam, and in many courses, the gradient enters at the weight 1 - momentum; torch's velocity is a "
        "fading sum, 1 / (1 - momentum) times as large.",
        ask="To follow torch's path, multiply lr by 1 / (1 - momentum). Which form does your source have?",
    ),
    convention(
        "the velocity is a running mean that starts at the first gradient",
        {"(1 - dampening) * g": "(g - momentum * g * (b != 0))"},
        why="torch does this where dampening is as large as momentum, and many classes have it from there; without "
        "dampening its velocity is a fading sum.",
        ask="To follow the fading sum's path, multiply lr by 1 / (1 - momentum) and start at zero. Which do you want?",
    ),
    convention(
        "lr sits inside the velocity",
        {"(1 - dampening) * g": "lr * (1 - dampening) * g", "p - lr * b": "p - b"},
        {
            "b = momentum * b + g  #": "b = momentum * b + lr * g  #",
            "lr * (g + momentum * b)": "(lr * g + momentum * b)",
        },
        {"b = momentum * b + g / ": "b = momentum * b + lr * g / ", "p - lr * b": "p - b"},
        why="So do Sutskever et al. 2013, CS231n, Keras and TensorFlow; torch multiplies the whole velocity by lr. "
        "Both follow one path until lr changes; then this one coasts on at its old speed.",
        ask=INSIDE,
    ),
    edit(
        "lr is in the velocity and again in the step",
        {"(1 - dampening) * g": "lr * (1 - dampening) * g"},
        {"b = momentum * b + g  #": "b = momentum * b + lr * g  #"},
        {"b = momentum * b + g / ": "b = momentum * b + lr * g / "},
        why="The velocity has been scaled by lr already, and the step scales it once more.",
        ask=INSIDE,
    ),
    edit(
        "the step uses the velocity from before this gradient",
        {
            "b = momentum * b + (1 - dampening) * g  # (1) the velocity\n    p = p - lr * b": (
                "p = p - lr * b\n    b = momentum * b + (1 - dampening) * g"
            )
        },
        why="The step is one gradient late: the first is zero.",
        ask="Which of your two lines should come first?",
    ),
    edit(
        "momentum and 1 - momentum have changed places",
        {"momentum * b + (1 - dampening) * g": "(1 - momentum) * b + momentum * g"},
        why="With momentum 0.9 the velocity keeps a tenth of itself and takes in nine tenths of the gradient.",
        ask="How much of the old velocity should be left after a step with momentum 0.9?",
    ),
    edit(
        "the newest gradient is kept as the velocity",
        {"return p, b": "return p, g"},
        why="The next step meets this gradient in the place of a velocity, so nothing older is remembered.",
        ask="Which of your quantities should the next step find in the buffer?",
    ),
    edit(
        "nothing fades",
        {"momentum * b + (1": "b + (1"},
        {"b = momentum * b + g": "b = b + g"},
        why="All gradients are kept at full weight, so the velocity only grows.",
        ask="Which factor makes an old gradient count less?",
    ),
    edit(
        "dampening is not used",
        {"(1 - dampening) * g": "g"},
        why="The gradient enters the velocity whole.",
        ask="By what is the gradient multiplied before it is added?",
    ),
]


def to_torch(lr, beta):
    return lr * (1 - beta)


def critical_momentum(lr, curvature):
    x = lr * curvature
    return ((1 - x) / (1 + x)) ** 2


EXERCISES = [
    Exercise(
        "to_torch",
        to_torch,
        [
            "On a steady slope of 1, how fast is the running mean in the end, and how fast is torch's sum?",
            "The mean ends at 1 and the sum at 1 / (1 - beta). The two steps must be the same.",
        ],
        [
            edit(
                "converted the other way",
                {"* (1 - beta)": "/ (1 - beta)"},
                why="This makes a learning rate for the running mean out of one of torch's.",
                ask="torch's velocity is the larger one; does it need the larger or the smaller learning rate?",
            ),
            edit(
                "the same number in both forms",
                {"lr * (1 - beta)": "lr"},
                why="With the same lr torch goes 1 / (1 - beta) times as far.",
                ask="How large is each velocity after many gradients of 1?",
            ),
            edit(
                "beta in the place of 1 - beta",
                {"(1 - beta)": "beta"},
                why="beta is what the mean keeps; what lets the gradient in is the rest.",
                ask="At which weight does the newest gradient enter the paper's mean?",
            ),
            edit(
                "a tenth, whatever beta is",
                {"lr * (1 - beta)": "0.1 * lr"},
                why="A tenth is 1 - beta for a beta of 0.9 alone.",
                ask="At which weight does the newest gradient enter a running mean with a beta of 0.8?",
            ),
            edit(
                "beta is taken from lr, not from 1",
                {"lr * (1 - beta)": "lr * 1 - beta"},
                why="lr * 1 - beta is (lr * 1) - beta: without brackets the product comes first.",
                ask="By how much is torch's velocity larger, and does that depend on lr?",
            ),
            edit(
                "beta is squared",
                {"(1 - beta)": "(1 - beta**2)"},
                why="1 + beta + beta**2 + ... adds up to 1 / (1 - beta), not to 1 / (1 - beta**2).",
                ask="How large is torch's velocity after many gradients of 1?",
            ),
            edit(
                "two gradients in the place of the whole sum",
                {"* (1 - beta)": "/ (1 + beta)"},
                why="After two gradients of 1 torch's velocity is 1 + beta; it grows on, 1 + beta + beta**2 + ...",
                ask="How large is torch's velocity after many gradients of 1?",
            ),
            edit(
                "the root of 1 - beta",
                {"(1 - beta)": "(1 - beta) ** 0.5"},
                why="On a steady slope torch's velocity grows to 1 / (1 - beta), not to the root of it.",
                ask="How large is torch's velocity after many gradients of 1?",
            ),
        ],
        at("to_torch", (0.23, 0.87), (1.7, 0.41), (0.031, 0.0)),
        secret=True,
    ),
    Exercise(
        "critical_momentum",
        critical_momentum,
        [
            "Too little momentum creeps and too much swings. At the edge the two roots of the recurrence are one.",
            "With x = lr * curvature, the roots are those of z**2 - (1 + beta - (1 - beta) * x) * z + beta. "
            "When is its discriminant zero?",
            "1 + beta - 2 * sqrt(beta) = (1 - beta) * x; both sides have the factor 1 - sqrt(beta).",
        ],
        [
            edit(
                "the critical momentum of torch's velocity",
                {"((1 - x) / (1 + x)) ** 2": "(1 - x**0.5) ** 2"},
                why="This is the lesson's; the running mean takes steps 1 - beta times as long.",
                ask="In the recurrence, what multiplies the gradient in the running mean's form?",
            ),
            edit(
                "1 - beta is taken to be a tenth",
                {"((1 - x) / (1 + x)) ** 2": "(1 - (0.1 * x) ** 0.5) ** 2"},
                why="The running mean's step is 1 - beta times as long, and this beta is the one you look for.",
                ask="In 1 + beta - 2 * sqrt(beta) = (1 - beta) * x, how often does beta stand?",
            ),
            edit(
                "torch's critical momentum is put in for beta, once",
                {"((1 - x) / (1 + x)) ** 2": "(1 - ((1 - (1 - x**0.5) ** 2) * x) ** 0.5) ** 2"},
                why="One round comes nearer, but both sides of the equation must hold the same beta.",
                ask="In 1 + beta - 2 * sqrt(beta) = (1 - beta) * x, how often does beta stand?",
            ),
            edit(
                "torch's critical momentum is put in for beta, twice",
                {
                    "    x = lr * curvature\n": "    x = lr * curvature\n"
                    "    once = (1 - ((1 - (1 - x**0.5) ** 2) * x) ** 0.5) ** 2\n",
                    "((1 - x) / (1 + x)) ** 2": "(1 - ((1 - once) * x) ** 0.5) ** 2",
                },
                why="Each round comes nearer, but both sides of the equation must hold the same beta.",
                ask="In 1 + beta - 2 * sqrt(beta) = (1 - beta) * x, how often does beta stand?",
            ),
            edit(
                "the first terms for a small lr * curvature",
                {"((1 - x) / (1 + x)) ** 2": "1 - 4 * x"},
                why="It comes near where lr * curvature is small, but above a quarter it is negative.",
                ask="At which beta is 1 + beta - 2 * sqrt(beta) = (1 - beta) * x, with no term left out?",
            ),
            edit(
                "the root of the momentum",
                {"((1 - x) / (1 + x)) ** 2": "(1 - x) / (1 + x)"},
                why="This is the convergence rate; the momentum is its square.",
                ask="What do the two roots multiply to, and what is each of them if they are equal?",
            ),
            edit(
                "the square of the momentum",
                {"((1 - x) / (1 + x)) ** 2": "((1 - x) / (1 + x)) ** 4"},
                why="The convergence rate is (1 - x) / (1 + x), with x = lr * curvature; this is its fourth power.",
                ask="What do the two roots multiply to, and what is each of them if they are equal?",
            ),
            edit(
                "the star's momentum, for a condition number of 1 / (lr * curvature)",
                {"((1 - x) / (1 + x)) ** 2": "((1 - x**0.5) / (1 + x**0.5)) ** 2"},
                why="This is the best momentum of a bowl whose condition number is 1 / (lr * curvature).",
                ask="With this momentum, are the two roots of the recurrence equal?",
            ),
            edit(
                "1 - lr * curvature is not squared",
                {"((1 - x) / (1 + x)) ** 2": "(1 - x) / (1 + x) ** 2"},
                why="With x = lr * curvature this is (1 - x) / (1 + x)**2, whose denominator alone is squared.",
                ask="What do the two roots multiply to, and what is each of them if they are equal?",
            ),
            edit(
                "the factor of plain gradient descent",
                {"((1 - x) / (1 + x)) ** 2": "1 - x"},
                why="1 - lr * curvature is what a step without momentum leaves of the distance.",
                ask="With this momentum, are the two roots of the recurrence equal?",
            ),
            edit(
                "nothing fades",
                {"((1 - x) / (1 + x)) ** 2": "1"},
                why="This is 1, as (1 - x / 1 + x)**2 is without its brackets: no gradient gets into the mean.",
                ask="With this momentum, are the two roots of the recurrence equal?",
            ),
            edit(
                "no momentum",
                {"((1 - x) / (1 + x)) ** 2": "0"},
                why="Without momentum there is nothing to swing; at small learning rates the ball creeps.",
                ask="With this momentum, are the two roots of the recurrence equal?",
            ),
            edit(
                "the solution above 1",
                {"((1 - x) / (1 + x)) ** 2": "((1 + x) / (1 - x)) ** 2"},
                why="The equation has two solutions; with this one the velocity grows.",
                ask="Which of the two solutions lies between 0 and 1?",
            ),
            edit(
                "the convergence rate of torch's form",
                {"((1 - x) / (1 + x)) ** 2": "1 - x**0.5"},
                why="This is the convergence rate at torch's critical momentum, not at the running mean's.",
                ask="In the recurrence, what multiplies the gradient in the running mean's form?",
            ),
            edit(
                "the square of the factor of plain descent",
                {"((1 - x) / (1 + x)) ** 2": "(1 - x) ** 2"},
                why="1 - lr * curvature is what a step without momentum leaves of the distance.",
                ask="With this momentum, are the two roots of the recurrence equal?",
            ),
        ],
        at("critical_momentum", (0.17, 1.3), (0.013, 31.0), (0.9, 0.71)),
    ),
    TRAVEL_AFTER_DROP,
]
