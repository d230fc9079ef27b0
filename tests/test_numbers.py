"""Paths in plain numbers: the same as in tensors, and left to tensors where they must be."""

import pytest
import torch

from edu_optim import SGD, Adagrad, Adam, from_rule, lab, problems, race, rules
from edu_optim.trace.numbers import path_in_numbers

SETTINGS = {"lr": 0.01, "momentum": 0.9, "betas": (0.9, 0.999)}
FAMILY = {
    name: (cls, fixed | {option: SETTINGS[option] for option in taken})
    for name, (cls, fixed, taken) in lab.FAMILY.items()
}


def path(optimizer, steps=20, **options):
    return path_in_numbers(optimizer, options, [3.0, -2.0], lambda point: 2 * point, steps)


def in_tensors(optimizer, problem, steps, **options):
    return race(problem, {"it": (optimizer, options)}, steps, keep_state=True)[0].points


@pytest.mark.parametrize("problem", [problems.rosenbrock, lab.RAVINE, problems.rastrigin], ids=lambda p: p.name)
@pytest.mark.parametrize("name", FAMILY)
def test_a_path_is_the_same_as_in_tensors(name, problem):
    cls, options = FAMILY[name]
    (quick,) = race(problem, {name: (cls, options)}, 60)
    torch.testing.assert_close(quick.points, in_tensors(cls, problem, 60, **options), equal_nan=True)


@pytest.mark.parametrize(
    "cls, options",
    [
        (SGD, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
        (SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "nesterov": False}),
        (Adagrad, {"lr": 0.5, "lr_decay": 0.1, "initial_accumulator_value": 2.0}),
        (Adam, {"lr": 0.1, "weight_decay": 0.1, "eps": 0.5}),
        (from_rule(rules.rmsprop), {"lr": 0.1, "weight_decay": 0.1}),
    ],
)
def test_options_that_change_a_rule_are_heeded(cls, options):
    quick = path_in_numbers(cls, options, list(lab.RAVINE.start), lambda point: lab.RAVINE.slope(*point), 20)
    torch.testing.assert_close(quick, in_tensors(cls, lab.RAVINE, 20, **options))


def test_each_step_has_its_rate():
    quick = path_in_numbers(SGD, {"lr": 9.0}, [4.0], lambda point: point, 3, rates=[0.5, 0.25, 0.0])
    assert quick[:, 0].tolist() == [4, 2, 1.5, 1.5]


def test_what_is_no_rule_of_ours_goes_on_tensors():
    class Mine(SGD):
        pass

    assert path(torch.optim.SGD, lr=0.1) is None and path(Mine, lr=0.1) is None
    assert path(lambda params: SGD(params, lr=0.1)) is None


def asks_for_tensors(p, g, *, lr):
    return (p - lr * g.clamp(-1, 1),)


def forgets_its_buffer(p, g, b, *, lr):
    return (p - lr * g,)


def returns_no_tuple(p, g, *, lr):
    return p - lr * g


@pytest.mark.parametrize("rule", [asks_for_tensors, forgets_its_buffer, returns_no_tuple])
def test_a_rule_that_cannot_do_without_tensors_gets_them_and_says_there_what_is_wrong(rule):
    assert path(from_rule(rule), lr=0.1) is None
    if rule is asks_for_tensors:
        assert race(lab.RAVINE, {"it": (from_rule(rule), {"lr": 0.1})}, 5)[0].points.shape == (6, 2)
    else:
        with pytest.raises(TypeError, match=rule.__name__):
            race(lab.RAVINE, {"it": (from_rule(rule), {"lr": 0.1})}, 5)


def in_place(p, g, b, *, lr):
    b *= 0.9
    b += g
    p -= lr * b
    return p, b


def test_a_rule_in_place_leaves_the_path_behind_it_alone():
    quick = path(from_rule(in_place), lr=0.1)
    torch.testing.assert_close(quick, path(SGD, lr=0.1, momentum=0.9))


def test_what_overflows_ends_where_tensors_end_and_says_nothing(recwarn):
    entrants = {"ours": (SGD, {"lr": 1.0}), "torch": (torch.optim.SGD, {"lr": 1.0})}
    ours, torchs = race(problems.rosenbrock, entrants, 20)
    torch.testing.assert_close(ours.points, torchs.points, equal_nan=True)
    assert not ours.points[-1].isfinite().any() and not recwarn.list
