"""The exercise of the new graphics card, its hints, and the answers that go wrong."""

from .exercise import Exercise, at, edit


def same_ball_rate(lr, curvature, batch, new_batch):
    k = new_batch / batch * lr / (2 - lr * curvature)
    return 2 * k / (1 + k * curvature)


EXERCISE = Exercise(
    "same_ball_rate",
    same_ball_rate,
    [
        "Set the noise floor of the new batch at the new rate equal to that of the old batch at the old rate.",
        "What does not change is lr / (batch * (2 - lr * curvature)); the variance of an example cancels.",
        "With k = new_batch / batch * lr / (2 - lr * curvature), solve new_lr = k * (2 - new_lr * curvature).",
    ],
    [
        edit(
            "the rate has not changed",
            {"2 * k / (1 + k * curvature)": "lr"},
            why="At the old rate a larger batch makes a smaller ball.",
            ask="What does the noise floor of the lesson become with the new batch?",
        ),
        edit(
            "this is the limit for an endless batch",
            {"2 * k / (1 + k * curvature)": "2 / curvature"},
            why="It is where the rate goes as the new batch grows without end.",
            ask="Which two noise floors should be equal, and where does the new batch stand in them?",
        ),
        edit(
            "8 times the rate, whatever the batches are",
            {"2 * k / (1 + k * curvature)": "8 * lr"},
            why="8 is 256 / 32, the story's batches alone, and in proportion is right at small rates only.",
            ask="At the largest stable rate, lr * curvature = 2, how large is the ball? Can your rate pass it?",
        ),
        edit(
            "8 in the place of new_batch / batch",
            {"new_batch / batch * lr": "8 * lr"},
            why="8 is 256 / 32, the story's batches alone.",
            ask="How many times as large is the new batch if 24 examples become 84?",
        ),
        edit(
            "the rate grows in proportion to the batch",
            {"2 * k / (1 + k * curvature)": "lr * new_batch / batch"},
            why="In proportion to the batch is what it comes to at small rates only.",
            ask="At the largest stable rate, lr * curvature = 2, how large is the ball? Can your rate pass it?",
        ),
        edit(
            "in proportion to the batch, cut at the edge",
            {"2 * k / (1 + k * curvature)": "min(lr * new_batch / batch, 2 / curvature)"},
            why="Near 2 / curvature the floor grows much faster than the rate, and there it has no bound.",
            ask="Which new rate gives formula (2), with the new batch, the value that it had with the old one?",
        ),
        edit(
            "the variance falls with the root of the batch",
            {"new_batch / batch * lr": "(new_batch / batch) ** 0.5 * lr"},
            why="The error of a mean shrinks as 1 / sqrt(batch), and the variance is the square of the error.",
            ask="By what does the variance of a mean of 16 numbers differ from that of one?",
        ),
        edit(
            "the rate grows with the root of the batch",
            {"2 * k / (1 + k * curvature)": "lr * (new_batch / batch) ** 0.5"},
            why="The root keeps the noise that one step adds; asked for is the variance once the path has settled.",
            ask="In formula (2), with a small rate, how does the variance depend on lr and on the batch?",
        ),
        edit(
            "the batches are swapped",
            {"new_batch / batch * lr": "batch / new_batch * lr"},
            why="With a larger batch there is less noise, so the rate may grow.",
            ask="In formula (2), what does a larger batch do to the variance, and what does a larger rate?",
        ),
        edit(
            "the rate falls as the batch grows",
            {"2 * k / (1 + k * curvature)": "lr * batch / new_batch"},
            why="With a larger batch there is less noise, so the rate may grow.",
            ask="In formula (2), what does a larger batch do to the variance, and what does a larger rate?",
        ),
        edit(
            "the rate falls with the root of the batch",
            {"2 * k / (1 + k * curvature)": "lr * (batch / new_batch) ** 0.5"},
            why="With a larger batch there is less noise, so the rate may grow.",
            ask="In formula (2), what does a larger batch do to the variance, and what does a larger rate?",
        ),
        *[
            edit(
                "the new rate is missing in its own bracket",
                {"2 * k / (1 + k * curvature)": left},
                why="The new noise floor has the new rate twice: above the line, and in 2 - new_lr * curvature.",
                ask="Where does the new rate stand in formula (2)?",
            )
            for left in ("2 * k", "k")
        ],
        edit(
            "the old bracket stands above the line, and the new one is missing",
            {"2 * k / (1 + k * curvature)": "lr * new_batch / batch * (2 - lr * curvature) / 2"},
            why="In formula (2) the bracket 2 - lr * curvature divides, and the new rate has one of its own.",
            ask="Write both noise floors as fractions: on which side of the line does each rate stand, and how often?",
        ),
        edit(
            "a sign has turned",
            {
                "2 * k / (1 + k * curvature)": (
                    "2 * lr / (2 * batch / new_batch - (1 - batch / new_batch) * lr * curvature)"
                )
            },
            why="As the new batch grows, the denominator falls to zero and below: the rate passes 2 / curvature, "
            "then turns negative.",
            ask="Bring all terms with the new rate to one side: with which sign does the batch's growth enter?",
        ),
    ],
    at("same_ball_rate", (0.21, 2.9, 24, 84), (0.013, 11.0, 7, 91), (0.37, 1.3, 48, 20)),
)
