"""Lesson 00, start here: its tasks, their hints, and the answers that go wrong."""

import torch

from .loops import _Diary, _first_line, _pages, _places
from .registry import bug, loop, task


def _watch_training(answer):
    model, (x, y) = _first_line().double(), _places()
    diary = _Diary(model.parameters())
    answer(model, diary, x.double(), y.double(), 4)
    return _pages(model, diary)


@task(observe=_watch_training)
def training_loop(model, optimizer, x, y, epochs):
    """What does `loss.backward()` do to a gradient that is still there from the last round?

    There are five lines in a round: predict, compare, forget, ask for the slope, move.

    The slope must be asked for after the old one is forgotten and before the optimizer moves.
    """
    for _ in range(epochs):
        loss = ((model(x) - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@task(observe=lambda answer: [("the distance", answer())], secret=True)
def distance_without_zero_grad():
    """What is in `p.grad` after the first, the second, the third call of `backward`?

    Each of the four steps is 0.1 times what has piled up by then. Add the four.
    """
    return 0.1 * (1 + 2 + 3 + 4)


@bug("distance_without_zero_grad")
def distance_without_zero_grad_as_with_it():
    """That is how far four steps go with zero_grad, and it is also the length of the last step alone.

    What does `backward` do to a gradient that is already there, and how long are the first three steps then?
    """
    return 0.1 * 4


def _train_again(epochs, make, lr=0.01, forget=True):
    model, (x, y) = _first_line(), _places()
    optimizer = make(model.parameters(), lr=lr)
    for _ in range(epochs):
        if forget:
            optimizer.zero_grad()
        ((model(x) - y) ** 2).mean().backward()
        optimizer.step()
    return model(torch.tensor([[5.0]])).item()


@task((1,), (50,), (120,), close=1e-4)
def prediction_after(epochs):
    """A new model for each call, and an optimizer for this model: which two lines of the lesson make them?

    `train` does the rest. The model takes a tensor of shape [1, 1], and `.item()` takes the number out of one.
    """
    return _train_again(epochs, torch.optim.Adam)


@bug("prediction_after")
def prediction_after_gradient_descent(epochs):
    """These are the numbers of SGD, which needs fewer epochs here.

    Which optimizer of torch has the name of the one in the lesson?
    """
    return _train_again(epochs, torch.optim.SGD)


@bug("prediction_after")
def prediction_after_default_lr(epochs):
    """The learning rate is torch's default, 0.001, a tenth of the lesson's.

    What did the lesson hand to Adam beside the parameters?
    """
    return _train_again(epochs, torch.optim.Adam, lr=0.001)


@bug("prediction_after")
def prediction_after_no_zero_grad(epochs):
    """Gradients of all epochs have piled up; from the second epoch on the optimizer follows their sum.

    Which line of the lesson's loop forgets the last gradient?
    """
    return _train_again(epochs, torch.optim.Adam, forget=False)


@bug("prediction_after")
def prediction_after_other_model(epochs):
    """The model that was trained is not the one that was asked: this is what it said before the first epoch.

    Whose parameters does the optimizer hold?
    """
    return _train_again(0, torch.optim.Adam)


@loop("training_loop")
def training_loop_no_zero_grad(model, optimizer, x, y, epochs):
    """The gradients add up: each step follows the sum of all gradients so far.

    `backward` adds to what is in p.grad; which line empties it?
    """
    for _ in range(epochs):
        ((model(x) - y) ** 2).mean().backward()
        optimizer.step()


@loop("training_loop")
def training_loop_erases_the_gradient(model, optimizer, x, y, epochs):
    """The gradient is forgotten between backward and step, so the optimizer finds nothing to follow.

    When is a gradient old, before it has been used or after?
    """
    for _ in range(epochs):
        ((model(x) - y) ** 2).mean().backward()
        optimizer.zero_grad()
        optimizer.step()


@loop("training_loop")
def training_loop_steps_first(model, optimizer, x, y, epochs):
    """The optimizer moves before backward has told it where: every step follows the gradient of the round before.

    Which line must have run before step() can know the slope?
    """
    for _ in range(epochs):
        loss = ((model(x) - y) ** 2).mean()
        optimizer.step()
        optimizer.zero_grad()
        loss.backward()


@loop("training_loop")
def training_loop_never_steps(model, optimizer, x, y, epochs):
    """The slope is asked for and nobody moves.

    Which line of a round turns the knobs?
    """
    for _ in range(epochs):
        optimizer.zero_grad()
        ((model(x) - y) ** 2).mean().backward()


@loop("training_loop")
def training_loop_sum_for_mean(model, optimizer, x, y, epochs):
    """The loss is the sum of the squares, so that the gradient grows with the number of examples.

    With a thousand examples, how long would a step be?
    """
    for _ in range(epochs):
        optimizer.zero_grad()
        ((model(x) - y) ** 2).sum().backward()
        optimizer.step()
