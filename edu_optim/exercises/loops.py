"""The optimizer with which training loops are watched, and where such loops go wrong."""

import torch

from .exercise import convention, edit

CLEARED_AFTER_THE_STEP = convention(
    "the gradient is cleared after the step",
    {
        "        optimizer.zero_grad()\n": "",
        "        optimizer.step()\n": "        optimizer.step()\n        optimizer.zero_grad()\n",
    },
    why="It is right as long as no gradient is left from before: what p.grad holds when the loop begins is in the "
    "first step.",
    ask="Whoever looks at the gradients after a step finds none. Before `backward`, zero_grad() covers both.",
)


class Recorded(torch.optim.SGD):
    """Gradient descent that writes down the gradient and the learning rate of each step.

    >>> from edu_optim.problems import line_model
    >>> model = line_model()
    >>> recorder = recorded(model)
    >>> recorder.step()
    >>> recorder.gradients
    [None]
    """

    def __init__(self, params, **options):
        super().__init__(params, lr=0.01, **options)
        self.gradients, self.rates, self.passes = [], [], 0

    def step(self, closure=None):
        """Write down what is there, then step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        group = self.param_groups[0]
        there = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in group["params"]]
        empty = all(p.grad is None for p in group["params"])
        self.gradients.append(None if empty else torch.cat([g.flatten() for g in there]))
        self.rates.append(group["lr"])
        super().step()
        return loss


EPOCHS = "    for _ in range(epochs):\n"
SLIPS = [
    CLEARED_AFTER_THE_STEP,
    edit(
        "the gradients add up",
        {EPOCHS: f"    optimizer.zero_grad()\n{EPOCHS}", "        optimizer.zero_grad()\n": ""},
        why="They are cleared once, before the loop, and each step follows the sum of all gradients since.",
        ask="`backward` adds to what is in `p.grad`; how often must the old ones go?",
    ),
    edit(
        "the optimizer steps after the loop, not in it",
        {"        optimizer.step()\n": "    optimizer.step()\n"},
        why="The gradients of the rounds before the last move nothing.",
        ask="How far in must the line stand for the loop to run it every time?",
    ),
    edit(
        "every prediction is compared with every label",
        {"(model(x) - y)": "(model(x) - y.T)"},
        why="[n, 1] minus [n] is [n, n] in torch, so the loss is the mean over all pairs.",
        ask="Which shapes have the prediction and the label, and which has their difference?",
    ),
    edit(
        "50 epochs, however many are asked for",
        {"range(epochs)": "range(50)"},
        why="The number in the loop is one of the lesson's.",
        ask="Who decides how many epochs there are, and under which name does the function get that number?",
    ),
    edit(
        "two steps in every round",
        {"        optimizer.step()\n": "        optimizer.step()\n        optimizer.step()\n"},
        why="The second step goes by the gradient of the first.",
        ask="How many gradients does a round find, and how many steps does it take?",
    ),
]
LOSSES = [
    edit(
        "the loss is a sum, not a mean",
        {".mean()": ".sum()"},
        why="The loss is the sum of the squares, so the gradient grows with the number of examples.",
        ask="With a thousand examples, how long would a step be?",
    ),
    edit(
        "the loss is halved",
        {".mean()": ".mean() / 2"},
        why="Half the mean of the squares has half the gradient, and each step is half as long.",
        ask="By what do you divide the sum of the squares, and how many of them are there?",
    ),
    edit(
        "the loss is not squared",
        {"((model(x) - y) ** 2)": "(model(x) - y).abs()"},
        why="The loss is the mean of the absolute errors.",
        ask="Which power of the error does the exercise ask for?",
    ),
    edit(
        "the errors are not squared",
        {"((model(x) - y) ** 2)": "(model(x) - y)"},
        why="The mean of the errors themselves has the same gradient wherever the model stands.",
        ask="Is an error of -3 better than none?",
    ),
    edit(
        "the mean is squared, not the errors",
        {"((model(x) - y) ** 2).mean()": "(model(x) - y).mean() ** 2"},
        why="Errors of both signs cancel in the mean before it is squared.",
        ask="For errors of 3 and -3, what is the mean of the squares, and what is the square of the mean?",
    ),
    edit(
        "the root of the mean is taken",
        {".mean()": ".mean().sqrt()"},
        why="The root has another gradient, and none at all where the loss is 0.",
        ask="Is the mean of the squares asked for, or its root?",
    ),
]
NO_ZERO_GRAD = edit(
    "the gradients add up",
    {"optimizer.zero_grad()": "pass"},
    why="Each step follows the sum of all gradients so far, for nothing clears the old ones.",
    ask="`backward` adds to what is in `p.grad`; which line empties it?",
)
NOTHING_TO_FOLLOW = edit(
    "at every step the gradient is empty",
    {
        "        optimizer.zero_grad()\n": "",
        "        optimizer.step()\n": "        optimizer.zero_grad()\n        optimizer.step()\n",
    },
    why="It is emptied between `backward` and `step`, or `backward` comes only after both.",
    ask="In which order must the old gradient go, the new one come, and the optimizer step?",
)
ROUND = """\
        loss = ((model(x) - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""
LOOP = [
    NO_ZERO_GRAD,
    NOTHING_TO_FOLLOW,
    *SLIPS,
    edit(
        "the optimizer steps before backward",
        {
            "        optimizer.zero_grad()\n        loss.backward()\n        optimizer.step()\n": (
                "        optimizer.step()\n        optimizer.zero_grad()\n        loss.backward()\n"
            )
        },
        why="Every step follows the gradient of the round before; the first finds none, or an old one.",
        ask="Which line must have run before `step()` can know the slope?",
    ),
    edit(
        "the optimizer steps before backward",
        {
            "        loss = ((model(x) - y) ** 2).mean()\n": (
                "        optimizer.step()\n        loss = ((model(x) - y) ** 2).mean()\n"
            ),
            "        loss.backward()\n        optimizer.step()\n": "        loss.backward()\n",
        },
        why="The round begins with the step, so the last gradient is never used; the first step finds none, or an old "
        "one.",
        ask="Which line must have run before `step()` can know the slope?",
    ),
    edit(
        "the optimizer never steps",
        {"        optimizer.step()\n": ""},
        why="The slope is asked for and nobody moves.",
        ask="Which line of a round changes the parameters?",
    ),
    edit(
        "no gradient reaches the model",
        {"        loss.backward()\n": ""},
        why="`backward` is missing, or what it starts from does not lead back to the parameters of this model.",
        ask="Which line works out the gradients, and from which prediction does its loss come?",
    ),
    edit(
        "the bias has no part in the prediction",
        {"model(x)": "model.weight * x"},
        why="The prediction is the weight times x, and no gradient reaches the bias.",
        ask="What does `model(x)` do that this line leaves out?",
    ),
    convention(
        "there are more backward passes than steps",
        {"        loss.backward()\n": "        (0 * loss).backward(retain_graph=True)\n        loss.backward()\n"},
        why="Each step has its right gradient all the same: the passes add up to it, or what is too much goes unused.",
        ask="One `backward` from the mean over all examples does it in one pass.",
    ),
    *LOSSES,
    edit(
        "every gradient is twice the right one",
        {".mean()": ".mean() * 2"},
        why="The loss is doubled, or each `backward` runs twice.",
        ask="By what do you divide the sum of the squares, and how often does a round call `backward`?",
    ),
    edit(
        "a step for each example",
        {
            ROUND: "        for one, truth in zip(x, y):\n"
            "            loss = ((model(one) - truth) ** 2).mean()\n"
            "            optimizer.zero_grad()\n"
            "            loss.backward()\n"
            "            optimizer.step()\n"
        },
        why="Each gradient is that of one example, and an epoch takes as many steps as there are examples.",
        ask="Over how many examples is the mean taken before `backward`?",
    ),
    edit(
        "the model is asked once, before the loop",
        {
            "    for _ in range(epochs):\n        loss = ((model(x) - y) ** 2).mean()\n": (
                "    loss = ((model(x) - y) ** 2).mean()\n    for _ in range(epochs):\n"
            )
        },
        why="The second round has no new prediction, and `backward` has used up what the first one left.",
        ask="After a step the model answers differently; which lines must then run again?",
    ),
    edit(
        "the model is asked once, before the loop",
        {
            "    for _ in range(epochs):\n        loss = ((model(x) - y) ** 2).mean()\n": (
                "    loss = ((model(x) - y) ** 2).mean()\n    for _ in range(epochs):\n"
            ),
            "loss.backward()": "loss.backward(retain_graph=True)",
        },
        why="Each round finds the gradient of the first prediction again, wherever the model has come to.",
        ask="After a step the model answers differently; which lines must then run again?",
    ),
    edit(
        "something else than the optimizer that was passed moves the model",
        {"        optimizer.step()\n": "        for p in model.parameters():\n            p.data -= 0.01 * p.grad\n"},
        why="The model has moved, and the optimizer that the loop was called with took no step.",
        ask="Which optimizer does your loop tell to step, and where does it come from?",
    ),
    edit(
        "one epoch too many",
        {"range(epochs)": "range(epochs + 1)"},
        why="The loop ends one epoch late.",
        ask="How many numbers does `range(epochs + 1)` give?",
    ),
    edit(
        "one epoch too few",
        {"range(epochs)": "range(epochs - 1)"},
        why="The loop ends one epoch early.",
        ask="How many numbers does `range(1, epochs)` give?",
    ),
    edit(
        "one epoch, however many are asked for",
        {"range(epochs)": "range(1)"},
        why="The loop runs once, or is left after its first round.",
        ask="Which lines belong to the loop, and does one of them leave it?",
    ),
]


def leave_gradients(model):
    """Put a gradient where one from before may be left.

    >>> from edu_optim.problems import line_model
    >>> model = line_model()
    >>> leave_gradients(model)
    >>> model.weight.grad.item()
    0.5
    """
    for p in model.parameters():
        p.grad = torch.full_like(p, 0.5)


def recorded(model, **options):
    """An optimizer of ``model`` that writes down its steps, and how many backward passes there were.

    >>> from edu_optim.problems import line_model
    >>> model = line_model()
    >>> recorder = recorded(model)
    >>> model(torch.ones(1, 1)).backward()
    >>> recorder.passes
    1
    """
    recorder = Recorded(model.parameters(), **options)

    def count(gradient):
        recorder.passes += 1

    next(model.parameters()).register_hook(count)
    return recorder


def notes(model, recorder, when=""):
    """What was written down, as pairs of a label and a value.

    >>> from edu_optim.problems import line_model
    >>> model = line_model()
    >>> next(notes(model, recorded(model)))
    ('the number of calls of step()', 0)
    """
    for step, (gradient, lr) in enumerate(zip(recorder.gradients, recorder.rates, strict=True), 1):
        yield f"{when}the gradient at step {step}", gradient
        yield f"{when}the learning rate at step {step}", lr
    yield f"{when}the number of calls of step()", len(recorder.gradients)
    yield f"{when}the number of backward passes", recorder.passes
    yield f"{when}the model at the end", torch.cat([p.detach().flatten().clone() for p in model.parameters()])
