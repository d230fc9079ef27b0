"""Lesson 12, fast: its tasks, their hints, and the answers that go wrong."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from .. import rules
from ..execute import multi_tensor
from ..optimizers import Adam
from ..signature import signature
from .registry import bug, task, variant


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


def _handed(first):
    """In words, what a rule was given as its parameter, call by call."""
    if not first:
        return "nothing"
    if len(first) > 1:
        return "one tensor after the other"
    (given,) = first
    return f"one tensor of {given.numel()} elements" if torch.is_tensor(given) else "a list of tensors"


def _watch_executor(answer):
    draw = torch.Generator().manual_seed(12)
    seen, first = [], []
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
            at = f"{rule.__name__}, step {t}:"
            for letter, column in zip(letters, written, strict=True):
                seen += [(f"{at} {letter} {k}", tensor.clone()) for k, tensor in enumerate(column, 1)]
            seen += [(f"{at} 'the gradients are as before'", same), (f"{at} 'no tensor has moved'", places == after)]
    parameters = [p.clone().requires_grad_() for p in _some_tensors(draw)]
    optimizer = Adam(parameters, lr=0.1, run=answer)
    for _ in range(2):
        for p in parameters:
            p.grad = torch.randn(p.shape, generator=draw, dtype=p.dtype)
        optimizer.step()
    seen += [(f"in Adam, after 2 steps, parameter {k}", p.detach().clone()) for k, p in enumerate(parameters, 1)]

    def watched(p, g, b, *, lr):
        first.append(p)
        return rules.momentum(p, g, b, lr=lr)

    counts = []
    for number in (2, 20):
        columns = _columns_of(rules.momentum, [torch.ones(2, dtype=torch.float64) for _ in range(number)], draw)
        first.clear()
        with _Arithmetic() as arithmetic:
            answer(watched, columns, {"lr": 0.1})
        counts.append(arithmetic.count)
    return [
        *seen,
        ("the number of launches that momentum needs for one more tensor", (counts[1] - counts[0]) / 18),
        ("what momentum gets as p, for 20 tensors of two elements,", _handed(first)),
    ]


def _concatenated(rule, columns, hyper, write, into=lambda columns: [columns[0], *columns[2:]]):
    """Run the rule on long tensors, and let ``write`` have each old tensor, its part of the result and the whole."""
    results = rule(*(torch.cat([tensor.flatten() for tensor in column]) for column in columns), **hyper)
    sizes = [p.numel() for p in columns[0]]
    for column, new in zip(into(columns), results, strict=False):
        for old, part in zip(column, new.split(sizes), strict=True):
            write(old, part, new)


def _write(old, part, new):
    old.copy_(part.view_as(old))


@task(observe=_watch_executor)
def concatenated(rule, columns, hyper):
    """`torch.cat([x.flatten() for x in column])` makes one long tensor of a column. The rule takes one for each column.

    The rule returns the new parameters, then the new buffers, all of them long. Which columns do they belong to? There
    is no result for the gradients, and `parameters, gradients, *buffers = columns` takes them apart.

    `new.split(sizes)`, with the `numel()` of each parameter, cuts a result into parts, and
    `old.copy_(part.view_as(old))` writes one back.
    """
    _concatenated(rule, columns, hyper, _write)


@bug("concatenated")
def concatenated_parameters_only(rule, columns, hyper):
    """The parameters move and the buffers stay as they were, so the next step remembers nothing.

    What does the rule return after the new parameter, and who needs it at the next step?
    """
    _concatenated(rule, columns, hyper, _write, into=lambda columns: columns[:1])


@bug("concatenated")
def concatenated_writes_nothing(rule, columns, hyper):
    """The results are worked out, and no tensor of the model has changed.

    What does `old = part` change, the tensor or what the name stands for? Which method writes into a tensor?
    """
    _concatenated(rule, columns, hyper, lambda old, part, new: None)


@bug("concatenated")
def concatenated_writes_into_a_copy(rule, columns, hyper):
    """Some tensors move; a matrix that is not contiguous stands still, for flattening it made a copy.

    Which of the two can be given the other's shape without a copy, the tensor of the model or its part of the result?
    """
    _concatenated(rule, columns, hyper, lambda old, part, new: old.flatten().copy_(part))


@bug("concatenated")
def concatenated_forgets_the_shapes(rule, columns, hyper):
    """The numbers are right, and the matrix has become a vector: it will not multiply anything any more.

    Which tensor still knows the shape that its part of the result should have?
    """
    _concatenated(rule, columns, hyper, lambda old, part, new: setattr(old, "data", part))


@bug("concatenated")
def concatenated_same_part_for_all(rule, columns, hyper):
    """Every tensor gets numbers from the beginning of the long one.

    Where does the part of the second tensor begin, and which line moves that place on?
    """
    _concatenated(rule, columns, hyper, lambda old, part, new: old.copy_(new[: old.numel()].view_as(old)))


@bug("concatenated")
def concatenated_writes_into_the_next_column(rule, columns, hyper):
    """The first buffer's new value lands in the gradient, the second's in the first buffer, and so on.

    The rule returns one result fewer than it has columns; which column has none?
    """
    _concatenated(rule, columns, hyper, _write, into=lambda columns: columns)


@bug("concatenated")
def concatenated_changes_the_gradient(rule, columns, hyper):
    """Parameters and buffers are right, and the gradients are other than before.

    Who may look at a gradient after the step, and which of your lines writes into one?
    """
    concatenated(rule, columns, hyper)
    for gradient in columns[1]:
        gradient.zero_()


@bug("concatenated")
def concatenated_one_after_the_other(rule, columns, hyper):
    """All numbers are right, but the rule is still run tensor by tensor, as `per_tensor` does it.

    How many times should the rule be called, however many tensors there are?
    """
    for arguments in zip(*columns, strict=True):
        _concatenated(rule, [[tensor] for tensor in arguments], hyper, _write)


@bug("concatenated")
def concatenated_on_lists(rule, columns, hyper):
    """All numbers are right and the launches are few, but the rule gets lists, as in `multi_tensor`.

    Which function of torch makes one tensor out of many?
    """
    multi_tensor(rule, columns, hyper)


@variant("concatenated")
def concatenated_new_memory(rule, columns, hyper):
    """Here each tensor is given new memory, a piece of the long one; the executors of the course write into the old.

    To convert, use `copy_` in the place of `.data =`: whoever holds a view of a parameter then sees the new numbers.
    """
    _concatenated(rule, columns, hyper, lambda old, part, new: setattr(old, "data", part.view_as(old)))


LAUNCHES = {"momentum": 7, "adadelta": 19}  # of one tensor: arithmetic, and a copy for each result


def _watch_launches(answer):
    given = [("momentum", 1, "per_tensor"), ("momentum", 20, "multi_tensor"), ("momentum", 20, "per_tensor")]
    given += [("adadelta", 1, "multi_tensor"), ("adadelta", 148, "per_tensor"), ("adadelta", 148, "multi_tensor")]
    return [(f"launches{row}", answer(*row)) for row in given]


@task(observe=_watch_launches, secret=True)
def launches(rule, tensors, run):
    """Which of the signs in the rule have a tensor on at least one side? The others Python works out by itself.

    Line (1) of `adadelta` has five signs, and four of them are launches: a power, two products and a sum.

    Each result is written back, which is one launch more. All this happens once for each tensor, or once for the list.
    """
    return LAUNCHES[rule] * (tensors if run == "per_tensor" else 1)


@bug("launches")
def launches_counts_numbers(rule, tensors, run):
    """Signs between two numbers are counted too, such as that of 1 - rho, and they never leave Python.

    In `(1 - rho) * g**2`, which signs have a tensor beside them?
    """
    return {"momentum": 8, "adadelta": 21}[rule] * (tensors if run == "per_tensor" else 1)


@bug("launches")
def launches_forgets_to_write_back(rule, tensors, run):
    """The arithmetic is counted right, and its results are left lying in temporaries.

    A rule changes nothing in place. How many results does it return, and how do they get into the model?
    """
    return {"momentum": 5, "adadelta": 16}[rule] * (tensors if run == "per_tensor" else 1)


@bug("launches")
def launches_writes_back_the_parameter_only(rule, tensors, run):
    """The arithmetic is counted right, and of the results only the parameter is written back.

    What else does the rule return, and where must it be at the next step?
    """
    return {"momentum": 6, "adadelta": 17}[rule] * (tensors if run == "per_tensor" else 1)


@bug("launches")
def launches_list_like_tensors(rule, tensors, run):
    """For each tensor the number is right, but on a list one launch serves all tensors.

    What does `multi_tensor` hand to torch, one tensor or all of them?
    """
    return LAUNCHES[rule] * tensors


@bug("launches")
def launches_one_tensor_only(rule, tensors, run):
    """This is the number for a single tensor, and `per_tensor` begins anew with each.

    How many times does `per_tensor` call the rule?
    """
    return LAUNCHES[rule]


def _steps():
    """Steps as functions of p and g, by name, each beside whether it is elementwise."""

    def of(rule):
        def step(p, g):
            buffers = [torch.zeros_like(p) for _ in signature(rule)[0]]
            return rule(p, g, *buffers, **_hyper_at(rule, 3))[0]

        return step

    def along(direction):
        return lambda p, g: p - 0.1 * direction(torch.atleast_2d(g)).reshape(p.shape)

    def newton_schulz(x):
        x = x / ((x**2).sum() ** 0.5 + 1e-8)
        for _ in range(5):
            x = 1.5 * x - 0.5 * (x @ x.mT) @ x
        return x

    return {
        "gradient descent": of(rules.gradient_descent),
        "momentum": of(rules.momentum),
        "Adam": of(rules.adam),
        "centered RMSprop": of(rules.rmsprop_centered),
        "a gradient divided by its length": along(lambda g: g / ((g**2).sum() ** 0.5 + 1e-8)),
        "a gradient less its mean": along(lambda g: g - g.mean()),
        "a gradient less the mean of each row": along(lambda g: g - g.mean(1, keepdim=True)),
        "a gradient with each column divided by its length": along(
            lambda g: g / ((g**2).sum(0, keepdim=True) ** 0.5 + 1e-8)
        ),
        "a toy Muon": along(newton_schulz),
    }


def _watch_elementwise(answer):
    tried = []

    def watched(step):
        def noted(p, g):
            tried.append(g)
            return step(p, g)

        return noted

    def judged(step):
        value = answer(watched(step))
        return value if value is None else bool(value)

    seen = [(f"for {name} your answer", judged(step)) for name, step in _steps().items()]
    if all(value == (number < 4) for number, (_, value) in enumerate(seen)):
        return seen  # right, with whatever gradients
    return [*seen, ("the kind of gradient that you try", _kind(tried))]


def _kind(gradients):
    try:
        gradients = [torch.as_tensor(g).detach() for g in gradients]
        if not any(g.any() for g in gradients):
            return "zeros only" if gradients else "none"
        return "unequal elements" if any((g != g.flatten()[0]).any() for g in gradients) else "equal elements"
    except Exception:  # such as a gradient that torch.vmap hands over, which has no values
        return "unknown"


def _pair(*shape):
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def _together_and_alone(step, p, g):
    alone = [step(a, b) for a, b in zip(p.flatten(), g.flatten(), strict=True)]
    return torch.allclose(step(p, g).flatten(), torch.stack(alone))


@task(observe=_watch_elementwise)
def is_elementwise(step):
    """If each element goes its own way, what changes for it when the others are not there?

    Take a matrix p and a gradient g of random numbers. Step with all of it; then with each element alone. Compare.

    `zip(p.flatten(), g.flatten())` gives the elements in pairs, `torch.stack` puts the results in a row, and
    `torch.allclose` compares that with `step(p, g).flatten()`.
    """
    return _together_and_alone(step, *_pair(2, 3))


@bug("is_elementwise")
def is_elementwise_cannot_fail(step):
    """Every step passes, also those that mix elements: what you compare agrees whatever the step does.

    Shapes always agree, and so does a result with itself. In a toy Muon, which numbers of yours would differ?
    """
    p, g = _pair(2, 3)
    return step(p, g).shape == p.shape


@bug("is_elementwise")
def is_elementwise_tries_zeros(step):
    """Where the gradient is zero nothing moves, with or without neighbours, so every step passes.

    Which gradient would let an element feel its neighbours?
    """
    p, g = torch.zeros(2, 3), torch.zeros(2, 3)
    return _together_and_alone(step, p, g)


@bug("is_elementwise")
def is_elementwise_tries_equal_elements(step):
    """All elements of your gradient are equal, so each of them alone looks like their mean.

    What is left of 1, 1, 1 after their mean is taken off, and what of a single 1?
    """
    return _together_and_alone(step, torch.ones(2, 3), torch.ones(2, 3))


@bug("is_elementwise")
def is_elementwise_only_shuffles(step):
    """A length and a mean are the same in any order, so a step that uses one of them passes.

    Leave elements away in the place of moving them: whose steps change then?
    """
    p, g = _pair(2, 3)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    shuffled = step(p.flatten()[order].view(2, 3), g.flatten()[order].view(2, 3))
    return torch.allclose(step(p, g).flatten()[order], shuffled.flatten())


@bug("is_elementwise")
def is_elementwise_misses_rows(step):
    """A step that mixes the elements of one row passes: you never part the elements of a row.

    What would you have to compare with, so that an element has no neighbour at all?
    """
    p, g = _pair(2, 3)
    return torch.allclose(step(p, g), torch.stack([step(*row) for row in zip(p, g, strict=True)]))


@bug("is_elementwise")
def is_elementwise_misses_columns(step):
    """A step that mixes the elements of one column passes: you never part two elements of a column.

    Has your gradient two elements in one column, and does one of them ever step alone?
    """
    return _together_and_alone(step, *_pair(6))
