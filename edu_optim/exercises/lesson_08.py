"""Lesson 08, Adam: its exercises, their hints, and the answers that go wrong."""

import torch

from .. import rules
from .exercise import Exercise, at, convention, edit, instead

RULES = {
    "adam": [
        "Where will the two means and the count of a parameter wait between two steps? `self.state[p]` is a dict.",
        "At the first step of a parameter its state is empty: put zeros and a count of 0 there. The lesson's rule then "
        "says what to do with them, and it is still in your notebook.",
        "For each group and each p whose grad is not None: raise the count, call the rule with the buffers, "
        "copy the new numbers into p and into the buffers. All of it without recording a graph.",
    ],
    "amsgrad": [
        "Adam's denominator can shrink. Which quantity would have to be kept so that it cannot?",
        "`maximum(v_max, v)` is that quantity; it is a buffer like the others.",
        "torch corrects the maximum, and goes on with the plain running mean.",
    ],
}

M, V, LARGEST = "m / (1 - beta1**t)", "v / (1 - beta2**t)", "v_max / (1 - beta2**t)"
FIRST_T = "What is t when the very first gradient comes in?"
CATALOG = [
    edit(
        "lr is divided by the root of the step count",
        {"p - lr * m_hat": "p - lr / t**0.5 * m_hat"},
        why="The proofs of Kingma & Ba 2015 and of Reddi et al. 2018 let lr fall so; the rule takes lr as it comes.",
        ask="If a schedule already changes lr from step to step, by what is your step multiplied?",
    ),
    edit(
        "lr is divided by the step count",
        {"p - lr * m_hat": "p - lr / t * m_hat"},
        why="The steps shrink as 1/t; the rule takes lr as it comes.",
        ask="If a schedule already changes lr from step to step, by what is your step multiplied?",
    ),
    edit(
        "the means are not corrected",
        {M: "m", V: "v"},
        why="They start at zero and are used as they are, so the first step is too long: 3.16 lr at the usual betas.",
        ask="After one step m is (1 - beta1) g; by what must you divide it to get g back?",
    ),
    convention(
        "nothing is corrected",
        {M: "m", LARGEST: "v_max"},
        why="So AMSGrad is printed by Reddi et al. 2018; torch corrects as Adam does.",
        ask="Both agree after some thousand steps. Which do you want to match?",
    ),
    edit(
        "only the mean gradient is corrected",
        {V: "v"},
        {LARGEST: "v_max"},
        why="The numerator is right and the denominator starts far too small.",
        ask="Which of the two means needs more help at the first step, the one with beta1 or the one with beta2?",
    ),
    edit(
        "only the mean square is corrected",
        {M: "m"},
        why="The first steps are too short: (1 - beta1) lr at the start.",
        ask="If every gradient were 1, what would m be after the first step, and what should its estimate of the "
        "mean be?",
    ),
    edit(
        "the correction has no power",
        {"beta1**t": "beta1", "beta2**t": "beta2"},
        why="It divides by 1 - beta and not by 1 - beta**t: right at the first step, and it never fades.",
        ask="By how much is a mean over the last hundred gradients still pulled towards zero?",
    ),
    edit(
        "the power in the correction is always 2",
        {"beta1**t": "beta1**2", "beta2**t": "beta2**2"},
        why="beta is squared at every step, so it is right at the second step and nowhere else.",
        ask="Which number should stand in the exponent at step 7?",
    ),
    edit(
        "the means are multiplied by their correction",
        {M: "m * (1 - beta1**t)", V: "v * (1 - beta2**t)"},
        {M: "m * (1 - beta1**t)", LARGEST: "v_max * (1 - beta2**t)"},
        why="They should be divided by 1 - beta**t; this doubles the error.",
        ask="A mean that came out too small: does it need a factor above or below one?",
    ),
    edit(
        "the two corrections are swapped",
        {M: "m / (1 - beta2**t)", V: "v / (1 - beta1**t)"},
        {M: "m / (1 - beta2**t)", LARGEST: "v_max / (1 - beta1**t)"},
        why="Each mean is corrected with the beta of the other.",
        ask="Which beta made m, and which one v?",
    ),
    edit(
        "the step count is one ahead",
        {"beta1**t": "beta1 ** (t + 1)", "beta2**t": "beta2 ** (t + 1)"},
        why="The first step is corrected as if it were the second.",
        ask=FIRST_T,
    ),
    edit(
        "the steps are counted from zero",
        {"beta1**t": "beta1 ** (t - 1)", "beta2**t": "beta2 ** (t - 1)"},
        why="The first correction divides by 1 - beta**0, which is nothing.",
        ask=FIRST_T,
    ),
    convention(
        "eps is not corrected",
        {"(v_hat**0.5 + eps)": "(v_hat**0.5 + eps / (1 - beta2**t) ** 0.5)"},
        why="This is the shortcut at the end of section 2 of Kingma & Ba 2015, TensorFlow's, and that of Stanford's "
        "CS336: "
        "eps meets the uncorrected root.",
        ask="Their eps is torch's times the root of 1 - beta2**t. Which do you want to match?",
    ),
    convention(
        "eps sits inside the root and is not corrected",
        {"(v_hat**0.5 + eps)": "(v_hat + eps / (1 - beta2**t)) ** 0.5"},
        why="eps meets the uncorrected mean square; torch adds it to the corrected root.",
        ask="Where gradients are small, the root of eps does here what eps does there. Which do you want to match?",
    ),
    edit(
        "the step divides by the mean square, not by its root",
        {"v_hat**0.5": "v_hat"},
        why="Small gradients take huge steps.",
        ask="If all gradients were ten times as large, by what factor would m_hat grow, and by what factor v_hat?",
    ),
    edit(
        "the second mean is of the gradients, not of their squares",
        {"(1 - beta2) * g**2": "(1 - beta2) * g"},
        why="It can be negative, and then its root is nan.",
        ask="Which power of g belongs into v, so that v never loses its sign?",
    ),
    edit(
        "the mean gradient is a fading sum, not a mean",
        {"(1 - beta1) * g ": "g "},
        why="The gradient enters m at full weight, so m is up to 1 / (1 - beta1) times too large.",
        ask="The weights of a mean add up to one; what do beta1 and 1 add up to?",
    ),
    edit(
        "beta and 1 - beta have changed places",
        {"beta1 * m + (1 - beta1)": "(1 - beta1) * m + beta1", "beta2 * v + (1 - beta2)": "(1 - beta2) * v + beta2"},
        why="Both means hardly remember anything.",
        ask="With beta1 = 0.9, how much of the old mean should be kept?",
    ),
    edit(
        "the betas are swapped",
        {"beta1, beta2 = betas": "beta2, beta1 = betas"},
        why="Each mean fades with the other's beta: the gradient is remembered for long and its square hardly at all.",
        ask="Which of the two should follow the newest gradients more closely, the direction or the scale?",
    ),
    edit(
        "the newest gradient stands on top",
        {"lr * m_hat": "lr * g"},
        why="The step uses the gradient where its mean belongs: this is RMSprop with a correction.",
        ask="You keep m up to date; where is it used?",
    ),
    edit(
        "the corrected means are kept as the buffers",
        {"m_hat = m /": "m = m_hat = m /", "v_hat = v /": "v = v_hat = v /"},
        why="The next step corrects what has been corrected already.",
        ask="Which of m and m_hat goes into the next step's running mean?",
    ),
    edit(
        "the corrected mean gradient is kept as the buffer",
        {"m_hat = m /": "m = m_hat = m /"},
        why="The next step corrects once more what has been corrected already; v is kept as it should be.",
        ask="Which of m and m_hat goes into the next step's running mean?",
    ),
    edit(
        "the corrected mean square is kept as the buffer",
        {"v_hat = v /": "v = v_hat = v /"},
        why="The next step corrects once more what has been corrected already; m is kept as it should be.",
        ask="Which of v and v_hat goes into the next step's running mean?",
    ),
    convention(
        "the maximum is taken after the correction",
        {"v_max = maximum(v_max, v)": f"v_max = maximum(v_max, {V})", LARGEST: "v_max"},
        why="torch takes the largest mean square, then corrects it; Keras and others correct first.",
        ask="They may never agree: a large early gradient stays in the maximum of one and not of the other. Which do "
        "you want to match?",
    ),
    edit(
        "the denominator is Adam's",
        {LARGEST: V},
        why="The step divides by the present mean square: the largest one is not used, or is not kept.",
        ask="Which of v and v_max keeps the denominator from shrinking?",
    ),
    edit(
        "the running mean goes on from the maximum",
        {"v_max = maximum(v_max, v)": "v = v_max = maximum(v_max, v)"},
        why="v itself can never shrink again.",
        ask="Which of v and v_max is the running mean?",
    ),
]


def step_after_silence(beta1, beta2):
    return (1 - beta1) / (1 - beta2) ** 0.5


def _longest_of_a_jump(beta1, beta2):
    return max((1 - beta1**k) / (1 - beta2**k) ** 0.5 for k in range(1, 2000))


def disguise(name, lr, t):
    if name == "sign descent":
        return {"lr": lr, "betas": (0, 0), "eps": 0}
    return {"lr": lr / t**0.5, "betas": (0, 1 - 1e-9), "eps": 0}


def _watch_disguise(answer):
    for name, lr, steps in [("sign descent", 0.13, 5), ("Adagrad", 0.37, 40)]:
        draw = torch.Generator().manual_seed(8)
        p = m = v = torch.zeros(3, dtype=torch.float64)
        for t in range(1, steps + 1):
            g = torch.randn(3, generator=draw, dtype=torch.float64) * 30 ** (t % 3)
            before = p
            p, m, v = rules.adam(p, g, m, v, t=t, **dict(answer(name, lr, t)))
            yield f"as {name}, step {t}", p - before


def suspects():
    return dict(LINEUP)


LINEUP = {"A": "m undamped", "B": "no root", "C": "corrects v only"}
LINEUP |= {"D": "betas swapped", "E": "no correction", "F": "gradient on top"}


def lineup():
    """Six wrong Adams without their names: a letter -> a rule with Adam's arguments.

    >>> wrong = lineup()["A"]
    >>> wrong(0.0, 1.0, 0.0, 0.0, t=1, lr=0.5, betas=(0.5, 0.75), eps=0)[1]
    1.0
    """

    def wrong(letter):
        def rule(p, g, m, v, *, t, lr, betas, eps):
            beta1, beta2 = betas if letter != "D" else betas[::-1]
            m = beta1 * m + (g if letter == "A" else (1 - beta1) * g)
            v = beta2 * v + (1 - beta2) * g**2
            m_hat = g if letter == "F" else m if letter in "CE" else m / (1 - beta1**t)
            v_hat = v if letter == "E" else v / (1 - beta2**t)
            return p - lr * m_hat / ((v_hat if letter == "B" else v_hat**0.5) + eps), m, v

        return rule

    return {letter: wrong(letter) for letter in LINEUP}


def _watch_suspects(answer):
    named = answer()
    yield "letters that your dict lacks", sorted(LINEUP.keys() - named.keys())
    for letter in sorted(named):
        mistake = str(named[letter]).partition("(")[0].strip().lower()
        known = mistake in LINEUP.values()
        yield f"suspect {letter}", mistake if known else f"{named[letter]!r}, which is none of the six"


EXERCISES = [
    Exercise(
        "step_after_silence",
        step_after_silence,
        [
            "After a long silence m and v are zero, and both corrections are over. Now one gradient g comes.",
            "m is (1 - beta1) * g, v is (1 - beta2) * g**2. What is m over the root of v?",
        ],
        [
            edit(
                "the very first step",
                {"(1 - beta1) / (1 - beta2) ** 0.5": "1.0"},
                why="There the corrections undo the emptiness; after a silence t is large.",
                ask="What are 1 - beta1**t and 1 - beta2**t after a thousand steps?",
            ),
            edit(
                "the longest step that any gradients can make",
                {"(1 - beta2) ** 0.5": "((1 - beta2) * (1 - beta1**2 / beta2)) ** 0.5"},
                why="This is the limit of Deeper, which takes many growing gradients; here a single one comes.",
                ask="Before this gradient m and v are 0. What are they after it?",
            ),
            instead(
                "the longest step of a gradient that stays",
                _longest_of_a_jump,
                why="After the silence the same gradient comes again and again, and later steps are longer.",
                ask="How long is the step at the first gradient?",
            ),
            edit(
                "v where its root belongs",
                {"(1 - beta2) ** 0.5": "(1 - beta2)"},
                why="The step divides by the root of v.",
                ask="With beta2 = 0.999 and a gradient of 1, v is 0.001. What is its root?",
            ),
            edit(
                "RMSprop's burst",
                {"(1 - beta1) /": "1 /"},
                why="In Adam the newest gradient enters m at the weight 1 - beta1.",
                ask="After one gradient of 1, what is m?",
            ),
            edit(
                "beta in the place of 1 - beta",
                {"(1 - beta1)": "beta1", "(1 - beta2)": "beta2"},
                why="beta is what a mean keeps; what enters it is the rest.",
                ask="After one gradient of 1, with a mean of 0 before it, what is m?",
            ),
        ],
        at("step_after_silence", (0.87, 0.983), (0.41, 0.92), (0.0, 0.97)),
        secret=True,
    ),
    Exercise(
        "disguise",
        disguise,
        [
            "For the sign: neither mean may remember anything.",
            "For Adagrad: m remembers nothing and v everything, so beta2 is as close to 1 as you like, such as 1 - "
            "1e-9. "
            "Then the corrected v is the mean of all squares so far, and Adagrad wants their sum.",
            "A sum of t squares is t times their mean, and the root makes it sqrt(t): let lr take that in.",
        ],
        [
            edit(
                "as Adagrad it divides by the root of the mean square",
                {"lr / t**0.5": "lr"},
                why="The sign descent is right. Adagrad has the sum of the squares.",
                ask="How many times the mean of t squares is their sum?",
            ),
            edit(
                "as Adagrad the steps shrink as 1/t",
                {"lr / t**0.5": "lr / t"},
                why="The sign descent is right; the other one brakes too fast.",
                ask="The sum is t times the mean; what becomes of that t under the root?",
            ),
            edit(
                "old gradients still steer",
                {"(0, 0)": "(0.9, 0)", "(0, 1 - 1e-9)": "(0.9, 1 - 1e-9)"},
                why="Both have Adam's usual beta1.",
                ask="Which beta makes m the newest gradient and nothing else?",
            ),
            edit(
                "as sign descent its steps are not a number",
                {"(0, 0)": "(0, 1)"},
                why="As Adagrad they are right.",
                ask="With beta2 = 1 nothing enters v, and 1 - beta2**t is 0. Which beta2 makes v the newest square?",
            ),
            edit(
                "as Adagrad its steps are not a number",
                {"1 - 1e-9": "1"},
                why="The sign descent is right.",
                ask="With beta2 = 1 nothing enters v, and 1 - beta2**t is 0. How close to 1 is close enough?",
            ),
            edit(
                "Adagrad's memory fades",
                {"1 - 1e-9": "0.999"},
                why="With Adam's usual beta2 = 0.999 old squares count for less, and Adagrad forgets nothing.",
                ask="Which beta2 gives all squares nearly the same weight?",
            ),
        ],
        _watch_disguise,
        rtol=1e-3,
        secret=True,
    ),
    Exercise(
        "suspects",
        suspects,
        [
            "Begin with one gradient of 1, then more of the same. Three of the six give themselves away at the first "
            "step.",
            "For the other three a gradient of 1 hides everything: 1 is its own square and its own root. Try 10.",
            "A change of direction tells the last two apart: one forgets the old direction at once, the other hardly "
            "at all.",
        ],
        [
            instead(
                "D and F have changed places",
                lambda: {**LINEUP, "D": LINEUP["F"], "F": LINEUP["D"]},
                why="The other four are right.",
                ask="Which of the two still follows the old direction after the gradient has turned round?",
            ),
        ],
        _watch_suspects,
        secret=True,
    ),
]
