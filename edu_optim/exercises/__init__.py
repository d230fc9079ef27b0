"""The exercises of the lessons: what each asks for, its hints, and the answers that go wrong.

A task is a right answer in the form of a function. Its docstring holds the hints, a paragraph each, from a nudge to
nearly all of it. A mistake is a function that does what a wrong answer does; its docstring is what a learner is told: a
paragraph that says why it is wrong, then one question that leads to the way out. A **bug** is wrong. A **variant** is
somebody else's convention: its docstring says whose, and how to convert.
"""

from . import (  # noqa: F401
    lesson_00,
    lesson_01,
    lesson_02,
    lesson_03,
    lesson_04,
    lesson_05,
    lesson_06,
    lesson_07,
    lesson_09,
    lesson_10,
    lesson_12,
)
from .faults import FAULTS, SEEN
from .lesson_08 import lineup
from .registry import BANK, TASKS, Mistake, Task, bank, hints

__all__ = ["BANK", "FAULTS", "SEEN", "TASKS", "Mistake", "Task", "bank", "hints", "lineup"]
