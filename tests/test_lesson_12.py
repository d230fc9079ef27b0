"""What lesson 12 counts and claims, against counts of its own."""

import inspect
import re

import pytest
import torch
from cells import Lesson
from torch.utils._python_dispatch import TorchDispatchMode

from edu_optim import kernel, rules
from edu_optim.execute import multi_tensor, per_tensor
from edu_optim.exercises.lesson_12 import EXERCISES
from edu_optim.lab import lesson_12 as lab
from edu_optim.lab import lesson_12_memory as memory
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
    experiment = lab.play(lambda rule: (17, 152), lab.PRICES)
    first = experiment.numbers
    for name, value in {"rule": "AMSGrad", "weights": 100, "kept": True}.items():
        other = experiment.at(**{name: value}).numbers
        assert other["lists against the loop"] != first["lists against the loop"]


def test_the_bill_of_the_experiment_is_the_one_by_hand():
    cells = run("prices", "bill")
    assert lab.bills(17, 152, 7, 12_000_000) == cells["bills"]


def test_the_bill_is_by_the_prices_that_it_is_given():
    prices = dict(zip(lab.PRICES, (1.0, 2.0, 3.0, 5.0, 7.0), strict=True))
    assert lab.bill(10, 100, 1000, 10_000, prices) == dict(zip(lab.COLORS, (1, 20, 300, 5000, 70_000), strict=True))
    found = lab.bills(17, 152, 7, 2**23, prices=prices)
    assert found["lists"]["page faults"] == 7 * 14 * 4 * 2**23 / 4096
    assert lab.bills(17, 152, 7, 2**23, True, prices)["lists"]["page faults"] == 0
    assert found["loop in C"] == dict(zip(lab.COLORS, (1, 2, 3 * 28 * 2**23, 0, 0), strict=True))
    mine = lab.play(lambda rule: (17, 152), prices).at(weights=200, mine=True).numbers
    assert mine["loop in C, milliseconds by the bill"] == pytest.approx(1e3 * (1 + 2 + 3 * 28 * 200))


def test_prices_and_clocks_here_have_the_shape_of_those_stored():
    assert list(lab.prices_here(500)) == list(lab.PRICES)
    assert all(price >= 0 for price in lab.prices_here(500).values())
    assert list(lab.clocks_here(500)) == ["lists", "torch's default", "loop in C"]


def test_a_price_of_nothing_is_drawn():
    prices = lab.PRICES | {"page fault": 0.0, "result": 0.0}
    fig = lab.bill_here(prices, {"lists": 0.1, "torch's default": 0.04, "loop in C": 0.01})
    fig.draw_without_rendering()
    assert "page fault: 0 ns" in [label.get_text() for label in fig.axes[0].get_yticklabels()]


def test_what_the_fourth_executor_adds_is_eight_bytes_a_weight_and_column():
    class Laid(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if function.overloadpacket.__name__ == "cat":
                self.count += sum(part.nbytes for part in args[0]) + result.nbytes
            return result

    for rule, columns in ((rules.gradient_descent, 2), (rules.adam, 4)):
        tensors = [[torch.ones(30, 2), torch.ones(40)] for _ in range(columns)]
        settings = {"lr": 0.1} | ({"t": 1} if rule is rules.adam else {})
        with Laid() as laid:
            EXERCISES[0].reference(rule, tensors, settings)
        assert laid.count == 8 * 100 * columns


def test_the_clock_is_read_when_it_is_ticked():
    measured = lab.play(lambda rule: (17, 152), lab.PRICES).at(weights=200, mine=True).numbers
    clock = {name: value for name, value in measured.items() if name.endswith("by the clock")}
    assert len(clock) == 2
    assert all(0 < value < 1000 for value in clock.values())


def test_lists_have_no_clock_beside_a_bill_with_memory_kept():
    seen = lab.play(lambda rule: (17, 152), lab.PRICES).at(weights=200, mine=True, kept=True)
    assert seen.numbers["lists, milliseconds by the clock"] == "none with memory kept"
    (marks,) = seen.fig.axes[0].get_lines()
    assert list(marks.get_ydata()) == [list(lab.RUNS).index("loop in C")]


def test_a_temporary_lives_from_its_launch_to_the_last_that_reads_it():
    """Momentum, by hand: momentum * b, (1 - dampening) * g, their sum, lr * b, the new p; then p and b are written."""
    assert memory.lives(rules.momentum) == [("mul", 1, 3), ("mul", 2, 3), ("add", 3, 7), ("mul", 4, 5), ("sub", 5, 7)]
    assert len(memory.lives(rules.adam)) == 14


def test_the_bill_of_foreach_counts_what_its_launches_read_write_and_make():
    """By hand: m and g in, m out; v twice; v and g in, v out; v in, a root out; the root twice, and twice; p, m and
    the root in, p out."""
    cells = run("prices", "bill", "foreach-counted", "foreach-bill")
    assert [moved // 4000 for _, moved in cells["seen"].each] == [3, 2, 3, 2, 2, 2, 4]
    seen, weights = cells["seen"], 12_000_000
    assert (seen.launches, seen.bytes, seen.results, seen.made) == (7, 72_000, 1000, 1)
    price = lab.PRICES
    by_hand = price["Python"] + 7 * price["launch"] + weights * (72 * price["byte"] + price["result"])
    assert sum(cells["foreach"].values()) == pytest.approx(by_hand + weights * 4 / 4096 * price["page fault"])


def test_the_bill_of_the_default_is_that_of_its_counts():
    prices = dict(zip(lab.PRICES, (1.0, 2.0, 3.0, 5.0, 7.0), strict=True))
    by_torch = lab.bills_here(prices, 2**23)["torch's default"]
    by_hand = (1, 7 * 2, 72 * 2**23 * 3, 2 * 2**23 * 5, 2 * 2**13 * 7)
    assert by_torch == dict(zip(lab.COLORS, by_hand, strict=True))
    assert lab.bills_here(prices, 2**23 - 1)["torch's default"]["page faults"] == 0
