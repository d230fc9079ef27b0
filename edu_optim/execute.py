"""How a rule is run over columns of tensors.

An executor takes a rule, its columns and its keyword arguments. ``columns`` holds one list for each positional
argument of the rule: the parameters, their gradients, the first buffer of each parameter, the second, and so on.
It writes the rule's results into the parameters and the buffers, and leaves the gradients alone. All executors
give the same numbers, but for rounding; they differ in the number of kernels they launch.
"""

import functools
import itertools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch

from . import kernel
from .foreach import TensorList

Columns = list[list[torch.Tensor]]
Executor = Callable[[Callable, Columns, Mapping[str, Any]], None]

_warn = functools.cache(warnings.warn)  # once for the same words
WIDE = {torch.float16: torch.float32, torch.bfloat16: torch.float32}  # in which half precision is worked out
PLAIN = {torch.Tensor, torch.nn.Parameter}


def per_tensor(rule: Callable, columns: Columns, hyper: Mapping[str, Any]) -> None:
    """Run the rule on one parameter after the other: easiest to follow, most launches.

    >>> from edu_optim.rules import gradient_descent
    >>> parameters, gradients = [torch.tensor([1.0]), torch.tensor(3.0)], [torch.tensor([2.0]), torch.tensor(4.0)]
    >>> per_tensor(gradient_descent, [parameters, gradients], {"lr": 0.25})
    >>> parameters
    [tensor([0.5000]), tensor(2.)]
    """
    for arguments in zip(*columns, strict=True):
        results = _results(rule, [_wide(tensor) for tensor in arguments], hyper)
        for old, new in zip(_written(arguments), results, strict=True):
            old.copy_(new)


def multi_tensor(rule: Callable, columns: Columns, hyper: Mapping[str, Any]) -> None:
    """Run the rule once on lists of tensors: the number of launches does not grow with the number of tensors.

    The rule must be elementwise. One that is not stops with an error, at ``g.sum()``, ``len(g)`` or ``g[0]``, say.

    >>> from edu_optim.rules import gradient_descent
    >>> parameters, gradients = [torch.tensor([1.0]), torch.tensor(3.0)], [torch.tensor([2.0]), torch.tensor(4.0)]
    >>> multi_tensor(gradient_descent, [parameters, gradients], {"lr": 0.25})
    >>> parameters
    [tensor([0.5000]), tensor(2.)]
    """
    if torch.compiler.is_compiling() or hasattr(columns[0][0], "placements"):
        return per_tensor(rule, columns, hyper)  # a compiler and DTensors know each operation, but not all on lists
    results = _results(rule, [TensorList([_wide(tensor) for tensor in column]) for column in columns], hyper)
    for old, new in zip(_written(columns), results, strict=True):
        torch._foreach_copy_(old, new.tensors)


def compiled(rule: Callable, columns: Columns, hyper: Mapping[str, Any]) -> None:
    """Run the rule as one kernel: every element is read once and written once, and there are no temporaries.

    The kernel is made at the first call and serves all shapes and all values of the hyper-parameters. Where none can
    be made a warning says so, once, and the rule runs as in `per_tensor`.

    >>> from edu_optim.rules import gradient_descent
    >>> parameters, gradients = [torch.tensor([1.0]), torch.tensor(3.0)], [torch.tensor([2.0]), torch.tensor(4.0)]
    >>> compiled(gradient_descent, [parameters, gradients], {"lr": 0.25})
    >>> parameters
    [tensor([0.5000]), tensor(2.)]
    """

    def otherwise(columns, reason):
        per_tensor(rule, columns, hyper)
        _warn(f"run='compiled' cannot compile {rule.__name__}, and runs it as run='per_tensor' does: {reason}")

    _as_kernels(rule, columns, hyper, otherwise)


def fastest(rule: Callable, columns: Columns, hyper: Mapping[str, Any]) -> None:
    """Run the rule as a loop in C where that is possible, and elsewhere, without a word, as `multi_tensor` does.

    >>> from edu_optim.rules import gradient_descent
    >>> parameters, gradients = [torch.tensor([1.0]), torch.tensor(3.0)], [torch.tensor([2.0]), torch.tensor(4.0)]
    >>> fastest(gradient_descent, [parameters, gradients], {"lr": 0.25})
    >>> parameters
    [tensor([0.5000]), tensor(2.)]
    """
    if not columns[0][0].is_cpu:
        return multi_tensor(rule, columns, hyper)
    _as_kernels(rule, columns, hyper, lambda columns, reason: multi_tensor(rule, columns, hyper))


def _as_kernels(rule, columns, hyper, otherwise):
    """Run the rule as a kernel on all tensors for which there is one, and ``otherwise`` on the rest."""
    if torch.compiler.is_compiling():
        return per_tensor(rule, columns, hyper)  # the compiler at work fuses that by itself
    tensors = list(itertools.chain.from_iterable(columns))
    if foreign := set(map(type, tensors)) - PLAIN:
        return otherwise(columns, f"TypeError: a {foreign.pop().__name__} is more than a tensor")
    kinds, numbers, grids = kernel.partition(hyper)
    alike = len({tensor.dtype for tensor in tensors}) == 1 and all(tensor.is_cpu for tensor in tensors)
    for group in [columns] if alike else _by_device_and_dtype(columns):
        device, dtype = group[0][0].device, group[0][0].dtype
        wide = WIDE.get(dtype, dtype)
        step, reason = _kernel(rule, kinds, wide, device.type)
        if step is None:
            otherwise(group, reason)
            continue
        given = group + [[grid.expand(p.shape) for p in group[0]] for grid in grids]
        if grids or not alike or dtype in WIDE or not all(map(torch.Tensor.is_contiguous, tensors)):
            given = [[tensor.to(wide).contiguous() for tensor in column] for column in given]
        step(given, numbers)
        for old, new in zip(_written(group), _written(given), strict=False):
            if old is not new:
                torch._foreach_copy_(old, new)
            torch.autograd.graph.increment_version(old)  # torch has not seen that they were written to


def _by_device_and_dtype(columns) -> list[Columns]:
    return [group for group, _ in torch._C._group_tensors_by_device_and_dtype(columns, False).values()]  # pyright: ignore


@functools.cache
def _kernel(rule, kinds, dtype, device):
    """A kernel for the rule and None; or None and the reason why there is none."""
    try:
        return (kernel.in_c if device == "cpu" else kernel.by_torch)(rule, kinds, dtype), None
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def _wide(tensor):
    """Half precision is worked out in single precision, so that a step is rounded once: when it is written."""
    return tensor.to(WIDE[tensor.dtype]) if tensor.dtype in WIDE else tensor


def _written(arguments):
    return [arguments[0], *arguments[2:]]  # all but the gradient


def _results(rule, arguments, hyper):
    results, expected = rule(*arguments, **hyper), len(arguments) - 1
    if not isinstance(results, tuple) or len(results) != expected:
        seen = f"{len(results)} values" if isinstance(results, tuple) else type(results).__name__
        wanted = f"a tuple of {expected}: the new parameter, then the new value of each buffer"
        raise TypeError(f"rule {rule.__name__!r} returned {seen}; it must return {wanted}")
    # An argument that came back as it was is copied: writing to that argument would change the result too.
    return [result * 1 if any(result is given for given in arguments) else result for result in results]


EXECUTORS = {"per_tensor": per_tensor, "multi_tensor": multi_tensor, "compiled": compiled}


def executor(run: str | Executor | None) -> Executor:
    """The executor that ``run`` names, ``run`` itself if it is one, or `fastest` if it is None.

    Errors: ValueError if ``run`` is none of these.

    >>> executor("per_tensor") is per_tensor, executor(None) is fastest
    (True, True)
    """
    if callable(run) or run is None:
        return run or fastest
    if run in EXECUTORS:
        return EXECUTORS[run]
    raise ValueError(f"run must be one of {', '.join(map(repr, EXECUTORS))}, a callable or None, got {run!r}")
