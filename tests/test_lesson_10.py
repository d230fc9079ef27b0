"""The schedules, the numbers and the experiment of lesson 10."""

import math

import pytest
import torch
from cells import Lesson
from torch.optim import lr_scheduler

import edu_optim
from edu_optim.exercises import lesson_10 as exercises
from edu_optim.lab import lesson_10 as lab
from edu_optim.problems import small_net
from edu_optim.trace import fit

LESSON = Lesson("10")
NAMES = {
    "cos": math.cos,
    "pi": math.pi,
    "inf": math.inf,
    "T": 200,
    "lab": lab,
    "torch": torch,
    "lr_scheduler": lr_scheduler,
}


def typed():
    """The functions of the lesson's cells."""
    return LESSON.run("constant", "schedules", "one-cycle", "torch-schedulers", "rates", **NAMES)


@pytest.mark.parametrize(
    "name", ["constant", "step_decay", "exponential", "cosine", "warmup", "warmup_stable_decay", "one_cycle"]
)
def test_the_schedules_of_the_lesson_are_those_that_it_trains_with(name):
    ours, theirs = typed()[name], getattr(lab, name)
    assert [ours(t) for t in range(200)] == [theirs(t) for t in range(200)]


def test_the_schedules_do_what_their_formulas_say():
    assert [lab.step_decay(t) for t in (0, 79, 80, 159, 160)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    assert lab.exponential(199) == pytest.approx(0.985**199)
    assert [lab.cosine(t) for t in (0, 50, 100, 200)] == pytest.approx([1, 0.5 + 0.5**0.5 / 2, 0.5, 0])
    assert [lab.warmup(t) for t in (0, 9, 19, 150)] == pytest.approx([0.05, 0.5, 1, 1])
    assert [lab.warmup_stable_decay(t) for t in (0, 19, 120, 121, 160, 199)] == pytest.approx(
        [0.05, 1, 1, 79 / 80, 0.5, 1 / 80]
    )
    assert [lab.one_cycle(t) for t in (0, 59, 199)] == pytest.approx([1 / 25, 1, 1 / 250_000])


SCHEDULERS = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 7, 0.3),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [5, 20], 0.3),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 30, 0.001),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 8, 2),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, 0.1, total_iters=9),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, 30, 2.0),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t)),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.2, 30),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, total_iters=5), lr_scheduler.ExponentialLR(o, 0.8)], [5]
    ),
}


def path(library, name, make, options):
    """Rates, what one-cycle calls momentum, and parameters of 30 steps along the same gradients."""
    p = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    optimizer = getattr(library, name)([p], lr=0.1, **options)
    schedule, rates, moments, points = make(optimizer), [], [], []
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        group = optimizer.param_groups[0]
        rates.append(group["lr"])
        moments.append(group["betas"][0] if "betas" in group else group["momentum"])
        p.grad = torch.randn(2, generator=generator, dtype=torch.float64)
        optimizer.step()
        schedule.step()
        points.append(p.detach().clone())
    return rates, moments, torch.stack(points)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize(
    "name, options", [("SGD", {"momentum": 0.9}), ("Adam", {}), ("AdamW", {}), ("RMSprop", {"momentum": 0.5})]
)
def test_torchs_schedulers_move_ours_as_they_move_torchs(scheduler, name, options):
    ours = path(edu_optim, name, SCHEDULERS[scheduler], options)
    theirs = path(torch.optim, name, SCHEDULERS[scheduler], options)
    assert ours[:2] == theirs[:2] and len(set(ours[0])) > 2
    assert (ours[2] - theirs[2]).abs().max() < 1e-12
    assert (len(set(ours[1])) > 2) == (scheduler == "OneCycleLR")


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_the_schedules_of_the_lesson_are_torchs(name):
    cells = typed()
    options = {"momentum": 0.9} if name == "SGD" else {}
    for shape, make in cells["TORCH"].items():
        seen = cells["rates"](lambda *given, **more: getattr(edu_optim, name)(*given, **more, **options), make)
        assert seen == pytest.approx([0.1 * shape(t) for t in range(200)], abs=1e-14), shape.__name__


# Trained


def test_networks_that_are_trained_at_once_learn_what_one_learns_alone():
    found = lab.tried(edu_optim.SGD, {"a": lab.cosine, "b": lab.warmup}, [0.1, 0.3], range(2), momentum=0.9)
    alone = lab.trained(edu_optim.SGD, lab.warmup, lr=0.3, momentum=0.9).losses
    assert found.losses[:100, 1, 1, 0].tolist() == pytest.approx(alone[:100], rel=1e-8)


@pytest.mark.parametrize("library", [edu_optim, torch.optim])
def test_a_gradient_that_is_written_out_trains_as_autograd_does(library):
    images, labels, *_ = lab.split()
    net = small_net(64, 16, 10, seed=3)
    optimizer = library.Adam(net.parameters(), lr=0.05)
    schedule = lr_scheduler.LambdaLR(optimizer, lab.cosine)
    slow = fit(net, optimizer, images, labels, 60, batch=32, scheduler=schedule, clip=0.7, seed=3)
    quick = lab.trained(library.Adam, lab.cosine, lr=0.05, clip=0.7, seed=3)
    assert quick.rates[:60] == pytest.approx(slow.rates)
    assert quick.losses[:60] == pytest.approx(slow.losses, rel=1e-9)
    assert quick.norms[:60] == pytest.approx(slow.norms, rel=1e-9) and max(slow.norms) > 0.7


def test_the_mean_of_the_last_ten():
    seen = lab.smooth([float(n) for n in range(30)])
    assert seen[[0, 4, 9, 10, 29]].tolist() == pytest.approx([0, 2, 4.5, 5.5, 24.5])


def test_a_bad_batch_is_one_gradient_that_is_32_times_too_long():
    good, bad = (lab.trained(edu_optim.SGD, lab.constant, lr=0.1, bad=bad) for bad in (False, True))
    assert bad.losses[: lab.BAD + 1] == pytest.approx(good.losses[: lab.BAD + 1])
    assert bad.norms[lab.BAD] == pytest.approx(32 * good.norms[lab.BAD])
    assert bad.losses[lab.BAD + 1] > 1.5 * good.losses[lab.BAD + 1]


# The experiment


@pytest.fixture(scope="module")
def experiment():
    return lab.play(edu_optim.rules.adam)


def test_yours_ours_and_torchs_are_the_same(experiment):
    for values in ({}, {"after": "cosine", "warmup": 30}, {"bad": True, "clip": 0.5}):
        assert experiment.at(**values).numbers["yours, ours and torch"] == "the same in all 199 steps"


def test_a_wrong_adam_is_seen(experiment):
    assert experiment.at(method=lab.UNCORRECTED).numbers["yours leaves torch at"].startswith("step 1, ")


def adam_in_another_order(p, g, m, v, *, t, lr, betas=(0.9, 0.999), eps=1e-8):
    m = m + (1 - betas[0]) * (g - m)
    v = v + (1 - betas[1]) * (g * g - v)
    p = p - (lr / (1 - betas[0] ** t)) * m / ((v / (1 - betas[1] ** t)) ** 0.5 + eps)
    return p, m, v


@pytest.mark.parametrize("peak", [0.05, 0.5, 3.0])
def test_where_rounding_decides_no_right_adam_is_called_wrong(peak):
    said = lab.play(adam_in_another_order).at(peak=peak, seed=2).numbers["yours, ours and torch"]
    assert said == "the same in all 199 steps" if peak < 0.1 else said.endswith(" steps, then rounding decides")
    assert lab.play(torch.optim.NAdam).at(peak=peak, seed=2).numbers["yours leaves torch at"].startswith("step 1, ")


@pytest.mark.parametrize("after", lab.AFTER)
def test_the_experiment_draws_the_rates_that_it_trains_with(experiment, after):
    (line,) = experiment.at(method=lab.MOMENTUM, after=after, warmup=40, peak=0.2).fig.axes[0].get_lines()
    rates = line.get_ydata()
    assert rates[:40] == pytest.approx([0.2 * (t + 1) / 40 for t in range(40)])
    assert rates == pytest.approx([0.2 * lab.warmed(40, lab.AFTER[after])(t) for t in range(200)])


def test_clipping_saves_sgd_from_the_bad_batch(experiment):
    chosen = {"method": lab.MOMENTUM, "after": "constant", "peak": 0.4}
    key = "loss, mean of the last 20"
    good, bad, clipped = (
        experiment.at(**chosen, **more).numbers for more in ({}, {"bad": True}, {"bad": True, "clip": 1.0})
    )
    assert bad[key] > 5 * good[key] and clipped[key] == pytest.approx(good[key], rel=0.15)
    assert good["steps that were clipped"] == 0 < clipped["steps that were clipped"] < 40


# The exercises


def test_the_ends_of_the_exercise_are_those_of_the_text():
    shape = exercises.warmup_cosine
    assert shape(0, 5, 50, 0.1) == 1 / 5 and shape(4, 5, 50, 0.1) == 1 and shape(49, 5, 50, 0.1) == pytest.approx(0.1)
    assert all(shape(t, 5, 50, 0.1) > shape(t + 1, 5, 50, 0.1) for t in range(4, 49))


def test_a_warmup_of_288_steps_keeps_below_twice_the_rate():
    assert exercises.largest_factor(288, 0.9, 0.999) <= 2 < exercises.largest_factor(287, 0.9, 0.999)
    assert exercises.largest_factor(1, 0.9, 0.999) == pytest.approx(6.57, abs=0.01)


@pytest.mark.parametrize("scale", [1e-3, 1e4])
def test_the_clipping_of_the_exercise_is_free_of_scale(scale):
    norms = [0.5, 0.7, 0.6, 12.0, 0.4, 9.0]
    assert exercises.clip_factor([scale * norm for norm in norms], 2.5) == pytest.approx(
        exercises.clip_factor(norms, 2.5)
    )
