"""The exercises of the lessons, and one for every rule; see `edu_optim.exercises.exercise`.

A lesson's file holds its exercises, hints and mistakes together. The catalog of the rules is that of all lessons that
build one: an entry applies to every rule whose text contains its place. The rules after Adam have catalogs of their
own.
"""

from .. import rules
from . import (
    lesson_00,
    lesson_01,
    lesson_02,
    lesson_03,
    lesson_04,
    lesson_05,
    lesson_06,
    lesson_07,
    lesson_08,
    lesson_09,
    lesson_10,
    lesson_11,
    lesson_12,
    lesson_13,
    lesson_14,
    lesson_15,
)
from .exercise import Entry, Exercise, convention, edit

LESSONS = [lesson_00, lesson_01, lesson_02, lesson_03, lesson_04, lesson_05, lesson_06, lesson_07, lesson_08, lesson_09]
LESSONS += [lesson_10, lesson_11, lesson_12, lesson_13, lesson_14, lesson_15]
RULES = [entry for lesson in LESSONS for entry in getattr(lesson, "CATALOG", [])]
EXERCISES = {
    exercise.name: exercise
    for exercise in [
        *(exercise for lesson in LESSONS for exercise in lesson.EXERCISES),
        *(
            Exercise(name, getattr(rules, name), hints, RULES)
            for lesson in LESSONS
            for name, hints in getattr(lesson, "RULES", {}).items()
        ),
        *lesson_15.RULES_AFTER_ADAM,
    ]
}

__all__ = ["EXERCISES", "RULES", "Entry", "Exercise", "convention", "edit"]
