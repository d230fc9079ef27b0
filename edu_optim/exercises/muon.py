"""What goes wrong in public code of Muon."""

from . import lesson_09
from .after_adam import NO_DECAY, decays_after, moved
from .exercise import convention, edit

VELOCITY, LOOK = "b = momentum * b + (1 - momentum) * g", "u = momentum * b + (1 - momentum) * g if nesterov else b"
SUMMED = "u = momentum * b + g if nesterov else b"  # where b is a sum
ADDED = "((x * x).sum((-2, -1), keepdim=True) ** 0.5 + eps)"
LENGTH = "((x * x).sum((-2, -1), keepdim=True) ** 0.5).clamp(min=eps)"
STEP = "    p = p - lr * stretch(p.shape, adjust_lr_fn) * o  # (5) the step\n"
DECAY = "    p = p - lr * weight_decay * p  # (4) decay\n"
JORDAN = "return max(1, rows / columns) ** 0.5"
SCALED, TURNED = "lr * stretch(p.shape, adjust_lr_fn) * o", "return x.mT if u.shape[-2] > u.shape[-1] else x"
BACK = "return (x.mT if u.shape[-2] > u.shape[-1] else x).to(u.dtype)"
SHARED = ["the decay is not multiplied by lr", "the decay makes the weights grow"]


def rounded(name, places, *, why):
    """An iteration in bfloat16, as a convention, whether eps is the least length or added to it.

    Args:
        name: of the convention.
        places: what else it edits.
        why: whose it is.

    >>> rounded("the iteration is rounded", {}, why="So it is in torch.").kind
    'convention'
    """
    start, length = "x = u.mT if u.shape[-2] > u.shape[-1] else u", "(x.norm(dim=(-2, -1), keepdim=True)"
    places = {start: "x = u.bfloat16()\n    x = x.mT if u.shape[-2] > u.shape[-1] else x", **places}
    return convention(
        name,
        {LENGTH: f"{length}.clamp(min=eps))", **places},
        {ADDED: f"{length} + eps)", **places},
        why=f"{why} bfloat16 keeps two to three digits; the rule keeps all that its weights have.",
        ask="The products take less time on a GPU, and a step needs few digits. Which do you want to match?",
    )


MUON = [
    *moved("stretch"),
    *(entry for entry in lesson_09.CATALOG if entry.name in SHARED),
    edit("nothing decays", {DECAY: ""}, why="This is the rule without its decay.", ask=NO_DECAY),
    edit(
        "the decay goes through the gradient",
        {f"    {VELOCITY}": f"    g = g + weight_decay * p\n    {VELOCITY}", DECAY: ""},
        why="It is added to the gradient and made orthogonal with it, so its size is lost.",
        ask="By how much does a weight shrink in a step here, and does that depend on weight_decay?",
    ),
    edit(
        "the iteration is the cubic one",
        {"k1, k3, k5 = ns_coefficients": "k1, k3, k5 = 1.5, -0.5, 0.0"},
        why="Its coefficients are 1.5, -0.5 and 0; after few steps small singular values are still small.",
        ask="Which three coefficients does the rule take?",
    ),
    edit(
        "the matrix is not scaled first",
        {f"    x = x / {LENGTH}": "    x = 1.0 * x"},
        why="Large singular values grow without end, and small ones stay small.",
        ask="Which length of a matrix is never below its largest singular value?",
    ),
    edit(
        "it is divided by the sum of squares",
        {LENGTH: "(x * x).sum((-2, -1), keepdim=True).clamp(min=eps)"},
        why="The root is missing, so the start depends on the scale of the matrix.",
        ask="If the matrix is ten times as long, by what does what you divide by grow?",
    ),
    edit(
        "nothing is made orthogonal",
        {"o = orthogonal(u, ns_coefficients, ns_steps, eps)": "o = u"},
        why="The step is the mean gradient, as in momentum.",
        ask="What should the singular values of a step be?",
    ),
    edit(
        "the mean gradient is only divided by its length",
        {"o = orthogonal(u, ns_coefficients, ns_steps, eps)": f"o = u / {LENGTH.replace('x', 'u')}"},
        why="This is `length alone` of the lesson: all its singular values are divided by one number.",
        ask="What should the singular values of a step be?",
    ),
    edit(
        "it is made orthogonal all the way",
        {"orthogonal(u, ns_coefficients, ns_steps, eps)": "orthogonal(u, (1.5, -0.5, 0.0), 60, eps)"},
        why="All singular values are 1; five iterations of the rule leave them between 0.68 and 1.21, or below.",
        ask="Which function of the lesson should be called, and what does it make of a singular value of 1?",
    ),
    edit(
        "the gradient is made orthogonal, not its mean",
        {"o = orthogonal(u,": "o = orthogonal(g,"},
        why="Older gradients have no say.",
        ask="You keep a mean; where is it used?",
    ),
    edit(
        "the newest gradient counts once",
        {LOOK: "u = b"},
        {SUMMED: "u = b"},
        why="The step is that of the mean, without Nesterov's look ahead.",
        ask="How often does the newest gradient enter what is made orthogonal, and how often should it?",
    ),
    edit(
        "the look ahead is kept as the mean",
        {"u = momentum * b + (1 - momentum) * g if": "u = b = momentum * b + (1 - momentum) * g if"},
        why="The newest gradient has entered b twice when the next step begins.",
        ask="Which of b and u goes into the next step's running mean?",
    ),
    edit(
        "momentum and 1 - momentum have changed places",
        {
            VELOCITY: "b = (1 - momentum) * b + momentum * g",
            LOOK: "u = (1 - momentum) * b + momentum * g if nesterov else b",
        },
        why="The mean hardly remembers anything.",
        ask="With momentum = 0.95, how much of the old mean should be kept?",
    ),
    edit(
        "nothing is remembered from step to step",
        {VELOCITY: "b = (1 - momentum) * g"},
        why="Each step is taken as if there had been no gradient before it.",
        ask="Which line uses the old value of b?",
    ),
    edit(
        "the step is not scaled for its shape",
        {"lr * stretch(p.shape, adjust_lr_fn) * o": "lr * o"},
        why="A tall matrix takes the same step as a wide one.",
        ask="By what does the rule multiply the step of a matrix of 8 rows and 2 columns?",
    ),
    edit(
        "rows and columns have changed places",
        {"rows / columns": "columns / rows"},
        why="Wide matrices take the longer steps, where tall ones should.",
        ask="Is the weight of a torch.nn.Linear(2, 8) tall or wide, and what is its factor?",
    ),
    edit(
        "the scale for the shape lacks its root",
        {JORDAN: "return max(1, rows / columns)"},
        why="A matrix with four times as many rows as columns takes a step four times as long, and not twice.",
        ask="Which power of rows / columns is the factor?",
    ),
    edit(
        "wide matrices take shorter steps",
        {JORDAN: "return (rows / columns) ** 0.5"},
        why="The factor is below 1 for them, and should never be.",
        ask="What is the factor for a matrix with fewer rows than columns?",
    ),
    convention(
        "every step is scaled for its longer side",
        {JORDAN: "return 0.2 * max(rows, columns) ** 0.5"},
        why="So it is in J. Liu et al. 2025, and in torch with adjust_lr_fn='match_rms_adamw'.",
        ask="The two differ by a factor for each shape. Which do you want to match?",
    ),
    convention(
        "eps is added to the length",
        {LENGTH: ADDED},
        why="So it is in Jordan's code; in torch it is the least length.",
        ask="They differ most where a mean gradient is hardly longer than eps. Which do you want to match?",
    ),
    convention(
        "b is a sum, and not a mean",
        {VELOCITY: "b = momentum * b + g", LOOK: SUMMED},
        why="So it is in momentum as torch's SGD has it. Its length is divided out of the step; b itself is larger.",
        ask="By what is a sum of equal gradients, each fading by momentum, larger than their mean?",
    ),
    edit(
        "the decay is scaled for the shape, too",
        {DECAY: "", SCALED: "lr * stretch(p.shape, adjust_lr_fn) * (o + weight_decay * p)"},
        why="A tall matrix decays faster than a wide one.",
        ask="By which factor should a weight be multiplied in a step, apart from what is orthogonal?",
    ),
    decays_after({DECAY: "", STEP: STEP + DECAY}, whose="torch"),
    rounded("the iteration is rounded to bfloat16", {TURNED: BACK}, why="So it is in J. Liu et al. 2025."),
    rounded(
        "the iteration is rounded to bfloat16, with addmm",
        {
            TURNED: BACK,
            "x = k1 * x + (k3 * xx + k5 * xx @ xx) @ x": "x = x.addmm(xx.addmm(xx, xx, beta=k3, alpha=k5), x, beta=k1)",
        },
        why="So it is in torch.",
    ),
    rounded(
        "the iteration and its scale are rounded to bfloat16",
        {SCALED: "lr * (stretch(p.shape, adjust_lr_fn) * o).to(p.dtype)"},
        why="So it is in Jordan's code.",
    ),
    rounded(
        "the iteration and the step are rounded to bfloat16",
        {},
        why="The step too is a product in bfloat16, of lr and what comes out of the iteration.",
    ),
]
