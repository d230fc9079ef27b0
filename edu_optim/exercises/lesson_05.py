"""Lesson 05, Adagrad: its exercises, their hints, and the answers that go wrong."""

import torch

from .. import rules
from .exercise import Exercise, at, convention, edit
from .logistic import LOGISTIC

RULES = {
    "adagrad": [
        "Two lines: the square of the gradient joins the sum, then the step divides by the root of the sum.",
        "eps is added to the root, not to the sum, and the new gradient is in the sum already.",
    ]
}

CATALOG = [
    edit(
        "the step divides by the mean square itself, not by its root",
        {"g / (s**0.5 + eps)": "g / (s + eps)"},
        {"(s - a**2) ** 0.5": "(s - a**2)"},
        why="If all gradients were ten times as large the steps would be a tenth as long; with the root they do not "
        "change.",
        ask="Which power undoes the square?",
    ),
    edit(
        "sizes are collected in the place of squares",
        {"s + g**2": "s + maximum(g, -g)"},
        {"(1 - alpha) * g**2": "(1 - alpha) * maximum(g, -g)"},
        {"(1 - beta2) * g**2": "(1 - beta2) * maximum(g, -g)"},
        why="The gradient goes in without its square, and the root in the denominator still undoes one.",
        ask="The root undoes a power; where is that power taken?",
    ),
    edit(
        "the gradients are collected, not their squares",
        {"s + g**2": "s + g"},
        {"(1 - alpha) * g**2": "(1 - alpha) * g"},
        why="Gradients of both signs cancel each other, and a negative sum has no root.",
        ask="Which power of the gradient has no sign?",
    ),
    edit(
        "the step divides by the value from before this gradient",
        {
            "    s = s + g**2  # (1) all squares so far\n    p = p - lr * g / (s**0.5 + eps)": (
                "    p = p - lr * g / (s**0.5 + eps)\n    s = s + g**2"
            )
        },
        {
            "    s = alpha * s + (1 - alpha) * g**2  # (1) running mean of the squares\n"
            "    p = p - lr * g / (s**0.5 + eps)": (
                "    p = p - lr * g / (s**0.5 + eps)\n    s = alpha * s + (1 - alpha) * g**2"
            )
        },
        why="At the first step it is zero, so that step is lr g / eps long.",
        ask="Which of your two lines should come first?",
    ),
    edit(
        "there is no eps",
        {"(s**0.5 + eps)": "s**0.5"},
        {"((s - a**2) ** 0.5 + eps)": "(s - a**2) ** 0.5"},
        {"(v_hat**0.5 + eps)": "v_hat**0.5"},
        why="A weight whose gradient has always been zero becomes nan: zero by zero.",
        ask="What is the denominator of a weight that no example has touched yet?",
    ),
    edit(
        "eps is added to the step, not to the root",
        {"g / (s**0.5 + eps)": "(g / s**0.5 + eps)"},
        {"g / ((s - a**2) ** 0.5 + eps)": "(g / (s - a**2) ** 0.5 + eps)"},
        {"m_hat / (v_hat**0.5 + eps)": "(m_hat / v_hat**0.5 + eps)"},
        why="Without brackets around root + eps the division is done first.",
        ask="What does a / b + c divide by?",
    ),
    convention(
        "eps sits inside the root",
        {"(s**0.5 + eps)": "(s + eps) ** 0.5"},
        {"((s - a**2) ** 0.5 + eps)": "(s - a**2 + eps) ** 0.5"},
        {"(v_hat**0.5 + eps)": "(v_hat + eps) ** 0.5"},
        why="Some write Adagrad and RMSprop so, such as d2l and, for RMSprop, TensorFlow; torch adds eps to the root.",
        ask="Where gradients are small, the root of eps does here what eps does there. Which do you want to match?",
    ),
]


def scaled_eps(eps, factor):
    return eps * factor


def adagrad_distance(lr, steps, every):
    return lr * sum(visit**-0.5 for visit in range(1, steps // every + 1))


def sparse_logistic(inputs, labels, lr, steps):
    w = s = torch.zeros(inputs.shape[1], dtype=inputs.dtype)
    for _ in range(steps):
        prediction = torch.sigmoid(inputs @ w)
        g = inputs.T @ (prediction - labels) / len(labels)
        w, s = rules.adagrad(w, g, s, lr=lr)
    return w


def _watch_logistic(answer):
    draw = torch.Generator().manual_seed(5)
    there = torch.rand(40, 3, generator=draw, dtype=torch.float64) < torch.tensor([1.0, 0.4, 0.1])
    inputs = there * torch.randn(40, 3, generator=draw, dtype=torch.float64)
    labels = (inputs.sum(dim=1) > 0.2).double()
    for lr, steps in [(0.43, 1), (0.43, 2), (0.19, 17)]:
        yield f"the weights after {steps} step{'s' * (steps > 1)}", answer(inputs.clone(), labels.clone(), lr, steps)
    yield "the weights after 3 steps with features of size 1e-9", answer(1e-9 * inputs, labels.clone(), 0.43, 3)
    yield "the weights after 3 steps with features of size 10", answer(10 * inputs, labels.clone(), 0.43, 3)


EXERCISES = [
    Exercise(
        "scaled_eps",
        scaled_eps,
        [
            "In which units is eps? It is added to the root of a sum of squared gradients.",
            "If every gradient is 10 times as large, so is the root. What must eps be for the quotient to stay?",
        ],
        [
            edit(
                "eps is left as it was",
                {"eps * factor": "eps"},
                why="With the old eps the steps change a little, and most where gradients are small.",
                ask="In which units is eps?",
            ),
            edit(
                "right for an eps inside the root",
                {"eps * factor": "eps * factor**2"},
                why="Beside the squares eps would have to grow with the square of the factor.",
                ask="In this rule, is eps added to a square or to a root?",
            ),
            edit(
                "eps grows with the root of the factor",
                {"eps * factor": "eps * factor**0.5"},
                why="The sum of squares grows with the square of the factor, and its root with the factor itself.",
                ask="If every gradient is 10 times as large, what becomes of the root?",
            ),
            *[
                edit(
                    "eps shrinks as the gradients grow",
                    {"eps * factor": smaller},
                    why="Larger gradients need a larger eps beside them.",
                    ask="What becomes of the root if every gradient is 10 times as large?",
                )
                for smaller in ("eps / factor", "eps / factor**2", "eps / factor**0.5")
            ],
            *[
                edit(
                    name,
                    {"eps * factor": answer},
                    why=f"{number}, and the function is called with others.",
                    ask="Which of the two numbers that it is given has your answer not used?",
                )
                for name, answer, number in (
                    ("100 times eps, whatever the factor is", "eps * 100", "100 is the factor from euros to cents"),
                    ("10 times eps, whatever the factor is", "eps * 10", "10 is the factor of a hint"),
                    ("1e-10 times the factor, whatever eps is", "1e-10 * factor", "1e-10 is the default"),
                )
            ],
        ],
        at("scaled_eps", (3.7e-3, 13.0), (0.29, 0.017), (4.1e-7, 250.0)),
        secret=True,
    ),
    Exercise(
        "adagrad_distance",
        adagrad_distance,
        [
            "In the silent steps, what becomes of the sum, and how far does the weight go?",
            "How many gradients come in `steps` steps? After the n-th of them s is n times its square.",
            "The n-th visit moves the weight by lr / sqrt(n). Add up the visits.",
        ],
        [
            edit(
                "the clock ticks in silence, too",
                {
                    "sum(visit**-0.5 for visit in range(1, steps // every + 1))": (
                        "sum(step**-0.5 for step in range(every, steps + 1, every))"
                    )
                },
                why="A gradient at step t is divided by the root of t: that is the common clock, which also counts the "
                "steps without a gradient.",
                ask="By how much does s grow in a step whose gradient is 0?",
            ),
            edit(
                "the silent steps move the weight, too",
                {"steps // every": "steps"},
                why="This is the distance with a gradient in every step.",
                ask="How long is the step where the gradient is 0?",
            ),
            edit(
                "a share of the frequent distance",
                {
                    "sum(visit**-0.5 for visit in range(1, steps // every + 1))": (
                        "sum(visit**-0.5 for visit in range(1, steps + 1)) / every"
                    )
                },
                why="A rare gradient does not go a share of the way of a frequent one: its clock is slower, too.",
                ask="With every = 4, how long is the first step, and when is the second?",
            ),
            edit(
                "the right distance, divided by `every`",
                {"(1, steps // every + 1))": "(1, steps // every + 1)) / every"},
                why="The sum is over the visits already, and each of them goes its whole length.",
                ask="With every = 4, how long is the first step that moves the weight?",
            ),
            edit(
                "the common clock, with the first gradient at step 1",
                {
                    "sum(visit**-0.5 for visit in range(1, steps // every + 1))": (
                        "sum(step**-0.5 for step in range(1, steps + 1, every))"
                    )
                },
                why="The clock ticks in silence, too, and the first gradient comes at step `every`, not at step 1.",
                ask="By how much does s grow in a step whose gradient is 0?",
            ),
            edit(
                "the integral in the place of the sum",
                {"sum(visit**-0.5 for visit in range(1, steps // every + 1))": "2 * (steps // every) ** 0.5"},
                why="2 lr sqrt(n) is what the distance grows like after n visits, without end; it is too long by about "
                "1.46 lr.",
                ask="What does this give for one visit, and how long is the first step?",
            ),
            edit(
                "the first visit and an integral in the place of the others",
                {"sum(visit**-0.5 for visit in range(1, steps // every + 1))": "(2 * (steps // every) ** 0.5 - 1)"},
                why="lr (2 sqrt(n) - 1) is right for one visit, and less than 0.46 lr too long for more.",
                ask="What does this give for two visits, and for none?",
            ),
            edit(
                "the integral, with a share of the steps as visits",
                {"sum(visit**-0.5 for visit in range(1, steps // every + 1))": "2 * (steps / every) ** 0.5"},
                why="2 lr sqrt(n) is what the distance grows like after n visits; it is too long by about 1.46 lr, and "
                "n is a whole number.",
                ask="What does this give for one visit, and how long is the first step?",
            ),
            edit(
                "the steps shrink as 1/n",
                {"visit**-0.5": "1 / visit"},
                why="The n-th visit is taken to be lr / n long, which dies much sooner.",
                ask="After four gradients of 1, what is s, and what is its root?",
            ),
            edit(
                "every step is lr long",
                {"visit**-0.5": "1"},
                why="No step is shorter than the one before it.",
                ask="After four gradients of 1, what is s, and what is its root?",
            ),
            edit(
                "every step is lr long, and a share of a visit counts",
                {"sum(visit**-0.5 for visit in range(1, steps // every + 1))": "steps / every"},
                why="No step is shorter than the one before it, and where `every` does not divide `steps`, the visits "
                "are no whole number.",
                ask="After four gradients of 1, what is s, and what is its root?",
            ),
            edit(
                "always four visits",
                {"steps // every + 1": "5"},
                why="Four are those of the pencil's 16 steps, and the function is called with others.",
                ask="With every = 3, how many gradients have come in 11 steps?",
            ),
            edit(
                "there is always a visit",
                {"steps // every + 1": "max(1, steps // every) + 1"},
                why="Where `steps` is less than `every`, no gradient has come.",
                ask="With every = 5, how far has the weight come after 2 steps?",
            ),
            *[
                edit(
                    "as if every visit went as far as the last",
                    {"sum(visit**-0.5 for visit in range(1, steps // every + 1))": root},
                    why="n visits of lr / sqrt(n) come to lr * sqrt(n); the visits before the last go further.",
                    ask="How far has it come after two visits?",
                )
                for root in ("(steps // every) ** 0.5", "(steps / every) ** 0.5")
            ],
            edit(
                "the last visit is missing",
                {"steps // every + 1": "steps // every"},
                why="The sum ends one early.",
                ask="Where does `range(1, n)` end?",
            ),
            edit(
                "the first gradient comes at step 1",
                {"steps // every + 1": "-(-steps // every) + 1"},
                why="Here it comes at step `every`, after silent ones, so there is one visit less "
                "unless `steps` is a multiple of `every`.",
                ask="With every = 4, how many gradients have come in 11 steps?",
            ),
            edit(
                "the visits are rounded, not counted",
                {"steps // every + 1": "round(steps / every) + 1"},
                why="Where `every` does not divide `steps`, the next visit may be counted before it has come.",
                ask="With every = 4, how many gradients have come in 11 steps?",
            ),
            edit(
                "each visit counts as the one after it",
                {"visit**-0.5": "(visit + 1) ** -0.5"},
                why="The first visit is divided by the root of 2, and s then holds one square alone.",
                ask="What is s when the first step is taken, and how long is that step?",
            ),
            edit(
                "the distance is negative",
                {"return lr * sum": "return -lr * sum"},
                why="Each visit moves the weight by lr / sqrt(n), one way or the other; a distance has no sign.",
                ask="Can something be less than no distance away?",
            ),
            edit(
                "the length of the last step alone",
                {"sum(visit**-0.5 for visit in range(1, steps // every + 1))": "(steps // every) ** -0.5"},
                why="The steps before it were walked too.",
                ask="How far has it come after two visits?",
            ),
        ],
        at("adagrad_distance", (0.7, 11, 3), (0.13, 83, 10), (2.1, 3, 1), (0.4, 12, 4), (0.9, 2, 5)),
        secret=True,
    ),
    Exercise(
        "sparse_logistic",
        sparse_logistic,
        [
            "The prediction is `torch.sigmoid(inputs @ w)`; start with w and s at zero, one for each column.",
            "One example's gradient is its row of `inputs`, times its prediction minus its label. Which product of "
            "a matrix and a vector adds up the rows, each times its own number?",
            "In each step: prediction, the mean of the examples' gradients, one call of the lesson's `adagrad` with w, "
            "that mean and s.",
        ],
        [
            *LOGISTIC,
            edit(
                "the scores go through tanh, not through the sigmoid",
                {"torch.sigmoid(inputs @ w)": "torch.tanh(inputs @ w)"},
                why="tanh lies between -1 and 1, so what should be a probability can be below 0.",
                ask="Which curve lies between 0 and 1?",
            ),
        ],
        _watch_logistic,
    ),
]
