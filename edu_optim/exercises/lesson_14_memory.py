"""The exercise that counts the bytes of a rank, its hints, and the answers that go wrong."""

from .exercise import Exercise, at, edit


def bytes_a_rank(weights, ranks, stage):
    parameters, gradients, state = 2 * weights, 2 * weights, 12 * weights
    if stage >= 1:
        state /= ranks
    if stage >= 2:
        gradients /= ranks
    if stage >= 3:
        parameters /= ranks
    return parameters + gradients + state


BYTES = [
    edit(
        "nothing is shared out",
        {"state /= ranks": "state /= 1", "gradients /= ranks": "gradients /= 1", "parameters /= ranks": "pass"},
        why="Each rank still holds all of it at every stage.",
        ask="At stage 1, how much of the state does one of 64 ranks keep?",
    ),
    edit(
        "the weights are shared out first",
        {"1:\n        state": "1:\n        parameters", "3:\n        parameters": "3:\n        state"},
        why="The largest part comes first: the state, with 12 bytes a weight.",
        ask="Which of the three does the exercise name for stage 1?",
    ),
    edit(
        "all is shared out at every stage",
        {"stage >= 1": "stage >= 0", "stage >= 2": "stage >= 0", "stage >= 3": "stage >= 0"},
        why="At stage 0 each rank holds all of it.",
        ask="At which stage are the weights themselves shared out?",
    ),
    edit(
        "all is shared out from the first stage on",
        {"stage >= 2": "stage >= 1", "stage >= 3": "stage >= 1"},
        why="Each stage shares out one thing more than the one before.",
        ask="What does a rank need whole at stage 1, in each forward and backward pass?",
    ),
    edit(
        "the gradients are shared out first",
        {"1:\n        state": "1:\n        gradients", "2:\n        gradients": "2:\n        state"},
        why="At stage 1 it is the state, the largest of the three.",
        ask="Which of the three does the exercise name for stage 1?",
    ),
    edit(
        "the gradients are shared out a stage late",
        {"stage >= 2": "stage >= 3"},
        why="They wait for the stage of the weights.",
        ask="What does the exercise share out at stage 2?",
    ),
    edit(
        "the weights are never shared out",
        {"parameters /= ranks": "pass"},
        why="At the last stage a rank keeps a share of the weights too.",
        ask="What is left whole on every rank at stage 3?",
    ),
    edit(
        "each stage shares out what the next one should",
        {"stage >= 1": "stage >= 0", "stage >= 2": "stage >= 1", "stage >= 3": "stage >= 2"},
        why="At stage 0 nothing is shared out.",
        ask="At which stage does the exercise begin to share out the state?",
    ),
    edit(
        "a stage shares out only its own part",
        {"stage >= 1": "stage == 1", "stage >= 2": "stage == 2"},
        why="A later stage keeps what the earlier ones have shared out.",
        ask="Is the state whole again at stage 2?",
    ),
    edit(
        "the state is counted as 8 bytes a weight",
        {"12 * weights": "8 * weights"},
        why="It is three numbers for each weight, a copy of it and two buffers, all in float32.",
        ask="Which of the three have you left out, or how many bytes have you given to each?",
    ),
    edit(
        "the copy in float32 stays on every rank",
        {"state /= ranks": "state = 4 * weights + 8 * weights / ranks"},
        why="It is a part of the state, and a rank steps only the weights whose buffers it has.",
        ask="Who needs the float32 copy of a weight that another rank steps?",
    ),
    edit(
        "the state is counted as 6 bytes a weight",
        {"12 * weights": "6 * weights"},
        why="Its three numbers are float32, four bytes each.",
        ask="How many bits has a float32?",
    ),
    edit(
        "the state is counted as 10 bytes a weight",
        {"12 * weights": "10 * weights"},
        why="Its three numbers are float32, the copy of the weight too.",
        ask="Where do the steps add up that bfloat16 would lose?",
    ),
    edit(
        "all is counted in four bytes",
        {"2 * weights, 2 * weights, 12": "4 * weights, 4 * weights, 12"},
        why="Parameters and gradients are bfloat16 here, two bytes each.",
        ask="How many bits has a bfloat16?",
    ),
    edit(
        "the bfloat16 weights are not counted",
        {"2 * weights, 2 * weights, 12": "0 * weights, 2 * weights, 12"},
        why="The copy in float32 is a part of the state; the weights themselves stand beside it.",
        ask="With which weights does a forward pass compute here, and how many bytes have they?",
    ),
    edit(
        "the gradients are counted in four bytes",
        {"2 * weights, 2 * weights, 12": "2 * weights, 4 * weights, 12"},
        why="They are bfloat16 here, as the weights are.",
        ask="How many bytes has a gradient as long as a weight?",
    ),
    edit(
        "what all ranks hold together is counted",
        {"return parameters + gradients + state": "return (parameters + gradients + state) * ranks"},
        why="Asked for is one rank.",
        ask="What does one machine have to hold?",
    ),
]

EXERCISE = Exercise(
    "bytes_a_rank",
    bytes_a_rank,
    [
        "Begin with stage 0. How many bytes has each weight, with its gradient and its state?",
        "2 and 2 and 12 bytes a weight. Which of the three is divided by `ranks` at stage 1, which two at stage 2?",
    ],
    BYTES,
    at("bytes_a_rank", (9_000, 8, 0), (9_000, 8, 1), (9_000, 8, 2), (9_000, 8, 3), (70_000_000, 100, 2)),
    secret=True,
)
