"""How a rule is run over columns of tensors.

An executor takes a rule, its columns and its keyword arguments. ``columns`` holds one list for each positional
argument of the rule: the parameters, their gradients, the first buffer of each parameter, the second, and so on.
It writes the rule's results into the parameters and the buffers, and leaves the gradients alone. All executors
give the same numbers; they differ in the number of kernels they launch.
"""

import torch

from .foreach import TensorList


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


def _wide(tensor):
    """Half precision is worked out in single precision, so that a step is rounded once: when it is written."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


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
    return [result * 1 if _is_among(result, arguments) else result for result in results]


def _is_among(result, arguments):
    """Whether a rule handed back an argument as it was: writing to that argument would change the result too."""
    return any(result is argument for argument in arguments)


EXECUTORS = {"per_tensor": per_tensor, "multi_tensor": multi_tensor}


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
