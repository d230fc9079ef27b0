"""Lesson 13's question whether a step is elementwise, and the probes that miss something."""

import torch

from .. import rules
from ..signature import signature
from .exercise import edit


def is_elementwise(step):
    """Whether each element moves as it does alone.

    >>> is_elementwise(lambda p, g: p - 0.1 * g), is_elementwise(lambda p, g: p - g.mean())
    (True, False)
    """
    p, g = torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    alone = [step(a, b) for a, b in zip(p.flatten(), g.flatten(), strict=True)]
    return torch.allclose(step(p, g).flatten(), torch.stack(alone))


MIDDLE = {"the second of six": 0.25, "the third of six": 0.45, "the fourth of six": 0.65, "the fifth of six": 0.85}
PLACES = {"the first": 0, **MIDDLE, "the last": 1}


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

    def at(share, x):
        return torch.arange(x.numel()).view(x.shape) == int(share * (x.numel() - 1))

    def feeling(share):
        return lambda x: x + at(share, x) * (x.sum() - x)

    def from_the_left(x):
        left = torch.cat([torch.zeros_like(x[..., :1]), x[..., :-1]], -1)
        return x + torch.arange(1, x.shape[-2] + 1).view(-1, 1) * left

    def from_the_right(x):
        right = torch.cat([x[..., 1:], torch.zeros_like(x[..., :1])], -1)
        return x + torch.arange(x.shape[-2], 0, -1).view(-1, 1) * right

    def unit(x, **along):
        return x / ((x**2).sum(**along, keepdim=True) ** 0.5 + 1e-8)

    return {
        "gradient descent": of(rules.gradient_descent),
        "momentum": of(rules.momentum),
        "Adam": of(rules.adam),
        "centered RMSprop": of(rules.rmsprop_centered),
        "a gradient divided by its length": along(lambda g: unit(g, dim=(0, 1))),
        "a gradient less its first element": along(lambda g: g - g[0, 0]),
        "a gradient less an element inside": along(lambda g: g - g[at(0.65, g)]),
        "a gradient less its mean": along(lambda g: g - g.mean()),
        "a gradient less the mean of each row": along(lambda g: g - g.mean(1, keepdim=True)),
        "a gradient with each column divided by its length": along(lambda g: unit(g, dim=0)),
        "a gradient divided by its length along its first axis": lambda p, g: p - 0.1 * unit(g, dim=0),
        "a gradient that adds up from the end": along(lambda g: g.flatten().flip(0).cumsum(0).flip(0)),
        "a gradient that adds up from the start": along(lambda g: g.flatten().cumsum(0)),
        **{f"a gradient of which {one} feels all others": along(feeling(share)) for one, share in PLACES.items()},
        "a toy Muon": along(newton_schulz),
        "a gradient whose elements feel the one to their left, more in lower rows": along(from_the_left),
        "a gradient whose elements feel the one to their right, more in upper rows": along(from_the_right),
        "a weight pulled towards its mean": pulled(lambda p: p - p.mean()),
        "a weight of which each row is divided by its length": pulled(lambda p: p - unit(p, dim=1)),
    }


def watch_elementwise(answer):
    """What an answer says of each step, and, if it is wrong, which kind of gradients it has tried.

    >>> next(watch_elementwise(lambda step: True))
    ('for gradient descent your answer', True)
    """
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


def _order(keep, by=1):
    """The places of six elements, all moved on by one or back by one, but for the one that stays.

    >>> _order(2), _order(None, -1)
    ([1, 3, 2, 4, 5, 0], [5, 0, 1, 2, 3, 4])
    """
    moved = [place for place in range(6) if place != keep]
    return [place if place == keep else moved[(moved.index(place) + by) % len(moved)] for place in range(6)]


DRAW = "torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)"
COMPARE = "torch.allclose(step(p, g).flatten(), torch.stack(alone))"
ELEMENTWISE = [
    *(
        edit(
            "the elements are only moved about",
            {
                DRAW: DRAW.replace("2, 2, 3", shape),
                COMPARE: f"torch.allclose(step(p{other}, g{other}){back}, step(p{first}, g{first}))",
            },
            why="A step in which each element looks at all the others passes, as long as it treats them alike.",
            ask="What does a gradient divided by its length do when its elements change places?",
        )
        for shape, first, other, back in (
            ("2, 2, 3", "", ".flip(0, 1)", ".flip(0, 1)"),
            ("2, 2, 3", "", ".flip(0)", ".flip(0)"),
            ("2, 2, 3", ".mT", ".mT.flip(0)", ".flip(0)"),
            *(("2, 6", "", f"[{_order(keep)}]", f"[{_order(keep, -1)}]") for keep in (None, *range(6))),
        )
    ),
    edit(
        "every step that was tried passes",
        {COMPARE: "step(p, g).shape == p.shape"},
        why="What you compare agrees for all of them, also for those that mix elements.",
        ask="Shapes always agree, as does a result with itself, or where a neighbor hardly changed. In a toy Muon, "
        "which numbers of yours would differ?",
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
        "all elements of the gradients that you try are equal",
        {DRAW: f"torch.stack([{DRAW}[0], torch.full((2, 3), 0.7, dtype=torch.float64)])"},
        why="Each gradient alone looks like the mean of all.",
        ask="What is left of 1, 1, 1 after their mean is taken off, and what of a single 1?",
    ),
    edit(
        "yes and no are swapped",
        {f"return {COMPARE}": f"return not {COMPARE}"},
        why="You part the two kinds of steps, and call each by the other's answer.",
        ask="What should the answer be where every element agrees?",
    ),
    edit(
        "one element that agrees is enough",
        {COMPARE: "torch.isclose(step(p, g).flatten(), torch.stack(alone)).any()"},
        why="A step passes of which one element is as it is alone, whatever the others are.",
        ask="Of how many elements does the question say that they depend on their own gradient alone?",
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
        "a step whose elements feel only those before them passes",
        {COMPARE: "torch.allclose(step(p, g).flatten()[0], alone[0])"},
        why="The first element has none before it, and the next few feel few.",
        ask="If gradients add up from the start, which elements step otherwise than alone?",
    ),
    edit(
        "a step whose elements feel only those after them passes",
        {COMPARE: "torch.allclose(step(p, g).flatten()[-1], alone[-1])"},
        why="The last element has none after it, and those next to it feel few.",
        ask="If gradients add up from the end, which elements step otherwise than alone?",
    ),
    edit(
        "only the first element of the gradient is changed",
        {
            COMPARE: "torch.allclose(step(p, g + (torch.arange(6).view(2, 3) == 0)).flatten()[1:], step(p, g).flatten()"
            "[1:])"
        },
        why="A step passes in which no other element feels that one, and every step that mixes the weights.",
        ask="If gradients add up from the end, which elements feel the first one?",
    ),
    *(
        edit(
            "a step whose elements feel only the first passes",
            {
                DRAW: DRAW.replace("2, 2, 3", f"2, {rows}, 3"),
                COMPARE: "all((step(p, g) != step(a * p, b * g)).sum() == 1 for one in "
                f"[torch.arange(g.numel()).view(-1, 3) == {place}] for a, b in [(1, 1 - 3 * one), (1 - 3 * one, 1)])",
            },
            why="A step from which the first element of the gradient is taken off passes.",
            ask="Change each element in turn: which others move otherwise?",
        )
        for rows, place in ((2, 1), (2, 2), (2, 3), (2, 4), (2, 5), (4, 4))
    ),
    edit(
        "only an element in the middle is compared",
        {COMPARE: "torch.allclose(step(p, g).flatten()[3], alone[3])"},
        why="A step in which only the first element feels the others passes.",
        ask="Of how many elements does the question say that they depend on their own gradient alone?",
    ),
    *(
        edit(
            "some elements are never compared",
            {COMPARE: f"torch.allclose(step(p, g).flatten()[{some}], torch.stack(alone)[{some}])"},
            why="A step passes in which an element that you leave out feels the others.",
            ask="Of how many elements does the question say that they depend on their own gradient alone?",
        )
        for some in ("[0, 1, 2]", "[3, 4, 5]", "[0, 5]", "[0, 4]", ":-1", "1:", "[0, 1, 3, 4]", "[0, 3]", "[2, 5]")
    ),
    edit(
        "steps that mix the elements of a row pass",
        {COMPARE: "torch.allclose(step(p, g), torch.stack([step(a, b) for a, b in zip(p, g)]))"},
        why="You never part the elements of a row.",
        ask="What would you have to compare with, so that an element has no neighbor at all?",
    ),
    *(
        edit(
            "steps that mix the elements of a column pass",
            {COMPARE: f"torch.allclose(step(p, g), torch.{join}([step(a, b) for a, b in zip({columns})], 1))"},
            why="You never part the elements of a column.",
            ask="What would you have to compare with, so that an element has no neighbor at all?",
        )
        for join, columns in (("stack", "p.T, g.T"), ("cat", "p.split(1, 1), g.split(1, 1)"))
    ),
    edit(
        "a step whose elements feel the one to their right passes",
        {
            COMPARE: "all(torch.allclose(a, b) for a, b in [(step(p, g)[1:], step(p[1:], g[1:])), "
            "(step(p, g)[:, 1:], step(p[:, 1:], g[:, 1:]))])"
        },
        why="It passes, though all elements but those at the right end feel a neighbor.",
        ask="Which elements would you have to leave out, so that another one moves otherwise?",
    ),
    edit(
        "steps that mix the elements of a column pass",
        {DRAW: DRAW.replace("2, 2, 3", "2, 6")},
        why="No two elements of a column are ever parted: in a matrix they step together; a vector is one row.",
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
