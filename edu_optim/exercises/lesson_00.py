"""Lesson 00, start here: its exercises, their hints, and the answers that go wrong."""

import numpy as np
import torch
from torch.nn.utils import parameters_to_vector

from ..problems import line_model, line_points, small_net
from .exercise import Exercise, at, edit
from .loops import EPOCHS, LOOP, NO_ZERO_GRAD, leave_gradients, notes, recorded


def training_loop(model, optimizer, x, y, epochs):
    for _ in range(epochs):
        loss = ((model(x) - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _watch_training(answer):
    points = line_points()
    off_the_line = torch.tensor([[1.0], [-0.5], [0.3]]), torch.tensor([[0.5], [-1.0], [2.0]])
    runs = [
        (5, "", line_model, points),
        (2, "with another model and other data, ", lambda: small_net(1, 3, 1).float(), off_the_line),
        (5, "in double precision, ", lambda: line_model().double(), points),
        (2, "with a gradient left from before, ", lambda: line_model().double(), points),
        (2, "at the minimum, ", lambda: _line(2.0, 0.0), points),
        (2, "far from the minimum, ", lambda: _line(900.0, -70.0), points),
    ]
    for epochs, when, new_model, data in runs:
        model = new_model()
        diary, (x, y) = recorded(model), (column.to(next(model.parameters()).dtype) for column in data)
        if "left" in when:
            leave_gradients(model)
        when = f"asked for {epochs} epochs, {when}"
        before, asked = parameters_to_vector(model.parameters()).detach().clone(), []
        model.register_forward_hook(lambda *given, asked=asked: asked.append(given))
        try:
            answer(model, diary, x, y, epochs)
        except RuntimeError:
            if len(asked) == len(diary.gradients) == 1:
                yield f"{when}how often the model had been asked when the loop broke off", 1
            raise
        if diary.passes >= len(diary.gradients):
            diary.passes = "more than steps" if diary.passes > len(diary.gradients) else "as many as steps"
        if diary.gradients or torch.equal(before, parameters_to_vector(model.parameters())):
            yield from notes(model, diary, when)
        else:
            yield f"{when}the number of calls of step()", 0
            yield f"{when}whether something else moved the model", True


def _line(weight, bias):
    model = line_model().double()
    torch.nn.init.constant_(model.weight, weight)
    torch.nn.init.constant_(model.bias, bias)
    return model


def distance_without_zero_grad():
    return 0.1 * (1 + 2 + 3 + 4)


def prediction_after(epochs):
    model = line_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x, y = line_points()
    for _ in range(epochs):
        loss = ((model(x) - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model(torch.tensor([[5.0]])).item()


def _watch_prediction(answer):
    first, second = answer(2), answer(2)
    found = {str(first), str(second)}
    yield "how many different numbers two calls of prediction_after(2) give", len(found)
    inside = isinstance(first, torch.Tensor | np.ndarray)
    yield "how many numbers of prediction_after(2) are still in a tensor or an array", int(inside)
    if len(found) == 1:
        yield from at("prediction_after", (37,), (1,), (200,))(answer)


ELSEWHERE = [
    edit(
        "at every step the gradient is empty",
        {EPOCHS: f"    model = line_model()\n{EPOCHS}"},
        why="The loss comes from another model than the one that the call passes, or no `backward` runs between "
        "`zero_grad` and `step`.",
        ask="Which model's prediction does your loss compare, and which lines stand between `zero_grad` and `step`?",
    ),
    edit(
        "the data of the lesson, whatever the call passes",
        {EPOCHS: f"    x, y = line_points()\n{EPOCHS}"},
        why="The loop learns the four points of the lesson and leaves aside the x and y that it was called with.",
        ask="Which names do the data have inside your function, and does every line use those?",
    ),
    edit(
        "the truth is taken to be 2 * x, whatever y is",
        {"- y)": "- 2 * x)"},
        why="The points of the lesson lie on y = 2x; those of another call need not.",
        ask="Where does the truth come from when the data are other ones?",
    ),
    edit(
        "the sum is divided by 4, however many examples there are",
        {".mean()": ".sum() / 4"},
        why="The lesson has four examples; for another number this is not the mean.",
        ask="Which method takes the mean of a tensor of any size?",
    ),
]
EXERCISES = [
    Exercise(
        "training_loop",
        training_loop,
        [
            "What does `loss.backward()` do to a gradient that is still there from the last round?",
            "There are five lines in a round: predict, compare, forget, ask for the slope, move.",
            "The slope must be asked for after the old one is forgotten and before the optimizer moves.",
        ],
        LOOP + ELSEWHERE,
        _watch_training,
    ),
    Exercise(
        "distance_without_zero_grad",
        distance_without_zero_grad,
        [
            "What is in `p.grad` after the first, the second, the third call of `backward`?",
            "Each of the four steps is 0.1 times what has piled up by then. Add the four.",
        ],
        [
            edit(
                "that is how far four steps go with zero_grad",
                {"(1 + 2 + 3 + 4)": "4"},
                why="Each of four equal steps would be 0.1 long; here they grow.",
                ask="What does `backward` do to a gradient that is there already, and how long are the first steps "
                "then?",
            ),
            edit(
                "that is the length of the first step alone",
                {"(1 + 2 + 3 + 4)": "1"},
                why="Four epochs take four steps, each longer than the one before.",
                ask="What is in `p.grad` when the second step is taken?",
            ),
            edit(
                "the distance has a sign",
                {"0.1 *": "-0.1 *"},
                why="The parameter goes downhill, to smaller numbers; asked is how far.",
                ask="How far is it from 0 to -3?",
            ),
            edit(
                "the sum of the gradients, without lr",
                {"0.1 * ": ""},
                why="This is what the gradients add up to, before lr has made a step of it.",
                ask="How long is the first step, with a gradient of 1?",
            ),
            edit(
                "the steps of five epochs, or of a gradient that doubles",
                {" + 4": " + 4 + 5"},
                why="1.5 is what five epochs give, and what four give if the gradient doubles from step to step.",
                ask="How many steps are four epochs, and does `backward` add one gradient or all that is there?",
            ),
            edit(
                "the steps of the first three epochs",
                {" + 4": ""},
                why="One of the four steps is missing.",
                ask="How many steps are there in four epochs, and how long is the last?",
            ),
        ],
        at("distance_without_zero_grad", ()),
        secret=True,
    ),
    Exercise(
        "prediction_after",
        prediction_after,
        [
            "A new model for each call, and an optimizer for this model: which two lines of the lesson make them?",
            "`train` does the rest. The model takes a tensor of shape [1, 1], and `.item()` takes the number out of "
            "one.",
            "Ask for every tenth number of epochs up to 2,000: the first within 0.1 is 1,160, the first of all 1,158.",
        ],
        [
            edit(
                "gradient descent instead of Adam",
                {"torch.optim.Adam": "torch.optim.SGD"},
                why="These are the numbers of SGD, which needs fewer epochs here.",
                ask="Which optimizer of torch has the name of the one in the lesson?",
            ),
            edit(
                "the learning rate is ten times the lesson's",
                {"lr=0.01": "lr=0.1"},
                why="Adam ran at 0.1.",
                ask="Which rate does the exercise ask for?",
            ),
            edit(
                "the learning rate is torch's default",
                {", lr=0.01": ""},
                why="Adam ran at 0.001, a tenth of the lesson's rate.",
                ask="What did the lesson give Adam beside the parameters?",
            ),
            edit(
                "AdamW instead of Adam",
                {"torch.optim.Adam(": "torch.optim.AdamW("},
                why="AdamW pulls every parameter towards zero, too.",
                ask="Which optimizer of torch has the name of the one in the lesson?",
            ),
            edit(
                "a new optimizer for each epoch",
                {
                    "    for _ in range(epochs):\n": (
                        "    for _ in range(epochs):\n"
                        "        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)\n"
                    )
                },
                why="At each step Adam's memory is empty, as it is at the first.",
                ask="Which lines stand before the loop, and which are done again in every epoch?",
            ),
            edit(
                "the bias stands still",
                {"model.parameters()": "[model.weight]"},
                why="The weight moves, and the bias stays where it began.",
                ask="Which parameters did the optimizer get?",
            ),
            edit(
                "the bias is left out",
                {"model(torch.tensor([[5.0]])).item()": "5 * model.weight.item()"},
                why="This is 5 times the weight, and the model's answer is that and its bias.",
                ask="Which two knobs has the model, and what does the second do to its line?",
            ),
            edit(
                "what the model says for x = 4",
                {"[[5.0]]": "[[4.0]]"},
                why="The training is right, and the model is asked about another place.",
                ask="About which x does the exercise ask?",
            ),
            edit(
                "the answer is in a tensor or an array, not a plain number",
                {".item()": ""},
                why="The number is right, and it is still inside.",
                ask="Which method takes the number out of a tensor or an array of one element?",
            ),
            edit(
                "the prediction is rounded",
                {"return model(torch.tensor([[5.0]])).item()": "return round(model(torch.tensor([[5.0]])).item(), 2)"},
                why="Two digits after the point are left of the number.",
                ask="Does the exercise ask for the number, or for how it is printed?",
            ),
            NO_ZERO_GRAD,
            edit(
                "the same call gives another number the second time",
                {"line_model()": "torch.nn.Linear(1, 1)"},
                why="Each call should train a model that begins where the lesson's does.",
                ask="Where does your model begin: does `new_model` make it, and is that done inside your function?",
            ),
            edit(
                "the model that is asked was never trained",
                {"range(epochs)": "range(0)"},
                why="This is what a new model says before its first epoch.",
                ask="Whose parameters does the optimizer hold?",
            ),
            edit(
                "the last loss is returned",
                {"model(torch.tensor([[5.0]])).item()": "loss.item()"},
                why="This is how wrong the model was on the four points, not what it says for x = 5.",
                ask="Which line asks the trained model about a place?",
            ),
            edit(
                "the last loss is returned",
                {"model(torch.tensor([[5.0]])).item()": "((model(x) - y) ** 2).mean().item()"},
                why="This is how wrong the model is on the four points, not what it says for x = 5.",
                ask="Which line asks the trained model about a place?",
            ),
            edit(
                "how far the prediction is from 10",
                {"return model": "return 10 - model"},
                why="This is what the model still lacks, and asked is what it says.",
                ask="After 50 epochs the lesson prints 6.4472; does yours?",
            ),
            edit(
                "one epoch too many",
                {"range(epochs)": "range(epochs + 1)"},
                why="The model has been trained for one epoch more than it was asked for.",
                ask="How many numbers does `range(epochs + 1)` give?",
            ),
            edit(
                "one epoch too few",
                {"range(epochs)": "range(epochs - 1)"},
                why="This is the answer of a model that has taken one step fewer than it was asked for.",
                ask="Is the model asked after the last step, and how many numbers does `range(1, epochs)` give?",
            ),
        ],
        _watch_prediction,
        rtol=1e-4,
        secret=True,
    ),
]
