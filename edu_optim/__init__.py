"""Optimizers of neural networks, each written once as plain arithmetic.

``edu_optim.Adam(model.parameters(), lr=0.01)`` takes the place of ``torch.optim.Adam``; the formula it runs is
`edu_optim.rules.adam`. Pictures are in `edu_optim.plot` and experiments in `edu_optim.lab`, imported by name.
"""

from . import problems, rules
from .base import RuleOptimizer, from_rule
from .optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, RMSprop
from .trace import Sweep, Trace, descend, race, sweep, train, train_many

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
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
