"""Checkpoints are loaded whole or not at all, and what cannot be loaded is said."""

import os

import pytest
import torch

from edu_optim import SGD, Adam, problems
from edu_optim.trace import load_checkpoint, save_checkpoint
from edu_optim.trace.checkpoint import VERSION


def parts(*sizes, make=Adam, schedule=torch.optim.lr_scheduler.ExponentialLR, dtype=torch.float64, seed=0):
    model = problems.small_net(*sizes or (4, 3), seed=seed).to(dtype)
    optimizer = make(model.parameters(), lr=0.1)
    for p in model.parameters():
        p.grad = torch.full_like(p, 0.5)
    optimizer.step()
    scheduler = schedule(optimizer, 0.9)
    generator = torch.Generator().manual_seed(seed)
    return {"model": model, "optimizer": optimizer, "scheduler": scheduler, "generator": generator}


def seen(given):
    """All that a checkpoint can change, as words."""
    states = [part.get_state() if name == "generator" else part.state_dict() for name, part in given.items()]
    return repr([plain(state) for state in [*states, torch.get_rng_state()]])


def plain(state):
    if torch.is_tensor(state):
        return state.dtype, state.tolist()
    return {key: plain(value) for key, value in state.items()} if isinstance(state, dict) else state


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.pt"
    save_checkpoint(path, **parts(seed=1))
    return path


def test_what_was_saved_comes_back_to_the_bit(path):
    before = parts(seed=1)
    save_checkpoint(path, **before)
    saved, other = seen(before), parts(seed=2)
    torch.rand(3)
    assert seen(other) != saved
    load_checkpoint(path, **other)
    assert seen(other) == saved


def cosine(optimizer, _):
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)


def two_groups(parameters, lr):
    first, *others = parameters
    return Adam([{"params": [first]}, {"params": others}], lr=lr)


@pytest.mark.parametrize(
    "others, complaint",
    [
        (
            lambda: parts(4, 5),
            r"another model: 0.weight is \(3, 4\) torch.float64 there and \(5, 4\) torch.float64 here",
        ),
        (lambda: parts(4, 3, 2), "another model: 2.weight is missing there"),
        (lambda: parts(dtype=torch.float32), "another model: 0.weight is .* there and .* torch.float32 here"),
        (lambda: parts(make=SGD), "another optimizer: a Adam, and here is a SGD"),
        (lambda: parts(schedule=cosine), "another scheduler: a ExponentialLR, and here is a CosineAnnealingLR"),
        (lambda: parts(make=two_groups), "does not fit: .*different number of parameter groups"),
        (lambda: {"model": parts()["model"]}, "holds the states of model, optimizer, .*; asked for were model"),
    ],
)
def test_a_checkpoint_of_something_else_changes_nothing(path, others, complaint):
    others, before = others(), path.read_bytes()
    untouched = seen(others)
    with pytest.raises(ValueError, match=complaint):
        load_checkpoint(path, **others)
    assert seen(others) == untouched
    assert path.read_bytes() == before


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_checkpoint_changes_nothing(path, share):
    whole, given = path.read_bytes(), parts()
    path.write_bytes(whole[: int(share * len(whole))])
    untouched = seen(given)
    with pytest.raises(ValueError, match="is damaged, or no checkpoint"):
        load_checkpoint(path, **given)
    assert seen(given) == untouched


def test_a_checkpoint_of_another_version_changes_nothing(path):
    saved, given = torch.load(path, weights_only=True), parts()
    torch.save({**saved, "edu_optim": VERSION + 1}, path)
    untouched = seen(given)
    with pytest.raises(ValueError, match=f"of version {VERSION + 1}, and this edu_optim reads version {VERSION}"):
        load_checkpoint(path, **given)
    assert seen(given) == untouched


class Mischief:
    def __reduce__(self):
        return os.mkdir, ("made-by-a-checkpoint",)


@pytest.mark.parametrize(
    "content, complaint",
    [(Mischief(), "is damaged, or no checkpoint"), ({"weight": torch.ones(1)}, "no checkpoint of edu_optim")],
)
def test_a_file_of_somebody_else_is_refused_and_runs_nothing(tmp_path, monkeypatch, content, complaint):
    monkeypatch.chdir(tmp_path)
    torch.save(content, "theirs.pt")
    with pytest.raises(ValueError, match=complaint):
        load_checkpoint("theirs.pt", **parts())
    assert os.listdir() == ["theirs.pt"]


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "run.pt", **parts())


class Odd:
    def state_dict(self):
        return {"value": Mischief()}


def test_a_state_that_could_not_be_read_again_leaves_the_old_checkpoint(path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match="is damaged, or no checkpoint"):
        save_checkpoint(path, **parts(), odd=Odd())
    assert path.read_bytes() == before


def test_a_link_to_a_checkpoint_stays_a_link(path, tmp_path):
    link = tmp_path / "latest.pt"
    link.symlink_to(path)
    before = path.read_bytes()
    save_checkpoint(link, **parts(seed=3))
    assert link.is_symlink() and path.read_bytes() != before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["latest.pt", "run.pt"]
