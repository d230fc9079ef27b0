"""Say whether a reader's answer is right, and if not, what it does instead."""

import sys
from types import ModuleType

from .judge import Verdict, check, hint

__all__ = ["Verdict", "check", "hint"]


class _Called(ModuleType):
    """After ``from edu_optim import check``, ``check(answer)`` checks too."""

    __call__ = staticmethod(check)


sys.modules[__name__].__class__ = _Called
