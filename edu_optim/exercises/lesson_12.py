"""Lesson 12, fast: its exercises, their hints, and the answers that go wrong."""

import itertools

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from .. import rules
from ..execute import multi_tensor
from ..optimizers import Adam
from ..signature import signature
from .exercise import Exercise, at, edit, instead
from .lesson_12_seconds import SECONDS, step_seconds, watch_seconds

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
    given = {"lr": 0.1, "t": t, "eps": 1e-3, "betas": (0.7, 0.95), "alpha": 0.8, "momentum": 0.6, "dampening": 0.3}
    return {name: given[name] for name in given if name in signature(rule)[1]}


def _some_tensors(draw):
    """A number, a vector, a matrix that is not contiguous, and a vector of one element."""
    shapes = [(), (3,), (2, 3), (1,)]
    tensors = [torch.randn(shape, generator=draw, dtype=torch.float64) for shape in shapes]
    return [tensor.T if tensor.ndim == 2 else tensor for tensor in tensors]


def _passed(first):
    """In words, what a rule was given as its parameter, call by call, and the dtypes of its tensors."""
    if not first:
        return "nothing"
    given, what = first[0], "a list of tensors"
    if all(map(torch.is_tensor, given)):
        dtypes = " and ".join(sorted({str(tensor.dtype) for tensor in given}))
        what = f"one tensor of {given[0].numel()} elements, and all in {dtypes}"
    return what if len(first) == 1 else f"{what}, and so on in {len(first)} calls"


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
    optimizer = Adam(parameters, lr=0.1, eps=1e-3, betas=(0.8, 0.9), run=answer)
    for _ in range(2):
        for p in parameters:
            p.grad = torch.randn(p.shape, generator=draw, dtype=p.dtype)
        optimizer.step()
    yield from ((f"in Adam, after 2 steps, parameter {k}", p.detach().clone()) for k, p in enumerate(parameters, 1))
    yield from _watch_launches_of(answer, draw)


def _watch_launches_of(answer, draw):
    first, counts, passed = [], [], []

    def watched(p, g, b, *, lr):
        first.append((p, g, b))
        return rules.momentum(p, g, b, lr=lr)

    shapes = [(2,), (3,), (3, 1), (2, 2), (5,), (1, 4)]
    for number, dtype in ((1, torch.float64), (19, torch.float32)):
        starts = [torch.ones(shapes[k % 6], dtype=dtype) for k in range(number)]
        columns = _columns_of(rules.momentum, starts, draw)
        first.clear()
        with _Arithmetic() as arithmetic:
            answer(watched, columns, {"lr": 0.1})
        counts.append(arithmetic.count)
        passed.append(_passed(first))
    yield "the launches of arithmetic that one more tensor costs your answer in momentum", (counts[1] - counts[0]) / 18
    yield "what momentum gets as p, for one tensor in torch.float64,", passed[0]
    yield "what momentum gets as p, for 19 tensors of six shapes in torch.float32,", passed[1]


def _one_after_the_other(rule, columns, hyper):
    for arguments in zip(*columns, strict=True):
        concatenated(rule, [[tensor] for tensor in arguments], hyper)


def _shape_by_shape(rule, columns, hyper):
    for shape in dict.fromkeys(p.shape for p in columns[0]):
        alike = [p.shape == shape for p in columns[0]]
        concatenated(rule, [list(itertools.compress(column, alike)) for column in columns], hyper)


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
        "the result?",
    ),
    edit(
        "a tensor that is not contiguous is written in the order of its memory",
        {WRITE: "old.copy_(part.view(old.mT.shape).mT if old.ndim == 2 else part.view_as(old))"},
        why="The long tensor holds its elements row by row, and in memory such a matrix may lie column by column.",
        ask="In which order does `flatten` lay a matrix down that was transposed, and in which do you pick it up?",
    ),
    edit(
        "the buffers are written back in reverse",
        {"[parameters, *buffers]": "[parameters, *buffers[::-1]]"},
        why="The parameters are right at first; from the second step on a rule with two buffers takes each for the "
        "other.",
        ask="In which order does Adam return its two buffers, and in which does it take them?",
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
        "not all of hyper reaches the rule",
        {"**hyper)": '**{name: hyper[name] for name in ("lr", "t") if name in hyper})'},
        why="The learning rate and the number of the step arrive; for the rest the rule takes its own defaults.",
        ask="What does `hyper` hold, if Adam is made with another `eps`?",
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
        "the rule is run once for each shape",
        _shape_by_shape,
        why="All numbers are right, but tensors of another shape get a call of their own.",
        ask="Once a tensor is flattened, what is left of its shape, and can it lie behind one of another shape?",
    ),
    instead(
        "the rule gets lists",
        multi_tensor,
        why="All numbers are right and the launches are few, but nothing is laid end to end, as in `multi_tensor`.",
        ask="Which function of torch makes one tensor out of many?",
    ),
    edit(
        "the long tensors are in float32",
        {"x.flatten()": "x.flatten().float()"},
        why="The rule works with seven digits, and the tensors of the model have sixteen.",
        ask="Which dtype has a tensor of the model, and which does the rule get?",
    ),
    edit(
        "the long tensors are in float64",
        {"x.flatten()": "x.flatten().double()"},
        why="The tensors of a float32 model are copied into twice the memory, and the rule moves twice the bytes.",
        ask="Which dtype has a tensor of the model, and which does the rule get?",
    ),
    edit(
        "each tensor is given new memory",
        {WRITE: "old.data = part.view_as(old)"},
        why="It becomes a piece of the long tensor; the executors of the course write into the old memory, so that "
        "whoever holds a view of a parameter sees the new numbers.",
        ask="Which method writes into the old memory, in the place of `.data =`?",
    ),
]

# Launches


def launches(rule, tensors, run):
    of_one = {"nesterov": 6 + 2, "rmsprop_momentum": 11 + 3}[rule]
    return of_one * tensors if run == "per_tensor" else of_one


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
            "`old.copy_(part.view_as(old))` writes one back. (What this adds: `torch.cat` reads and writes each column "
            "once. Were all of them views of long tensors all along, nothing would have to be laid end to end.)",
        ],
        EXECUTOR,
        _watch_executor,
    ),
    Exercise(
        "launches",
        launches,
        [
            "Which of the signs in the rule have a tensor on at least one side? The others Python works out by itself.",
            "Line (1) of `rmsprop_momentum` has five signs, and four of them are launches: a power, two products and a "
            "sum.",
            "Each result is written back, which is one launch more. All this happens once for each tensor, or once "
            "for the "
            "list.",
        ],
        [
            edit(
                "one launch too many for RMSprop with momentum",
                {"11 + 3": "12 + 3"},
                why="Nesterov has the right number. A sign between two numbers, as in 1 - alpha, never leaves Python.",
                ask="In `(1 - alpha) * g**2`, which signs have a tensor beside them?",
            ),
            edit(
                "one launch too many for either rule",
                {"6 + 2": "6 + 3", "11 + 3": "11 + 4"},
                why="Each sign beside a tensor is one, and so is each result that is written back.",
                ask="Which tensors does a rule return, and is the gradient among them?",
            ),
            edit(
                "one launch too many for Nesterov",
                {"6 + 2": "7 + 2"},
                why="RMSprop with momentum has the right number.",
                ask="In each of the two lines of `nesterov`, how many signs have a tensor beside them?",
            ),
            edit(
                "one launch is missing for Nesterov",
                {"6 + 2": "5 + 2"},
                why="RMSprop with momentum has the right number.",
                ask="Line (2) has two products, a sum and a difference. How many signs has line (1), and how many "
                "results are written back?",
            ),
            edit(
                "one launch is missing for RMSprop with momentum",
                {"11 + 3": "10 + 3"},
                why="Nesterov has the right number. A power is a launch, and so is the sum with `eps`.",
                ask="How many signs beside a tensor has line (2), and how many results are written back?",
            ),
            edit(
                "one launch is missing for either rule",
                {"6 + 2": "5 + 2", "11 + 3": "10 + 3"},
                why="Each sign beside a tensor is one, and so is each result that is written back.",
                ask="Which tensors does a rule return, and are all of them written back?",
            ),
            edit(
                "each `=` is counted too",
                {"6 + 2": "8 + 2", "11 + 3": "14 + 3"},
                why="The signs are counted right, and `=` only gives a result its name.",
                ask="What does Python ask of the machine when it gives a tensor a name?",
            ),
            edit(
                "nothing is written back",
                {" + 2": "", " + 3": ""},
                why="The arithmetic is counted right, and its results are left lying in temporaries.",
                ask="A rule changes nothing in place. How many results does it return, and how do they get into the "
                "model?",
            ),
            edit(
                "as many launches are missing as the rule has buffers",
                {" + 2": " + 1", " + 3": " + 1"},
                why="For Nesterov it is one, for RMSprop with momentum two.",
                ask="Is each sign beside a tensor counted? And what does the rule return beside the parameter, that "
                "must be in its place at the next step?",
            ),
            edit(
                "a list is counted like as many tensors",
                {' if run == "per_tensor" else of_one': ""},
                why="For each tensor the number is right, but on a list one launch serves all tensors.",
                ask="What does `multi_tensor` give torch, one tensor or all of them?",
            ),
            edit(
                "over lists the results are written back one by one",
                {
                    'of_one = {"nesterov": 6 + 2, "rmsprop_momentum": 11 + 3}[rule]': (
                        'signs, results = {"nesterov": (6, 2), "rmsprop_momentum": (11, 3)}[rule]\n'
                        "    of_one = signs + results"
                    ),
                    "else of_one": "else signs + results * tensors",
                },
                why="The signs are counted right; a copy, too, is one launch over a list.",
                ask="What is the difference, to a launch over lists, between a product and a copy?",
            ),
            edit(
                "the two executors are exchanged",
                {'run == "per_tensor"': 'run == "multi_tensor"'},
                why="What you say of each is right of the other.",
                ask="Which of them calls the rule once for each tensor?",
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
            ("nesterov", 1, "per_tensor"),
            ("nesterov", 23, "multi_tensor"),
            ("nesterov", 17, "per_tensor"),
            ("rmsprop_momentum", 1, "multi_tensor"),
            ("rmsprop_momentum", 131, "per_tensor"),
            ("rmsprop_momentum", 131, "multi_tensor"),
        ),
        secret=True,
    ),
    Exercise(
        "step_seconds",
        step_seconds,
        [
            "Seconds are launches times `launch`, plus bytes divided by `speed`. How many of each in the two runs?",
            "In the loop each array is read or written once, as under *Bytes*. Over lists write down every launch: a "
            "number times a tensor reads one and makes one, a sum of two tensors reads two and makes one.",
            "Over lists gradient descent has three launches: `lr * g`, the difference, and the copy into `p`. They "
            "touch 2, 3 and 2 arrays. Momentum has seven.",
        ],
        SECONDS,
        watch_seconds,
        secret=True,
    ),
]
