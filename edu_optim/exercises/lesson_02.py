"""Lesson 02, stochastic gradients: its exercises, their hints, and the answers that go wrong."""

from .exercise import Exercise, at, edit
from .lesson_02_card import EXERCISE as SAME_BALL_RATE


def weighted_mean_rate(t):
    return 2 / (t + 1)


def noise_ball(lr, curvature, variance, growth, batch):
    keeps = (1 - lr * curvature) ** 2 + lr**2 * growth / batch
    adds = lr**2 * variance / batch
    return adds / (1 - keeps)


EXERCISES = [
    Exercise(
        "weighted_mean_rate",
        weighted_mean_rate,
        [
            "After t numbers the weights add up to 1 + 2 + ... + t = t (t + 1) / 2. Which share has the newest one?",
            "The rate is the weight of the newest number: at the first step it must jump right onto it.",
        ],
        [
            edit(
                "all numbers count alike",
                {"2 / (t + 1)": "1 / t"},
                why="With 1 / t every number counts as much as every other.",
                ask="In the mean of 1, 2, 2, 3, 3, 3, which share has the last number, 3?",
            ),
            edit(
                "the place where it started stays in the mean",
                {"2 / (t + 1)": "1 / (t + 1)"},
                why="The first step goes only half way, so the place where you started stays in the mean.",
                ask="The first step has t = 1; where should it land?",
            ),
            edit(
                "the rate is constant",
                {"2 / (t + 1)": "1.0"},
                why="With a rate of 1 the place is the newest number alone.",
                ask="In the mean of 1, 2, 2, 3, 3, 3, which share has the last number, 3?",
            ),
            edit(
                "the weights are taken to add up to half the square of t",
                {"2 / (t + 1)": "2 / t"},
                why="The weights 1 to t add up to t * (t + 1) / 2; at t = 1 this steps past the first number.",
                ask="The first step has t = 1; where should it land?",
            ),
            edit(
                "the weights are taken to add up to half the square of t, from the second step on",
                {"2 / (t + 1)": "min(1, 2 / t)"},
                why="The cut at 1 mends the first step alone; the weights 1 to t add up to t * (t + 1) / 2.",
                ask="In the mean of 1, 2, 2, 3, 3, 3, which share has the last number, 3?",
            ),
            edit(
                "the first step does not land on the first number",
                {"2 / (t + 1)": "2 / (t + 2)"},
                why="At t = 1 the rate is 2 / 3, so a third of the place where you started stays in the mean.",
                ask="The first step has t = 1; what must the rate be there?",
            ),
            edit(
                "the rate falls with the root of t",
                {"2 / (t + 1)": "1 / t**0.5"},
                why="The weights 1 to t add up to about half the square of t, and t is the newest one's part in them.",
                ask="In the mean of 1, 2, 2, 3, 3, 3, which share has the last number, 3?",
            ),
            edit(
                "1 is added to the rate, not to t",
                {"2 / (t + 1)": "2 / t + 1"},
                why="2 / t + 1 is (2 / t) + 1: without brackets the quotient comes first.",
                ask="The first step has t = 1; where should it land?",
            ),
            edit(
                "the weights are taken to add up to t + 1",
                {"2 / (t + 1)": "t / (t + 1)"},
                why="The newest number counts t times, but the weights 1 to t do not add up to t + 1.",
                ask="What do the weights of the first three numbers add up to?",
            ),
            edit(
                "the weight, not its share",
                {"2 / (t + 1)": "t"},
                why="t is how often the newest number counts; the rate is its share in all weights.",
                ask="In the mean of 1, 2, 2, 3, 3, 3, which share has the last number, 3?",
            ),
            edit(
                "the sum of the weights",
                {"2 / (t + 1)": "t * (t + 1) / 2"},
                why="All weights up to t add up to this; the rate is the share that the newest number has in it.",
                ask="In the mean of 1, 2, 2, 3, 3, 3, which share has the last number, 3?",
            ),
            edit(
                "one part of the sum, not t parts",
                {"2 / (t + 1)": "2 / (t * (t + 1))"},
                why="This is 1 over the sum of the weights, as if the newest number counted once.",
                ask="In the mean of 1, 2, 2, 3, 3, 3, which share has the last number, 3?",
            ),
            edit(
                "the newest number is missing in the sum of the weights",
                {"2 / (t + 1)": "2 / (t - 1) if t > 1 else 1.0"},
                why="This divides by the weights of the numbers before; those of the newest belong to the sum, too.",
                ask="In the mean of 1, 2, 2, 3, 3, 3, which share has the last number, 3?",
            ),
            edit(
                "the newest number is missing in the sum of the weights",
                {"2 / (t + 1)": "t / sum(range(t))"},
                why="This divides by 1 + ... + (t - 1), which is what sum(range(t)) holds, and at t = 1 by zero.",
                ask="In the mean of 1, 2, 2, 3, 3, 3, which share has the last number, 3?",
            ),
            edit(
                "the share of the old mean",
                {"2 / (t + 1)": "(t - 1) / (t + 1)"},
                why="This is what the old mean keeps; the rate is what the newest number gets.",
                ask="In a step of rate 1, what is left of the old place?",
            ),
        ],
        at("weighted_mean_rate", (13,), (1,), (6,), (2,)),
        secret=True,
    ),
    Exercise(
        "noise_ball",
        noise_ball,
        [
            "As in the lesson a step shrinks the variance V of the place and adds noise; what is the mean of x**2?",
            "A minibatch's gradient errs with variance (variance + growth * V) / batch, on the mean over all places.",
            "Solve V = (1 - lr * curvature)**2 * V + lr**2 * (variance + growth * V) / batch for V.",
        ],
        [
            edit(
                "the noise does not grow",
                {" + lr**2 * growth / batch": ""},
                why="This is formula (2) with the variance of a batch: noise that is the same at every place.",
                ask="Once the places have variance V, what is the mean of growth * x**2?",
            ),
            edit(
                "this is formula (2) of the lesson",
                {" + lr**2 * growth / batch": "", "variance / batch": "variance"},
                why="It is for noise that is the same at every place, and it has no batch.",
                ask="Once the places have variance V, what is the mean of growth * x**2?",
            ),
            edit(
                "formula (2) at small rates, with the batch",
                {"adds / (1 - keeps)": "lr * variance / (2 * curvature * batch)"},
                why="It leaves out the lr * curvature in the bracket of formula (2), and the growth.",
                ask="Once the places have variance V, what is the mean of growth * x**2?",
            ),
            edit(
                "the growth is fed with the variance of formula (2), once",
                {
                    " + lr**2 * growth / batch": "",
                    "variance / batch": "(variance + growth * lr**2 * variance / batch / (1 - keeps)) / batch",
                },
                why="The growing part widens the cloud, and the wider cloud grows it again; one round falls short.",
                ask="In the equation of the settled cloud, which variance stands beside growth, and is it known yet?",
            ),
            edit(
                "the growth adds to the variance as if every place were at 1",
                {" + lr**2 * growth / batch": "", "variance / batch": "(variance + growth) / batch"},
                why="The growth is multiplied by x**2, which has the mean 1 only where the cloud has the variance 1.",
                ask="Once the places have variance V, what is the mean of growth * x**2?",
            ),
            edit(
                "variance and growth are swapped",
                {"lr**2 * growth": "lr**2 * variance", "adds = lr**2 * variance": "adds = lr**2 * growth"},
                why="At the minimum, where x is 0, an example's gradient errs with `variance` alone.",
                ask="In the equation of the settled cloud, which of the two stands beside V?",
            ),
            edit(
                "the batch is not used",
                {"growth / batch": "growth", "variance / batch": "variance"},
                why="This is the ball of batches of one example.",
                ask="By what does the variance of a mean of 16 numbers differ from that of one?",
            ),
            edit(
                "the growth is not divided by the batch",
                {"growth / batch": "growth"},
                why="The mean over a batch errs less in both parts, the one that grows and the other.",
                ask="By what does the variance of a mean of 16 numbers differ from that of one?",
            ),
            edit(
                "the growth is divided by the batch twice",
                {"growth / batch": "growth / batch**2"},
                why="The batch divides the variance of the error once, in both of its parts.",
                ask="By what does the variance of a mean of 16 numbers differ from that of one?",
            ),
            edit(
                "only the growth is divided by the batch",
                {"variance / batch": "variance"},
                why="The mean over a batch errs less in both parts, the one that grows and the other.",
                ask="By what does the variance of a mean of 16 numbers differ from that of one?",
            ),
            edit(
                "the variance falls with the root of the batch",
                {"growth / batch": "growth / batch**0.5", "variance / batch": "variance / batch**0.5"},
                why="The error of a mean shrinks as 1 / sqrt(batch), and the variance is the square of the error.",
                ask="By what does the variance of a mean of 16 numbers differ from that of one?",
            ),
            edit(
                "the batch is squared",
                {"growth / batch": "growth / batch**2", "variance / batch": "variance / batch**2"},
                why="A sum of `batch` errors is divided by `batch`, its variance by batch**2; but the sum's has grown.",
                ask="By what does the variance of a mean of 16 numbers differ from that of one?",
            ),
            edit(
                "as if the rate were divided by the batch, not the variance",
                {
                    "    keeps": "    lr = lr / batch\n    keeps",
                    "growth / batch": "growth",
                    "variance / batch": "variance",
                },
                why="Then the batch makes 2 - lr * curvature larger, too; it divides the error's variance alone.",
                ask="In formula (2), which letters stand for the step, and which one holds the batch?",
            ),
            edit(
                "what a step keeps of the distance, not of its square",
                {"(1 - lr * curvature) ** 2": "(1 - lr * curvature)"},
                why="A variance is multiplied by the square of the factor of the distance.",
                ask="If every place is halved, what becomes of the mean of its square?",
            ),
            edit(
                "true for very small rates only",
                {"(1 - lr * curvature) ** 2": "1 - 2 * lr * curvature"},
                why="The square of 1 - lr * curvature has a third term.",
                ask="At lr * curvature = 1, what is left of the old place?",
            ),
            edit(
                "the rate of the growing part is not squared",
                {"lr**2 * growth": "lr * growth"},
                why="An error is multiplied by the rate, so its variance is multiplied by the rate's square.",
                ask="In a step, by what is the gradient multiplied before it moves the place?",
            ),
            edit(
                "the rate of the constant part is not squared",
                {"lr**2 * variance": "lr * variance"},
                why="An error is multiplied by the rate, so its variance is multiplied by the rate's square.",
                ask="In a step, by what is the gradient multiplied before it moves the place?",
            ),
            edit(
                "divided by what a step keeps, not by what it takes",
                {"(1 - keeps)": "keeps"},
                why="The cloud has settled where what a step takes from the variance is what the noise adds.",
                ask="In V = keeps * V + adds, what stands beside V once all of it is on one side?",
            ),
            edit(
                "the radius, not the variance",
                {"adds / (1 - keeps)": "(adds / (1 - keeps)) ** 0.5"},
                why="This is the root of the variance of the place.",
                ask="In which units is a variance, those of the place or their square?",
            ),
            edit(
                "the loss, not the variance",
                {"adds / (1 - keeps)": "curvature / 2 * adds / (1 - keeps)"},
                why="curvature / 2 times the variance of the place is the mean loss.",
                ask="Which of the two is asked for?",
            ),
            edit(
                "the noise of one step",
                {"adds / (1 - keeps)": "adds"},
                why="This is what a single step adds; the cloud also holds what is left of the steps before.",
                ask="What does the next step leave of a variance that is there already?",
            ),
            edit(
                "the variance of the gradient, not of the place",
                {"adds / (1 - keeps)": "variance / batch"},
                why="This is how much the gradient scatters at the minimum; the place scatters by another amount.",
                ask="In a step, by what is the gradient multiplied before it moves the place?",
            ),
            *[
                edit(
                    name,
                    {"lr**2 * variance": f"lr**2 * variance**{one}", "growth / batch": f"growth**{other} / batch"},
                    why="`variance` and growth * x**2 are variances already: they are added as they are.",
                    ask="In formula (2), what does s**2 stand for?",
                )
                for name, one, other in [
                    ("the variance is squared", 2, 1),
                    ("the growth is squared", 1, 2),
                    ("the variance and the growth are squared", 2, 2),
                    ("the root of the variance", 0.5, 1),
                    ("the root of the growth", 1, 0.5),
                    ("the roots of the variance and of the growth", 0.5, 0.5),
                ]
            ],
        ],
        at(
            "noise_ball",
            (0.13, 7.1, 2.3, 1.9, 1),
            (0.037, 23.0, 9.1, 40.0, 12),
            (0.61, 1.7, 0.43, 0.9, 5),
            (0.01, 0.9, 1.3, 0.7, 4),
        ),
    ),
    SAME_BALL_RATE,
]
