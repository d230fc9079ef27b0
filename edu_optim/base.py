"""From a rule to an optimizer that torch's schedulers, scalers and checkpoints take for one of their own."""

import functools
import inspect
import math
import numbers
from collections import defaultdict

import torch

from .execute import executor

DECLINED = {
    "foreach": "run='per_tensor' or run='multi_tensor' says how a step is run",
    "fused": "run= says how a step is run",
    "capturable": "the step count is a number here; use torch.optim inside a CUDA graph",
    "differentiable": "the functions in edu_optim.rules are pure: differentiate through them",
}


class RuleOptimizer(torch.optim.Optimizer):
    """A `torch.optim.Optimizer` whose update is a rule of `edu_optim.rules`.

    A subclass names its options with their defaults (`options`, and `keyword_options` that are never given by
    position), the rule that they ask for (`rule`) and the keys under which torch keeps the rule's buffers (`keys`).
    Groups, hooks and checkpoints are torch's.

    Args:
        params: tensors, named tensors, or groups (dicts with ``"params"`` and options of their own).
        options: as the subclass lists them. A number may be a tensor that broadcasts against every parameter of
            its group: one descent for each of its elements.
        maximize: climb instead of descend.
        run: ``"multi_tensor"``, ``"per_tensor"``, ``"compiled"``, or a callable like those in `edu_optim.execute`.

    Errors: ValueError or TypeError before anything has changed, naming the argument, its value and what is
    allowed.

    >>> from edu_optim.rules import adagrad
    >>> class Adagrad(RuleOptimizer):
    ...     options = {"lr": 0.5, "eps": 1e-10}
    ...     keys = {"s": "sum"}
    ...
    ...     def rule(self, group):
    ...         return adagrad
    >>> p = torch.tensor([1.0], requires_grad=True)
    >>> p.grad = torch.tensor([4.0])
    >>> Adagrad([p]).step()
    >>> p
    tensor([0.5000], requires_grad=True)
    """

    options = {}
    keyword_options = {}
    keys = {}
    takes_sparse = False

    def rule(self, group):
        """The rule that the options of ``group`` ask for."""
        raise NotImplementedError(f"{type(self).__name__} does not say which rule it runs")

    def hyper(self, group, t):
        """The values from which the rule's keyword arguments are taken, at step ``t``."""
        return {**group, "t": t}

    def initial(self, group, key):
        """What the buffer ``key`` starts from."""
        return 0

    def __init_subclass__(cls):
        position, keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
        named = {**cls.keyword_options, "maximize": False, "run": "multi_tensor"}
        cls.__signature__ = inspect.Signature(
            [inspect.Parameter("params", position)]
            + [inspect.Parameter(name, position, default=value) for name, value in cls.options.items()]
            + [inspect.Parameter(name, keyword, default=value) for name, value in named.items()]
        )

    def __init__(self, *args, **kwargs):
        self._refuse_unknown(kwargs, self.__signature__.parameters.keys())
        bound = self.__signature__.bind(*args, **kwargs)
        bound.apply_defaults()
        params, self.run = _listed(bound.arguments.pop("params")), bound.arguments.pop("run")
        executor(self.run)
        if not params:
            raise ValueError("params must hold at least one tensor, got none (was an iterator used up before?)")
        self.check(bound.arguments, [])
        super().__init__(params, bound.arguments)

    def add_param_group(self, param_group):
        """Add parameters with options of their own, as in torch.optim."""
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(f"param_group must be a dict with the key 'params', got {param_group!r}")
        params = param_group["params"]
        group = {**param_group, "params": [params] if isinstance(params, torch.Tensor) else _listed(params)}
        tensors = [p[1] if isinstance(p, tuple) and len(p) == 2 else p for p in group["params"]]
        _check_parameters(tensors, taken=[p for other in self.param_groups for p in other["params"]])
        self._refuse_unknown(group, self.defaults.keys() | ANNOTATIONS)
        self.check({**self.defaults, **group}, tensors)
        super().add_param_group(group)

    def _refuse_unknown(self, options, known):
        for name in sorted(options.keys() - known):
            instead = DECLINED.get(name, f"allowed are {', '.join(self.__signature__.parameters)}")
            raise TypeError(f"{type(self).__name__} does not take {name}={options[name]!r}: {instead}")

    def check(self, options, tensors):
        """Refuse options that are out of range, or that do not fit the shapes of ``tensors``."""
        own = self.__signature__.parameters
        for name, value in options.items():
            if name == "betas":
                if not isinstance(value, tuple | list) or len(value) != 2:
                    raise ValueError(f"betas must be two numbers in [0, 1), got {value!r}")
                for index, beta in enumerate(value):
                    _check_number(f"betas[{index}]", beta, tensors)
            elif name in ALLOWED:
                _check_number(name, value, tensors)
            elif name in own and isinstance(own[name].default, bool) and not isinstance(value, bool):
                raise TypeError(f"{name} must be True or False, got {value!r}")

    @torch.no_grad()
    def step(self, closure=None):
        """Take one step with every parameter that has a gradient, and return the loss of ``closure``, if given.

        ``closure`` evaluates the model again, calls backward and returns the loss.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._refuse_sparse_gradients()
        for group in self.param_groups:
            rule = self.rule(group)
            changed, names = _with_gradient_options(rule, group)
            for t, columns in self._columns(group, signature(rule)[0]):
                hyper = self.hyper(group, t)
                executor(self.run)(changed, columns, {name: hyper[name] for name in names})
        return loss

    def _columns(self, group, letters):
        """Parameters with a gradient, their gradients and their buffers, beside the number of the step they are at."""
        at, params = defaultdict(list), [p for p in group["params"] if p.grad is not None]
        for p, t in zip(params, self.advance(params), strict=True):
            at[t].append(p)
        for t, params in at.items():
            columns = [params, [p.grad.to_dense() if p.grad.is_sparse else p.grad for p in params]]
            columns += [self._buffers(params, group, self.keys.get(letter, letter)) for letter in letters]
            yield t, [list(map(_real, column)) for column in columns] if any(map(torch.is_complex, params)) else columns

    def advance(self, params):
        """Count a step of each of ``params``, and return which of its steps it is; the first is 1."""
        states = [self.state[p] for p in params]
        for state in states:
            if "step" not in state:
                state["step"] = torch.tensor(0.0, device="cpu")
        counts = [state["step"] for state in states]
        if counts:  # with alpha, one tensor is added to all; without, it is read as a number, which takes longer
            torch._foreach_add_(counts, torch.ones_like(counts[0]), alpha=1)
        read = torch.Tensor.double if torch.compiler.is_compiling() else torch.Tensor.item
        return list(map(read, counts))

    def _buffers(self, params, group, key):
        """The buffer ``key`` of each of ``params``, made where there is none yet."""
        states = [self.state[p] for p in params]
        for p, state in zip(params, states, strict=True):
            if state.get(key) is None:
                state[key] = torch.zeros_like(p)
                _real(state[key]).add_(self.initial(group, key))
            elif state[key].is_sparse:  # as torch's SGD leaves it after sparse gradients
                state[key] = state[key].to_dense()
        return [state[key] for state in states]

    def _refuse_sparse_gradients(self):
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        if not self.takes_sparse and any(g.is_sparse for g in gradients):
            raise RuntimeError(f"{type(self).__name__} does not take sparse gradients; SGD and Adagrad do")

    def __getstate__(self):
        return {**super().__getstate__(), "run": self.run}

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:  # of an older version, which had fewer options
            for name, parameter in self.__signature__.parameters.items():
                if name in self.defaults:
                    group.setdefault(name, parameter.default)
        for buffers in self.state.values():
            if "step" in buffers:
                buffers["step"] = torch.tensor(float(buffers["step"]), device="cpu")


def from_rule(rule):
    """The optimizer class of a rule: ``from_rule(adam)(model.parameters(), lr=1e-3)``.

    Its options are the rule's keyword arguments, with the rule's defaults, and L2 ``weight_decay`` where the rule
    has no decay of its own. Each buffer is kept under the rule's own letter.

    Errors: TypeError if ``rule`` does not take its arguments as a rule does.

    >>> def half_as_far(p, g, *, lr):
    ...     return (p - lr * g / 2,)
    >>> p = torch.tensor([1.0], requires_grad=True)
    >>> p.grad = torch.tensor([2.0])
    >>> from_rule(half_as_far)([p], lr=0.25).step()
    >>> p
    tensor([0.7500], requires_grad=True)
    """
    _check_rule(rule)
    return _class_of(rule)


@functools.cache
def _class_of(function):
    parameters = inspect.signature(function).parameters
    own = {name: parameters[name].default for name in signature(function)[1] if name != "t"}

    class FromRule(RuleOptimizer):
        __doc__ = function.__doc__
        keyword_options = {"weight_decay": 0, **own}

        def rule(self, group):
            return function

        def __reduce__(self):
            return _unpickled, (function,), self.__getstate__()

    FromRule.__name__ = FromRule.__qualname__ = function.__name__
    return FromRule


def _unpickled(rule):
    cls = from_rule(rule)
    return cls.__new__(cls)


def signature(rule):
    """The names of a rule's buffers, and of its keyword arguments.

    >>> from edu_optim.rules import adam
    >>> signature(adam)
    (('m', 'v'), ('t', 'lr', 'betas', 'eps'))
    """
    code = rule.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return names[2 : code.co_argcount], names[code.co_argcount :]


def _check_rule(rule):
    if not inspect.isfunction(rule):
        raise TypeError(f"rule must be a function, got {rule!r}")
    positional = rule.__code__.co_varnames[: rule.__code__.co_argcount]
    variadic = rule.__code__.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    misplaced = {"t", "betas", *ALLOWED} & set(positional)
    if len(positional) < 2 or variadic or rule.__code__.co_posonlyargcount or misplaced:
        raise TypeError(
            f"rule must take the parameter, the gradient and the buffers by position and, after a *, t and the "
            f"hyper-parameters by keyword, got {rule.__name__}{inspect.signature(rule, follow_wrapped=False)}"
        )


def _with_gradient_options(rule, group):
    """The rule as ``group`` wants its gradient changed first, and the names of its keyword arguments."""
    _, names = signature(rule)
    decays = "weight_decay" not in names and is_set(group.get("weight_decay", 0))
    if not decays and not group["maximize"]:
        return rule, names
    return _changed(rule, group["maximize"], decays), names + ("weight_decay",) * decays


CHANGED = {}  # so that a rule that is changed in the same way is the same rule


def _changed(rule, maximize, decays):
    @functools.wraps(rule)
    def changed(p, g, *buffers, **hyper):
        if maximize:
            g = -g
        if decays:
            g = g + hyper.pop("weight_decay") * p
        return rule(p, g, *buffers, **hyper)

    return CHANGED.setdefault((rule, maximize, decays), changed)


def is_set(value):
    """Whether an option that means "none" at zero is used; a tensor of them always is.

    >>> is_set(0), is_set(0.9), is_set(torch.zeros(3))
    (False, True, True)
    """
    return isinstance(value, torch.Tensor) or bool(value != 0)


def _real(tensor):
    """A complex tensor as pairs of real numbers, each of which torch's optimizers step for itself."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


NOT_NEGATIVE = ("a finite number >= 0", lambda x: 0 <= x < math.inf)
FRACTION = ("a number in [0, 1]", lambda x: 0 <= x <= 1)
BELOW_ONE = ("a number in [0, 1)", lambda x: 0 <= x < 1)
ALLOWED = {
    **dict.fromkeys(["lr", "eps", "weight_decay", "momentum", "lr_decay", "initial_accumulator_value"], NOT_NEGATIVE),
    **dict.fromkeys(["alpha", "rho"], FRACTION),
    **dict.fromkeys(["betas[0]", "betas[1]"], BELOW_ONE),
    "dampening": ("a finite number", math.isfinite),
}
ANNOTATIONS = {
    *["params", "param_names", "name"],
    *["initial_lr", "max_lr", "min_lr", "swa_lr", "base_momentum", "max_momentum"],  # left by torch's schedulers
}


def _listed(params):
    if isinstance(params, torch.Tensor | str | dict | set) or not hasattr(params, "__iter__"):
        raise TypeError(f"params must be a list or iterator of tensors or of groups, got {params!r}")
    return list(params)


def _check_parameters(tensors, taken):
    seen = {id(p) for p in taken}
    for index, p in enumerate(tensors):
        if not isinstance(p, torch.Tensor):
            raise TypeError(f"params[{index}] must be a tensor, got {p!r}")
        if not p.is_leaf:
            raise ValueError(f"params[{index}] must be a leaf tensor, got the result of {p.grad_fn.name()}: {p!r}")
        if id(p) in seen:
            raise ValueError(f"params[{index}] must be a tensor that is not there yet, got one twice: {p!r}")
        seen.add(id(p))


def _check_number(name, value, tensors):
    text, allows = ALLOWED[name]
    if isinstance(value, torch.Tensor) and not value.is_complex():
        if not (value.numel() and allows(value.min().item()) and allows(value.max().item())):
            raise ValueError(f"{name} must hold {text} in each place, got {value!r}")
        for shape in (_real(p).shape for p in tensors):
            if not _broadcasts(value.shape, shape):
                raise ValueError(f"{name} must broadcast to a parameter of {tuple(shape)}, got {tuple(value.shape)}")
    elif isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be {text}, got {value!r}")
    elif not allows(value):
        raise ValueError(f"{name} must be {text}, got {value!r}")


def _broadcasts(shape, to):
    try:
        return torch.broadcast_shapes(shape, to) == to
    except RuntimeError:
        return False
