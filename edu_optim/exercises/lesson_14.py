"""Lesson 14, scale out: its exercises, their hints, and the answers that go wrong."""

from .exercise import Exercise, at, edit, instead

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


def average_later(ranks, p, gradient, step, order, batch, epochs):
    for epoch in range(epochs):
        shuffled, copies = order(epoch), [p] * ranks
        for start in range(0, len(shuffled), batch):
            for rank, own in enumerate(copies):
                copies[rank] = step(own, gradient(own, shuffled[start + rank : start + batch : ranks]))
        p = sum(copies) / ranks
    return p


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
        "all is counted in four bytes",
        {"2 * weights, 2 * weights, 12": "4 * weights, 4 * weights, 12"},
        why="Parameters and gradients are bfloat16 here, two bytes each.",
        ask="How many bits has a bfloat16?",
    ),
    edit(
        "what all ranks hold together is counted",
        {"return parameters + gradients + state": "return (parameters + gradients + state) * ranks"},
        why="Asked for is one rank.",
        ask="What does one machine have to hold?",
    ),
]

# All-reduce


def ring(mine, rank):
    ranks = len(mine)
    for turn in range(ranks - 1):
        place = (rank - turn) % ranks
        arrived = yield mine[place]
        mine[(place - 1) % ranks] += arrived
    for turn in range(ranks - 1):
        place = (rank - turn + 1) % ranks
        arrived = yield mine[place]
        mine[(place - 1) % ranks] = arrived
    return mine


def pass_round(answer, rows):
    """Let the ranks of a ring send to their right in turns; what each holds in the end, and how much it has sent.

    >>> pass_round(ring, [[1.0, 2.0], [10.0, 20.0]])
    ([[11.0, 22.0], [11.0, 22.0]], 2)
    """
    held = [list(row) for row in rows]
    ranks = [answer(row, rank) for rank, row in enumerate(held)]
    if not all(hasattr(rank, "send") for rank in ranks):
        raise TypeError("there is no `yield` in the function, so nothing is sent")
    arriving, sent = [None] * len(ranks), 0
    while True:
        sending = []
        for index, rank in enumerate(ranks):
            try:
                sending.append(rank.send(arriving[index]))
            except StopIteration as stop:
                held[index] = held[index] if stop.value is None else list(stop.value)
        if len(sending) < len(ranks) or sent == 1000:
            return held, sent
        sent, arriving = sent + 1, sending[-1:] + sending[:-1]


ROWS = [
    [[1.3, 0.7], [2.9, -4.1]],
    [[1.7, -0.3, 2.9], [10.3, 27.1, -31.7], [111.3, 207.9, 305.1]],
    [[1.1, 2.3, -3.7, 4.9], [13.1, 21.7, 37.3, -41.9], [105.1, -203.3, 307.9, 401.3], [-1.9, 2003.3, 3001.7, 4007.1]],
]


def _watch_ring(answer):
    for rows in ROWS:
        held, sent = pass_round(answer, rows)
        for rank, row in enumerate(held):
            yield f"what rank {rank} of {len(rows)} holds in the end", row
        yield f"the numbers that each of {len(rows)} ranks sends", sent


def everything(mine, rank):
    ranks = len(mine)
    total, passing = list(mine), list(mine)
    for _ in range(ranks - 1):
        for place in range(ranks):
            passing[place] = yield passing[place]
            total[place] += passing[place]
    return total


RIGHT, FIRST, SECOND = "mine[(place - 1) % ranks]", "(rank - turn) % ranks", "(rank - turn + 1) % ranks"
GATHER = f"""    for turn in range(ranks - 1):
        place = {SECOND}
        arrived = yield mine[place]
        {RIGHT} = arrived
"""
RING = [
    instead(
        "every number goes all the way round",
        everything,
        why="The sums are right, and each rank sends as often as there are numbers on all the others together.",
        ask="Once a sum is complete on one rank, what need the others still be sent?",
    ),
    edit(
        "the second round is missing",
        {GATHER: ""},
        why="After the first round each rank has one complete sum, and the others lack it.",
        ask="Which of the sums does a rank hold after the first round, and how do the others get it?",
    ),
    edit(
        "in the second round sums are added once more",
        {f"{RIGHT} = arrived": f"{RIGHT} += arrived"},
        why="What arrives in the second round is a complete sum already.",
        ask="What is in the place where a complete sum arrives, and is it needed?",
    ),
    edit(
        "what is passed round at last are no complete sums",
        {SECOND: FIRST},
        why="Either the first round does not add, or the second does not begin with the sum that the first completed.",
        ask="Into which place has the last number of the first round come, and what is in it then?",
    ),
    edit(
        "all ranks send the same place in a turn",
        {FIRST: "turn", SECOND: "(turn + 1) % ranks"},
        why="Each rank must send another place in a turn, or no sum is complete at the end of the round.",
        ask="In the first turn, which place does rank 0 send, and which rank 1?",
    ),
    edit(
        "the rounds are one turn too short",
        {"range(ranks - 1)": "range(ranks - 2)"},
        why="A number needs as many hops as there are other ranks.",
        ask="How many ranks have to add to a number before it is complete?",
    ),
    edit(
        "the rounds are one turn too long",
        {"range(ranks - 1)": "range(ranks)"},
        why="In the last turn a number comes back to where it set out.",
        ask="How many ranks have to add to a number before it is complete?",
    ),
    edit(
        "what arrives is put where the last number was sent from",
        {RIGHT: "mine[place]"},
        why="What comes from the left is the number of the place before.",
        ask="Which place does the rank on your left send, if you send place `place`?",
    ),
    edit(
        "each rank ends with the mean",
        {"    return mine": "    return [number / ranks for number in mine]"},
        why="An all-reduce ends with sums here; who wants the mean divides afterwards.",
        ask="What was asked for, the sum or the mean?",
    ),
]

EXERCISES = [
    Exercise(
        "train_on",
        train_on,
        [
            "What must the ranks do together in one step so that p ends where one rank with the whole batch ends?",
            "Cut each batch in as many shares as there are ranks: `shuffled[start + rank : start + batch : ranks]`. "
            "`gradient(p, share)` is a mean over the share.",
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
    Exercise(
        "ring",
        ring,
        [
            "In the first round sums grow while they are passed on; which place does each rank send first, so that no "
            "two send the same?",
            "In turn `turn` rank `rank` sends place `(rank - turn) % ranks` and adds what arrives to the place before "
            "it. After `ranks - 1` turns place `(rank + 1) % ranks` is complete.",
            "The second round is like the first, begins at the place that is complete, and puts what arrives in the "
            "place of what was there.",
        ],
        RING,
        _watch_ring,
    ),
]
