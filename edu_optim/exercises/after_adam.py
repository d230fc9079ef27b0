"""What goes wrong in public code of NAdam and RAdam, and what the rules after Adam share."""

from . import adam, lesson_09
from .exercise import convention, edit

UP = "Between the gradient and the parameter a minus sign is missing, or there is one too many."
UP_ASK = "The gradient points uphill; how many minus signs must stand between it and the parameter?"
UNUSED = "The steps are as long as they would be at a learning rate of 1."
UNUSED_ASK = "Where does lr stand in the formula?"


def moved(*steps):
    """Steps that go uphill, and steps without lr, for a text that has ``- lr *`` in front of these.

    >>> moved("g")[1].edits
    ({'- lr * g': '- g'},)
    """
    return [
        edit("the steps go uphill", {f"- lr * {step}": f"+ lr * {step}" for step in steps}, why=UP, ask=UP_ASK),
        edit("lr is not used", {f"- lr * {step}": f"- {step}" for step in steps}, why=UNUSED, ask=UNUSED_ASK),
    ]


def decays_after(*edits, whose):
    """The decay after the step, as a convention.

    >>> decays_after({"a": "b"}, whose="torch").kind
    'convention'
    """
    return convention(
        "the decay comes after the step",
        *edits,
        why=f"It shrinks the new weight, this step included; {whose} shrinks the old one.",
        ask="The two differ by lr * weight_decay times the step. Which do you want to match?",
    )


NO_DECAY = "What happens to a weight whose gradient is always zero?"
SHARED = [
    "the step divides by the mean square, not by its root",
    "the second mean is of the gradients, not of their squares",
    "the betas are swapped",
    "beta and 1 - beta have changed places",
]
SQUARE = [
    *(entry for entry in adam.CATALOG if entry.name in SHARED),
    edit(
        "the mean square is not corrected",
        {"v / (1 - beta2**t)  # (6)": "v  # (6)"},
        {"v / (1 - beta2**t)  # (2)": "v  # (2)"},
        {" * (1 - beta2**t) ** 0.5": ""},
        why="It starts at zero and is used as it is, so what the step is divided by is too small at first.",
        ask="After one step v is (1 - beta2) g**2; by what must you divide it to get g**2 back?",
    ),
]

MU, NEXT = "beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))", "beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))"
AHEAD, NEWEST = "mu_next * m / (mu_next * c + (1 - mu_next))", "(1 - mu) * g / c"
NADAM = [
    *moved("m_hat"),
    *SQUARE,
    edit(
        "the correction of the mean lacks the next factor",
        {AHEAD: "mu_next * m / c"},
        why="The mean is multiplied by the factor of the next step, and its correction stops at this one.",
        ask="Which factors are on the oldest gradient once the mean has been multiplied by the next one?",
    ),
    edit(
        "the factor of this step stands where that of the next belongs",
        {f"mu_next = {NEXT}": "mu_next = mu"},
        why="The look ahead is weighted as this step is, and the factor will have risen by the next.",
        ask="At which step will the mean be used that the look ahead is a guess of?",
    ),
    edit(
        "the newest gradient counts once",
        {f"{AHEAD} + {NEWEST}": "m / (1 - beta1**t)"},
        why="The step follows Adam's corrected mean, without a look ahead.",
        ask="Where does Nesterov's rule use the gradient a second time?",
    ),
    edit(
        "beta1 stands where its schedule belongs",
        {MU: "beta1", NEXT: "beta1"},
        why="The factor is the same at every step; in the rule it begins at about half of beta1 and rises.",
        ask="What is the factor at the first step with a momentum_decay of 0.004?",
    ),
    edit(
        "momentum_decay is not used",
        {"(t * momentum_decay)": "t", "((t + 1) * momentum_decay)": "(t + 1)"},
        why="The factor rises as fast as it would with a momentum_decay of 1.",
        ask="Where does momentum_decay stand in the factor?",
    ),
    edit(
        "the factor rises from zero, not from half of beta1",
        {"1 - 0.5 * 0.96": "1 - 0.96"},
        why="A half is missing in the schedule.",
        ask="What is 1 - 0.96 ** (t * momentum_decay) for a small t?",
    ),
    edit(
        "the newest gradient is not corrected",
        {NEWEST: "(1 - mu) * g"},
        why="Of the two parts only the mean is corrected.",
        ask="With a gradient of 1 at the first step, what should its part be?",
    ),
    edit(
        "1 - beta1 stands where 1 - mu belongs",
        {NEWEST: "(1 - beta1) * g / c"},
        why="The newest gradient has the weight of a mean whose factor never changes.",
        ask="With which weight does the newest gradient enter a mean that fades by mu?",
    ),
    convention(
        "the factor does not rise, and both parts are corrected alike",
        {
            f"mu = {MU}": "mu = beta1",
            f"mu_next = {NEXT}": "mu_next = beta1",
            "m = beta1 * m + (1 - beta1) * g": "m = (1 - beta1) * g + beta1 * m",
            f"{AHEAD} + {NEWEST}": "(beta1 * m + (1 - beta1) * g) / c",
        },
        why="So it is in Ruder 2016, An overview of gradient descent optimization algorithms; torch has Dozat's "
        "schedule, and corrects the mean for the next factor too.",
        ask="With which factor will the mean be used, and how large is it at first? Which do you want to match?",
    ),
    convention(
        "the mean fades by the schedule too",
        {"m = beta1 * m + (1 - beta1) * g": "m = mu * m + (1 - mu) * g"},
        why="So it is in Dozat 2016; torch lets m fade by beta1 itself.",
        ask="The two differ less and less as the schedule nears beta1. Which do you want to match?",
    ),
]
# Of a class: places in the text of `edu_optim.exercises.around.Reference`.
EVERY, COUNTED = "        for group in self.param_groups:\n", '                t = state["t"]\n'
MOVED = "                p.copy_(new)\n"
ONE_PRODUCT = [
    edit(
        "one product of the betas serves all parameters, and each multiplies it",
        {
            COUNTED: f'{COUNTED}                state["c"] = getattr(self, "c", 0.0)\n',
            MOVED: f'                self.c = state["c"]\n{MOVED}',
        },
        why="After one step of two parameters it holds two factors.",
        ask="If a model has a hundred parameters, how many factors are in it after one call of step()?",
    ),
    convention(
        "one product of the betas serves all parameters",
        {
            EVERY: f'{EVERY}            before = group.get("c", 0.0)\n',
            COUNTED: f'{COUNTED}                state["c"] = before\n',
            MOVED: f'                group["c"] = state["c"]\n{MOVED}',
        },
        why="So it is in Keras; torch keeps one for each parameter.",
        ask="The two differ where a gradient is missing or comes late. To convert, keep it in the state of each.",
    ),
]

EARLY = "return p - lr * m_hat, m, v"
ROOT = "((n - 4) * (n - 2) * most / ((most - 4) * (most - 2) * n)) ** 0.5"
RADAM = [
    *moved("m_hat, m, v", "r * m_hat"),
    *SQUARE,
    edit(
        "the caution is missing",
        {"lr * r * m_hat": "lr * m_hat"},
        why="As soon as the mean square is used, the steps are as long as Adam's.",
        ask="What should multiply the first step that divides by the mean square?",
    ),
    edit(
        "the mean square is used from the first step, without caution",
        {"n <= 5": "False", ROOT: "1.0"},
        why="These are Adam's steps.",
        ask="On how many gradients does v rest at the first step?",
    ),
    edit(
        "the caution lacks its root",
        {ROOT: ROOT.removesuffix(" ** 0.5")},
        why="It is squared, so the steps grow later than they should.",
        ask="Is r a ratio of variances or of standard deviations, and which of them scales a step?",
    ),
    edit(
        "the caution is upside down",
        {ROOT: "((most - 4) * (most - 2) * n / ((n - 4) * (n - 2) * most)) ** 0.5"},
        why="It is above 1, and largest at the first step that divides by the mean square.",
        ask="Should the caution rise to 1 or fall to it?",
    ),
    edit(
        "the early steps follow the mean as it is",
        {EARLY: "return p - lr * m, m, v"},
        why="While the mean square is not used, the mean gradient is not corrected.",
        ask="After one step m is (1 - beta1) g; by what must it be divided?",
    ),
    edit(
        "the early steps follow the newest gradient",
        {EARLY: "return p - lr * g, m, v"},
        why="While the mean square is not used, nothing older steers.",
        ask="Which of your quantities is the direction before the mean square is used, and which after?",
    ),
    edit(
        "the mean gradient is not corrected",
        {"m_hat = m / (1 - beta1**t)": "m_hat = m"},
        why="It starts at zero and is used as it is, so the first steps are too short.",
        ask="After one step m is (1 - beta1) g; by what must you divide it to get g back?",
    ),
    edit(
        "the number of gradients that v can rest on is one too large",
        {"2 / (1 - beta2) - 1": "2 / (1 - beta2)"},
        why="It is 2 / (1 - beta2) here, and n comes out one too large with it.",
        ask="On how many gradients does a mean with beta2 = 0 rest?",
    ),
    edit(
        "n lacks a factor of 2",
        {"2 * t * beta2**t": "t * beta2**t"},
        why="What is taken off is half of what should be.",
        ask="At t = 1, when v rests on one gradient, what should n be?",
    ),
    convention(
        "the mean square is used from n = 4 on",
        {"n <= 5": "n <= 4"},
        why="So it is in Liu et al. 2020; torch waits until n is above 5.",
        ask="They differ at a step or two, early on. Which do you want to match?",
    ),
    convention(
        "no step is taken until the mean square is used",
        {EARLY: "return p, m, v"},
        why="So the authors' code does with degenerated_to_sgd=False; torch steps by the mean gradient meanwhile.",
        ask="In which of the two do the first few steps count?",
    ),
    convention(
        "eps is added to the corrected root",
        {" * (1 - beta2**t) ** 0.5 / (v**0.5 + eps)": " / ((v / (1 - beta2**t)) ** 0.5 + eps)"},
        why="So it is in Adam; in torch's RAdam eps meets the uncorrected root.",
        ask="torch's eps is yours times the root of 1 - beta2**t. Which do you want to match?",
    ),
]
RADAM_DECOUPLED = [
    *RADAM,
    *lesson_09.CATALOG,
    decays_after(
        {
            lesson_09.DECAY: "",
            "return radam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)  # (2) RAdam": (
                "p, *rest = radam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)\n"
                "    return p - lr * weight_decay * p, *rest"
            ),
        },
        whose="torch",
    ),
]
