"""What lesson 12 counts and claims, against counts of its own."""

import inspect
import re

import pytest
import torch
from cells import Lesson

from edu_optim import kernel, rules
from edu_optim.execute import multi_tensor, per_tensor
from edu_optim.lab import lesson_12 as lab
from edu_optim.signature import signature


def run(*ids):
    return Lesson("12").run("imports", *ids)


def operations(rule):
    """How many of + - * / ** there are in a rule once its numbers are known: those that touch a tensor."""
    kinds = kernel.partition({name: (0.5, 0.5) if name == "betas" else 0.5 for name in signature(rule)[1]})[0]
    return sum(node.op[:4] == "call" for node in kernel.split(rule, kinds)[1].graph.nodes)


def test_seventeen_launches_are_fourteen_operations_and_three_results():
    assert operations(rules.adam) == 14
    for tensors in (1, 7):
        assert lab.counted(multi_tensor, tensors).launches == 17
        assert lab.counted(per_tensor, tensors).launches == 17 * tensors


def test_bytes_are_those_of_each_operand_and_each_result():
    """By hand: gradient descent multiplies (reads g, writes), subtracts (reads two, writes), copies (reads, writes)."""
    columns = [[torch.ones(1000)], [torch.ones(1000)]]
    with lab.Counter() as counter:
        multi_tensor(rules.gradient_descent, columns, {"lr": 0.5})
    assert counter.bytes == 4000 * (2 + 3 + 2)
    assert lab.counted(multi_tensor, rule=rules.gradient_descent).bytes == counter.bytes


@pytest.mark.parametrize("rule", [rules.momentum, rules.adam, rules.amsgrad])
def test_the_traffic_by_hand_is_that_of_the_loop(rule):
    kinds = kernel.partition({name: (0.5, 0.5) if name == "betas" else 0.5 for name in signature(rule)[1]})[0]
    text = kernel.loop(*kernel.split(rule, kinds))
    arrays = len(re.findall(r"= \w+_\[i\];|\w+_\[i\] = ", text))
    assert arrays == 3 + 2 * len(signature(rule)[0])


def test_the_text_that_is_printed_is_the_rule_that_ships():
    printed = lab.text(rules.adam).splitlines()
    assert printed == [line for line in inspect.getsource(rules.adam).splitlines() if line in printed]
    assert printed[-1].split() == ["return", "p,", "m,", "v"]


def test_each_control_of_the_bill_changes_it():
    experiment = lab.play(lambda rule: (17, 152))
    first = experiment.numbers
    for name, value in {"rule": "momentum", "weights": 100, "kept": True}.items():
        other = experiment.at(**{name: value}).numbers
        assert other["lists against the loop"] != first["lists against the loop"]


def test_the_bill_of_the_experiment_is_the_one_by_hand():
    cells = run("fetch", "prices", "bill")
    assert lab.bills(17, 152, 7, 12_000_000) == cells["bills"]


def test_the_clock_is_read_when_it_is_ticked():
    measured = lab.play(lambda rule: (17, 152)).at(weights=200, ticking=True).numbers
    clock = {name: value for name, value in measured.items() if name.endswith("by the clock")}
    assert len(clock) == 2
    assert all(0 < value < 1000 for value in clock.values())


def test_a_temporary_lives_from_its_launch_to_the_last_that_reads_it():
    """Momentum, by hand: momentum * b, (1 - dampening) * g, their sum, lr * b, the new p; then p and b are written."""
    assert lab.lives(rules.momentum) == [("mul", 1, 3), ("mul", 2, 3), ("add", 3, 7), ("mul", 4, 5), ("sub", 5, 7)]
    assert len(lab.lives(rules.adam)) == 14


def test_the_careless_split_leaves_two_powers_in_the_loop_and_the_right_one_none():
    cells = run("the-loop", "powers-in-the-loop")
    assert cells["text"].count("pow(") == 2
    assert "pow(" not in kernel.loop(*kernel.split(rules.adam, cells["kinds"]))
