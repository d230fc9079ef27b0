"""The exercise that drops the learning rate in mid-flight, its hints, and the answers that go wrong."""

from .exercise import Exercise, edit


def travel_after_drop(lr, momentum, steps):
    torch_velocity = torch_place = velocity = place = 0.0
    for t in range(steps):
        rate = lr if t < steps // 2 else lr / 10
        torch_velocity = momentum * torch_velocity + 1
        torch_place += rate * torch_velocity
        velocity = momentum * velocity + rate
        place += velocity
    return torch_place, place


def _watch_travel(answer):
    for given in [(0.23, 0.83, 14), (0.7, 0.4, 6), (0.05, 0.92, 40)]:
        numbers = answer(*given)
        yield f"how many numbers travel_after_drop{given} returns", len(numbers)
        for word, number in zip(["first", "second"], numbers, strict=False):
            yield f"the {word} number of travel_after_drop{given}", number


MEANS = [
    ("momentum * torch_velocity + 1\n", "momentum * torch_velocity + (1 - momentum)\n"),
    ("momentum * velocity + rate\n", "momentum * velocity + (1 - momentum) * rate\n"),
]
MOVES = ["        torch_place += rate * torch_velocity\n", "        place += velocity\n"]
START = "    torch_velocity = torch_place = velocity = place = 0.0\n"
RUNNING = "    torch_velocity = velocity = 1.0\n"
DROP = "        rate = lr if t < steps // 2 else lr / 10\n"
STOP = "        if t == steps // 2:\n            "

EXERCISE = Exercise(
    "travel_after_drop",
    travel_after_drop,
    [
        "Nothing here needs a formula: a loop of `steps` rounds with a velocity and a place for each form.",
        "In one form the velocity is a sum of gradients and lr multiplies all of it; in the other it is a sum of "
        "lr times gradient, and what has been added stays.",
    ],
    [
        edit(
            "both numbers are right, in the other order",
            {"return torch_place, place": "return place, torch_place"},
            why="torch's form comes first, and lr falls after half the steps: you swapped the forms, or the halves.",
            ask="Which form brakes at once when lr drops, torch's or the one with lr inside?",
        ),
        edit(
            "both numbers are those of torch's form",
            {"return torch_place, place": "return torch_place, torch_place"},
            why="In the second form the velocity must keep the old, larger learning rates.",
            ask="With lr inside, what is in the velocity at the moment of the drop?",
        ),
        edit(
            "both numbers are those of the form with lr inside",
            {"return torch_place, place": "return place, place"},
            why="In torch's form a smaller lr makes the whole step smaller, what older gradients gave to it too.",
            ask="In torch's form, what does lr multiply?",
        ),
        edit(
            "the second number is how much farther the ball with lr inside has come",
            {"return torch_place, place": "return torch_place, place - torch_place"},
            why="Asked for is how far each ball has come, from where it started.",
            ask="If torch's ball comes 2 far and the other 3, which two numbers should you return?",
        ),
        edit(
            "both balls start with velocity 1",
            {START: START.replace("torch_velocity = ", "").replace("velocity = ", "") + RUNNING},
            why="A ball at rest has velocity 0; the slope of 1 enters in the first step.",
            ask="In torch's form, how large is the velocity after the first step?",
        ),
        edit(
            "each learning rate holds for `steps` steps, not for half as many",
            {"range(steps)": "range(2 * steps)", "t < steps // 2": "t < steps"},
            why="This takes 2 * steps steps in all.",
            ask="If steps is 14, how many steps are taken at lr, and how many at lr / 10?",
        ),
        edit(
            "lr multiplies the velocity that has lr inside",
            {"place += velocity\n": "place += rate * velocity\n"},
            why="The velocity has been scaled by lr already, and the step scales it once more.",
            ask="With lr inside, by what is the velocity multiplied in a step?",
        ),
        edit(
            "in torch's form lr is in the velocity and again in the step",
            {"momentum * torch_velocity + 1\n": "momentum * torch_velocity + rate\n"},
            why="The velocity of torch's form is a sum of gradients alone; lr multiplies it in the step.",
            ask="In torch's form, by what is a new gradient multiplied?",
        ),
        edit(
            "how fast the balls are in the last step, not how far they have come",
            {"return torch_place, place": "return rate * torch_velocity, velocity"},
            why="A place is the sum of all steps.",
            ask="What adds up to the way that a ball has come?",
        ),
        edit(
            "both balls have their terminal speed in all steps",
            {"return torch_place, place": "return (1.1 * lr / (1 - momentum) * (steps // 2),) * 2"},
            why="From rest it takes many steps to that speed, and after a drop many to the new one.",
            ask="How fast is each ball in the first step, and how fast in the first one after the drop?",
        ),
        edit(
            "the learning rate never drops",
            {" if t < steps // 2 else lr / 10": ""},
            why="The learning rate is the same all the way.",
            ask="Which learning rate holds in the second half of the steps?",
        ),
        *[
            edit(
                f"the learning rate drops in {where} alone",
                places,
                why="In the other form the learning rate is the same all the way.",
                ask="Which learning rate holds in the second half of the steps?",
            )
            for where, places in [
                ("torch's form", {"momentum * velocity + rate\n": "momentum * velocity + lr\n"}),
                ("the form with lr inside", {"rate * torch_velocity\n": "lr * torch_velocity\n"}),
            ]
        ],
        *[
            edit(
                f"{whose} a running mean",
                dict(places),
                why="The new gradient enters at the weight 1 - momentum, which is lesson 03's other convention.",
                ask="In torch's form, and with lr inside, by what is a new gradient multiplied?",
            )
            for whose, places in [
                ("the velocity of torch's form is", [MEANS[0]]),
                ("the velocity with lr inside is", [MEANS[1]]),
                ("each velocity is", MEANS),
            ]
        ],
        *[
            edit(
                f"{which} at the drop",
                {DROP: DROP + STOP + f"{velocity} = 0.0\n"},
                why="The velocity begins again at zero, as if the second half were a run of its own.",
                ask="Who touches the velocity when a learning rate drops?",
            )
            for which, velocity in [
                ("both balls stop", "torch_velocity = velocity"),
                ("the ball of torch's form stops", "torch_velocity"),
                ("the ball with lr inside stops", "velocity"),
            ]
        ],
        *[
            edit(
                f"{whose} divided by ten at the drop",
                {DROP: DROP + STOP + divided},
                why="The drop divides lr; nothing in either form divides a velocity.",
                ask="Who touches the velocity when a learning rate drops?",
            )
            for whose, divided in [
                ("torch's velocity is", "torch_velocity /= 10\n"),
                ("both velocities are", "torch_velocity, velocity = torch_velocity / 10, velocity / 10\n"),
            ]
        ],
        edit(
            "the learning rate drops again in every later step",
            {"lr if t < steps // 2 else lr / 10": "lr if t < steps // 2 else rate / 10"},
            why="It is divided by ten anew in each step of the second half.",
            ask="In the last step, which learning rate should hold?",
        ),
        *[
            edit(
                f"the drop comes one step {late}",
                {"t < steps // 2": cut},
                why=f"One step of the {half} half is taken at the other half's learning rate.",
                ask="If the first step has the number 0, which is the last one of the first half?",
            )
            for late, cut, half in [("late", "t <= steps // 2", "second"), ("early", "t + 1 < steps // 2", "first")]
        ],
        *[
            edit(
                f"the place{where} uses the velocity from before the step",
                dict.fromkeys(moves, "") | {DROP: DROP + "".join(moves)},
                why="Each step is one gradient late: the first does not move.",
                ask="Which comes first in a step, the velocity or the place?",
            )
            for where, moves in [("", MOVES), (" of torch's form", MOVES[:1]), (" with lr inside", MOVES[1:])]
        ],
    ],
    _watch_travel,
)
