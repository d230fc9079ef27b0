"""Lesson 12, fast: its exercises, their hints, and the answers that go wrong."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from .. import rules
from ..execute import multi_tensor
from ..optimizers import Adam
from ..signature import signature
from .exercise import Exercise, at, edit, instead

# A fourth executor


def concatenated(rule, columns, hyper):
    parameters, gradients, *buffers = columns
    sizes = [p.numel() for p in parameters]
    long = [torch.cat([x.flatten() for x in column]) for column in columns]
    results = rule(*long, **hyper)
    for column, new in zip([parameters, *buffers], results, strict=False):
        for old, part in zip(column, new.split(sizes), strict=True):
            old.copy_(part.view_as(old))


class _Arithmetic(TorchDispatchMode):
    """Counts the operations of arithmetic that reach a device, on a tensor or on a list of tensors."""

    names = {"add", "sub", "rsub", "mul", "div", "pow", "neg", "sqrt", "square", "addcmul", "addcdiv", "lerp"}

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.overloadpacket.__name__.removeprefix("_foreach_").strip("_") in self.names
        return func(*args, **(kwargs or {}))


def _columns_of(rule, starts, draw):
    gradients = [torch.randn(start.shape, generator=draw, dtype=start.dtype) for start in starts]
    return [starts, gradients, *([torch.zeros_like(start) for start in starts] for _ in signature(rule)[0])]


def _hyper_at(rule, t):
    return {"lr": 0.1, **({"t": t} if "t" in signature(rule)[1] else {})}


def _some_tensors(draw):
    """A number, a vector, a matrix that is not contiguous, and a vector of one element."""
    shapes = [(), (3,), (2, 3), (1,)]
    tensors = [torch.randn(shape, generator=draw, dtype=torch.float64) for shape in shapes]
    return [tensor.T if tensor.ndim == 2 else tensor for tensor in tensors]


def _passed(first):
    """In words, what a rule was given as its parameter, call by call."""
    if not first:
        return "nothing"
    if len(first) > 1:
        return "one tensor after the other"
    (given,) = first
    return f"one tensor of {given.numel()} elements" if torch.is_tensor(given) else "a list of tensors"


def _watch_executor(answer):
    draw = torch.Generator().manual_seed(12)
    for rule in (rules.gradient_descent, rules.momentum, rules.adam, rules.rmsprop_centered):
        columns = _columns_of(rule, _some_tensors(draw), draw)
        letters = ["parameter", *(f"buffer {letter} of parameter" for letter in signature(rule)[0])]
        for t in (1, 2):
            columns[1] = [torch.randn(p.shape, generator=draw, dtype=p.dtype) for p in columns[0]]
            before, written = [g.clone() for g in columns[1]], [columns[0], *columns[2:]]
            places = [tensor.data_ptr() for column in written for tensor in column]
            answer(rule, [list(column) for column in columns], _hyper_at(rule, t))
            same = all(g.shape == old.shape and torch.equal(g, old) for g, old in zip(columns[1], before, strict=True))
            after = [tensor.data_ptr() for column in written for tensor in column]
            at_step = f"{rule.__name__}, step {t}:"
            for letter, column in zip(letters, written, strict=True):
                yield from ((f"{at_step} {letter} {k}", tensor.clone()) for k, tensor in enumerate(column, 1))
            yield f"{at_step} are the gradients as before?", "yes" if same else "no"
            yield f"{at_step} are all tensors where they were in memory?", "yes" if places == after else "no"
    parameters = [p.clone().requires_grad_() for p in _some_tensors(draw)]
    optimizer = Adam(parameters, lr=0.1, run=answer)
    for _ in range(2):
        for p in parameters:
            p.grad = torch.randn(p.shape, generator=draw, dtype=p.dtype)
        optimizer.step()
    yield from ((f"in Adam, after 2 steps, parameter {k}", p.detach().clone()) for k, p in enumerate(parameters, 1))
    yield from _watch_launches_of(answer, draw)


def _watch_launches_of(answer, draw):
    first, counts = [], []

    def watched(p, g, b, *, lr):
        first.append(p)
        return rules.momentum(p, g, b, lr=lr)

    for number in (2, 20):
        columns = _columns_of(rules.momentum, [torch.ones(2, dtype=torch.float64) for _ in range(number)], draw)
        first.clear()
        with _Arithmetic() as arithmetic:
            answer(watched, columns, {"lr": 0.1})
        counts.append(arithmetic.count)
    yield "the number of launches that momentum needs for one more tensor", (counts[1] - counts[0]) / 18
    yield "what momentum gets as p, for 20 tensors of two elements,", _passed(first)


def _one_after_the_other(rule, columns, hyper):
    for arguments in zip(*columns, strict=True):
        concatenated(rule, [[tensor] for tensor in arguments], hyper)


WRITE = "old.copy_(part.view_as(old))"
EXECUTOR = [
    edit(
        "the buffers stay as they were",
        {"[parameters, *buffers]": "[parameters]"},
        why="The parameters move, and the next step remembers nothing.",
        ask="What does the rule return after the new parameter, and who needs it at the next step?",
    ),
    edit(
        "no tensor of the model has changed",
        {WRITE: "old = part"},
        why="The results are worked out and not written into the tensors that the columns hold.",
        ask="What does `old = part` change, the tensor or what the name stands for? Which method writes into a tensor?",
    ),
    edit(
        "a tensor that is not contiguous stands still",
        {WRITE: "old.flatten().copy_(part)"},
        why="Some tensors move; flattening a matrix that is not contiguous makes a copy, and the copy is written to.",
        ask="Which of the two can be given the other's shape without a copy, the tensor of the model or its part of "
        "the "
        "result?",
    ),
    edit(
        "the matrix has become a vector",
        {WRITE: "old.data = part"},
        why="The numbers are right, but the shapes are forgotten.",
        ask="Which tensor still knows the shape that its part of the result should have?",
    ),
    edit(
        "every tensor gets numbers from the beginning of the long one",
        {"new.split(sizes)": "[new[:size] for size in sizes]"},
        why="The parts all begin at the same place.",
        ask="Where does the part of the second tensor begin, and which line moves that place on?",
    ),
    edit(
        "the results land one column too far on",
        {"[parameters, *buffers]": "columns"},
        why="The first buffer's new value lands in the gradient, the second's in the first buffer, and so on.",
        ask="The rule returns one result fewer than it has columns; which column has none?",
    ),
    edit(
        "the gradients are changed",
        {
            "    results = rule(*long, **hyper)\n": (
                "    results = rule(*long, **hyper)\n    [g.zero_() for g in gradients]\n"
            )
        },
        why="Parameters and buffers are right, and the gradients are zero afterwards.",
        ask="Who may look at a gradient after the step, and which of your lines writes into one?",
    ),
    instead(
        "the rule is run tensor by tensor",
        _one_after_the_other,
        why="All numbers are right, but the rule is called for each tensor, as `per_tensor` does it.",
        ask="How many times should the rule be called, however many tensors there are?",
    ),
    instead(
        "the rule gets lists",
        multi_tensor,
        why="All numbers are right and the launches are few, but nothing is laid end to end, as in `multi_tensor`.",
        ask="Which function of torch makes one tensor out of many?",
    ),
    edit(
        "each tensor is given new memory",
        {WRITE: "old.data = part.view_as(old)"},
        why="It becomes a piece of the long tensor; the executors of the course write into the old memory, so that "
        "whoever "
        "holds a view of a parameter sees the new numbers.",
        ask="Which method writes into the old memory, in the place of `.data =`?",
    ),
]

# Launches


def launches(rule, tensors, run):
    of_one = {"momentum": 5 + 2, "adadelta": 16 + 3}[rule]
    return of_one * tensors if run == "per_tensor" else of_one


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
        def step(p, g):
            buffers = [torch.zeros_like(p) for _ in signature(rule)[0]]
            return rule(p, g, *buffers, **_hyper_at(rule, 3))[0]

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
        "every step passes, whatever it mixes",
        {COMPARE: "step(p, g).shape == p.shape"},
        why="What you compare agrees whatever the step does.",
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
        "elements are moved, and none is left out",
        {
            COMPARE: "torch.allclose(step(p, g).flatten()[[3, 1, 5, 0, 2, 4]], step(p.flatten()[[3, 1, 5, 0, 2, 4]]"
            ".view(2, 3), g.flatten()[[3, 1, 5, 0, 2, 4]].view(2, 3)).flatten())"
        },
        why="A length and a mean are the same in any order, so a step that uses one of them passes.",
        ask="Leave elements out in the place of moving them: whose steps change then?",
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
        why="Only the gradient is taken apart; an element may feel its neighbors through p too.",
        ask="Which of the two arguments does your probe never change or cut?",
    ),
]

EXERCISES = [
    Exercise(
        "concatenated",
        concatenated,
        [
            "`torch.cat([x.flatten() for x in column])` makes one long tensor of a column. The rule takes one for "
            "each column.",
            "The rule returns the new parameters, then the new buffers, all of them long. Which columns do they "
            "belong to? "
            "There is no result for the gradients, and `parameters, gradients, *buffers = columns` takes them apart.",
            "`new.split(sizes)`, with the `numel()` of each parameter, cuts a result into parts, and "
            "`old.copy_(part.view_as(old))` writes one back.",
        ],
        EXECUTOR,
        _watch_executor,
    ),
    Exercise(
        "launches",
        launches,
        [
            "Which of the signs in the rule have a tensor on at least one side? The others Python works out by itself.",
            "Line (1) of `adadelta` has five signs, and four of them are launches: a power, two products and a sum.",
            "Each result is written back, which is one launch more. All this happens once for each tensor, or once "
            "for the "
            "list.",
        ],
        [
            edit(
                "signs between two numbers are counted too",
                {"5 + 2": "6 + 2", "16 + 3": "18 + 3"},
                why="Such as that of 1 - rho, which never leaves Python.",
                ask="In `(1 - rho) * g**2`, which signs have a tensor beside them?",
            ),
            edit(
                "nothing is written back",
                {" + 2": "", " + 3": ""},
                why="The arithmetic is counted right, and its results are left lying in temporaries.",
                ask="A rule changes nothing in place. How many results does it return, and how do they get into the "
                "model?",
            ),
            edit(
                "only the parameter is written back",
                {" + 2": " + 1", " + 3": " + 1"},
                why="The arithmetic is counted right.",
                ask="What else does the rule return, and where must it be at the next step?",
            ),
            edit(
                "a list is counted like as many tensors",
                {' if run == "per_tensor" else of_one': ""},
                why="For each tensor the number is right, but on a list one launch serves all tensors.",
                ask="What does `multi_tensor` give torch, one tensor or all of them?",
            ),
            edit(
                "the number for a single tensor",
                {"of_one * tensors if": "of_one if"},
                why="`per_tensor` begins anew with each.",
                ask="How many times does `per_tensor` call the rule?",
            ),
        ],
        at(
            "launches",
            ("momentum", 1, "per_tensor"),
            ("momentum", 23, "multi_tensor"),
            ("momentum", 17, "per_tensor"),
            ("adadelta", 1, "multi_tensor"),
            ("adadelta", 131, "per_tensor"),
            ("adadelta", 131, "multi_tensor"),
        ),
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
