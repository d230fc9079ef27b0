"""What an answer to a task of a lesson does when it is tried."""

import collections
import inspect

from ..exercises.exercise import short
from .compare import Seen
from .kinds import Wrong, fitted, refuse, wanted
from .observe import Trial
from .sandbox import in_words, own_frames


def returned_by_reference(exercise):
    """What the reference of a task returns, call by call.

    >>> from edu_optim.exercises import EXERCISES
    >>> returned_by_reference(EXERCISES["read_map"])[:2]
    [0.0525, 'edge']
    """
    returned = []

    def noted(*given, **named):
        returned.append(exercise.reference(*given, **named))
        return returned[-1]

    collections.deque(exercise.observe(noted), maxlen=0)
    return returned


def trials_of_task(answer, exercise):
    """An answer to a task, watched as the exercise says.

    >>> from edu_optim.exercises import EXERCISES
    >>> next(trials_of_task(lambda lr, beta: 3.0, EXERCISES["to_torch"])).seen[0].value
    3.0
    """
    rights = returned_by_reference(exercise)
    calls, running, generators = [], [], []

    def attempt(*given, **named):
        running.append(answer)
        value = answer(*given, **named)
        running.clear()
        generators.extend([value] if inspect.isgenerator(value) else [])
        plain = all(isinstance(one, int | float | str | list) for one in given)
        calls.append(f"{exercise.name}({', '.join(map(short, given))})" if plain else f"{exercise.name}(...)")
        right = rights[min(len(calls), len(rights)) - 1]
        if right is None:
            return value
        if value is None and len(calls) == 1:
            raise Wrong("returns nothing")
        if value is None:
            raise Wrong(f"{wanted(right)} is wanted, and {calls[-1]} returns nothing")
        for one in (right, *rights):  # of whichever kind some call asks for
            found = fitted(value, one)
            if found is not None:
                return found
        return refuse(value, right, calls[-1])

    trial = Trial(lambda function, condition: (Seen(*pair) for pair in exercise.observe(function)), rtol=exercise.rtol)
    trial.collect(trial.watch(attempt, {}))
    inside = running or (generators and trial.error and own_frames(trial.error, answer))
    if trial.error and not isinstance(trial.error, Wrong) and rights[0] is not None and not inside:
        trial.error = Wrong(f"what {calls[-1]} returns cannot be used: {in_words(trial.error, answer)}")
    yield trial
