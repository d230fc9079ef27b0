"""Two optimizers ranked by the rule of lesson 11: cases in which that goes wrong, and how."""

import torch

from .exercise import edit


def _table(means, spread, seed, together):
    """Errors ``[learning rates][9 seeds]``: a mean for each rate, luck of each seed, and more luck of its own."""
    own = torch.Generator().manual_seed(seed)
    luck = torch.linspace(-1, 1, 9, dtype=torch.float64)[torch.randperm(9, generator=torch.Generator().manual_seed(5))]
    noise = torch.randn(len(means), 9, generator=own, dtype=torch.float64)
    noise = noise - noise.mean(1, keepdim=True)
    return (torch.tensor(means, dtype=torch.float64)[:, None] + together * luck + spread * noise).tolist()


def _one(tuning, racing, seed, spread=0.05, together=1.0):
    return {"tuning": _table(tuning, 0.05, 50 + seed, 0.1), "racing": _table(racing, spread, seed, together)}


LUCKY = {"tuning": [[9.0] * 9, [4.0] * 9, [0.1, *[6.0] * 8], [9.0] * 9], "racing": _table([9, 4, 6, 9], 0.05, 13, 1.0)}
EVEN = {"tuning": _table([7, 4, 5], 0.05, 1, 0), "racing": [[7.0] * 9, [4.0] * 9, [5.0] * 9]}
NEARLY = {"tuning": _table([7, 4, 5], 0.05, 2, 0), "racing": [[7.0] * 9, [4.4] * 8 + [3.3], [5.0] * 9]}


def _raced(errors):
    return {"tuning": EVEN["tuning"], "racing": [[7.0] * len(errors), errors, [5.0] * len(errors)]}


FALLING = [3.0, 3.1, 3.2, 3.3, 5.0, 6.0, 6.1, 6.2, 6.3]
OFTEN_GOOD = {"tuning": [[9.0] * 9, [3.9] * 8 + [9.0], [4.2] * 9, [9.0] * 9]}
ONCE_BAD = {"tuning": [[9.0] * 9, [4.2] * 8 + [8.0], [5.0] * 9, [9.0] * 9]}
RISING = [4.11 + 0.01 * k for k in range(9)]
TEN = [3 + 0.2 * k for k in range(10)]
SMALL = [-0.1, -0.11, *(0.12 + 0.01 * k for k in range(8))]
UP, DOWN = ([4 + turn + 0.3 * k for k in range(9)] for turn in (0.0, 0.1))
CASES = {
    "the seeds are lucky in turn": ({**EVEN, "racing": [UP] * 3}, {**EVEN, "racing": [DOWN[::-1]] * 3}),
    "the means are 0.4 apart": (_one([7, 4.0, 5], [7, 4.0, 5], 1), _one([6, 5, 4.4, 8], [6, 5, 4.4, 8], 2)),
    "the largest errors are inside of the grid": (
        _one([6, 8, 4, 5], [6, 8, 4, 5], 27),
        _one([7, 8, 4.5, 6], [7, 8, 4.5, 6], 28),
    ),
    "the second is the better one": (_one([7, 4.6, 5], [7, 4.6, 5], 3), _one([6, 5, 4.3, 8], [6, 5, 4.3, 8], 4)),
    "the differences are of both signs": (_one([7, 4, 5], [7, 4, 5], 5, 0.6), _one([7, 4, 5], [7, 4.1, 5], 6, 0.6)),
    "the first is still falling": (_one([7, 5, 3.9], [7, 5, 3.9], 7), _one([6, 5, 8], [6, 5, 8], 8)),
    "the second is best at its first rate": (_one([7, 5, 6], [7, 5, 6], 9), _one([4.9, 5.5, 8], [4.9, 5.5, 8], 10)),
    "both are best at an edge": (_one([7, 5, 4], [7, 5, 4], 25), _one([4.9, 5.5, 8], [4.9, 5.5, 8], 26)),
    "the first is best at its first rate": (_one([4, 5, 6], [4, 5, 6], 21), _one([7, 4.6, 5], [7, 4.6, 5], 22)),
    "the second is best at its last rate": (_one([7, 4, 5], [7, 4, 5], 23), _one([7, 5, 3.6], [7, 5, 3.6], 24)),
    "tuning and racing disagree": (_one([7, 4, 4.2, 6], [7, 4.5, 4, 6], 11), _one([7, 4, 6], [7, 4.2, 6], 12)),
    "one seed was lucky in tuning": (LUCKY, _one([7, 4.3, 6], [7, 4.3, 6], 14)),
    "p is a little too large": (EVEN, NEARLY),
    "all of six seeds agree": (_raced([4.0] * 6), _raced(RISING[:6])),
    "all of seven seeds agree": (_raced([4.0] * 7), _raced([4.1] * 6 + [7.0])),
    "all of eight seeds agree": (_raced([4.0] * 8), _raced(RISING[:8])),
    "one of ten seeds hardly disagrees": (_raced([4.0] * 10), _raced([3.98, *RISING[:9]])),
    "two of ten seeds disagree by little": (_raced(TEN), _raced([a + d for a, d in zip(TEN, SMALL, strict=True)])),
    "one seed makes most of the difference": (_raced([4.0] * 9), _raced([4.1] * 8 + [7.0])),
    "the smaller mean has the larger median": (
        _raced(FALLING),
        _raced([error - 0.1 if error == 5 else error + 0.5 for error in FALLING]),
    ),
    "a rate is good but for one seed": (
        {**OFTEN_GOOD, "racing": _table([9, 6, 4, 9], 0.05, 15, 1.0)},
        _one([7, 4.4, 6], [7, 4.4, 6], 16),
    ),
    "a rate is best but for one seed": (
        {**ONCE_BAD, "racing": _table([9, 4, 6, 9], 0.05, 17, 1.0)},
        _one([7, 4.4, 6], [7, 4.4, 6], 18),
    ),
    "the first is best at its last rate, and nobody is ahead": (
        _one([7, 5, 4], [7, 5, 4], 19, 0.6),
        _one([7, 4, 5], [7, 4, 5], 20, 0.6),
    ),
}


def watch_verdict(answer):
    """What an answer says of each case.

    >>> from edu_optim.exercises.lesson_11 import verdict
    >>> next(watch_verdict(verdict))
    ('where the seeds are lucky in turn', 'we do not know')
    """
    for name, (a, b) in CASES.items():
        yield f"where {name}", _said(answer(_own(a), _own(b)))


def _own(tables):
    return {name: [list(row) for row in table] for name, table in tables.items()}


def _said(value):
    return value.strip().lower() if isinstance(value, str) else value


BEST = "        best = means.index(min(means))\n"
EDGE = '        if best in (0, len(means) - 1):\n            return "tune again"\n'
KNOWN = '        return "we do not know"\n'
SHUFFLED = """n, both = len(chosen[0]), torch.tensor(chosen[0] + chosen[1])
    order = torch.rand(2000, 2 * n, generator=torch.Generator().manual_seed(0)).argsort(1)
    apart = abs(both[order[:, :n]].sum(1) - both.sum() / 2)
    if (apart > abs(both[:n].sum() - both.sum() / 2) - 1e-4).sum() >= {}:"""
UNPAIRED = """one, other = torch.tensor(chosen)
    if abs(one.mean() - other.mean()) < 3 * ((one.var() + other.var()) / len(one)) ** 0.5:"""
VERDICT = [
    edit(
        "the learning rate is chosen by the race itself",
        {'in one["tuning"]]': 'in one["racing"]]'},
        why="Whoever may choose after the race picks luck too.",
        ask="Which seeds may decide on the learning rate, and which must not have been seen by then?",
    ),
    edit(
        "the edges of the grid are not looked at",
        {"if best in (0, len(means) - 1):": "if False:"},
        why="Where the best of a grid is its first or last rate, a better one may lie outside.",
        ask="If the error still falls at the last learning rate, has this optimizer been tuned?",
    ),
    *(
        edit(
            "only one edge of the grid is looked at",
            {"best in (0, len(means) - 1)": f"best == {edge}"},
            why="A grid can be too high as well as too low.",
            ask="Beyond which of its two ends may a better learning rate lie?",
        )
        for edge in (
            "len(means) - 1",
            "0",
            "(len(means) - 1 if one is a else 0)",
            "(0 if one is a else len(means) - 1)",
        )
    ),
    edit(
        "every case is told to tune again",
        {"    chosen = []\n": '    return "tune again"\n    chosen = []\n'},
        why="At the first case nobody is at an edge.",
        ask="Over what do you take each mean, and which is the last index of those means?",
    ),
    *(
        edit(
            "index 1 counts as an edge",
            {"len(means) - 1)": last},
            why="The last index of a grid of n learning rates is n - 1; `len(one)` counts the entries of a dict.",
            ask='How many rows has `one["tuning"]`, and how many has a grid whose last index is 1?',
        )
        for last in ("len(one) - 1)", "1, len(means) - 1)")
    ),
    *(
        edit(
            "the edges of one grid are looked at, and not of the other",
            {"best in (0, len(means) - 1)": f"one is {which} and best in (0, len(means) - 1)"},
            why="One of the two may be badly tuned without your notice.",
            ask="If only the other's best rate is at an edge, was the race fair?",
        )
        for which in "ab"
    ),
    edit(
        "only where both best rates are at an edge is there more tuning",
        {
            "    chosen = []\n": "    chosen, edges = [], 0\n",
            EDGE: EDGE.replace(
                "if best in (0, len(means) - 1)", "edges += best in (0, len(means) - 1)\n        if edges == 2"
            ),
        },
        why="You go on where one of the two has its best rate at an edge.",
        ask="Is a race fair in which one of two is badly tuned?",
    ),
    edit(
        "p is asked before the edges",
        {
            "    chosen = []\n": "    chosen, edge = [], False\n",
            EDGE: "        edge = edge or best in (0, len(means) - 1)\n",
            KNOWN: KNOWN + '    if edge:\n        return "tune again"\n',
        },
        why="Where nobody is ahead you say so, though one of the two was not tuned to the end.",
        ask="Does a race tell anything before both are tuned?",
    ),
    edit(
        "the errors of tuning decide the race",
        {'chosen.append(one["racing"][best])': 'chosen.append(one["tuning"][best])'},
        why="With these seeds the learning rate was chosen, so they flatter it.",
        ask="Which errors come from seeds that the choice has not seen?",
    ),
    edit(
        "the race picks its own rate, and tuning only tells of the edges",
        {'one["racing"][best]': 'min(one["racing"], key=sum)'},
        why="Whoever may choose after the race picks luck too.",
        ask="Which seeds may decide on the learning rate, and which must not have been seen by then?",
    ),
    edit(
        "the learning rate with the largest error is chosen",
        {BEST: BEST.replace("min", "max")},
        why="These are errors.",
        ask="Is 4 % wrong better or worse than 5 %?",
    ),
    edit(
        "the luckiest seed chooses the learning rate",
        {"sum(row) / len(row)": "min(row)"},
        why="One seed of nine was lucky with a learning rate that is bad on average.",
        ask="What would you expect of that learning rate with a new seed?",
    ),
    edit(
        "the median over the seeds chooses the learning rate",
        {"sum(row) / len(row)": "sorted(row)[len(row) // 2]"},
        why="A rate with which one seed of nine ends badly looks good in the middle; the rule is the mean.",
        ask="What happens to the median of nine numbers if the largest of them doubles?",
    ),
    edit(
        "the unluckiest seed chooses the learning rate",
        {"sum(row) / len(row)": "max(row)"},
        why="One bad seed of nine turns away a rate that is best on average.",
        ask="Which number does the rule of the lesson compare: the worst, or the mean?",
    ),
    edit(
        "the edges of both grids are taken from the first",
        {"len(means) - 1)": 'len(a["tuning"]) - 1)'},
        why="The grids need not be equally long.",
        ask="Which is the last index of b's learning rates?",
    ),
    edit(
        "p comes out too large, or its limit is too small",
        {"flip_test(*chosen)": "2 * flip_test(*chosen)"},
        why="Eight of eight count: of all 256 flips, two bring the sum as far from zero. That is both sides already.",
        ask="What do you get for p if eight of eight seeds agree, and what is 2 / 256?",
    ),
    edit(
        "only the flips that go farther are counted",
        {"flip_test(*chosen)": "flip_test(*chosen) - 2 / 2 ** len(chosen[0])"},
        why="Equation (1) counts those that come as far, too: all signs as they are, and all of them flipped.",
        ask="What is p for six of six, and what is it with > in the place of >=?",
    ),
    edit(
        "ranks take the place of the differences",
        {
            "if flip_test(*chosen) >= 0.01:": "d = torch.tensor(chosen[0]) - torch.tensor(chosen[1])\n"
            "    ranks = d.sign() * (1 + d.abs().argsort().argsort())\n"
            "    if flip_test(ranks.tolist(), [0] * len(d)) >= 0.01:"
        },
        why="That is Wilcoxon's test; equation (1) adds the differences themselves up.",
        ask="Does your p change if the largest difference becomes ten times as large?",
    ),
    *(
        edit(
            "the errors are compared as if no two had the same seed",
            {"if flip_test(*chosen) >= 0.01:": test},
            why="The luck that a seed brings to both optimizers hides the difference between them.",
            ask="Which two numbers have had the same start and the same minibatches?",
        )
        for test in (SHUFFLED.format(20), SHUFFLED.format(40), UNPAIRED)
    ),
    edit(
        "the limit for p is 0.02, or p counts one side only",
        {"flip_test(*chosen) >= 0.01": "flip_test(*chosen) / 2 >= 0.01"},
        why="Which of the two is ahead was not known before, so a lead of either counts, and the limit is 0.01.",
        ask="Had the other been as far ahead, would you have named it?",
    ),
    edit(
        "a lead counts if every seed agrees, and no p is asked for",
        {"if flip_test(*chosen) >= 0.01:": "if len({x < y for x, y in zip(*chosen)}) > 1:"},
        why="Seven of seven may be luck, and eight of nine may count.",
        ask="What is p for seven seeds that all agree, and for eight of nine if the ninth hardly differs?",
    ),
    edit(
        "wins are counted, whatever their size",
        {"flip_test(*chosen)": "flip_test(*([x > y for x, y in zip(*pair)] for pair in (chosen, chosen[::-1])))"},
        why="That is a sign test; equation (1) adds the differences up.",
        ask="Eight seeds of nine are better by far, one is hardly worse. What does flip_test say?",
    ),
    edit(
        "a t-test takes the place of the flips",
        {
            "if flip_test(*chosen) >= 0.01:": "d = torch.tensor(chosen[0]) - torch.tensor(chosen[1])\n"
            "    t = abs(d.mean()) / d.std() * len(d) ** 0.5\n"
            "    if t < {5: 4.03, 6: 3.71, 7: 3.50, 8: 3.36, 9: 3.25}[len(d) - 1]:"
        },
        why="It takes the differences for draws of a normal distribution, which one large difference spoils.",
        ask="Nine seeds of nine are worse, one of them by far. What does flip_test say, and what does the t-test?",
    ),
    edit(
        "the smaller median wins",
        {"sum(chosen[0]) < sum(chosen[1])": "torch.tensor(chosen[0]).median() < torch.tensor(chosen[1]).median()"},
        why="Equation (1) compares sums of differences, that is means; a median can point the other way.",
        ask="Which of the two has the smaller sum of errors?",
    ),
    edit(
        "the smaller mean wins whatever p is",
        {"if flip_test(*chosen) >= 0.01:": "if False:"},
        why="Of two means one is always smaller.",
        ask="How often would chance alone make a difference as large as this one?",
    ),
    edit(
        "p below 0.05 is enough",
        {">= 0.01": ">= 0.05"},
        why="The rule of this lesson is 0.01: where many pairs are compared, 0.05 is often luck.",
        ask="Among 28 pairs without any difference, how many have a p below 0.05?",
    ),
    edit(
        "the seeds are no pairs any more",
        {"flip_test(*chosen)": "flip_test(sorted(chosen[0]), sorted(chosen[1]))"},
        why="The lists are sorted before they are compared, so the differences are not those of equal seeds.",
        ask="Which two numbers have had the same start and the same minibatches?",
    ),
    edit(
        "the larger error wins",
        {'"a" if': '"b" if', 'else "b"': 'else "a"'},
        why="These are errors.",
        ask="Is 4 % wrong better or worse than 5 %?",
    ),
]
