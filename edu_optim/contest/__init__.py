"""The race of lesson 11: every optimizer tuned alike on real networks, and a rule for when a difference counts.

``python -m edu_optim race`` holds it, in some minutes; what came of it is stored in ``race.json``.
"""

from .tasks import ENTRANTS, RACING, TASKS, Entrant, Task
from .trials import Trial, hold_race, trial
from .verdict import COUNTS, beaten, flip_test, race_and_write, standings, stored

__all__ = [
    "COUNTS",
    "ENTRANTS",
    "RACING",
    "TASKS",
    "Entrant",
    "Task",
    "Trial",
    "beaten",
    "flip_test",
    "hold_race",
    "race_and_write",
    "standings",
    "stored",
    "trial",
]
