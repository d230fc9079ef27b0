"""Lesson 11, the race: its exercises, their hints, and the answers that go wrong."""

import torch

from ..contest import flip_test
from ..optimizers import Adam
from ..problems import wilson_example
from .exercise import Exercise, edit, instead
from .ranking import VERDICT, watch_verdict

# Rank them honestly


def verdict(a, b):
    chosen = []
    for one in (a, b):
        means = [sum(row) / len(row) for row in one["tuning"]]
        best = means.index(min(means))
        if best in (0, len(means) - 1):
            return "tune again"
        chosen.append(one["racing"][best])
    if flip_test(*chosen) >= 0.01:
        return "we do not know"
    return "a" if sum(chosen[0]) < sum(chosen[1]) else "b"


# Resume


def go_on(saved, model, x, y, steps):
    model.load_state_dict(saved["model"])
    optimizer = Adam(model.parameters())
    optimizer.load_state_dict(saved["optimizer"])
    generator = torch.Generator()
    generator.set_state(saved["generator"])
    for _ in range(steps):
        drawn = torch.randint(len(x), (4,), generator=generator)
        optimizer.zero_grad()
        loss = ((model(x[drawn]) - y[drawn]) ** 2).mean()
        loss.backward()
        optimizer.step()


def _new_model(seed):
    generator = torch.Generator().manual_seed(seed)
    model = torch.nn.Linear(3, 2, dtype=torch.float64)
    for p in model.parameters():
        torch.nn.init.normal_(p, generator=generator)
    return model


def _watch_go_on(answer):
    draw = torch.Generator().manual_seed(2)
    x, y = (torch.randn(20, n, generator=draw, dtype=torch.float64) for n in (3, 2))
    model, generator = _new_model(0), torch.Generator().manual_seed(3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03, betas=(0.8, 0.95))
    for _ in range(6):
        drawn = torch.randint(20, (4,), generator=generator)
        optimizer.zero_grad()
        ((model(x[drawn]) - y[drawn]) ** 2).mean().backward()
        optimizer.step()
    saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "generator": generator.get_state()}
    for steps in (0, 1, 7):
        model = _new_model(1)
        answer(_copied(saved), model, x.clone(), y.clone(), steps)
        yield (
            f"the model after {steps} more steps",
            torch.cat([p.detach().flatten().clone() for p in model.parameters()]),
        )


def _copied(value):
    if isinstance(value, dict):
        return {key: _copied(inside) for key, inside in value.items()}
    if isinstance(value, list):
        return [_copied(inside) for inside in value]
    return value.clone() if torch.is_tensor(value) else value


LOAD = '    optimizer.load_state_dict(saved["optimizer"])\n'
DRAWS = '    generator.set_state(saved["generator"])\n'
FOR = "    for _ in range(steps):\n"
DRAWN = "        drawn = torch.randint(len(x), (4,), generator=generator)\n"
GO_ON = [
    edit(
        "the weights are not loaded",
        {'    model.load_state_dict(saved["model"])\n': ""},
        why="The optimizer goes on, with a new model.",
        ask="Which entry of the checkpoint holds the parameters?",
    ),
    edit(
        "the optimizer begins anew",
        {LOAD: ""},
        why="Its memory, its step count and its options are those of a new one.",
        ask="Which entry of the checkpoint knows the two means, and the learning rate with which they were made?",
    ),
    edit(
        "the two means begin anew",
        {LOAD: LOAD + "    optimizer.state.clear()\n"},
        why="The options are those of the checkpoint; the means and the step count are those of a new optimizer.",
        ask="Where in the checkpoint's optimizer are the two means?",
    ),
    edit(
        "the learning rate is not that of the checkpoint",
        {LOAD: LOAD + '    optimizer.param_groups[0]["lr"] = 0.001\n'},
        why="load_state_dict has set the learning rate of the run that was interrupted, and a later line sets another.",
        ask="Which options are in the groups of the checkpoint, and does anything write over them?",
    ),
    edit(
        "the step count begins again",
        {LOAD: LOAD + '    for state in optimizer.state.values():\n        state["step"] = torch.tensor(0.0)\n'},
        why="The bias correction of a first step is applied to means that are full.",
        ask="By how much does Adam divide m at step 1, and by how much at step 7?",
    ),
    edit(
        "the minibatches begin again",
        {DRAWS: "    generator.manual_seed(3)\n"},
        why="The draws are those with which the first run began, not those that came next.",
        ask="What in the checkpoint knows how far the draws had come?",
    ),
    edit(
        "the minibatches are others",
        {DRAWS: ""},
        why="The generator of the draws is a new one.",
        ask="What in the checkpoint knows how far the draws had come?",
    ),
    edit(
        "four different examples are drawn, by randperm",
        {DRAWN: "        drawn = torch.randperm(len(x), generator=generator)[:4]\n"},
        why="The first run drew with `torch.randint`, and from the same state that makes other numbers.",
        ask="Which call made the draws of the first run?",
    ),
    edit(
        "SGD takes Adam's place",
        {
            "Adam(model.parameters())": (
                'torch.optim.SGD(model.parameters(), lr=saved["optimizer"]["param_groups"][0]["lr"])'
            ),
            LOAD: "",
        },
        why="The learning rate is that of the checkpoint, and the two means are never used.",
        ask="Which optimizer wrote the checkpoint?",
    ),
    edit(
        "every step draws the same four examples",
        {FOR + DRAWN: DRAWN[4:] + FOR},
        why="All steps see what the first one drew.",
        ask="How often do you draw, and how often do you set the generator's state?",
    ),
    edit(
        "each step sees all examples",
        {"x[drawn]": "x", "y[drawn]": "y"},
        why="The steps of the first run saw four.",
        ask="Which rows of x does your loss take?",
    ),
    edit(
        "the squared errors of an example are added up",
        {".mean()": ".sum(1).mean()"},
        why="The mean is over all numbers, of every example and every output.",
        ask="By what is the sum of the squared errors of four examples divided?",
    ),
    edit(
        "the loss is a sum, not a mean",
        {".mean()": ".sum()"},
        why="The new gradients are larger than those that the checkpoint's two means are made of.",
        ask="By what is the sum of the squared errors of four examples divided?",
    ),
    edit(
        "one step too many",
        {"range(steps)": "range(steps + 1)"},
        why="It moves even when no step is asked for.",
        ask="How often does your loop run if steps is 0?",
    ),
    edit(
        "the gradients of all steps pile up",
        {"        optimizer.zero_grad()\n": ""},
        why="Each backward pass adds to what is there.",
        ask="What is in p.grad when the second step begins?",
    ),
]

# Where adaptive methods lose


def limits(X, y):
    signs = (X.T @ y).sign()
    adaptive = signs * (y[0] / (X[0] @ signs))
    descent = X.T @ torch.linalg.solve(X @ X.T, y)
    return adaptive, descent


def _watch_limits(answer):
    for given in ((5, 3, 1, 1.0), (7, 2, 3, 0.7), (4, 1, 2, 2.3)):
        adaptive, descent = answer(*wilson_example(*given))
        name = "with {} positive and {} negative examples, {} features of their own, times {}".format(*given)
        yield f"{name}: where the adaptive ones end", torch.as_tensor(adaptive).detach().clone()
        yield f"{name}: where descent ends", torch.as_tensor(descent).detach().clone()


LIMITS = [
    edit(
        "the signs are not scaled to fit",
        {"signs * (y[0] / (X[0] @ signs))": "signs"},
        why="The direction is right; the adaptive methods stop where X w is y.",
        ask="By which number must the signs be multiplied, so that X @ w is y in its first row, and so in all?",
    ),
    edit(
        "0.25 is the number of the lesson's six examples",
        {"signs * (y[0] / (X[0] @ signs))": "signs * 0.25"},
        why="The direction is right; how far they go depends on X and y.",
        ask="Which number times the signs makes X @ w equal y here?",
    ),
    edit(
        "the scale of the signs is upside down",
        {"y[0] / (X[0] @ signs)": "X[0] @ signs / y[0]"},
        why="Where the signs alone give too much, they must be made smaller.",
        ask="If X @ signs is four times y, by what must the signs be multiplied?",
    ),
    edit(
        "the adaptive ones follow the gradient and not its signs",
        {"signs = (X.T @ y).sign()": "signs = X.T @ y"},
        why="The first gradient from 0 is -X.T @ y. They divide it by its own size.",
        ask="What is left of a number that is divided by its own size?",
    ),
    edit(
        "the two have changed places",
        {"return adaptive, descent": "return descent, adaptive"},
        why="Both ends are right, in the other order.",
        ask="Which of your two has all weights of one size?",
    ),
    edit(
        "descent does not fit the examples",
        {"X.T @ torch.linalg.solve(X @ X.T, y)": "X.T @ y"},
        why="X.T @ y is the direction of its first step only.",
        ask="Every step of descent adds a multiple of rows of X: w = X.T @ a. Which a makes X @ w equal y?",
    ),
    *(
        edit(
            "both end at the same place",
            {"return adaptive, descent": f"return {end}, {end}"},
            why="More weights than examples: many places fit exactly, and the two kinds end at different ones.",
            ask="Which places can descent from 0 reach, and which can a method that takes steps of equal size?",
        )
        for end in ("descent", "adaptive")
    ),
]

# The unfair race

NAMES = ["best at the edge of the grid", "chosen on the held-out data", "fewer learning rates for one"]
NAMES += ["longer training for one", "seeds left out", "fair"]
GUILTY = dict(zip("PQRSTU", [NAMES[3], NAMES[1], NAMES[5], NAMES[0], NAMES[4], NAMES[2]], strict=True))


def records():
    """Six reports of a race, a letter -> for the old and the new optimizer what was tried and what came out.

    ``tuning`` and ``held_out`` are mean errors for each of ``lrs``, in %; ``errors`` are those of the race by seed.

    >>> report = records()["R"]["new"]
    >>> report["lrs"][report["tuning"].index(min(report["tuning"]))] == report["chosen"]
    True
    """
    return {letter: _report(GUILTY[letter], number) for number, letter in enumerate("PQRSTU")}


def _report(fault, number):
    draw = torch.Generator().manual_seed(60 + number)

    def curve(best, lowest):
        distance = torch.arange(7, dtype=torch.float64) - best
        return (lowest + distance**2 / 3 + 0.2 * torch.rand(7, generator=draw, dtype=torch.float64)).tolist()

    made = {}
    for name, low in (("old", 0.01), ("new", 0.001)):
        lrs, tuning = [float(f"{low * 2**k:.2g}") for k in range(7)], curve(3, 3.1 if name == "old" else 2.7)
        best = 3
        if fault == NAMES[0] and name == "old":
            tuning, best = curve(6.4, 3.1), 6
        held_out = [error + 0.1 * float(torch.rand((), generator=draw)) for error in tuning]
        if fault == NAMES[1] and name == "new":
            held_out[4], best = min(tuning) - 0.3, 4
        seeds, steps = list(range(20, 32)), 400
        if fault == NAMES[4] and name == "new":
            seeds = [20, 21, 23, 24, 26, 28, 29, 30, 31, 33, 35, 36]
        if fault == NAMES[3] and name == "new":
            steps = 600
        if fault == NAMES[2] and name == "old":
            lrs, tuning, held_out, best = lrs[2:5], tuning[2:5], held_out[2:5], 1
        luck = 0.25 * torch.randn(len(seeds), generator=draw, dtype=torch.float64)
        errors = [round(held_out[best] + float(e), 1) for e in luck]
        made[name] = {"lrs": lrs, "tuning": [round(e, 1) for e in tuning], "held_out": [round(e, 1) for e in held_out]}
        made[name] |= {"chosen": lrs[best], "steps": steps, "seeds": seeds, "errors": errors}
    return made


def unfair():
    return dict(GUILTY)


def _watch_unfair(answer):
    named = {letter: str(fault).strip().lower() for letter, fault in answer().items()}
    yield "the letters of your dict", sorted(named)
    yield "faults that the text does not name", sorted(set(named.values()) - set(NAMES))
    right = sum(named[letter] == fault for letter, fault in GUILTY.items() if letter in named)
    yield "how many of the six are right (what but the optimizer differs between old and new?)", right
    for letter in sorted(named):
        yield f"report {letter}", named[letter]


EXERCISES = [
    Exercise(
        "verdict",
        verdict,
        [
            "Four questions, in this order: which learning rate has each, is one at an edge, what is p, and whose mean "
            "is smaller?",
            'The learning rate with the smallest mean of `one["tuning"]` chooses the row of `one["racing"]`; it must '
            "be neither the first nor the last. Then `flip_test(row_a, row_b)`.",
        ],
        VERDICT,
        watch_verdict,
    ),
    Exercise(
        "go_on",
        go_on,
        [
            "Three things have a memory: the model, the optimizer, and whoever draws the minibatches.",
            "`Adam(model.parameters())` takes torch's `state_dict` as it is, options included; a `torch.Generator()` "
            "takes its state by `set_state`.",
        ],
        GO_ON,
        _watch_go_on,
    ),
    Exercise(
        "limits",
        limits,
        [
            "From 0 the first gradient is -X.T @ y, up to a factor. What do the adaptive methods make of it, and where "
            "must they stop so that X @ w is y?",
            "Descent only ever adds multiples of rows of X, so w = X.T @ a, and X @ X.T @ a = y. If you take "
            '`torch.linalg.lstsq`, give it `driver="gelsd"`: by default its answer here does not always fit.',
        ],
        LIMITS,
        _watch_limits,
        secret=True,
    ),
    Exercise(
        "unfair",
        unfair,
        [
            "Compare old and new line by line: what differs that is not the optimizer?",
            "For each, find the learning rate with the smallest tuning error. Is it the one that was chosen, and is it "
            "inside of the grid?",
        ],
        [
            instead(
                f"{one} and {other} have changed places",
                lambda one=one, other=other: {**GUILTY, one: GUILTY[other], other: GUILTY[one]},
                why="The other four are right.",
                ask=f"In which of the two {ask}?",
            )
            for one, other, ask in (
                ("P", "T", "have both optimizers had the same seeds"),
                ("Q", "S", "is the chosen learning rate the best one of tuning"),
                ("R", "U", "have both optimizers had equally many learning rates"),
            )
        ]
        + [
            instead(
                "two are called fair",
                lambda letter=letter: {**GUILTY, letter: "fair"},
                why="One of the two is, and the other four are right.",
                ask="In which of the two does something but the optimizer differ from old to new?",
            )
            for letter in "PQSTU"
        ],
        _watch_unfair,
        secret=True,
    ),
]
