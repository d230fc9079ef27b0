"""Arithmetic on many tensors at once."""

from __future__ import annotations

from typing import Any

import torch


class TensorList(list[torch.Tensor]):
    """A list of tensors that adds, subtracts, multiplies, divides and raises to powers as one.

    Each operation is one call for the whole list. The other operand is a number, a TensorList of the same
    length, or one tensor that broadcasts against every tensor of the list. Nothing is changed in place.

    >>> x = TensorList([torch.tensor([1.0, 2.0]), torch.tensor([3.0])])
    >>> (x**2 + 1) / 2
    [tensor([1.0000, 2.5000]), tensor([5.])]
    """

    __array_ufunc__ = None  # leaves the operation to this class where a number of NumPy's stands on the left

    def _beside(self, other):
        return [other] * len(self) if isinstance(other, torch.Tensor) else other

    def __neg__(self) -> TensorList:
        return TensorList(torch._foreach_neg(self))

    def __add__(self, other: Any) -> TensorList:
        return TensorList(torch._foreach_add(self, self._beside(other)))

    def __sub__(self, other: Any) -> TensorList:
        return TensorList(torch._foreach_sub(self, self._beside(other)))

    def __mul__(self, other: Any) -> TensorList:
        return TensorList(torch._foreach_mul(self, self._beside(other)))

    def __truediv__(self, other: Any) -> TensorList:
        return TensorList(torch._foreach_div(self, self._beside(other)))

    def __pow__(self, other: Any) -> TensorList:
        return TensorList(torch._foreach_pow(self, self._beside(other)))

    def maximum(self, other: Any) -> TensorList:
        return TensorList(torch._foreach_maximum(self, self._beside(other)))

    __iadd__ = __radd__ = __add__  # pyright: ignore  # += of a plain list would append
    __rmul__ = __mul__

    def __rsub__(self, other: Any) -> TensorList:
        return -self + other

    def __rtruediv__(self, other: Any) -> TensorList:
        return TensorList(other / tensor for tensor in self)

    def __rpow__(self, other: Any) -> TensorList:
        return TensorList(other**tensor for tensor in self)
