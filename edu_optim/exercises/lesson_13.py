"""Lesson 13, ten thousand at once: its exercises, their hints, and the answers that go wrong."""

import torch

from .. import rules
from ..signature import signature
from .exercise import Exercise, at, edit

# What is elementwise


def is_elementwise(step):
    p, g = torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    alone = [step(a, b) for a, b in zip(p.flatten(), g.flatten(), strict=True)]
    return torch.allclose(step(p, g).flatten(), torch.stack(alone))


def steps():
    """Steps as functions of p and g, by name; the first four are elementwise.

    >>> list(steps())[:4]
    ['gradient descent', 'momentum', 'Adam', 'centered RMSprop']
    """

    def of(rule):
        buffers, hyper = signature(rule)
        settings = {"lr": 0.1, "t": 3} if "t" in hyper else {"lr": 0.1}

        def step(p, g):
            return rule(p, g, *(torch.zeros_like(p) for _ in buffers), **settings)[0]

        return step

    def along(direction):
        return lambda p, g: p - 0.1 * direction(torch.atleast_2d(g)).reshape(p.shape)

    def pulled(towards):
        return lambda p, g: p - 0.1 * g - 0.1 * towards(torch.atleast_2d(p)).reshape(p.shape)

    def newton_schulz(x):
        x = x / ((x**2).sum() ** 0.5 + 1e-8)
        for _ in range(5):
            x = 1.5 * x - 0.5 * (x @ x.mT) @ x
        return x

    def unit(x, **along):
        return x / ((x**2).sum(**along, keepdim=True) ** 0.5 + 1e-8)

    return {
        "gradient descent": of(rules.gradient_descent),
        "momentum": of(rules.momentum),
        "Adam": of(rules.adam),
        "centered RMSprop": of(rules.rmsprop_centered),
        "a gradient divided by its length": along(lambda g: unit(g, dim=(0, 1))),
        "a gradient less its mean": along(lambda g: g - g.mean()),
        "a gradient less the mean of each row": along(lambda g: g - g.mean(1, keepdim=True)),
        "a gradient with each column divided by its length": along(lambda g: unit(g, dim=0)),
        "a gradient that adds up from the end": along(lambda g: g.flatten().flip(0).cumsum(0).flip(0)),
        "a gradient that adds up from the start": along(lambda g: g.flatten().cumsum(0)),
        "a toy Muon": along(newton_schulz),
        "a weight pulled towards its mean": pulled(lambda p: p - p.mean()),
        "a weight of which each row is divided by its length": pulled(lambda p: p - unit(p, dim=1)),
    }


def _watch_elementwise(answer):
    tried = []

    def watched(step):
        def noted(p, g):
            tried.append(g)
            return step(p, g)

        return noted

    right = True
    for number, (name, step) in enumerate(steps().items()):
        value = bool(answer(watched(step)))
        right = right and value == (number < 4)
        yield f"for {name} your answer", value
    if not right:
        yield "the kind of gradient that you try", _kind(tried)


def _kind(gradients):
    try:
        gradients = [torch.as_tensor(g).detach() for g in gradients]
        if not any(g.any() for g in gradients):
            return "zeros only" if gradients else "none"
        return "unequal elements" if any((g != g.flatten()[0]).any() for g in gradients) else "equal elements"
    except Exception:  # such as a gradient that torch.vmap hands over, which has no values
        return "unknown"


DRAW = "torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)"
COMPARE = "torch.allclose(step(p, g).flatten(), torch.stack(alone))"
ELEMENTWISE = [
    edit(
        "the elements are only moved about",
        {COMPARE: "torch.allclose(step(p.flip(0, 1), g.flip(0, 1)).flip(0, 1), step(p, g))"},
        why="A step in which each element looks at all the others passes, as long as it treats them alike.",
        ask="What does a gradient divided by its length do when its elements change places?",
    ),
    edit(
        "every step that was tried passes",
        {COMPARE: "step(p, g).shape == p.shape"},
        why="What you compare agrees for all of them, also for those that mix elements.",
        ask="Shapes always agree, and so does a result with itself. In a toy Muon, which numbers of yours would "
        "differ?",
    ),
    edit(
        "the gradients that you try are zero",
        {DRAW: "torch.zeros(2, 2, 3)"},
        why="Where the gradient is zero nothing moves, with or without neighbors, so steps pass that mix gradients.",
        ask="Which gradient would let an element feel its neighbors?",
    ),
    edit(
        "all elements of what you try are equal",
        {DRAW: "torch.ones(2, 2, 3)"},
        why="Each element alone looks like the mean of all.",
        ask="What is left of 1, 1, 1 after their mean is taken off, and what of a single 1?",
    ),
    edit(
        "steps that use one number of all elements pass",
        {
            COMPARE: "torch.allclose(step(p, g).flatten()[[3, 1, 5, 0, 2, 4]], step(p.flatten()[[3, 1, 5, 0, 2, 4]]"
            ".view(2, 3), g.flatten()[[3, 1, 5, 0, 2, 4]].view(2, 3)).flatten())"
        },
        why="A length and a mean of all stay the same however the elements are laid out or ordered.",
        ask="Leave elements out: whose steps change then?",
    ),
    edit(
        "only the shape is changed",
        {COMPARE: "torch.allclose(step(p, g).flatten(), step(p.flatten(), g.flatten()))"},
        why="Laid out in a row, all elements are still together.",
        ask="The mean of all is the same in every shape. What changes it?",
    ),
    edit(
        "only the first element is compared",
        {COMPARE: "torch.allclose(step(p, g).flatten()[0], alone[0])"},
        why="A step in which each element feels those before it passes: the first has none before it.",
        ask="If gradients add up from the start, which elements step otherwise than alone?",
    ),
    edit(
        "only the last element is compared",
        {COMPARE: "torch.allclose(step(p, g).flatten()[-1], alone[-1])"},
        why="A step in which each element feels those after it passes: the last has none after it.",
        ask="If gradients add up from the end, which elements step otherwise than alone?",
    ),
    edit(
        "steps that mix the elements of a row pass",
        {COMPARE: "torch.allclose(step(p, g), torch.stack([step(a, b) for a, b in zip(p, g)]))"},
        why="You never part the elements of a row.",
        ask="What would you have to compare with, so that an element has no neighbor at all?",
    ),
    edit(
        "steps that mix the elements of a column pass",
        {DRAW: DRAW.replace("2, 2, 3", "2, 6")},
        {COMPARE: "torch.allclose(step(p, g), torch.stack([step(p[:, [j]], g[:, [j]])[:, 0] for j in range(3)], 1))"},
        why="You never part two elements of a column.",
        ask="Has your gradient two elements in one column, and does one of them ever step alone?",
    ),
    edit(
        "steps that mix the weights pass",
        {
            COMPARE: "all(torch.allclose(step(p, g * (torch.arange(6).view(2, 3) == k)).flatten()[k], step(p, "
            "g).flatten()[k]) "
            "for k in range(6))"
        },
        why="An element may feel its neighbors through p too, and your p does not show that.",
        ask="With which p would an element that feels its neighbors step otherwise when it is alone?",
    ),
]


# Memory


def settings_that_fit(memory, weights, buffers):
    return memory // (8 * weights * (2 + buffers))


FIT = [
    edit(
        "the gradients are forgotten",
        {"2 + buffers": "1 + buffers"},
        why="Each setting has its own gradient, as long as its parameters.",
        ask="Which tensor does the rule read and never return?",
    ),
    edit(
        "the parameters and gradients are forgotten",
        {"2 + buffers": "buffers"},
        why="Beside the buffers, each setting has parameters and gradients of its own.",
        ask="What does the rule take before its buffers?",
    ),
    edit(
        "only the parameters and gradients are counted",
        {"(2 + buffers)": "2"},
        why="The buffers of the optimizer are as long as the parameters, and each setting has its own.",
        ask="Which other tensors does a setting of Adam keep from step to step?",
    ),
    edit(
        "four bytes a number",
        {"8 *": "4 *"},
        why="Four bytes are float32; here each number is float64.",
        ask="How many bits are in a float64, and how many in a byte?",
    ),
    edit(
        "64 bytes a number",
        {"8 *": "64 *"},
        why="A float64 has 64 bits; the memory is given in bytes.",
        ask="How many bits are in a byte?",
    ),
    edit(
        "rounded to the nearest number",
        {"memory // (8 * weights * (2 + buffers))": "round(memory / (8 * weights * (2 + buffers)))"},
        why="Where it is rounded up, the last one would need memory that is not there.",
        ask="If there is room for 2.7 settings, how many fit?",
    ),
    edit(
        "the bytes of one setting are returned",
        {"memory // ": ""},
        why="That is what one needs; the memory is not in it.",
        ask="How often does this go into `memory`?",
    ),
    edit(
        "one setting too many",
        {"memory //": "1 + memory //"},
        why="The last one would need memory that is not there.",
        ask="If there is room for 2.5 settings, how many fit?",
    ),
]


# What a map says


def read_map(rates, losses):
    losses = [loss if loss == loss else float("inf") for loss in losses]
    best = losses.index(min(losses))
    if best in (0, len(losses) - 1):
        return "edge"
    if max(losses[best - 1], losses[best + 1]) > 10 * losses[best]:
        return "coarse"
    return rates[best]


WITHOUT_NAN = '    losses = [loss if loss == loss else float("inf") for loss in losses]\n'
AT_THE_EDGE = '    if best in (0, len(losses) - 1):\n        return "edge"\n'
READ = [
    edit(
        "a lost run counts as a loss",
        {WITHOUT_NAN: "    losses = [loss if loss == loss else -1.0 for loss in losses]\n"},
        why="A run that ends at NaN is taken for the lowest.",
        ask="What does your code make of NaN, which is neither above nor below any number?",
    ),
    edit(
        "NaN is compared as if it were a number",
        {WITHOUT_NAN: ""},
        why="Each comparison with NaN is false, so what `min` finds, and whether a neighbor is too high, is chance.",
        ask="What are `nan < 1` and `nan > 1`?",
    ),
    edit(
        "the edge is taken for an optimum",
        {AT_THE_EDGE: "    best = min(max(best, 1), len(losses) - 2)\n"},
        {AT_THE_EDGE: AT_THE_EDGE.replace('"edge"', "rates[best]")},
        why="Beyond the edge nothing was tried.",
        ask="What is the loss at the rate after the last one?",
    ),
    edit(
        "the first place is no edge",
        {"best in (0, len(losses) - 1)": "best == len(losses) - 1"},
        why="A map may end too early on the left as well.",
        ask="Which loss lies to the left of the first?",
    ),
    edit(
        "the last place is no edge",
        {
            "best in (0, len(losses) - 1)": "best == 0",
            "max(losses[best - 1], losses[best + 1])": "max(losses[best - 1 : best + 2])",
        },
        why="A map may end too early on the right as well.",
        ask="Which loss lies to the right of the last?",
    ),
    edit(
        "the highest loss is looked for",
        {"losses.index(min(losses))": "losses.index(max(losses))"},
        why="The place that you look at has the highest loss.",
        ask="Which loss would you rather end at?",
    ),
    edit(
        "a dip of one place is believed",
        {'    if max(losses[best - 1], losses[best + 1]) > 10 * losses[best]:\n        return "coarse"\n': ""},
        why="The edge is seen, and the neighbors are not asked.",
        ask="How do you know what the loss is between two points of the map?",
    ),
    edit(
        "both neighbors must be high",
        {"max(losses[best - 1]": "min(losses[best - 1]"},
        why="A cliff on one side is passed over.",
        ask="If the next rate is lost, and the one before is fine, is the best rate safe?",
    ),
    edit(
        "only the next rate is looked at",
        {"max(losses[best - 1], losses[best + 1])": "losses[best + 1]"},
        why="The neighbor below the best rate may be far off as well.",
        ask="How many neighbors has a point inside the map?",
    ),
    edit(
        "only the rate before is looked at",
        {"max(losses[best - 1], losses[best + 1])": "losses[best - 1]"},
        why="The neighbor above the best rate may be far off as well.",
        ask="How many neighbors has a point inside the map?",
    ),
    edit(
        "the mean of both neighbors is compared",
        {"max(losses[best - 1], losses[best + 1])": "sum(losses[best - 1 : best + 2 : 2]) / 2"},
        why="A neighbor that is low hides one that is high.",
        ask="If one is 15 times as high and the other twice, is either too high?",
    ),
    edit(
        "lost runs are left out",
        {WITHOUT_NAN: "    rates, losses = zip(*(pair for pair in zip(rates, losses) if abs(pair[1]) < 1e300))\n"},
        why="What lies beside a lost run then looks like the edge of the map, or has another neighbor.",
        ask="Is a rate at which the run was lost tried, or not?",
    ),
    edit(
        "exactly ten times as high is too high",
        {"> 10 * losses[best]": ">= 10 * losses[best]"},
        why="The exercise says more than ten times.",
        ask="Is 2.5 more than ten times 0.25?",
    ),
    edit(
        "any higher neighbor counts",
        {"> 10 * losses[best]": "> losses[best]"},
        why="Around a minimum every neighbor is higher.",
        ask="How much higher is too much, in the words of the exercise?",
    ),
    edit(
        "the neighbors are asked before the edge",
        {
            AT_THE_EDGE: "",
            "max(losses[best - 1], losses[best + 1])": "max(losses[max(best - 1, 0) : best + 2])",
            'return "coarse"\n': 'return "coarse"\n' + AT_THE_EDGE,
        },
        why="A map whose lowest loss is at an edge is called coarse where its one neighbor is high.",
        ask="If a map is both too short and too coarse, which of the two words does the exercise ask for?",
    ),
    edit(
        "there is no answer where the last loss is the lowest",
        {AT_THE_EDGE: "", 'return "coarse"\n': 'return "coarse"\n' + AT_THE_EDGE},
        why="The lowest loss has no neighbor on the right there.",
        ask="Which of your questions comes first: whether the place is an edge, or what its neighbors are?",
    ),
    edit(
        "the place is returned",
        {"return rates[best]": "return best"},
        why="Edges and dips are seen.",
        ask="Who sets the optimizer up next needs a rate; which list has it at this place?",
    ),
    edit(
        "the loss is returned",
        {"return rates[best]": "return losses[best]"},
        why="Edges and dips are seen.",
        ask="Who sets the optimizer up next needs which of the two numbers?",
    ),
]

LOST = float("nan")
MAPS = [
    ([0.01, 0.02, 0.05, 0.13, 0.3], [3.0, 1.1, 0.7, 1.9, LOST]),
    ([0.01, 0.03, 0.07, 0.2], [3.0, 2.5, 1.7, 0.9]),
    ([0.02, 0.03, 0.08, 0.2], [0.4, 0.6, 1.7, 2.9]),
    ([0.01, 0.02, 0.06, 0.14, 0.4], [4.0, 2.1, 0.3, LOST, LOST]),
    ([0.003, 0.02, 0.06, 0.11, 0.4], [7.0, 5.1, 0.3, 0.8, 4.0]),
    ([0.003, 0.02, 0.05, 0.12, 0.4], [2.0, 1.3, 0.2, 6.4, 9.0]),
    ([0.002, 0.02, 0.04, 0.12, 0.5], [LOST, 1.3, 0.9, 0.6, 2.2]),
    ([0.002, 0.01, 0.07, 0.1], [1.8, 0.9, 5.1, float("inf")]),
    ([0.02, 0.05, 0.09], [5.2, 3.1, 0.12]),
    ([0.03, 0.08, 0.2], [0.14, 3.3, LOST]),
    ([0.01, 0.04, 0.1, 0.3], [6.0, 2.5, 0.25, 1.5]),
    ([0.002, 0.03, 0.05, 0.2, 0.6], [3.1, 2.7, 0.13, 4.2, 8.0]),
    ([0.004, 0.01, 0.05, 0.1], [9.0, 6.2, 0.2, 0.5]),
]

EXERCISES = [
    Exercise(
        "settings_that_fit",
        settings_that_fit,
        [
            "Which tensors does one setting have: what goes into the rule, and what stays for the next step?",
            "Parameters, gradients and each buffer are of one length, 8 bytes a number. Settings come whole: `//`.",
        ],
        FIT,
        at("settings_that_fit", (10**9, 1210, 2), (10**9, 1210, 0), (65_537, 64, 1), (3 * 2**30, 77, 3), (100, 9, 2)),
        secret=True,
    ),
    Exercise(
        "read_map",
        read_map,
        [
            "Make lost runs comparable first: what is infinite is higher than all the rest. Where is the lowest loss?",
            "`loss == loss` is false for NaN alone. `losses.index(min(losses))` is the place; the places 0 and "
            "`len(losses) - 1` have only one neighbor.",
            "Inside, compare the higher of the two neighbors with ten times the lowest loss.",
        ],
        READ,
        at("read_map", *MAPS),
        secret=True,
    ),
    Exercise(
        "is_elementwise",
        is_elementwise,
        [
            "If each element goes its own way, what changes for it when the others are not there?",
            "Take a matrix p and a gradient g of random numbers. Step with all of it; then with each element alone. "
            "Compare.",
            "`zip(p.flatten(), g.flatten())` gives the elements in pairs, `torch.stack` puts the results in a row, and "
            "`torch.allclose` compares that with `step(p, g).flatten()`.",
        ],
        ELEMENTWISE,
        _watch_elementwise,
    ),
]
