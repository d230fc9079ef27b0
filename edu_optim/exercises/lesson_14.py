"""Lesson 14, scale out: its exercises, their hints, and the answers that go wrong."""

from .exercise import Exercise, at, edit, instead
from .lesson_14_ring import EXERCISE as RING

# Many ranks, one training


def train_on(ranks, p, gradient, step, order, batch, epochs):
    for epoch in range(epochs):
        shuffled = order(epoch)
        for start in range(0, len(shuffled), batch):
            shares = [shuffled[start + rank : start + batch : ranks] for rank in range(ranks)]
            p = step(p, sum(gradient(p, share) for share in shares) / ranks)
    return p


def _watch_training(answer):
    """On a bowl for each example, with a step that is not linear in the gradient, as Adam's is not."""
    for ranks in (1, 2, 4):
        sizes = []

        def gradient(p, examples, sizes=sizes):
            if not len(examples):
                raise ValueError("`gradient` was asked for the mean over a share without examples")
            sizes.append(len(examples))
            return sum(0.3 * p - x for x in examples) / len(examples)

        def step(p, g):
            return p - 0.17 * g / (abs(g) + 0.4)

        def order(epoch):
            return [0.1 * (number * (5, 7, 11, 13)[epoch] % 24) ** 1.3 for number in range(24)]

        yield f"p after 3 epochs on {ranks} rank{'s' * (ranks > 1)}", answer(ranks, 0.8, gradient, step, order, 8, 3)
        share = 8 // ranks
        yield (
            f"examples in one gradient beyond a share, with {ranks} rank{'s' * (ranks > 1)}",
            max([share, *sizes]) - share,
        )
        yield f"examples that {ranks} rank{'s' * (ranks > 1)} work through, all together", sum(sizes)
        yield f"gradients that {ranks} rank{'s' * (ranks > 1)} take, all together", len(sizes)


def average_later(ranks, p, gradient, step, order, batch, epochs):
    for epoch in range(epochs):
        shuffled, copies = order(epoch), [p] * ranks
        for start in range(0, len(shuffled), batch):
            for rank, own in enumerate(copies):
                copies[rank] = step(own, gradient(own, shuffled[start + rank : start + batch : ranks]))
        p = sum(copies) / ranks
    return p


def small_batches(ranks, p, gradient, step, order, batch, epochs):
    for epoch in range(epochs):
        shuffled = order(epoch)
        for start in range(0, len(shuffled), batch // ranks):
            p = step(p, gradient(p, shuffled[start : start + batch // ranks]))
    return p


def one_by_one(ranks, p, gradient, step, order, batch, epochs):
    for epoch in range(epochs):
        shuffled = order(epoch)
        for start in range(0, len(shuffled), batch):
            p = step(p, sum(gradient(p, [example]) for example in shuffled[start : start + batch]) / batch)
    return p


def one_copy_steps(ranks, p, gradient, step, order, batch, epochs):
    copies = [p] * ranks
    for epoch in range(epochs):
        shuffled = order(epoch)
        for start in range(0, len(shuffled), batch):
            shares = [shuffled[start + rank : start + batch : ranks] for rank in range(ranks)]
            copies[0] = step(copies[0], sum(map(gradient, copies, shares)) / ranks)
    return copies[0]


SHARE = "shuffled[start + rank : start + batch : ranks]"
TOGETHER = "step(p, sum(gradient(p, share) for share in shares) / ranks)"
ONE_BY_ONE = "            for share in shares:\n                p = step(p, gradient(p, share))\n"
TRAIN = [
    edit(
        "the parameters are averaged instead of the gradients",
        {TOGETHER: "sum(step(p, gradient(p, share)) for share in shares) / ranks"},
        why="A step that divides by a size of the gradient makes something else of each share than of their mean.",
        ask="For which steps is the mean of the steps the step of the mean?",
    ),
    edit(
        "the gradients are summed, and not averaged",
        {") / ranks)": "))"},
        why="Each is a mean already, so their sum grows with the number of ranks.",
        ask="If all shares were alike, what would the gradient of the whole batch be?",
    ),
    edit(
        "only one rank's gradient is used",
        {TOGETHER: "step(p, gradient(p, shares[0]))"},
        why="The others work for nothing: their examples never reach p.",
        ask="Where do the gradients of the other ranks go?",
    ),
    edit(
        "one rank is left out",
        {"for rank in range(ranks)]": "for rank in range(max(1, ranks - 1))]"},
        why="Its share of each batch is seen by none.",
        ask="How many shares has a batch, and how many gradients do you take?",
    ),
    edit(
        "the gradients are taken where the epoch began",
        {"shuffled = order(epoch)": "shuffled, old = order(epoch), p", "gradient(p, share)": "gradient(old, share)"},
        why="After the first step of an epoch p has moved, and the gradients are still those of its old place.",
        ask="At which p does one rank alone take the gradient of its second batch?",
    ),
    edit(
        "each rank's gradient takes a step of its own",
        {f"            p = {TOGETHER}\n": ONE_BY_ONE},
        why="The second rank begins where the first has come to, and there are as many steps as shares.",
        ask="How many steps does one rank take with the whole batch?",
    ),
    edit(
        "the gradients are divided by the examples",
        {TOGETHER: TOGETHER.replace("/ ranks", "/ batch")},
        why="Each is a mean over examples already; there are as many of them as ranks.",
        ask="Of how many gradients do you take the mean?",
    ),
    instead(
        "the parameters are averaged at the end of an epoch",
        average_later,
        why="Until then each rank goes its own way, from gradients of its share alone.",
        ask="How often must the ranks hear of each other, so that they are one rank with the whole batch?",
    ),
    instead(
        "each batch is as small as a share",
        small_batches,
        why="There are as many steps as shares, each with the gradient of one share.",
        ask="How many steps does one rank take with the whole batch, and with which gradient?",
    ),
    instead(
        "only one of the copies steps",
        one_copy_steps,
        why="The other copies stay where they began, and their gradients are taken there.",
        ask="At which p must each rank take its second gradient, and how does it come there?",
    ),
    instead(
        "a gradient is taken of each example by itself",
        one_by_one,
        why="The result is right, but a rank takes one gradient for each of its examples, not one for its share.",
        ask="In a batch of 8, how many gradients do 4 ranks take, and of how many examples each?",
    ),
    edit(
        "one gradient is taken of the whole batch",
        {TOGETHER: "step(p, gradient(p, shuffled[start : start + batch]))"},
        why="The result is right, and one rank does all the work.",
        ask="How many examples of a batch of 8 should each of 4 ranks see?",
    ),
    edit(
        "one step is taken for a whole epoch",
        {"range(0, len(shuffled), batch)": "range(1)", SHARE: "shuffled[rank::ranks]"},
        why="The gradient is the mean over all examples, and not over a batch of them.",
        ask="How many batches of 8 are there in 24 examples?",
    ),
    edit(
        "only the first batch of an epoch is used",
        {"range(0, len(shuffled), batch)": "range(1)"},
        why="The other batches are never seen.",
        ask="Where does the second batch begin?",
    ),
    edit(
        "the last batch of an epoch is dropped",
        {"range(0, len(shuffled), batch)": "range(0, len(shuffled) - batch, batch)"},
        why="Its examples are never seen.",
        ask="Where does the last batch begin?",
    ),
    edit(
        "every rank works on the whole batch",
        {SHARE: "shuffled[start : start + batch]"},
        why="The result is right, and no rank has less to do than one alone would have.",
        ask="How many examples of a batch of 8 should each of 4 ranks see?",
    ),
    edit(
        "all ranks get the same share",
        {SHARE: "shuffled[start : start + batch : ranks]"},
        why="Part of each batch is seen by all, and the rest by none.",
        ask="In which place does the share of a rank depend on the rank?",
    ),
    edit(
        "each rank has a part of the epoch instead of a part of each batch",
        {SHARE: "shuffled[rank * len(shuffled) // ranks :][start // ranks : (start + batch) // ranks]"},
        why="All examples are used, in other batches than one rank makes.",
        ask="Which examples does one rank have in its first batch, and are those of your ranks together the same?",
    ),
    edit(
        "each rank takes a whole batch of its own",
        {
            "range(0, len(shuffled), batch)": "range(0, len(shuffled) // ranks, batch)",
            SHARE: "shuffled[rank::ranks][start : start + batch]",
        },
        why="The batch of all ranks together has grown with them, and there are fewer steps.",
        ask="`batch` counts the examples of all ranks together. How many of them has each?",
    ),
    edit(
        "every epoch has the same order",
        {"order(epoch)": "order(0)"},
        why="It is what a sampler does that is not told the epoch.",
        ask="Who tells `order` that another epoch has begun?",
    ),
    edit(
        "the epochs are counted from 1",
        {"order(epoch)": "order(epoch + 1)"},
        why="The order of epoch 0 is never asked for.",
        ask="Which numbers does `range(epochs)` give?",
    ),
    edit(
        "only the first epoch is run",
        {"range(epochs)": "range(1)"},
        why="After that p stays.",
        ask="How often should all examples be seen?",
    ),
]


# Memory


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
        "a stage shares out only its own part",
        {"stage >= 1": "stage == 1", "stage >= 2": "stage == 2"},
        why="A later stage keeps what the earlier ones have shared out.",
        ask="Is the state whole again at stage 2?",
    ),
    edit(
        "the copy in float32 is forgotten",
        {"12 * weights": "8 * weights"},
        why="Beside Adam's two buffers, the state holds the weights once more, in four bytes each.",
        ask="Where do the steps add up that bfloat16 would lose?",
    ),
    edit(
        "the copy in float32 stays on every rank",
        {"state /= ranks": "state = 4 * weights + 8 * weights / ranks"},
        why="It is a part of the state, and a rank steps only the weights whose buffers it has.",
        ask="Who needs the float32 copy of a weight that another rank steps?",
    ),
    edit(
        "all is counted in four bytes",
        {"2 * weights, 2 * weights, 12": "4 * weights, 4 * weights, 12"},
        why="Parameters and gradients are bfloat16 here, two bytes each.",
        ask="How many bits has a bfloat16?",
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


EXERCISES = [
    Exercise(
        "train_on",
        train_on,
        [
            "What must the ranks do together in one step so that p ends where one rank with the whole batch ends?",
            "Cut each batch in as many shares as there are ranks: `shuffled[start + rank : start + batch : ranks]`. "
            "`gradient(p, share)` is a mean over the share; each rank takes it once.",
            "One call of `step` for each batch, with the mean of the gradients; a new `order(epoch)` for each epoch.",
        ],
        TRAIN,
        _watch_training,
    ),
    Exercise(
        "bytes_a_rank",
        bytes_a_rank,
        [
            "Begin with stage 0. How many bytes has each weight, with its gradient and its state?",
            "2 and 2 and 12 bytes a weight. Which of the three is divided by `ranks` at stage 1, which two at stage 2?",
        ],
        BYTES,
        at("bytes_a_rank", (9_000, 8, 0), (9_000, 8, 1), (9_000, 8, 2), (9_000, 8, 3), (70_000_000, 100, 2)),
        secret=True,
    ),
    RING,
]
