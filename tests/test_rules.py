"""The rules: plain arithmetic that means the same on every kind of argument."""

import ast
import inspect

import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edu_optim import SGD, Adadelta, Adagrad, Adam, AdamW, RMSprop, rules
from edu_optim.foreach import TensorList
from edu_optim.signature import signature

BETAS = (0.5, 0.75)

# Two steps from p = 1 and buffers of zero, with the gradients 2 and then 1: hyper-parameters, (p, *buffers) after
# the first step, and after the second. Worked by hand.
BY_HAND = {
    rules.gradient_descent: ({"lr": 0.25}, (1 - 0.25 * 2,), (0.5 - 0.25 * 1,)),
    rules.momentum: (
        {"lr": 0.25, "momentum": 0.5, "dampening": 0.75},
        (1 - 0.25 * 0.5, 0.25 * 2),
        (0.875 - 0.25 * 0.5, 0.5 * 0.5 + 0.25 * 1),
    ),
    rules.nesterov: (
        {"lr": 0.25, "momentum": 0.5},
        (1 - 0.25 * (2 + 0.5 * 2), 2),
        (0.25 - 0.25 * (1 + 0.5 * 2), 0.5 * 2 + 1),
    ),
    rules.adagrad: ({"lr": 0.5, "eps": 0.5}, (1 - 0.5 * 2 / 2.5, 4), (0.6 - 0.5 * 1 / (5**0.5 + 0.5), 4 + 1)),
    rules.rmsprop: (
        {"lr": 0.5, "alpha": 0.75, "eps": 1.0},
        (1 - 0.5 * 2 / (1 + 1), 0.25 * 4),
        (0.5 - 0.5 * 1 / (1 + 1), 0.75 * 1 + 0.25 * 1),
    ),
    rules.rmsprop_centered: (
        {"lr": 0.5, "alpha": 0.5, "eps": 1.0},
        (1 - 0.5 * 2 / ((2 - 1) ** 0.5 + 1), 0.5 * 4, 0.5 * 2),
        (0.5 - 0.5 * 1 / ((1.5 - 1) ** 0.5 + 1), 0.5 * 2 + 0.5 * 1, 0.5 * 1 + 0.5 * 1),
    ),
    rules.rmsprop_momentum: (
        {"lr": 0.5, "alpha": 0.75, "eps": 1.0, "momentum": 0.5},
        (1 - 0.5 * 1, 1, 2 / (1 + 1)),
        (0.5 - 0.5 * 1, 1, 0.5 * 1 + 1 / (1 + 1)),
    ),
    rules.rmsprop_centered_momentum: (
        {"lr": 0.5, "alpha": 0.5, "eps": 1.0, "momentum": 0.5},
        (1 - 0.5 * 1, 2, 1, 2 / (1 + 1)),
        (0.5 - 0.5 * (0.5 + 1 / (0.5**0.5 + 1)), 1.5, 1, 0.5 * 1 + 1 / (0.5**0.5 + 1)),
    ),
    rules.adadelta: (
        {"lr": 0.5, "rho": 0.25, "eps": 1.0},
        (1 - 0.5 * 1, 0.75 * 4, 0.75 * (1**0.5 / 4**0.5 * 2) ** 2),
        (0.5 - 0.5 * (1.75 / 2.5) ** 0.5, 0.25 * 3 + 0.75 * 1, 0.25 * 0.75 + 0.75 * (1.75 / 2.5)),
    ),
    rules.adam: (
        {"lr": 0.25, "betas": BETAS, "eps": 0.5},
        (1 - 0.25 * 2 / (2 + 0.5), 0.5 * 2, 0.25 * 4),
        (0.8 - 0.25 * (4 / 3) / ((16 / 7) ** 0.5 + 0.5), 0.5 * 1 + 0.5 * 1, 0.75 * 1 + 0.25 * 1),
    ),
    rules.amsgrad: (
        {"lr": 0.25, "betas": (0.5, 0.5), "eps": 0.5},
        (1 - 0.25 * 2 / (2 + 0.5), 1, 2, 2),
        (0.8 - 0.25 * (4 / 3) / ((2 / 0.75) ** 0.5 + 0.5), 0.5 * 1 + 0.5 * 1, 0.5 * 2 + 0.5 * 1, 2),
    ),
    rules.adamw: (
        {"lr": 0.25, "betas": BETAS, "eps": 0.5, "weight_decay": 0.4},
        (1 - 0.1 - 0.2, 1, 1),
        (0.7 - 0.07 - 0.25 * (4 / 3) / ((16 / 7) ** 0.5 + 0.5), 1, 1),
    ),
    rules.adamw_amsgrad: (
        {"lr": 0.25, "betas": (0.5, 0.5), "eps": 0.5, "weight_decay": 0.4},
        (1 - 0.1 - 0.2, 1, 2, 2),
        (0.7 - 0.07 - 0.25 * (4 / 3) / ((2 / 0.75) ** 0.5 + 0.5), 1, 1.5, 2),
    ),
}
RULES = [function for name, function in inspect.getmembers(rules, inspect.isfunction) if name != "maximum"]
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)


def run(rule, p, gradients, buffers, hyper):
    """(p, *buffers) after each of the gradients."""
    results, state = [], (p, *buffers)
    for t, g in enumerate(gradients, 1):
        step = {"t": t} if "t" in signature(rule)[1] else {}
        state = rule(state[0], g, *state[1:], **step, **hyper)
        results.append(state)
    return results


@each_rule
def test_two_steps_on_floats_are_those_worked_by_hand(rule):
    hyper, first, second = BY_HAND[rule]
    results = run(rule, 1.0, [2.0, 1.0], [0.0] * (len(first) - 1), hyper)
    assert results[0] == pytest.approx(first, rel=1e-14)
    assert results[1] == pytest.approx(second, rel=1e-14)


p, g, b, s, a, u, m, v, v_max = sympy.symbols("p g b s a u m v v_max", positive=True)
lr, mu, damp, eps, alpha, rho, decay, t = sympy.symbols("lr mu damp eps alpha rho decay t", positive=True)
beta1, beta2 = sympy.symbols("beta1 beta2", positive=True)
before = sympy.symbols("before", real=True)  # the point before p


def decaying_mean(weight, old, new):
    return new + weight * (old - new)


def rms(gradient_mean_square):
    return sympy.sqrt(gradient_mean_square)


# The second form of Kingma & Ba 2015, end of section 2, with eps in the place that makes it the first form.
CORRECTION = sympy.sqrt(1 - beta2**t) / (1 - beta1**t)
ADAM_M = decaying_mean(beta1, m, g)
ADAM_V = decaying_mean(beta2, v, g**2)
LARGEST = sympy.Max(v_max, ADAM_V)


def adam_step(second_moment):
    return lr * CORRECTION * ADAM_M / (sympy.sqrt(second_moment) + eps * sympy.sqrt(1 - beta2**t))


MEAN_SQUARE = decaying_mean(alpha, s, g**2)
VARIANCE = MEAN_SQUARE - decaying_mean(alpha, a, g) ** 2
ZEILER_S = decaying_mean(rho, s, g**2)
ZEILER_STEP = -sympy.sqrt(u + eps) / sympy.sqrt(ZEILER_S + eps) * g
ADAM = {"t": t, "lr": lr, "betas": (beta1, beta2), "eps": eps}
RMS = {"lr": lr, "alpha": alpha, "eps": eps}

# Arguments, keywords and the new p, in the form of the paper that the rule's docstring names.
PAPERS = {
    rules.gradient_descent: ((p, g), {"lr": lr}, p - lr * g),
    # Polyak: a step against the gradient plus a part of the last step, p - before = -lr b
    rules.momentum: (
        (p, g, (before - p) / lr),
        {"lr": lr, "momentum": mu, "dampening": damp},
        p - (1 - damp) * lr * g + mu * (p - before),
    ),
    # Bengio et al., equation 7 with a velocity of opposite sign and constant momentum
    rules.nesterov: ((p, g, b), {"lr": lr, "momentum": mu}, p - lr * mu**2 * b - (1 + mu) * lr * g),
    rules.adagrad: ((p, g, s), {"lr": lr, "eps": eps}, p - lr / (eps + rms(s + g * g)) * g),
    rules.rmsprop: ((p, g, s), RMS, p - lr * g / (rms(MEAN_SQUARE) + eps)),
    rules.rmsprop_centered: ((p, g, s, a), RMS, p - lr * g / (rms(VARIANCE) + eps)),
    rules.rmsprop_momentum: (
        (p, g, s, (before - p) / lr),
        {**RMS, "momentum": mu},
        p + mu * (p - before) - lr * g / (rms(MEAN_SQUARE) + eps),
    ),
    rules.rmsprop_centered_momentum: (
        (p, g, s, a, (before - p) / lr),
        {**RMS, "momentum": mu},
        p + mu * (p - before) - lr * g / (rms(VARIANCE) + eps),
    ),
    rules.adadelta: ((p, g, s, u), {"lr": lr, "rho": rho, "eps": eps}, p + lr * ZEILER_STEP),
    rules.adam: ((p, g, m, v), ADAM, p - adam_step(ADAM_V)),
    rules.amsgrad: ((p, g, m, v, v_max), ADAM, p - adam_step(LARGEST)),
    rules.adamw: ((p, g, m, v), {**ADAM, "weight_decay": decay}, (1 - lr * decay) * p - adam_step(ADAM_V)),
    rules.adamw_amsgrad: (
        (p, g, m, v, v_max),
        {**ADAM, "weight_decay": decay},
        (1 - lr * decay) * p - adam_step(LARGEST),
    ),
}
# The new value of each buffer, and of those that share a letter and no formula.
BUFFERS = {
    "s": MEAN_SQUARE,
    "a": decaying_mean(alpha, a, g),
    "u": decaying_mean(rho, u, ZEILER_STEP**2),
    "m": ADAM_M,
    "v": ADAM_V,
    "v_max": LARGEST,
    (rules.adagrad, "s"): s + g * g,
    (rules.adadelta, "s"): ZEILER_S,
    (rules.momentum, "b"): mu * (before - p) / lr + (1 - damp) * g,
    (rules.nesterov, "b"): mu * b + g,
    (rules.rmsprop_momentum, "b"): mu * (before - p) / lr + g / (rms(MEAN_SQUARE) + eps),
    (rules.rmsprop_centered_momentum, "b"): mu * (before - p) / lr + g / (rms(VARIANCE) + eps),
}


def is_zero(difference):
    remainder = sympy.symbols("remainder", positive=True)  # as 1 - beta2**t is for beta2 in [0, 1)
    exact = sympy.nsimplify(difference, rational=True).subs(beta2**t, 1 - remainder)
    return sympy.simplify(exact) == 0


@each_rule
def test_on_symbols_a_rule_is_the_formula_of_its_paper(rule):
    arguments, hyper, point = PAPERS[rule]
    new_p, *new_buffers = rule(*arguments, **hyper)
    assert is_zero(new_p - point)
    for letter, buffer in zip(signature(rule)[0], new_buffers, strict=True):
        assert is_zero(buffer - BUFFERS.get((rule, letter), BUFFERS.get(letter))), letter


def arguments_of(rule, shape, seed=0):
    """A parameter, a gradient and buffers as they may come up: a mean square is above the square of the mean."""
    generator = torch.Generator().manual_seed(seed)
    lowest = {"s": 4.0}
    return [
        torch.rand(shape, generator=generator, dtype=torch.float64) + lowest.get(name, 0.5)
        for name in ("p", "g", *signature(rule)[0])
    ]


def spread(state):
    return [tensor for value in state for tensor in (value.tensors if isinstance(value, TensorList) else [value])]


def untouched(rule, arguments, hyper):
    """The rule's results, after a look that its arguments are as they were."""
    before = [tensor.clone() for tensor in spread(arguments)]
    results = rule(*arguments, **hyper)
    torch.testing.assert_close(spread(arguments), before, rtol=0, atol=0)
    assert not {tensor.data_ptr() for tensor in spread(results)} & {tensor.data_ptr() for tensor in spread(arguments)}
    return results


def hyper_of(rule):
    return {**BY_HAND[rule][0], **({"t": 3} if "t" in signature(rule)[1] else {})}


@each_rule
def test_a_tensor_is_stepped_element_by_element_and_no_input_is_changed(rule):
    arguments = arguments_of(rule, (2, 3))
    together = torch.stack(untouched(rule, arguments, hyper_of(rule)), -1)
    for index in range(6):
        alone = rule(*(value.flatten()[index].item() for value in arguments), **hyper_of(rule))
        torch.testing.assert_close(together.reshape(6, -1)[index].tolist(), list(alone), rtol=1e-14, atol=0)


@each_rule
def test_a_list_is_stepped_tensor_by_tensor_and_no_input_is_changed(rule):
    rows = arguments_of(rule, (2, 3)), arguments_of(rule, (4,), seed=1)
    columns = [TensorList(column) for column in zip(*rows, strict=True)]
    results = untouched(rule, columns, hyper_of(rule))
    for index in range(2):
        alone = rule(*(column.tensors[index] for column in columns), **hyper_of(rule))
        torch.testing.assert_close([result.tensors[index] for result in results], list(alone), rtol=0, atol=0)


@each_rule
def test_a_rule_is_nothing_but_assignments_of_plain_arithmetic(rule):
    (function,) = ast.parse(inspect.getsource(rule)).body
    allowed = (ast.BinOp, ast.Name, ast.Constant, ast.Tuple, ast.Call, ast.keyword, ast.Load, ast.Store)
    operators = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)
    docstring, *statements = function.body
    assert ast.get_docstring(function)
    for statement in statements:
        assert isinstance(statement, ast.Assign | ast.Return)
        for node in list(ast.walk(statement))[1:]:
            assert isinstance(node, allowed + operators), ast.unparse(statement)
            if isinstance(node, ast.Call):
                assert node.func.id in {"adam", "amsgrad", "maximum"}


def test_the_rules_import_nothing_but_sympy_for_its_own_maximum():
    nodes = list(ast.walk(ast.parse(inspect.getsource(rules))))
    assert [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)] == [
        "from sympy import Max"
    ]


@pytest.mark.parametrize(
    "cls, own",
    [
        (SGD, [rules.gradient_descent, rules.momentum, rules.nesterov]),
        (Adagrad, [rules.adagrad]),
        (
            RMSprop,
            [rules.rmsprop, rules.rmsprop_centered, rules.rmsprop_momentum, rules.rmsprop_centered_momentum],
        ),
        (Adadelta, [rules.adadelta]),
        (Adam, [rules.adam, rules.amsgrad]),
        (AdamW, [rules.adamw, rules.adamw_amsgrad]),
    ],
)
def test_the_defaults_of_a_rule_are_those_of_its_class(cls, own):
    for rule in own:
        defaults = dict(rule.__kwdefaults__ or {})
        defaults.pop("momentum", None)  # the class's 0 stands for the rule without momentum
        assert defaults == {name: inspect.signature(cls).parameters[name].default for name in defaults}
        assert {*signature(rule).keywords} <= {*inspect.signature(cls).parameters, "t"}


def test_the_larger_of_two_is_found_for_every_kind_of_argument():
    x, y = sympy.symbols("x y")
    one, two = torch.tensor([1.0, 4.0]), torch.tensor([2.0, 3.0])
    assert rules.maximum(1, 2.0) == 2.0
    assert rules.maximum(x, y) == sympy.Max(x, y)
    assert rules.maximum(one, two).tolist() == [2.0, 4.0]
    assert rules.maximum(TensorList([one]), TensorList([two])).tensors[0].tolist() == [2.0, 4.0]


# Facts about the rules.

gradient = st.floats(1e-100, 1e100).flatmap(lambda size: st.sampled_from([size, -size]))
fraction = st.floats(0, 0.999)
EXACT = {"lr": 0.5, "eps": 0.0}
repeatable = settings(deadline=None, derandomize=True)


@repeatable
@given(g=gradient, betas=st.tuples(fraction, fraction))
def test_the_first_step_of_adam_is_lr_times_the_sign_of_the_gradient(g, betas):
    p, _, _ = rules.adam(0.0, g, 0.0, 0.0, t=1, betas=betas, **EXACT)
    assert p == pytest.approx(-0.5 if g > 0 else 0.5, rel=1e-9)


@repeatable
@given(gradients=st.lists(gradient, min_size=1, max_size=8), betas=st.tuples(fraction, st.floats(0.01, 0.999)))
def test_no_gradients_drive_adam_further_than_the_inequality_of_cauchy_and_schwarz_allows(gradients, betas):
    beta1, beta2 = betas
    points = [state[0] for state in run(rules.adam, 0.0, gradients, (0.0, 0.0), {"betas": betas, **EXACT})]
    for steps, (start, end) in enumerate(zip([0.0, *points], points, strict=False), 1):
        in_m = [(1 - beta1) * beta1**age / (1 - beta1**steps) for age in range(steps)]
        in_v = [(1 - beta2) * beta2**age / (1 - beta2**steps) for age in range(steps)]
        bound = 0.5 * sum(x**2 / y for x, y in zip(in_m, in_v, strict=True)) ** 0.5
        assert abs(end - start) <= bound * (1 + 1e-9)


def test_adam_takes_the_longest_steps_when_the_gradient_grows_and_not_when_it_is_rare():
    beta1, beta2 = betas = (0.9, 0.999)
    rare = run(rules.adam, 0.0, [0.0] * 20_000 + [1.0], (0.0, 0.0), {"lr": 1.0, "betas": betas, "eps": 1e-300})
    assert -rare[-1][0] == pytest.approx((1 - beta1) / (1 - beta2) ** 0.5, rel=1e-6)  # 3.1623
    growing = [(beta2 / beta1) ** t for t in range(2000)]
    points = [state[0] for state in run(rules.adam, 0.0, growing, (0.0, 0.0), {"lr": 1.0, "betas": betas, "eps": 0.0})]
    supremum = (1 - beta1) / ((1 - beta2) * (1 - beta1**2 / beta2)) ** 0.5  # 7.2703, beyond the paper's 3.1623
    assert 6 < points[-2] - points[-1] < supremum


@repeatable
@given(gradients=st.lists(gradient, min_size=1, max_size=5))
def test_without_memory_adam_is_descent_by_sign(gradients):
    *_, (p, _, _) = run(rules.adam, 0.0, gradients, (0.0, 0.0), {"betas": (0.0, 0.0), **EXACT})
    assert p == pytest.approx(sum(-0.5 if g > 0 else 0.5 for g in gradients), rel=1e-12)


@repeatable
@given(gradients=st.lists(gradient, min_size=1, max_size=5), exponent=st.integers(-50, 50))
def test_adagrad_is_unchanged_when_the_gradient_is_rescaled(gradients, exponent):
    rescaled = [g * 2.0**exponent for g in gradients]
    once, again = (run(rules.adagrad, 0.0, gs, (0.0,), EXACT)[-1][0] for gs in (gradients, rescaled))
    assert once == again


@repeatable
@given(gradients=st.lists(st.floats(0.1, 10), min_size=1, max_size=8))
def test_adam_with_endless_memory_of_squares_and_lr_over_root_t_is_adagrad(gradients):
    p, m, v = 0.0, 0.0, 0.0
    for t, g in enumerate(gradients, 1):
        p, m, v = rules.adam(p, g, m, v, t=t, lr=0.5 / t**0.5, betas=(0.0, 1 - 1e-9), eps=0.0)
    assert p == pytest.approx(run(rules.adagrad, 0.0, gradients, (0.0,), EXACT)[-1][0], rel=1e-6)


@repeatable
@given(gradients=st.lists(st.floats(-10, 10), min_size=1, max_size=8))
def test_the_point_from_which_nesterov_looks_ahead_follows_the_rule_named_after_him(gradients):
    theta, velocity = 1.0, 0.0
    for g in gradients:  # g is the gradient at theta + 0.5 velocity
        velocity = 0.5 * velocity - 0.25 * g
        theta = theta + velocity
    p, b = run(rules.nesterov, 1.0, gradients, (0.0,), {"lr": 0.25, "momentum": 0.5})[-1]
    assert p == pytest.approx(theta + 0.5 * velocity, rel=1e-9, abs=1e-9)


def constant(rule, buffers, steps=1, gradient=2.0, **hyper):
    return -run(rule, 0.0, [gradient] * steps, [0.0] * buffers, hyper)[-1][0]


@pytest.mark.parametrize(
    "distance, expected",
    [
        (constant(rules.adagrad, 1, steps=100, lr=1.0, eps=0.0), 18.5896),
        (constant(rules.rmsprop, 1, lr=1.0), 10.0),
        (constant(rules.rmsprop, 1, lr=1.0, alpha=0.9), 3.1623),
        (constant(rules.adadelta, 2), 0.00316228),
        (constant(rules.adadelta, 2, rho=0.95), 0.00447213),
        (constant(rules.momentum, 1, steps=500, lr=1.0) - constant(rules.momentum, 1, steps=499, lr=1.0), 20.0),
    ],
    ids=["Adagrad", "RMSprop", "RMSprop .9", "Adadelta", "Adadelta .95", "momentum"],
)
def test_under_a_constant_gradient_the_distance_is_the_known_one(distance, expected):
    assert distance == pytest.approx(expected, rel=2e-5)


def test_a_zero_gradient_leaves_adamw_to_the_decay_alone():
    p, _, _ = run(rules.adamw, 2.0, [0.0] * 10, (0.0, 0.0), {"lr": 0.1})[-1]
    assert p == pytest.approx(2 * (1 - 0.1 * 0.01) ** 10, rel=1e-12)
    assert p == pytest.approx(1.980090, abs=5e-7)


def test_decay_in_the_gradient_is_rescaled_by_adam():
    p, m, v = 2.0, 0.0, 0.0
    for t in range(1, 11):
        p, m, v = rules.adam(p, 0.01 * p, m, v, t=t, lr=0.1)
    assert p == pytest.approx(1.0246, abs=5e-5)


@pytest.mark.parametrize("rule, end", [(rules.adam, 1.0), (rules.amsgrad, -0.998)])
def test_adam_ends_at_the_worst_point_of_reddi_where_amsgrad_finds_the_best(rule, end):
    state = (0.0,) * (1 + len(signature(rule)[0]))
    for t in range(1, 30_001):
        p, *buffers = state
        g = 3.0 if t % 3 == 1 else -1.0
        p, *buffers = rule(p, g, *buffers, t=t, lr=0.5 / t**0.5, betas=(0.0, 0.1), eps=1e-8)
        state = (min(1.0, max(-1.0, p)), *buffers)
    assert state[0] == pytest.approx(end, abs=2e-3)


def test_the_usual_momentum_is_the_default_of_every_rule_that_has_one():
    defaults = {rule.__name__: rule.__kwdefaults__["momentum"] for rule in RULES if "momentum" in signature(rule)[1]}
    assert defaults == dict.fromkeys(["momentum", "nesterov", "rmsprop_momentum", "rmsprop_centered_momentum"], 0.9)
