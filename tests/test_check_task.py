"""The exercises that are no rule: right answers pass, each known mistake is named, and no other name is given."""

import ast
import copy
import functools
import inspect
import textwrap

import numpy
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edu_optim.check import check, hint
from edu_optim.check.compare import _agree
from edu_optim.check.judge import _HINTED
from edu_optim.exercises import TASKS, bank, lesson_03, lesson_04, lesson_08, lesson_09

MISTAKES = [(name, mistake) for name in TASKS for mistake in bank(name)]
by_task = pytest.mark.parametrize("name", TASKS)


def test_the_table_of_every_mistake_against_every_exercise():
    named = 0
    for name, mistake in MISTAKES:
        verdict = check(mistake.rule, like=name)
        print(f"{name:26} {mistake.name:24} {verdict.kind:10} {verdict.name}")
        assert verdict.name == mistake.name, verdict
        assert verdict.passed == (mistake.kind == "variant")
        named += 1
    print(f"{len(MISTAKES)} mistakes in {len(TASKS)} exercises: {named} named")


@by_task
def test_the_right_answer_is_correct(name):
    assert check(TASKS[name].right).kind == "correct"


@by_task
def test_every_exercise_has_hints_and_a_mistake_that_is_known(name):
    assert 1 <= len(TASKS[name].hints) <= 3
    assert bank(name) or name in ("suspects", "negative_variance")
    for mistake in bank(name):
        assert mistake.why.endswith(".") and mistake.question.endswith(("?", ".")), mistake.name


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
    assert verdict.kind in ("unknown", "error") or name in ("training_loop", "scheduled_loop", "resume")
    assert not verdict.passed


def test_a_forgotten_return_is_named():
    def to_torch(lr, beta):
        lr = lr * (1 - beta)

    def suspects():
        named = {"A": "no root"}  # noqa: F841

    for answer in (to_torch, suspects):
        assert check(answer).name == "returns nothing"

    def gradient_descent(p, g, *, lr):
        p = p - lr * g

    assert check(gradient_descent).name == "returns nothing"


def training_with_fewer_names(net, opt, a, b, n):
    while n:
        opt.zero_grad(set_to_none=False)
        torch.nn.functional.mse_loss(net(a), b).backward()
        opt.step()
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


OTHERWISE = [
    (training_with_fewer_names, "training_loop"),
    (steps_by_walking, "steps_needed"),
    (groups_of_two_kinds, "parameter_groups"),
    (
        lambda curvatures: torch.tensor(2.0, dtype=torch.float64) / torch.tensor(curvatures).double().max(),
        "largest_rate",
    ),
    (lambda lr, beta: numpy.float64(lr) - lr * beta, "to_torch"),
    (lambda: (0.3, 0.9, 500), "negative_variance"),
    (lambda *given: [lesson_04.look_ahead_path(*given)[k].clone() for k in range(5)], "look_ahead_path"),
]


@pytest.mark.parametrize(("answer", "name"), OTHERWISE)
def test_right_answers_written_differently_are_correct(answer, name):
    assert check(answer, like=name).kind == "correct", check(answer, like=name)


def test_a_prediction_is_not_given_away():
    verdict = check(lambda: 7.0, like="distance_without_zero_grad")
    assert verdict.text == "not yet.\nthe distance is smaller than 7."

    def one_wrong():
        return {**lesson_08.LINEUP, "B": "no correction"}

    assert check(one_wrong, like="suspects").text == "not yet.\nsuspect B is not 'no correction'."


def test_the_first_difference_is_told_with_both_values():
    text = check(lambda lr, beta: 3 * lr * (1 - beta), like="to_torch").text
    assert text == "not yet.\nto_torch(0.1, 0.5) is 0.15 where 0.05 is right: 3 times as large."


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
    _HINTED.clear()
    for _ in range(4):
        hint(lesson_03.to_torch)
    first, *others = capsys.readouterr().out.splitlines()
    assert first.startswith("hint 1 of 2: ") and others == [others[0]] * 3
    with pytest.raises(ValueError, match="there are hints for"):
        hint("nothing")


# Random changes of one symbol in what is asked for.

SWAPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
FORMULAS = [name for name, task in TASKS.items() if task.observe.__qualname__.startswith("_at")]


@functools.cache
def sites(name):
    tree = ast.parse(textwrap.dedent(inspect.getsource(TASKS[name].right)))
    letters = sorted(argument.arg for argument in tree.body[0].args.args)
    found = []
    body = set(ast.walk(tree)) - {n for d in tree.body[0].decorator_list for n in ast.walk(d)}
    for index, node in enumerate(ast.walk(tree)):
        if node not in body:
            continue
        if isinstance(node, ast.BinOp) and type(node.op) in SWAPS:
            found.append((index, "op", SWAPS[type(node.op)]()))
        elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            found.append((index, "value", node.value + 1))
        elif isinstance(node, ast.Name) and node.id in letters:
            found += [(index, "id", other) for other in letters if other != node.id]
    return found


CHANGES = [(name, *site) for name in FORMULAS for site in sites(name)]


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(CHANGES))
def test_every_random_change_that_alters_the_numbers_is_called(change):
    name, index, field, value = change
    tree = ast.parse(textwrap.dedent(inspect.getsource(TASKS[name].right)))
    setattr(list(ast.walk(tree))[index], field, copy.deepcopy(value))
    tree.body[0].decorator_list = []
    found = dict(TASKS[name].right.__globals__)
    exec(compile(ast.fix_missing_locations(tree), "changed", "exec"), found)
    verdict = check(found[name])
    if verdict.kind == "correct":  # then it must be the same function, to the eye of other inputs
        try:
            here = [found[name](*row) for row in more_inputs(name)]
        except Exception as error:
            raise AssertionError(ast.unparse(tree)) from error
        right = [TASKS[name].right(*row) for row in more_inputs(name)]
        assert _agree([("", v) for v in here], [("", v) for v in right], 1e-6), ast.unparse(tree)
    elif verdict.name is not None:
        (mistake,) = [entry for entry in bank(name) if entry.name == verdict.name]
        assert _agree(TASKS[name].observe(found[name]), TASKS[name].observe(mistake.rule), TASKS[name].close)


def more_inputs(name):
    """Other arguments of the same kind: those of the task, each number a little larger."""
    rows = inspect.getclosurevars(TASKS[name].observe).nonlocals["inputs"]
    return [tuple(_larger(value) for value in row) for row in rows]


def _larger(value):
    if isinstance(value, list):
        return [_larger(item) for item in value]
    return value + 1 if isinstance(value, int) else value * 1.01
