"""Arithmetic on many tensors at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import torch


def _on_all(operation: Callable[..., Any]) -> Callable[..., TensorList]:
    def method(self: TensorList, other: Any) -> TensorList:
        beside = [other] * len(self.tensors) if isinstance(other, torch.Tensor) else getattr(other, "tensors", other)
        return TensorList(operation(self.tensors, beside))

    return method


@dataclass(eq=False)
class TensorList:
    """A list of tensors that adds, subtracts, multiplies, divides and raises to powers as one.

    Each operation is one call for the whole list. The other operand is a number, a TensorList of the same
    length, or one tensor that broadcasts against every tensor of the list. Nothing is changed in place.

    Errors: TypeError or AttributeError where anything else is asked: it has no sum, length, elements or truth.

    >>> x = TensorList([torch.tensor([1.0, 2.0]), torch.tensor([3.0])])
    >>> list(((x**2 + 1) / 2).tensors)
    [tensor([1.0000, 2.5000]), tensor([5.])]
    """

    tensors: list[torch.Tensor] | tuple[torch.Tensor, ...]
    __array_ufunc__ = None  # leaves the operation to this class where a number of NumPy's stands on the left

    def __neg__(self) -> TensorList:
        return TensorList(torch._foreach_neg(self.tensors))

    __add__ = __radd__ = _on_all(torch._foreach_add)
    __sub__ = _on_all(torch._foreach_sub)
    __mul__ = __rmul__ = _on_all(torch._foreach_mul)
    __truediv__ = _on_all(torch._foreach_div)
    __pow__ = _on_all(torch._foreach_pow)
    maximum = _on_all(torch._foreach_maximum)

    def __rsub__(self, other: Any) -> TensorList:
        return -self + other

    def __rtruediv__(self, other: Any) -> TensorList:
        return TensorList([other / tensor for tensor in self.tensors])

    def __rpow__(self, other: Any) -> TensorList:
        return TensorList([other**tensor for tensor in self.tensors])

    def _refuse(self, *other: Any) -> NoReturn:
        raise TypeError("a TensorList has no truth and is equal to nothing: compare its tensors")

    __bool__ = __eq__ = _refuse
