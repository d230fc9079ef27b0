"""Optimizers of neural networks, each written once as plain arithmetic.

``edu_optim.Adam(model.parameters(), lr=0.01)`` takes the place of ``torch.optim.Adam``; the formula it runs is
`edu_optim.rules.adam`. Pictures are in `edu_optim.plot` and experiments in `edu_optim.lab`, imported by name.
"""

import importlib
from typing import Any

from . import problems, rules
from .base import RuleOptimizer, from_rule
from .later import Muon, NAdam, RAdam
from .optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, RMSprop
from .trace import Sweep, Trace, descend, race, sweep, train, train_many

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Muon",
    "NAdam",
    "RAdam",
    "RMSprop",
    "RuleOptimizer",
    "Sweep",
    "Trace",
    "descend",
    "from_rule",
    "problems",
    "race",
    "rules",
    "sweep",
    "train",
    "train_many",
]
__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """`check`, `lab` and `plot`, imported when they are first asked for, and a hint for a rule sought among classes."""
    if name in ("check", "lab", "plot"):
        return importlib.import_module(f"{__name__}.{name}")
    rule = f": the rule is edu_optim.rules.{name}" if hasattr(rules, name) else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{rule}")
