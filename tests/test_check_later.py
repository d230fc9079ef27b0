"""The judge on the rules that came after Adam: other people's letters and styles pass, wrong ones are named."""

import math
from unittest import mock

import numpy as np
import pytest
import torch

from edu_optim import later
from edu_optim.check import check, judge
from edu_optim.exercises.lesson_15 import CATALOGS
from edu_optim.later import rules


@pytest.mark.parametrize("name", CATALOGS)
def test_what_ships_is_correct(name):
    assert check(getattr(rules, name)).kind == "correct"


@pytest.mark.parametrize("cls", [torch.optim.NAdam, torch.optim.RAdam, later.NAdam, later.RAdam])
def test_the_classes_of_torch_and_of_the_course_pass(cls):
    assert check(cls).kind == "correct"


@pytest.mark.parametrize("name", ["muon", "adam_ema"])
def test_what_is_judged_as_a_function_alone_says_so(name):
    with pytest.raises(TypeError, match=f"{name} is judged as a function"):
        check(torch.optim.SGD, like=name)


# Right, in other letters and styles


def lion_in_place(p, grad, exp_avg, lr, wd, beta1, beta2):
    p.mul_(1 - lr * wd)
    p.add_(exp_avg.clone().mul_(beta1).add(grad, alpha=1 - beta1).sign_(), alpha=-lr)
    exp_avg.mul_(beta2).add_(grad, alpha=1 - beta2)


def lion_of_numpy(w, dw, mom, eta, b1=0.9, b2=0.99, lam=0.0):
    step = np.sign(b1 * mom + (1 - b1) * dw) + lam * w
    return w - eta * step, b2 * mom + (1 - b2) * dw


def lion_of_floats(p, g, m, lr, betas):
    u = betas[0] * m + (1 - betas[0]) * g
    return p - lr * (math.copysign(1, u) if u else 0), betas[1] * m + (1 - betas[1]) * g


class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                mean = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(group["lr"] * torch.sign(torch.lerp(p.grad, mean, beta1)))
                mean.lerp_(p.grad, 1 - beta2)


def nadam_with_product(param, grad, exp_avg, exp_avg_sq, mu_product, step, lr, beta1, beta2, eps, momentum_decay):
    mu, after = (beta1 * (1 - 0.5 * 0.96 ** (k * momentum_decay)) for k in (step, step + 1))
    mu_product = mu_product * mu
    exp_avg = exp_avg.lerp(grad, 1 - beta1)
    exp_avg_sq = exp_avg_sq * beta2 + (1 - beta2) * grad * grad
    below = exp_avg_sq.div(1 - beta2**step).sqrt().add(eps)
    param = param - lr * (1 - mu) / (1 - mu_product) * grad / below
    return param - lr * after / (1 - mu_product * after) * exp_avg / below, exp_avg, exp_avg_sq, mu_product


def nadam_of_the_count(p, g, m, v, t, lr, betas, eps, momentum_decay):
    beta1, beta2 = betas
    mu = [beta1 * (1 - 0.5 * 0.96 ** (k * momentum_decay)) for k in range(1, t + 2)]
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    top = mu[t] * m / (1 - math.prod(mu)) + (1 - mu[t - 1]) * g / (1 - math.prod(mu[:-1]))
    return p - lr * top / ((v / (1 - beta2**t)) ** 0.5 + eps), m, v


def radam_in_place(p, grad, exp_avg, exp_avg_sq, step, lr, betas, eps):
    beta1, beta2 = betas
    exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    exp_avg.mul_(beta1).add_(grad, alpha=1 - beta1)
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * step * beta2**step / (1 - beta2**step)
    size = lr / (1 - beta1**step)
    if length < 5:
        p.add_(exp_avg, alpha=-size)
    else:
        ratio = (length - 4) / (longest - 4) * (length - 2) / length * longest / (longest - 2)
        p.addcdiv_(exp_avg, exp_avg_sq.sqrt().add_(eps), value=-size * math.sqrt(ratio * (1 - beta2**step)))


def free_with_z(y, g, z, t, lr, beta):
    x = (y - (1 - beta) * z) / beta
    z = z - lr * g
    x = (1 - 1 / t) * x + z / t
    return (1 - beta) * z + beta * x, z


def free_with_x(y, g, x, t, lr, beta):
    z = (y - beta * x) / (1 - beta) - lr * g
    x = (1 - 1 / t) * x + z / t
    return (1 - beta) * z + beta * x, x


def free_of_lerp(p, grad, z, k, lr, beta1=0.9):
    return p.lerp(z, weight=1 / k) + grad * lr * (beta1 * (1 - 1 / k) - 1), z - lr * grad


def averaged(p, g, m, v, ema, t, lr, betas, eps, decay):
    p, m, v = rules.adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)
    return p, m, v, ema + (1 - decay) * (p - ema)


def five_times(g):
    x = g / (g.norm() + 1e-7)
    for _ in range(5):
        s = x @ x.T  # of a tall matrix too: the same numbers, from larger products
        x = 3.4445 * x + (-4.775 * s + 2.0315 * s @ s) @ x
    return x


def muon_with_its_own_numbers(p, grad, buf, lr, momentum=0.95, weight_decay=0.1):
    buf = buf.lerp(grad, 1 - momentum)
    step = five_times(grad.lerp(buf, momentum)) * max(1, grad.size(0) / grad.size(1)) ** 0.5
    return p * (1 - lr * weight_decay) - lr * step, buf


RIGHT = [
    (lion_in_place, "lion"),
    (lion_of_numpy, "lion"),
    (lion_of_floats, "lion"),
    (Lion, "lion"),
    (nadam_with_product, "nadam"),
    (nadam_of_the_count, "nadam"),
    (radam_in_place, "radam"),
    (free_with_z, "schedule_free_sgd"),
    (free_with_x, "schedule_free_sgd"),
    (free_of_lerp, "schedule_free_sgd"),
    (averaged, "adam_ema"),
    (muon_with_its_own_numbers, "muon"),
]


@pytest.mark.parametrize(("answer", "like"), RIGHT)
def test_right_answers_in_other_styles_are_correct(answer, like):
    assert check(answer, like=like).kind == "correct", check(answer, like=like)


# Wrong, or in another convention, as in public code


def lion_of_one_mean(p, grad, exp_avg, lr, wd, beta1, beta2):
    exp_avg.mul_(beta1).add_(grad + wd * p, alpha=1 - beta1)
    p.add_(exp_avg.sign(), alpha=-lr)


def asked_at_the_average(p, g, z, t, lr, momentum=0.9):
    z = z - lr * g
    return p + (z - p) / t, z


def nadam_of_a_survey(p, g, m, v, t, lr, beta1, beta2, eps):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    ahead = beta1 * m / (1 - beta1**t) + (1 - beta1) * g / (1 - beta1**t)
    return p - lr / ((v / (1 - beta2**t)) ** 0.5 + eps) * ahead, m, v


def muon_of_a_sum(p, grad, buf, lr, momentum=0.95, weight_decay=0.1):
    buf = momentum * buf + grad
    step = five_times(grad + momentum * buf) * max(1, grad.size(0) / grad.size(1)) ** 0.5
    return p * (1 - lr * weight_decay) - lr * step, buf


def muon_of_a_sum_without_look(p, grad, buf, lr, momentum=0.95, weight_decay=0.1):
    buf = momentum * buf + grad
    step = five_times(buf) * max(1, grad.size(0) / grad.size(1)) ** 0.5
    return p * (1 - lr * weight_decay) - lr * step, buf


def muon_without_shape(p, grad, buf, lr, momentum=0.95, weight_decay=0.1):
    buf = buf.lerp(grad, 1 - momentum)
    return p * (1 - lr * weight_decay) - lr * five_times(grad.lerp(buf, momentum)), buf


def rounded_as_in_torch(p, grad, buf, lr, momentum=0.95, weight_decay=0.1):
    buf.lerp_(grad, 1 - momentum)
    o = torch.optim._muon._zeropower_via_newtonschulz(grad.lerp(buf, momentum), (3.4445, -4.775, 2.0315), 5, 1e-7)
    p.mul_(1 - lr * weight_decay).add_(o, alpha=-lr * max(1, p.size(0) / p.size(1)) ** 0.5)


def rounded_five_times(g):
    x = g.bfloat16()
    x = x.mT if g.size(-2) > g.size(-1) else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        s = x @ x.mT
        x = 3.4445 * x + (-4.775 * s + 2.0315 * s @ s) @ x
    return x.mT if g.size(-2) > g.size(-1) else x


def rounded_as_in_jordans_code(p, grad, momentum, lr, beta=0.95, weight_decay=0.1):
    momentum.lerp_(grad, 1 - beta)
    o = rounded_five_times(grad.lerp(momentum, beta)) * max(1, grad.size(-2) / grad.size(-1)) ** 0.5
    p.mul_(1 - lr * weight_decay).add_(o, alpha=-lr)


def rounded_with_lr(p, grad, b, lr, momentum=0.95, weight_decay=0.1):
    b = momentum * b + (1 - momentum) * grad
    o = rounded_five_times(momentum * b + (1 - momentum) * grad)
    return p - lr * weight_decay * p - lr * rules.stretch(p.shape) * o, b


class NAdam(torch.optim.Optimizer):
    """With one product of the betas for all parameters."""

    each = True

    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, momentum_decay=4e-3):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "momentum_decay": momentum_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            (beta1, beta2), lr, before = group["betas"], group["lr"], group.get("mu_product", 1.0)
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                t = state["t"] = state.get("t", 0) + 1
                m, v = (state.setdefault(key, torch.zeros_like(p)) for key in ("exp_avg", "exp_avg_sq"))
                mu, after = (beta1 * (1 - 0.5 * 0.96 ** (k * group["momentum_decay"])) for k in (t, t + 1))
                product = group["mu_product"] = mu * (group.get("mu_product", 1.0) if self.each else before)
                m.lerp_(p.grad, 1 - beta1)
                v.lerp_(p.grad**2, 1 - beta2)
                top = after * m / (1 - product * after) + (1 - mu) * p.grad / (1 - product)
                p.sub_(lr * top / ((v / (1 - beta2**t)) ** 0.5 + group["eps"]))


class NAdamOfOneProduct(NAdam):
    each = False


def adam_for_radam(p, g, m, v, t, lr, betas, eps):
    return rules.adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)


def average_is_not_kept(p, g, m, v, a, t, lr, betas, eps, decay):
    return *rules.adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps), a


def lion_of_a_mean_of_means(p, g, m, lr, betas, weight_decay=0):
    u = betas[0] * m + (1 - betas[0]) * g
    return p - lr * (rules.sign(u) + weight_decay * p), m.lerp(u, 1 - betas[1])


def free_with_the_decay_of_adamw(p, g, v, e, t, lr, betas, eps, weight_decay):
    p, v = p * (1 - lr * weight_decay), betas[1] * v + (1 - betas[1]) * g**2
    along = g / ((v / (1 - betas[1] ** t)) ** 0.5 + eps)
    p, e = rules.schedule_free_sgd(p, along, e, t=t, lr=lr, beta=betas[0])
    return p, v, e


NAMED = [
    (lion_of_a_mean_of_means, "lion", "what is kept is a mean of what steers"),
    (free_with_the_decay_of_adamw, "schedule_free_adamw", "the decay is that of AdamW, outside the average"),
    (lion_of_one_mean, "lion", "the decay goes through the gradient, and beta1 makes both means"),
    (asked_at_the_average, "schedule_free_sgd", "the gradient is asked for at the average"),
    (nadam_of_a_survey, "nadam", "the factor does not rise, and both parts are corrected alike"),
    (muon_of_a_sum, "muon", "b is a sum, and not a mean"),
    (muon_of_a_sum_without_look, "muon", "the newest gradient counts once"),
    (muon_without_shape, "muon", "the step is not scaled for its shape"),
    (rounded_as_in_torch, "muon", "the iteration is rounded to bfloat16, with addmm"),
    (rounded_as_in_jordans_code, "muon", "the iteration and its scale are rounded to bfloat16"),
    (rounded_with_lr, "muon", "the iteration and the step are rounded to bfloat16"),
    (NAdam, "nadam", "one product of the betas serves all parameters, and each multiplies it"),
    (NAdamOfOneProduct, "nadam", "one product of the betas serves all parameters"),
    (adam_for_radam, "radam", "the mean square is used from the first step, without caution"),
    (average_is_not_kept, "adam_ema", "nothing is averaged"),
]


@pytest.mark.parametrize(("answer", "like", "name"), NAMED)
def test_what_public_code_does_is_named(answer, like, name):
    assert check(answer, like=like).name == name, check(answer, like=like)


def test_a_buffer_that_the_answer_does_not_keep_is_not_spoken_of():
    def swapped(p, g, z, *, t, lr, beta):
        x, late = (p - (1 - beta) * z) / beta, z
        z = z - lr * g
        return beta * z + (1 - beta) * (x + (late - x) / t), z

    verdict = check(swapped, like="schedule_free_sgd")
    assert verdict.kind == "unknown" and "buffer" not in verdict.text


def test_a_rule_that_goes_wrong_late_or_for_one_shape_is_called_wrong():
    calls = []

    def late(p, g, b, *, lr, **options):
        calls.append(p)
        return rules.muon(p, g, b, lr=lr * (1 + (len(calls) > 20)), **options)

    def wide(p, g, b, **options):
        return rules.muon(p, -g if p.shape[0] < p.shape[1] else g, b, **options)

    assert check(late, like="muon").difference[0] == "p after step 9 of the second run"
    assert check(wide, like="muon").difference[0] == "b after step 1 of the second run"


def test_what_programs_did_is_kept_for_the_next_answer_and_forgotten_where_a_check_is_interrupted(monkeypatch):
    check(lambda p, g, *, lr: p + lr * g, like="gradient_descent")
    before = judge._runs.cache_info()
    check(lambda p, g, *, lr: p - 2 * lr * g, like="gradient_descent")
    assert judge._runs.cache_info().misses == before.misses and before.currsize == 1
    monkeypatch.setattr(judge, "_mistake", mock.Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        check(lambda p, g, *, lr: p + lr * g, like="gradient_descent")
    assert judge._runs.cache_info().currsize == 0
