"""From a rule to an optimizer that torch's schedulers, scalers and checkpoints take for one of their own."""

import functools
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from .arguments import asked, check_options, check_rule, checked_group, is_set, listed, refusing_unknown
from .execute import Executor, executor
from .signature import signature

Number = float | torch.Tensor
Params = Iterable[torch.Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, torch.Tensor]]
Run = str | Executor | None


def named(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a constructor by their names, from its ``locals()``.

    >>> named({"self": None, "params": [], "lr": 0.1})
    {'params': [], 'lr': 0.1}
    """
    return {name: value for name, value in arguments.items() if name not in ("self", "__class__")}


class RuleOptimizer(torch.optim.Optimizer):
    """A `torch.optim.Optimizer` whose update is a rule of `edu_optim.rules`.

    A subclass lists its options in its constructor and passes them on; it names the rule that they ask for (`rule`)
    and the keys under which torch keeps the rule's buffers (`keys`). Groups, hooks and checkpoints are torch's.

    Args:
        params: tensors, named tensors, or groups (dicts with ``"params"`` and options of their own).
        run: ``"multi_tensor"``, ``"per_tensor"``, ``"compiled"``, or a callable like those in `edu_optim.execute`.
            None is the fastest: compiled to C where that is possible, multi_tensor elsewhere.
        options: as the subclass lists them. A number may be a tensor that broadcasts against every parameter of
            its group: one descent for each of its elements.

    Errors: ValueError or TypeError before anything has changed, naming the argument, its value and what is
    allowed.

    >>> from edu_optim.rules import adagrad
    >>> class Adagrad(RuleOptimizer):
    ...     keys = {"s": "sum"}
    ...
    ...     def __init__(self, params, lr=0.5, eps=1e-10):
    ...         super().__init__(params, lr=lr, eps=eps)
    ...
    ...     def rule(self, group):
    ...         return adagrad
    >>> p = torch.tensor([1.0], requires_grad=True)
    >>> p.grad = torch.tensor([4.0])
    >>> Adagrad([p]).step()
    >>> p
    tensor([0.5000], requires_grad=True)
    """

    keys: Mapping[str, str] = {}
    takes_sparse = False

    def rule(self, group: Mapping[str, Any]) -> Callable:
        """The rule that the options of ``group`` ask for."""
        raise NotImplementedError(f"{type(self).__name__} does not say which rule it runs")

    def hyper(self, group: Mapping[str, Any], t: float) -> dict[str, Any]:
        """The values from which the rule's keyword arguments are taken, at step ``t``."""
        return {**group, "t": t}

    def __init_subclass__(cls) -> None:
        for name in {"__init__"} & vars(cls).keys():  # editors follow an assignment to cls.__init__ to nowhere
            setattr(cls, name, refusing_unknown(vars(cls)[name]))

    def __init__(self, params: Params, run: Run = None, **options: Any) -> None:
        given, self.run = listed(params), run
        executor(run)
        if not given:
            raise ValueError("params must hold at least one tensor, got none (was an iterator used up before?)")
        self.check(options, [])
        super().__init__(given, options)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own, as in torch.optim; options that are not ours are kept."""
        group, tensors = checked_group(param_group, self.param_groups, known=self.defaults)
        self.check({**self.defaults, **group}, tensors)
        super().add_param_group(group)

    def check(self, options: Mapping[str, Any], tensors: list[torch.Tensor]) -> None:
        """Refuse options that are out of range, or that do not fit each other or the shapes of ``tensors``."""
        own = inspect.signature(type(self)).parameters.values()
        check_options(options, tensors, [option.name for option in own if isinstance(option.default, bool)], self.run)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step with every parameter that has a gradient, and return the loss of ``closure``, if given.

        ``closure`` evaluates the model again, calls backward and returns the loss.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            ready = [self._with_gradients(group) for group in self.param_groups]
            for group, (params, gradients) in zip(self.param_groups, ready, strict=True):
                rule = self.rule(group)
                letters, names = signature(rule)
                decays = "weight_decay" not in names and is_set(group.get("weight_decay", 0))
                if decays or group.get("maximize"):
                    rule, names = _changed(rule, group.get("maximize"), decays), names + ("weight_decay",) * decays
                run = executor(self.run or asked(group))
                for t, columns in self._columns(group, params, gradients, letters, "t" in names):
                    hyper = self.hyper(group, t)
                    run(rule, columns, {name: hyper[name] for name in names})
        return loss

    def _with_gradients(self, group):
        """Parameters that have a gradient, and their gradients."""
        pairs = [(p, p.grad) for p in group["params"] if p.grad is not None]
        if not self.takes_sparse and any(gradient.is_sparse for _, gradient in pairs):
            raise RuntimeError(f"{type(self).__name__} does not take sparse gradients; SGD and Adagrad do")
        return [p for p, _ in pairs], [gradient.to_dense() if gradient.is_sparse else gradient for _, gradient in pairs]

    def _columns(self, group, params, gradients, letters, counted):
        """Parameters, gradients and buffers, beside the number of the step they are at; the first is 1."""
        columns, counts = [params, gradients], [1] * len(params)
        if params and (letters or counted):
            states = [self.state[p] for p in params]
            counts = self.advance(states)
            columns += self.buffers(group, params, states, letters)
        if any(p.is_complex() for p in params):
            columns = [list(map(_real, column)) for column in columns]
        at = defaultdict(list)
        for index, t in enumerate(counts):
            at[t].append(index)
        if len(at) == 1:
            return [(counts[0], columns)]
        return [(t, [[column[index] for index in chosen] for column in columns]) for t, chosen in at.items()]

    def advance(self, states: list[dict[str, Any]]) -> list:
        """Count a step of the parameters of these states, and return which of its steps it is; the first is 1."""
        for state in states:
            if "step" not in state:
                state["step"] = step_count(0)
        counts = [state["step"] for state in states]
        one = torch.ones_like(counts[0]).squeeze()
        torch._foreach_add_(counts, one, alpha=1)  # without alpha the one is read as a number, which takes longer
        read = torch.Tensor.double if torch.compiler.is_compiling() else torch.Tensor.item
        return list(map(read, counts))

    def buffers(self, group: Mapping[str, Any], params: list, states: list, letters: Iterable[str]) -> list[list]:
        """A column for each of a rule's buffers, which are made where there are none yet."""
        columns = []
        for letter in letters:
            key = self.keys.get(letter, letter)
            for p, state in zip(params, states, strict=True):
                if state.get(key) is None:
                    state[key] = torch.zeros_like(p)
                    _real(state[key]).add_(group.get("initial_accumulator_value", 0))
                elif self.takes_sparse and state[key].is_sparse:  # as torch's SGD leaves it after sparse gradients
                    state[key] = state[key].to_dense()
            columns.append([state[key] for state in states])
        return columns

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "run": self.run}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        given = inspect.signature(type(self)).parameters
        for group in self.param_groups:  # of an older version, which had fewer options
            for name, value in self.defaults.items():
                group.setdefault(name, given[name].default if name in given else value)
        for buffers in self.state.values():
            steps = buffers.get("step")  # a tensor that is where it should be may be shared with other processes
            if steps is not None and not (isinstance(steps, torch.Tensor) and steps.is_cpu):
                buffers["step"] = step_count(steps)


@functools.cache
def from_rule(rule: Callable) -> type[RuleOptimizer]:
    """The optimizer class of a rule: ``from_rule(adam)(model.parameters(), lr=1e-3)``.

    Its options are the rule's keyword arguments, with the rule's defaults, and L2 ``weight_decay`` where the rule
    has no decay of its own. Each buffer is kept under the rule's own letter. It runs ``"per_tensor"`` unless told
    otherwise, so that a ``print`` or a debugger in the rule sees one parameter after the other. The other ways ask
    for a rule that is elementwise (see `edu_optim.execute.multi_tensor`).

    Errors: TypeError if ``rule`` does not take its arguments as a rule does.

    >>> def half_as_far(p, g, *, lr):
    ...     return (p - lr * g / 2,)
    >>> p = torch.tensor([1.0], requires_grad=True)
    >>> p.grad = torch.tensor([2.0])
    >>> from_rule(half_as_far)([p], lr=0.25).step()
    >>> p
    tensor([0.7500], requires_grad=True)
    """
    check_rule(rule)
    constructor, function = _constructor(rule), rule

    class FromRule(RuleOptimizer):
        __doc__ = function.__doc__

        def __init__(self, *args, **kwargs):
            given = constructor.bind(self, *args, **kwargs)
            given.apply_defaults()
            super().__init__(**named(given.arguments))

        __init__.__signature__ = constructor

        def rule(self, group):
            return function

        def __reduce__(self):
            return _unpickled, (function,), self.__getstate__()

    FromRule.__name__ = FromRule.__qualname__ = function.__name__
    return FromRule


def _constructor(rule):
    """The signature of the constructor of a rule's class."""
    own = inspect.signature(rule).parameters
    options = {name: own[name].default for name in signature(rule).keywords if name != "t"}
    options = {"weight_decay": 0, **options, "maximize": False, "run": "per_tensor"}
    position, keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature(
        [inspect.Parameter("self", position), inspect.Parameter("params", position)]
        + [inspect.Parameter(name, keyword, default=default) for name, default in options.items()]
    )


def _unpickled(rule):
    return object.__new__(from_rule(rule))


CHANGED = {}  # so that a rule that is changed in the same way is the same rule


def _changed(rule, maximize, decays):
    """The rule with its gradient changed first."""

    @functools.wraps(rule)
    def changed(p, g, *buffers, **hyper):
        if maximize:
            g = -g
        if decays:
            g = g + hyper.pop("weight_decay") * p
        return rule(p, g, *buffers, **hyper)

    return CHANGED.setdefault((rule, maximize, decays), changed)


def step_count(steps: float | torch.Tensor) -> torch.Tensor:
    """A step count as torch keeps it: on the host, in single precision unless the default is double.

    >>> step_count(3)
    tensor(3.)
    """
    dtype = torch.float64 if torch.get_default_dtype() == torch.float64 else torch.float32
    return torch.tensor(float(steps), dtype=dtype, device="cpu")


def _real(tensor):
    """A complex tensor as pairs of real numbers, each of which torch's optimizers step for itself."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor
