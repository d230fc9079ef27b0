"""A limit on the length of a gradient that no one has to choose, of lesson 10, and how it goes wrong."""

from .exercise import edit

CLIPPING = [
    edit(
        "the upper of the middle two lengths",
        {"statistics.median(": "statistics.median_high("},
        why="The exercise asks for the mean of the middle two.",
        ask="What is your median of 0.4, 0.5, 0.7 and 0.9?",
    ),
    edit(
        "the limit is a length",
        {"times * statistics.median(before)": "times"},
        why="It is the same whatever the usual length is, so it depends on the scale of the loss.",
        ask="What happens to your answer if the loss is multiplied by a thousand?",
    ),
    edit(
        "the last length is counted as usual",
        {"statistics.median(before)": "statistics.median(norms)"},
        why="The gradient that is to be judged is among those by which it is judged.",
        ask="Which of the lengths are known to be harmless?",
    ),
    edit(
        "the longest length is left out, not the last",
        {"statistics.median(before)": "statistics.median(sorted(norms)[:-1])"},
        why="The last length is the one to be judged, whether or not it is the longest.",
        ask="Of 1, 3 and 1.9, which lengths came before the last?",
    ),
    edit(
        "the longest length is judged, not the last",
        {"*before, now = norms": "*before, now = sorted(norms)"},
        why="Sorted, the list ends with the longest, whenever that came.",
        ask="Of 1, 3 and 1.9, which length belongs to the gradient that waits?",
    ),
    edit(
        "the first length is left out, not the last",
        {"statistics.median(before)": "statistics.median(norms[1:])"},
        why="The gradient that is to be judged is among those by which it is judged.",
        ask="Which of 1, 3 and 1.9 came before the last?",
    ),
    edit(
        "the mean of the lengths",
        {"statistics.median(before)": "statistics.mean(before)"},
        why="One spike in the past pulls the mean up, and the next one passes.",
        ask="What is the mean of 1, 1, 1 and 997, and what is their median?",
    ),
    edit(
        "the lower of the middle two lengths",
        {"statistics.median(before)": "statistics.median_low(before)"},
        why="So `torch.median` counts; of an even number of lengths the median is the mean of the middle two.",
        ask="What lies half way between the middle two?",
    ),
    edit(
        "the lower of the middle two lengths",
        {"statistics.median(before)": "torch.tensor(before).median().item()"},
        why="So `torch.median` counts; of an even number of lengths the median is the mean of the middle two.",
        ask="What lies half way between the middle two?",
    ),
    edit(
        "the limit is a length, and short gradients are made longer",
        {"min(1, times * statistics.median(before) / now)": "times / now"},
        why="Each gradient gets the length `times`, whatever the usual length is.",
        ask="What happens to your answer if the loss is multiplied by a thousand, and where are the lengths before?",
    ),
    edit(
        "the longest so far",
        {"statistics.median(before)": "max(before)"},
        why="After one spike, everything up to its length passes.",
        ask="What is the limit after a length of 1000 has been seen?",
    ),
    edit(
        "the shortest so far",
        {"statistics.median(before)": "min(before)"},
        why="After one gradient that was nearly zero, the usual ones are cut.",
        ask="What is the limit after lengths of 1, 1, 1 and 0.001?",
    ),
    *(
        edit(
            "not all of the lengths before are looked at",
            {"statistics.median(before)": f"statistics.median(before[-{last}:])"},
            why="The median is that of the last few.",
            ask="Of how many lengths do you take the median, and how many came before?",
        )
        for last in (2, 3, 4, 5)
    ),
    edit(
        "the length before the last",
        {"statistics.median(before)": "before[-1]"},
        why="One length says little about what is usual: after one spike the next one passes.",
        ask="What is the limit right after a length of 1000?",
    ),
    edit(
        "the middle of lengths that are not sorted",
        {"statistics.median(before)": "(before[(len(before) - 1) // 2] + before[len(before) // 2]) / 2"},
        why="The middle two in time are taken, not the middle two in size.",
        ask="What is the median of 9, 1, 8, 2?",
    ),
    edit(
        "the limit, not the factor",
        {"min(1, times * statistics.median(before) / now)": "times * statistics.median(before)"},
        why="The longest length that is allowed is returned.",
        ask="What does a gradient of length 10 have to be multiplied by to get length 2?",
    ),
    edit(
        "the length after clipping, not the factor",
        {"min(1, times * statistics.median(before) / now)": "min(now, times * statistics.median(before))"},
        why="So long is the gradient when it has been clipped.",
        ask="What does a gradient of length 10 have to be multiplied by to get length 2?",
    ),
    edit(
        "a spike is shortened to the median itself",
        {
            "min(1, times * statistics.median(before) / now)": (
                "1 if now <= times * statistics.median(before) else statistics.median(before) / now"
            )
        },
        why="The limit decides who is clipped, and what is clipped gets shorter than the limit.",
        ask="How long should a gradient be after clipping, if it was just above the limit?",
    ),
    edit(
        "the median is divided by times",
        {"times * statistics": "1 / times * statistics"},
        why="A larger `times` lowers the limit, where it should raise it.",
        ask="Which limit do times = 3 and a median of 2 make?",
    ),
    edit(
        "short gradients are made longer",
        {"min(1, times * statistics.median(before) / now)": "times * statistics.median(before) / now"},
        why="Every gradient gets the length of the limit.",
        ask="What should become of a gradient that is shorter than the limit?",
    ),
    edit(
        "the factor may be as large as times",
        {"min(1, times": "min(times, times"},
        why="Short gradients are made longer.",
        ask="What should become of a gradient that is shorter than the limit?",
    ),
    edit(
        "the spike is thrown away",
        {"min(1, times * statistics.median(before) / now)": ("1 if now <= times * statistics.median(before) else 0")},
        why="A long gradient is skipped, not shortened.",
        ask="Which length should a gradient have after it was clipped?",
    ),
]
