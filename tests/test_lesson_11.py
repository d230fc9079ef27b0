"""Lesson 11, run from its own cells: its test, its roundings, its experiment, and the sharpness behind it."""

import math

import pytest
import torch
from cells import Lesson
from matplotlib.figure import Figure

from edu_optim import SGD, contest, problems
from edu_optim.check import check
from edu_optim.exercises import lesson_11 as asked
from edu_optim.lab import lesson_11 as lab
from edu_optim.rules import momentum
from edu_optim.trace import sharpness

LESSON = Lesson("11")
CELLS = LESSON.later("imports", "flip-test", "stochastic-rounding")


@pytest.mark.parametrize("seed", range(5))
def test_the_cell_is_the_test_that_ships(seed):
    draw = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, 9, generator=draw, dtype=torch.float64).tolist()
    assert CELLS["flip_test"](a, b) == pytest.approx(contest.flip_test(a, b))


def test_the_rounding_cells_round():
    values = torch.tensor([1.0, -0.5, 0.1, -7e-3, 3.3e4], dtype=torch.float64)
    assert torch.equal(CELLS["nearest"](values), values.bfloat16().double())
    often = torch.stack([CELLS["stochastic"](values) for _ in range(4000)])
    assert torch.equal(often, often.bfloat16().double())
    assert torch.allclose(often.mean(0), values, rtol=3e-4)
    assert [len(column.unique()) for column in often.T] == [1, 1, 2, 2, 2]


def hessian(loss, p):
    (gradient,) = torch.autograd.grad(loss, p, create_graph=True)
    rows = [torch.autograd.grad(g, p, retain_graph=True)[0].flatten() for g in gradient.flatten()]
    return torch.stack(rows)


@pytest.mark.parametrize("seed", range(4))
def test_the_sharpness_is_the_largest_eigenvalue(seed):
    images, labels = problems.digits()
    p = torch.randn(64, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(images[:80] @ p, labels[:80] % 3)
    largest = torch.linalg.eigvalsh(hessian(loss, p))[-1].item()
    found, direction = sharpness(loss, [p], rounds=300)
    assert found == pytest.approx(largest, rel=1e-4) and direction.norm().item() == pytest.approx(1)
    again, _ = sharpness(loss, [p], rounds=1, direction=direction)
    assert again == pytest.approx(largest, rel=1e-4)


def test_the_sharpness_takes_several_parameters_and_any_loss():
    a, b = (torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True) for _ in range(2))
    found, direction = sharpness((3 * a[0] ** 2 + 7 * b[1] ** 2 + a[1] * b[0]) / 2, [a, b])
    assert found == pytest.approx(7) and direction.abs().argmax() == 3


def test_the_race_is_run_again_seed_by_seed():
    results = contest.stored()["results"]
    experiment = lab.play(results)
    for task, rows in results.items():
        adam, sgd = (rows[name]["held_out"] for name in ("Adam", "SGD"))
        shown = experiment.at(task=task, first="SGD", second="Adam", seeds=10)
        beaten = "SGD" in contest.beaten(rows)["Adam"]
        assert shown.numbers["verdict"] == ("Adam beats SGD" if beaten else "we do not know")
        assert shown.numbers["mean of Adam"] == pytest.approx(sum(adam) / 10)
        left, right = shown.fig.axes
        assert [*left.get_lines()[1].get_ydata()] == pytest.approx([b - a for a, b in zip(adam, sgd, strict=True)])
        assert [*right.get_lines()[0].get_ydata()] == [contest.flip_test(sgd[:n], adam[:n]) for n in range(1, 11)]


@pytest.mark.slow
@pytest.mark.parametrize("lr", [0.4, 1.2])
def test_the_experiment_measures_what_it_draws(lr):
    experiment = lab.edge()
    shown = experiment.at(lr=lr)
    losses, sharp = lab.at_the_edge(SGD, lr)
    assert shown.numbers["2 / lr"] == 2 / lr and shown.numbers["loss, mean of the last 50"] == losses[-50:].mean()
    assert shown.numbers["sharpness, last 200 steps"].item() == pytest.approx(sum(sharp[-20:]) / 20)
    left, right = shown.fig.axes
    assert list(left.get_lines()[0].get_ydata()) == losses.tolist()
    assert right.get_lines()[1].get_ydata()[0] == 2 / lr


@pytest.mark.slow
def test_the_experiment_takes_an_optimizer_or_a_rule():
    ours = lab.edge().numbers["loss, mean of the last 50"]
    assert lab.edge(torch.optim.SGD).numbers["loss, mean of the last 50"].item() == pytest.approx(ours.item(), rel=1e-3)
    assert lab.edge(momentum).error is None


def test_the_tremor_decides_and_not_the_rounding(monkeypatch):
    plain, _ = lab.at_the_edge.__wrapped__(SGD, 0.5)

    def nudged(*sizes):
        net = problems.small_net(*sizes)
        with torch.no_grad():
            for p in net.parameters():
                p.mul_(1 + 1e-14)
        return net

    monkeypatch.setattr(lab, "small_net", nudged)
    assert torch.allclose(lab.at_the_edge.__wrapped__(SGD, 0.5)[0], plain, rtol=1e-5)


def test_a_filter_normalized_direction_has_rows_as_long_as_the_weights():
    net = problems.small_net(64, 16, 10)
    weights = torch.nn.utils.parameters_to_vector(net.parameters()).detach()
    direction = lab.filter_normalized(weights, [p.shape for p in net.parameters()], seed=0)
    torch.nn.utils.vector_to_parameters(direction, net.parameters())
    fresh = problems.small_net(64, 16, 10)
    for moved, p in zip(net.parameters(), fresh.parameters(), strict=True):
        wanted = p.norm(dim=-1) if p.dim() > 1 else torch.zeros((), dtype=p.dtype)
        assert torch.allclose(moved.norm(dim=-1), wanted)


@pytest.mark.parametrize("task", contest.TASKS)
def test_the_pictures_of_the_race_show_every_number(task):
    results = contest.stored()["results"][task]
    fig = lab.sensitivity(results, "error")
    assert isinstance(fig, Figure)
    for ax, (name, row) in zip(fig.axes, results.items(), strict=True):
        assert ax.get_title() == f"{name}: {row['best']:g}"
        assert len(ax.get_lines()) == len(row["tuning"][0]) + 2
    dots, pairs = lab.finish(results, "error").axes
    assert sorted(map(len, (line.get_xdata() for line in dots.get_lines()))) == [1] * 8 + [10] * 8
    won = sum(map(len, contest.beaten(results).values()))
    assert (len(pairs.get_lines()[0].get_xdata()) if pairs.get_lines() else 0) == won


@pytest.mark.parametrize("given", [(4, 2, 1), (5, 3, 1), (3, 4, 6)])
def test_the_lemma_holds_in_the_example(given):
    X, y = problems.wilson_example(*given)
    signs = (X.T @ y).sign()
    if given[0] > given[1]:
        assert torch.allclose(X @ signs, (3 + given[2]) * y)
    adaptive, descent = asked.limits(X, y)
    assert torch.allclose(X @ descent, y)
    assert descent.norm() <= torch.linalg.lstsq(X, y, driver="gelsd").solution.norm() * (1 + 1e-9)
    assert torch.allclose(adaptive.abs()[adaptive != 0], adaptive.abs().max())


def test_the_facts_of_the_six_by_33_example():
    adaptive, descent = asked.limits(*problems.wilson_example())
    assert set(adaptive.abs().tolist()) == {0.0, 0.25}
    news = [descent[0] + descent[1] + descent[2], -descent[0] + descent[1] + descent[2]]
    assert [f"{new:.3f}" for new in news] == ["0.904", "-0.370"]


def test_each_report_has_one_fault_and_one_is_fair():
    for letter, report in asked.records().items():
        old, new = report["old"], report["new"]
        lowest = [tried["lrs"][tried["tuning"].index(min(tried["tuning"]))] for tried in (old, new)]
        faults = {
            "fewer learning rates for one": len(old["lrs"]) != len(new["lrs"]),
            "longer training for one": old["steps"] != new["steps"],
            "seeds left out": old["seeds"] != new["seeds"],
            "chosen on the held-out data": lowest != [old["chosen"], new["chosen"]],
            "best at the edge of the grid": any(t["chosen"] in (t["lrs"][0], t["lrs"][-1]) for t in (old, new)),
        }
        assert [name for name, is_there in faults.items() if is_there] == [
            name for name in [asked.unfair()[letter]] if name != "fair"
        ]
        assert sum(new["errors"]) < sum(old["errors"])
        assert math.isclose(len(new["errors"]), len(new["seeds"]))


@pytest.mark.parametrize(("wrong", "right"), [("P", 5), ("PQS", 3), ("PQRSTU", 1)])
def test_who_names_some_faults_is_told_how_many(wrong, right):
    verdict = check(lambda: asked.unfair() | dict.fromkeys(wrong, "fair"), like="unfair")
    label, yours, _ = verdict.difference
    assert label.startswith("how many of the six are right") and yours == str(right)


@pytest.mark.parametrize(("enough", "name"), [(1, None), (2, "only where both best rates are at an edge is there")])
def test_at_how_many_edges_an_answer_tunes_again_is_told(enough, name):
    def answer(a, b):
        means = [[sum(row) for row in one["tuning"]] for one in (a, b)]
        best = [row.index(min(row)) for row in means]
        if sum(k in (0, len(row) - 1) for k, row in zip(best, means, strict=True)) >= enough:
            return "tune again"
        return asked.verdict(
            *(
                {"tuning": [[1], [0], [1]], "racing": [[], one["racing"][k], []]}
                for k, one in zip(best, (a, b), strict=True)
            )
        )

    verdict = check(answer, like="verdict")
    assert verdict.passed == (name is None) and (verdict.passed or verdict.name.startswith(name))


def test_windows_follow_the_text():
    text, alphabet = problems.descriptions()
    pieces, following = problems.windows(text)
    assert torch.equal(pieces[5, 1:], following[5, :-1]) and following[5, -1] == text[5 + 32]
    assert len(alphabet) == 92 and len(text) > 43_000


def test_the_transformer_does_not_look_ahead():
    net = problems.speller(92)
    text, _ = problems.descriptions()
    one, other = text[:32].clone()[None], text[:32].clone()[None]
    other[0, 20:] = 0
    with torch.no_grad():
        assert torch.allclose(net(one)[..., :20], net(other)[..., :20], atol=1e-5)
        assert not torch.allclose(net(one)[..., 20:], net(other)[..., 20:], atol=1e-2)


@pytest.mark.parametrize("make", [problems.small_cnn, lambda seed: problems.speller(92, seed)])
def test_a_seed_makes_the_same_network_and_leaves_the_readers_own_draws(make):
    torch.manual_seed(4)
    before = torch.get_rng_state()
    one, same, other = (torch.nn.utils.parameters_to_vector(make(seed).parameters()) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)
