"""The judge is judged: every program of the catalog is called and named as itself, right code in any style passes."""

import functools
import inspect
import math
import random
import re
import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judged import built, changes, expected, family, programs

import edu_optim
from edu_optim import rules
from edu_optim.check import check
from edu_optim.check.observe import probes
from edu_optim.check.sandbox import TooSlow, in_time
from edu_optim.exercises import EXERCISES
from edu_optim.signature import signature

RULES = {name: rule for name, rule in vars(rules).items() if inspect.isfunction(rule) and name != "maximum"}


@pytest.mark.slow
def test_the_table_of_every_program():
    """Every entry alone, and every sixty-first composition: called, and named as itself."""
    alone = together = raised = 0
    seconds = []
    for name in EXERCISES:
        for chosen, mistake, program in programs(family(name), together=61):
            single = len(chosen) + bool(mistake) == 1
            started = time.perf_counter()
            verdict = check(program, like=name)
            seconds.append(time.perf_counter() - started)
            raises = verdict.kind == "error"
            raised += raises
            assert raises or verdict.name == expected(chosen, mistake), (name, verdict)
            assert verdict.passed == (mistake is None) and verdict.text
            alone, together = alone + single, together + (not single)
    print(f"{alone} entries alone, {together} composed: all called, all named as themselves but {raised} that raise")
    assert raised < 5
    print(f"seconds of a check: median {sorted(seconds)[len(seconds) // 2]:.3f}, longest {max(seconds):.3f}")


@pytest.mark.parametrize("name", RULES)
def test_what_ships_is_correct(name):
    assert check(RULES[name]).text == "correct: it agrees in all 24 places"


def test_every_text_has_a_reason_and_a_question():
    for exercise in EXERCISES.values():
        for entry in exercise.catalog:
            assert entry.why.endswith(".") and entry.ask.endswith(("?", ".")), entry.name
            assert "sheet" not in entry.why + entry.ask


# Right, in other letters and styles


def paper(theta, g, m, v, t, alpha=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    return theta - alpha * (m / (1 - beta1**t)) / (torch.sqrt(v / (1 - beta2**t)) + epsilon), m, v


def numpy_rmsprop(w, dw, s, alpha, beta):
    s = beta * s + (1 - beta) * dw**2
    return w - alpha * dw / (np.sqrt(s) + 1e-8), s


def with_decay_rate(x, dx, cache, learning_rate, decay_rate, eps):
    cache = decay_rate * cache + (1 - decay_rate) * dx**2
    x += -learning_rate * dx / (np.sqrt(cache) + eps)
    return x, cache


def adamw_in_one_line(p, g, m, v, t, lr, b1, b2, eps, lambda_):
    m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
    return p - lr * (m / (1 - b1**t) / ((v / (1 - b2**t)).sqrt() + eps) + lambda_ * p), m, v


def gradient_first(grad, w, lr):
    return w - lr * grad


def count_first(t, p, g, m, v, lr, betas, eps):
    return rules.adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)


def results_last(p, g, m, v, t, lr, betas, eps):
    p, m, v = rules.adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)
    return m, v, p


def in_float32(p, g, m, v, t, lr, betas, eps):
    p, g, m, v = p.float(), g.float(), m.float(), v.float()
    return rules.adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)


def count_in_float32(p, g, m, v, t, lr, betas, eps):
    return rules.adam(p, g, m, v, t=torch.tensor(float(t)), lr=lr, betas=betas, eps=eps)


def with_math_sqrt(p, g, m, v, t, lr, betas, eps):
    m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
    return p - lr * (m / (1 - betas[0] ** t)) / (math.sqrt(v / (1 - betas[1] ** t)) + eps), m, v


def settings_in_a_dict(w, dw, config=None):
    config.setdefault("learning_rate", 1e-3), config.setdefault("beta1", 0.9), config.setdefault("beta2", 0.999)
    (
        config.setdefault("epsilon", 1e-8),
        config.setdefault("m", np.zeros_like(w)),
        config.setdefault("v", np.zeros_like(w)),
    )
    config["t"] = config.get("t", 0) + 1
    config["m"] = config["beta1"] * config["m"] + (1 - config["beta1"]) * dw
    config["v"] = config["beta2"] * config["v"] + (1 - config["beta2"]) * dw**2
    m = config["m"] / (1 - config["beta1"] ** config["t"])
    v = config["v"] / (1 - config["beta2"] ** config["t"])
    return w - config["learning_rate"] * m / (np.sqrt(v) + config["epsilon"]), config


def state_in_a_dict(p, g, state, lr, betas, eps):
    if not state:
        state["step"], state["m"], state["v"] = 0, torch.zeros_like(p), torch.zeros_like(p)
    state["step"] += 1
    p, state["m"], state["v"] = rules.adam(p, g, state["m"], state["v"], t=state["step"], lr=lr, betas=betas, eps=eps)
    return p


def other_courses_letters(w, dw, v, s, t, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    v, s = beta1 * v + (1 - beta1) * dw, beta2 * s + (1 - beta2) * dw**2
    return w - lr * (v / (1 - beta1**t)) / ((s / (1 - beta2**t)) ** 0.5 + eps), v, s


def capital(w, g, G, eta, eps):
    G = G + g * g
    return w - eta * g / (G**0.5 + eps), G


def without_a_rate(x, g, Eg2, Edx2, rho, eps):
    Eg2 = rho * Eg2 + (1 - rho) * g**2
    dx = -((Edx2 + eps) ** 0.5) / (Eg2 + eps) ** 0.5 * g
    return x + dx, Eg2, rho * Edx2 + (1 - rho) * dx**2


def in_place(w, dw, first, second, *, step, eta, b1, b2, epsilon):
    first.mul_(b1).add_(dw, alpha=1 - b1)
    second.mul_(b2).addcmul_(dw, dw, value=1 - b2)
    w.addcdiv_(first, (second / (1 - b2**step)).sqrt_().add_(epsilon), value=-eta / (1 - b1**step))


def over_lists(p, g, m, v, *, t, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    ps, gs, ms, vs = [p], [g], [m], [v]
    torch._foreach_lerp_(ms, gs, 1 - beta1)
    torch._foreach_mul_(vs, beta2)
    torch._foreach_addcmul_(vs, gs, gs, 1 - beta2)
    roots = torch._foreach_sqrt(torch._foreach_div(vs, 1 - beta2**t))
    torch._foreach_add_(roots, eps)
    torch._foreach_addcdiv_(ps, torch._foreach_div(ms, 1 - beta1**t), roots, -lr)
    return ps[0], ms[0], vs[0]


def initials_of_weights(W, dW, vW, mu, learning_rate, lambd=0, m=1):
    vW = mu * vW + dW
    return W - lambd / m * W - learning_rate * vW, vW


def positional_only(p, g, b, lr, mu, /):
    return p - lr * (mu * b + g), mu * b + g


def bare_tensor(theta, grad, eta=0.1):
    theta -= eta * grad
    return theta


@torch.no_grad()
def decorated(p, g, m, v, *, t, lr, betas, eps):
    return rules.adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)


class Remembers:
    """Momentum whose velocity is its own."""

    v = 0

    def update(self, w, dw, lr, mu):
        self.v = mu * self.v + dw
        return w - lr * self.v

    def __call__(self, w, dw, lr, mu):
        return self.update(w, dw, lr, mu)


# Lists of parameters, lists of states and a dict of options, as in d2l


def plain_over_lists(params, states, hyperparams):
    for p in params:
        p.data.sub_(hyperparams["lr"] * p.grad)
        p.grad.data.zero_()


def momentum_over_lists(params, states, hyperparams):
    for p, v in zip(params, states, strict=True):
        with torch.no_grad():
            v[:] = hyperparams["momentum"] * v + p.grad
            p[:] -= hyperparams["lr"] * v


def adadelta_over_lists(params, states, hyperparams):
    rho, eps = hyperparams["rho"], 1e-5
    for p, (s, delta) in zip(params, states, strict=True):
        with torch.no_grad():
            s[:] = rho * s + (1 - rho) * p.grad**2
            g = (delta + eps).sqrt() / (s + eps).sqrt() * p.grad
            p[:] -= g
            delta[:] = rho * delta + (1 - rho) * g * g


def adam_over_lists(params, states, hyperparams):
    beta1, beta2, eps = 0.9, 0.999, 1e-6
    for p, (v, s) in zip(params, states, strict=True):
        with torch.no_grad():
            v[:] = beta1 * v + (1 - beta1) * p.grad
            s[:] = beta2 * s + (1 - beta2) * p.grad**2
            v_hat, s_hat = v / (1 - beta1 ** hyperparams["t"]), s / (1 - beta2 ** hyperparams["t"])
            p[:] -= hyperparams["lr"] * v_hat / (s_hat.sqrt() + eps)
    hyperparams["t"] += 1


def half_corrected_over_lists(params, states, hyperparams):
    for p, (v, s) in zip(params, states, strict=True):
        with torch.no_grad():
            v[:] = 0.9 * v + 0.1 * p.grad
            s[:] = 0.999 * s + 0.001 * p.grad**2
            p[:] -= hyperparams["lr"] * v / (1 - 0.9 ** hyperparams["t"]) / (s.sqrt() + 1e-6)


def rmsprop_over_lists(params, states, hyperparams):
    gamma, eps = hyperparams["gamma"], 1e-6
    for p, s in zip(params, states, strict=True):
        with torch.no_grad():
            s[:] = gamma * s + (1 - gamma) * p.grad**2
            p[:] -= hyperparams["lr"] * p.grad / (s + eps).sqrt()


def alpha_by_another_name(w, dw, s, lr, weight_decay, eps):
    s = weight_decay * s + (1 - weight_decay) * dw**2
    return w - lr * dw / (s**0.5 + eps), s


def options_in_a_dict(w, dw, v, config):
    v = config["momentum"] * v + dw
    return w - config["lr"] * v, v


STYLES = {
    "adam": [
        *[paper, count_first, in_float32, count_in_float32, with_math_sqrt, settings_in_a_dict],
        *[state_in_a_dict, other_courses_letters, in_place, over_lists, decorated, adam_over_lists],
        functools.partial(rules.adam, eps=1e-3),
        lambda p, g, m, v, **k: rules.adam(p, g, m, v, **k),
        lambda *columns, **options: rules.adam(*columns, **options),
    ],
    "rmsprop": [numpy_rmsprop, with_decay_rate, alpha_by_another_name],
    "adamw": [adamw_in_one_line],
    "gradient_descent": [gradient_first, bare_tensor, plain_over_lists],
    "adagrad": [capital],
    "adadelta": [without_a_rate, adadelta_over_lists],
    "momentum": [
        momentum_over_lists,
        options_in_a_dict,
        positional_only,
        initials_of_weights,
        Remembers().update,
        Remembers(),
    ],
}


@pytest.mark.parametrize(("like", "answer"), [(like, answer) for like, answers in STYLES.items() for answer in answers])
def test_right_code_in_another_style_is_correct(like, answer):
    assert check(answer, like=like).kind == "correct", check(answer, like=like)


def test_a_compiled_rule_is_judged_as_what_was_compiled():
    assert check(torch.compile(rules.adam), like="adam").kind == "correct"


def eps_hat_and_late_decay(p, g, m, v, t, lr, betas, eps, wd):
    m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
    p = p - lr * math.sqrt(1 - betas[1] ** t) / (1 - betas[0] ** t) * m / (v.sqrt() + eps)
    return p - lr * wd * p, m, v


def eps_inside(p, g, m, v, t, lr, betas, eps, wd):
    m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
    return p - lr * wd * p - lr * (m / (1 - betas[0] ** t)) / (v / (1 - betas[1] ** t) + eps).sqrt(), m, v


def as_printed(p, g, m, v, largest, lr, betas, eps):
    m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
    largest = torch.maximum(largest, v)
    return p - lr * m / (largest.sqrt() + eps), m, v, largest


def with_velocity_inside(w, dw, config=None):
    velocity = config["momentum"] * config.get("velocity", np.zeros_like(w)) - config["learning_rate"] * dw
    config["velocity"] = velocity
    return w + velocity, config


def begins_with_the_first(p, g, b, lr, momentum):
    b = np.where(b == 0, g, momentum * b + (1 - momentum) * g)
    return p - lr * b, b


def begins_with_the_first_square(p, g, s, lr, alpha, eps):
    s = torch.where(s == 0, g**2, alpha * s + (1 - alpha) * g**2)
    return p - lr * g / (s.sqrt() + eps), s


CONVENTIONS = [
    (begins_with_the_first, "momentum", "the velocity is a running mean that starts at the first gradient"),
    (begins_with_the_first_square, "rmsprop", "the mean square starts at the first square"),
    (eps_hat_and_late_decay, "adamw", "eps is not corrected and the decay comes after the step"),
    (eps_inside, "adamw", "eps sits inside the root"),
    (rmsprop_over_lists, "rmsprop", "eps sits inside the root"),
    (as_printed, "amsgrad", "nothing is corrected"),
    (with_velocity_inside, "momentum", "lr sits inside the velocity"),
]


@pytest.mark.parametrize(("answer", "like", "name"), CONVENTIONS)
def test_a_convention_passes_and_is_told_with_a_difference(answer, like, name):
    verdict = check(answer, like=like)
    assert verdict.passed and verdict.text.startswith(f"correct, but {name}\n") and verdict.difference
    assert "float32" not in verdict.text


def buffer_first(p, g, b, *, lr, momentum):
    b = momentum * b + g
    return b, p - lr * (g + momentum * b)


def means_swapped(p, g, m, v, *, t, lr, betas, eps):
    p, m, v = rules.adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)
    return p, v, m


def buffer_first_uphill(p, g, b, *, lr, momentum):
    b = momentum * b + g
    return b, p + lr * (g + momentum * b)


def buffer_first_by_new_names(p, g, b, *, lr, momentum):
    velocity = momentum * b + g
    moved = p - lr * (g + momentum * velocity)
    return velocity, moved


def means_swapped_by_new_names(p, g, m, v, *, t, lr, betas, eps):
    moved, first, second = rules.adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)
    return moved, second, first


ORDERS = [
    (buffer_first_by_new_names, "nesterov", "b, p", "p, b", "b is taken for p"),
    (means_swapped_by_new_names, "adam", "p, v, m", "p, m, v", "v is taken for m"),
    (buffer_first, "mended_nesterov", "b, p", "p, b", "b is taken for p"),
    (buffer_first, "nesterov", "b, p", "p, b", "b is taken for p"),
    (means_swapped, "adam", "p, v, m", "p, m, v", "v is taken for m"),
    (results_last, "adam", "m, v, p", "p, m, v", "m is taken for p"),
    (buffer_first_uphill, "nesterov", "b, p", "p, b", "b is taken for p"),
]


@pytest.mark.parametrize(("answer", "like", "own", "usual", "taken"), ORDERS)
def test_another_order_of_the_results_is_told(answer, like, own, usual, taken):
    verdict = check(answer, like=like)
    assert f"It returns {own}, and the rules of the course return {usual}: " in verdict.text and taken in verdict.text
    if answer is buffer_first_uphill:
        assert verdict.name == "the steps go uphill"
    else:
        assert verdict.kind == "convention" and verdict.headline == "correct, but its results come in another order"


def test_from_rule_takes_the_first_result_for_the_parameter():
    p = torch.ones(1, requires_grad=True)
    p.grad = torch.full((1,), 3.0)
    edu_optim.from_rule(buffer_first)([p], lr=0.5, momentum=0.5).step()
    assert p.item() == 3.0


# Wrong, and what is said


def only_p(p, g, m, v, *, t, lr, betas, eps):
    return rules.adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)[0]


def mean_of_all(p, g, lr):
    return p - lr * g.mean()


def rebinds(p, g, lr):
    p = p - lr * g


def raises_late(p, g, m, v, t, lr, betas, eps):
    if t == 7:
        raise KeyError("late")
    return rules.adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)


class Mute(Exception):
    def __str__(self):
        raise RuntimeError


def raises_mute(p, g, lr):
    raise Mute


def exits(p, g, lr):
    raise SystemExit


def no_lr(p, g, s, lr, alpha, eps):
    s = alpha * s + (1 - alpha) * g**2
    return p - g / (s**0.5 + eps), s


def no_buffer(p, g, *, lr):
    return p


def doubles_late(p, g, m, v, *, t, lr, betas, eps):
    p, m, v = rules.adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)
    return p, m, v * (1 + (t == 3))


def half_mended(p, g, s, u, *, lr, rho, eps):
    s = rho * s + (1 - rho) * g**2
    d = (u + eps) ** 0.5 / (s + eps) ** 0.5 * g
    return p - lr * d, s, rho * u + (1 - rho) * (lr * d) ** 2


def late_look_ahead(p, g, v, lr, mu):
    v = mu * v - lr * g
    return p + mu * mu * v - (1 + mu) * lr * g, v


def velocity_is_lost(p, g, v, lr, mu):
    v = -lr * g
    return p + v / 3, v


def all_nan(p, g, m, v, *, t, lr, betas, eps):
    return p * math.nan, m * math.nan, v * math.nan


def falling_rate(p, g, m, v, *, t, lr, betas, eps):
    return rules.adam(p, g, m, v, t=t, lr=lr / t**0.5, betas=betas, eps=eps)


def soon_nan(p, g, s, a, lr, alpha, eps):
    s, a = alpha * s + (1 - alpha) * g**2, alpha * a + (2 - alpha) * g
    return p - lr * g / ((s - a**2) ** 0.5 + eps), s, a


AFTER_LR = "the step is remembered after lr has scaled it"
WRONG = [
    (only_p, "adam", "error", None, "it returns 1 value, and 3 are needed: p, m, v"),
    (mean_of_all, "gradient_descent", "unknown", None, "p after step 1"),
    (falling_rate, "adam", "mistake", "lr is divided by the root of the step count", "Kingma & Ba 2015"),
    (half_corrected_over_lists, "adam", "mistake", "only the mean gradient is corrected", "far too small"),
    (rebinds, "gradient_descent", "mistake", "returns nothing", "gives back none, which is no result"),
    (raises_late, "adam", "error", None, "KeyError: 'late'\nin raises_late, line"),
    (raises_mute, "gradient_descent", "error", None, "Mute: (its __str__ raises RuntimeError)"),
    (exits, "gradient_descent", "error", None, "it ended with SystemExit"),
    (no_lr, "rmsprop", "mistake", "lr is not used", "as they would be at a learning rate of 1"),
    (
        lambda p, g, lr: (p - lr * g, None),
        "gradient_descent",
        "error",
        None,
        "it returns 2 values, and 1 is needed: p.",
    ),
    (lambda p, g, lr: True, "gradient_descent", "error", None, "it returns True where a number or tensor is wanted."),
    (lambda p, g, lr: [g, "no"], "gradient_descent", "error", None, "it returns 2 values, and 1 is needed"),
    (lambda p, g, lr: 1.5, "gradient_descent", "unknown", None, "yours one number, right a tensor of shape [6]"),
    (lambda params, states, hyperparams: hyperparams["nope"], "momentum", "error", None, "KeyError: 'nope'"),
    (no_buffer, "momentum", "error", None, "it takes no b; it must take the parameter p, its gradient g, the buffer b"),
    (doubles_late, "adam", "unknown", None, "the buffer v after step 3 is"),
    (
        half_mended,
        "mended_adadelta",
        "mistake",
        "the step is remembered after lr has scaled it",
        "torch remembers it before",
    ),
    (half_mended, "adadelta", "convention", "the step is remembered after lr has scaled it", "correct, but"),
    (late_look_ahead, "nesterov", "mistake", "the new velocity stands where the old one belongs", "lr sits inside"),
    (all_nan, "adam", "unknown", None, "yours nan"),
    (soon_nan, "rmsprop_centered", "unknown", None, "yours nan"),
    (lambda p, g, mystery, lr: p, "gradient_descent", "error", None, "'mystery' takes cannot be told"),
    (lambda p, g, s, lr, weight_decay: p, "rmsprop", "error", None, "none is known yet for alpha, eps."),
]


@pytest.mark.parametrize(("answer", "like", "kind", "name", "said"), WRONG)
def test_a_wrong_rule_is_told_what_it_does(answer, like, kind, name, said):
    verdict = check(answer, like=like)
    assert (verdict.kind, verdict.name) == (kind, name), verdict
    assert said.lower() in verdict.text.lower(), verdict


def test_what_was_told_by_its_place_alone_is_said():
    assert "'weight_decay' as alpha" in check(alpha_by_another_name, like="rmsprop").text


def test_a_buffer_that_is_right_in_another_convention_is_not_held_against_an_answer():
    assert "buffer" not in check(velocity_is_lost, like="nesterov").text


def test_a_buffer_is_not_held_against_one_of_several_conventions():
    def nesterov(p, g, v, *, lr, momentum):
        v = momentum * v - 2 * lr * g
        return p + momentum * v - lr * g, v

    verdict = check(nesterov)
    assert verdict.kind == "unknown" and "buffer" not in verdict.text, verdict


def test_a_stub_is_not_attempted_and_nothing_else_is():
    def adam(p, g, m, v, *, t, lr, betas, eps): ...

    def dots(p, g, m, v, *, t, lr, betas, eps):
        return ...

    @torch.no_grad()
    def adadelta(p, g, s, u, *, lr, rho, eps):
        """Later."""
        raise NotImplementedError()

    def gradient_descent(p, g, *, lr):
        if lr:
            raise NotImplementedError
        return p

    for stub, like in [(adam, None), (dots, "adam"), (adadelta, None)]:
        assert repr(check(stub, like=like)) == "not attempted yet"
    assert check(gradient_descent).kind == "error"


def test_a_number_that_is_not_returned_is_an_attempt():
    def distance_without_zero_grad():
        """Python compiles such a line to nothing."""
        0.1 * (1 + 2 + 3 + 4)

    def adam(p, g, m, v, *, t, lr, betas, eps):
        1.0  # noqa: B018

    for answer in (distance_without_zero_grad, adam):
        assert check(answer).headline == "not yet: it returns nothing"


@pytest.mark.parametrize(
    ("answer", "like", "error", "match"),
    [
        (3, "adam", TypeError, "must be a function"),
        (rules.adam, "adm", ValueError, "did you mean 'adam'"),
        (rules.maximum, None, ValueError, "there is no exercise 'maximum'"),
    ],
)
def test_what_cannot_be_checked_is_refused(answer, like, error, match):
    with pytest.raises(error, match=match):
        check(answer, like=like)


def test_a_verdict_is_a_box_in_a_notebook_with_the_same_words():
    bundle = check(no_lr, like="rmsprop")._repr_mimebundle_()
    words = re.sub(r"<[^>]+>", " ", bundle["text/html"])
    for line in bundle["text/plain"].splitlines():
        for word in line.replace(":", "").replace(",", "").split():
            assert word in words
    assert "✗" in bundle["text/html"] and "<th scope='col'>yours</th><th scope='col'>right</th>" in bundle["text/html"]


# The sandbox


def test_a_loop_that_catches_every_exception_is_stopped():
    def gradient_descent(p, g, *, lr):
        while True:
            try:
                p = p * 1
            except Exception:
                pass

    before = set(threading.enumerate())
    assert "more than 2 seconds" in check(gradient_descent).text
    assert set(threading.enumerate()) <= before


def test_time_in_which_an_answer_does_not_work_counts_a_third():
    assert in_time(lambda: time.sleep(0.6), None, seconds=0.5) == (None, None)
    assert isinstance(in_time(lambda: time.sleep(2), None, seconds=0.2)[1], TooSlow)


def test_nothing_of_the_readers_is_changed(capsys):
    def gradient_descent(p, g, *, lr, seen=[]):  # noqa: B006
        seen.append(1)
        print("again")
        torch.manual_seed(1), random.seed(1), np.random.seed(1)
        torch.set_default_dtype(torch.float64)
        torch.isclose = torch.allclose = torch.Tensor.tolist = None
        np.sqrt, math.log = None, None
        return p + lr * g

    torch.manual_seed(0)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy(), torch.isclose, np.sqrt, math.log
    assert check(gradient_descent).name == "the steps go uphill"
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1], torch.isclose, np.sqrt, math.log
    assert torch.equal(before[0], after[0]) and before[1] == after[1] and (before[2] == after[2]).all()
    assert before[3:] == after[3:] and torch.ones(1).tolist() == [1.0]
    assert torch.get_default_dtype() is torch.float32
    assert gradient_descent.__defaults__ is None and gradient_descent.__kwdefaults__ == {"seen": []}
    assert capsys.readouterr().out == ""


# No claim is false


def walked(rule, number):
    """p and the buffers after each step of a probe, by plain calls."""
    buffers, names = signature(RULES[rule.__name__] if rule.__name__ in RULES else rule)
    start, gradients, hypers = probes()[number]
    columns, found = [start, *[torch.zeros_like(start)] * len(buffers)], []
    for g, hyper in zip(gradients, hypers, strict=True):
        columns = list(rule(columns[0], g, *columns[1:], **{name: hyper[name] for name in names}))
        found.append(dict(zip(["p", *buffers], columns, strict=True)))
    return found


@pytest.mark.slow
def test_every_printed_number_is_the_answers_and_the_references():
    texts = 0
    for name in RULES:
        right = [walked(RULES[name], number) for number in (0, 1)]
        for _, mistake, program in programs(family(name), alone=3, together=10**6):
            if mistake is None:
                continue
            label, yours, correct = check(program, like=name).difference
            letter, step, second = re.fullmatch(r"(\w+) after step (\d+)( of the second run)?", label).groups()
            mine = walked(program, int(bool(second)))[int(step) - 1][letter]
            pairs = zip(
                mine.flatten().tolist(), right[bool(second)][int(step) - 1][letter].flatten().tolist(), strict=True
            )
            digits = max(4, len(yours.lstrip("-0.").replace(".", "").split("e")[0]))
            assert yours != correct and any(
                math.isclose(a, float(yours), rel_tol=10.0 ** (1 - digits)) or (math.isnan(a) and yours == "nan")
                for a, b in pairs
                if math.isclose(b, float(correct), rel_tol=10.0 ** (1 - digits))
            ), (name, mistake.name, label, yours, correct)
            texts += 1
    print(f"{texts} texts: both numbers recomputed")


# Random changes of one place

TEXTS = st.deferred(lambda: st.sampled_from(list(changed())))
COUNTS = {"tried": 0, "altering": 0, "named": 0}


def changed():
    for name, rule in RULES.items():
        yield from ((name, text) for text in changes(rule, rule.__code__.co_varnames))


def path(rule, name):
    """Where a rule goes along random gradients, with options of its own, by plain arithmetic."""
    buffers, names = signature(RULES[name])
    values = {"lr": 0.3, "betas": (0.7, 0.85), "eps": 0.05, "alpha": 0.75, "rho": 0.65, "momentum": 0.8}
    values |= {"dampening": 0.1, "weight_decay": 0.2}
    draw = torch.Generator().manual_seed(11)
    columns, places = [torch.ones(20, dtype=torch.float64), *[torch.zeros(20, dtype=torch.float64)] * len(buffers)], []
    for t in range(1, 9):
        g = torch.randn(20, generator=draw, dtype=torch.float64)
        columns = list(rule(columns[0], g, *columns[1:], **{key: t if key == "t" else values[key] for key in names}))
        places.append(columns[0] * torch.ones(20))
    return torch.stack(places)


def differ(rule, other, name):
    try:
        return not torch.allclose(path(rule, name), path(other, name), rtol=1e-9, equal_nan=True)
    except Exception:
        return True


@pytest.mark.slow
@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS)
def test_every_random_change_that_alters_the_numbers_is_called(change):
    name, text = change
    rule = built(text, RULES[name])
    verdict = check(rule, like=name)
    COUNTS["tried"] += 1
    if not differ(rule, RULES[name], name):
        return
    COUNTS["altering"] += 1
    assert verdict.kind != "correct", text
    if verdict.name:
        COUNTS["named"] += 1
        known = family(name)
        named = [known.program((entry,)) for entry in known.catalog if entry.name == verdict.name]
        assert any(not differ(rule, program, name) for program in named), (text, verdict)


@pytest.mark.slow
def test_how_many_random_changes_there_were():
    print(f"random changes of the rules: {COUNTS}; none passed, none misnamed")
    assert COUNTS["altering"] > 60
