"""Lesson 14, scale out: its exercises, their hints, and the answers that go wrong."""

from .exercise import Exercise, edit, instead
from .lesson_14_memory import EXERCISE as BYTES_A_RANK
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
        yield f"examples in all gradients of {ranks} rank{'s' * (ranks > 1)} together", sum(sizes)
        yield f"gradients of {ranks} rank{'s' * (ranks > 1)} together", len(sizes)


def average_later(ranks, p, gradient, step, order, batch, epochs):
    for epoch in range(epochs):
        shuffled, copies = order(epoch), [p] * ranks
        for start in range(0, len(shuffled), batch):
            for rank, own in enumerate(copies):
                copies[rank] = step(own, gradient(own, shuffled[start + rank : start + batch : ranks]))
        p = sum(copies) / ranks
    return p


def average_at_last(ranks, p, gradient, step, order, batch, epochs):
    copies = [p] * ranks
    for epoch in range(epochs):
        shuffled = order(epoch)
        for start in range(0, len(shuffled), batch):
            for rank, own in enumerate(copies):
                copies[rank] = step(own, gradient(own, shuffled[start + rank : start + batch : ranks]))
    return sum(copies) / ranks


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


def running_mean(ranks, p, gradient, step, order, batch, epochs):
    for epoch in range(epochs):
        shuffled = order(epoch)
        for start in range(0, len(shuffled), batch):
            mean = gradient(p, shuffled[start : start + batch : ranks])
            for rank in range(1, ranks):
                mean = (mean + gradient(p, shuffled[start + rank : start + batch : ranks])) / 2
            p = step(p, mean)
    return p


def late(ranks, p, gradient, step, order, batch, epochs):
    found = []
    for epoch in range(epochs):
        shuffled = order(epoch)
        for start in range(0, len(shuffled), batch):
            shares = [shuffled[start + rank : start + batch : ranks] for rank in range(ranks)]
            found.append(sum(gradient(p, share) for share in shares) / ranks)
            p = step(p, found[-2]) if found[1:] else p
    return p, found[-1]


def late_to_the_end(ranks, p, gradient, step, order, batch, epochs):
    return step(*late(ranks, p, gradient, step, order, batch, epochs))


def late_without_the_last(ranks, p, gradient, step, order, batch, epochs):
    return late(ranks, p, gradient, step, order, batch, epochs)[0]


SHARE = "shuffled[start + rank : start + batch : ranks]"
TOGETHER = "step(p, sum(gradient(p, share) for share in shares) / ranks)"
ALL, OWN = "[gradient(p, share) for share in shares]", "gradient(p, share)"
ONE_BY_ONE = "            for share in shares:\n                p = step(p, gradient(p, share))\n"
AGAIN = "            for _ in range(ranks):\n                p = step(p, g)\n"
GROWING = f"step(p, (total := total + sum({ALL}) / ranks))"
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
        "only the last rank's gradient is used",
        {TOGETHER: f"step(p, {ALL}[-1])"},
        why="Each gradient takes the place of the one before, and the last alone reaches p.",
        ask="What becomes of the gradients of the other ranks?",
    ),
    edit(
        "p stays where it began",
        {"p = step(": "step("},
        why="`step` returns the new p and leaves the old one as it is.",
        ask="What becomes of the value that `step` returns?",
    ),
    edit(
        "what `step` returns is taken off p",
        {"p = step(": "p = p - step("},
        why="`step` returns the new p, and not a way to go.",
        ask="What does `step` return?",
    ),
    edit(
        "the mean gradient is taken off p, without `step`",
        {TOGETHER: "p - sum(gradient(p, share) for share in shares) / ranks"},
        why="How far a gradient leads is what `step` knows: its rule divides, or remembers, or scales.",
        ask="Which p does `step` return for this gradient?",
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
        "each rank's gradient takes a step of its own, all from one p",
        {f"            p = {TOGETHER}\n": ONE_BY_ONE.replace(OWN, "g").replace("share in shares", f"g in {ALL}")},
        why="There are as many steps as shares, and only one was asked for.",
        ask="How many steps does one rank take with the whole batch?",
    ),
    edit(
        "each rank takes a step with its part of the mean",
        {f"            p = {TOGETHER}\n": f"            for g in {ALL}:\n                p = step(p, g / ranks)\n"},
        why="There are as many steps as shares, and only one was asked for.",
        ask="How many steps does one rank take with the whole batch?",
    ),
    edit(
        "the step with the mean is taken once for each rank",
        {f"            p = {TOGETHER}\n": f"            g = sum({ALL}) / ranks\n{AGAIN}"},
        why="There are as many steps as ranks, and only one was asked for.",
        ask="Each rank steps its own copy. How many steps does one copy take with a batch?",
    ),
    instead(
        "each gradient is used a step late",
        late_to_the_end,
        why="It was taken before the step that comes before it, where p no longer is.",
        ask="At which p is a gradient taken, and at which p is it used?",
    ),
    instead(
        "each gradient is used a step late, and the last never",
        late_without_the_last,
        why="It was taken before the step that comes before it, where p no longer is.",
        ask="At which p is a gradient taken, and at which p is it used?",
    ),
    edit(
        "the gradients of earlier batches are still in the sum",
        {"for epoch in": "total = 0\n    for epoch in", TOGETHER: GROWING},
        why="Nothing sets it to 0 again, as `zero_grad` does, so it grows from batch to batch.",
        ask="What should the sum hold when a new batch begins?",
    ),
    edit(
        "each order is read from its end",
        {"order(epoch)": "order(epoch)[::-1]"},
        why="The batches are the same here, and come in the opposite order.",
        ask="Which examples should the first batch hold?",
    ),
    instead(
        "the last rank's gradient counts for half",
        running_mean,
        why="Each new gradient is averaged with all before it, as if they were one: on more than two ranks the first "
        "count for less.",
        ask="With four ranks, by how much is the first gradient divided in your code, and by how much the last?",
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
        "the parameters are averaged once, at the end of all epochs",
        average_at_last,
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
        "each share is cut in two micro-batches",
        {TOGETHER: "step(p, sum(gradient(p, share[k::2]) / 2 for share in shares for k in (0, 1)) / ranks)"},
        why="The result is right, but a rank takes two gradients, of a part of its share each, not one of it all.",
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
        "the shares overlap",
        {SHARE: "shuffled[start + rank : start + rank + batch // ranks]"},
        why="Some examples of a batch are seen by two ranks, and some by none.",
        ask="With a batch of 8 and 4 ranks, which examples has rank 0, and which rank 1?",
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
        "each rank takes whole batches of its part of the epoch",
        {
            "range(0, len(shuffled), batch)": "range(0, len(shuffled) // ranks, batch)",
            SHARE: "shuffled[rank * len(shuffled) // ranks :][start : start + batch]",
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
    BYTES_A_RANK,
    RING,
]
