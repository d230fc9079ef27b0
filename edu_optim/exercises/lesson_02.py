"""Lesson 02, stochastic gradients: its exercises, their hints, and the answers that go wrong."""

from .exercise import Exercise, at, edit


def running_mean_rate(t):
    return 1 / t


def noise_ball(lr, curvature, variance, batch):
    return lr * (variance / batch) / (curvature * (2 - lr * curvature))


def scaled_rate(lr, batch, new_batch):
    return lr * new_batch / batch


EXERCISES = [
    Exercise(
        "running_mean_rate",
        running_mean_rate,
        [
            "Write the mean of t numbers with the mean of the first t - 1 of them and the newest one.",
            "The gradient is the place minus the newest number. At the first step, which rate jumps right onto it?",
        ],
        [
            edit(
                "the count is one late",
                {"1 / t": "1 / (t + 1)"},
                why="The first step goes only half way, so the place where you started stays in the mean.",
                ask="The first step has t = 1; where should it land?",
            ),
            edit(
                "the rate falls as the root of t",
                {"1 / t": "t**-0.5"},
                why="With 1 / sqrt(t), the decay of other proofs, the newest numbers count for more than the old ones.",
                ask="In the mean of four numbers, what is the weight of the fourth?",
            ),
            edit(
                "the rate is constant",
                {"1 / t": "1.0"},
                why="With a constant rate old numbers fade, so the place never settles on the mean.",
                ask="In the mean of four numbers, what is the weight of the fourth?",
            ),
        ],
        at("running_mean_rate", (13,), (1,), (6,), (2,)),
        secret=True,
    ),
    Exercise(
        "noise_ball",
        noise_ball,
        [
            "Two things happen in a step: the factor shrinks the variance of the place, and the noise adds to it.",
            "The lesson has the result for one example; what happens to the variance of a mean of several?",
            "Once it has settled V = (1 - lr * curvature)**2 * V + lr**2 * variance / batch. Solve it for V.",
        ],
        [
            edit(
                "true for very small rates only",
                {"(2 - lr * curvature)": "2"},
                why="There is a 2 where 2 - lr * curvature belongs.",
                ask="At the largest stable rate, lr * curvature = 2, how large should the ball be?",
            ),
            edit(
                "the batch is not used",
                {"(variance / batch)": "variance"},
                why="This is the ball of batches of one example.",
                ask="By what does the variance of a mean of 16 numbers differ from that of one?",
            ),
            edit(
                "the variance falls with the root of the batch",
                {"(variance / batch)": "(variance / batch**0.5)"},
                why="The error of a mean shrinks as 1 / sqrt(batch), and the variance is the square of the error.",
                ask="By what does the variance of a mean of 16 numbers differ from that of one?",
            ),
            edit(
                "the radius, not the variance",
                {
                    "lr * (variance / batch) / (curvature * (2 - lr * curvature))": (
                        "(lr * (variance / batch) / (curvature * (2 - lr * curvature))) ** 0.5"
                    )
                },
                why="This is the root of the variance of the place.",
                ask="In which units is a variance, those of the place or their square?",
            ),
        ],
        at("noise_ball", (0.13, 7.1, 2.3, 1), (0.037, 23.0, 9.1, 12), (0.61, 1.7, 0.43, 5)),
    ),
    Exercise(
        "scaled_rate",
        scaled_rate,
        [
            "With batches twice as large there are half as many steps in an epoch. How long should each be?",
            "As far in an epoch as before: the rate grows in proportion to the batch.",
        ],
        [
            edit(
                "the rate grows with the root of the batch",
                {"new_batch / batch": "(new_batch / batch) ** 0.5"},
                why="The root keeps the variance of one step as it was; asked for is as far in an epoch.",
                ask="With batches four times as large, how many steps has an epoch, and how far must each go?",
            ),
            edit(
                "the rate shrinks as the batch grows",
                {"new_batch / batch": "batch / new_batch"},
                why="With a larger batch there are fewer steps in an epoch, and each is less noisy.",
                ask="With batches twice as large, how many steps has an epoch, and how far must each go?",
            ),
            edit(
                "the rate is left as it was",
                {"lr * new_batch / batch": "lr"},
                why="With fewer steps of the same length an epoch does not lead as far.",
                ask="With batches twice as large, how many steps has an epoch, and how far must each go?",
            ),
        ],
        at("scaled_rate", (0.37, 48, 20), (0.013, 7, 91), (0.21, 24, 84)),
        secret=True,
    ),
]
