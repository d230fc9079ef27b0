"""Lesson 15, after Adam: its exercises, their hints, and the answers that go wrong."""

import torch

from ..later import rules
from .after_adam import NADAM, RADAM, RADAM_DECOUPLED
from .averages import AVERAGED, FREE, FREE_ADAMW
from .exercise import Exercise, edit, instead
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
        "Once b has taken g in, u mixes b and g as b has mixed its past and g; `orthogonal` makes u orthogonal.",
        "Last come the decay and the step, which is multiplied by max(1, rows / columns) ** 0.5.",
    ],
}


def orthogonalize(u):
    x = u / (u * u).sum() ** 0.5
    for _ in range(60):
        x = 1.5 * x - 0.5 * (x @ x.T) @ x
    return x


def _watch_orthogonalize(answer):
    draw, found = torch.Generator().manual_seed(15), []
    for largest in (0.3, 2.0, 5.0):
        u = torch.randn(3, 4, generator=draw, dtype=torch.float64)
        found.append(answer(largest * u / torch.linalg.matrix_norm(u, 2)))
        yield f"u whose largest singular value is {largest}", found[-1]
    small = torch.tensor([1.0, 0.3, 1e-6], dtype=torch.float64).diag()
    found.append(answer(small.clone()))
    yield "u with singular values of 1, 0.3 and 0.000001", found[-1]
    left, right = torch.linalg.qr(torch.randn(2, 3, 3, generator=draw, dtype=torch.float64)).Q
    found.append(answer(left @ small @ right))
    matrices = [torch.as_tensor(one).detach().double() for one in found]
    if not any(matrix.isfinite().all() for matrix in matrices):
        raise ValueError("it holds inf or nan for every u")
    values = torch.cat([torch.linalg.svdvals(matrix.nan_to_num(0, 0, 0)) for matrix in matrices])
    yield (
        "of the fifteen singular values, with those of the last u turned, how many are not within nine digits of 1",
        int(((values - 1).abs() > 1e-9).sum()),
    )


def _rows_one_by_one(u):
    q, r = torch.linalg.qr(u.mT)
    return (q * r.diagonal().sign()).mT


def _rows_by_cholesky(u):  # the same, but u uᵀ squares the singular values, and the smallest loses digits
    return torch.linalg.solve_triangular(torch.linalg.cholesky(u @ u.mT), u, upper=False)


def _rows_of_length_one(u):
    return u / (u * u).sum(1, keepdim=True) ** 0.5


def _rows_of_qr(u):
    return torch.linalg.qr(u.mT)[0].mT


def sign_descent():
    return (0.0, 0.9)


def _watch_sign_descent(answer):
    draw = torch.Generator().manual_seed(16)
    betas = tuple(answer())
    yield "betas outside 0 to 1", sum(not 0 <= beta <= 1 for beta in betas)
    p = m = torch.zeros(3, dtype=torch.float64)
    side = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)
    for t in range(9):  # one large gradient, and two tiny ones against it
        size = torch.rand(3, generator=draw, dtype=torch.float64) + 0.5
        g = (-1e-12 if t % 3 else 1e300) * side * size
        moved, m = rules.lion(p, g, m, lr=0.5, betas=betas)
        yield f"the signs of step {t + 1}", (moved - p) / 0.5
        p = moved


CUBIC = "1.5 * x - 0.5 * (x @ x.T) @ x"


def _rule(name):
    return Exercise(name, getattr(rules, name), HINTS[name], CATALOGS[name])


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
ASKED = ("lion", "schedule_free_adamw", "muon")
EXERCISES = [
    *map(_rule, ASKED),
    Exercise(
        "orthogonalize",
        orthogonalize,
        [
            "First make sure that no singular value is above 1: which length of a matrix is never below the largest?",
            "Which of the two polynomials in *Deeper* converges, and how many steps does a value near 0 need?",
            "Divide by the root of the sum of all squares. Then, at each of some fifty steps, x becomes "
            "1.5 x - 0.5 (x xᵀ) x.",
        ],
        [
            edit(
                "the matrix is not scaled first",
                {"u / (u * u).sum() ** 0.5": "u"},
                why="A singular value above the root of 3 may go to -1, or grow without end.",
                ask="What does 1.5 s - 0.5 s³ give for s = 3?",
            ),
            edit(
                "it is divided by the sum of squares",
                {".sum() ** 0.5": ".sum()"},
                why="The root is missing, so a small matrix gets larger, and its singular values pass the root of 3.",
                ask="If u is a tenth as long, by what does what you divide by shrink?",
            ),
            edit(
                "it is divided by its largest entry",
                {"u / (u * u).sum() ** 0.5": "u / u.abs().max()"},
                why="A singular value may be larger than every entry; above the root of 3 it may go to -1.",
                ask="Which length of a matrix is never below its largest singular value?",
            ),
            *(
                edit(
                    f"these are {word} steps of Muon",
                    {
                        "range(60)": f"range({count})",
                        CUBIC: "3.4445 * x + (-4.775 * (x @ x.T) + 2.0315 * (x @ x.T) @ (x @ x.T)) @ x",
                    },
                    why="They leave singular values near 1, and more of them do not end: the polynomial does not "
                    "converge.",
                    ask="What does 3.4445 s - 4.775 s³ + 2.0315 s⁵ make of s = 1?",
                )
                for word, count in (("the five", 5), ("ten", 10), ("sixty", 60))
            ),
            edit(
                "each step divides by the length again",
                {"        x = 1.5": "        x = x / (x * x).sum() ** 0.5\n        x = 1.5"},
                why="As the small singular values grow, so does the length, and the division takes back what was won.",
                ask="How long is a 3 by 4 matrix whose singular values are all 1?",
            ),
            edit(
                "the matrix only gets another length",
                {"range(60)": "range(0)"},
                why="All its singular values are divided by one number.",
                ask="What is left to do once none of them is above 1?",
            ),
            instead(
                "each row gets length 1",
                _rows_of_length_one,
                why="The rows do not stand at right angles to each other, so the singular values differ.",
                ask="What is x xᵀ where all singular values are 1, and what is it here?",
            ),
            edit(
                "it is computed in float32",
                {"u / (u * u).sum() ** 0.5": "(u / (u * u).sum() ** 0.5).float()"},
                why="float32 holds some seven digits, and nine were asked for.",
                ask="Which dtype has u, and which has what you return?",
            ),
            *(
                edit(
                    f"{word} steps are too few",
                    {"range(60)": f"range({count})"},
                    why="Small singular values have not come to 1.",
                    ask="By what does 1.5 s - 0.5 s³ multiply a small s at each step, and how many bring 1e-6 to 1?",
                )
                for word, count in (
                    ("five", 5),
                    ("ten", 10),
                    ("twelve", 12),
                    ("fifteen", 15),
                    ("twenty", 20),
                    ("twenty-five", 25),
                    ("thirty", 30),
                    ("thirty-four", 34),
                    ("thirty-five", 35),
                )
            ),
            edit(
                "each entry is treated alone",
                {"(x @ x.T) @ x": "x**3"},
                why="The entries go to 1 and -1, and not the singular values.",
                ask="Which product of x and its transpose has the singular vectors of x, and values s³ where x has s?",
            ),
            *(
                instead(
                    "the rows are made orthogonal one after another",
                    rows,
                    why="The singular values go to 1, but the singular vectors are no longer those of u: the first row "
                    "only gets another length, and the later ones make way (Gram-Schmidt).",
                    ask="Which directions should the answer share with u = U S Vᵀ?",
                )
                for rows in (_rows_one_by_one, _rows_by_cholesky)
            ),
            instead(
                "the rows are made orthogonal one after another, and some turn round",
                _rows_of_qr,
                why="All singular values are 1, and the singular vectors are no longer those of u; this is the Q of a "
                "QR decomposition, which may also turn a row round.",
                ask="Which directions should the answer share with u = U S Vᵀ?",
            ),
        ],
        _watch_orthogonalize,
    ),
    Exercise(
        "sign_descent",
        sign_descent,
        [
            "Sign descent looks at the newest gradient alone. In which line of `lion` do older ones reach the step?",
            "The step takes the sign of beta1 * m + (1 - beta1) * g. With which betas has m no say?",
        ],
        [
            edit(
                "older gradients steer",
                {"(0.0, 0.9)": "(0.9, 0.99)"},
                why="One large gradient decides the signs of the small ones that come after it.",
                ask="What must beta1 be for the sign to be that of g?",
            ),
            edit(
                "the gradient before has a say",
                {"(0.0, 0.9)": "(0.9, 0.0)"},
                why="With beta2 = 0 the mean that is kept is the gradient before, and it is mixed into the sign.",
                ask="Which beta mixes m into what the sign is taken of?",
            ),
            edit(
                "the newest gradient has no say",
                {"(0.0, 0.9)": "(1.0, 0.9)"},
                why="With beta1 = 1 the sign is that of the mean that is kept; the first step does not move.",
                ask="With which weight does g enter what the sign is taken of?",
            ),
            edit(
                "m stays 0",
                {"(0.0, 0.9)": "(1.0, 1.0)"},
                why="With beta2 = 1 nothing enters m, and with beta1 = 1 the step has the sign of m: nothing moves.",
                ask="With which weight does g enter what the sign is taken of?",
            ),
            edit(
                "the sign is that of the gradient before",
                {"(0.0, 0.9)": "(1.0, 0.0)"},
                why="With beta2 = 0 the gradient before is kept, and with beta1 = 1 its sign is the step.",
                ask="With which weight does g enter what the sign is taken of?",
            ),
        ],
        _watch_sign_descent,
        secret=True,
    ),
]
RULES_AFTER_ADAM = [_rule(name) for name in CATALOGS if name not in ASKED]
