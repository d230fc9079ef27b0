"""What lesson 15 computes, against counts of its own."""

import ast
import inspect
import math
from dataclasses import replace

import pytest
import torch
from cells import Lesson
from test_lessons import bare, functions, read, tagged

from edu_optim import Adam, AdamW, Muon, from_rule
from edu_optim.contest import beaten
from edu_optim.contest.tasks import mixed_digits
from edu_optim.lab import lesson_15
from edu_optim.lab.lesson_15 import (
    ENTRANTS,
    LRS,
    MATRIX,
    RACES,
    RULES,
    again,
    hidden_layer,
    learned,
    play,
    raced,
    stored,
)
from edu_optim.later import rules
from edu_optim.problems import small_cnn, small_net

SOLVED = read(Lesson("15").path.parent / "solutions" / Lesson("15").path.name)


def test_the_rules_of_the_lesson_are_those_of_the_module():
    shipped, typed = functions(inspect.getsource(rules)), {}
    for cell in tagged(read(Lesson("15").path), "rule"):
        typed |= functions(cell.source)
    assert list(typed) == ["radam", "schedule_free_sgd", "adam_ema", "orthogonal", "nadam"]
    for name, function in typed.items():
        assert bare(function) == bare(shipped[name])


def test_the_lines_that_are_not_new_in_nadam_and_radam_are_those_of_adam():
    adams = set(ast.unparse(ast.parse(inspect.getsource(rules.adam))).splitlines())
    for name in ("nadam", "radam"):
        body = Lesson("15").sources[name].partition("beta1, beta2 = betas\n")[2].splitlines()
        kept = [line.strip() for line in body if "# new" not in line and "if n" not in line and "return" not in line]
        assert kept and all(f"    {ast.unparse(ast.parse(line))}" in adams for line in kept)


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (2, 6)])
def test_the_rules_that_are_asked_for_are_those_of_the_module(shape):
    draw = torch.Generator().manual_seed(3)
    p, g, one, two = (torch.randn(shape, generator=draw, dtype=torch.float64) for _ in range(4))
    typed = {"rules": rules}
    for cell in tagged(SOLVED, "exercise"):
        exec(cell.source, typed)
    for name, buffers, options in [
        ("lion", [one], {"lr": 0.1, "weight_decay": 0.3}),
        ("schedule_free_adamw", [one**2, two], {"t": 3, "lr": 0.1, "weight_decay": 0.3}),
        ("muon", [one], {"lr": 0.2, "weight_decay": 0.3}),
    ]:
        for mine, ours in zip(
            typed[name](p, g, *buffers, **options), getattr(rules, name)(p, g, *buffers, **options), strict=True
        ):
            torch.testing.assert_close(mine, ours)


def test_the_experiment_counts_what_a_loop_counts():
    lr, beta, farther, squares = 0.05, 0.5, 0, 0.0
    for seed in range(100):
        draw, z, x, q, far = torch.Generator().manual_seed(seed), 5.0, 5.0, 5.0, [0.0, 0.0]
        noise = torch.randn(200, generator=draw, dtype=torch.float64).tolist()
        for t, error in enumerate(noise, 1):
            z -= lr * ((1 - beta) * z + beta * x + 2 * error)
            x += (z - x) / t
            q -= lr * (q + 2 * error)
            if t > 100:
                far = [far[0] + x * x, far[1] + q * q]
        farther += far[0] > far[1]
        squares += far[0]
    numbers = play().at(lr=lr, beta=beta).numbers
    assert numbers["noises in which x is farther than plain SGD"] == farther
    assert numbers["x, from the minimum"] == pytest.approx((squares / 100 / 100) ** 0.5)


def test_the_curves_of_the_iterations_are_what_the_polynomials_say():
    (sizes, quintic), (_, five), (_, cubic) = lesson_15.polynomials(rules.orthogonal).values()
    s = sizes.clone()
    for step in range(25):
        if step == 5:
            torch.testing.assert_close(five, s)
        s = 1.5 * s - 0.5 * s**3
    torch.testing.assert_close(cubic, s)
    torch.testing.assert_close(quintic, lesson_15.brought(rules.orthogonal, sizes))


def test_the_singular_values_of_the_hidden_layer_are_those_of_a_loop():
    (images, labels), *_ = mixed_digits(0)
    net = small_net(64, 32, 32, 10, seed=0).double()
    rows = torch.randint(len(images), (32,), generator=torch.Generator().manual_seed(0))
    torch.nn.functional.cross_entropy(net(images[rows].double()), labels[rows]).backward()
    values = torch.linalg.svdvals(net[2].weight.grad)
    layer = hidden_layer(3)
    torch.testing.assert_close(layer[1], values / values.norm())
    assert list(layer) == [1, 4] and not torch.allclose(*layer.values())


def test_what_singular_values_are_brought_to_is_what_the_polynomial_says():
    sizes = torch.tensor([1e-4, 0.02, 0.6], dtype=torch.float64)
    powers = sizes.clone()
    for _ in range(5):
        powers = 3.4445 * powers - 4.775 * powers**3 + 2.0315 * powers**5
    torch.testing.assert_close(lesson_15.brought(rules.orthogonal, sizes), powers)


@pytest.mark.parametrize("name", ["AdamW", lesson_15.COSINE, lesson_15.AVERAGE, lesson_15.AVERAGED])
def test_a_network_of_the_race_learns_what_a_loop_learns(name):
    seed, lr, steps = 5, 0.05, 30
    (images, labels), *others = mixed_digits(seed)
    net, draw = small_net(64, 32, 32, 10, seed=seed), torch.Generator().manual_seed(seed)
    averaged = from_rule(rules.schedule_free_adamw)
    cls = averaged if name == lesson_15.AVERAGED else AdamW
    optimizer = cls(net.parameters(), lr=lr, weight_decay=0)
    means = [0.0 for p in net.parameters()]
    for step in range(steps):
        if name == lesson_15.COSINE:
            optimizer.param_groups[0]["lr"] = lr * (1 + math.cos(math.pi * step / steps)) / 2
        drawn = torch.randint(len(images), (32,), generator=draw)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images[drawn]), labels[drawn]).backward()
        optimizer.step()
        means = [0.97 * mean + 0.03 * p.detach() for mean, p in zip(means, net.parameters(), strict=True)]
    if name == lesson_15.AVERAGE:
        for p, mean in zip(net.parameters(), means, strict=True):
            p.data = mean / (1 - 0.97**steps)
    if cls is averaged:
        for p in net.parameters():
            p.data += 0.1 * optimizer.state[p]["e"]
    wrong = [100 * (net(of).argmax(-1) != right).double().mean().item() for of, right in others]
    found = learned(replace(MATRIX, steps=steps), name, [0.1, lr], [4, seed])
    assert [of[1, 1].item() for of in found] == pytest.approx(wrong, abs=0.3)


def test_the_hidden_matrices_alone_are_muons_in_the_race():
    net = small_net(3, 4, 4, 2)
    state, _ = torch.func.stack_module_state([net, net])
    muon, adamw = RULES["Muon"](lesson_15._groups(net, state, torch.tensor([0.1, 0.2]))).parts
    assert [p.shape for group in muon.param_groups for p in group["params"]] == [(2, 4, 4)]
    assert sum(len(group["params"]) for group in adamw.param_groups) == 5
    assert [group["lr"].shape for group in [*muon.param_groups, *adamw.param_groups]] == [(2, 1, 1), (2, 1), (2, 1, 1)]


def test_all_matrices_are_muons_where_it_steps_all_and_without_orthogonalizing_a_step_has_one_length():
    net, rates = small_net(3, 4, 4, 2), torch.tensor([0.1, 0.2])
    for name, shapes in (("Muon on all", [(2, 4, 4), (2, 4, 3), (2, 2, 4)]), ("length alone", [(2, 4, 4)])):
        state, _ = torch.func.stack_module_state([net, net])
        before = {key: p.detach().clone() for key, p in state.items()}
        both = lesson_15.CONTROLS[name](lesson_15._groups(net, state, rates))
        assert [p.shape for group in both.parts[0].param_groups for p in group["params"]] == shapes
        assert sum(len(group["params"]) for group in both.parts[1].param_groups) == 6 - len(shapes)
        for p in state.values():
            p.grad = torch.sin(torch.arange(p.numel(), dtype=p.dtype)).reshape(p.shape)
        both.step()
        assert all((p != before[key]).any() for key, p in state.items())
    moved = (state["2.weight"] - before["2.weight"]).flatten(1).norm(dim=1)
    torch.testing.assert_close(moved.double(), 0.2 * 4**0.5 * rates.double(), rtol=1e-4, atol=0)


def test_muon_steps_the_second_kernel_of_the_cnn_as_a_matrix():
    net, lr = small_cnn(3), 0.05
    state, _ = torch.func.stack_module_state([net])
    both = RULES["Muon"](lesson_15._groups(net, state, torch.tensor([lr], dtype=torch.float64)))
    kernel = net[4].weight
    alone = Muon([matrix := kernel.detach().reshape(16, 72)], lr=lr, weight_decay=0, adjust_lr_fn="match_rms_adamw")
    adamw = AdamW([p for p in net.parameters() if p is not kernel], lr=lr, weight_decay=0)
    for k in range(3):
        for name, p in net.named_parameters():
            p.grad = torch.sin((k + 1) * torch.arange(p.numel(), dtype=torch.float64)).reshape(p.shape)
            state[name].grad = p.grad[None].clone()
        matrix.grad = kernel.grad.reshape(16, 72)
        for optimizer in (both, alone, adamw):
            optimizer.step()
    torch.testing.assert_close(state["4.weight"][0].detach(), matrix.reshape(16, 8, 3, 3))
    torch.testing.assert_close(state["1.weight"][0], net[1].weight)


def test_the_race_tunes_all_on_one_grid_and_its_verdict_can_be_asked():
    found = raced(replace(MATRIX, steps=2, tuning=range(1)), racing=[1])
    assert found.keys() == set(ENTRANTS) == beaten(found).keys()
    assert all(len(result["tuning"]) == len(LRS) == 9 for result in found.values())
    assert all(result["best"] == LRS[result["tuning"].index(min(result["tuning"]))] for result in found.values())


def test_the_stored_race_is_tuned_inside_its_grid():
    assert stored()["results"].keys() == RACES.keys()
    for results in stored()["results"].values():
        assert set(ENTRANTS) == results.keys()
        for result in results.values():
            assert result["best"] == result["lrs"][result["tuning"].index(min(result["tuning"]))]
            assert result["lrs"][0] < result["best"] < result["lrs"][-1] and len(result["held_out"]) == 10


@pytest.mark.parametrize(
    ("task", "name", "close"),
    [
        ("digits, MLP", "AdamW, average", 0.6),
        ("digits, CNN", "Lion", 0.6),
        ("digits, CNN", "Muon", 0.6),
        ("text, transformer", "schedule-free", 0.03),
    ],
)
def test_a_part_of_the_race_comes_out_as_it_is_stored(task, name, close):
    result = stored()["results"][task][name]
    seed = again({name: result}, [100], RACES[task])[name]["held_out"]
    assert seed == pytest.approx(result["held_out"][:1], abs=close)


def test_the_average_of_the_weights_is_what_a_loop_averages():
    p, q = (torch.ones(2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    ours, adam, mean = from_rule(rules.adam_ema)([p], lr=0.1, decay=0.5), Adam([q], lr=0.1), 0.0
    for _ in range(4):
        p.grad, q.grad = 2 * p.detach(), 2 * q.detach()
        ours.step()
        adam.step()
        mean = 0.5 * mean + 0.5 * q.detach()
    torch.testing.assert_close(ours.state[p]["a"], mean)
