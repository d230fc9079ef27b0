"""The exercises that are no rule: right answers pass, wrong ones are told what they do, and no secret is told."""

import collections
import types

import numpy
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judged import built, changes

from edu_optim.check import check, hint
from edu_optim.exercises import EXERCISES, lesson_04, lesson_08, lesson_09

TASKS = {name: exercise for name, exercise in EXERCISES.items() if exercise.observe}
by_task = pytest.mark.parametrize("name", TASKS)


@by_task
def test_the_right_answer_is_correct(name):
    assert check(TASKS[name].reference).kind == "correct"


@pytest.mark.parametrize("name", EXERCISES)
def test_every_exercise_has_hints_and_a_mistake_that_is_known(name):
    assert 1 <= len(EXERCISES[name].hints) <= 3
    assert EXERCISES[name].catalog or name == "negative_variance"


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


def groups_of_two_kinds(model, lr, weight_decay):
    first = list(model[0].parameters())
    rest = [p for p in model.parameters() if all(p is not q for q in first)]
    return [
        {"params": [first[0]], "lr": lr / 10, "weight_decay": weight_decay},
        {"params": [first[1]], "lr": lr / 10, "weight_decay": 0.0},
        {"params": [p for p in rest if p.ndim == 1], "weight_decay": 0.0},
        {"params": [p for p in rest if p.ndim > 1]},
    ]


RIGHT = [
    (trained_with_closures, "training_loop"),
    (steps_by_walking, "steps_needed"),
    (groups_of_two_kinds, "parameter_groups"),
    (lambda lr, growth: lr * 2 / torch.tensor(growth).double().sqrt().add(1), "edge_from_explosion"),
    (lambda lr, beta: numpy.float64(lr) - lr * beta, "to_torch"),
    (lambda: (0.1, 0.99, 1500), "negative_variance"),
    (lambda *given: [lesson_04.look_ahead_path(*given)[k].clone() for k in range(given[-1])], "look_ahead_path"),
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


def no_backward(model, optimizer, x, y, epochs):
    for _ in range(epochs):
        optimizer.zero_grad()
        ((model(x) - y) ** 2).mean()
        optimizer.step()


def neither_backward_nor_step(model, optimizer, x, y, epochs):
    for _ in range(epochs):
        optimizer.zero_grad()


def an_optimizer_for_each_epoch(model, optimizer, x, y, epochs):
    for _ in range(epochs):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        optimizer.zero_grad()
        ((model(x) - y) ** 2).mean().backward()
        optimizer.step()


def forgets_slowly(name, lr, t):
    chosen = lesson_08.disguise(name, lr, t)
    return {**chosen, "betas": (0, 0.999)} if name == "Adagrad" else chosen


def forgotten_return(lr, beta):
    lr = lr * (1 - beta)


def swaps_two():
    return {**lesson_08.LINEUP, "D": "gradient on top", "F": "betas swapped"}


def sums(one, other):
    return bool(torch.isclose(one.sum(), other.sum()))


WRONG = [
    (lambda lr, growth: 2 * lr / (1 + growth), "edge_from_explosion", "the loss is taken for the distance"),
    (strictly_below, "steps_needed", "one step too many where the last lands exactly on the accuracy"),
    (the_balls, "look_ahead_path", "the places where the method stands, not those ahead"),
    (no_backward, "training_loop", "the slope is never asked for"),
    (neither_backward_nor_step, "training_loop", None),
    (an_optimizer_for_each_epoch, "training_loop", None),
    (forgets_slowly, "disguise", "Adagrad's memory fades"),
    (forgotten_return, "to_torch", "returns nothing"),
    (swaps_two, "suspects", "D and F have changed places"),
    (lambda travel: sums(travel(1000), 1000 * travel(1)), "keeps_units", "sums of steps are compared"),
    (lambda: (0.0, 0.9, 400), "negative_variance", None),
    (lambda: (float("nan"), 0.9, 400), "negative_variance", None),
    (lambda: (0.1, 0.99, 0), "negative_variance", None),
    (lambda: (0.3, 0.9, 400), "negative_variance", None),
    (lambda eps, s: (-1 - eps) ** 0.5, "eps_outside", None),
    (lambda eps, s: torch.ones(2), "eps_outside", None),
    (lambda: "1.0", "distance_without_zero_grad", None),
]


@pytest.mark.parametrize(("answer", "like", "name"), WRONG)
def test_a_wrong_answer_is_told_what_it_does(answer, like, name):
    verdict = check(answer, like=like)
    assert not verdict.passed and verdict.name == name, verdict


def test_what_is_missing_is_not_compared_with_something_else():
    assert check(neither_backward_nor_step, like="training_loop").difference[1:] == ("0", "5")


def test_a_prediction_is_not_given_away():
    verdict = check(lambda: 7.0, like="distance_without_zero_grad")
    assert verdict.text == "not yet\ndistance_without_zero_grad(): yours 7, right smaller"
    assert check(lambda: "1.0", like="distance_without_zero_grad").text.endswith("yours 1.0, right a number")
    secret = check(lambda: {**lesson_08.LINEUP, "B": "no correction"}, like="suspects")
    assert secret.text == "not yet\nsuspect B: yours no correction"


def test_the_right_value_is_told_where_it_is_no_secret():
    text = check(lambda lr, curvature: 0.5, like="critical_momentum").text
    assert text == "not yet\ncritical_momentum(0.17, 1.3): yours 0.5, right 0.407"


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


# Random changes of one place in what is asked for

TEXTS = [
    (name, text)
    for name, task in TASKS.items()
    if name not in ("negative_variance", "suspects", "concatenated", "is_elementwise")
    for text in changes(task.reference, task.reference.__code__.co_varnames[: task.reference.__code__.co_argcount])
]
COUNTS = collections.Counter()


@pytest.mark.slow
@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(TEXTS))
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
