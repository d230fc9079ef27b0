"""Lesson 08, Adam: its exercises, their hints, and the answers that go wrong."""

from itertools import combinations

import torch

from .. import rules
from . import adam
from .exercise import Exercise, at, edit, instead

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
CATALOG = adam.CATALOG


def step_after_silence(beta1, beta2):
    return (1 - beta1) / (1 - beta2) ** 0.5


def _longest_of_a_jump(beta1, beta2):
    return max((1 - beta1**k) / (1 - beta2**k) ** 0.5 for k in range(1, 2000))


def disguise(name, lr, t):
    if name == "sign descent":
        return {"lr": lr, "betas": (0.0, 0.0), "eps": 0}
    return {"lr": lr / t**0.5, "betas": (0.0, 1 - 1e-9), "eps": 0}


def _watch_disguise(answer):
    for name, lr, steps in [("sign descent", 0.13, 5), ("Adagrad", 0.37, 500)]:
        draw = torch.Generator().manual_seed(8)
        p = m = v = torch.zeros(3, dtype=torch.float64)
        for t in range(1, steps + 1):
            g = torch.randn(3, generator=draw, dtype=torch.float64) * 30 ** (t % 3) / t
            before = p
            p, m, v = rules.adam(p, g, m, v, t=t, **dict(answer(name, lr, t)))
            if t <= 40 or t == steps:
                yield f"as {name}, step {t}", p - before


def suspects():
    return dict(LINEUP)


LINEUP = {"A": "m undamped", "B": "no root", "C": "corrects v only"}
LINEUP |= {"D": "betas swapped", "E": "no correction", "F": "gradient on top"}

IN_OTHER_WORDS = {"m is a sum": "m undamped", "g in the place of m": "gradient on top"}


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
    mistakes = {}
    for letter in sorted(named):
        words = str(named[letter]).partition("(")[0].replace("-", " ").replace("_", " ").strip(" *.").lower()
        mistakes[letter] = words = IN_OTHER_WORDS.get(words, words)
        if words not in LINEUP.values():
            yield f"suspect {letter}", f"{named[letter]!r}, which is none of the six"
    right = sum(mistakes.get(letter) == LINEUP[letter] for letter in LINEUP)
    yield "right", f"{right} of the six"
    yield from ((f"suspect {letter}", mistake) for letter, mistake in mistakes.items())


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
                "the second step after the silence",
                {"(1 - beta1) / (1 - beta2)": "(1 - beta1**2) / (1 - beta2**2)"},
                why="This is the step at the second of two equal gradients.",
                ask="How much of a single gradient of 1 has entered m?",
            ),
            edit(
                "the paper's bound for all gradients",
                {"(1 - beta1) / (1 - beta2) ** 0.5": "max(1.0, (1 - beta1) / (1 - beta2) ** 0.5)"},
                why="Kingma and Ba bound a step by lr times the larger of 1 and this; here a single gradient comes.",
                ask="With betas (0.9, 0.95), how long is the step?",
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
                "the betas are swapped",
                {"(1 - beta1) / (1 - beta2)": "(1 - beta2) / (1 - beta1)"},
                why="beta1 belongs to m, which stands on top, and beta2 to v.",
                ask="With beta1 = 0 and beta2 close to 1, is v large or small?",
            ),
            edit(
                "the root is taken of m, too",
                {"(1 - beta1) / (1 - beta2) ** 0.5": "((1 - beta1) / (1 - beta2)) ** 0.5"},
                why="One root stands over the whole fraction.",
                ask="Of m and v, which is a mean of squares?",
            ),
            edit(
                "it is not divided by the root of v",
                {" / (1 - beta2) ** 0.5": ""},
                why="This is what one gradient of 1 makes of m.",
                ask="With beta2 = 0.999 and a gradient of 1, v is 0.001. What is its root?",
            ),
            edit(
                "the change of the weight, with its sign",
                {"(1 - beta1) /": "-(1 - beta1) /"},
                why="After a positive gradient the weight does go down by so much; a length has no sign.",
                ask="How long is a step of -3?",
            ),
            edit(
                "beta in the place of 1 - beta",
                {"(1 - beta1)": "beta1", "(1 - beta2)": "beta2"},
                why="beta is what a mean keeps; what enters it is the rest.",
                ask="After one gradient of 1, with a mean of 0 before it, what is m?",
            ),
        ],
        at("step_after_silence", (0.9, 0.95), (0.41, 0.92), (0.0, 0.97)),
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
                "as Adagrad t is counted one too far",
                {"lr / t**0.5": "lr / (t + 1) ** 0.5"},
                why="The sign descent is right; t is 1 at the first step already.",
                ask="At step 1, how many squares are in Adagrad's sum?",
            ),
            edit(
                "as Adagrad the steps grow with t",
                {"lr / t**0.5": "lr * t**0.5"},
                why="The sign descent is right; the other one multiplies by the root of t.",
                ask="The sum is t times the mean; is a step larger or smaller for it?",
            ),
            *(
                edit(
                    f"{whose}old gradients still steer",
                    {betas: betas.replace("(0.0,", "(0.9,") for betas in places},
                    why=why,
                    ask="Which beta makes m the newest gradient and nothing else?",
                )
                for whose, places, why in (
                    ("", ("(0.0, 0.0)", "(0.0, 1 - 1e-9)"), "Both have Adam's usual beta1."),
                    ("as sign descent ", ("(0.0, 0.0)",), "It has Adam's usual beta1; as Adagrad it is right."),
                    ("as Adagrad ", ("(0.0, 1 - 1e-9)",), "It has Adam's usual beta1; the sign descent is right."),
                )
            ),
            edit(
                "as sign descent half of the past stays",
                {"(0.0, 0.0)": "(0.5, 0.5)"},
                why="With betas of 0.5 both means keep half of what they held; as Adagrad it is right.",
                ask="Which betas let in the newest gradient alone?",
            ),
            edit(
                "as sign descent old squares count",
                {"(0.0, 0.0)": "(0.0, 0.999)"},
                why="With Adam's usual beta2 = 0.999 v remembers; as Adagrad it is right.",
                ask="g over the root of what is the sign of g?",
            ),
            edit(
                "as Adagrad only the newest square counts",
                {"(0.0, 1 - 1e-9)": "(0.0, 0.0)"},
                why="With beta2 = 0 v forgets all the others, and Adagrad forgets nothing; the sign descent is right.",
                ask="Which beta2 gives all squares nearly the same weight?",
            ),
            edit(
                "as sign descent the steps shrink",
                {'return {"lr": lr,': 'return {"lr": lr / t**0.5,'},
                why="As Adagrad they are right; the other one keeps the length lr.",
                ask="How long should a step of the sign descent be at step 100?",
            ),
            edit(
                "the two ancestors have changed places",
                {'name == "sign descent"': 'name == "Adagrad"'},
                why="Each is right under the other's name.",
                ask="Which of the two has a memory?",
            ),
            edit(
                "as sign descent it is Adagrad",
                {'return {"lr": lr, "betas": (0.0, 0.0)': 'return {"lr": lr / t**0.5, "betas": (0.0, 1 - 1e-9)'},
                why="Adagrad itself is right.",
                ask='Which branch does the name "sign descent", in small letters, take?',
            ),
            edit(
                "as Adagrad it is sign descent",
                {"lr / t**0.5": "lr", "(0.0, 1 - 1e-9)": "(0.0, 0.0)"},
                why="The sign descent itself is right.",
                ask='Which branch does the name "Adagrad", with a capital, take?',
            ),
            edit(
                "this is Adam as it is",
                {"(0.0, 0.0)": "(0.9, 0.999)", "lr / t**0.5": "lr", "(0.0, 1 - 1e-9)": "(0.9, 0.999)"},
                why="Both have the usual betas and lr as it came.",
                ask="What should m remember, and what v, in each of the two?",
            ),
            edit(
                "as Adagrad the steps grow as t",
                {"lr / t**0.5": "lr * t"},
                why="The sign descent is right; the other one multiplies by t.",
                ask="The sum is t times the mean; is a step larger or smaller for it?",
            ),
            edit(
                "as Adagrad the betas are swapped",
                {"(0.0, 1 - 1e-9)": "(1 - 1e-9, 0.0)"},
                why="The sign descent is right; the other one remembers directions and forgets sizes.",
                ask="Which beta belongs to m, and which to v?",
            ),
            edit(
                "as Adagrad beta2 is 1 - 1/t",
                {"1 - 1e-9": "1 - 1 / t"},
                why="So v is the plain mean already, and Adam divides it by 1 - beta2**t all the same.",
                ask="Which beta2, the same at each step, makes the corrected v the plain mean?",
            ),
            *(
                edit(
                    "as sign descent eps is not small",
                    {'"betas": (0.0, 0.0), "eps": 0': f'"betas": (0.0, 0.0), "eps": {eps}'},
                    why="The step is g / (|g| + eps), which is the sign of g only where eps is small beside g.",
                    ask="What is left of g / (|g| + eps) if eps is 0?",
                )
                for eps in ("1.0", "0.1")
            ),
            edit(
                "as sign descent its steps are not a number",
                {"(0.0, 0.0)": "(0.0, 1.0)"},
                why="As Adagrad they are right.",
                ask="A beta of 1 lets nothing in, and 1 - beta**t is 0. Which betas let in the newest gradient alone?",
            ),
            edit(
                "as Adagrad its steps are not a number",
                {"1 - 1e-9": "1"},
                why="The sign descent is right.",
                ask="A beta of 1 lets nothing in, and 1 - beta**t is 0. How close to 1 is close enough?",
            ),
            *(
                edit(
                    "Adagrad's memory fades",
                    {"1 - 1e-9": beta2},
                    why="With this beta2 old squares count for less in 500 steps, and Adagrad forgets nothing.",
                    ask="Which beta2 gives all squares nearly the same weight?",
                )
                for beta2 in ("0.999", "0.9999", "0.99999")
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
            "What would each of the six mistakes do to the very first step? A and E, and C, are three of them.",
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
            *(
                instead(
                    "three suspects have gone round: B, D and F",
                    lambda order=order: {**LINEUP, **{a: LINEUP[b] for a, b in zip("BDF", order, strict=True)}},
                    why="The other three are right.",
                    ask="Of these three, whose first step is no longer 1 lr when the gradient is 10?",
                )
                for order in ("DFB", "FBD")
            ),
            *(
                instead(
                    "two suspects have changed places",
                    lambda a=a, b=b: {**LINEUP, a: LINEUP[b], b: LINEUP[a]},
                    why="The other four are right.",
                    ask=f"Write both mistakes yourself and run them on {tried}: whose steps are whose?",
                )
                for a, b in combinations(LINEUP, 2)
                if a + b != "DF"
                for tried in ["10, 10, -10" if a + b in ("BD", "BF") else "1, 1, 1"]
            ),
        ],
        _watch_suspects,
        secret=True,
    ),
]
