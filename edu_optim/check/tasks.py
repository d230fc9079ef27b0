"""What an answer to a task of a lesson does when it is tried."""

import torch

from ..exercises.exercise import short
from .compare import Seen
from .kinds import Wrong, fitted, refuse, wanted
from .observe import Trial
from .sandbox import in_words


def returned_by_reference(exercise):
    """What the reference of a task returns when it is first called.

    >>> from edu_optim.exercises import EXERCISES
    >>> returned_by_reference(EXERCISES["negative_variance"])
    (0.1, 0.99, 1500)
    """
    returned = []

    def noted(*given, **named):
        returned.append(exercise.reference(*given, **named))
        return returned[-1]

    next(iter(exercise.observe(noted)))
    return returned[0]


def returns_text(exercise):
    """Whether the reference of a task, whose first call returned no text, returns one at a later call.

    >>> from edu_optim.exercises import EXERCISES
    >>> returns_text(EXERCISES["read_map"]), returns_text(EXERCISES["to_torch"])
    (True, False)
    """
    returned = []

    def noted(*given, **named):
        returned.append(exercise.reference(*given, **named))
        return returned[-1]

    for _ in exercise.observe(noted):
        pass
    return any(isinstance(value, str) for value in returned)


def trials_of_task(answer, exercise):
    """An answer to a task, watched as the exercise says.

    >>> from edu_optim.exercises import EXERCISES
    >>> next(trials_of_task(lambda lr, beta: 3.0, EXERCISES["to_torch"])).seen[0].value
    3.0
    """
    right = returned_by_reference(exercise)
    calls, running = [], []

    def attempt(*given, **named):
        running.append(answer)
        value = answer(*given, **named)
        running.clear()
        plain = all(isinstance(one, int | float | str | list) for one in given)
        calls.append(f"{exercise.name}({', '.join(map(short, given))})" if plain else f"{exercise.name}(...)")
        if right is None:
            return value
        if value is None and len(calls) == 1:
            raise Wrong("returns nothing")
        if value is None:
            raise Wrong(f"{wanted(right)} is wanted, and {calls[-1]} returns nothing")
        found = fitted(value, right)
        if found is None and isinstance(value, str) and returns_text(exercise):
            return value
        if found is None and torch.is_tensor(right if not isinstance(right, tuple) else right[0]):
            here = exercise.reference(*given, **named)  # tensors may have another shape at each call
            found = fitted(value, here)
            if found is None:
                refuse(value, here, calls[-1])
        if found is None:
            refuse(value, right, calls[-1])
        return found

    trial = Trial(lambda function, condition: (Seen(*pair) for pair in exercise.observe(function)), rtol=exercise.rtol)
    trial.collect(trial.watch(attempt, {}))
    if trial.error and not isinstance(trial.error, Wrong) and right is not None and not running:
        trial.error = Wrong(f"what {calls[-1]} returns cannot be used: {in_words(trial.error, answer)}")
    yield trial
