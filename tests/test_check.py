"""The checks are checked: every mistake is found and named, no other name is given, and right code is called right."""

import ast
import copy
import inspect
import time

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edu_optim import rules
from edu_optim.check import check
from edu_optim.check.compare import _same
from edu_optim.check.observe import _order, _probe, _walk
from edu_optim.exercises import FAULTS, SEEN, bank
from edu_optim.signature import signature

RULES = {name: rule for name, rule in vars(rules).items() if inspect.isfunction(rule) and name != "maximum"}
MISTAKES = [(name, mistake) for name in RULES for mistake in bank(name)]


def as_typed(name, mistake):
    """A mistake as a learner would have it: a function with the rule's own arguments."""
    if inspect.isfunction(mistake.rule):
        return mistake.rule
    buffers, keywords = signature(RULES[name])
    columns = ", ".join(["p", "g", *buffers])
    found = {"wrong": mistake.rule}
    options = ", ".join(f"{key}={key}" for key in keywords)
    exec(f"def {name}({columns}, *, {', '.join(keywords)}):\n    return wrong({columns}, {options})", found)
    return found[name]


def walks(rule, name):
    reference = RULES[name]
    order = _order(reference, reference)
    return [_walk(order, rule, _probe(reference, order, number)) for number in (0, 1)]


def same_walk(rule, other, name):
    return all(map(_same, walks(rule, name), walks(other, name)))


def test_the_table_of_every_mistake_against_every_check():
    named = silent = misnamed = 0
    for name, mistake in MISTAKES:
        verdict = check(as_typed(name, mistake), like=name)
        if not signature(RULES[name])[0] and mistake.name == "resets state":
            assert verdict.kind == "correct"  # there is no state to reset
            continue
        silent += verdict.kind == "correct"
        same_name = verdict.name == mistake.name
        named += same_name
        if not same_name:  # two entries may be one walk, and then the more particular name is given
            (given_name,) = [other for other in bank(name) if other.name == verdict.name]
            misnamed += not same_walk(given_name.rule, mistake.rule, name)
            print(f"{name}: {mistake.name!r} is called {verdict.name!r}")
        print(f"{name:26} {mistake.name:28} {verdict.kind:10} {verdict.name}")
    print(f"{len(MISTAKES)} mistakes: {named} named, {silent} not found, {misnamed} misnamed")
    assert silent == misnamed == 0 and named >= len(MISTAKES) - 3


@pytest.mark.parametrize("name", RULES)
def test_what_ships_is_correct(name):
    assert check(RULES[name]).kind == "correct"


def test_every_text_has_a_reason_and_a_question():
    for _, mistake in MISTAKES:
        assert mistake.kind in ("bug", "variant")
        assert mistake.why.endswith(".") and mistake.question.endswith("?"), mistake.name


CLASSIC = {
    "class": "rebinds_parameter updates_with_graph changes_gradient crashes_on_missing_gradient shares_state "
    "ignores_group state_not_saved t_never_advances t_per_parameter t_shared decays_every_group "
    "decay_by_schedule_only dampens_first_step",
    "gradient_descent": "climbs resets_state",
    "training_loop": "no_zero_grad",
    "scheduled_loop": "scheduler_first per_epoch_for_per_batch",
    "resume": "from_zero",
    "warmup": "counts_zero_twice",
    "momentum": "ema lr_inside old_buffer wrong_sign",
    "nesterov": "old_buffer double",
    "look_ahead_path": "look_ahead",
    "adagrad": "forgets no_root abs_not_square uses_before_adding no_eps eps_inside",
    "rmsprop": "alpha_swapped no_one_minus eps_inside gradient_squared_on_top",
    "rmsprop_centered": "centered_sign",
    "adadelta": "wrong_order no_eps_on_top lr_in_accumulator",
    "adam": "no_correction corrects_m_only corrects_v_only correction_without_power power_fixed_at_2 "
    "multiplies_by_correction t_from_zero eps_inside eps_hat eps_added_to_weight no_eps no_root v_uses_g m_undamped "
    "betas_swapped v_is_sum gradient_on_top",
    "amsgrad": "after_correction",
    "adamw": "l2_instead decay_without_lr",
}


@pytest.mark.parametrize("of", CLASSIC)
def test_the_classic_mistakes_are_in_the_bank(of):
    known = bank(of) if of != "class" else [*FAULTS, *SEEN.values()]
    assert {name.replace("_", " ") for name in CLASSIC[of].split()} <= {mistake.name for mistake in known}


def adam_in_place(w, dw, first, second, *, step, eta, b1, b2, epsilon):
    first.mul_(b1).add_(dw, alpha=1 - b1)
    second.mul_(b2).addcmul_(dw, dw, value=1 - b2)
    w.addcdiv_(first, (second / (1 - b2**step)).sqrt_().add_(epsilon), value=-eta / (1 - b1**step))


def adam_with_lerp(p, g, m, v, t, lr, betas, eps):
    m.lerp_(g, 1 - betas[0])
    v.lerp_(g * g, 1 - betas[1])
    denominator = v.sqrt() / (1 - betas[1] ** t) ** 0.5 + eps
    return p - lr / (1 - betas[0] ** t) * m / denominator, m, v


def adam_over_lists(p, g, m, v, *, t, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    ps, gs, ms, vs = [p], [g], [m], [v]
    torch._foreach_lerp_(ms, gs, 1 - beta1)
    torch._foreach_mul_(vs, beta2)
    torch._foreach_addcmul_(vs, gs, gs, 1 - beta2)
    roots = torch._foreach_sqrt(torch._foreach_div(vs, 1 - beta2**t))
    torch._foreach_add_(roots, eps)
    torch._foreach_addcdiv_(ps, torch._foreach_div(ms, 1 - beta1**t), roots, -lr)
    return ps[0], ms[0], vs[0]


def momentum_scaled(p, g, velocity, *, lr, mu):
    velocity *= mu
    velocity += g
    return [p - lr * velocity, velocity]


def descent_returns_the_bare_tensor(theta, grad, eta=0.1):
    theta -= eta * grad
    return theta


@pytest.mark.parametrize(
    "answer, like",
    [
        (adam_in_place, "adam"),
        (adam_with_lerp, "adam"),
        (adam_over_lists, "adam"),
        (momentum_scaled, "momentum"),
        (descent_returns_the_bare_tensor, "gradient_descent"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_right_code_written_differently_is_correct(answer, like):
    assert check(answer, like=like).kind == "correct", check(answer, like=like)


def test_a_variant_passes_and_says_whose_it_is():
    (eps_hat,) = [mistake for mistake in bank("adam") if mistake.name == "eps hat"]
    verdict = check(eps_hat.rule, like="adam")
    assert verdict.passed and verdict.kind == "variant"
    assert verdict.text.startswith("correct, but eps hat\n") and "Kingma & Ba 2015" in verdict.text


def test_a_mistake_of_no_name_gets_the_place_and_the_factor():
    def adam(p, g, m, v, *, t, lr, betas, eps):
        p, m, v = rules.adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)
        return p, m, v * (1 + (t == 3))

    verdict = check(adam)
    assert verdict.kind == "unknown" and verdict.name is None
    assert "At step 3 v is" in verdict.text and verdict.text.endswith(": 2 times as large.")


def test_the_first_quantity_that_differs_is_told():
    def adam(p, g, m, v, *, t, lr, betas, eps):
        beta1, beta2 = betas
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t) * (1 + (t == 4))
        return p - lr * m_hat / (v_hat**0.5 + eps), m, v

    assert "At step 4 v_hat is" in check(adam).text and check(adam).text.endswith(": 2 times as large.")

    def adam_in_other_letters(w, dw, first, second, *, step, lr, betas, eps):
        first = betas[0] * first + (1 - betas[0]) * dw
        second = betas[1] * second + (1 - betas[1]) * dw**2
        mhat = first / (1 - betas[0] ** step)
        w = w - lr * mhat / (2 * (second / (1 - betas[1] ** step)) ** 0.5 + eps)
        return w, first, second

    assert "At step 1 the denominator is" in check(adam_in_other_letters, like="adam").text

    def gradient_descent(p, g, *, lr):
        g = g + 0.5
        return p - lr * g

    assert "At step 1 the gradient is" in check(gradient_descent).text


def test_a_stub_is_not_attempted():
    def adam(p, g, m, v, *, t, lr, betas, eps): ...

    def adam_dots(p, g, m, v, *, t, lr, betas, eps):
        return ...

    assert repr(check(adam)) == check(adam_dots, like="adam").text == "not attempted yet"


def test_an_exception_is_told_at_the_readers_line():
    def adam(p, g, m, v, *, t, lr, betas, eps):
        m = beta1 * m + g  # noqa: F821
        return p, m, v

    text = check(adam).text
    assert "NameError: name 'beta1' is not defined" in text and "in adam, line" in text
    assert "m = beta1 * m + g" in text and len(text.splitlines()) == 2


def test_an_answer_that_ends_python_ends_only_itself():
    def gradient_descent(p, g, *, lr):
        raise SystemExit

    text = check(gradient_descent).text
    assert "it ended with SystemExit" in text and "raise SystemExit" in text


def test_arguments_may_be_gathered():
    assert check(lambda p, g, m, v, **k: rules.adam(p, g, m, v, **k), like="adam").kind == "correct"
    assert check(lambda *columns, **options: rules.adam(*columns, **options), like="adam").kind == "correct"


def test_wrong_arguments_are_told():
    def adam(p, g, m, *, t, lr, betas, eps):
        return p, m

    assert "must take the parameter, its gradient, the buffer m, the buffer v, in this order" in check(adam).text

    def momentum(p, g, b, *, lr, momentum):
        return p, b, b

    assert "must return the new parameter and the 1 new buffers" in check(momentum).text


def test_an_endless_loop_is_stopped():
    def gradient_descent(p, g, *, lr):
        while True:
            p = p * 1

    started = time.perf_counter()
    assert "more than 2 seconds" in check(gradient_descent).text
    assert time.perf_counter() - started < 4


def test_nothing_of_the_readers_is_changed():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    check(rules.adam)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    "answer, like, error", [(3, None, TypeError), (rules.maximum, None, ValueError), (rules.adam, "sgd", ValueError)]
)
def test_what_cannot_be_checked_is_refused(answer, like, error):
    with pytest.raises(error):
        check(answer, like=like)


# Random changes of one symbol.

SWAPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}


def changes(name):
    """Every function that differs from a rule in one symbol: an operator, a number or a letter."""
    tree = ast.parse(inspect.getsource(RULES[name]))
    letters = sorted(
        {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - {"maximum", "adam", "amsgrad"}
    )
    for index, node in enumerate(ast.walk(tree)):
        if isinstance(node, ast.BinOp):
            yield index, ("op", SWAPS[type(node.op)]())
        elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            yield index, ("value", node.value + 1)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in letters:
            yield from ((index, ("id", letter)) for letter in letters if letter != node.id)


CHANGES = [(name, *change) for name in RULES for change in changes(name)]


def changed(name, index, field, value):
    tree = ast.parse(inspect.getsource(RULES[name]))
    setattr(list(ast.walk(tree))[index], field, copy.deepcopy(value))
    found = dict(vars(rules))
    exec(compile(ast.fix_missing_locations(tree), "changed", "exec"), found)
    return found[name], ast.unparse(tree)


def alters_the_numbers(rule, name):
    """Whether a rule differs from the right one on many random gradients, by plain arithmetic of its own."""
    generator = torch.Generator().manual_seed(11)
    buffers, keywords = signature(RULES[name])
    values = {"lr": 0.3, "betas": (0.7, 0.85), "eps": 0.05, "alpha": 0.75, "rho": 0.65, "momentum": 0.8}
    values |= {"dampening": 0.1, "weight_decay": 0.2}
    walked = []
    for function in (RULES[name], rule):
        generator.manual_seed(11)
        columns = [torch.ones(20, dtype=torch.float64), *[torch.zeros(20, dtype=torch.float64)] * len(buffers)]
        path = []
        for t in range(1, 9):
            g = torch.randn(20, generator=generator, dtype=torch.float64)
            options = {key: t if key == "t" else values[key] for key in keywords}
            columns = list(function(columns[0], g, *columns[1:], **options))
            path.append(columns[0] * torch.ones(20))
        walked.append(torch.stack(path))
    return not torch.allclose(*walked, rtol=1e-9, equal_nan=True)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(CHANGES))
def test_every_random_change_that_alters_the_numbers_is_called(change):
    name, index, (field, value) = change
    rule, source = changed(name, index, field, value)
    try:
        alters = alters_the_numbers(rule, name)
    except Exception:
        alters = True
    verdict = check(rule, like=name)
    if not alters:
        return
    assert verdict.kind in ("mistake", "unknown", "error", "variant"), source
    if verdict.name is not None:
        (mistake,) = [entry for entry in bank(name) if entry.name == verdict.name]
        assert same_walk(rule, mistake.rule, name), source
