"""Follow any `torch.optim.Optimizer` over a problem, from one start or from thousands at once."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

HELD = 40  # tensors as large as the points that are alive at once in a `sweep`; AMSGrad with five axes holds 35


@dataclass(frozen=True)
class Trace:
    """What a descent left behind.

    Args:
        name: of the optimizer, for legends.
        points: ``[steps + 1, ..., 2]``, the start first.
        losses: ``[steps + 1, ...]``, the exact loss at each point.
        state: key of the optimizer's state -> ``[steps, ...]``, its tensors as they were after each
            step; empty unless asked for.

    >>> from edu_optim import Adam, problems
    >>> trace = descend(problems.beale, Adam, steps=5, lr=0.1, keep_state=True)
    >>> trace.name, trace.points.shape, trace.losses.shape, trace.state["exp_avg"].shape
    ('Adam', torch.Size([6, 2]), torch.Size([6]), torch.Size([5, 2]))
    """

    name: str
    points: torch.Tensor
    losses: torch.Tensor
    state: dict = field(default_factory=dict)


def descend(problem, optimizer, steps=100, start=None, *, name=None, seed=0, keep_state=False, **options):
    """Run ``optimizer`` on ``problem`` and return its `Trace`.

    Args:
        problem: one of `edu_optim.problems`, or any function of points ``[..., 2]`` that returns losses ``[...]``.
        optimizer: a class of torch.optim, of edu_optim or your own; called as ``optimizer([point], **options)``.
        steps: how many steps to take.
        start: a tensor ``[..., 2]``; the problem's own start, in float64, if None. The optimizers of this course
            are elementwise, so a batch of starts is a batch of independent descents.
        name: for legends; the optimizer's own if None.
        seed: of the noise, where the problem has some.
        keep_state: also keep what the optimizer had in ``state`` after each step.

    Errors: ValueError if ``steps`` is negative, or if ``start`` is missing and the problem has none.

    >>> from edu_optim import SGD, problems
    >>> trace = descend(problems.quadratic(condition=10), SGD, steps=2, start=torch.tensor([1.0, 1.0]), lr=0.1)
    >>> trace.points
    tensor([[1.0000, 1.0000],
            [0.9000, 0.0000],
            [0.8100, 0.0000]])
    """
    entrants = {name or getattr(optimizer, "__name__", "optimizer"): (optimizer, options)}
    return race(problem, entrants, steps, start, seed=seed, keep_state=keep_state)[0]


def race(problem, entrants, steps=100, start=None, *, seed=0, keep_state=False):
    """Run several optimizers over ``problem`` from the same start, and return the `Trace` of each.

    Where there is no noise, one evaluation gives the gradients of all, so three take little longer than one.
    Where there is, each meets the same noise.

    Args:
        entrants: name -> (optimizer, its options).
        problem, steps, start, seed, keep_state: as in `descend`.

    Errors: as in `descend`.

    >>> from edu_optim import SGD, Adam, problems
    >>> for trace in race(problems.booth, {"SGD": (SGD, {"lr": 0.01}), "Adam": (Adam, {"lr": 0.1})}, steps=50):
    ...     print(f"{trace.name}: {trace.losses[-1]:.2f}")
    SGD: 0.00
    Adam: 14.62
    """
    _check_steps(steps)
    leaves = [_leaf(problem, start) for _ in entrants]
    optimizers = [make([leaf], **options) for leaf, (make, options) in zip(leaves, entrants.values(), strict=True)]
    pairs = list(zip(leaves, optimizers, strict=True))
    alone = getattr(problem, "noisy", None) or len(pairs) == 1 or any(map(_needs_closure, optimizers))
    advance = _one_by_one(problem, pairs, seed) if alone else _all_at_once(problem, pairs)
    points, states = [[leaf.detach().clone() for leaf in leaves]], []
    for _ in range(steps):
        advance()
        points.append([leaf.detach().clone() for leaf in leaves])
        if keep_state:
            states.append([_tensors(optimizer.state[leaf]) for leaf, optimizer in pairs])
    traces = []
    for index, name in enumerate(entrants):
        path = torch.stack([row[index] for row in points])
        with torch.no_grad():
            traces.append(Trace(name, path, problem(path), _stacked([row[index] for row in states])))
    return traces


def _all_at_once(problem, pairs):
    leaves = [leaf for leaf, _ in pairs]

    def advance():
        points = torch.stack([leaf.detach() for leaf in leaves]).requires_grad_()
        (gradients,) = torch.autograd.grad(problem(points).sum(), points)
        for (leaf, optimizer), gradient in zip(pairs, gradients.unbind(), strict=True):
            leaf.grad = gradient
            optimizer.step()

    return advance


def _one_by_one(problem, pairs, seed):
    """Each steps with the gradient at hand; it is handed the closure only where it cannot do without."""
    sample = getattr(problem, "sample", lambda points, generator: problem(points))

    def stepper(leaf, optimizer):
        generator = torch.Generator(leaf.device).manual_seed(seed)

        def closure():
            optimizer.zero_grad()
            loss = sample(leaf, generator).sum()
            loss.backward()
            return loss

        return (lambda: optimizer.step(closure)) if _needs_closure(optimizer) else lambda: (closure(), optimizer.step())

    steppers = [stepper(*pair) for pair in pairs]
    return lambda: [step() for step in steppers]


@dataclass(frozen=True)
class Sweep:
    """Where thousands of descents have ended.

    Args:
        name: of the optimizer, for legends.
        axes: name of an option -> its values, a tensor of one dimension; in the order in which they were given.
        points: ``[*grid, 2]``, where each descent ends. The grid is the leading dimensions of the start, then one
            dimension for each of ``axes``.
        losses: ``[*grid]``, the exact loss there.
        minimum: ``[*grid]``, which of the problem's minima it has arrived at; -1 if at none.
        arrival: ``[*grid]``, the step with which it last came close to that minimum: after that step and each later
            one it is close; 0 if it was from the start, -1 if it is at none.

    >>> from edu_optim import SGD, problems
    >>> found = sweep(problems.booth, SGD, steps=30, lr=torch.tensor([0.01, 0.1, 1.0]))
    >>> found.axes["lr"], found.points.shape
    (tensor([0.0100, 0.1000, 1.0000]), torch.Size([3, 2]))
    """

    name: str
    axes: dict
    points: torch.Tensor
    losses: torch.Tensor
    minimum: torch.Tensor
    arrival: torch.Tensor


def sweep(problem, optimizer, steps=100, start=None, *, close=0.1, memory=2**28, seed=0, **options):
    """Run thousands of descents at once, one from each start with each setting, and keep where each ends: a `Sweep`.

    Args:
        problem, steps: as in `descend`.
        optimizer: an elementwise one, like all of this course, called as ``optimizer([points], **options)``.
        start: a tensor ``[..., 2]``; the problem's own, in float64, if None. Each start is one place of the grid.
        close: the distance from a minimum within which a descent has arrived at it, in the units of the points.
        memory: bytes that may be in use at once, beside the result; the descents are run in parts that fit.
        seed: of the noise, where the problem has some. Each descent then meets noise of its own.
        options: of the optimizer. One that is a tensor ``[n]`` is an axis of the grid with n settings, and so is each
            tensor in ``betas``: its axes are called beta1 and beta2.

    A descent that diverges ends at infinity or at no number; the others do not feel it. Work that takes longer than
    five seconds shows how far it is.

    Errors: ValueError if ``steps`` is negative, ``close`` is not positive, an axis is empty or not of one dimension,
    ``memory`` is too small for one descent, or ``start`` is empty, or missing and the problem has none.

    >>> from edu_optim import SGD, problems
    >>> found = sweep(problems.booth, SGD, steps=30, lr=torch.tensor([0.01, 0.1, 1.0]))
    >>> found.minimum, found.arrival
    (tensor([ 0,  0, -1]), tensor([22, 20, -1]))
    """
    _check_steps(steps)
    if not close > 0:
        raise ValueError(f"close must be a distance > 0, got {close!r}")
    start = _leaf(problem, start).detach()
    if start.shape[-1:] != (2,) or not start.numel():
        raise ValueError(f"start must hold points, shape [..., 2], and one or more, got shape {tuple(start.shape)}")
    axes = _axes(options)
    shape = [start[..., 0].numel(), *map(len, axes.values())]
    parts = torch.arange(math.prod(shape), device=start.device).split(_at_once(memory, start, axes))
    ends, bar = [], None
    for part in parts:
        place, *places = torch.unravel_index(part, shape)
        points = start.reshape(-1, 2)[place].requires_grad_()
        chosen = zip(axes.items(), places, strict=True)
        settings = {name: axis.to(start.device)[at, None] for (name, axis), at in chosen}
        runner = optimizer([points], **_set(options, settings))
        bar = bar if ends else _bar(steps * len(parts))  # now: it takes torch seconds to make its first optimizer
        ends.append(_run(problem, points, runner, steps, close, seed + len(ends), bar))
    bar.close()
    grid = start.shape[:-1] + tuple(shape[1:])
    ends = [torch.cat(column).reshape(grid + column[0].shape[1:]) for column in zip(*ends, strict=True)]
    return Sweep(getattr(optimizer, "__name__", "optimizer"), axes, *ends)


def _run(problem, points, runner, steps, close, seed, bar):
    """The fields of a `Sweep` for descents that run together."""
    advance = _one_by_one(problem, [(points, runner)], seed)
    minima = getattr(problem, "minima", ())
    minimum = _close_to(points, minima, close)
    arrival = torch.zeros_like(minimum)
    for step in range(1, steps + 1):
        advance()
        now = _close_to(points, minima, close)
        arrival.masked_fill_(now != minimum, step)
        minimum = now
        bar.update()
    points = points.detach()
    with torch.no_grad():
        return points, problem(points), minimum, arrival.where(minimum >= 0, -1)


def _close_to(points, minima, close):
    """Which of ``minima`` each of the points is close to; -1 if to none."""
    x, y = points.detach().unbind(-1)
    minimum = torch.full_like(x, -1, dtype=torch.int64)
    for index, (at_x, at_y) in enumerate(minima):
        minimum.masked_fill_((x - at_x) ** 2 + (y - at_y) ** 2 <= close**2, index)
    return minimum


def _axes(options):
    """The axes among ``options``, by the names that `_set` looks for."""
    members = [member for option in options.items() for member in _members(*option)]
    axes = {name: value for name, value in members if torch.is_tensor(value)}
    for name, axis in axes.items():
        if axis.dim() != 1 or not len(axis):
            raise ValueError(
                f"{name} must be a number or a tensor [n] of n > 0 settings, got shape {tuple(axis.shape)}"
            )
    return axes


def _set(options, settings):
    """``options`` with ``settings`` in the place of the axes."""
    chosen = {}
    for name, value in options.items():
        values = [settings.get(member, old) for member, old in _members(name, value)]
        chosen[name] = tuple(values) if isinstance(value, tuple | list) else values[0]
    return chosen


def _members(name, value):
    """The options in an option: betas are beta1 and beta2."""
    if not isinstance(value, tuple | list):
        return [(name, value)]
    return [(f"{name.removesuffix('s')}{number}", member) for number, member in enumerate(value, 1)]


def _at_once(memory, start, axes):
    """How many descents may run together."""
    wide = max([start.element_size(), *(axis.element_size() for axis in axes.values())])
    if memory < HELD * 2 * wide:
        raise ValueError(f"memory must hold at least one descent, {HELD * 2 * wide} bytes, got {memory!r}")
    return int(memory // (HELD * 2 * wide))


def _bar(steps):
    from tqdm import tqdm

    return tqdm(total=steps, unit="step", delay=5, leave=False)


def train(model, optimizer, inputs, labels, steps=100, *, batch=None, seed=0, **options):
    """Teach ``model`` to classify, and return the loss before each step, ``[steps]``.

    Args:
        model: a `torch.nn.Module` that gives a score to each class.
        optimizer: a class, called as ``optimizer(model.parameters(), **options)``.
        inputs, labels: ``[n, ...]`` and ``[n]``.
        steps: how many steps to take.
        batch: how many examples to draw, with replacement, for each step; all n of them, undrawn, if None.
        seed: of the draws.

    >>> from edu_optim import Adam, problems
    >>> images, labels = problems.digits()
    >>> losses = train(problems.small_net(64, 10), Adam, images, labels, steps=50, lr=0.1)
    >>> print(f"{losses[0]:.1f} -> {losses[-1]:.1f}")
    2.4 -> 0.1
    """
    optimizer = optimizer(model.parameters(), **options)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(steps):
        drawn = slice(None) if batch is None else torch.randint(len(inputs), (batch,), generator=generator)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs[drawn]), labels[drawn])
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def _check_steps(steps):
    if not isinstance(steps, int) or steps < 0:
        raise ValueError(f"steps must be a whole number >= 0, got {steps!r}")


@dataclass(frozen=True)
class Copies:
    """N copies of a network, trained at once by `train_many`.

    Args:
        losses: ``[steps, N]``, the loss of each copy before each step.
        parameters: name -> ``[N, ...]``, the parameter of each copy after the last step.
        scores: a function of inputs ``[n, ...]`` that returns what each copy makes of them, ``[N, n, classes]``.

    >>> from edu_optim import SGD, problems
    >>> images, labels = problems.digits()
    >>> starts = [problems.small_net(64, 10, seed=seed) for seed in range(3)]
    >>> copies = train_many(starts, SGD, images, labels, steps=5, lr=0.5)
    >>> copies.losses.shape, copies.parameters["0.bias"].shape, copies.scores(images).shape
    (torch.Size([5, 3]), torch.Size([3, 10]), torch.Size([3, 1797, 10]))
    """

    losses: torch.Tensor
    parameters: dict
    scores: Callable

    def accuracy(self, inputs, labels):
        """The fraction of the ``inputs`` that each copy puts in the class of their ``labels``, ``[N]``.

        >>> from edu_optim import SGD, problems
        >>> images, labels = problems.digits()
        >>> copies = train_many(problems.small_net(64, 10), SGD, images, labels, lr=torch.tensor([0.0, 0.5]))
        >>> [f"{fraction:.2f}" for fraction in copies.accuracy(images, labels)]
        ['0.05', '0.94']
        """
        return (self.scores(inputs).argmax(-1) == labels).double().mean(-1)


def train_many(model, optimizer, inputs, labels, steps=100, *, batch=None, seed=0, **options):
    """Teach N copies of ``model`` at once, each with options of its own, and return the `Copies`.

    Copy i learns what `train` teaches with option i, from the same draws, and no copy feels what another does. Only
    rounding differs, which a copy that leaps about magnifies.

    Args:
        model: a `torch.nn.Module`, from which all copies start, or a list of N of one architecture, one for each
            copy. They are left as they were.
        optimizer: a class of this course, or any that is elementwise; called once, for all copies.
        inputs, labels, steps, batch, seed: as in `train`.
        options: of the optimizer. A number, or one of a pair such as ``betas``, holds for all copies; a tensor
            ``[N]`` has one for each.

    Errors: ValueError if a tensor is empty or not of one dimension, if the tensors and the list are not of one length,
    or if the list mixes architectures.

    >>> from edu_optim import Adam, problems
    >>> images, labels = problems.digits()
    >>> copies = train_many(problems.small_net(64, 10), Adam, images, labels, lr=torch.tensor([0.001, 0.01, 0.1]))
    >>> copies.losses.shape, copies.parameters["0.weight"].shape
    (torch.Size([100, 3]), torch.Size([3, 10, 64]))
    >>> [f"{loss:.1f}" for loss in copies.losses[-1]]
    ['1.7', '0.3', '0.1']
    """
    axes = _axes(options)
    models = _models(model, axes)
    parameters, buffers = torch.func.stack_module_state(models)
    scores = torch.vmap(lambda state, x: torch.func.functional_call(models[0], state, x), in_dims=(0, None))
    cross_entropy = torch.vmap(torch.nn.functional.cross_entropy, in_dims=(0, None))
    optimizer = optimizer(_groups(parameters.values(), options, axes), **options)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(steps):
        drawn = slice(None) if batch is None else torch.randint(len(inputs), (batch,), generator=generator)
        optimizer.zero_grad()
        loss = cross_entropy(scores(parameters | buffers, inputs[drawn]), labels[drawn])
        loss.sum().backward()
        optimizer.step()
        losses.append(loss.detach())
    parameters = {name: parameter.detach() for name, parameter in parameters.items()}
    return Copies(torch.stack(losses), parameters, lambda inputs: scores(parameters | buffers, inputs))


def _models(model, axes):
    """One model for each copy, where the axes and the list of models agree on how many there are."""
    one = isinstance(model, torch.nn.Module)
    lengths = {name: len(axis) for name, axis in axes.items()} | ({} if one else {"model": len(model)})
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        seen = ", ".join(f"{length} in {name}" for name, length in lengths.items())
        raise ValueError(f"{' and '.join(lengths)} must hold one for each of the N copies, N > 0, got {seen}")
    models = [model] * max(lengths.values(), default=1) if one else model
    for index, other in enumerate(models):
        if repr(other) != repr(models[0]):
            raise ValueError(f"model[{index}] must have the architecture of model[0], {models[0]!r}, got {other!r}")
    return models


def _groups(parameters, options, axes):
    """The stacked parameters by their rank, each rank with the axes in a shape that broadcasts against it."""
    groups = {}
    for p in parameters:
        columns = {  # in double precision, as numbers are
            name: axis.to(p.device, torch.float64).reshape(-1, *[1] * (p.ndim - 1)) for name, axis in axes.items()
        }
        own = {name: value for name, value in _set(options, columns).items() if value is not options[name]}
        groups.setdefault(p.ndim, {"params": [], **own})["params"].append(p)
    return list(groups.values())


def _leaf(problem, start):
    if start is None:
        start = getattr(problem, "start", None)
        if start is None:
            raise ValueError("start must be a tensor of shape [..., 2]: the problem brings none of its own")
        start = torch.tensor(start, dtype=torch.float64)
    if not isinstance(start, torch.Tensor) or not start.is_floating_point():
        raise TypeError(f"start must be a tensor of shape [..., 2] and a floating dtype, got {start!r}")
    return start.detach().clone().requires_grad_()


def _needs_closure(optimizer):
    argument = inspect.signature(optimizer.step).parameters.get("closure")
    return argument is not None and argument.default is argument.empty


def _tensors(state):
    return {key: value.clone() for key, value in state.items() if torch.is_tensor(value)}


def _stacked(states):
    if not states:
        return {}
    kept = [key for key in states[0] if all(key in state for state in states)]
    return {key: torch.stack([state[key] for state in states]) for key in kept}
