"""The exercise in which Nesterov's path is walked as its sentence says, its hints, and the answers that go wrong."""

import torch

from .exercise import Exercise, edit


def look_ahead_path(gradient, p, lr, momentum, steps):
    velocity, path = 0 * p, []
    for _ in range(steps):
        ahead = p - lr * momentum * velocity
        velocity = momentum * velocity + gradient(ahead)
        p = p - lr * velocity
        path.append(p - lr * momentum * velocity)
    return path


def _slope(p):
    """Bent, and 0 elsewhere than at 0, so that no slope ahead is a sum of others.

    >>> _slope(torch.tensor([0.4, 0.4], dtype=torch.float64))
    tensor([0.0192, 0.0192], dtype=torch.float64)
    """
    return torch.tensor([1.3, 9.1], dtype=torch.float64) * (p - 0.4) + 0.3 * p**3


def _watch_path(answer):
    for lr, momentum, steps in [(0.043, 0.77, 5), (0.091, 0.6, 3)]:
        path = list(answer(_slope, torch.tensor([1.1, -1.7], dtype=torch.float64), lr, momentum, steps))
        yield f"with {steps} steps, how many places there are", len(path)
        places = [torch.as_tensor(place) for place in path]
        yield f"with {steps} steps, how many of them are tensors of their own", len({p.data_ptr() for p in places})
        for k, place in enumerate(path, 1):
            yield f"with {steps} steps, place {k}", place


POINT = "path.append(p - lr * momentum * velocity)"
LOOKS = [
    (
        "the learning rate is missing in the look ahead",
        "p - momentum * velocity",
        "A step carries you by lr times the velocity.",
        "How far would the old velocity alone carry you in one step?",
    ),
    (
        "the look ahead does not fade",
        "p - lr * velocity",
        "Of the old velocity a step keeps `momentum` times.",
        "How much of the old velocity is in the new one?",
    ),
    (
        "you look behind",
        "p + lr * momentum * velocity",
        "The velocity is subtracted in a step, so ahead is the other way.",
        "Which sign does the velocity have in your step, and which in your look ahead?",
    ),
]

EXERCISE = Exercise(
    "look_ahead_path",
    look_ahead_path,
    [
        "The velocity first carries you to a point ahead; the gradient is asked for there, not where you stand.",
        "In one step: where does `momentum` times the velocity lead, what is the gradient there, what is the new "
        "velocity, where do you stand now?",
        "torch writes down the point ahead. After each step, where would the new velocity carry you?",
    ],
    [
        edit(
            "the places where the method stands, not those ahead",
            {POINT: "path.append(p)"},
            why="This is the path of Sutskever et al. 2013; torch, and this exercise, write down the points ahead.",
            ask="Where would the new velocity carry you from each of these places?",
        ),
        edit(
            "the start stands in the list, too",
            {"velocity, path = 0 * p, []": "velocity, path = 0 * p, [p]"},
            why="The places are those after each step, so there are `steps` of them.",
            ask="How many places does your list have after one step?",
        ),
        edit(
            "the gradient is asked for where you stand",
            {"ahead = p - lr * momentum * velocity": "ahead = p", POINT: "path.append(p)"},
            why="This is plain momentum.",
            ask="Where will the velocity have carried you when the gradient begins to act?",
        ),
        edit(
            "the points ahead are written down, but the gradient is asked for where you stand",
            {"gradient(ahead)": "gradient(p)"},
            why="The velocity is that of plain momentum.",
            ask="Which of the two places does Nesterov ask for its gradient?",
        ),
        *[
            edit(name + late, {"ahead = p - lr * momentum * velocity": f"ahead = {look}", **point}, why=why, ask=ask)
            for name, look, why, ask in LOOKS
            for late, point in [
                ("", {}),
                ("", {POINT: f"path.append({look})"}),
                (", and the places are those where the gradient was asked for", {POINT: "path.append(ahead)"}),
            ]
        ],
        edit(
            "the slope ahead is put together from the slope here and that at the velocity",
            {"gradient(ahead)": "gradient(p) - lr * momentum * gradient(velocity)"},
            why="Where the slope grows in proportion to the place the two agree; here it does not.",
            ask="At which point does the method ask for its one gradient?",
        ),
        edit(
            "the places are carried ahead by the whole velocity",
            {POINT: "path.append(p - lr * velocity)"},
            why="The gradient is asked for in the right places; those in the list lie too far ahead.",
            ask="How much of the velocity is left when it carries you into the next step?",
        ),
        edit(
            "torch's step is taken, and the gradient asked ahead of torch's parameters",
            {
                "p = p - lr * velocity": "p = p - lr * (gradient(ahead) + momentum * velocity)",
                POINT: "path.append(p)",
            },
            why="torch's parameters are the point ahead already, so this looks ahead twice.",
            ask="If your place is torch's parameter, where is its gradient asked for?",
        ),
        edit(
            "the path of gradient descent",
            {"momentum * velocity + gradient(ahead)": "gradient(p)", POINT: "path.append(p)"},
            why="No step remembers the one before it.",
            ask="What of the old velocity should be in the new one?",
        ),
        edit(
            "the step leaves the velocity out",
            {"p = p - lr * velocity": "p = p - lr * gradient(ahead)"},
            why="The old velocity leads to the point ahead, but you move by the newest gradient alone.",
            ask="Which two moves make a step of the ball?",
        ),
        *[
            edit(
                "the last step is taken to be the push alone",
                {
                    "velocity = momentum * velocity + gradient(ahead)": "velocity = gradient(ahead)",
                    "p = p - lr * velocity": "p = ahead - lr * velocity",
                    **written,
                },
                why="A step is the carry and the push together, and `momentum` times both carries you next.",
                ask="From where to where does one step lead?",
            )
            for written in ({}, {POINT: "path.append(p)"}, {POINT: "path.append(ahead)"})
        ],
        edit(
            "the velocity is a running mean",
            {"+ gradient(ahead)": "+ (1 - momentum) * gradient(ahead)"},
            why="Each gradient enters at the weight 1 - momentum; torch's velocity takes it in whole.",
            ask="With a gradient of 1 for ever, where should the velocity come to, 1 or 1 / (1 - momentum)?",
        ),
        *[
            edit(
                "the velocity starts at a gradient, not at 0",
                {"velocity, path = 0 * p, []": f"velocity, path = {first}, []"},
                why="The first step then finds a velocity that no step has made.",
                ask="How fast is the ball before its first step?",
            )
            for first in ("gradient(p)", "lr * gradient(p)")
        ],
        edit(
            "each push begins where you stood, not at the point ahead",
            {"velocity = momentum * velocity + gradient(ahead)": "velocity = gradient(ahead)"},
            why="You ask ahead and then go back to be pushed, so a step is lr times the newest gradient alone.",
            ask="Which two moves make a step: the push alone, or the carry and the push?",
        ),
        edit(
            "the learning rate is in the velocity as well as in the step",
            {"momentum * velocity + gradient(ahead)": "momentum * velocity + lr * gradient(ahead)"},
            why="Each gradient is multiplied by lr twice.",
            ask="In which one of your lines should lr stand?",
        ),
        edit(
            "the places where the gradient was asked for",
            {POINT: "path.append(ahead)"},
            why="The points are right and one step late: each is where this step began to look.",
            ask="After a step, which velocity carries you to the next point ahead, the old one or the new one?",
        ),
        *[
            edit(
                "the list holds one tensor many times",
                {
                    "p = p - lr * velocity\n        path.append(p - lr * momentum * velocity)": (
                        f"p -= {step}\n        path.append(p)"
                    ),
                    **stand,
                },
                why="`p -= ...` changes the tensor that stands in the list already, so every place shows the last.",
                ask="Which spelling of the step makes a new tensor, or which method a copy?",
            )
            for step, stand in [
                ("lr * velocity", {}),
                ("lr * (gradient(p) + momentum * velocity)", {"ahead = p - lr * momentum * velocity": "ahead = p"}),
            ]
        ],
        *[
            edit(
                "the velocity carries you twice",
                {"p = p - lr * velocity": "p = ahead - lr * velocity", "p - lr * momentum * velocity)": written},
                why="The new velocity holds `momentum` times the old one, and the step from the point ahead has "
                "been carried by it already.",
                ask="From where does the whole velocity lead, from where you stood or from the point ahead?",
            )
            for written in ("p - lr * momentum * velocity)", "p)", "ahead)")
        ],
    ],
    _watch_path,
)
