"""The compiled way of running a rule: what is traced, what is compiled and how often, and where it cannot be."""

import copy
import inspect
import operator
import re
import shutil
import warnings

import numpy
import pytest
import torch
from cases import NAMES, RICH, difference, ours, title
from torch._dynamo.testing import CompileCounterWithBackend

from edu_optim import SGD, Adam, AdamW, execute, from_rule, kernel, rules
from edu_optim.rules import maximum
from edu_optim.signature import signature

RULES = [function for name, function in inspect.getmembers(rules, inspect.isfunction) if name != "maximum"]
pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")
by_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)


@pytest.fixture(autouse=True)
def forgotten(monkeypatch, tmp_path):
    """Each test begins without kernels, in memory and on disk, and without warnings that were given before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    execute._kernel.cache_clear()
    execute._warn.cache_clear()


@pytest.fixture
def programs(monkeypatch):
    """The programs in C that a test has compiled."""
    seen, library = [], kernel.library
    monkeypatch.setattr(kernel, "library", lambda program: seen.append(program) or library(program))
    return seen


def kinds(rule):
    """The kinds of hyper-parameters of a rule whose hyper-parameters are all numbers."""
    return kernel.partition({name: (0.5, 0.5) if name == "betas" else 0.5 for name in signature(rule)[1]})[0]


def walk(cls, run, steps=6, sizes=((3, 4), (5,), ()), scheduler=None, dtype=torch.float64, **options):
    """The parameters after some steps."""
    generator = torch.Generator().manual_seed(0)
    params = [torch.randn(size, generator=generator, dtype=dtype).requires_grad_() for size in sizes]
    optimizer = cls(params, run=run, **options)
    schedule = scheduler and scheduler(optimizer)
    for _ in range(steps):
        for p in params:
            p.grad = torch.randn(p.shape, generator=generator, dtype=dtype)
        optimizer.step()
        if schedule:
            schedule.step()
    return [p.detach() for p in params]


# Tracing


@by_rule
def test_what_is_left_for_the_loop_touches_a_tensor_in_each_of_its_operations(rule):
    numbers, tensors = kernel.split(rule, kinds(rule))
    inputs = tensors.graph.find_nodes(op="placeholder")
    touches = set(inputs[: 2 + len(signature(rule)[0])])
    for node in tensors.graph.nodes:
        if node.op.startswith("call"):
            assert touches & set(node.all_input_nodes), f"{node.format_node()} could be done once a step"
            touches.add(node)
    powers = [node.args[1] for node in tensors.graph.nodes if node.target is operator.pow]
    assert set(powers) <= {2, 0.5}
    assert not any(node.target is operator.truediv and node.args[1] in inputs for node in tensors.graph.nodes)


@by_rule
def test_both_parts_together_are_the_rule(rule):
    letters = signature(rule)[0]
    generator = torch.Generator().manual_seed(0)
    given = [torch.rand(50, generator=generator, dtype=torch.float64) for _ in range(2 + len(letters))]
    if "a" in letters:  # a mean whose square is below the mean of the squares
        given[2 + letters.index("a")] *= 0.1
    values = {name: 0.25 + 0.0625 * index for index, name in enumerate(signature(rule)[1]) if name != "betas"}
    values |= {name: value for name, value in {"t": 3.0, "betas": (0.5, 0.75)}.items() if name in signature(rule)[1]}
    numbers, tensors = kernel.split(rule, kernel.partition(values)[0])
    results = tensors(*given, *numbers(*kernel.partition(values)[1]))
    torch.testing.assert_close(results, list(rule(*given, **values)), rtol=1e-13, atol=0)


def test_the_power_of_beta_is_worked_out_once_a_step_and_not_once_a_weight():
    numbers, tensors = kernel.split(rules.adam, kinds(rules.adam))
    assert [str(node.args[0]) for node in numbers.graph.nodes if node.target is operator.pow] == ["beta1", "beta2"]
    assert "pow(" not in kernel.loop(numbers, tensors)
    assert numbers(2.0, 0.1, 0.5, 0.75, 1e-8)[-2:] == [1 / (1 - 0.25), 1 / (1 - 0.5625)]


@by_rule
def test_the_loop_reads_each_array_once_and_writes_each_but_the_gradient_once(rule):
    text = kernel.loop(*kernel.split(rule, kinds(rule)))
    letters = ["p", "g", *signature(rule)[0]]
    assert re.findall(r"real \w+ = (\w+)_\[i\];", text) == letters
    assert re.findall(r"^ +(\w+)_\[i\] = \w+;", text, re.MULTILINE) == [x for x in letters if x != "g"]


# Compiling, and how often


def schedule_of(name):
    def make(optimizer):
        momentum = name in ("SGD", "Adam", "AdamW")
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=60, cycle_momentum=momentum)

    return make


@pytest.mark.parametrize("name", NAMES)
def test_one_kernel_serves_fifty_steps_under_one_cycle(name, programs):
    options = {"momentum": 0.9} if name == "SGD" else {}
    mine, truth = (
        walk(ours(name), run, steps=50, scheduler=schedule_of(name), **options) for run in ("compiled", "multi_tensor")
    )
    assert difference(mine, truth) < 1e-12
    print(f"{name}: {len(programs)} kernel in 50 steps")
    assert len(programs) == 1


def test_another_model_other_values_and_a_copy_need_no_other_kernel(programs):
    for sizes in [((3, 4), (5,)), ((7,),), ((2, 3, 2, 2), (), (0, 3), (1,))]:
        for options in [{"lr": 0.1}, {"lr": 0.01, "betas": (0.5, 0.75)}, {"lr": torch.tensor(0.5), "eps": 0.1}]:
            mine, truth = (walk(Adam, run, sizes=sizes, **options) for run in ("compiled", "multi_tensor"))
            assert difference(mine, truth) < 1e-12
    assert len(programs) == 1


def test_another_rule_option_or_dtype_needs_another_kernel(programs):
    walk(Adam, "compiled", lr=0.1)
    walk(Adam, "compiled", lr=0.1, amsgrad=True)
    walk(Adam, "compiled", lr=0.1, weight_decay=0.1)
    walk(Adam, "compiled", lr=0.1, maximize=True)
    walk(Adam, "compiled", lr=0.1, dtype=torch.float32)
    assert len(set(programs)) == len(programs) == 5


@pytest.mark.slow
@pytest.mark.parametrize("case", RICH, ids=title)
def test_where_there_is_no_c_torch_compiles_nothing_more_after_the_first_step(case, monkeypatch):
    name, options = case
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: compile(function, backend=counter, fullgraph=True))
    monkeypatch.setattr(kernel, "in_c", kernel.by_torch)
    schedule = schedule_of(name)
    walk(ours(name), "compiled", steps=1, scheduler=schedule, **options)
    graphs = counter.frame_count
    mine, truth = (walk(ours(name), run, steps=50, scheduler=schedule, **options) for run in ("compiled", "per_tensor"))
    assert difference(mine, truth) < 1e-10
    assert 1 <= counter.frame_count == graphs


# Where the loop has more than one block, or a name that C has taken


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 16385, 50_000])
def test_no_element_is_left_out_or_done_twice(size, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        mine, truth = (walk(SGD, run, 2, [(size,)], lr=0.5, momentum=0.5) for run in ("compiled", "per_tensor"))
    finally:
        torch.set_num_threads(before)
    assert difference(mine, truth) < 1e-12


def in_the_words_of_c(double, i, n, inline, *, real, complex=2):
    n = n + i**3 / complex
    inline = maximum(inline, n)
    return double - real * inline + n**0.5 - 1, n, inline


def test_names_that_mean_something_in_c_may_be_used():
    mine, truth = (walk(from_rule(in_the_words_of_c), run, real=0.5) for run in ("compiled", "per_tensor"))
    torch.testing.assert_close(mine, truth, equal_nan=True)


def without_a_number(p, g):
    return (p - g / 2,)


def test_a_rule_may_do_without_numbers(programs):
    mine, truth = (walk(from_rule(without_a_number), run) for run in ("compiled", "per_tensor"))
    assert difference(mine, truth) == 0 and len(programs) == 1


def largest(p, g, v, *, lr):
    v = maximum(v, g)
    return p - lr * v, v


def test_maximum_lets_what_is_no_number_through_as_torch_does():
    nan = float("nan")
    for old, g in [(nan, 1.0), (1.0, nan), (2.0, 1.0), (1.0, 2.0)]:
        rows = [[torch.tensor([value])] for value in (0.0, g, old)]
        expected = largest(*(column[0] for column in rows), lr=0.5)
        execute.compiled(largest, rows, {"lr": 0.5})
        torch.testing.assert_close([rows[0][0], rows[2][0]], list(expected), rtol=0, atol=0, equal_nan=True)


def over_a_number(p, g, *, lr):
    return (p - g / lr,)


@pytest.mark.parametrize("lr", [0.0, -0.0, 1e-320, 1e300])
def test_a_division_by_a_number_gives_what_it_gives_a_tensor(lr):
    mine, truth = ([[torch.tensor([1.0, -2.0])], [torch.tensor([4.0, -8.0])]] for _ in range(2))
    execute.compiled(over_a_number, mine, {"lr": lr})
    execute.per_tensor(over_a_number, truth, {"lr": lr})
    assert torch.equal(mine[0][0], truth[0][0])


def test_torch_is_told_that_the_parameter_was_written_to():
    p = torch.ones(3, requires_grad=True)
    loss = (p**2).sum()
    p.grad = torch.ones(3)
    SGD([p], lr=0.1, run="compiled").step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


# Where there is no kernel


def test_without_a_compiler_it_says_so_once_and_runs_eagerly(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.warns(UserWarning, match="cannot compile adam, .* as run='per_tensor' does: FileNotFoundError") as seen:
        mine = walk(Adam, "compiled", lr=0.1)
    assert len(seen) == 1
    assert difference(mine, walk(Adam, "multi_tensor", lr=0.1)) == 0


def test_a_compiler_that_fails_is_quoted(monkeypatch):
    monkeypatch.setenv("CC", "cc --no-such-flag")
    with pytest.warns(UserWarning, match="no-such-flag"):
        walk(Adam, "compiled", lr=0.1)


def test_a_compiler_that_does_not_know_openmp_will_do(monkeypatch, tmp_path):
    plain = tmp_path / "plain-cc"
    plain.write_text('#!/bin/sh\ncase "$*" in *-fopenmp*) exit 1;; esac\nexec cc "$@"\n')
    plain.chmod(0o755)
    monkeypatch.setenv("CC", str(plain))
    options = {"sizes": [(50_000,)], "lr": 0.1}
    assert difference(walk(Adam, "compiled", **options), walk(Adam, "per_tensor", **options)) < 1e-10


class Marked(torch.Tensor):
    """A tensor of a kind that nobody has heard of."""


def test_a_tensor_of_another_class_is_stepped_eagerly():
    mine, truth = (torch.ones(3).as_subclass(Marked) for _ in range(2))
    for p, run in ((mine, "compiled"), (truth, "multi_tensor")):
        p.grad = torch.ones(3).as_subclass(Marked)
        optimizer = AdamW([p], run=run)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            optimizer.step()
            optimizer.step()
        assert [str(warning.message)[-26:] for warning in seen] == ["a Marked is more than a tensor"[-26:]] * (
            run == "compiled"
        )
    assert torch.equal(mine, truth)


def with_a_branch(p, g, *, lr):
    return (p - lr * g if (g > 0).all() else p,)


def with_a_sine(p, g, *, lr):
    return (p - lr * torch.sin(g),)


@pytest.mark.parametrize("rule, reason", [(with_a_branch, "TraceError"), (with_a_sine, "and rules.maximum, not sin")])
def test_a_rule_that_is_more_than_arithmetic_is_run_eagerly(rule, reason):
    with pytest.warns(UserWarning, match=reason) as seen:
        mine = walk(from_rule(rule), "compiled", lr=0.5)
    assert len(seen) == 1
    assert difference(mine, walk(from_rule(rule), "per_tensor", lr=0.5)) == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("outside", [2, 2.0, numpy.float64(2), torch.tensor(2.0), torch.tensor(2)], ids=repr)
def test_a_number_from_outside_may_be_numpys_or_torchs(outside):
    def doubled(p, g, *, lr):
        return (p - lr * g * outside,)

    assert difference(walk(from_rule(doubled), "compiled", lr=0.1), walk(SGD, "per_tensor", lr=0.2)) < 1e-6


# The default: a kernel where there can be one, and no word where there cannot


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", NAMES)
def test_the_default_is_a_kernel_where_there_is_a_compiler_and_lists_where_there_is_none(name, programs, monkeypatch):
    options = {"momentum": 0.9} if name == "SGD" else {}
    mine, compiled = (walk(ours(name), run, **options) for run in (None, "compiled"))
    assert len(programs) == 1
    torch.testing.assert_close(mine, compiled, rtol=0, atol=0)
    execute._kernel.cache_clear()
    monkeypatch.setenv("CC", "no-such-compiler")
    without, lists = (walk(ours(name), run, **options) for run in (None, "multi_tensor"))
    torch.testing.assert_close(without, lists, rtol=0, atol=0)
    assert difference(mine, without) < 1e-12


@pytest.mark.filterwarnings("error")
def test_the_default_steps_what_no_kernel_can_as_lists():
    p = torch.ones(3).as_subclass(Marked)
    p.grad = torch.ones(3).as_subclass(Marked)
    AdamW([p], lr=0.5, weight_decay=0).step()
    assert p.tolist() == [0.5] * 3


def replaced(params, optimizer):
    optimizer.param_groups[0]["params"][0] = params[0] = torch.full((4,), 2.0, requires_grad=True)


def given_other_data(params, optimizer):
    params[0].data = torch.full((4,), 2.0)


def given_data_of_another_size(params, optimizer):
    params[0].data = torch.full((2,), 2.0)
    optimizer.state.clear()


def given_data_in_double_precision(params, optimizer):
    params[0].data = params[0].data.double()
    for state in optimizer.state.values():
        state.update({key: value.double() for key, value in state.items() if key != "step"})


def resized(params, optimizer):
    params[0].data.resize_(100_000).fill_(2.0)
    optimizer.state.clear()


def moved_to_shared_memory(params, optimizer):
    params[0].data.share_memory_()
    for value in optimizer.state[params[0]].values():
        value.share_memory_()


def transposed(params, optimizer):
    params[0].data = torch.full((4, 2), 2.0)[:, 0]


def joined_by_a_group(params, optimizer):
    params.append(torch.full((3,), 2.0, requires_grad=True))
    optimizer.add_param_group({"params": params[-1:], "lr": 0.05})


def loaded_from_a_checkpoint(params, optimizer):
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))


def given_other_buffers(params, optimizer):
    for state in optimizer.state.values():
        state.update({key: value.clone() for key, value in state.items()})


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        replaced,
        given_other_data,
        given_data_of_another_size,
        given_data_in_double_precision,
        resized,
        moved_to_shared_memory,
        transposed,
        joined_by_a_group,
        loaded_from_a_checkpoint,
        given_other_buffers,
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_kept_from_step_to_step_that_can_go_stale(name, change):
    """Each gradient is a new tensor as well."""

    def train(run):
        params = [torch.full((4,), 1.0, requires_grad=True), torch.full((2, 2), -1.0, requires_grad=True)]
        optimizer = ours(name)(params, lr=0.1, run=run, **({"momentum": 0.9} if name == "SGD" else {}))
        for t in range(6):
            if t == 3:
                change(params, optimizer)
            for p in params:
                p.grad = (p.detach() * (t + 1)).cos()
            optimizer.step()
        return params

    torch.testing.assert_close(train(None), train("per_tensor"))


def test_a_buffer_of_another_size_is_refused_before_anything_is_written():
    rows = [[torch.ones(3)], [torch.ones(3)], [torch.zeros(2)]]
    with pytest.raises(ValueError, match="each buffer as large as its parameter"):
        execute.compiled(rules.momentum, rows, {"lr": 0.5, "momentum": 0.5, "dampening": 0})
    assert rows[0][0].tolist() == [1, 1, 1]


def test_a_dtype_that_c_does_not_have_is_refused():
    with pytest.raises(TypeError, match="dtype must be one of torch.float32, torch.float64, got torch.int32"):
        kernel.in_c(rules.gradient_descent, kinds(rules.gradient_descent), torch.int32)
