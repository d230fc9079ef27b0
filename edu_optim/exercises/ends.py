"""How a warmup before a cosine goes wrong at one of its ends."""

from .exercise import edit

ENDS = [
    edit(
        "the first step does not move",
        {"(t + 1) / length": "t / length"},
        why="At t = 0 the learning rate is zero, so the first step is wasted.",
        ask="Which fraction of the peak should the first of four steps have?",
    ),
    edit(
        "the warmup begins at zero",
        {"(t + 1) / length": "t / (length - 1)"},
        why="It is at the peak in time, but at t = 0 the learning rate is zero, so the first step is wasted.",
        ask="Of four steps of warmup, which quarter is the first?",
    ),
    edit(
        "the warmup goes one step beyond the peak",
        {"t < length": "t <= length"},
        why="At t = length it is above the peak, where the cosine should have begun to fall.",
        ask="Of four steps of warmup, counted from 0, which is the last?",
    ),
    edit(
        "the warmup rises from the last value",
        {"(t + 1) / length": "last + (1 - last) * (t + 1) / length"},
        why="A linear warmup of four steps begins at a quarter of the peak, whatever `last` is.",
        ask="Where does `last` belong, to the beginning or to the end?",
    ),
    edit(
        "every step is one late",
        {"(t + 1) / length": "t / length", "(t + 1 - length)": "(t - length)"},
        why="The first step does not move, and the last is taken before the end of the cosine.",
        ask="Where should the first of four steps of warmup be, and where the last of all steps?",
    ),
    edit(
        "the last value is never reached",
        {"(t + 1 - length)": "(t - length)"},
        why="The cosine is one step late, so the last step is taken before its end.",
        ask="What is your share at t = total - 1?",
    ),
    edit(
        "the peak comes twice",
        {"(t + 1 - length) / (total - length)": "(t - length) / (total - 1 - length)"},
        why="The last step of the warmup is taken at the peak, and the cosine begins one step after it.",
        ask="Which fraction of the peak has step `length`, if the cosine begins at step length - 1?",
    ),
    *(
        edit(
            "the cosine does not wait for the warmup",
            {"(t + 1 - length) / (total - length)": share},
            why="Its time is counted from the first step, so the rate drops from the peak when the warmup ends.",
            ask="What is your share at the first step after the warmup?",
        )
        for share in ("(t + 1) / total", "t / total", "t / (total - 1)")
    ),
    *(
        edit(
            "the cosine runs under the warmup",
            {
                "    if t < length:\n        return (t + 1) / length\n": "",
                "(t + 1 - length) / (total - length)": share,
                "last + (1 - last) * (1 + math.cos(math.pi * share)) / 2": (
                    "min(1, (t + 1) / length) * (last + (1 - last) * (1 + math.cos(math.pi * share)) / 2)"
                ),
            },
            why="The cosine falls while the warmup still rises, so the rate is below the peak when that ends.",
            ask="How much of the cosine is over when your warmup ends?",
        )
        for share in ("t / total", "(t + 1) / total", "t / (total - 1)")
    ),
    edit(
        "the warmup is half a cosine too",
        {"        return (t + 1) / length\n": "        return (1 - math.cos(math.pi * (t + 1) / length)) / 2\n"},
        why="It rises along a curve, where even steps were asked for.",
        ask="Of four steps of linear warmup, how much more than the step before has each?",
    ),
    edit(
        "it is cut off at the last value",
        {"last + (1 - last) * (1 + math.cos(math.pi * share)) / 2": "max(last, (1 + math.cos(math.pi * share)) / 2)"},
        why="The cosine falls towards zero and stops short of it, and the rate stays level from there.",
        ask="At which step should the rate be `last` for the first time?",
    ),
    edit(
        "it falls by one factor in each step",
        {"last + (1 - last) * (1 + math.cos(math.pi * share)) / 2": "last**share"},
        why="Both ends are right, and between them it falls exponentially.",
        ask="How large is half a cosine from 1 to `last` when half of its time is over?",
    ),
    edit(
        "it falls to zero",
        {"last + (1 - last) * (1 + math.cos(math.pi * share)) / 2": "(1 + math.cos(math.pi * share)) / 2"},
        why="The cosine goes all the way down, whatever `last` is.",
        ask="Between which two values should it move?",
    ),
    edit(
        "it begins above the peak",
        {"(1 - last) *": "1 *"},
        why="`last` is added to a cosine that still falls by the whole peak.",
        ask="How far is it from the peak down to `last`?",
    ),
    edit(
        "the cosine is not halved",
        {"(1 + math.cos(math.pi * share)) / 2": "(1 + math.cos(math.pi * share))"},
        why="1 + cos falls from 2 to 0, so the rate rises above the peak.",
        ask="How large is 1 + cos at the peak, and how large should it be?",
    ),
    edit(
        "it goes all the way round",
        {"math.pi * share": "2 * math.pi * share"},
        why="A whole turn of the cosine comes back to the peak.",
        ask="What is the cosine of your angle at the last step?",
    ),
    *(
        edit(
            "it goes a quarter of the way round",
            {"(1 + math.cos(math.pi * share)) / 2": quarter},
            why="After a quarter turn a cosine is at its steepest; after half a turn it is flat.",
            ask="What is the angle of your cosine at the last step?",
        )
        for quarter in ("math.cos(math.pi * share / 2)", "(1 + math.cos(math.pi * share / 2)) / 2")
    ),
    edit(
        "it falls in a straight line",
        {"(1 + math.cos(math.pi * share)) / 2": "(1 - share)"},
        why="This decay is linear.",
        ask="Which function is flat at both of its ends?",
    ),
]
