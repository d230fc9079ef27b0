"""Lesson 15, after Adam: its exercises, their hints, and the answers that go wrong."""

import torch

from ..later import rules
from .after_adam import NADAM, RADAM, RADAM_DECOUPLED
from .averages import AVERAGED, FREE, FREE_ADAMW
from .exercise import Exercise, at, edit
from .lion import LION
from .muon import MUON

HINTS = {
    "nadam": [
        "It is Adam with another m_hat: Nesterov's look ahead, with a factor that rises from half of beta1.",
        "The mean is used with the factor of the next step, the newest gradient with this one's: each part is "
        "divided by what a mean of ones would be with the same factors.",
        "c is the mean of ones so far: c = mu * c + (1 - mu). With one more factor it is mu_next * c + (1 - mu_next).",
    ],
    "radam": [
        "On how many gradients does v rest after t steps? Until they are enough, only the mean gradient steers.",
        "n = most - 2 t beta2**t / (1 - beta2**t), with most = 2 / (1 - beta2) - 1. Up to 5 it is too few.",
        "From then on r, the root of (n - 4) (n - 2) most / ((most - 4) (most - 2) n), multiplies Adam's step.",
    ],
    "radam_decoupled": [
        "It is AdamW's decay, and then RAdam's step.",
        "First the weight shrinks by lr * weight_decay of itself, then the step is taken with the gradient alone.",
    ],
    "lion": [
        "There is one buffer, and there are two means of it and the newest gradient: one steers, one is kept.",
        "beta1 makes the mean that steers, of which only the sign is used; beta2 makes the one that is kept.",
        "The decay stands beside the sign, and lr multiplies both.",
    ],
    "schedule_free_sgd": [
        "There are three points: z descends, x is the average of all z so far, and p lies between them.",
        "The buffer e is x - z, so z = p - beta * e. From z and e comes x.",
        "After t steps the newest z has the weight 1 / t in the average; then put p between the two again.",
    ],
    "schedule_free_adamw": [
        "It is `schedule_free_sgd` with something else in the place of the gradient.",
        "That is g over the corrected root mean square, and weight_decay * p besides.",
    ],
    "adam_ema": [
        "Adam's step is Adam's. What is kept of the new weights?",
        "a = decay * a + (1 - decay) * p, after the step; p comes back as Adam left it.",
    ],
    "muon": [
        "It is momentum, as a running mean and with Nesterov's look ahead, and its step is made orthogonal.",
        "Divide by the root of the sum of all squares; then, ns_steps times, x becomes a x + (b s + c s s) x, where s "
        "is x times its transpose.",
        "Last come the decay and the step, which is multiplied by max(1, rows / columns) ** 0.5.",
    ],
}


def look_ahead(g, m, t, beta1):
    m = beta1 * m + (1 - beta1) * g
    return beta1 * m / (1 - beta1 ** (t + 1)) + (1 - beta1) * g / (1 - beta1**t)


def orthogonalize(u, steps):
    x = u / (u * u).sum() ** 0.5
    for _ in range(steps):
        x = 1.5 * x - 0.5 * (x @ x.T) @ x
    return x


def _watch_orthogonalize(answer):
    draw = torch.Generator().manual_seed(15)
    for size, steps in [(0.3, 2), (2.0, 4), (5.0, 7)]:
        u = size * torch.randn(3, 4, generator=draw, dtype=torch.float64)
        yield f"u of size {size}, {steps} steps", answer(u, steps)


def sign_descent():
    return (0.0, 0.9)


def _watch_sign_descent(answer):
    draw = torch.Generator().manual_seed(16)
    betas = tuple(answer())
    p = m = torch.zeros(3, dtype=torch.float64)
    for t in range(1, 9):
        g = 10.0 ** (12 * (t % 2) - 6) * torch.randn(3, generator=draw, dtype=torch.float64)  # large and small in turn
        moved, m = rules.lion(p, g, m, lr=0.5, betas=betas)
        yield f"the signs of step {t}", (moved - p) / 0.5
        p = moved


def average(p, z, beta):
    return (p - (1 - beta) * z) / beta


EXERCISES = [
    Exercise(
        "look_ahead",
        look_ahead,
        [
            "Two parts, each divided by what it lacks: the mean as it will be used next, and the newest gradient.",
            "The mean has the factor beta1 and lacks beta1 ** (t + 1); the gradient has 1 - beta1 and "
            "lacks beta1 ** t.",
        ],
        [
            edit(
                "this is Adam's corrected mean",
                {
                    "beta1 * m / (1 - beta1 ** (t + 1)) + (1 - beta1) * g / (1 - beta1**t)": "m / (1 - beta1**t)",
                },
                why="The newest gradient counts once.",
                ask="Where does Nesterov's rule use the gradient a second time?",
            ),
            edit(
                "neither part is corrected",
                {"/ (1 - beta1 ** (t + 1))": "", "/ (1 - beta1**t)": ""},
                why="Both are too small at first.",
                ask="If all gradients are 1, what should come out at the first step?",
            ),
            edit(
                "both parts are corrected for the next step",
                {"1 - beta1**t": "1 - beta1 ** (t + 1)"},
                why="The newest gradient has been weighted as in this step.",
                ask="What does a mean of t ones lack, and what one of t + 1?",
            ),
            edit(
                "both parts are corrected alike",
                {"(t + 1)": "t"},
                why="The mean is used as if one more step had been taken.",
                ask="How many factors of beta1 are on the oldest gradient once the mean is multiplied by beta1 again?",
            ),
            edit(
                "the mean before this gradient is used",
                {"m = beta1 * m + (1 - beta1) * g\n": "m = 1.0 * m\n"},
                why="The gradient does not enter the mean first.",
                ask="Which of the two comes first in `adam`, the mean or the step?",
            ),
        ],
        at("look_ahead", (0.7, 0.2, 1, 0.83), (-1.3, 0.4, 3, 0.6), (2.1, -0.9, 12, 0.91)),
        secret=True,
    ),
    Exercise(
        "orthogonalize",
        orthogonalize,
        [
            "First make sure that no singular value is above 1: which length of a matrix is never below the largest?",
            "Divide by the root of the sum of all squares. Then, at each step, x becomes 1.5 x - 0.5 (x xᵀ) x.",
        ],
        [
            edit(
                "the matrix is not scaled first",
                {"u / (u * u).sum() ** 0.5": "u"},
                why="Singular values beyond the root of 3 grow without end.",
                ask="What does 1.5 s - 0.5 s³ give for s = 3?",
            ),
            edit(
                "it is divided by the largest singular value",
                {"u / (u * u).sum() ** 0.5": "u / torch.linalg.matrix_norm(u, 2)"},
                why="The largest one is 1 at the start; in the exercise the sum of the squares is.",
                ask="Which length of a matrix takes no singular value to compute?",
            ),
            edit(
                "one step too many",
                {"range(steps)": "range(steps + 1)"},
                why="The singular values are changed once more than asked.",
                ask="How often does your loop run for steps = 1?",
            ),
            edit(
                "one step too few",
                {"range(steps)": "range(steps - 1)"},
                why="The singular values are changed once less than asked.",
                ask="How often does your loop run for steps = 1?",
            ),
            edit(
                "all singular values are exactly 1",
                {"    return x": "    x, _, right = torch.linalg.svd(u, full_matrices=False)\n    return x @ right"},
                why="That is where many steps lead; asked is what a few of them leave.",
                ask="What does 1.5 s - 0.5 s³ make of s = 0.5 in one step?",
            ),
            edit(
                "the power is taken element by element",
                {"(x @ x.T) @ x": "x**3"},
                why="The entries go to 1 and -1, and not the singular values.",
                ask="What is s³ of a matrix with singular values s, written with its transpose?",
            ),
            edit(
                "it is divided by the sum of squares",
                {".sum() ** 0.5": ".sum()"},
                why="The root is missing, so the start depends on the scale of the matrix.",
                ask="If u is ten times as long, by what does what you divide by grow?",
            ),
        ],
        _watch_orthogonalize,
    ),
    Exercise(
        "sign_descent",
        sign_descent,
        [
            "Sign descent looks at the newest gradient alone. In which line of `lion` do older ones reach the step?",
            "The step takes the sign of beta1 * m + (1 - beta1) * g. What must beta1 be for m to have no say?",
        ],
        [
            edit(
                "the mean that is kept forgets, and the one that steers does not",
                {"(0.0, 0.9)": "(0.9, 0.0)"},
                why="With beta2 = 0 m is the last gradient, and it still has nine tenths of the say.",
                ask="Which beta mixes m into what the sign is taken of?",
            ),
            edit(
                "these are Lion's own betas",
                {"(0.0, 0.9)": "(0.9, 0.99)"},
                why="Older gradients steer.",
                ask="What must beta1 be for the sign to be that of g?",
            ),
        ],
        _watch_sign_descent,
        secret=True,
    ),
    Exercise(
        "average",
        average,
        [
            "p lies between z and x: p = (1 - beta) z + beta x. Which of the three is asked for?",
            "Take (1 - beta) z to the other side and divide.",
        ],
        [
            edit(
                "this mixes once more",
                {"(p - (1 - beta) * z) / beta": "(1 - beta) * z + beta * p"},
                why="It leads from p back towards z.",
                ask="Does x lie on the side of z, or beyond p?",
            ),
            edit(
                "p and z have changed places",
                {"(p - (1 - beta) * z)": "(z - (1 - beta) * p)"},
                why="It is solved for another of the three points.",
                ask="Which of the three stands alone in p = (1 - beta) z + beta x?",
            ),
            edit(
                "z is taken off whole",
                {"(1 - beta) * z": "z"},
                why="Of p only the part 1 - beta comes from z.",
                ask="With beta = 0.9, how much of p is z?",
            ),
            edit(
                "the two weights are swapped",
                {"(p - (1 - beta) * z) / beta": "(p - beta * z) / (1 - beta)"},
                why="With beta = 0.9, p is nearly x and not nearly z.",
                ask="Which of the two has the weight beta?",
            ),
        ],
        at("average", (1.3, 0.4, 0.9), (-0.2, 2.1, 0.7)),
        secret=True,
    ),
]
CATALOGS = {
    "nadam": NADAM,
    "radam": RADAM,
    "radam_decoupled": RADAM_DECOUPLED,
    "lion": LION,
    "schedule_free_sgd": FREE,
    "schedule_free_adamw": FREE_ADAMW,
    "adam_ema": AVERAGED,
    "muon": MUON,
}
RULES_AFTER_ADAM = [Exercise(name, getattr(rules, name), HINTS[name], catalog) for name, catalog in CATALOGS.items()]
