"""The formulas and the facts of lesson 08, run from its own cells."""

import math
import re

import pytest
import sympy
import torch
from cells import Later, Lesson

from edu_optim import Adam
from edu_optim.lab import lesson_08
from edu_optim.rules import adagrad

RULES = {"adam": 2, "amsgrad": 3}  # and their buffers
BETAS = [(0.9, 0.999), (0.9, 0.95), (0.5, 0.7), (0, 0.1)]


def run(*ids, **names):
    return Lesson("08").run("imports", "adam-rule", "amsgrad-rule", *ids, **names)


USED = ["uncorrected", "after-silence", "reddi"]
CELLS = Later(lambda: run(*USED))
adam = CELLS.function("adam")


def steps(gradients, rule=adam, first=1, **options):
    """The steps of a rule over ``gradients``, in units of lr."""
    buffers, taken = [0.0] * RULES[rule.__name__], []
    for t, g in enumerate(gradients, first):
        step, *buffers = rule(0.0, g, *buffers, t=t, lr=1.0, **options)
        taken.append(-step)
    return taken


def noise(count):
    return torch.randn(count, generator=torch.Generator().manual_seed(0), dtype=torch.float64).tolist()


@pytest.mark.parametrize("name", RULES)
def test_the_equations_are_the_rule_cells(name):
    p, g, m, v, v_max, lr, eps, b1, b2 = sympy.symbols("p g m v v_max eta epsilon beta1 beta2", positive=True)
    t = 3
    buffers = [m, v, v_max][: RULES[name]]
    p_after, m_after, v_after, *rest = CELLS[name](p, g, *buffers, t=t, lr=lr, betas=(b1, b2), eps=eps)
    m_paper, v_paper = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
    divided = sympy.Max(v_max, v_paper) if rest else v_paper
    m_hat, v_hat = m_paper / (1 - b1**t), divided / (1 - b2**t)
    assert sympy.expand(m_after - m_paper) == 0 == sympy.expand(v_after - v_paper)
    assert rest == [divided] * len(rest)
    difference = sympy.nsimplify(p_after) - (p - lr * m_hat / (sympy.sqrt(v_hat) + eps))
    values = {p: 0.3, g: 1.7, m: 0.2, v: 0.5, lr: 0.1, eps: 0.4, b1: 0.8, b2: 0.6}
    for largest in (0.1, 9.0):
        assert abs(difference.subs({**values, v_max: largest})) < 1e-12


@pytest.mark.parametrize("t", [1, 2, 7])
def test_a_running_mean_from_zero_holds_the_share_that_the_lesson_divides_by(t):
    beta, mean = sympy.Symbol("beta"), 0
    for _ in range(t):
        mean = beta * mean + (1 - beta)
    assert sympy.expand(mean - (1 - beta**t)) == 0


@pytest.mark.parametrize("betas", BETAS)
@pytest.mark.parametrize("g", [-18.21, -1e-3, 1e-3, 1e6])
def test_the_first_step_is_lr_times_the_sign(g, betas):
    assert steps([g], betas=betas, eps=0) == pytest.approx([math.copysign(1, g)], abs=1e-12)


def test_without_correction_the_first_step_is_too_long():
    step, *_ = CELLS["uncorrected"](0.0, 5.0, 0.0, 0.0, lr=1.0, eps=0)
    assert -step == pytest.approx(0.1 / 0.001**0.5) and f"{-step:.3f}" == "3.162"


def test_a_lone_gradient_approaches_the_bound_of_the_paper():
    bound = 0.1 / 0.001**0.5
    assert 0.9999 * bound < steps([1.0], first=10_000)[0] < bound


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.9, 0.95), (0.9, 0.99)])
def test_the_longest_step_is_that_of_growing_gradients(betas):
    b1, b2 = betas
    longest = (1 - b1) / math.sqrt((1 - b2) * (1 - b1**2 / b2))
    growing = CELLS["after_silence"]([(b2 / b1) ** k for k in range(200)], betas=betas)
    assert longest * (1 - 1e-4) < max(growing) <= longest
    assert max(growing) > max(1, (1 - b1) / math.sqrt(1 - b2))  # what the paper gives is no bound
    for t in range(1, 20_000, 37):  # with the correction, at every t, whatever the gradients: Cauchy-Schwarz
        assert (1 - (b1**2 / b2) ** t) * (1 - b2**t) <= (1 - b1**t) ** 2 * (1 + 1e-12)
    assert max(map(abs, steps(noise(2000), betas=betas))) < longest


def test_with_both_betas_zero_it_is_sign_descent():
    gradients = noise(20)
    assert steps(gradients, betas=(0, 0), eps=0) == pytest.approx([math.copysign(1, g) for g in gradients])


def test_without_forgetting_it_is_adagrad():
    p = q = v = s = 0.0
    for t, g in enumerate(noise(100), 1):
        p, _, v = adam(p, g, 0.0, v, t=t, lr=0.1 / math.sqrt(t), betas=(0, 1 - 1e-9), eps=0)
        q, s = adagrad(q, g, s, lr=0.1, eps=0)
        assert p == pytest.approx(q, abs=1e-6)


def test_the_convex_problem_on_which_adam_ends_at_the_worst_point():
    assert CELLS["reddi"](adam, [0.0, 0.0])[-1] == 1
    assert CELLS["reddi"](CELLS["amsgrad"], [0.0, 0.0, 0.0])[-1] == pytest.approx(-0.998, abs=1e-4)
    assert CELLS["reddi"](adam, [0.0, 0.0], (0, 0.999))[-1] < -0.99


def test_one_round_pushes_adam_the_wrong_way():
    round_of_three = [3.0, -1.0, -1.0] * 10
    assert sum(steps(round_of_three, betas=(0, 0.1))[-3:]) < -0.6
    first, second, third = steps(round_of_three, CELLS["amsgrad"], betas=(0, 0.1))[-3:]
    assert first / -3 == pytest.approx(second) == pytest.approx(third)


def test_the_places_of_eps():
    g = eps = 1e-8
    m, v, c1, c2 = 0.1 * g, 0.001 * g**2, 0.1, 0.001
    card = {
        "Algorithm 1": (m / c1) / ((v / c2) ** 0.5 + eps),
        "end of section 2": c2**0.5 / c1 * m / (v**0.5 + eps),
        "inside the root": (m / c1) / (v / c2 + eps) ** 0.5,
    }
    table = Lesson("08").sources["conventions"]
    assert re.findall(r"\| (0\.\d{4}) \|$", table, re.MULTILINE) == [f"{step:.4f}" for step in card.values()]
    p = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    p.grad = torch.full_like(p, g)
    torch.optim.Adam([p], lr=1.0, eps=eps).step()
    assert steps([g])[0] == pytest.approx(card["Algorithm 1"]) == pytest.approx(-p.item())


@pytest.mark.parametrize("t", [1, 10, 1000])
def test_eps_hat_is_eps_times_the_root_of_the_correction(t):
    m, v, eps_hat, c1, c2 = 0.3, 0.2, 0.01, 1 - 0.9**t, 1 - 0.999**t
    section_2 = math.sqrt(c2) / c1 * m / (math.sqrt(v) + eps_hat)
    assert section_2 == pytest.approx((m / c1) / (math.sqrt(v / c2) + eps_hat / math.sqrt(c2)))


def test_the_six_numbers_of_lesson_00():
    namespace = run("six-numbers")
    assert [f"{n:.4f}" for n in namespace["six"]] == ["9.0166", "7.0211", "5.3501", "3.9961", "2.9324", "6.4472"]


@pytest.mark.parametrize("eps", [1e-8, 0.1])
@pytest.mark.parametrize("name", RULES)
def test_it_matches_torch(name, eps):
    difference = run("difference-on-a-surface")["difference"]
    assert difference(CELLS[name], eps, amsgrad=name == "amsgrad") < 1e-12


EXPERIMENT = Later(lambda: {"play": lesson_08.play, "adam": CELLS["adam"]})


def steps_by_hand(series, beta1, beta2, eps, corrected=True):
    m, v, steps = 0.0, 0.0, []
    for t, g in enumerate(series, 1):
        m, v = beta1 * m + (1 - beta1) * g / 1000, beta2 * v + (1 - beta2) * (g / 1000) ** 2
        first, second = (m / (1 - beta1**t), v / (1 - beta2**t)) if corrected else (m, v)
        steps.append(first / (second**0.5 + eps))
    return torch.tensor(steps, dtype=torch.float64)


@pytest.mark.parametrize("gradient", ["noisy", "sign-flipping", "sparse"])
@pytest.mark.parametrize("windows", [(10, 1000), (100, 50), (2, 10000)])
@pytest.mark.parametrize("broken", [False, True])
def test_the_experiment_measures_each_step_in_units_of_lr(gradient, windows, broken):
    moves = {"gradient": gradient, "window_m": windows[0], "window_v": windows[1], "eps": 1e-5, "broken": broken}
    numbers = EXPERIMENT.experiment(torch.optim.Adam, **moves).numbers
    steps = steps_by_hand(
        lesson_08.SERIES[gradient], 1 - 1 / windows[0], 1 - 1 / windows[1], 1e-5, corrected=not broken
    )
    for t in (1, 2, 16, 50):
        assert numbers[f"step {t} (lr)"].item() == pytest.approx(steps[t - 1].item(), rel=1e-6, abs=1e-12)
    assert numbers["longest step (lr)"].item() == pytest.approx(steps.abs().max().item(), rel=1e-6)
    assert numbers["all 50 (lr)"].item() == pytest.approx(steps.sum().item(), rel=1e-6)
    first = next(t for t, g in enumerate(lesson_08.SERIES[gradient], 1) if g)
    found = "yours leaves torch at" if broken else "yours, ours and torch"
    assert numbers[found].startswith(f"step {first}, " if broken else "the same in all 50 steps")


def test_without_correction_the_first_step_is_the_ratio_of_the_lesson():
    numbers = EXPERIMENT.experiment(torch.optim.Adam, broken=True).numbers
    assert numbers["step 1 (lr)"].item() == pytest.approx(0.1 / 0.001**0.5, rel=1e-3)  # ε shortens it a little


@pytest.mark.parametrize("optimizer", [None, "adam", torch.optim.Adam, Adam])
def test_the_experiment_takes_any_optimizer(optimizer):
    sum_of_steps = steps_by_hand(lesson_08.SERIES["noisy"], 0.9, 0.999, 1e-8).sum().item()
    assert EXPERIMENT.experiment(optimizer).numbers["all 50 (lr)"].item() == pytest.approx(sum_of_steps, rel=1e-6)


@pytest.mark.parametrize(
    "moves",
    [
        {"gradient": "sparse", "window_m": 1, "broken": True},
        {"gradient": "noisy", "window_m": 100, "window_v": 1},
        {"gradient": "sign-flipping", "window_m": 1, "window_v": 10_000, "broken": True},
    ],
)
def test_the_picture_of_the_experiment_follows_the_step_out_of_the_frame(moves):
    moved = EXPERIMENT.experiment(**moves)
    low, high = moved.picture.axes.get_ylim()
    longest = moved.numbers["longest step (lr)"]
    assert 18 < longest < high < 2.5 * longest
    assert (low < -longest) == (moves["gradient"] == "sign-flipping")
