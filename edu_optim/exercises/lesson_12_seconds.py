"""Lesson 12's time of a step from its launches and bytes, and the counts that go wrong."""

import itertools

from .exercise import at, edit


def step_seconds(rule, weights, run, launch, speed):
    launches, arrays = {
        ("gradient_descent", "multi_tensor"): (2 + 1, 2 + 3 + 2),
        ("momentum", "multi_tensor"): (5 + 2, 2 + 2 + 3 + 2 + 3 + 4),
        ("gradient_descent", "compiled"): (1, 3),
        ("momentum", "compiled"): (1, 5),
    }[rule, run]
    return launches * launch + 8 * weights * arrays / speed


def watch_seconds(answer):
    """First what a rule pays for: no time for a launch leaves the bytes, and no weights leave the launches."""
    for rule, run in itertools.product(("gradient_descent", "momentum"), ("multi_tensor", "compiled")):
        yield f"bytes a weight of {rule}, {run}", answer(rule, 1, run, 0.0, 1.0)
        yield f"seconds of {rule}, {run}, no weights and one second a launch", answer(rule, 0, run, 1.0, 1.0)
    yield from at(
        "step_seconds",
        ("gradient_descent", 12_345, "multi_tensor", 3e-6, 17e9),
        ("momentum", 777, "compiled", 4e-6, 21e9),
        ("momentum", 1_234_567, "multi_tensor", 2.5e-6, 13e9),
        ("gradient_descent", 3_456_789, "compiled", 7e-6, 33e9),
    )(answer)


SECONDS = [
    edit(
        "four bytes a number",
        {"8 * weights": "4 * weights"},
        why="Four bytes are those of float32.",
        ask="How many bytes are 64 bits?",
    ),
    edit(
        "the launches are free",
        {"launches * launch + ": ""},
        why="The bytes are counted right, and nobody has asked for the work.",
        ask="With one weight, what is left to pay for?",
    ),
    edit(
        "the bytes are free",
        {" + 8 * weights * arrays / speed": ""},
        why="The launches are counted right.",
        ask="What grows with the weights?",
    ),
    edit(
        "the longer of the two is taken",
        {"launches * launch + 8 * weights * arrays / speed": "max(launches * launch, 8 * weights * arrays / speed)"},
        why="That is the roofline, for things that go on at once; here one is paid after the other.",
        ask="How long does a step take whose launches and whose bytes take a second each?",
    ),
    edit(
        "the loop has no launch",
        {"(1, 3)": "(0, 3)", "(1, 5)": "(0, 5)"},
        why="Over lists all is counted right, and so are the bytes of the loop.",
        ask="How often does Python call the loop in a step?",
    ),
    edit(
        "what is written is fetched first",
        {"2 + 1, 2 + 3 + 2)": "2 + 1, 7 + 3)", "5 + 2, 2 + 2 + 3 + 2 + 3 + 4)": "5 + 2, 16 + 7)"},
        why="So it is on the machine of the lesson; this exercise leaves fetching out.",
        ask="How many tensors go into a product of a number and a tensor, and how many come out?",
    ),
    edit(
        "over lists there is one array too many for each result",
        {"2 + 3 + 2)": "2 + 3 + 3)", "2 + 2 + 3 + 2 + 3 + 4)": "2 + 2 + 3 + 2 + 3 + 6)"},
        why="The launches are counted right; a copy overwrites the old tensor, and does not read it.",
        ask="Which two tensors does a copy touch, and how often?",
    ),
    edit(
        "one array for each result is left out",
        {"2 + 3 + 2)": "2 + 3 + 1)", "2 + 2 + 3 + 2 + 3 + 4)": "2 + 2 + 3 + 2 + 3 + 2)"},
        why="The launches are counted right; over lists gradient descent is one array short, and momentum two.",
        ask="A sum or a difference of tensors touches three arrays, and a copy two. Which launch has fewer with you?",
    ),
    *(
        edit(
            f"over lists {rule} has one array too {many}",
            {arrays: f"{arrays[:-1]} {one})"},
            why="All else is counted right.",
            ask="A number times a tensor touches two arrays, a sum or a difference of tensors three, and a copy two. "
            f"Which launch has {more} with you?",
        )
        for rule, arrays in (("gradient descent", "2 + 3 + 2)"), ("momentum", "2 + 2 + 3 + 2 + 3 + 4)"))
        for one, many, more in (("+ 1", "many", "more"), ("- 1", "few", "fewer"))
    ),
    edit(
        "the launches are divided by the speed too",
        {"launches * launch + 8 * weights * arrays / speed": "(launches * launch + 8 * weights * arrays) / speed"},
        why="They are seconds already.",
        ask="What is in bytes, and what is in seconds?",
    ),
    edit(
        "each weight pays for the launches",
        {"launches * launch": "weights * launches * launch"},
        why="A launch multiplies all numbers of a tensor at once.",
        ask="How many launches does `0.9 * x` take, if x has a million numbers?",
    ),
    edit(
        "bits are counted",
        {"8 * weights": "64 * weights"},
        why="`speed` counts bytes.",
        ask="How many bytes are 64 bits?",
    ),
    edit(
        "the two runs are exchanged",
        {"}[rule, run]": '}[rule, "compiled" if run == "multi_tensor" else "multi_tensor"]'},
        why="What you say of each is right of the other.",
        ask="Which of them makes temporaries?",
    ),
    edit(
        "over lists each launch moves three arrays",
        {"2 + 1, 2 + 3 + 2)": "3, 3 * 3)", "5 + 2, 2 + 2 + 3 + 2 + 3 + 4)": "7, 7 * 3)"},
        why="The launches are counted right, and so is the loop.",
        ask="How many tensors go into `lr * g`, and how many come out?",
    ),
    edit(
        "the loop moves as much as lists",
        {"(1, 3)": "(1, 7)", "(1, 5)": "(1, 16)"},
        why="Over lists all is counted right, and so is the loop's one launch.",
        ask="Where are the temporaries of the loop, in memory or in names?",
    ),
    edit(
        "the bytes are multiplied by the speed",
        {"arrays / speed": "arrays * speed"},
        why="More speed makes the step longer that way.",
        ask="Bytes, and bytes a second: what gives seconds?",
    ),
    edit(
        "the results are not written back",
        {"2 + 1, 2 + 3 + 2)": "2, 2 + 3)", "5 + 2, 2 + 2 + 3 + 2 + 3 + 4)": "5, 2 + 2 + 3 + 2 + 3)"},
        why="Over lists they are left lying in temporaries.",
        ask="Which launch puts the new numbers into the model, and what does it read and write?",
    ),
    edit(
        "one of momentum's two copies is left out of the bytes",
        {"2 + 2 + 3 + 2 + 3 + 4)": "2 + 2 + 3 + 2 + 3 + 2)"},
        why="Gradient descent is counted right, and so are the launches of momentum.",
        ask="Which two new tensors does momentum return, and what does each copy read and write?",
    ),
    edit(
        "momentum lacks one launch of two arrays",
        {"5 + 2, 2 + 2 + 3 + 2 + 3 + 4)": "5 + 1, 2 + 2 + 3 + 2 + 3 + 2)"},
        why="Gradient descent is counted right; over lists momentum has three products and two copies.",
        ask="Is `(1 - dampening) * g` among yours, though the number is 1, and are both results copied?",
    ),
    edit(
        "the temporaries are free",
        {"2 + 3 + 2)": "3)", "2 + 2 + 3 + 2 + 3 + 4)": "5)"},
        why="Over lists it takes as few bytes as the loop in C.",
        ask="Where does the result of `lr * g` lie, and who reads it next?",
    ),
    edit(
        "over lists each launch moves as much as the whole loop",
        {"2 + 1, 2 + 3 + 2)": "3, 3 * 3)", "5 + 2, 2 + 2 + 3 + 2 + 3 + 4)": "7, 7 * 5)"},
        why="The launches are counted right, and so is the loop.",
        ask="How many tensors go into `lr * g`, and how many come out?",
    ),
    edit(
        "in the loop one array is missing",
        {"(1, 3)": "(1, 2)", "(1, 5)": "(1, 4)"},
        why="Over lists all is counted right; the loop reads what the rule takes, and writes what it returns.",
        ask="Which arrays stand in the head of the loop in C, and which of them does it write?",
    ),
    edit(
        "in the loop the gradient is written too",
        {"(1, 3)": "(1, 4)", "(1, 5)": "(1, 6)"},
        why="A rule reads its gradient and returns none.",
        ask="Which of the arguments comes back changed?",
    ),
    edit(
        "in the loop nothing is written",
        {"(1, 3)": "(1, 2)", "(1, 5)": "(1, 3)"},
        why="The loop reads what the rule takes, and the results have to get into memory too.",
        ask="Which lines of the loop in C end up in an array?",
    ),
    edit(
        "the loop has a launch for each sign",
        {"(1, 3)": "(3, 3)", "(1, 5)": "(7, 5)"},
        why="Its bytes are counted right.",
        ask="How often does Python call the loop in a step?",
    ),
]
