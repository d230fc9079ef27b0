"""How a loop with a schedule, whose batches come in unequal parts, goes wrong; of lesson 10."""

from .exercise import edit
from .loops import CLEARED_AFTER_THE_STEP

STEPS = "        optimizer.step()\n        scheduler.step()\n"
PARTS = [
    edit(
        "the mean of the parts' means",
        {"* len(x) / count": "/ len(parts)"},
        why="Each part counts alike, so an example in a small part weighs more than one in a large part.",
        ask="With parts of one and of seven, how much does the lonely example weigh?",
    ),
    edit(
        "the sum of the parts' means",
        {" * len(x) / count": ""},
        why="Nothing is divided, so the gradient grows with the number of parts.",
        ask="By how much is the gradient of two equal parts too long?",
    ),
    edit(
        "the sum over all examples",
        {".mean() * len(x) / count": ".sum()"},
        why="The gradient grows with the number of examples.",
        ask="How many examples are there in all the parts, and where do you divide by that?",
    ),
    edit(
        "each part's sum weighs its share",
        {".mean() *": ".sum() *"},
        why="A part's sum grows with its size already, and the share multiplies by the size again.",
        ask="Of a part of seven, how much does one example weigh?",
    ),
    edit(
        "each part's sum is divided by the number of parts",
        {".mean() * len(x) / count": ".sum() / len(parts)"},
        why="The gradient grows with the number of examples in a part.",
        ask="Over how many examples does the mean go, if two parts have four each?",
    ),
    edit(
        "every batch is divided by the size of the first",
        {"for x, y in parts)": "for x, y in batches[0])"},
        why="The batches may differ in size, so the gradient of a smaller one is too short.",
        ask="How many examples are in this batch?",
    ),
    edit(
        "every batch is divided by the size of the largest",
        {"sum(len(x) for x, y in parts)": "max(sum(len(x) for x, y in b) for b in batches)"},
        why="The batches may differ in size, so the gradient of a smaller one is too short.",
        ask="How many examples are in this batch?",
    ),
    edit(
        "every batch is divided by the mean size of all",
        {"sum(len(x) for x, y in parts)": "sum(len(x) for b in batches for x, y in b) / len(batches)"},
        why="The batches may differ in size, and a small one weighs less here than a large one.",
        ask="How many examples are in this batch?",
    ),
    edit(
        "every batch is divided by the examples of all",
        {"sum(len(x) for x, y in parts)": "sum(len(x) for b in batches for x, y in b)"},
        why="Each gradient is too short: one step follows the mean over its own batch.",
        ask="How many examples are in this batch?",
    ),
    edit(
        "every part counts as large as the first",
        {"sum(len(x) for x, y in parts)": "len(parts[0][0]) * len(parts)"},
        why="The parts may differ in size, so this is not the number of examples.",
        ask="How many examples are in parts of one and of seven?",
    ),
    edit(
        "the largest part counts as the batch",
        {"sum(len(x)": "max(len(x)"},
        why="The shares of the parts do not add up to 1.",
        ask="With parts of one and of seven, which share has each?",
    ),
    edit(
        "one backward for the whole batch",
        {
            "        for x, y in parts:\n            loss = ((model(x) - y) ** 2).mean() * len(x) / count\n"
            "            loss.backward()\n": (
                "        x, y = (torch.cat(column) for column in zip(*parts, strict=True))\n"
                "        ((model(x) - y) ** 2).mean().backward()\n"
            )
        },
        why="The gradient is right, but all parts wait in memory for one backward, which cutting them was to spare.",
        ask="After which call is a part's forward pass no longer needed?",
    ),
    edit(
        "only the last part counts",
        {
            "        optimizer.zero_grad()\n        for x, y in parts:\n": (
                "        for x, y in parts:\n            optimizer.zero_grad()\n"
            )
        },
        why="The gradient is cleared before each part, so those of the parts before it are lost.",
        ask="How often should the gradient be cleared in one step?",
    ),
    edit(
        "a step after each part",
        {STEPS: "            optimizer.step()\n        scheduler.step()\n"},
        why="The optimizer steps when a part of the gradient has been collected.",
        ask="After which line is the gradient complete?",
    ),
    edit(
        "the optimizer never steps",
        {"        optimizer.step()\n": ""},
        why="The gradients are collected, and the parameters stay where they were.",
        ask="Which call follows a gradient?",
    ),
    edit(
        "the scheduler moves with each part",
        {STEPS: "            scheduler.step()\n        optimizer.step()\n"},
        why="It counts micro-batches, and the schedule is over too early.",
        ask="How many steps does the optimizer take, and how many times is the scheduler asked?",
    ),
    edit(
        "the scheduler moves before the optimizer",
        {STEPS: "        scheduler.step()\n        optimizer.step()\n"},
        why="The first learning rate is skipped.",
        ask="Which step should the first learning rate belong to?",
    ),
    edit(
        "the scheduler is asked once, at the end",
        {STEPS: "        optimizer.step()\n    scheduler.step()\n"},
        why="It was made to be asked at every step.",
        ask="If its curve has 1000 points, how many times must it be called to reach the end?",
    ),
    edit(
        "the schedule never moves",
        {"        scheduler.step()\n": ""},
        why="The learning rate stays where it began.",
        ask="Which call moves the schedule on?",
    ),
    edit(
        "the gradients add up",
        {"        optimizer.zero_grad()\n": ""},
        why="Each step follows the sum of all gradients so far, for nothing clears the old ones.",
        ask="`backward` adds to what is in `p.grad`; when is that wanted, and when is it not?",
    ),
    CLEARED_AFTER_THE_STEP,
]
