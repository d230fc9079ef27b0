"""How a rule is run over columns of tensors.

An executor takes a rule, its columns and its keyword arguments. ``columns`` holds one list for each positional
argument of the rule: the parameters, their gradients, the first buffer of each parameter, the second, and so on.
It writes the rule's results into the parameters and the buffers, and leaves the gradients alone. All executors
give the same numbers, but for rounding; they differ in the number of kernels they launch.
"""

import functools
import warnings

import torch
from torch.utils._foreach_utils import _group_tensors_by_device_and_dtype

from . import kernel
from .foreach import TensorList

HALF = {torch.float16, torch.bfloat16}


def per_tensor(rule, columns, hyper):
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


def multi_tensor(rule, columns, hyper):
    """Run the rule once on lists of tensors: the number of launches does not grow with the number of tensors.

    >>> from edu_optim.rules import gradient_descent
    >>> parameters, gradients = [torch.tensor([1.0]), torch.tensor(3.0)], [torch.tensor([2.0]), torch.tensor(4.0)]
    >>> multi_tensor(gradient_descent, [parameters, gradients], {"lr": 0.25})
    >>> parameters
    [tensor([0.5000]), tensor(2.)]
    """
    if torch.compiler.is_compiling() or hasattr(columns[0][0], "placements"):
        return per_tensor(rule, columns, hyper)  # a compiler and DTensors know each operation, but not all on lists
    results = _results(rule, [TensorList(map(_wide, column)) for column in columns], hyper)
    for old, new in zip(_written(columns), results, strict=True):
        torch._foreach_copy_(old, new)


def compiled(rule, columns, hyper):
    """Run the rule as one kernel: every element is read once and written once, and there are no temporaries.

    The kernel is made at the first call and serves all shapes and all values of the hyper-parameters. Where none can
    be made a warning says so, once, and the rule runs as in `per_tensor`.

    >>> from edu_optim.rules import gradient_descent
    >>> parameters, gradients = [torch.tensor([1.0]), torch.tensor(3.0)], [torch.tensor([2.0]), torch.tensor(4.0)]
    >>> compiled(gradient_descent, [parameters, gradients], {"lr": 0.25})
    >>> parameters
    [tensor([0.5000]), tensor(2.)]
    """
    if torch.compiler.is_compiling():
        return per_tensor(rule, columns, hyper)  # the compiler at work fuses that by itself
    kinds, numbers, grids = kernel.parted(hyper)
    foreign = next(iter(set(map(type, columns[0])) - {torch.Tensor, torch.nn.Parameter}), None)
    for (device, dtype), (group, _) in _group_tensors_by_device_and_dtype(columns).items():
        dtype = torch.float32 if dtype in HALF else dtype
        step, reason = _kernel(rule, kinds, dtype, device.type, foreign)
        if step is None:
            per_tensor(rule, group, hyper)
            _warn(f"run='compiled' cannot compile {rule.__name__}, and runs it as run='per_tensor' does: {reason}")
            continue
        expanded = [[grid.expand(p.shape) for p in group[0]] for grid in grids]
        given = [_dense(column, dtype) for column in (*group, *expanded)]
        step(given, numbers)
        for old, new in zip(_written(group), _written(given), strict=False):
            if old is not new:
                torch._foreach_copy_(old, new)
        for column in _written(group):
            torch.autograd.graph.increment_version(column)  # torch has not seen that they were written to


@functools.cache
def _kernel(rule, kinds, dtype, device, foreign):
    """A kernel for the rule and None; or None and the reason why there is none."""
    try:
        if foreign:
            raise TypeError(f"a {foreign.__name__} is more than a tensor")
        return (kernel.in_c if device == "cpu" else kernel.by_torch)(rule, kinds, dtype), None
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


@functools.cache
def _warn(words):
    warnings.warn(words, stacklevel=2)


def _dense(column, dtype):
    """A column as contiguous tensors of a dtype; the column itself if they are."""
    if column[0].dtype == dtype and all(map(torch.Tensor.is_contiguous, column)):
        return column
    return [tensor.to(dtype).contiguous() for tensor in column]


def _wide(tensor):
    """Half precision is worked out in single precision, so that a step is rounded once: when it is written."""
    return tensor.float() if tensor.dtype in HALF else tensor


def _written(arguments):
    parameter, _gradient, *buffers = arguments
    return [parameter, *buffers]


def _results(rule, arguments, hyper):
    results = rule(*arguments, **hyper)
    expected = len(arguments) - 1
    if not isinstance(results, tuple) or len(results) != expected:
        seen = f"{len(results)} values" if isinstance(results, tuple) else type(results).__name__
        raise TypeError(
            f"rule {rule.__name__!r} returned {seen}; it must return a tuple of {expected}: "
            "the new parameter, then the new value of each buffer"
        )
    # An argument that was handed back as it was is copied: writing to that argument would change the result too.
    return [result * 1 if any(result is given for given in arguments) else result for result in results]


EXECUTORS = {"per_tensor": per_tensor, "multi_tensor": multi_tensor, "compiled": compiled}


def executor(run):
    """The executor that ``run`` names, or ``run`` itself if it is one.

    Errors: ValueError if ``run`` is neither.

    >>> executor("per_tensor") is per_tensor
    True
    """
    if callable(run):
        return run
    if isinstance(run, str) and run in EXECUTORS:
        return EXECUTORS[run]
    raise ValueError(f"run must be one of {', '.join(map(repr, EXECUTORS))} or a callable, got {run!r}")
