"""The exercises that are no rule: right answers pass, wrong ones are told what they do, and no secret is told."""

import cmath
import collections
import fractions
import math
import re
import types

import numpy
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judged import built, changes

from edu_optim.check import check, hint
from edu_optim.check.kinds import came, fitted, wanted
from edu_optim.check.tasks import returned_by_reference
from edu_optim.exercises import EXERCISES, lesson_00, lesson_03, lesson_03_drop, lesson_04_path, lesson_08, lesson_09
from edu_optim.later import rules
from edu_optim.problems import line_model, line_points
from edu_optim.rules import adagrad

TASKS = {name: exercise for name, exercise in EXERCISES.items() if exercise.observe}
by_task = pytest.mark.parametrize("name", TASKS)


@by_task
def test_the_right_answer_is_correct(name):
    assert check(TASKS[name].reference).kind == "correct"


@pytest.mark.parametrize("name", EXERCISES)
def test_every_exercise_has_hints_and_a_mistake_that_is_known(name):
    assert 1 <= len(EXERCISES[name].hints) <= 3
    assert EXERCISES[name].catalog


@by_task
def test_an_empty_stub_is_not_attempted(name):
    def empty(*given): ...

    def not_implemented(*given):
        raise NotImplementedError()

    assert check(empty, like=name).kind == check(not_implemented, like=name).kind == "not attempted"


@by_task
def test_an_answer_of_no_kind_is_called_wrong_without_a_name(name):
    def nonsense(*given):
        return "nonsense"

    verdict = check(nonsense, like=name)
    assert verdict.text.strip() not in ("", "not yet")
    assert not verdict.passed and (verdict.name is None or name in ("training_loop", "scheduled_loop", "resume"))


def trained_with_closures(net, opt, a, b, n):
    while n:

        def closure():
            opt.zero_grad(set_to_none=False)
            loss = torch.nn.functional.mse_loss(net(a), b)
            loss.backward()
            return loss

        opt.step(closure)
        n -= 1


def steps_by_walking(curvature, lr, accuracy):
    distance, steps = 1.0, 0
    while distance > accuracy:
        distance, steps = abs(distance * (1 - lr * curvature)), steps + 1
    return steps


def groups_at(first, rest, key="lr"):
    def parameter_groups(model, lr, weight_decay):
        for name, p in model.named_parameters():
            own = {key: lr * (first if name.startswith("0.") else rest)}
            yield {"params": [p], "weight_decay": weight_decay * (p.ndim > 1), "name": name, **own}

    return parameter_groups


def groups_of_two_kinds(model, lr, weight_decay):
    first = list(model[0].parameters())
    rest = [p for p in model.parameters() if all(p is not q for q in first)]
    return [
        {"params": [first[0]], "lr": lr / 10, "weight_decay": weight_decay},
        {"params": [first[1]], "lr": lr / 10, "weight_decay": 0.0},
        {"params": [p for p in rest if p.ndim == 1], "weight_decay": 0.0},
        {"params": [p for p in rest if p.ndim > 1]},
    ]


def cleared_before_and_after(model, optimizer, x, y, epochs):
    optimizer.zero_grad()
    for _ in range(epochs):
        ((model(x) - y) ** 2).mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def until_it_is_orthogonal(u):
    x = u / torch.linalg.matrix_norm(u)
    while (x @ x.mT - torch.eye(len(x))).abs().max() > 1e-12:
        x = 1.5 * x - 0.5 * x @ x.mT @ x
    return x


def by_eigenvalues(u):
    sizes, vectors = torch.linalg.eigh(u @ u.mT)
    return vectors / sizes.clamp(min=0) ** 0.5 @ vectors.mT @ u


def newton_on_the_square(u):
    y, z = u @ u.mT, torch.eye(len(u), dtype=u.dtype)
    size = y.norm()
    y = y / size
    for _ in range(60):
        step = (3 * torch.eye(len(u), dtype=u.dtype) - z @ y) / 2
        y, z = y @ step, step @ z
    return z / size**0.5 @ u


def left_and_right(u):
    left, _, right = torch.linalg.svd(u, full_matrices=False)
    return left @ right


def an_example_at_a_time(ranks, p, gradient, step, order, batch, epochs):
    for epoch in range(epochs):
        shuffled = order(epoch)
        for start in range(0, len(shuffled), batch):
            now = shuffled[start : start + batch]
            parts = [sum(gradient(p, [one]) for one in now[rank::ranks]) * ranks / batch for rank in range(ranks)]
            p = step(p, sum(parts) / ranks)
    return p


def shares_in_one_piece(ranks, p, gradient, step, order, batch, epochs):
    size = batch // ranks
    for epoch in range(epochs):
        shuffled = order(epoch)
        while shuffled:
            now, shuffled = shuffled[:batch], shuffled[batch:]
            p = step(p, sum(gradient(p, now[k : k + size]) / ranks for k in range(0, batch, size)))
    return p


RIGHT = [
    (shares_in_one_piece, "train_on"),
    (until_it_is_orthogonal, "orthogonalize"),
    (left_and_right, "orthogonalize"),
    (cleared_before_and_after, "training_loop"),
    (trained_with_closures, "training_loop"),
    (steps_by_walking, "steps_needed"),
    (groups_of_two_kinds, "parameter_groups"),
    (lambda lr, growth: lr * 2 / torch.tensor(growth).double().sqrt().add(1), "edge_from_explosion"),
    (lambda lr, beta: numpy.float64(lr) - lr * beta, "to_torch"),
    (lambda lr, beta: fractions.Fraction(lr) * (1 - fractions.Fraction(beta)), "to_torch"),
    (lambda lr, beta: torch.tensor(lr) * (1 - beta), "to_torch"),
    (lambda: (0.1, 0.99, 1500), "negative_variance"),
    (lambda *given: iter(lesson_03_drop.travel_after_drop(*given)), "travel_after_drop"),
    (lambda name, lr, t: {**lesson_08.disguise(name, lr, t), "eps": 1e-9}, "disguise"),
    (lambda *given: [lesson_04_path.look_ahead_path(*given)[k].clone() for k in range(given[-1])], "look_ahead_path"),
]


@pytest.mark.parametrize(("answer", "name"), RIGHT)
def test_right_answers_written_differently_are_correct(answer, name):
    assert check(answer, like=name).kind == "correct", check(answer, like=name)


def strictly_below(curvature, lr, accuracy):
    distance, steps = 1.0, 0
    while not distance < accuracy:
        distance, steps = abs(distance * (1 - lr * curvature)), steps + 1
    return steps


def the_balls(gradient, p, lr, momentum, steps):
    velocity, path = 0 * p, []
    for _ in range(steps):
        velocity = momentum * velocity + gradient(p - lr * momentum * velocity)
        p = p - lr * velocity
        path.append(p)
    return path


def twice_as_eager(p, g, v, *, lr, momentum):
    v = momentum * v - lr * g
    return p + (1 + momentum) * v, v


def fades_the_gradient(p, g, b, lr, momentum):
    b = g + momentum * b
    return p - lr * (b + momentum * g), b


def divides_the_step(p, g, b, lr, momentum):
    b = g + momentum * b
    return p - lr / (1 + momentum) * (momentum * b + g), b


def path_of_a_mean(gradient, p, lr, momentum, steps):
    velocity, path = torch.zeros_like(p), []
    for _ in range(steps):
        velocity = momentum * velocity + (1 - momentum) * gradient(p - momentum * lr * velocity)
        p = p - lr * velocity
        path.append(p - lr * velocity * momentum)
    return path


def path_from_a_gradient(gradient, p, lr, momentum, steps):
    velocity, path = gradient(p), []
    for _ in range(steps):
        velocity = momentum * velocity + gradient(p - momentum * lr * velocity)
        p = p - lr * velocity
        path.append(p - lr * velocity * momentum)
    return path


def common_clock(lr, steps, every):
    return sum(lr / t**0.5 for t in range(1, steps + 1) if t % every == 0)


def mean_of_columns(inputs, labels, lr, steps):
    w = s = torch.zeros(inputs.shape[1], dtype=inputs.dtype)
    for _ in range(steps):
        g = (torch.sigmoid(inputs @ w) - labels) @ inputs / inputs.shape[1]
        w, s = adagrad(w, g, s, lr=lr)
    return w


def squares_of_examples(inputs, labels, lr, steps):
    w, s = torch.zeros(inputs.shape[1], dtype=inputs.dtype), 0
    for _ in range(steps):
        each = inputs * (torch.sigmoid(inputs @ w) - labels)[:, None]
        s = s + each.square().sum(0)
        w = w - lr * each.mean(0) / (s.sqrt() + 1e-10)
    return w


def clamped(inputs, labels, lr, steps):
    w = s = torch.zeros(inputs.shape[1], dtype=inputs.dtype)
    for _ in range(steps):
        error = torch.sigmoid(inputs @ w).clip(0.001, 0.999) - labels
        g = (error[:, None] * inputs).mean(0)
        s = s + g**2
        w = w - lr * g / (s.sqrt() + 1e-10)
    return w


def row_by_row(inputs, labels, lr, steps):
    w = s = torch.zeros(inputs.shape[1], dtype=inputs.dtype)
    for _ in range(steps):
        for i in range(len(labels)):
            w, s = adagrad(w, inputs[i] * (inputs[i].dot(w).sigmoid() - labels[i]), s, lr=lr)
    return w


def no_backward(model, optimizer, x, y, epochs):
    for _ in range(epochs):
        optimizer.zero_grad()
        ((model(x) - y) ** 2).mean()
        optimizer.step()


def neither_backward_nor_step(model, optimizer, x, y, epochs):
    for _ in range(epochs):
        optimizer.zero_grad()


def sum_that_piles_up(model, optimizer, x, y, epochs):
    for _ in range(epochs):
        ((model(x) - y) ** 2).sum().backward()
        optimizer.step()


def steps_at_the_top(model, optimizer, x, y, epochs):
    for _ in range(epochs):
        optimizer.step()
        optimizer.zero_grad()
        ((model(x) - y) ** 2).mean().backward()


def cleared_once(model, optimizer, x, y, epochs):
    optimizer.zero_grad()
    for _ in range(epochs):
        ((model(x) - y) ** 2).mean().backward()
        optimizer.step()


def steps_once(model, optimizer, x, y, epochs):
    for _ in range(epochs):
        optimizer.zero_grad()
        ((model(x) - y) ** 2).mean().backward()
    optimizer.step()


def all_pairs(model, optimizer, x, y, epochs):
    for _ in range(epochs):
        optimizer.zero_grad()
        ((model(x) - y.squeeze()) ** 2).mean().backward()
        optimizer.step()


def an_optimizer_for_each_epoch(model, optimizer, x, y, epochs):
    for _ in range(epochs):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        optimizer.zero_grad()
        ((model(x) - y) ** 2).mean().backward()
        optimizer.step()


def forgets_slowly(name, lr, t):
    chosen = lesson_08.disguise(name, lr, t)
    return {**chosen, "betas": (0, 0.999)} if name == "Adagrad" else chosen


def longest_of_many(beta1, beta2):
    m = v = longest = 0.0
    for _ in range(3000):
        m, v = beta1 * m + 1 - beta1, beta2 * v + 1 - beta2
        longest = max(longest, m / v**0.5)
    return longest


def roofline_of_both(rule, weights, run, launch, speed):
    launches = EXERCISES["step_seconds"].reference(rule, 0, run, launch, speed)
    return max(launches, EXERCISES["step_seconds"].reference(rule, weights, run, 0, speed))


def forgotten_return(lr, beta):
    lr = lr * (1 - beta)


def swaps_two():
    return {**lesson_08.LINEUP, "D": "gradient on top", "F": "betas swapped"}


def with_muons_numbers(u):
    return rules.orthogonal(u)


def five_cubic_steps(u):
    return rules.orthogonal(u, (1.5, -0.5, 0), 5)


def over_the_largest_entry(u):
    x = u / torch.max(torch.abs(u))
    for _ in range(40):
        x = 1.5 * x - 0.5 * x @ x.mT @ x
    return x


def late_warmup(t, length, total, last):
    if t < length:
        return t / length
    return last + (1 - last) * (1 + math.cos(math.pi * (t - length) / (total - length))) / 2


def smaller_of_both(t, length, total, last):
    cosine = last + (1 - last) * (1 + math.cos(math.pi * (t + 1 - length) / (total - length))) / 2
    return min((t + 1) / length, cosine)


def stops_early(length, beta1, beta2):
    return max(min(1, t / length) * (1 - beta1**t) / (1 - beta2**t) ** 0.5 for t in range(1, 1000))


def upper_median(norms, times):
    before = sorted(norms[:-1])
    return min(1, times * before[len(before) // 2] / norms[-1])


def stops_at_the_drop(lr, momentum, steps):
    place, both = 0.0, []
    for inside in (False, True):
        place = 0.0
        for rate in (lr, lr / 10):
            velocity = 0.0
            for _ in range(steps // 2):
                velocity = momentum * velocity + (rate if inside else 1)
                place += velocity if inside else rate * velocity
        both.append(place)
    return both


def walks_without_abs(curvature, lr, accuracy):
    distance, steps = 1.0, 0
    while distance > accuracy:
        distance, steps = distance * (1 - lr * curvature), steps + 1
    return steps


def begins_at_random(epochs):
    model = torch.nn.Linear(1, 1)
    training_of(model, epochs)
    return model(torch.tensor([[5.0]])).item()


def training_of(model, epochs):
    x, y = line_points()
    lesson_00.training_loop(model, torch.optim.Adam(model.parameters(), lr=0.01), x, y, epochs)


GOES_ON = line_model()


def one_model_for_all_calls(epochs):
    training_of(GOES_ON, epochs)
    return GOES_ON(torch.tensor([[5.0]])).item()


def beta2_is_one(name, lr, t):
    return {**lesson_08.disguise(name, lr, t), "betas": (0, 0 if name == "sign descent" else 1)}


def neighbors_first(rates, losses):
    losses = [loss if math.isfinite(loss) else math.inf for loss in losses]
    best = losses.index(min(losses))
    if max(losses[best - 1], losses[best + 1]) > 10 * losses[best]:
        return "coarse"
    return "edge" if best in (0, len(losses) - 1) else rates[best]


def neighbors_there_first(rates, losses):
    losses = [loss if math.isfinite(loss) else math.inf for loss in losses]
    best = losses.index(min(losses))
    if any(loss > 10 * losses[best] for loss in losses[max(best - 1, 0) : best + 2]):
        return "coarse"
    return "edge" if best in (0, len(losses) - 1) else rates[best]


def place_of_map(rates, losses):
    found = EXERCISES["read_map"].reference(rates, losses)
    return found if isinstance(found, str) else rates.index(found)


def sums(one, other):
    return bool(torch.isclose(one.sum(), other.sum()))


def eps_outside_the_upper_root(p, g, s, u, lr, rho, eps):
    s = rho * s + (1 - rho) * g * g
    d = g * (eps + u**0.5) / (eps + s) ** 0.5
    return p - lr * d, s, rho * u + (1 - rho) * d * d


def remembers_lengths(p, g, s, u, lr, rho, eps):
    s = rho * s + (1 - rho) * g * g
    d = g * (eps + u) ** 0.5 / (eps + s) ** 0.5
    return p - lr * d, s, rho * u + (1 - rho) * abs(d)


def half_mended(p, g, s, u, lr, rho, eps):
    after, s, _ = eps_outside_the_upper_root(p, g, s, u, lr, rho, eps)
    return after, s, rho * u + (1 - rho) * (p - after) ** 2


def a_share_for_a_batch(ranks, p, gradient, step, order, batch, epochs):
    for epoch in range(epochs):
        shuffled = order(epoch)
        while shuffled:
            p = step(p, gradient(p, shuffled[: batch // ranks]))
            shuffled = shuffled[batch // ranks :]
    return p


def rank_0_alone_steps(ranks, p, gradient, step, order, batch, epochs):
    first = p
    for epoch in range(epochs):
        shuffled = order(epoch)
        for start in range(0, len(shuffled), batch):
            g = gradient(p, shuffled[start : start + batch : ranks])
            for rank in range(1, ranks):
                g += gradient(first, shuffled[start + rank : start + batch : ranks])
            p = step(p, g / ranks)
    return p


def a_copy_on_every_rank(weights, ranks, stage):
    if stage == 0:
        return 16 * weights
    dealt = {1: 8, 2: 10, 3: 12}[stage]
    return weights * (16 - dealt) + weights * dealt / ranks


def the_whole_list(mine, rank):
    total, passing = list(mine), list(mine)
    for _ in mine[1:]:
        passing = yield passing
        total = [a + b for a, b in zip(total, passing, strict=True)]
    return total


def the_whole_tuple(mine, rank):
    total = passing = tuple(mine)
    for _ in mine[1:]:
        passing = yield passing
        total = tuple(a + b for a, b in zip(total, passing, strict=True))
    return total


def its_own_sum(mine, rank):
    sums = [sum(mine)]
    while len(sums) < len(mine):
        sums.append((yield sums[-1]))
    return [sum(sums)] * len(mine)


def ring_to_the_left(mine, rank):
    place = rank
    for turn in range(2 * len(mine) - 2):
        arrived = yield mine[place]
        place = (place + 1) % len(mine)
        mine[place] = arrived + mine[place] * (turn < len(mine) - 1)
    return mine


WRONG = [
    (an_example_at_a_time, "train_on", "a gradient is taken of each example by itself"),
    (a_share_for_a_batch, "train_on", "each batch is as small as a share"),
    (rank_0_alone_steps, "train_on", "only one of the copies steps"),
    (a_copy_on_every_rank, "bytes_a_rank", "the copy in float32 stays on every rank"),
    (the_whole_list, "ring", "every number goes all the way round"),
    (the_whole_tuple, "ring", "every number goes all the way round"),
    (its_own_sum, "ring", "each rank adds up its own numbers first"),
    (ring_to_the_left, "ring", "the places are those of a ring that sends to the left"),
    (
        lambda t: min(1.0, 2 / t),
        "weighted_mean_rate",
        "the weights are taken to add up to half the square of t, from the second step on",
    ),
    (lambda lr, c, v, g, b: lr * v / b / (c * (2 - lr * c)), "noise_ball", "the noise does not grow"),
    (lambda lr, c, v, g, b: lr * v / (c * (2 - lr * c)), "noise_ball", "this is formula (2) of the lesson"),
    (lambda lr, c, b, n: min(lr * n / b, 2 / c), "same_ball_rate", "in proportion to the batch, cut at the edge"),
    (lambda lr, beta: lr / 10, "to_torch", "a tenth, whatever beta is"),
    (lambda lr, beta: lr * (1 - beta**2), "to_torch", "beta is squared"),
    (
        lambda lr, c: (1 - (lr * c) ** 0.5) ** 2 / (1 + (lr * c) ** 0.5) ** 2,
        "critical_momentum",
        "the star's momentum, for a condition number of 1 / (lr * curvature)",
    ),
    (
        lambda lr, m, n: [n // 2 * lr / (1 - m) * 1.1] * 2,
        "travel_after_drop",
        "both balls have their terminal speed in all steps",
    ),
    (lambda lr, growth: 2 * lr / (1 + growth), "edge_from_explosion", "the loss is taken for the distance"),
    (strictly_below, "steps_needed", "one step too many where the last lands exactly on the accuracy"),
    (
        lambda c, lr, a: math.ceil(math.log(a) / math.log(1 - lr * c)),
        "steps_needed",
        "there is no answer where a step crosses the minimum",
    ),
    (with_muons_numbers, "orthogonalize", "these are the five steps of Muon"),
    (five_cubic_steps, "orthogonalize", "five steps are too few"),
    (over_the_largest_entry, "orthogonalize", "it is divided by its largest entry"),
    (lambda u: rules.orthogonal(u, (1.5, -0.5, 0), 12), "orthogonalize", "twelve steps are too few"),
    (
        lambda u: torch.linalg.inv(torch.linalg.cholesky(u @ u.mT)) @ u,
        "orthogonalize",
        "the rows are made orthogonal one after another",
    ),
    (by_eigenvalues, "orthogonalize", None),
    (newton_on_the_square, "orthogonalize", None),
    (lambda: (1e-12, 0.5), "sign_descent", "older gradients steer"),
    (lambda: (1e-200, 0.5), "sign_descent", "older gradients steer"),
    (lambda: (1e-30, 0.9), "sign_descent", "older gradients steer"),
    (lambda: (0.1, 0.9), "sign_descent", "older gradients steer"),
    (lambda: (0.5, 0), "sign_descent", "the gradient before has a say"),
    (lambda: (1, 0.99), "sign_descent", "the newest gradient has no say"),
    (late_warmup, "warmup_cosine", "every step is one late"),
    (smaller_of_both, "warmup_cosine", None),
    (stops_early, "largest_factor", "every number is within a thousandth of the right one"),
    (lambda t: round(2 / (t + 1), 4), "weighted_mean_rate", "every number is within a thousandth of the right one"),
    (
        lambda lr, c, v, g, b: lr * v / (2 * b * c - lr * g - lr * c**2),
        "noise_ball",
        "as if the rate were divided by the batch, not the variance",
    ),
    (upper_median, "clip_factor", "the upper of the middle two lengths"),
    (walks_without_abs, "steps_needed", "it stops as soon as a step has crossed the minimum"),
    (
        lambda k: (1 - math.sqrt(1 / (2 * k))) ** 2,
        "best_momentum",
        "the critical momentum of the heavy ball at this learning rate",
    ),
    (
        lambda k: (1 - math.sqrt(1 / k)) ** 2,
        "best_momentum",
        "the critical momentum of the heavy ball at a learning rate of 1/L",
    ),
    (lambda k: ((k**0.5 - 1) / (k**0.5 + 1)) ** 2, "best_momentum", "Polyak's momentum for the heavy ball"),
    (lambda k: 1 - 2 / ((k / 2) ** 0.5 + 1), "best_momentum", "the momentum for a learning rate of 2/L"),
    (
        lambda k: (1 - (0.5 / k) ** 0.5) ** 2 / (1 + 0.5 / k),
        "best_momentum",
        "a plus in the denominator where a minus belongs",
    ),
    (twice_as_eager, "mended_nesterov", "the whole velocity is added to its own look-ahead"),
    (fades_the_gradient, "mended_nesterov", "the step is the whole velocity and momentum times the gradient"),
    (divides_the_step, "mended_nesterov", "the step is divided by 1 + momentum"),
    (path_of_a_mean, "look_ahead_path", "the velocity is a running mean"),
    (path_from_a_gradient, "look_ahead_path", "the velocity starts at a gradient, not at 0"),
    (common_clock, "adagrad_distance", "the clock ticks in silence, too"),
    (
        lambda lr, n, k: lr * sum(t**-0.5 for t in range(1, n + 1)) / k,
        "adagrad_distance",
        "a share of the frequent distance",
    ),
    (mean_of_columns, "sparse_logistic", "the mean is taken over the columns, not over the examples"),
    (squares_of_examples, "sparse_logistic", "each example's gradient is squared before the mean"),
    (row_by_row, "sparse_logistic", "every example takes a step of its own"),
    (clamped, "sparse_logistic", "the prediction is kept 0.001 away from 0 and 1"),
    (lambda lr, wd: 0.5 / (lr * wd), "half_life", "as if every step took away as much as the first"),
    (
        lambda lr, wd: math.log(2) / math.log1p(lr * wd),
        "half_life",
        "the steps in which a weight would double",
    ),
    (lambda d, lr, m: (1 - m) * d, "l2_coefficient", "v is taken for constant, and lr is not used"),
    (lambda lr, steps, every: 0, "adagrad_distance", "every number you return is the same"),
    (stops_at_the_drop, "travel_after_drop", "both balls stop at the drop"),
    (lambda m, w, b: m // (64 * w * (2 + b)), "settings_that_fit", "64 bytes a number"),
    (
        lambda travel: torch.equal(travel(1000), 1000 * travel(1)),
        "keeps_units",
        "a difference of rounding is held against an optimizer",
    ),
    (begins_at_random, "prediction_after", "the same call gives another number the second time"),
    (one_model_for_all_calls, "prediction_after", "the same call gives another number the second time"),
    (lambda: -1, "distance_without_zero_grad", "the distance has a sign"),
    (beta2_is_one, "disguise", "as Adagrad its steps are not a number"),
    (neighbors_first, "read_map", "there is no answer where the last loss is the lowest"),
    (neighbors_there_first, "read_map", "the neighbors are asked before the edge"),
    (place_of_map, "read_map", "the place is returned"),
    (the_balls, "look_ahead_path", "the places where the method stands, not those ahead"),
    (no_backward, "training_loop", "no gradient reaches the model"),
    (neither_backward_nor_step, "training_loop", "the optimizer never steps and no gradient reaches the model"),
    (sum_that_piles_up, "training_loop", "the gradients add up and the loss is a sum, not a mean"),
    (cleared_once, "training_loop", "the gradients add up"),
    (steps_once, "training_loop", "the optimizer steps after the loop, not in it"),
    (all_pairs, "training_loop", "every prediction is compared with every label"),
    (steps_at_the_top, "training_loop", "the optimizer steps before backward"),
    (
        an_optimizer_for_each_epoch,
        "training_loop",
        "something else than the optimizer that was passed moves the model",
    ),
    (forgets_slowly, "disguise", "Adagrad's memory fades"),
    (forgotten_return, "to_torch", "returns nothing"),
    (groups_at(1, 10), "parameter_groups", "every rate is ten times too large"),
    (groups_at(0.1, 1, "learning_rate"), "parameter_groups", None),
    (groups_at(1, 0.1), "parameter_groups", "the first layer is the fast one"),
    (swaps_two, "suspects", "D and F have changed places"),
    (longest_of_many, "step_after_silence", "the longest step of a gradient that stays"),
    (roofline_of_both, "step_seconds", "the longer of the two is taken"),
    (lambda travel: sums(travel(1000), 1000 * travel(1)), "keeps_units", "sums or means of steps are compared"),
    (lambda: (0.0, 0.9, 400), "negative_variance", "the gradient is zero"),
    (lambda: (float("nan"), 0.9, 400), "negative_variance", None),
    (lambda: (0.1, 0.99, 0), "negative_variance", None),
    (lambda: (0.3, 0.9, 400), "negative_variance", "rounding has left the variance above zero"),
    (lambda: (-1.3, 0.8, 300), "negative_variance", "rounding has left the variance at zero"),
    (lambda: (0.2, 0.999, 3000), "negative_variance", "the means are not yet at rest"),
    (lambda: (0.1, 0.9, 138), "negative_variance", "the means are not yet at rest"),  # one of them is
    (
        lambda travel: travel(1000).norm().isclose(1000 * travel(1).norm()).item(),
        "keeps_units",
        "one number for all steps is compared",
    ),
    (
        lambda travel: sums(travel(1000), 1000 * travel(1)) and torch.allclose(travel(1000)[:2], 1000 * travel(1)[:2]),
        "keeps_units",
        "a path that goes wrong in the middle passes",
    ),
    (lambda travel: True, "keeps_units", "every optimizer passes"),
    (
        lambda travel: abs(travel(1000) / 1000 - travel(1)).max().item() < 0.05,
        "keeps_units",
        "a large fixed difference passes",
    ),
    (
        lambda travel: torch.allclose(travel(1000) / 1000, travel(1), rtol=0.2, atol=0),
        "keeps_units",
        "steps that differ by a tenth pass",
    ),
    (
        lambda travel: abs(travel(1000) - 1000 * travel(1)).max().item() < 1e-2,
        "keeps_units",
        "a fixed difference passes, however small the steps",
    ),
    (eps_outside_the_upper_root, "mended_adadelta", "eps stands outside the upper root"),
    (remembers_lengths, "mended_adadelta", "the memory of steps keeps lengths, not their squares"),
    (
        half_mended,
        "mended_adadelta",
        "eps stands outside the upper root, and lr still scales what the memory keeps",
    ),
    (lambda eps, s: (-1 - eps) ** 0.5, "eps_outside", None),
    (lambda eps, s: (math.sqrt(s) + eps) ** 2 - s, "eps_outside", "the way back, from outside to inside"),
    (lambda eps, s: math.sqrt(s * s + eps) - s, "eps_outside", "s is taken for its root"),
    (lambda alpha, times: round(1 / (1 - alpha)), "burst_ends", "the length of the window, to the nearest step"),
    (
        lambda alpha, times: math.ceil(math.log(1 - 1 / (1 + times) ** 2) / math.log(alpha)),
        "burst_ends",
        "times is taken for the excess",
    ),
    (
        lambda alpha, times: next(t for t in range(999) if 1 - alpha ** (t + 1) >= times**-2),
        "burst_ends",
        "the number of steps that are still too long",
    ),
    (lambda eps, s: torch.ones(2), "eps_outside", None),
    (lambda: "1.0", "distance_without_zero_grad", None),
]


@pytest.mark.parametrize(("answer", "like", "name"), WRONG)
def test_a_wrong_answer_is_told_what_it_does(answer, like, name):
    verdict = check(answer, like=like)
    assert not verdict.passed and verdict.name == name, verdict


def cleared_after(model, optimizer, x, y, epochs):
    for _ in range(epochs):
        ((model(x) - y) ** 2).mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def scheduled_and_cleared_after(model, optimizer, scheduler, batches):
    for parts in batches:
        count = sum(len(x) for x, y in parts)
        for x, y in parts:
            (((model(x) - y) ** 2).sum() / count).backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()


@pytest.mark.parametrize(
    ("answer", "like"), [(cleared_after, "training_loop"), (scheduled_and_cleared_after, "scheduled_loop")]
)
def test_a_gradient_from_before_the_loop_is_told_and_not_held_against_it(answer, like):
    verdict = check(answer, like=like)
    assert verdict.kind == "convention" and verdict.name == "the gradient is cleared after the step"
    assert "with a gradient left from before, the gradient at step 1" in verdict.text


# An answer of another kind

ODD = [10**400, numpy.array("x"), numpy.bool_(True), torch.ones(1, dtype=torch.bool), torch.ones(3, device="meta")]
ODD += [[1.0, 2.0], [1.0], (0.5,), torch.ones(2, 3), "0.5", True, {"a": 1}, print, object(), [], numpy.ones(3), {1.0}]


@pytest.mark.parametrize(
    "name", [name for name in TASKS if "loop" not in name and name not in ("resume", "concatenated")]
)
def test_an_answer_of_another_kind_is_told_what_is_wanted_and_what_came(name):
    def odd(*given):
        return value

    rights = returned_by_reference(TASKS[name])
    for value in [*ODD, 3.0, math.nan, 1j]:
        fits = any(fitted(value, right) is not None for right in rights)
        verdict = check(odd, like=name)
        assert not verdict.passed
        if not fits:
            (said,) = verdict.says
            assert verdict.headline == "not yet: what it returns does not fit"
            assert said.lower().startswith(f"{wanted(rights[0]).lower()} is wanted, and {name}(")
            assert "Error" not in said and came(value[0] if f"{name}(...)[0] is" in said else value) in said, said


def test_what_comes_back_now_and_then_only_is_told_with_its_call():
    def warmup_cosine(t, length, total, last):
        if t < length:
            return (t + 1) / length

    headline, said = check(warmup_cosine).text.split("\n")
    assert headline == "not yet: what it returns does not fit"
    assert re.fullmatch(r"A number is wanted, and warmup_cosine\([\d., ]+\) returns nothing\.", said)


def test_what_cannot_be_used_is_told_apart_from_what_raises():
    def parameter_groups(model, lr, weight_decay):
        return [{"parms": model.parameters(), "lr": lr}]

    assert "What parameter_groups(...) returns cannot be used: KeyError: 'params'" in check(parameter_groups).text


def test_a_generator_raises_where_its_own_line_does():
    def ring(mine, rank):
        arrived = yield mine[rank + 1]
        mine[rank] += arrived

    said = check(ring).text
    assert "cannot be used" not in said and "IndexError" in said and "in ring, line" in said


# One number and another

RELATED = [
    (lambda y: -y, "your answer is the right one with the other sign"),
    (lambda y: 1 / y, "your answer is the reciprocal of the right one"),
    (lambda y: y**2, "your answer is the square of the right one"),
    (lambda y: y**0.5, "your answer is the root of the right one"),
    (lambda y: 1 - y, "your answer is 1 minus the right one"),
    (lambda y: y + 1, "your answer is 1 more than the right one"),
    (lambda y: y - 1, "your answer is 1 less than the right one"),
    (lambda y: 100 * y, "your answer is 100 times the right one"),
    (lambda y: math.degrees(y), "your answer is 180 / pi times the right one"),
    (lambda y: y / math.log(10), "your answer is 1 / log(10), 0.4343, times the right one"),
    (lambda y: 7.3 * y, "your answer is 7.3 times the right one"),
    (lambda y: 1.0001 * y, "your answer is about 0.01 % more than the right one"),
]


@pytest.mark.parametrize("like", ["to_torch", "same_ball_rate", "best_momentum", "half_life", "step_after_silence"])
@pytest.mark.parametrize(("change", "name"), RELATED)
def test_what_an_answer_has_to_do_with_the_right_one_is_told(change, name, like):
    known = {entry.name for entry in TASKS[like].catalog}
    verdict = check(lambda *given: change(TASKS[like].reference(*given)), like=like)
    assert verdict.name == name or verdict.name in known, verdict
    if verdict.name == name:
        for given, value in TASKS[like].observe(TASKS[like].reference):
            assert change(value) != value, given


def test_a_relation_is_told_only_where_it_holds_throughout():
    def late(lr, beta):
        return -lr * (1 - beta) if beta else lr

    assert check(late, like="to_torch").name == "the sign is wrong, and only the sign, in 2 of 3 numbers"
    assert check(lambda lr, beta: 1 / lr / (1 - beta) if beta else 3.0, like="to_torch").name is None
    assert check(lambda lr, beta: lr * (1 - beta) * (1 + (beta == 0)), like="to_torch").name is None
    factor = check(lambda *given: lesson_03.critical_momentum(*given) / 3, like="critical_momentum").name
    assert factor == "your answer is about 0.3333 times the right one"
    assert check(lambda lr, beta: 0.3, like="to_torch").name == "every number you return is the same"


def test_an_answer_that_is_nearly_right_is_told_so():
    def searched(condition):
        betas, x = [n / 1000 for n in range(1001)], 1 / (2 * condition)

        def rate(beta):
            total, product = (1 + beta) * (1 - x), beta * (1 - x)
            return abs(total + cmath.sqrt(total**2 - 4 * product)) / 2

        return min(betas, key=rate)

    def rounded(lr, curvature):
        return round(lesson_03.critical_momentum(lr, curvature), 3)

    near = "every number is within 2 % of the right one"
    for answer, like in ((searched, "best_momentum"), (rounded, "critical_momentum")):
        assert check(answer, like=like).name == near
    assert check(lambda lr, c: round(lesson_03.critical_momentum(lr, c), 1), like="critical_momentum").name is None


CHANGED = [
    (
        lambda lr, c, v, g, b: lr * v / b / (2 * c - lr * (c**2 - g / b)),
        "noise_ball",
        "as if a sign had turned",
    ),
    (lambda lr, c, v, g, b: lr * v / (b * c * (2 - lr * c) + lr * g), "noise_ball", "as if a sign had turned"),
    (lambda lr, c, v, g, b: lr**2 * v / (b * c * (2 - lr * c) - lr * g), "noise_ball", "as if a power or another"),
    (lambda lr, c, v, g, b: lr * v / (b * c * (2 - lr * c) - lr**2 * g), "noise_ball", "as if a power or another"),
    (lambda lr, n, k: lr * sum(t**0.5 for t in range(1, n // k + 1)), "adagrad_distance", "as if a minus were missing"),
    (lambda c, lr, a: math.ceil(math.log(a) / math.log(abs(1 + lr * c))), "steps_needed", "as if a sign had turned"),
    (lambda c, lr, a: round(math.log(a) / math.log(abs(1 - lr * c))), "steps_needed", "rounded to the nearest, not up"),
    (lambda c, lr, a: math.ceil(math.log(a) / math.log10(abs(1 - lr * c))), "steps_needed", "a logarithm were to base"),
    (
        lambda m, w, b: m / (8 * w * (2 + b)),
        "settings_that_fit",
        "rounded down, your answer is the right one",
    ),
    (lambda d, lr, m: d / lr * (1 - m * (1 - d)), "l2_coefficient", "as if it multiplied where it should divide"),
    (
        lambda lr, c: ((1 - lr * c) / (1 + lr * c)) ** 0.5 if lr * c < 1 else 0,
        "critical_momentum",
        "as if a root",
    ),
    (lambda g, rho, eps: -eps / ((1 - rho) * g**2 + eps) ** 0.5 * g, "first_step_of_adadelta", "as if a root were mis"),
]


@pytest.mark.parametrize(("answer", "like", "said"), CHANGED)
def test_a_formula_that_is_wrong_in_one_place_is_told_the_place(answer, like, said):
    assert said in check(answer, like=like).name


def test_what_is_missing_is_not_compared_with_something_else():
    assert check(neither_backward_nor_step, like="training_loop").difference[1:] == ("0", "5")


def test_a_prediction_is_not_given_away():
    verdict = check(lambda: 7.0, like="distance_without_zero_grad")
    assert verdict.text == "not yet\ndistance_without_zero_grad(): yours 7, right lower"
    assert check(lambda: math.nan, like="distance_without_zero_grad").text.endswith("yours nan, right a number")
    secret = check(lambda: {**lesson_08.LINEUP, "B": "no correction"}, like="suspects")
    assert secret.text == "not yet\nright: yours 5 of the six"


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (
            {**lesson_08.LINEUP, "A": "*m-undamped*", "C": "v only"},
            "suspect C: yours 'v only', which is none of the six",
        ),
        (
            {**lesson_08.LINEUP, "A": "m is a sum", "F": "g in the place of m", "B": "betas swapped", "C": "no root"},
            "right: yours 4 of the six",
        ),
        (
            {**lesson_08.LINEUP, "A": "m_undamped", "C": "m_undamp"},
            "suspect C: yours 'm_undamp', which is none of the six",
        ),
        (dict.fromkeys("ABEF", "no root"), "letters that your dict lacks: yours [C, D]"),
    ],
)
def test_what_is_none_of_the_six_and_what_is_missing_is_said(named, said):
    assert check(lambda: named, like="suspects").text == f"not yet\n{said}"


@pytest.mark.parametrize("arrays", [9, 11])
def test_bytes_that_are_counted_wrong_are_told_apart_from_launches(arrays):
    def step_seconds(rule, weights, run, launch, speed):
        more = 8 * weights * (arrays - 7) / speed if (rule, run) == ("gradient_descent", "multi_tensor") else 0
        return EXERCISES["step_seconds"].reference(rule, weights, run, launch, speed) + more

    text = check(step_seconds).text
    assert f"bytes a weight of gradient_descent, multi_tensor: yours {8 * arrays}, right lower" in text


def test_the_right_value_is_told_where_it_is_no_secret():
    text = check(lambda lr, curvature: 0.5 + lr**3, like="critical_momentum").text
    assert text == "not yet\ncritical_momentum(0.17, 1.3): yours 0.5049, right 0.407"


def test_a_complex_number_is_called_wrong():
    def first_step_of_adadelta(g, rho, eps):
        s = (1 - g) * g**2
        return -(eps**0.5) / (s + eps) ** 0.5 * g

    verdict = check(first_step_of_adadelta)
    assert verdict.kind == "unknown" and "0.001519j, right a number" in verdict.text


def test_an_error_is_shown_at_the_line_of_the_reader():
    def to_torch(lr, beta):
        return lr / nothing  # noqa: F821

    text = check(to_torch).text
    assert "NameError" in text and "return lr / nothing" in text


def test_a_search_that_runs_dry_is_shown_at_its_line():
    def burst_ends(alpha, times):
        return next(t for t in range(1, 9) if (1 - alpha**t) ** -0.5 <= times)

    head, said, line = check(burst_ends).text.splitlines()
    assert said == "StopIteration" and "return next(t for t in range(1, 9)" in line


def test_a_generator_of_the_reader_that_runs_dry_ends_with_what_python_makes_of_it():
    def burst_ends(alpha, times):
        return list(next(iter([])) for _ in range(3))

    assert "RuntimeError: generator raised StopIteration" in check(burst_ends).text


def test_a_loop_without_an_end_is_stopped():
    def training_loop(model, optimizer, x, y, epochs):
        while True:
            optimizer.step()

    assert "more than 2 seconds" in check(training_loop).text


def test_random_numbers_go_on_as_if_nothing_had_been_checked():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    check(lambda lr, beta: torch.rand(()), like="to_torch")
    check(lesson_09.parameter_groups)
    assert torch.equal(before, torch.get_rng_state())


def test_hints_come_in_stages_and_stay_at_the_last(capsys):
    for _ in range(4):
        hint("sparse_logistic")
    first, second, *others = capsys.readouterr().out.splitlines()
    assert first.startswith("hint 1 of 3: ") and second.startswith("hint 2 of 3: ") and others == [others[0]] * 2


@pytest.mark.parametrize("name", ["mended_adadelta", "Mended", "AMSGrad", "adamw"])
def test_a_hint_is_there_for_whatever_name_an_exercise_has(name, capsys):
    hint(types.new_class(name))
    assert capsys.readouterr().out.startswith("hint 1 of ")


def test_a_misspelt_name_is_met_with_the_right_one():
    with pytest.raises(ValueError, match="did you mean 'to_torch'"):
        hint("to_troch")
    with pytest.raises(ValueError, match="there is no exercise 'zzz'; say which one is meant: training_loop, "):
        hint("zzz")
    with pytest.raises(ValueError, match="a lambda has no name .* name the exercise, as 'adam'"):
        check(lambda p, g, *, lr: p - lr * g)


# Random changes of one place in what is asked for

TEXTS = st.deferred(lambda: st.sampled_from(list(changed())))
COUNTS = collections.Counter()


def changed():
    for name, task in TASKS.items():
        if name not in ("negative_variance", "suspects", "concatenated", "is_elementwise"):
            code = task.reference.__code__
            yield from ((name, text) for text in changes(task.reference, code.co_varnames[: code.co_argcount]))


@pytest.mark.slow
@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS)
def test_every_random_change_that_alters_what_is_seen_is_called(change):
    name, text = change
    task = TASKS[name]
    answer = built(text, task.reference)
    verdict = check(answer, like=name)
    COUNTS["tried"] += 1
    try:
        seen = [(label, as_numbers(value)) for label, value in task.observe(answer)]
    except Exception:
        seen = None
    right = [(label, as_numbers(value)) for label, value in task.observe(task.reference)]
    if seen is None or not agree(seen, right, task.rtol):
        COUNTS["altering"] += 1
        assert not verdict.passed or verdict.kind == "convention", (text, verdict)
        COUNTS["named"] += verdict.name is not None
    else:
        assert verdict.kind == "correct", (text, verdict)


def as_numbers(value):
    try:
        return torch.as_tensor(value, dtype=torch.float64).flatten()
    except Exception:
        return str(value)


def agree(seen, right, rtol):
    return [label for label, _ in seen] == [label for label, _ in right] and all(
        a == b if str in (type(a), type(b)) else a.shape == b.shape and torch.allclose(a, b, rtol=rtol, atol=1e-12)
        for (_, a), (_, b) in zip(seen, right, strict=True)
    )


@pytest.mark.slow
def test_how_many_random_changes_there_were():
    print(f"random changes of the tasks: {dict(COUNTS)}; none passed")
    assert COUNTS["altering"] > 60
