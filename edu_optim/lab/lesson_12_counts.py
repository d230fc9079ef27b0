"""What lesson 12 counts: launches, bytes, results and new tensors, and how long each temporary lives."""

import inspect
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .. import rules

HYPER = {"t": 1, "lr": 0.1, "betas": (0.9, 0.999), "eps": 1e-8, "momentum": 0.9, "rho": 0.9}


class Counter(TorchDispatchMode):
    """Counts what is done with tensors that are no single numbers: launches, bytes, results and new tensors.

    Each tensor that goes into a launch or comes out counts once, and once more if it is read and overwritten. Results
    are the numbers that are written elsewhere than they were read. `each` keeps the names and bytes of the launches.

    >>> x = torch.ones(1000, dtype=torch.float64)
    >>> with Counter() as counter:
    ...     y = (2 * x).sqrt_()
    >>> counter.each, counter.launches, counter.bytes, counter.results, counter.made
    ([('mul', 16000), ('sqrt_', 16000)], 2, 32000, 1000, 1)
    """

    launches = bytes = results = made = 0

    def __init__(self) -> None:
        super().__init__()
        self.each: list[tuple[str, int]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        given, made = _long((args, kwargs)), _long(result)
        if given | made:
            name = function.overloadpacket.__name__.removeprefix("_foreach_")
            into = _long(args[0]) if name.endswith("_") else made - given
            written = 0 if name == "copy_" else sum(x.nbytes for x in into & given)
            self.each.append((name, sum(x.nbytes for x in given | made) + written))
            self.launches, self.bytes = self.launches + 1, self.bytes + self.each[-1][1]
            self.results += sum(x.numel() for x in into) if name == "copy_" or not written else 0
            self.made += len(made - given)
        return result


def _long(tree: Any) -> set[torch.Tensor]:
    return {x for x in tree_leaves(tree) if torch.is_tensor(x) and x.dim()}


def counted(run: Callable[..., Any], tensors: int = 1, rule: Callable[..., Any] = rules.adam) -> Counter:
    """The launches and the bytes of one step over so many tensors of a thousand weights, in float32.

    >>> from edu_optim.execute import per_tensor
    >>> counted(per_tensor, rule=rules.gradient_descent).launches
    3
    """
    names = inspect.signature(rule).parameters
    columns = [
        [torch.ones(1000, dtype=torch.float32) for _ in range(tensors)] for _ in range(rule.__code__.co_argcount)
    ]
    with Counter() as counter:
        run(rule, columns, {name: value for name, value in HYPER.items() if name in names})
    return counter


class _Lives(TorchDispatchMode):
    """Notes, for each new tensor, at which launch it came and after which one it went."""

    def __init__(self) -> None:
        super().__init__()
        self.launches, self.lives = 0, []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        self.launches += 1
        if torch.is_tensor(result) and not any(result is given for given in tree_leaves(args)):
            life = [function.overloadpacket.__name__, self.launches, None]
            self.lives.append(life)
            weakref.finalize(result, lambda: life.__setitem__(2, self.launches))
        return result


def lives(rule: Callable[..., Any] = rules.adam) -> list[tuple[str, int, int]]:
    """The operation, the launch that makes it and the last launch before it goes, for each temporary of a step.

    >>> lives(rules.gradient_descent)
    [('mul', 1, 2), ('sub', 2, 3)]
    """
    p, g, *buffers = (torch.ones(2) for _ in range(rule.__code__.co_argcount))
    settings = {"lr": 0.5, "t": 1} if "t" in rule.__code__.co_varnames else {"lr": 0.5}
    with _Lives() as noted:
        results = rule(p, g, *buffers, **settings)
        for old, new in zip([p, *buffers], results, strict=True):
            old.copy_(new)
    return [(name, born, died or noted.launches) for name, born, died in noted.lives]
