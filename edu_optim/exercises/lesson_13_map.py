"""The exercise that reads a map of losses, its hints, and the answers that go wrong."""

from .exercise import Exercise, at, edit


def read_map(rates, losses):
    losses = [loss if loss == loss else float("inf") for loss in losses]
    best = losses.index(min(losses))
    if best in (0, len(losses) - 1):
        return "edge"
    if max(losses[best - 1], losses[best + 1]) > 10 * losses[best]:
        return "coarse"
    return rates[best]


WITHOUT_NAN = '    losses = [loss if loss == loss else float("inf") for loss in losses]\n'
AT_THE_EDGE = '    if best in (0, len(losses) - 1):\n        return "edge"\n'
BEST, DIP = "losses.index(min(losses))", "losses[at] == min(losses[max(at - 1, 0) : at + 2]) < 1e300"
READ = [
    edit(
        "a lost run counts as a loss",
        {WITHOUT_NAN: "    losses = [loss if loss == loss else -1.0 for loss in losses]\n"},
        why="A run that ends at NaN is taken for the lowest.",
        ask="What does your code make of NaN, which is neither above nor below any number?",
    ),
    edit(
        "lost runs count as zero",
        {WITHOUT_NAN: '    losses = [loss if loss < float("inf") else 0.0 for loss in losses]\n'},
        why="A run that was lost is taken for the lowest.",
        ask="Is a lost run better or worse than all the others, and which number says so?",
    ),
    edit(
        "a lost run counts as a large number",
        {WITHOUT_NAN: '    losses = [loss if loss < float("inf") else 1e9 for loss in losses]\n'},
        why="A loss that is still a number may be higher than yours, and the lost run is then the lowest.",
        ask="Which number is higher than every loss?",
    ),
    edit(
        "NaN is compared as if it were a number",
        {WITHOUT_NAN: ""},
        why="Each comparison with NaN is false, so what `min` finds, and whether a neighbor is too high, is chance.",
        ask="What are `nan < 1` and `nan > 1`?",
    ),
    edit(
        "the edge is taken for an optimum",
        {AT_THE_EDGE: "    best = min(max(best, 1), len(losses) - 2)\n"},
        why="Beyond the edge nothing was tried.",
        ask="What is the loss at the rate after the last one?",
    ),
    edit(
        "the places next to the ends count as edges",
        {"best in (0, len(losses) - 1)": "best < 2 or best > len(losses) - 3"},
        why="A place next to an end has neighbors on both sides.",
        ask="How many rates were tried beyond it?",
    ),
    edit(
        "the rate and the word are swapped",
        {"> 10 * losses[best]": "<= 10 * losses[best]"},
        why="Inside, a map whose neighbors are far higher gets its rate, and one whose neighbors are not gets a word.",
        ask="Which of the two maps would you trust?",
    ),
    edit(
        "the first place is no edge",
        {"best in (0, len(losses) - 1)": "best == len(losses) - 1"},
        why="A map may end too early on the left as well.",
        ask="Which loss lies to the left of the first?",
    ),
    edit(
        "the last place is no edge",
        {
            "best in (0, len(losses) - 1)": "best == 0",
            "max(losses[best - 1], losses[best + 1])": "max(losses[best - 1 : best + 2])",
        },
        why="A map may end too early on the right as well.",
        ask="Which loss lies to the right of the last?",
    ),
    edit(
        "the highest loss is looked for",
        {"losses.index(min(losses))": "losses.index(max(losses))"},
        why="The place that you look at has the highest loss.",
        ask="Which loss would you rather end at?",
    ),
    edit(
        "a dip of one place is believed",
        {'    if max(losses[best - 1], losses[best + 1]) > 10 * losses[best]:\n        return "coarse"\n': ""},
        why="The edge is seen; a neighbor whose loss is far higher changes nothing.",
        ask="How do you know what the loss is between two points of the map?",
    ),
    edit(
        "both neighbors must be high",
        {"max(losses[best - 1]": "min(losses[best - 1]"},
        why="A cliff on one side is passed over.",
        ask="If the next rate is lost, and the one before is fine, is the best rate safe?",
    ),
    edit(
        "only the next rate is looked at",
        {"max(losses[best - 1], losses[best + 1])": "losses[best + 1]"},
        why="The neighbor below the best rate may be far off as well.",
        ask="How many neighbors has a point inside the map?",
    ),
    edit(
        "only the rate before is looked at",
        {"max(losses[best - 1], losses[best + 1])": "losses[best - 1]"},
        why="The neighbor above the best rate may be far off as well.",
        ask="How many neighbors has a point inside the map?",
    ),
    edit(
        "the mean of both neighbors is compared",
        {"max(losses[best - 1], losses[best + 1])": "sum(losses[best - 1 : best + 2 : 2]) / 2"},
        why="A neighbor that is low hides one that is high.",
        ask="If one is 15 times as high and the other twice, is either too high?",
    ),
    edit(
        "the sum of both neighbors is compared",
        {"max(losses[best - 1], losses[best + 1])": "sum(losses[best - 1 : best + 2 : 2])"},
        why="Two neighbors that are not too high each may be so together.",
        ask="If one is six times as high and the other eight times, is either too high?",
    ),
    edit(
        "lost runs count as not tried",
        {WITHOUT_NAN: "    rates, losses = zip(*(pair for pair in zip(rates, losses) if abs(pair[1]) < 1e300))\n"},
        why="What lies beside a lost run then looks like the edge of the map, or has another neighbor.",
        ask="Is a rate at which the run was lost tried, or not?",
    ),
    edit(
        "a neighbor that is not a number is let through",
        {
            WITHOUT_NAN: "    given = losses\n" + WITHOUT_NAN,
            "max(losses[best - 1], losses[best + 1]) > 10 * losses[best]": (
                "any(loss > 10 * losses[best] for loss in (given[best - 1], given[best + 1]))"
            ),
        },
        why="The lowest loss is found; beside it, NaN is more than ten times as high as nothing.",
        ask="What is `nan > 10 * 0.3`, and what would be the answer for a run that was lost?",
    ),
    edit(
        "neighbors that were lost are not asked",
        {
            "max(losses[best - 1], losses[best + 1]) > 10 * losses[best]": (
                "any(10 * losses[best] < loss < float('inf') for loss in (losses[best - 1], losses[best + 1]))"
            ),
        },
        why="The lowest loss is found; beside it, a lost run counts as if it were fine.",
        ask="If the next rate is lost, is the best rate safe?",
    ),
    edit(
        "the difference is compared with ten times the lowest",
        {"max(losses[best - 1], losses[best + 1]) >": "max(losses[best - 1], losses[best + 1]) - losses[best] >"},
        why="That asks whether a neighbor is more than eleven times as high.",
        ask="Is 3.2 more than ten times 0.3, and is 3.2 - 0.3?",
    ),
    edit(
        "the word is not the one that was asked for",
        {'return "coarse"': 'return "course"'},
        why="Every map is judged right.",
        ask="Compare the two words letter by letter with those of the exercise.",
    ),
    edit(
        "the words have capitals",
        {AT_THE_EDGE: AT_THE_EDGE.replace("edge", "Edge"), '"coarse"': '"Coarse"'},
        why="All maps are judged right.",
        ask="How are the two words written in the exercise?",
    ),
    edit(
        "the two words are swapped",
        {
            AT_THE_EDGE: AT_THE_EDGE.replace("edge", "coarse"),
            'best]:\n        return "coarse"': 'best]:\n        return "edge"',
        },
        why="Which maps get a rate is right.",
        ask="Which of the two words is for a lowest loss that has only one neighbor?",
    ),
    edit(
        "the neighbors are compared with 10",
        {"> 10 * losses[best]": "> 10"},
        why="How high is too high depends on the lowest loss.",
        ask="Is 3 more than ten times 0.2?",
    ),
    edit(
        "the first dip from the left is taken",
        {BEST: f"next(at for at in range(len(losses)) if {DIP})"},
        why="A map may have several places that are lower than their neighbors.",
        ask="Which of two dips is the lower one?",
    ),
    edit(
        "the first dip from the right is taken",
        {BEST: f"max(at for at in range(len(losses)) if {DIP})"},
        why="A map may have several places that are lower than their neighbors.",
        ask="Which of two dips is the lower one?",
    ),
    edit(
        "the place of the second lowest loss is taken",
        {"min(losses)": "sorted(losses)[1]"},
        why="There is a place with a lower loss.",
        ask="Which place has the lowest loss of all?",
    ),
    edit(
        "exactly ten times as high is too high",
        {"> 10 * losses[best]": ">= 10 * losses[best]"},
        why="The exercise says more than ten times.",
        ask="Is 2.5 more than ten times 0.25?",
    ),
    edit(
        "any higher neighbor counts",
        {"> 10 * losses[best]": "> losses[best]"},
        why="Around a minimum every neighbor is higher.",
        ask="How much higher is too much, in the words of the exercise?",
    ),
    edit(
        "the whole map is compared with its lowest loss",
        {"max(losses[best - 1], losses[best + 1])": "max(losses)"},
        why="A loss that is high far away says nothing of the place between the lowest and its neighbors.",
        ask="Which two places lie next to the lowest loss?",
    ),
    edit(
        "the neighbors are asked before the edge",
        {
            AT_THE_EDGE: "",
            "max(losses[best - 1], losses[best + 1])": "max(losses[max(best - 1, 0) : best + 2])",
            'return "coarse"\n': 'return "coarse"\n' + AT_THE_EDGE,
        },
        why="A map whose lowest loss is at an edge is called coarse where its one neighbor is high.",
        ask="If a map is both too short and too coarse, which of the two words does the exercise ask for?",
    ),
    edit(
        "there is no answer where the last loss is the lowest",
        {AT_THE_EDGE: "", 'return "coarse"\n': 'return "coarse"\n' + AT_THE_EDGE},
        why="The lowest loss has no neighbor on the right there.",
        ask="Which of your questions comes first: whether the place is an edge, or what its neighbors are?",
    ),
    edit(
        "the place is returned",
        {"return rates[best]": "return best"},
        why="Edges and dips are seen.",
        ask="Who sets the optimizer up next needs a rate; which list has it at this place?",
    ),
    edit(
        "the loss is returned",
        {"return rates[best]": "return losses[best]"},
        why="Edges and dips are seen.",
        ask="Who sets the optimizer up next needs which of the two numbers?",
    ),
]

LOST = float("nan")
MAPS = [
    ([0.01, 0.02, 0.0525, 0.13, 0.3], [3.0, 1.1, 0.7, 1.9, LOST]),
    ([0.01, 0.03, 0.07, 0.2], [3.0, 2.5, 1.7, 0.9]),
    ([0.02, 0.03, 0.08, 0.2], [0.4, 0.6, 1.7, 2.9]),
    ([0.01, 0.02, 0.06, 0.14, 0.4], [4.0, 2.1, 0.3, LOST, LOST]),
    ([0.003, 0.02, 0.0631, 0.11, 0.4], [7.0, 5.1, 0.3, 0.8, 4.0]),
    ([0.003, 0.02, 0.05, 0.12, 0.4], [2.0, 1.3, 0.2, 6.4, 9.0]),
    ([0.002, 0.02, 0.04, 0.12, 0.5], [LOST, 1.3, 0.9, 0.6, 2.2]),
    ([0.002, 0.01, 0.07, 0.1], [1.8, 0.9, 5.1, float("inf")]),
    ([0.02, 0.05, 0.09], [5.2, 3.1, 0.12]),
    ([0.03, 0.08, 0.2], [0.14, 3.3, LOST]),
    ([0.01, 0.04, 0.1, 0.3], [6.0, 2.5, 0.25, 1.5]),
    ([0.002, 0.03, 0.05, 0.2, 0.6], [3.1, 2.7, 0.13, 4.2, 8.0]),
    ([0.004, 0.01, 0.05, 0.1], [9.0, 6.2, 0.2, 0.5]),
    ([0.01, 0.03, 0.08, 0.2], [1.5, 1.0, 0.7, 1.2]),
    ([0.01, 0.03, 0.08, 0.2], [15.0, 1.0, 0.7, 1.2]),
    ([0.02, 0.06, 0.1, 0.4], [2.8, 0.3, 3.2, 4.1]),
    ([0.01, 0.03, 0.09, 0.2], [2.0, 0.4, float("inf"), LOST]),
    ([0.02, 0.05, 0.07, 0.3], [7e12, 2e12, 8e12, LOST]),
    ([0.01, 0.03, 0.08, 0.2], [LOST, 0.4, 0.9, 2.0]),
    ([0.01, 0.03, 0.08, 0.2], [float("inf"), 0.4, 0.9, 2.0]),
    ([0.01, 0.03, 0.08, 0.2, 0.5, 0.9], [5.0, 1.2, 2.0, 0.7, 1.9, 4.0]),
    ([0.01, 0.03, 0.08, 0.2, 0.5, 0.9], [4.0, 1.9, 0.7, 2.0, 1.2, 5.0]),
    ([0.01, 0.03, 0.08, 0.2], [0.4, 3.0, 1.1, 2.0]),
    ([0.01, 0.03, 0.08, 0.2], [2.0, 1.1, 3.0, 0.4]),
    ([0.01, 0.03, 0.08, 0.2], [3.0, 0.5, 4.1, 5.2]),
]

EXERCISE = Exercise(
    "read_map",
    read_map,
    [
        "Make lost runs comparable first: what is infinite is higher than all the rest. Where is the lowest loss?",
        "`loss == loss` is false for NaN alone. `losses.index(min(losses))` is the place; the places 0 and "
        "`len(losses) - 1` have only one neighbor.",
        "Inside, compare the higher of the two neighbors with ten times the lowest loss.",
    ],
    READ,
    at("read_map", *MAPS),
    secret=True,
)
