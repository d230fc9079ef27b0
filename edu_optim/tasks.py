"""The exercises of the lessons that are not a rule: what each asks for, its hints, and the answers that go wrong.

A task is a right answer in the form of a function. Its docstring holds the hints, a paragraph each, from a nudge to
nearly all of it. What an answer does is observed through a few inputs, and compared with what the right one does there
and with what each of its known mistakes does.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from . import rules
from .base import signature
from .execute import multi_tensor
from .mistakes import bank, bug, variant
from .optimizers import Adam


@dataclass(frozen=True)
class Task:
    """What an exercise asks for.

    Args:
        right: a function that does it.
        observe: takes an answer and returns what it does: a list of pairs of a label and a number, tensor or word.
        hints: from the first to the last.
        secret: whether the right values must not be told.
        close: the largest relative difference that is still right.

    >>> TASKS["to_torch"].observe(to_torch)[0][0]
    'to_torch(0.1, 0.5)'
    """

    right: Callable
    observe: Callable
    hints: list
    secret: bool
    close: float


TASKS = {}


def task(*inputs, observe=None, secret=False, close=1e-6):
    """Enter a function as the right answer to the exercise of its name.

    Args:
        inputs: the tuples of arguments that an answer is given.
        observe: instead of inputs, what is done with an answer.
        secret: whether the right values must not be told.
        close: the largest relative difference that is still right.

    >>> sorted(TASKS)[:2]
    ['adagrad_distance', 'best_momentum']
    """

    def enter(right):
        hints = [" ".join(part.split()) for part in inspect.getdoc(right).split("\n\n")]
        TASKS[right.__name__] = Task(right, observe or _at(right.__name__, inputs), hints, secret, close)
        return right

    return enter


def _at(name, inputs):
    def observe(answer):
        return [(f"{name}({', '.join(map(_short, given))})", answer(*given)) for given in inputs]

    return observe


def _short(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def hints(name):
    """The hints for an exercise, whether it is a task or a rule, from the first to the last.

    Errors: ValueError if there is no such exercise.

    >>> len(hints("adam"))
    3
    """
    if name in TASKS:
        return TASKS[name].hints
    if name in RULE_HINTS:
        return RULE_HINTS[name]
    raise ValueError(f"there are hints for {', '.join([*TASKS, *RULE_HINTS])}; got {name!r}")


RULE_HINTS = {
    "gradient_descent": [
        "`p = p - lr * g` makes a new tensor. Which one does the model hold?",
        "The options of a group are in `group`, the gradient is in `p.grad`, and a frozen parameter has None there.",
        "`p.sub_(...)` or `p.copy_(...)` writes into the tensor that the model holds.",
    ],
    "nesterov": [
        "Work out both programs with pencil and paper for two gradients of 1. Where do they part?",
        "The step is made of the newest gradient and of the velocity, and each has a factor of its own.",
        "The velocity is made first, with the newest gradient in it; the step then adds `momentum` times it to `g`.",
    ],
    "adadelta": [
        "What does the optimizer know about its steps before it has taken this one?",
        "The roots of two means scale the gradient; one of them is brought up to date after the step is known.",
        "Work out the step with the old `u`, then let its square into `u`, then move.",
    ],
    "adam": [
        "Where will the two means and the count of a parameter wait between two steps? `self.state[p]` is a dict.",
        "At the first step of a parameter its state is empty: put zeros and a count of 0 there. The lesson's rule then "
        "says what to do with them, and it is still in your notebook.",
        "For each group and each p whose grad is not None: raise the count, call the rule with the buffers, "
        "copy the new numbers into p and into the buffers. All of it without recording a graph.",
    ],
    "amsgrad": [
        "Adam's denominator can shrink. Which quantity would have to be kept so that it cannot?",
        "`maximum(v_max, v)` is that quantity; it is a buffer like the others.",
        "torch corrects the maximum, and goes on with the plain running mean.",
    ],
}


# 00, start here.


def _first_line():
    model = torch.nn.Linear(1, 1)
    with torch.no_grad():
        model.weight.fill_(0.67037853)
        model.bias.fill_(0.34645085)
    return model


def _places():
    x = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    return x, 2 * x


class _Diary(torch.optim.SGD):
    """Gradient descent that writes down the gradient and the learning rate of each step."""

    def __init__(self, parameters, **options):
        super().__init__(parameters, lr=0.01, **options)
        self.gradients, self.rates = [], []

    def step(self, closure=None):
        group = self.param_groups[0]
        zeros = [torch.zeros_like(p) if p.grad is None else p.grad for p in group["params"]]
        self.gradients.append(torch.cat([g.flatten() for g in zeros]).clone())
        self.rates.append(group["lr"])
        super().step()


def _pages(model, diary):
    weights = torch.cat([p.detach().flatten().clone() for p in model.parameters()])
    return [
        ("the number of calls of step()", len(diary.gradients)),
        *((f"the learning rate at step {k}", lr) for k, lr in enumerate(diary.rates, 1)),
        *((f"the gradient at step {k}", g) for k, g in enumerate(diary.gradients, 1)),
        ("the model at the end", weights),
    ]


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


# 01, gradient descent.


@task(([1.0, 25.0],), ([4.0],), ([0.5, 3.0, 10.0],))
def largest_rate(curvatures):
    """One step multiplies the distance along a curvature by 1 - lr * curvature. When does it shrink?

    The factor must lie between -1 and 1. Which curvature is the first to leave that range as lr grows?

    Set the factor of the largest curvature to -1.
    """
    return 2 / max(curvatures)


@bug("largest_rate")
def largest_rate_one_jump(curvatures):
    """This rate takes the steepest direction to its minimum in one jump, and there is room beyond it.

    Where does a jump twice as long end, and is it farther away than before?
    """
    return 1 / max(curvatures)


@bug("largest_rate")
def largest_rate_of_the_floor(curvatures):
    """The flattest direction would bear this rate; in the steepest one the walk explodes.

    All directions share one rate; which of them is the first to complain?
    """
    return 2 / min(curvatures)


@bug("largest_rate")
def largest_rate_best_compromise(curvatures):
    """This rate is the fastest, where floor and wall shrink alike. It is not yet the largest.

    What is the factor of the steepest direction here, and how far is it from -1?
    """
    return 2 / (min(curvatures) + max(curvatures))


@bug("largest_rate")
def largest_rate_of_the_mean(curvatures):
    """The mean of the curvatures says nothing about the steepest of them, and that one explodes first.

    What happens along the largest curvature with this rate?
    """
    return 2 * len(curvatures) / sum(curvatures)


@task((4.0, 0.1, 1e-6), (1.0, 0.04, 0.01), (25.0, 0.07, 1e-3))
def steps_needed(curvature, lr, accuracy):
    """After n steps the distance has been multiplied by a factor n times. Which factor?

    The size of 1 - lr * curvature, to the power n, has to come below accuracy. Logarithms turn the power around.

    There is no step number 13.2: `math.ceil` gives the next whole one.
    """
    return math.ceil(math.log(accuracy) / math.log(abs(1 - lr * curvature)))


@bug("steps_needed")
def steps_needed_rounded_down(curvature, lr, accuracy):
    """This many steps are one too few: the distance is still a little larger than asked.

    After 27.04 steps you would be there; which whole number is enough?
    """
    return math.floor(math.log(accuracy) / math.log(abs(1 - lr * curvature)))


@bug("steps_needed")
def steps_needed_not_whole(curvature, lr, accuracy):
    """The formula is right, but nobody takes a fraction of a step.

    Which whole number of steps is enough?
    """
    return math.log(accuracy) / math.log(abs(1 - lr * curvature))


@bug("steps_needed")
def steps_needed_for_the_loss(curvature, lr, accuracy):
    """After this many steps the loss has fallen that far; the distance falls as the root of the loss.

    If the loss is a hundredth of what it was, what has become of the distance?
    """
    return math.ceil(math.log(accuracy) / math.log((1 - lr * curvature) ** 2))


@bug("steps_needed")
def steps_needed_by_the_product(curvature, lr, accuracy):
    """lr * curvature is what a step takes away; what is left is something else.

    If a step takes away a tenth of the distance, by what is the distance multiplied?
    """
    return math.ceil(math.log(accuracy) / math.log(lr * curvature))


# 02, stochastic gradients.


@task((1,), (2,), (7,))
def running_mean_rate(t):
    """Write the mean of t numbers with the mean of the first t - 1 of them and the newest one.

    The gradient is the place minus the newest number. At the first step, which rate jumps right onto it?
    """
    return 1 / t


@bug("running_mean_rate")
def running_mean_rate_one_late(t):
    """The count is one late: the first step goes only half way, so the place where you started stays in the mean.

    The first step has t = 1; where should it land?
    """
    return 1 / (t + 1)


@bug("running_mean_rate")
def running_mean_rate_root(t):
    """1 / sqrt(t) is the decay of other proofs; with it the newest numbers count for more than the old ones.

    In the mean of four numbers, what is the weight of the fourth?
    """
    return t**-0.5


@bug("running_mean_rate")
def running_mean_rate_constant(t):
    """With a constant rate old numbers fade, so the place never settles on the mean.

    In the mean of four numbers, what is the weight of the fourth?
    """
    return 1.0


@task((0.1, 1.0, 1.0, 1), (0.5, 2.0, 4.0, 1), (0.02, 25.0, 9.0, 16))
def noise_ball(lr, curvature, variance, batch):
    """Two things happen in a step: the factor shrinks the variance of the place, and the noise adds to it.

    The lesson has the result for one example; what happens to the variance of a mean of several?

    Once it has settled V = (1 - lr * curvature)**2 * V + lr**2 * variance / batch. Solve it for V.
    """
    return lr * variance / batch / (curvature * (2 - lr * curvature))


@bug("noise_ball")
def noise_ball_small_lr(lr, curvature, variance, batch):
    """This holds for very small rates only: it has 2 where 2 - lr * curvature belongs.

    At the largest stable rate, lr * curvature = 2, how large should the ball be?
    """
    return lr * variance / batch / (2 * curvature)


@bug("noise_ball")
def noise_ball_one_example(lr, curvature, variance, batch):
    """This is the ball of batches of one example: batch is not used.

    By what does the variance of a mean of 16 numbers differ from that of one?
    """
    return lr * variance / (curvature * (2 - lr * curvature))


@bug("noise_ball")
def noise_ball_root_of_batch(lr, curvature, variance, batch):
    """The error of a mean shrinks as 1 / sqrt(batch), and the variance is the square of the error.

    By what does the variance of a mean of 16 numbers differ from that of one?
    """
    return lr * variance / batch**0.5 / (curvature * (2 - lr * curvature))


@bug("noise_ball")
def noise_ball_radius(lr, curvature, variance, batch):
    """This is the radius of the ball, the root of its variance.

    In which units is a variance, those of the place or their square?
    """
    return (lr * variance / batch / (curvature * (2 - lr * curvature))) ** 0.5


@task((0.1, 32, 256), (0.4, 64, 16))
def scaled_rate(lr, batch, new_batch):
    """With batches twice as large there are half as many steps in an epoch. How long should each be?

    As far in an epoch as before: the rate grows in proportion to the batch.
    """
    return lr * new_batch / batch


@bug("scaled_rate")
def scaled_rate_root(lr, batch, new_batch):
    """The root keeps the variance of one step as it was; the sheet asks for as far in an epoch.

    With batches four times as large, how many steps has an epoch, and how far must each go?
    """
    return lr * (new_batch / batch) ** 0.5


@bug("scaled_rate")
def scaled_rate_upside_down(lr, batch, new_batch):
    """The rate shrinks as the batch grows, although there are fewer steps then and each is less noisy.

    With batches twice as large, how many steps has an epoch, and how far must each go?
    """
    return lr * batch / new_batch


# 03, momentum.


@task((0.1, 0.5), (1.0, 0.9), (0.3, 0.0))
def to_torch(lr, beta):
    """On a steady slope of 1, how fast is the running mean in the end, and how fast is torch's sum?

    The mean ends at 1 and the sum at 1 / (1 - beta). The two steps must be the same.
    """
    return lr * (1 - beta)


@bug("to_torch")
def to_torch_the_other_way(lr, beta):
    """This converts a rate of torch's into one for the running mean.

    torch's velocity is the larger one; does it need the larger or the smaller rate?
    """
    return lr / (1 - beta)


@bug("to_torch")
def to_torch_as_it_is(lr, beta):
    """The same number in both forms takes torch's 1 / (1 - beta) times as far.

    How large is each velocity after many gradients of 1?
    """
    return lr


@task((0.1, 1.0), (0.01, 25.0), (1.0, 0.25))
def critical_momentum(lr, curvature):
    """Too little momentum creeps and too much swings. At the edge the two roots of the recurrence are one.

    The roots are those of z**2 - (1 + beta - lr * curvature) * z + beta. When is its discriminant zero?

    (1 + beta - lr * curvature)**2 = 4 * beta. Take the root of both sides and solve for sqrt(beta).
    """
    return (1 - (lr * curvature) ** 0.5) ** 2


@bug("critical_momentum")
def critical_momentum_root(lr, curvature):
    """This is the root of the momentum, the rate at which the ball comes in; the momentum is its square.

    What do the two roots multiply to, and what is each of them if they are equal?
    """
    return 1 - (lr * curvature) ** 0.5


@bug("critical_momentum")
def critical_momentum_descent(lr, curvature):
    """This is the factor of plain gradient descent.

    With this momentum, what is (1 + beta - lr * curvature)**2 - 4 * beta, and what should it be?
    """
    return 1 - lr * curvature


@bug("critical_momentum")
def critical_momentum_nesterov(lr, curvature):
    """This is the momentum that suits Nesterov's method, a subject of lesson 04.

    With this momentum, what is (1 + beta - lr * curvature)**2 - 4 * beta, and what should it be?
    """
    root = (lr * curvature) ** 0.5
    return (1 - root) / (1 + root)


def _travel(lr, momentum, steps, inside, drop=10):
    velocity = place = 0.0
    for t in range(steps):
        rate = lr if t < steps // 2 else lr / drop
        velocity = momentum * velocity + (rate if inside else 1)
        place += velocity if inside else rate * velocity
    return place


def _watch_travel(answer):
    seen = []
    for given in [(0.1, 0.9, 20), (0.5, 0.5, 6)]:
        torch_form, inside = answer(*given)
        call = f"travel_after_drop{given}"
        seen += [(f"the first number of {call}", torch_form), (f"the second number of {call}", inside)]
    return seen


@task(observe=_watch_travel)
def travel_after_drop(lr, momentum, steps):
    """Nothing here needs a formula: a loop of `steps` rounds with a velocity and a place for each form.

    In one form the velocity is a sum of gradients and lr multiplies all of it; in the other it is a sum of lr times
    gradient, and what has been added stays.
    """
    return _travel(lr, momentum, steps, inside=False), _travel(lr, momentum, steps, inside=True)


@bug("travel_after_drop")
def travel_after_drop_swapped(lr, momentum, steps):
    """Both numbers are right, in the other order.

    Which form brakes at once when lr drops, torch's or the one with lr inside?
    """
    return travel_after_drop(lr, momentum, steps)[::-1]


@bug("travel_after_drop")
def travel_after_drop_both_torch(lr, momentum, steps):
    """Both numbers are those of torch's form: in the second the velocity must keep the old, larger rates.

    With lr inside, what is in the velocity at the moment of the drop?
    """
    return (travel_after_drop(lr, momentum, steps)[0],) * 2


@bug("travel_after_drop")
def travel_after_drop_never_drops(lr, momentum, steps):
    """The learning rate is the same all the way.

    Which rate holds in the second half of the steps?
    """
    return (_travel(lr, momentum, steps, inside=False, drop=1),) * 2


# 04, Nesterov.


def _bowl(p):
    return torch.tensor([1.0, 10.0], dtype=torch.float64) * p


def _watch_path(answer):
    start = torch.tensor([1.0, -2.0], dtype=torch.float64)
    path = list(answer(_bowl, start, 0.05, 0.8, 5))
    return [("the number of places", len(path)), *((f"place {k}", place) for k, place in enumerate(path, 1))]


@task(observe=_watch_path)
def look_ahead_path(gradient, p, lr, momentum, steps):
    """The velocity first carries you to a point ahead; the gradient is asked for there, not where you stand.

    In one step: where does `momentum` times the velocity lead, what is the gradient there, what is the new velocity,
    where do you stand now?

    torch writes down the point ahead. After each step, where would the new velocity carry you?
    """
    velocity, path = 0 * p, []
    for _ in range(steps):
        ahead = p - lr * momentum * velocity
        velocity = momentum * velocity + gradient(ahead)
        p = p - lr * velocity
        path.append(p - lr * momentum * velocity)
    return path


@variant("look_ahead_path")
def look_ahead_path_look_ahead(gradient, p, lr, momentum, steps):
    """These are the places where the method of Sutskever et al. 2013 stands; torch writes down the points ahead.

    Both are one walk. To convert, subtract `lr * momentum * velocity` from each place. Does your sheet ask for torch's?
    """
    velocity, path = 0 * p, []
    for _ in range(steps):
        velocity = momentum * velocity + gradient(p - lr * momentum * velocity)
        p = p - lr * velocity
        path.append(p)
    return path


@bug("look_ahead_path")
def look_ahead_path_plain_momentum(gradient, p, lr, momentum, steps):
    """The gradient is asked for where you stand, so this is plain momentum.

    Where will the velocity have carried you when the gradient begins to act?
    """
    velocity, path = 0 * p, []
    for _ in range(steps):
        velocity = momentum * velocity + gradient(p)
        p = p - lr * velocity
        path.append(p)
    return path


@bug("look_ahead_path")
def look_ahead_path_looks_behind(gradient, p, lr, momentum, steps):
    """The gradient is asked for behind you: the velocity is subtracted in a step, so ahead is the other way.

    Which sign does the velocity have in your step, and which in your look ahead?
    """
    velocity, path = 0 * p, []
    for _ in range(steps):
        velocity = momentum * velocity + gradient(p + lr * momentum * velocity)
        p = p - lr * velocity
        path.append(p - lr * momentum * velocity)
    return path


@task((4.0,), (25.0,), (100.0,))
def best_momentum(condition):
    """With lr = 1/L the wall is gone in one step. Only the floor is left: lr * m = 1 / condition.

    The roots on the floor are those of z**2 - (1 + beta) * (1 - 1/condition) * z + beta * (1 - 1/condition).

    They are equal where (1 + beta)**2 * (1 - 1/condition) = 4 * beta. The root of the condition number makes it short.
    """
    return (condition**0.5 - 1) / (condition**0.5 + 1)


@bug("best_momentum")
def best_momentum_heavy_ball(condition):
    """This is the momentum that suits the heavy ball of lesson 03, with a larger lr.

    With this momentum, are the two roots of the floor equal?
    """
    return ((condition**0.5 - 1) / (condition**0.5 + 1)) ** 2


@bug("best_momentum")
def best_momentum_no_root(condition):
    """The condition number stands here where its root belongs.

    With this momentum, are the two roots of the floor equal?
    """
    return (condition - 1) / (condition + 1)


@bug("best_momentum")
def best_momentum_rate(condition):
    """This is the rate at which the method comes in, the double root itself.

    Which momentum gives that root?
    """
    return 1 - condition**-0.5


# 05, Adagrad.


@task((1e-3, 10.0), (0.5, 0.01))
def scaled_eps(eps, factor):
    """In which units is eps? It is added to the root of a sum of squared gradients.

    If every gradient is 10 times as large, so is the root. What must eps be for the quotient to stay?
    """
    return eps * factor


@bug("scaled_eps")
def scaled_eps_as_it_is(eps, factor):
    """With the old eps the steps change a little, and most where gradients are small.

    In which units is eps?
    """
    return eps


@bug("scaled_eps")
def scaled_eps_squared(eps, factor):
    """This would be right if eps stood inside the root, beside the squares.

    In this rule, is eps added to a square or to a root?
    """
    return eps * factor**2


@bug("scaled_eps")
def scaled_eps_upside_down(eps, factor):
    """Larger gradients need a larger eps beside them, not a smaller one.

    What becomes of the root if every gradient is 10 times as large?
    """
    return eps / factor


@task((1.0, 4), (0.1, 100))
def adagrad_distance(lr, steps):
    """On a steady slope the sum after t steps is t times the square. What is the step then?

    Step t is lr / sqrt(t). Add them up.
    """
    return lr * sum(t**-0.5 for t in range(1, steps + 1))


@bug("adagrad_distance")
def adagrad_distance_integral(lr, steps):
    """2 lr sqrt(steps) is what the distance grows like; it is too long by about 1.46 lr.

    What does this give for one step, and how long is the first step?
    """
    return 2 * lr * steps**0.5


@bug("adagrad_distance")
def adagrad_distance_harmonic(lr, steps):
    """Step t is taken here to be lr / t, which dies much sooner.

    After four gradients of 1, what is s, and what is its root?
    """
    return lr * sum(1 / t for t in range(1, steps + 1))


@bug("adagrad_distance")
def adagrad_distance_constant(lr, steps):
    """Every step is taken here to be lr long.

    After four gradients of 1, what is s, and what is its root?
    """
    return lr * steps


@bug("adagrad_distance")
def adagrad_distance_from_zero(lr, steps):
    """The last step is missing: the sum ends one early.

    Where does `range(1, steps)` end?
    """
    return lr * sum(t**-0.5 for t in range(1, steps))


def _watch_logistic(answer):
    draw = torch.Generator().manual_seed(5)
    seen = torch.rand(40, 3, generator=draw, dtype=torch.float64) < torch.tensor([1.0, 0.4, 0.1])
    inputs = seen * torch.randn(40, 3, generator=draw, dtype=torch.float64)
    labels = (inputs.sum(dim=1) > 0.2).double()
    return [(f"the weights after {steps} steps", answer(inputs, labels, 0.5, steps)) for steps in (1, 2, 20)]


def _logistic(inputs, labels, lr, steps, squash=torch.sigmoid, rule=rules.adagrad):
    w = s = torch.zeros(inputs.shape[1], dtype=inputs.dtype)
    for _ in range(steps):
        g = inputs.T @ (squash(inputs @ w) - labels) / len(labels)
        w, s = rule(w, g, s, lr=lr)
    return w


@task(observe=_watch_logistic)
def sparse_logistic(inputs, labels, lr, steps):
    """The prediction is `torch.sigmoid(inputs @ w)`; start with w and s at zero, one for each column.

    The gradient of the mean cross-entropy is `inputs.T @ (prediction - labels) / len(labels)`.

    In each step: prediction, gradient, one call of the lesson's `adagrad` with w, the gradient and s.
    """
    return _logistic(inputs, labels, lr, steps)


@bug("sparse_logistic")
def sparse_logistic_no_sigmoid(inputs, labels, lr, steps):
    """The labels are compared with the scores themselves, which fits a line to zeros and ones.

    Which function turns a score into a probability?
    """
    return _logistic(inputs, labels, lr, steps, squash=lambda scores: scores)


@bug("sparse_logistic")
def sparse_logistic_climbs(inputs, labels, lr, steps):
    """All weights have the wrong sign: the loss is climbed.

    In the gradient, which comes first, the prediction or the label?
    """
    return _logistic(inputs, labels, -lr, steps)


@bug("sparse_logistic")
def sparse_logistic_plain_descent(inputs, labels, lr, steps):
    """This is gradient descent: the rare input gets the same learning rate as the common one.

    You have a sum of squares; which quantity does it divide?
    """
    return _logistic(inputs, labels, lr, steps, rule=lambda w, g, s, lr: (w - lr * g, s))


@bug("sparse_logistic")
def sparse_logistic_one_sum_for_all(inputs, labels, lr, steps):
    """One sum serves all weights, so the rare input is braked by the common one.

    Which shape should s have?
    """

    def shared(w, g, s, lr):
        s = s + (g**2).sum()
        return w - lr * g / (s**0.5 + 1e-10), s

    return _logistic(inputs, labels, lr, steps, rule=shared)


# 06, RMSprop.


@task((1.0, 0.99), (0.01, 0.9), (0.1, 0.0))
def first_step_of_rmsprop(lr, alpha):
    """After one gradient g, what is s?

    s is (1 - alpha) * g**2. Divide g by its root, and g is gone.
    """
    return lr / (1 - alpha) ** 0.5


@bug("first_step_of_rmsprop")
def first_step_of_rmsprop_lr(lr, alpha):
    """That is the length the steps come to later; the memory is still almost empty at the first one.

    After one gradient of 1, what is s?
    """
    return lr


@bug("first_step_of_rmsprop")
def first_step_of_rmsprop_no_root(lr, alpha):
    """The step divides by the root of s, not by s.

    With alpha = 0.99 and a gradient of 1, s is 0.01. What is the root of 0.01?
    """
    return lr / (1 - alpha)


@bug("first_step_of_rmsprop")
def first_step_of_rmsprop_upside_down(lr, alpha):
    """A small s stands in the denominator, so the first step is long, not short.

    What does a number become when you divide it by 0.1?
    """
    return lr * (1 - alpha) ** 0.5


@bug("first_step_of_rmsprop")
def first_step_of_rmsprop_alpha(lr, alpha):
    """alpha is what the memory keeps; what enters it is the rest.

    After one gradient of 1, with a memory of 0 before it, what is s?
    """
    return lr / alpha**0.5 if alpha else math.inf


@task((1e-2, 1.0), (1e-6, 1e-4), (0.5, 0.0))
def eps_outside(eps, s):
    """Write down both denominators, the one with eps inside the root and the one with the new eps outside.

    They must be equal: the root of s + eps, and the root of s plus the number you look for.
    """
    return (s + eps) ** 0.5 - s**0.5


@bug("eps_outside")
def eps_outside_root(eps, s):
    """This is right where s is zero. For a larger s the eps inside counts for less.

    With s = 1 and eps = 0.01 inside, what is the denominator, and how much of it is due to eps?
    """
    return eps**0.5


@bug("eps_outside")
def eps_outside_as_it_is(eps, s):
    """The same number counts for much more inside the root than outside where s is small.

    With s = 0 and eps = 0.0001 inside, what is the denominator?
    """
    return eps


@bug("eps_outside")
def eps_outside_squared(eps, s):
    """Squaring is the way back, from outside to inside.

    With s = 0 and eps = 0.0001 inside, what is the denominator?
    """
    return eps**2


@bug("eps_outside")
def eps_outside_small(eps, s):
    """eps / (2 sqrt(s)) is the first term of the answer, good while eps is far below s.

    With s = 0, what does it give?
    """
    return eps / (2 * s**0.5) if s else math.inf


def _watch_variance(answer):
    g, alpha, steps = answer()
    p = s = a = torch.zeros(1, dtype=torch.float32)
    for _ in range(min(int(steps), 10_000)):
        p, s, a = rules.rmsprop_centered(p, torch.full((1,), float(g)), s, a, lr=0.0, alpha=alpha, eps=1.0)
    return [
        ("alpha between 0 and 1, and at most 10000 steps", 0 <= alpha < 1 and steps <= 10_000),
        ("a variance below zero", bool(s - a**2 < 0)),
    ]


@task(observe=_watch_variance)
def negative_variance():
    """In exact arithmetic it cannot be done. Which numbers does `float32` round?

    The difference fades as alpha**t, down to the rounding of s. Take many steps, and a slope that is no power of two.

    Try slopes such as 0.1, 0.2, 0.3 with a short memory in a loop, print s - a**2, and keep one that is below zero.
    """
    return 0.3, 0.9, 400


# 07, Adadelta.


@task((2.0, 0.9, 1e-6), (-1e-3, 0.95, 1e-4), (0.5, 0.0, 1.0))
def first_step_of_adadelta(g, rho, eps):
    """At the first step u is still zero, and s is not.

    s is (1 - rho) * g**2. Put both into line (2) of the rule; the parameter moves by -d.

    Keep the eps in the denominator: for small gradients it counts.
    """
    return -(eps**0.5) / ((1 - rho) * g**2 + eps) ** 0.5 * g


@bug("first_step_of_adadelta")
def first_step_of_adadelta_uphill(g, rho, eps):
    """The length is right; the parameter moves the other way.

    What does line (4) of the rule do with d?
    """
    return -first_step_of_adadelta(g, rho, eps)


@bug("first_step_of_adadelta")
def first_step_of_adadelta_large_gradient(g, rho, eps):
    """sqrt(eps / (1 - rho)) is what it comes to for large gradients; a small one feels the eps below.

    With g = 0.001 and eps = 0.0001, which of the two terms under the lower root is the larger?
    """
    return -math.copysign((eps / (1 - rho)) ** 0.5, g)


@bug("first_step_of_adadelta")
def first_step_of_adadelta_full_square(g, rho, eps):
    """The square enters s at the weight 1 - rho, not whole.

    After one gradient of 2 with rho = 0.9, what is s?
    """
    return -(eps**0.5) / (g**2 + eps) ** 0.5 * g


@bug("first_step_of_adadelta")
def first_step_of_adadelta_wrong_order(g, rho, eps):
    """The memory of steps is used here with the step in it that it should scale.

    Before the first step, what is u?
    """
    d = first_step_of_adadelta(g, rho, eps)
    return math.copysign(((1 - rho) * d**2 + eps) ** 0.5 / ((1 - rho) * g**2 + eps) ** 0.5 * g, -g)


def _walkers():
    """Optimizers as functions of a unit: the two steps they take from a place that is one meter away, in that unit."""

    def descent(unit):
        return torch.tensor([-0.1, -0.09]) / unit

    def newton(unit):
        return torch.tensor([-0.5, -0.25]) * unit

    def adagrad(unit):
        return torch.tensor([-0.1, -0.1 / 2**0.5])

    def adadelta(unit):
        start, s, u, g = (torch.tensor(value) for value in (0.0, unit**-2.0, unit**2.0, 3.0 / unit))
        p, s, u = rules.adadelta(start, g, s, u, eps=0.0)
        q, s, u = rules.adadelta(p, g, s, u, eps=0.0)
        return torch.stack([p, q - p])

    return {"gradient descent": descent, "Newton": newton, "Adagrad": adagrad, "Adadelta with eps = 0": adadelta}


def _watch_units(answer):
    return [(f"for {name} your answer", bool(answer(walk))) for name, walk in _walkers().items()]


@task(observe=_watch_units)
def keeps_units(travel):
    """One meter is 1000 millimeters. If the first step in meters is 0.1, what should it be in millimeters?

    Call travel twice, with 1 and with 1000, and compare. Rounding forbids `==`: `torch.allclose` compares.
    """
    return torch.allclose(travel(1000), 1000 * travel(1))


@bug("keeps_units")
def keeps_units_same_number(travel):
    """This asks for the same number in both units, and 0.1 meters are not 0.1 millimeters.

    If a step is 0.1 meters long, how many millimeters is it?
    """
    return torch.allclose(travel(1000), travel(1))


@bug("keeps_units")
def keeps_units_upside_down(travel):
    """This asks for a smaller number in the smaller unit.

    If a step is 0.1 meters long, how many millimeters is it?
    """
    return torch.allclose(1000 * travel(1000), travel(1))


# 08, Adam.


@task((0.9, 0.999), (0.5, 0.9), (0.0, 0.99))
def step_after_silence(beta1, beta2):
    """After a long silence m and v are zero, and both corrections are over. Now one gradient g comes.

    m is (1 - beta1) * g, v is (1 - beta2) * g**2. What is m over the root of v?
    """
    return (1 - beta1) / (1 - beta2) ** 0.5


@bug("step_after_silence")
def step_after_silence_first_step(beta1, beta2):
    """That is the very first step, where the corrections undo the emptiness; after a silence t is large.

    What are 1 - beta1**t and 1 - beta2**t after a thousand steps?
    """
    return 1.0


@bug("step_after_silence")
def step_after_silence_no_root(beta1, beta2):
    """The step divides by the root of v.

    With beta2 = 0.999 and a gradient of 1, v is 0.001. What is its root?
    """
    return (1 - beta1) / (1 - beta2)


@bug("step_after_silence")
def step_after_silence_without_beta1(beta1, beta2):
    """This is RMSprop's burst: in Adam the newest gradient enters m at the weight 1 - beta1.

    After one gradient of 1, what is m?
    """
    return 1 / (1 - beta2) ** 0.5


@bug("step_after_silence")
def step_after_silence_betas(beta1, beta2):
    """beta is what a mean keeps; what enters it is the rest.

    After one gradient of 1, with a mean of 0 before it, what is m?
    """
    return beta1 / beta2**0.5


def _watch_disguise(answer):
    seen = []
    for name in ("sign descent", "Adagrad"):
        draw = torch.Generator().manual_seed(8)
        p = m = v = torch.zeros(3, dtype=torch.float64)
        for t in range(1, 7):
            g = torch.randn(3, generator=draw, dtype=torch.float64)
            before = p
            p, m, v = rules.adam(p, g, m, v, t=t, **answer(name, 0.1, t))
            seen.append((f"as {name}, step {t}", p - before))
    return seen


@task(observe=_watch_disguise, close=1e-3)
def disguise(name, lr, t):
    """For the sign: neither mean may remember anything.

    For Adagrad: m remembers nothing and v everything, so beta2 is as close to 1 as you like, such as 1 - 1e-9. Then
    the corrected v is the mean of all squares so far, and Adagrad wants their sum.

    A sum of t squares is t times their mean, and the root makes it sqrt(t): hand that to lr.
    """
    if name == "sign descent":
        return {"lr": lr, "betas": (0, 0), "eps": 0}
    return {"lr": lr / t**0.5, "betas": (0, 1 - 1e-9), "eps": 0}


@bug("disguise")
def disguise_mean_for_sum(name, lr, t):
    """The sign descent is right. As Adagrad it divides by the root of the mean square, where Adagrad has the sum.

    How many times the mean of t squares is their sum?
    """
    return {**disguise(name, lr, t), "lr": lr}


@bug("disguise")
def disguise_t_for_root(name, lr, t):
    """The sign descent is right. As Adagrad the steps shrink as 1/t, which is too fast.

    The sum is t times the mean; what becomes of that t under the root?
    """
    return {**disguise(name, lr, t), "lr": lr if name == "sign descent" else lr / t}


@bug("disguise")
def disguise_keeps_momentum(name, lr, t):
    """Both have Adam's usual beta1, so old gradients still steer.

    Which beta makes m the newest gradient and nothing else?
    """
    chosen = disguise(name, lr, t)
    return {**chosen, "betas": (0.9, chosen["betas"][1])}


LINEUP = {"A": "m undamped", "B": "no root", "C": "corrects v only"}
LINEUP |= {"D": "betas swapped", "E": "no correction", "F": "gradient on top"}


def lineup():
    """Six wrong Adams without their names: a letter -> a rule with Adam's arguments.

    >>> wrong = lineup()["A"]
    >>> wrong(0.0, 1.0, 0.0, 0.0, t=1, lr=0.5, betas=(0.5, 0.75), eps=0)[1]
    1.0
    """
    known = {mistake.name: mistake.rule for mistake in bank("adam")}
    return {letter: _nameless(known[name]) for letter, name in LINEUP.items()}


def _nameless(rule):
    return lambda *columns, **options: rule(*columns, **options)


def _watch_suspects(answer):
    named = answer()
    if not isinstance(named, dict) or named.keys() != LINEUP.keys():
        raise TypeError(f"it must return a dict with the keys A to F, got {named!r}")
    return [(f"suspect {letter}", named[letter]) for letter in LINEUP]


@task(observe=_watch_suspects, secret=True)
def suspects():
    """Begin with one gradient of 1, then more of the same. Three of the six give themselves away at the first step.

    For the other three a gradient of 1 hides everything: 1 is its own square and its own root. Try 10.

    A change of direction tells the last two apart: one forgets the old direction at once, the other hardly at all.
    """
    return dict(LINEUP)


# 09, AdamW and parameter groups.


@task((0.01, 0.1), (0.001, 0.5))
def l2_coefficient(decay, lr):
    """Write down one step of each, with the gradient of the data at zero. What is a weight multiplied by?

    In one it is 1 - decay, in the other 1 - lr * coefficient.
    """
    return decay / lr


@bug("l2_coefficient")
def l2_coefficient_as_it_is(decay, lr):
    """L2 goes through the step, so lr multiplies it; the decay here does not.

    With a coefficient of 0.01 and lr = 0.1, what is a weight multiplied by?
    """
    return decay


@bug("l2_coefficient")
def l2_coefficient_product(decay, lr):
    """This converts the other way.

    With this coefficient and lr = 0.1, what is a weight multiplied by?
    """
    return decay * lr


@task((0.1, 0.1), (0.001, 0.5), (0.5, 0.8))
def half_life(lr, weight_decay):
    """What is a weight multiplied by in one step, if no gradient comes?

    By 1 - lr * weight_decay. To which power is that 1/2? Not a whole number; leave it as it is.
    """
    return math.log(0.5) / math.log(1 - lr * weight_decay)


@variant("half_life")
def half_life_approximate(lr, weight_decay):
    """This is the textbook's ln 2 / (lr * weight_decay), good to a per cent while lr * weight_decay is below 0.02.

    The exact one has log(1 - lr * weight_decay) below. Does your use ever leave that range?
    """
    return math.log(2) / (lr * weight_decay)


@bug("half_life")
def half_life_without_lr(lr, weight_decay):
    """This is right where a step takes weight_decay away; in torch's form lr multiplies it.

    By how much does one step shrink a weight of 1 with lr = 0.1 and weight_decay = 0.1?
    """
    return math.log(0.5) / math.log(1 - weight_decay)


@bug("half_life")
def half_life_negative(lr, weight_decay):
    """That many steps ago it was; two logarithms of numbers below 1 are both negative.

    Is one of your two logarithms of 2, and the other of a number below 1?
    """
    return math.log(2) / math.log(1 - lr * weight_decay)


def _watch_groups(answer):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    groups = answer(model, 0.1, 0.01)
    given = torch.optim.AdamW(groups, lr=0.1, weight_decay=0.01).param_groups
    settings = {id(p): group for group in given for p in group["params"]}
    seen = []
    for name, p in model.named_parameters():
        group = settings.get(id(p), {"lr": "none, for it is in no group", "weight_decay": "none"})
        seen += [(f"the {key} of {name}", group[key]) for key in ("lr", "weight_decay")]
    return seen


def _grouped(model, lr, weight_decay, spared, slower=0.1):
    return [
        {
            "params": [p],
            "lr": lr * (slower if name.startswith("0.") else 1),
            "weight_decay": 0 if spared(name, p) else weight_decay,
        }
        for name, p in model.named_parameters()
    ]


@task(observe=_watch_groups)
def parameter_groups(model, lr, weight_decay):
    """`model.named_parameters()` gives a name and a parameter at a time. What do biases and gains have in common?

    A weight matrix has two dimensions, `p.ndim`; a bias and a gain have one. The first layer's names begin with `0.`.

    A group may hold a single parameter: one dict for each, with its "params", "lr" and "weight_decay".
    """
    return _grouped(model, lr, weight_decay, lambda name, p: p.ndim < 2)


@bug("parameter_groups")
def parameter_groups_decays_gains(model, lr, weight_decay):
    """The biases are spared, but the gain of the LayerNorm, which is called a weight, still decays.

    Which number should a gain stay close to, and where does decay pull it?
    """
    return _grouped(model, lr, weight_decay, lambda name, p: name.endswith("bias"))


@bug("parameter_groups")
def parameter_groups_decays_everything(model, lr, weight_decay):
    """The learning rates are right, and every parameter decays.

    What happens under decay to a bias that ought to be 10?
    """
    return _grouped(model, lr, weight_decay, lambda name, p: False)


@bug("parameter_groups")
def parameter_groups_one_learning_rate(model, lr, weight_decay):
    """The decay is right, and every layer has the same learning rate.

    Which layer should move at a tenth of lr, and how do its names begin?
    """
    return _grouped(model, lr, weight_decay, lambda name, p: p.ndim < 2, slower=1)


@bug("parameter_groups")
def parameter_groups_first_matrix_only(model, lr, weight_decay):
    """Of the first layer only the weight is slowed; its bias moves at the full rate.

    Which parameters belong to the first layer?
    """
    groups = _grouped(model, lr, weight_decay, lambda name, p: p.ndim < 2)
    groups[1]["lr"] = lr
    return groups


# 12, fast.


class _Arithmetic(TorchDispatchMode):
    """Counts the operations of arithmetic that reach a device, on a tensor or on a list of tensors."""

    names = {"add", "sub", "rsub", "mul", "div", "pow", "neg", "sqrt", "square", "addcmul", "addcdiv", "lerp"}

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.overloadpacket.__name__.removeprefix("_foreach_").strip("_") in self.names
        return func(*args, **(kwargs or {}))


def _columns_of(rule, starts, draw):
    gradients = [torch.randn(start.shape, generator=draw, dtype=start.dtype) for start in starts]
    return [starts, gradients, *([torch.zeros_like(start) for start in starts] for _ in signature(rule)[0])]


def _hyper_at(rule, t):
    return {"lr": 0.1, **({"t": t} if "t" in signature(rule)[1] else {})}


def _some_tensors(draw):
    """A number, a vector, a matrix that is not contiguous, and a vector of one element."""
    shapes = [(), (3,), (2, 3), (1,)]
    tensors = [torch.randn(shape, generator=draw, dtype=torch.float64) for shape in shapes]
    return [tensor.T if tensor.ndim == 2 else tensor for tensor in tensors]


def _handed(first):
    """In words, what a rule was given as its parameter, call by call."""
    if not first:
        return "nothing"
    if len(first) > 1:
        return "one tensor after the other"
    (given,) = first
    return f"one tensor of {given.numel()} elements" if torch.is_tensor(given) else "a list of tensors"


def _watch_executor(answer):
    draw = torch.Generator().manual_seed(12)
    seen, first = [], []
    for rule in (rules.gradient_descent, rules.momentum, rules.adam, rules.rmsprop_centered):
        columns = _columns_of(rule, _some_tensors(draw), draw)
        letters = ["parameter", *(f"buffer {letter} of parameter" for letter in signature(rule)[0])]
        for t in (1, 2):
            columns[1] = [torch.randn(p.shape, generator=draw, dtype=p.dtype) for p in columns[0]]
            before, written = [g.clone() for g in columns[1]], [columns[0], *columns[2:]]
            places = [tensor.data_ptr() for column in written for tensor in column]
            answer(rule, [list(column) for column in columns], _hyper_at(rule, t))
            same = all(g.shape == old.shape and torch.equal(g, old) for g, old in zip(columns[1], before, strict=True))
            after = [tensor.data_ptr() for column in written for tensor in column]
            at = f"{rule.__name__}, step {t}:"
            for letter, column in zip(letters, written, strict=True):
                seen += [(f"{at} {letter} {k}", tensor.clone()) for k, tensor in enumerate(column, 1)]
            seen += [(f"{at} 'the gradients are as before'", same), (f"{at} 'no tensor has moved'", places == after)]
    parameters = [p.clone().requires_grad_() for p in _some_tensors(draw)]
    optimizer = Adam(parameters, lr=0.1, run=answer)
    for _ in range(2):
        for p in parameters:
            p.grad = torch.randn(p.shape, generator=draw, dtype=p.dtype)
        optimizer.step()
    seen += [(f"in Adam, after 2 steps, parameter {k}", p.detach().clone()) for k, p in enumerate(parameters, 1)]

    def watched(p, g, b, *, lr):
        first.append(p)
        return rules.momentum(p, g, b, lr=lr)

    counts = []
    for number in (2, 20):
        columns = _columns_of(rules.momentum, [torch.ones(2, dtype=torch.float64) for _ in range(number)], draw)
        first.clear()
        with _Arithmetic() as arithmetic:
            answer(watched, columns, {"lr": 0.1})
        counts.append(arithmetic.count)
    return [
        *seen,
        ("the number of launches that momentum needs for one more tensor", (counts[1] - counts[0]) / 18),
        ("what momentum gets as p, for 20 tensors of two elements,", _handed(first)),
    ]


def _concatenated(rule, columns, hyper, write, into=lambda columns: [columns[0], *columns[2:]]):
    """Run the rule on long tensors, and let ``write`` have each old tensor, its part of the result and the whole."""
    results = rule(*(torch.cat([tensor.flatten() for tensor in column]) for column in columns), **hyper)
    sizes = [p.numel() for p in columns[0]]
    for column, new in zip(into(columns), results, strict=False):
        for old, part in zip(column, new.split(sizes), strict=True):
            write(old, part, new)


def _write(old, part, new):
    old.copy_(part.view_as(old))


@task(observe=_watch_executor)
def concatenated(rule, columns, hyper):
    """`torch.cat([x.flatten() for x in column])` makes one long tensor of a column. The rule takes one for each column.

    The rule returns the new parameters, then the new buffers, all of them long. Which columns do they belong to? There
    is no result for the gradients, and `parameters, gradients, *buffers = columns` takes them apart.

    `new.split(sizes)`, with the `numel()` of each parameter, cuts a result into parts, and
    `old.copy_(part.view_as(old))` writes one back.
    """
    _concatenated(rule, columns, hyper, _write)


@bug("concatenated")
def concatenated_parameters_only(rule, columns, hyper):
    """The parameters move and the buffers stay as they were, so the next step remembers nothing.

    What does the rule return after the new parameter, and who needs it at the next step?
    """
    _concatenated(rule, columns, hyper, _write, into=lambda columns: columns[:1])


@bug("concatenated")
def concatenated_writes_nothing(rule, columns, hyper):
    """The results are worked out, and no tensor of the model has changed.

    What does `old = part` change, the tensor or what the name stands for? Which method writes into a tensor?
    """
    _concatenated(rule, columns, hyper, lambda old, part, new: None)


@bug("concatenated")
def concatenated_writes_into_a_copy(rule, columns, hyper):
    """Some tensors move; a matrix that is not contiguous stands still, for flattening it made a copy.

    Which of the two can be given the other's shape without a copy, the tensor of the model or its part of the result?
    """
    _concatenated(rule, columns, hyper, lambda old, part, new: old.flatten().copy_(part))


@bug("concatenated")
def concatenated_forgets_the_shapes(rule, columns, hyper):
    """The numbers are right, and the matrix has become a vector: it will not multiply anything any more.

    Which tensor still knows the shape that its part of the result should have?
    """
    _concatenated(rule, columns, hyper, lambda old, part, new: setattr(old, "data", part))


@bug("concatenated")
def concatenated_same_part_for_all(rule, columns, hyper):
    """Every tensor gets numbers from the beginning of the long one.

    Where does the part of the second tensor begin, and which line moves that place on?
    """
    _concatenated(rule, columns, hyper, lambda old, part, new: old.copy_(new[: old.numel()].view_as(old)))


@bug("concatenated")
def concatenated_writes_into_the_next_column(rule, columns, hyper):
    """The first buffer's new value lands in the gradient, the second's in the first buffer, and so on.

    The rule returns one result fewer than it has columns; which column has none?
    """
    _concatenated(rule, columns, hyper, _write, into=lambda columns: columns)


@bug("concatenated")
def concatenated_changes_the_gradient(rule, columns, hyper):
    """Parameters and buffers are right, and the gradients are other than before.

    Who may look at a gradient after the step, and which of your lines writes into one?
    """
    concatenated(rule, columns, hyper)
    for gradient in columns[1]:
        gradient.zero_()


@bug("concatenated")
def concatenated_one_after_the_other(rule, columns, hyper):
    """All numbers are right, but the rule is still run tensor by tensor, as `per_tensor` does it.

    How many times should the rule be called, however many tensors there are?
    """
    for arguments in zip(*columns, strict=True):
        _concatenated(rule, [[tensor] for tensor in arguments], hyper, _write)


@bug("concatenated")
def concatenated_on_lists(rule, columns, hyper):
    """All numbers are right and the launches are few, but the rule gets lists, as in `multi_tensor`.

    Which function of torch makes one tensor out of many?
    """
    multi_tensor(rule, columns, hyper)


@variant("concatenated")
def concatenated_new_memory(rule, columns, hyper):
    """Here each tensor is given new memory, a piece of the long one; the executors of the course write into the old.

    To convert, use `copy_` in the place of `.data =`: whoever holds a view of a parameter then sees the new numbers.
    """
    _concatenated(rule, columns, hyper, lambda old, part, new: setattr(old, "data", part.view_as(old)))


LAUNCHES = {"momentum": 7, "adadelta": 19}  # of one tensor: arithmetic, and a copy for each result


def _watch_launches(answer):
    given = [("momentum", 1, "per_tensor"), ("momentum", 20, "multi_tensor"), ("momentum", 20, "per_tensor")]
    given += [("adadelta", 1, "multi_tensor"), ("adadelta", 148, "per_tensor"), ("adadelta", 148, "multi_tensor")]
    return [(f"launches{row}", answer(*row)) for row in given]


@task(observe=_watch_launches, secret=True)
def launches(rule, tensors, run):
    """Which of the signs in the rule have a tensor on at least one side? The others Python works out by itself.

    Line (1) of `adadelta` has five signs, and four of them are launches: a power, two products and a sum.

    Each result is written back, which is one launch more. All this happens once for each tensor, or once for the list.
    """
    return LAUNCHES[rule] * (tensors if run == "per_tensor" else 1)


@bug("launches")
def launches_counts_numbers(rule, tensors, run):
    """Signs between two numbers are counted too, such as that of 1 - rho, and they never leave Python.

    In `(1 - rho) * g**2`, which signs have a tensor beside them?
    """
    return {"momentum": 8, "adadelta": 21}[rule] * (tensors if run == "per_tensor" else 1)


@bug("launches")
def launches_forgets_to_write_back(rule, tensors, run):
    """The arithmetic is counted right, and its results are left lying in temporaries.

    A rule changes nothing in place. How many results does it return, and how do they get into the model?
    """
    return {"momentum": 5, "adadelta": 16}[rule] * (tensors if run == "per_tensor" else 1)


@bug("launches")
def launches_writes_back_the_parameter_only(rule, tensors, run):
    """The arithmetic is counted right, and of the results only the parameter is written back.

    What else does the rule return, and where must it be at the next step?
    """
    return {"momentum": 6, "adadelta": 17}[rule] * (tensors if run == "per_tensor" else 1)


@bug("launches")
def launches_list_like_tensors(rule, tensors, run):
    """For each tensor the number is right, but on a list one launch serves all tensors.

    What does `multi_tensor` hand to torch, one tensor or all of them?
    """
    return LAUNCHES[rule] * tensors


@bug("launches")
def launches_one_tensor_only(rule, tensors, run):
    """This is the number for a single tensor, and `per_tensor` begins anew with each.

    How many times does `per_tensor` call the rule?
    """
    return LAUNCHES[rule]


def _steps():
    """Steps as functions of p and g, by name, each beside whether it is elementwise."""

    def of(rule):
        def step(p, g):
            buffers = [torch.zeros_like(p) for _ in signature(rule)[0]]
            return rule(p, g, *buffers, **_hyper_at(rule, 3))[0]

        return step

    def along(direction):
        return lambda p, g: p - 0.1 * direction(torch.atleast_2d(g)).reshape(p.shape)

    def newton_schulz(x):
        x = x / ((x**2).sum() ** 0.5 + 1e-8)
        for _ in range(5):
            x = 1.5 * x - 0.5 * (x @ x.mT) @ x
        return x

    return {
        "gradient descent": of(rules.gradient_descent),
        "momentum": of(rules.momentum),
        "Adam": of(rules.adam),
        "centered RMSprop": of(rules.rmsprop_centered),
        "a gradient divided by its length": along(lambda g: g / ((g**2).sum() ** 0.5 + 1e-8)),
        "a gradient less its mean": along(lambda g: g - g.mean()),
        "a gradient less the mean of each row": along(lambda g: g - g.mean(1, keepdim=True)),
        "a gradient with each column divided by its length": along(
            lambda g: g / ((g**2).sum(0, keepdim=True) ** 0.5 + 1e-8)
        ),
        "a toy Muon": along(newton_schulz),
    }


def _watch_elementwise(answer):
    tried = []

    def watched(step):
        def noted(p, g):
            tried.append(g)
            return step(p, g)

        return noted

    def judged(step):
        value = answer(watched(step))
        return value if value is None else bool(value)

    seen = [(f"for {name} your answer", judged(step)) for name, step in _steps().items()]
    if all(value == (number < 4) for number, (_, value) in enumerate(seen)):
        return seen  # right, with whatever gradients
    return [*seen, ("the kind of gradient that you try", _kind(tried))]


def _kind(gradients):
    try:
        gradients = [torch.as_tensor(g).detach() for g in gradients]
        if not any(g.any() for g in gradients):
            return "zeros only" if gradients else "none"
        return "unequal elements" if any((g != g.flatten()[0]).any() for g in gradients) else "equal elements"
    except Exception:  # such as a gradient that torch.vmap hands over, which has no values
        return "unknown"


def _pair(*shape):
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def _together_and_alone(step, p, g):
    alone = [step(a, b) for a, b in zip(p.flatten(), g.flatten(), strict=True)]
    return torch.allclose(step(p, g).flatten(), torch.stack(alone))


@task(observe=_watch_elementwise)
def is_elementwise(step):
    """If each element goes its own way, what changes for it when the others are not there?

    Take a matrix p and a gradient g of random numbers. Step with all of it; then with each element alone. Compare.

    `zip(p.flatten(), g.flatten())` gives the elements in pairs, `torch.stack` puts the results in a row, and
    `torch.allclose` compares that with `step(p, g).flatten()`.
    """
    return _together_and_alone(step, *_pair(2, 3))


@bug("is_elementwise")
def is_elementwise_cannot_fail(step):
    """Every step passes, also those that mix elements: what you compare agrees whatever the step does.

    Shapes always agree, and so does a result with itself. In a toy Muon, which numbers of yours would differ?
    """
    p, g = _pair(2, 3)
    return step(p, g).shape == p.shape


@bug("is_elementwise")
def is_elementwise_tries_zeros(step):
    """Where the gradient is zero nothing moves, with or without neighbours, so every step passes.

    Which gradient would let an element feel its neighbours?
    """
    p, g = torch.zeros(2, 3), torch.zeros(2, 3)
    return _together_and_alone(step, p, g)


@bug("is_elementwise")
def is_elementwise_tries_equal_elements(step):
    """All elements of your gradient are equal, so each of them alone looks like their mean.

    What is left of 1, 1, 1 after their mean is taken off, and what of a single 1?
    """
    return _together_and_alone(step, torch.ones(2, 3), torch.ones(2, 3))


@bug("is_elementwise")
def is_elementwise_only_shuffles(step):
    """A length and a mean are the same in any order, so a step that uses one of them passes.

    Leave elements away in the place of moving them: whose steps change then?
    """
    p, g = _pair(2, 3)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    shuffled = step(p.flatten()[order].view(2, 3), g.flatten()[order].view(2, 3))
    return torch.allclose(step(p, g).flatten()[order], shuffled.flatten())


@bug("is_elementwise")
def is_elementwise_misses_rows(step):
    """A step that mixes the elements of one row passes: you never part the elements of a row.

    What would you have to compare with, so that an element has no neighbour at all?
    """
    p, g = _pair(2, 3)
    return torch.allclose(step(p, g), torch.stack([step(*row) for row in zip(p, g, strict=True)]))


@bug("is_elementwise")
def is_elementwise_misses_columns(step):
    """A step that mixes the elements of one column passes: you never part two elements of a column.

    Has your gradient two elements in one column, and does one of them ever step alone?
    """
    return _together_and_alone(step, *_pair(6))


# Loops with a schedule.


def _watch_schedule(answer):
    model, (x, y) = _first_line().double(), _places()
    diary = _Diary(model.parameters(), momentum=0.5)
    scheduler = torch.optim.lr_scheduler.LambdaLR(diary, lambda count: 1 / (1 + count))
    batches = [(x[:2].double(), y[:2].double()), (x[2:].double(), y[2:].double())]
    answer(model, diary, scheduler, batches, 3)
    return _pages(model, diary)


@task(observe=_watch_schedule)
def scheduled_loop(model, optimizer, scheduler, batches, epochs):
    """Which of the two reads the learning rate, and which writes the next one?

    The scheduler of this sheet counts batches, not epochs.
    """
    for _ in range(epochs):
        for x, y in batches:
            optimizer.zero_grad()
            ((model(x) - y) ** 2).mean().backward()
            optimizer.step()
            scheduler.step()


def _watch_resume(answer):
    def new():
        model = _first_line().double()
        diary = _Diary(model.parameters(), momentum=0.5)
        return model, diary, torch.optim.lr_scheduler.LambdaLR(diary, lambda count: 1 / (1 + count))

    def walk(diary, scheduler, steps):
        for _ in range(steps):
            for p in diary.param_groups[0]["params"]:
                p.grad = torch.ones_like(p)
            diary.step()
            scheduler.step()

    model, diary, scheduler = new()
    walk(diary, scheduler, 3)
    saved = {"model": model.state_dict(), "optimizer": diary.state_dict(), "scheduler": scheduler.state_dict()}
    model, diary, scheduler = new()
    answer(saved, model, diary, scheduler)
    diary.gradients.clear(), diary.rates.clear()
    walk(diary, scheduler, 3)
    return _pages(model, diary)


@task(observe=_watch_resume)
def resume(saved, model, optimizer, scheduler):
    """Three things have a memory. Which of them did you load?

    Each has `load_state_dict`, and saved has an entry for each.
    """
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    scheduler.load_state_dict(saved["scheduler"])


@task((0, 4, 1.0), (1, 4, 1.0), (3, 4, 0.2), (9, 4, 0.2))
def warmup(t, length, peak):
    """Of `length` steps, the first, t = 0, should already move, and the last of them at the peak.

    (t + 1) / length of the peak, and never more than all of it.
    """
    return peak * min(1, (t + 1) / length)
