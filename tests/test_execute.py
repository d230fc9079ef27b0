"""Arithmetic on lists, the ways of running a rule, and the optimizer class of a rule."""

import copy
import functools
import inspect
import operator
import pickle

import numpy
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from edu_optim import SGD, Adagrad, Adam, AdamW, RMSprop, descend, execute, from_rule, problems, rules
from edu_optim.execute import EXECUTORS, multi_tensor, per_tensor
from edu_optim.foreach import TensorList
from edu_optim.signature import signature

RULES = [function for name, function in inspect.getmembers(rules, inspect.isfunction) if name != "maximum"]
OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
NUMBERS = [2, 2.5, numpy.float64(2.5), numpy.float32(2.5), numpy.int64(2)]
TENSORS = [torch.tensor(2.5), torch.tensor([2.0, 3.0]), torch.tensor(2.5, dtype=torch.float64)]
named = {"ids": lambda value: getattr(value, "__name__", None) or repr(value).replace("torch.", "")}


def x():
    return TensorList([torch.tensor([1.0, 2.0]), torch.tensor([[3.0], [4.0]])])


def assert_same(actual, expected):
    assert type(actual) is TensorList
    torch.testing.assert_close(actual.tensors, expected, rtol=0, atol=0)


@pytest.mark.parametrize("operation", OPERATORS, **named)
@pytest.mark.parametrize("other", NUMBERS + TENSORS, **named)
def test_a_list_and_one_operand_give_what_each_tensor_gives(operation, other):
    plain = float(other) if isinstance(other, numpy.generic) else other
    assert_same(operation(x(), other), [operation(tensor, plain) for tensor in x().tensors])
    assert_same(operation(other, x()), [operation(plain, tensor) for tensor in x().tensors])


@pytest.mark.parametrize("operation", [*OPERATORS, TensorList.maximum], **named)
def test_two_lists_give_what_each_pair_of_tensors_gives(operation):
    other = TensorList([torch.tensor([3.0, 0.5]), torch.tensor([[2.0], [5.0]])])
    alone = torch.maximum if operation is TensorList.maximum else operation
    assert_same(operation(x(), other), [alone(a, b) for a, b in zip(x().tensors, other.tensors, strict=True)])
    assert_same(-x(), [-tensor for tensor in x().tensors])


@pytest.mark.parametrize("operation", [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow])
@pytest.mark.parametrize("other", [2, x()], ids=["number", "list"])
def test_an_augmented_assignment_is_arithmetic_too_and_changes_nothing_in_place(operation, other):
    plain = getattr(operator, operation.__name__[1:])
    before = x()
    assert_same(operation(before, other), plain(x(), other).tensors)
    assert_same(before, x().tensors)


@pytest.mark.parametrize(
    "asks",
    [len, sum, max, bool, abs, iter, lambda g: g[0], lambda g: g == 0, lambda g: g != 0, lambda g: g > 0]
    + [lambda g: g.sum(), lambda g: g @ g, lambda g: torch.sqrt(g)],
)
def test_what_is_not_elementwise_stops_with_an_error(asks):
    with pytest.raises((TypeError, AttributeError)):
        asks(x())


def stepped(cls, steps=5, **options):
    """Two parameters after some steps."""
    parameters = [torch.tensor([1.0, -2.0], dtype=torch.float64), torch.tensor([[0.5]], dtype=torch.float64)]
    optimizer = cls(parameters, **options)
    for t in range(steps):
        for parameter in parameters:
            parameter.grad = (parameter + t) ** 3
        optimizer.step()
    return parameters


def assert_equal(actual, expected, run="eager"):
    """Every way of running a rule eagerly gives the same bits; a kernel rounds otherwise."""
    torch.testing.assert_close(actual, expected, rtol=1e-12 if run == "compiled" else 0, atol=0)


@pytest.mark.parametrize("number", [numpy.float64, numpy.float32])
@pytest.mark.parametrize("cls", [SGD, Adagrad, Adam, AdamW])
@pytest.mark.parametrize("run", EXECUTORS)
def test_numbers_of_numpy_are_hyper_parameters_too(cls, number, run):
    lr = number(0.125)
    expected = stepped(cls, lr=0.125, weight_decay=0.25, run="per_tensor")
    assert_equal(stepped(cls, lr=lr, weight_decay=number(0.25), run=run), expected, run)


def backwards(rule, columns, hyper):
    """A reader's executor: one tensor at a time, the last one first."""
    per_tensor(rule, [column[::-1] for column in columns], hyper)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_way_of_running_a_rule_gives_the_same_numbers(rule):
    options = {"lr": 0.05, "weight_decay": 0.1, "maximize": True}
    expected = stepped(from_rule(rule), run="per_tensor", **options)
    for run in ["multi_tensor", "compiled", per_tensor, multi_tensor, backwards]:
        assert_equal(stepped(from_rule(rule), run=run, **options), expected, run)


@pytest.fixture
def ran(monkeypatch):
    """The executors that ran, by name."""
    seen = []
    for name in EXECUTORS:
        monkeypatch.setitem(EXECUTORS, name, lambda *args, name=name: seen.append(name))
    monkeypatch.setattr(execute, "fastest", lambda *args: seen.append("fastest"))
    return seen


def test_the_executor_named_is_the_one_that_runs(ran):
    stepped(Adam, steps=1)
    stepped(Adam, steps=1, run="multi_tensor")
    stepped(Adam, steps=1, run=lambda *args: ran.append("mine"))
    stepped(from_rule(rules.adam), steps=1, lr=0.1)
    stepped(from_rule(rules.adam), steps=1, lr=0.1, run=None)
    assert ran == ["fastest", "multi_tensor", "mine", "per_tensor", "fastest"]


SWITCHES = {
    (None, None): "fastest",
    (True, None): "multi_tensor",
    (True, False): "multi_tensor",
    (False, None): "per_tensor",
    (None, False): "per_tensor",
    (False, False): "per_tensor",
    (None, True): "compiled",
    (False, True): "compiled",
}


@pytest.mark.parametrize("switches, expected", SWITCHES.items())
def test_torchs_switches_are_other_words_for_run(ran, switches, expected):
    """In the constructor, in a group, and in a checkpoint of torch's that is loaded."""
    asked = dict(zip(("foreach", "fused"), switches, strict=True))
    stepped(Adam, steps=1, **asked)
    p, q = (torch.ones(2, requires_grad=True) for _ in range(2))
    p.grad = q.grad = torch.ones(2)
    optimizer = Adam([{"params": [p], **asked}, {"params": [q]}])
    optimizer.step()
    loaded = Adam([p])
    loaded.load_state_dict(torch.optim.Adam([p], **asked).state_dict())
    loaded.step()
    assert ran == [expected, expected, "fastest", expected]


def test_a_run_that_is_given_is_kept_when_a_checkpoint_asks_for_another(ran):
    p = torch.ones(2, requires_grad=True)
    p.grad = torch.ones(2)
    optimizer = Adam([p], run="per_tensor")
    optimizer.load_state_dict(torch.optim.Adam([p], fused=True).state_dict())
    optimizer.step()
    assert ran == ["per_tensor"]


@pytest.mark.parametrize("asked", [{"foreach": True}, {"foreach": False}, {"fused": True}, {"fused": False}])
def test_torchs_switches_beside_run_are_refused(asked):
    p = torch.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match="foreach and fused must be None beside run='multi_tensor'"):
        Adam([p], run="multi_tensor", **asked)
    with pytest.raises(ValueError, match="foreach and fused must be None beside run='multi_tensor'"):
        Adam([{"params": [p], **asked}], run="multi_tensor")
    with pytest.raises(ValueError, match="must not both be True"):
        Adam([p], foreach=True, fused=True)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda optimizer: pickle.loads(pickle.dumps(optimizer))])
@pytest.mark.parametrize("cls", [Adam, from_rule(rules.adam)], ids=["class", "from_rule"])
@pytest.mark.parametrize("run", ["per_tensor", "compiled", backwards], ids=["name", "compiled", "callable"])
def test_a_copy_keeps_its_run_and_steps_as_the_original_would(copied, cls, run):
    parameter = torch.tensor([1.0, -2.0], requires_grad=True)
    optimizer = cls([parameter], lr=0.1, run=run)
    twin = None
    for t in range(6):
        if t == 3:
            twin = copied(optimizer)
        for one in filter(None, (optimizer, twin)):
            (p,) = one.param_groups[0]["params"]
            p.grad = torch.tensor([1.0, 2.0]) * t
            one.step()
    assert type(twin) is cls and twin.run == run
    assert twin.param_groups[0]["params"][0] is not parameter
    assert_equal(twin.param_groups[0]["params"][0], parameter)


class Launches(TorchDispatchMode):
    """Counts the operations that reach a device."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def launches(execute, rule, tensors):
    """What the executor launches to run the rule on so many tensors, with every hyper-parameter at its default."""
    hyper = {"lr": 0.1, **(rule.__kwdefaults__ or {}), **({"t": 1} if "t" in signature(rule)[1] else {})}
    columns = [[torch.ones(3) for _ in range(tensors)] for _ in range(2 + len(signature(rule)[0]))]
    with Launches() as seen:
        execute(rule, columns, hyper)
    return seen.count


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_launches_of_multi_tensor_do_not_grow_with_the_number_of_tensors(rule):
    assert launches(multi_tensor, rule, 20) == launches(multi_tensor, rule, 2)
    assert launches(per_tensor, rule, 20) == 10 * launches(per_tensor, rule, 2)


@pytest.mark.parametrize("options", [{"weight_decay": 0.1}, {"maximize": True}, {"eps": torch.tensor(0.5)}], ids=str)
def test_options_do_not_make_the_launches_of_a_step_grow_either(options):
    counts = []

    def counted(*args):
        with Launches() as seen:
            multi_tensor(*args)
        counts.append(seen.count)

    for tensors in (2, 20):
        parameters = [torch.ones(3) for _ in range(tensors)]
        for parameter in parameters:
            parameter.grad = torch.ones(3)
        AdamW(parameters, run=counted, **options).step()
        Adam(parameters, run=counted, **options).step()
    assert counts[:2] == counts[2:]


def test_a_thousand_settings_descend_at_once_as_each_would_alone():
    number = 1000
    betas = (torch.linspace(0, 0.95, number)[:, None], torch.linspace(0.999, 0.9, number)[:, None])
    settings = {"lr": torch.logspace(-4, -1, number)[:, None], "eps": torch.logspace(-8, 0, number)[:, None]}
    settings = {name: value.double() for name, value in settings.items()}
    betas = tuple(beta.double() for beta in betas)
    start = torch.tensor([-1.2, 1.0], dtype=torch.float64)
    trace = descend(problems.rosenbrock, Adam, 100, start.expand(number, 2), betas=betas, **settings)
    assert trace.points.shape == (101, number, 2)
    for index in range(0, number, 111):
        alone = {name: value[index].item() for name, value in settings.items()}
        alone["betas"] = tuple(beta[index].item() for beta in betas)
        expected = descend(problems.rosenbrock, Adam, 100, start, **alone)
        torch.testing.assert_close(trace.points[:, index], expected.points, rtol=1e-9, atol=0)
    assert len(trace.losses[-1].unique()) == number


GRID = torch.tensor([0.1, 0.3], dtype=torch.float64)[:, None]


@pytest.mark.parametrize(
    "cls, options",
    [
        (SGD, {"momentum": GRID, "dampening": GRID, "weight_decay": GRID}),
        (SGD, {"momentum": GRID, "nesterov": True}),
        (Adagrad, {"lr_decay": GRID, "initial_accumulator_value": GRID, "eps": GRID}),
        (RMSprop, {"alpha": GRID, "momentum": GRID, "centered": True, "eps": GRID}),
        (AdamW, {"weight_decay": GRID, "amsgrad": True}),
    ],
    ids=["SGD", "Nesterov", "Adagrad", "RMSprop", "AdamW"],
)
@pytest.mark.parametrize("run", EXECUTORS)
def test_every_number_among_the_options_may_be_a_tensor(cls, options, run):
    start = torch.tensor([1.0, -2.0], dtype=torch.float64)
    trace = descend(problems.booth, cls, 5, start.expand(2, 2), run=run, lr=0.01 * GRID, **options)
    for index, number in enumerate([0.1, 0.3]):
        alone = {name: number if value is GRID else value for name, value in options.items()}
        expected = descend(problems.booth, cls, 5, start, lr=0.01 * number, **alone)
        torch.testing.assert_close(trace.points[:, index], expected.points, rtol=1e-12, atol=0)


def returns_no_tuple(p, g, *, lr):
    return p - lr * g


def forgets_its_buffer(p, g, b, *, lr):
    return (p - lr * (g + b),)


def returns_the_gradient_too(p, g, *, lr):
    return p - lr * g, g


@pytest.mark.parametrize("run", EXECUTORS)
@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1}], ids=["plain", "decay"])
@pytest.mark.parametrize(
    "rule, expected, seen",
    [
        (returns_no_tuple, 1, {"per_tensor": "Tensor", "multi_tensor": "TensorList", "compiled": "Tensor"}),
        (forgets_its_buffer, 2, dict.fromkeys(EXECUTORS, "1 values")),
        (returns_the_gradient_too, 1, dict.fromkeys(EXECUTORS, "2 values")),
    ],
)
def test_a_rule_that_returns_something_else_is_refused_by_name(rule, expected, seen, run, options):
    parameter = torch.ones(2)
    parameter.grad = torch.ones(2)
    optimizer = from_rule(rule)([parameter], lr=0.1, run=run, **options)
    with pytest.raises(TypeError) as error:
        optimizer.step()
    assert f"{rule.__name__!r} returned {seen[run]}; it must return a tuple of {expected}" in str(error.value)
    assert parameter.tolist() == [1.0, 1.0]


def typed_by_a_reader(p, g, m, *, t, beta=0.5, lr):
    m = beta * m + (1 - beta) * g
    return p - lr * m / (1 - beta**t), m


def test_the_options_of_the_class_are_the_keywords_of_the_rule():
    cls = from_rule(typed_by_a_reader)
    assert cls.__name__ == "typed_by_a_reader"
    parameters = inspect.signature(cls).parameters
    assert set(parameters) == {"params", "lr", "beta", "weight_decay", "maximize", "run"}
    assert parameters["lr"].default is inspect.Parameter.empty
    assert cls([torch.ones(2)], lr=0.1).defaults == {"lr": 0.1, "beta": 0.5, "weight_decay": 0, "maximize": False}
    assert from_rule(rules.adamw)([torch.ones(2)], lr=0.1).defaults["weight_decay"] == 0.01
    with pytest.raises(TypeError, match="'lr'"):
        cls([torch.ones(2)])


def test_a_rule_typed_by_a_reader_steps_as_worked_by_hand():
    parameter = torch.tensor([1.0])
    optimizer = from_rule(typed_by_a_reader)([parameter], lr=0.5)
    for g, expected in [(1.0, 0.5), (4.0, 0.5 - 0.5 * 2.25 / 0.75)]:
        parameter.grad = torch.tensor([g])
        optimizer.step()
        assert parameter.item() == expected
    assert set(optimizer.state[parameter]) == {"step", "m"}


def polyak(p, g, before, *, lr, beta):
    return p - lr * g + beta * (p - before), p


@pytest.mark.parametrize("run", EXECUTORS)
def test_a_rule_may_keep_an_argument_as_it_was(run):
    p = torch.tensor([1.0], requires_grad=True)
    optimizer = from_rule(polyak)([p], lr=0.5, beta=0.25, run=run)
    for expected in (1 - 0.5 + 0.25, 0.75 - 0.5 + 0.25 * (0.75 - 1)):
        p.grad = torch.tensor([1.0])
        optimizer.step()
        assert p.item() == expected
    assert optimizer.state[p]["before"].item() == 0.75


def test_one_rule_has_one_class():
    assert from_rule(rules.adam) is from_rule(rules.adam)
    assert from_rule(rules.adam) is not from_rule(rules.amsgrad)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_decay_and_maximize_change_the_gradient_of_any_rule(rule):
    cls = from_rule(rule)
    climbing = stepped(cls, lr=0.05, maximize=True, weight_decay=0)
    torch.testing.assert_close(climbing, by_hand(rule, lambda p, g: -g), rtol=1e-12, atol=0)
    if "weight_decay" not in signature(rule)[1]:
        decayed = stepped(cls, lr=0.05, maximize=True, weight_decay=0.1)
        torch.testing.assert_close(decayed, by_hand(rule, lambda p, g: -g + 0.1 * p), rtol=1e-12, atol=0)


def by_hand(rule, change):
    """The same five steps as `stepped`, with a gradient changed by ``change``."""
    ends = []
    for p in (torch.tensor([1.0, -2.0], dtype=torch.float64), torch.tensor([[0.5]], dtype=torch.float64)):
        buffers = [0.0] * len(signature(rule)[0])
        for t in range(5):
            hyper = {"lr": 0.05, "t": t + 1, "weight_decay": 0}
            hyper = {name: value for name, value in hyper.items() if name in signature(rule)[1]}
            p, *buffers = rule(p, change(p, (p + t) ** 3), *(b + torch.zeros_like(p) for b in buffers), **hyper)
        ends.append(p)
    return ends


def without_the_star(p, g, m, t, lr, beta):
    return p - lr * g, m


def with_a_hyper_parameter_before_the_star(p, g, lr, *, t):
    return (p - lr * g,)


def with_nothing_but_a_parameter(p, *, lr):
    return (p - lr,)


def with_any_keywords(p, g, **hyper):
    return (p - hyper["lr"] * g,)


@pytest.mark.parametrize(
    "rule, words",
    [
        (without_the_star, "after a *, t and the hyper-parameters by keyword, got without_the_star(p, g, m, t, lr,"),
        (with_a_hyper_parameter_before_the_star, "by keyword, got with_a_hyper_parameter_before_the_star(p, g, lr"),
        (with_nothing_but_a_parameter, "must take the parameter, the gradient"),
        (with_any_keywords, "must take the parameter, the gradient"),
        (functools.wraps(rules.adam)(lambda *args, **hyper: rules.adam(*args, **hyper)), "got adam(*args, **hyper)"),
        ("adam", "rule must be a function, got 'adam'"),
    ],
)
def test_what_is_not_a_rule_is_refused(rule, words):
    with pytest.raises(TypeError) as error:
        from_rule(rule)
    assert words in str(error.value)
