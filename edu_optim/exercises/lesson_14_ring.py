"""The exercise in which ranks of a ring add up their numbers, its hints, and the answers that go wrong."""

import numpy

from .exercise import Exercise, edit, instead


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
                held[index] = held[index] if stop.value is None else stop.value
                if not hasattr(held[index], "__len__") or len(held[index]) != len(ranks):
                    raise TypeError(f"a list of {len(ranks)} numbers is wanted in the end") from None
        if len(sending) < len(ranks) or sent >= 1000:
            return held, sent
        sent += max(numpy.asarray(what).size for what in sending)
        arriving = sending[-1:] + sending[:-1]


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


def own_sum(mine, rank):
    total = passing = sum(mine)
    for _ in mine[1:]:
        passing = yield passing
        total += passing
    return [total] * len(mine)


def to_the_left(mine, rank):
    ranks = len(mine)
    for turn in range(ranks - 1):
        place = (rank + turn) % ranks
        arrived = yield mine[place]
        mine[(place + 1) % ranks] += arrived
    for turn in range(ranks - 1):
        place = (rank + turn - 1) % ranks
        arrived = yield mine[place]
        mine[(place + 1) % ranks] = arrived
    return mine


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
        why="The sums are right, and each rank sends as many numbers as all the others together have.",
        ask="Once a sum is complete on one rank, what need the others still be sent?",
    ),
    instead(
        "each rank adds up its own numbers first",
        own_sum,
        why="Asked for is a sum for each place, over the ranks.",
        ask="Which number of each rank belongs to the sum in place 0?",
    ),
    instead(
        "the places are those of a ring that sends to the left",
        to_the_left,
        why="What you send goes to the right, so what arrives is what the rank before you has sent.",
        ask="If you send place `place`, which one has the rank on your left sent in that turn?",
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
        "each place ends with the number of one rank alone",
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
        "each rank sends the same place in every turn",
        {FIRST: "rank", SECOND: "rank"},
        why="What has just been added up must go on in the next turn, and it is in the place before.",
        ask="Into which place has the last number come, and which one do you send next?",
    ),
    edit(
        "in the second round each rank sends its own complete sum in every turn",
        {f"yield mine[place]\n        {RIGHT} = arrived": f"yield mine[(rank + 1) % ranks]\n        {RIGHT} = arrived"},
        why="The rank to the right has it after one turn, and the other sums are not passed on.",
        ask="Which sum has the rank to your right not seen after the first turn of the second round?",
    ),
    edit(
        "in the second round what arrives is dropped",
        {f"yield mine[place]\n        {RIGHT} = arrived": "yield mine[place]"},
        why="Complete sums come from the left, and nothing keeps them.",
        ask="Which place does the complete sum that arrives belong to?",
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
        "in the first round what arrives is added to the place that was sent",
        {f"{RIGHT} += arrived": "mine[place] += arrived"},
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

EXERCISE = Exercise(
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
)
