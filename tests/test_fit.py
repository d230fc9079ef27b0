"""The training loop: against a loop by hand, killed and resumed, and what it refuses."""

import io
import math
import os
import signal
import threading

import pytest
import torch
from forks import prepared
from torch.optim import lr_scheduler
from tqdm import tqdm

import edu_optim
from edu_optim import SGD, Adam, problems
from edu_optim.trace import fit

STEPS, EVERY = 30, 10
IMAGES, LABELS = (column[:200] for column in problems.digits())


def run(checkpoint=None, steps=STEPS, hook=None):
    """A run with all that a checkpoint must keep: momentum that is cycled, dropout, draws, a rate that moves."""
    torch.manual_seed(0)
    first, tanh, last = problems.small_net(64, 8, 10)
    model = torch.nn.Sequential(first, tanh, torch.nn.Dropout(0.2), last)
    if hook:
        model.register_forward_pre_hook(hook)
    optimizer = Adam(model.parameters(), lr=0.1)
    schedule = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=STEPS)
    options = {"batch": 16, "accumulate": 2, "clip": 1.0, "scheduler": schedule}
    return fit(model, optimizer, IMAGES, LABELS, steps, checkpoint=checkpoint, every=EVERY, **options), model


def same_to_the_bit(one, two):
    (history, model), (other, other_model) = one, two
    assert history == other and len(history.losses) == STEPS
    pairs = zip(model.parameters(), other_model.parameters(), strict=True)
    assert all(torch.equal(p, q) for p, q in pairs)


# Killed


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def at_call(number, then, real=lambda *args: None):
    """``real``, but ``then`` at its call of this number."""
    calls = 0

    def counted(*args):
        nonlocal calls
        calls += 1
        return (then if calls == number else real)(*args)

    return counted


def half(content, file, real=torch.save):
    """Write one half, as a process does that is killed in the middle of it."""
    whole = io.BytesIO()
    real(content, whole)
    file.write(whole.getvalue()[: whole.tell() // 2])
    file.flush()
    die()


def killed_at(moment, path):
    """Runs in a process of its own, and does not come back. The first checkpoint is written; the second may not be."""
    tqdm.set_lock(threading.RLock())  # one between processes would outlive this one
    if moment == "mid-write":
        torch.save = at_call(2, half, torch.save)
    elif moment == "before it is on the disk":
        os.fsync = at_call(3, die, os.fsync)
    elif moment == "before it is renamed":
        os.replace = at_call(2, die, os.replace)
    elif moment == "after it is renamed":
        os.fsync = at_call(4, die, os.fsync)
    run(path, hook=at_call(2 * 17, die) if moment == "mid-run" else None)


MOMENTS = ["mid-run", "mid-write", "before it is on the disk", "before it is renamed", "after it is renamed"]


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_that_was_killed_goes_on_to_the_same_curve_to_the_bit(tmp_path, moment):
    path = tmp_path / "run.pt"
    process = prepared().Process(target=killed_at, args=(moment, path))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    kept = torch.load(path, weights_only=True)["states"]["history"]["losses"]
    assert len(kept) == (20 if moment == "after it is renamed" else 10)
    same_to_the_bit(run(path), run())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("first", [1, 10, 17, 29])
def test_a_run_that_ended_early_goes_on_to_the_same_curve_to_the_bit(tmp_path, first):
    run(tmp_path / "run.pt", first)
    same_to_the_bit(run(tmp_path / "run.pt"), run())


def test_a_run_that_is_done_takes_no_step(tmp_path):
    once = run(tmp_path / "run.pt")
    same_to_the_bit(run(tmp_path / "run.pt", hook=lambda *_: pytest.fail("the model was called")), once)


OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9},
    "Adagrad": {"lr": 0.1},
    "RMSprop": {"lr": 0.01},
    "Adadelta": {"lr": 1.0},
    "Adam": {"lr": 0.01},
    "AdamW": {"lr": 0.01, "weight_decay": 0.1},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("order", [(edu_optim, torch.optim, edu_optim), (torch.optim, edu_optim, torch.optim)])
def test_ours_goes_on_as_torchs_and_back_in_mid_run(tmp_path, name, order):
    def go(library, steps, path=None):
        net = problems.small_net(64, 8, 10)
        optimizer = getattr(library, name)(net.parameters(), **OPTIMIZERS[name])
        schedule = lr_scheduler.CosineAnnealingLR(optimizer, 30)
        return fit(net, optimizer, IMAGES, LABELS, steps, batch=16, scheduler=schedule, checkpoint=path)

    for steps, library in zip((10, 20, 30), order, strict=True):
        mixed = go(library, steps, tmp_path / "run.pt")
    alone = go(torch.optim, 30)
    assert mixed.losses == pytest.approx(alone.losses, rel=1e-10)
    assert mixed.rates == alone.rates


# Against a loop by hand


def by_hand(steps, clip):
    net, losses, norms = problems.small_net(64, 8, 10), [], []
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
    generator = torch.Generator().manual_seed(3)
    for t in range(steps):
        drawn = torch.randint(200, (10,), generator=generator)
        loss = torch.nn.functional.cross_entropy(net(IMAGES[drawn]), LABELS[drawn])
        optimizer.zero_grad()
        loss.backward()
        norm = sum((p.grad**2).sum() for p in net.parameters()) ** 0.5
        for p in net.parameters():
            p.grad *= min(1, clip / (norm + 1e-6))
        optimizer.param_groups[0]["lr"] = 0.5 * 0.9**t
        optimizer.step()
        losses.append(loss.item())
        norms.append(norm.item())
    return losses, norms


@pytest.mark.parametrize("accumulate", [1, 2, 3, 4, 10, 100])  # 4 cuts 10 examples into 3, 3, 3 and 1
@pytest.mark.parametrize("clip", [0.3, float("inf")])
def test_the_loop_does_what_a_loop_by_hand_does_however_a_batch_is_cut(accumulate, clip):
    net = problems.small_net(64, 8, 10)
    optimizer = SGD(net.parameters(), lr=0.5, momentum=0.9)
    options = {"batch": 10, "seed": 3, "scheduler": lr_scheduler.ExponentialLR(optimizer, 0.9)}
    history = fit(net, optimizer, IMAGES, LABELS, 20, accumulate=accumulate, clip=clip, **options)
    losses, norms = by_hand(20, clip)
    assert history.losses == pytest.approx(losses, rel=1e-11)
    assert history.norms == pytest.approx(norms, rel=1e-10)
    assert history.rates == pytest.approx([0.5 * 0.9**t for t in range(20)])
    assert history.stopped == ""


def floats(factor=1, **options):
    net = problems.small_net(64, 8, 10).float()
    optimizer = SGD(net.parameters(), lr=0.5 / factor)
    schedule = lr_scheduler.ExponentialLR(optimizer, 0.9)
    options = {"steps": 20, "batch": 16, "scheduler": schedule, "clip": 0.3 * factor, **options}
    loss = torch.nn.functional.cross_entropy
    options["loss"] = lambda scores, labels: factor * loss(scores, labels)
    return fit(net, optimizer, IMAGES.float(), LABELS, **options), schedule


def test_a_scaler_changes_nothing_since_clipping_sees_the_true_length():
    scaled, _ = floats(scaler=torch.amp.GradScaler("cpu", init_scale=2.0**12))
    plain, _ = floats()
    assert scaled.losses == pytest.approx(plain.losses, rel=1e-4)
    assert max(plain.norms) > 0.3


def test_a_step_that_the_scaler_skips_moves_no_schedule():
    history, schedule = floats(factor=1e4, scaler=torch.amp.GradScaler("cpu", init_scale=2.0**126, backoff_factor=0.1))
    skipped = sum(not math.isfinite(norm) for norm in history.norms)
    assert 0 < skipped < 15 and schedule.last_epoch == 20 - skipped
    assert history.losses[-1] < history.losses[0]


def test_the_scale_goes_on_where_it_was(tmp_path):
    scalers = [torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=3) for _ in range(3)]
    floats(scaler=scalers[0])
    for scaler, steps in zip(scalers[1:], (10, 20), strict=True):
        floats(scaler=scaler, steps=steps, checkpoint=tmp_path / "run.pt")
    assert scalers[2].state_dict() == scalers[0].state_dict()
    assert scalers[2].get_scale() == 8 * 2**6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_trains_in_fewer_digits(dtype):
    half, _ = floats(scaler=torch.amp.GradScaler("cpu", enabled=dtype == torch.float16), autocast=dtype)
    plain, _ = floats()
    assert half.losses != plain.losses
    assert half.losses == pytest.approx(plain.losses, rel=0.02)


def test_a_scheduler_that_looks_at_the_loss_is_shown_it():
    net = problems.small_net(64, 10)
    optimizer = SGD(net.parameters(), lr=100.0)
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=0)
    history = fit(net, optimizer, IMAGES, LABELS, 20, scheduler=schedule)
    assert history.rates[0] == 100 and history.rates[-1] < 20


# What ends it, and what it refuses


def squares(scores, labels):
    return ((scores - labels[:, None]) ** 2).mean()


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_run_that_diverges_ends_before_the_step_and_says_where(tmp_path, accumulate):
    net = problems.small_net(64, 10)
    optimizer = SGD(net.parameters(), lr=1e30)
    options = {"loss": squares, "accumulate": accumulate, "checkpoint": tmp_path / "run.pt", "every": 1}
    history = fit(net, optimizer, IMAGES, LABELS, 50, **options)
    steps = len(history.losses)
    assert 0 < steps < 20
    assert history.stopped.startswith(f"stopped at step {steps + 1}, before it was taken: ")
    assert "Try a tenth of the rate, a warmup, or clip=1" in repr(history)
    assert all(p.isfinite().all() for p in net.parameters())
    kept = torch.load(tmp_path / "run.pt", weights_only=True)["states"]
    assert torch.equal(kept["model"]["0.weight"], net[0].weight)


def root_of_zero(scores, labels):
    return (scores - scores).abs().sqrt().mean()  # 0, with a slope that is no number


def test_a_gradient_that_is_no_number_ends_it_before_the_weights_are():
    net = problems.small_net(64, 10)
    history = fit(net, SGD(net.parameters(), lr=0.1), IMAGES, LABELS, 5, loss=root_of_zero)
    assert history.stopped.startswith("stopped at step 1, before it was taken: the gradient's length is nan")
    assert all(p.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize(
    "option, complaint",
    [
        ({"steps": -1}, "steps must be a whole number >= 0, got -1"),
        ({"steps": 1.5}, "steps must be a whole number >= 0, got 1.5"),
        ({"accumulate": 0}, "accumulate must be a whole number >= 1, got 0"),
        ({"every": 0}, "every must be a whole number >= 1, got 0"),
        ({"clip": 0}, "clip must be a length > 0, got 0"),
        ({"clip": float("nan")}, "clip must be a length > 0, got nan"),
    ],
)
def test_what_cannot_be_meant_is_refused(option, complaint):
    net = problems.small_net(64, 10)
    with pytest.raises(ValueError, match=complaint):
        fit(net, SGD(net.parameters(), lr=0.1), IMAGES, LABELS, **option)
