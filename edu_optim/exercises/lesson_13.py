"""Lesson 13, ten thousand at once: its exercises, their hints, and the answers that go wrong."""

from .elementwise import ELEMENTWISE, is_elementwise, watch_elementwise
from .exercise import Exercise, at, edit
from .lesson_13_map import EXERCISE as READ_MAP


def settings_that_fit(memory, weights, buffers):
    return memory // (8 * weights * (2 + buffers))


FIT = [
    edit(
        "the gradients are forgotten",
        {"2 + buffers": "1 + buffers"},
        why="Each setting has its own gradient, as long as its parameters.",
        ask="Which tensor does the rule read and never return?",
    ),
    edit(
        "one tensor too many is counted",
        {"2 + buffers": "3 + buffers"},
        why="Your count leaves room for three tensors beside the buffers.",
        ask="Which tensors does the rule of gradient descent take, which has no buffer?",
    ),
    edit(
        "the parameters and gradients are forgotten",
        {"2 + buffers": "buffers"},
        why="Beside the buffers, each setting has parameters and gradients of its own.",
        ask="What does the rule take before its buffers?",
    ),
    edit(
        "only the parameters and gradients are counted",
        {"(2 + buffers)": "2"},
        why="The buffers of the optimizer are as long as the parameters, and each setting has its own.",
        ask="Which other tensors does a setting of Adam keep from step to step?",
    ),
    edit(
        "each buffer is counted twice",
        {"2 + buffers": "2 + 2 * buffers"},
        why="With each buffer more, your count leaves room for two tensors more.",
        ask="How many numbers does one buffer keep for each weight?",
    ),
    edit(
        "40 tensors are counted, whatever the rule",
        {"(2 + buffers)": "40"},
        why="That is what `sweep` reckons with, temporaries included; more buffers do not change your count.",
        ask="Which tensors stand between the brackets of the rule?",
    ),
    edit(
        "four bytes a number",
        {"8 *": "4 *"},
        why="Four bytes are float32; here each number is float64.",
        ask="How many bits are in a float64, and how many in a byte?",
    ),
    edit(
        "64 bytes a number",
        {"8 *": "64 *"},
        why="A float64 has 64 bits; the memory is given in bytes.",
        ask="How many bits are in a byte?",
    ),
    edit(
        "the eight is on the wrong side",
        {"memory // (8 * weights": "8 * memory // (weights"},
        why="Your count is as if a number took an eighth of a byte.",
        ask="If each number takes more bytes, do more settings fit or fewer?",
    ),
    edit(
        "two bytes a number",
        {"8 *": "2 *"},
        why="Two bytes are bfloat16 or float16; here each number is float64.",
        ask="How many bits are in a float64, and how many in a byte?",
    ),
    edit(
        "the longer a setting is, the more of them fit",
        {"(8 * weights * (2 + buffers))": "8 * weights * (2 + buffers)"},
        why="Your count grows with the weights.",
        ask="What does `//` divide by where no brackets follow it?",
    ),
    edit(
        "weights and tensors are added up",
        {"weights * (2 + buffers)": "(weights + 2 + buffers)"},
        why="Each tensor has as many numbers as there are weights.",
        ask="How many numbers are in 3 tensors of 100 weights?",
    ),
    edit(
        "rounded to the nearest number",
        {"memory // (8 * weights * (2 + buffers))": "round(memory / (8 * weights * (2 + buffers)))"},
        why="Where it is rounded up, the last one would need memory that is not there.",
        ask="If there is room for 2.7 settings, how many fit?",
    ),
    edit(
        "the bytes of one setting are returned",
        {"memory // ": ""},
        why="That is what one needs; the memory is not in it.",
        ask="How often does this go into `memory`?",
    ),
    edit(
        "each buffer is counted as one number",
        {"8 * weights * (2 + buffers)": "8 * (2 * weights + buffers)"},
        why="A buffer has a number for each weight.",
        ask="How long is the velocity of momentum?",
    ),
    edit(
        "at least one is said to fit",
        {
            "memory // (8 * weights * (2 + buffers))": "max(1, memory // (8 * weights * (2 + buffers)))",
        },
        why="A setting that is larger than the memory does not fit.",
        ask="How many settings of 288 bytes fit into 100?",
    ),
    edit(
        "one setting too many",
        {"memory //": "1 + memory //"},
        why="The last one would need memory that is not there.",
        ask="If there is room for 2.5 settings, how many fit?",
    ),
    edit(
        "one too few where the last fits exactly",
        {"memory //": "(memory - 1) //"},
        why="All of the memory may be used.",
        ask="How many settings of 50 bytes fit into 100?",
    ),
]


EXERCISES = [
    Exercise(
        "settings_that_fit",
        settings_that_fit,
        [
            "Which tensors does one setting have: what goes into the rule, and what stays for the next step?",
            "Parameters, gradients and each buffer are of one length, 8 bytes a number. Settings come whole: `//`.",
        ],
        FIT,
        at(
            "settings_that_fit",
            (10**9, 1210, 2),
            (10**9, 1210, 0),
            (65_537, 64, 1),
            (3 * 2**30, 77, 3),
            (100, 9, 2),
            (2**20, 64, 0),
        ),
        secret=True,
    ),
    READ_MAP,
    Exercise(
        "is_elementwise",
        is_elementwise,
        [
            "If each element goes its own way, what changes for it when the others are not there?",
            "Take a matrix p and a gradient g of random numbers. Step with all of it; then with each element alone. "
            "Compare.",
            "For six elements that makes seven calls of `step`: `p.flatten()` and `g.flatten()` list them in one "
            "order, and rounding is no difference, which `torch.allclose` knows.",
        ],
        ELEMENTWISE,
        watch_elementwise,
    ),
]
