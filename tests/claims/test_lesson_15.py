"""What lesson 15 says in general, tried beside its own settings."""

import functools
import itertools
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from edu_optim import Muon, from_rule, sweep
from edu_optim.contest import RACING, beaten
from edu_optim.lab.lesson_15 import (
    AS_LONG,
    AS_LONG_TEXT,
    COSINE,
    DECAYS,
    DEPTHS,
    LONG,
    LRS,
    MATRIX,
    MINIBATCHES,
    NEW,
    RACES,
    RULES,
    TEXT,
    TREATMENTS,
    brought,
    careful_steps,
    counted,
    deeper,
    hidden_layer,
    learned,
    noisy_bowl,
    stored,
    trained,
    treatments,
)
from edu_optim.lab.lesson_15_minibatches import BY_DEPTH, leads
from edu_optim.later import rules, split
from edu_optim.problems import quadratic
from edu_optim.rules import adamw


@pytest.mark.parametrize("beta2", [0.99, 0.999])
@pytest.mark.parametrize("size", [1.0, 100.0])
def test_the_rate_of_radam_means_two_things(size, beta2):
    """Its `lr` means two things: a rate in those five, where large gradients make large steps, and a length later."""  # noqa: E501
    steps = [rules.radam(0.0, -size, 0.0, 0.0, t=t, lr=0.1, betas=(0.9, beta2))[0] for t in (1, 5, 6, 100, 3000)]
    ones = [rules.radam(0.0, -1.0, 0.0, 0.0, t=t, lr=0.1, betas=(0.9, beta2))[0] for t in (1, 5, 6, 100, 3000)]
    assert [step / one for step, one in zip(steps, ones, strict=True)] == pytest.approx([size] * 2 + [1] * 3)


@pytest.mark.parametrize(("beta2", "first"), [(0.6, 20), (0.8, 6), (0.9, 5), (0.97, 5), (0.999, 5), (0.9999, 5)])
def test_how_long_radam_is_momentum(beta2, first):
    """While `n` is at most 5 it is momentum; above 5 it divides as Adam does, but by a factor `r` more carefully."""
    steps = [rules.radam(0.0, 4.0, 0.0, 0.0, t=t, lr=1.0, betas=(0.0, beta2))[0] for t in range(1, 21)]
    assert [step == -4.0 for step in steps] == [True] * first + [False] * (20 - first)


def test_radam_climbs_far_more_slowly_where_beta2_is_larger():
    """Five steps of momentum, a fall, and a climb to half of `lr` that takes nine times as long where $\\beta_2$ is 0.999: its own warmup."""  # noqa: E501
    for beta2 in (0.9, 0.99, 0.9999):
        m = v = 0.0
        climb = []
        for t in range(1, 400):
            p, m, v = rules.radam(0.0, -3.0, m, v, t=t, lr=1.0, betas=(0.9, beta2))
            climb.append(p)
        assert climb[5:] == sorted(climb[5:]) and climb[5] < 0.3
    for share in (0.49, 0.5, 0.51):
        fast, slow = (
            next(t for t, step in enumerate(steps, 1) if t > 5 and step > share)
            for _, steps in careful_steps(rules.radam).values()
        )
        assert round(slow / fast) == 9


@pytest.mark.parametrize("decay", [0.9, 0.97, 0.999])
def test_an_average_remembers_that_many_steps(decay):
    """Here it is Adam's, with a memory of about `1 / (1 - decay)` steps: 33 at the 0.97 that AdamW chooses in the race below."""  # noqa: E501
    ages = torch.arange(20_000, dtype=torch.float64)
    mean_age = (ages * (1 - decay) * decay**ages).sum().item()
    assert abs(mean_age * (1 - decay) / decay - 1) < 1e-6 and round(1 / (1 - decay)) in (10, 33, 1000)
    assert treatments()["AdamW, average"]["decay"] == 0.97


class Counts(TorchDispatchMode):
    """How many operations torch carries out, each of which is one of every weight."""

    operations = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.operations += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("shape", [(32, 32), (100, 100)])
def test_what_a_step_of_muon_costs(shape):
    """AdamW's step takes 16 operations a weight, and a layer's gradient 6 an example: 2 each for the way forward, the \
inputs and the weights (the first layer asks nothing of its inputs: 4).
    So with 32 examples, Muon's step costs five times as much as the gradient of our hidden layer.
    Where 4,096 units meet a minibatch of a million tokens, it costs 2 % as much.
    """
    w = torch.ones(shape, requires_grad=True)
    with FlopCounterMode(display=False) as muon:
        rules.orthogonal(w.detach())
    for asked, operations in ((True, 6), (False, 4)):
        with FlopCounterMode(display=False) as gradient:
            (torch.ones(7, shape[1], requires_grad=asked) @ w.mT).sum().backward()
        assert gradient.get_total_flops() == operations * 7 * w.numel()
    assert muon.get_total_flops() == 30 * shape[0] * w.numel()
    assert 30 * 32 / (6 * 32) == 5 and round(100 * 30 * 4096 / (6 * 1_000_000)) == 2
    tensors = [torch.ones(3) for _ in range(4)]
    with Counts() as counts:
        adamw(*tensors, t=1, lr=0.1)
    assert counts.operations == 16


@pytest.mark.parametrize("lr", [0.01, 0.3])
@pytest.mark.parametrize("g", [-7.0, 1e-6, 3.0, 0.0])
def test_every_weight_moves_by_lr_under_lion(lr, g):
    """Without decay every weight moves by `lr`, unless its mean is 0, or nearly 0."""
    p, m = 0.5, 0.1 * g
    for _ in range(4):
        moved, m = rules.lion(p, g, m, lr=lr)
        assert abs(abs(moved - p) - lr * (g != 0)) < 1e-12
        p = moved
    near, far = (abs(rules.lion(0.0, mean, mean, lr=lr)[0]) / lr for mean in (1e-30, 2e-28))
    assert near < 0.51 and far > 0.99


@pytest.mark.parametrize("beta", [0.5, 0.9])
def test_the_average_of_schedule_free_is_that_of_the_fast_points(beta):
    """- $x$ is the average of all $z$ so far.
    - $p = (1 - \\beta)\\, z + \\beta\\, x$, between the two, is where the gradient is asked for.
    """
    p, e, fast = 1.0, 0.0, []
    for t, g in enumerate([0.7, -2.0, 3.0, 0.1], 1):
        p, e = rules.schedule_free_sgd(p, g, e, t=t, lr=0.2, beta=beta)
        fast.append(p - beta * e)
        average = sum(fast) / t
        assert abs(p + (1 - beta) * e - average) < 1e-12
        assert abs((1 - beta) * fast[-1] + beta * average - p) < 1e-12


@pytest.mark.parametrize("seed", [0, 1, 2, 15])
def test_the_fast_point_wanders_and_the_average_less(seed):
    """At this rate and `beta` $z$ wanders farther than plain SGD, and $x$ less"""
    for lr in (0.3, 0.6):
        lines = noisy_bowl(rules.schedule_free_sgd, lr, seed).values()
        fast, plain, mean = (torch.tensor(line)[-100:].std() for line in lines)
        assert mean < 0.8 * plain and plain < 0.8 * fast


@pytest.mark.parametrize("weight_decay", [0, 0.3])
@pytest.mark.parametrize("beta2", [0.9, 0.999])
def test_schedule_free_adamw_is_schedule_free_descent_of_adams_quotient(beta2, weight_decay):
    """The form that you would use, `schedule_free_adamw`, puts Adam's $g / (\\sqrt{\\hat v} + \\varepsilon)$ in the place of $g$, with AdamW's $\\lambda p$ added to it."""  # noqa: E501
    p = q = 1.0
    e = d = v = 0.0
    for t, g in enumerate([0.7, -2.0, 3.0], 1):
        p, v, e = rules.schedule_free_adamw(
            p, g, v, e, t=t, lr=0.2, betas=(0.9, beta2), eps=0, weight_decay=weight_decay
        )
        along = g / (v / (1 - beta2**t)) ** 0.5 + weight_decay * q
        q, d = rules.schedule_free_sgd(q, along, d, t=t, lr=0.2)
        assert abs(p - q) < 1e-12


def won(results):
    """Who beats whom, as pairs."""
    return {(name, other) for name, others in beaten(results).items() for other in others}


def mean(name):
    held_out = treatments()[name]["held_out"]
    return sum(held_out) / len(held_out)


def test_what_is_left_of_the_ranking_where_all_get_all_treatments():
    """All but schedule-free gain here from both; schedule-free is an average already.
    The six draw together
    In this race Muon's does: it beats AdamW with each treatment, here by 0.5 to 0.8 points.
    Use AdamW; try an average and a cosine: on our MLP, in 120 minibatches of 32, only Muon beats it with each.
    expecting much: no table here tells it from AdamW with the same treatment
    An average gains AdamW 1.7 points here, a cosine 1.6; Muon in its place, at a constant rate, 0.8.
    - There an average gained AdamW 1.7 points, a cosine 1.6: give its rivals both.
    at a constant rate in 120 or 200 steps: AdamW beats it there, on the MLP and the text
    """  # noqa: E501
    wins = won(counted(treatments()))
    for rule in RULES:
        gains = [(f"{rule}, {better}", f"{rule}, constant") in wins for better in ("cosine", "average")]
        assert gains == [rule != "schedule-free"] * 2
    for treatment in TREATMENTS:
        ours = f"AdamW, {treatment}"
        assert 0.5 < mean(ours) - mean(f"Muon, {treatment}") < 0.8 and (f"Muon, {treatment}", ours) in wins
        assert not {(ours, f"NAdam, {treatment}"), (f"NAdam, {treatment}", ours)} & wins
        assert ((ours, f"Lion, {treatment}") in wins) == (treatment != "constant")
        ahead = {name for name, other in wins if other == ours and name in {f"{rule}, {treatment}" for rule in RULES}}
        assert (ours, f"RAdam, {treatment}") in wins or treatment != "constant"
        free = {"schedule-free, constant"} if treatment == "constant" else set()
        assert ahead == free | {f"Muon, {treatment}"}
    for treatment, ends in (("constant", (4.01, 6.69)), ("average", (3.65, 4.66))):
        means = [mean(f"{rule}, {treatment}") for rule in RULES]
        assert (min(means), max(means)) == pytest.approx(ends, abs=0.005)
    assert mean("AdamW, constant") - mean("AdamW, average") == pytest.approx(1.7, abs=0.05)
    assert mean("AdamW, constant") - mean("AdamW, cosine") == pytest.approx(1.6, abs=0.05)
    assert mean("AdamW, constant") - mean("Muon, constant") == pytest.approx(0.8, abs=0.05)
    assert ("AdamW", "RAdam") in won(stored()["results"][TEXT])


def test_the_treatments_are_chosen_alike_and_on_other_seeds():
    """Each time it chooses from the same nine rates with twenty seeds, the average also one of five decays; what was chosen runs with forty new seeds on held-out digits."""  # noqa: E501
    assert len(treatments()) == 27 and not set(NEW) & {*range(20), *RACING}
    for name, race in treatments().items():
        rows = race["tuning"] if "decay" in race else [race["tuning"]]
        assert len(race["lrs"]) == 9 and {len(row) for row in rows} == {9} and len(rows) in (1, len(DECAYS))
        row = rows[DECAYS.index(race["decay"])] if "decay" in race else rows[0]
        assert min(map(min, rows)) == min(row) == row[race["lrs"].index(race["best"])]
        assert race["lrs"][0] < race["best"] < race["lrs"][-1]
        # These choose the last decay, which is nearly the mean of all 120 steps: there is nothing beyond it.
        assert race.get("decay") not in DECAYS[:: len(DECAYS) - 1] or name in ("Lion, average", "Muon on all, average")


def test_what_length_alone_does():
    """It beats AdamW at a constant rate and with the average.
    Muon beats `length alone` with the cosine; at a constant rate and with the average these forty seeds do not tell \
the two apart.
    """
    wins = won(counted(treatments()))
    for treatment in TREATMENTS:
        muon, length, adamw = (f"{rule}, {treatment}" for rule in ("Muon", "length alone", "AdamW"))
        assert ((length, adamw) in wins) == (treatment != "cosine") and (adamw, length) not in wins
        assert ((muon, length) in wins) == (treatment == "cosine") and (length, muon) not in wins


def test_what_takes_muon_apart():
    """`Muon on all` beats Muon with each treatment: on these digits the recipe is the worse one by the step.
    `Muon on all` steps the first and the last matrix too, at about twice Muon's operations.
    With minibatches of 32, Muon's 120 steps cost as many operations as 320 of AdamW
    `AdamW longer` beats Muon with each too, and is not told apart from `Muon on all`, at about half its cost.
    - By the operation, both averaged, AdamW leads there in 8 and 32, Muon on the text.
    where its step costs several times the gradient of its layers, as with 32 digits
    """  # noqa: E501
    wins = won(counted(treatments()))
    for name in ("Muon on all", LONG):
        assert {(f"{name}, {treatment}", f"Muon, {treatment}") for treatment in TREATMENTS} <= wins
    for treatment in TREATMENTS:
        names = f"Muon on all, {treatment}", f"{LONG}, {treatment}"
        assert not {names, names[::-1]} & wins and abs(mean(names[0]) - mean(names[1])) < 0.15
    net = MATRIX.model(0).float()
    matrices, weights = [p for p in net.parameters() if p.ndim == 2], sum(p.numel() for p in net.parameters())
    with FlopCounterMode(display=False) as gradient:
        torch.nn.functional.cross_entropy(net(torch.ones(32, 64)), torch.ones(32, dtype=torch.long)).backward()

    def step(steered, batch):
        """The operations of a training step, where these matrices are Muon's."""
        with FlopCounterMode(display=False) as muon:
            for p in steered:
                rules.orthogonal(p.detach())
        others = weights - sum(p.numel() for p in steered)
        return gradient.get_total_flops() * batch / 32 + muon.get_total_flops() + 16 * others

    hidden, none = [matrices[1]], []
    assert step(hidden, 32) / step(none, 32) == pytest.approx(AS_LONG, rel=0.01) and round(AS_LONG * 120) == 320
    assert step(matrices, 32) / step(hidden, 32) == pytest.approx(2.1, abs=0.1)
    for batch, longer in MINIBATCHES.items():
        assert step(hidden, batch) / step(none, batch) == pytest.approx(longer, rel=0.01)
    assert step(hidden, 32) - step(none, 32) > gradient.get_total_flops()
    square, layer = step(hidden, 32) - step(none, 32), 32 * 32  # of Muon beyond AdamW, and the weights of a layer
    plain = step(none, 32)
    for depth, longer in DEPTHS.items():
        assert 1 + (depth - 1) * square / (plain + (depth - 2) * (6 * 32 + 16) * layer) == pytest.approx(
            longer, rel=0.01
        )


@functools.cache
def held(name, seeds, lr=None):
    """What a rule with a treatment reaches with these seeds, at its own rate or another."""
    rule, _, treatment = name.partition(", ")
    race = treatments()[name]
    decays = [race["decay"]] if "decay" in race else []
    task = replace(MATRIX, steps=320) if rule == LONG else MATRIX
    found = trained(task, rule, [lr or race["best"]], seeds, decays, treatment == "cosine")[1]
    return {"held_out": found[-1, :, 0].tolist()}


@pytest.mark.parametrize(
    "name", ["RAdam, cosine", "schedule-free, average", "Muon on all, cosine", "AdamW longer, cosine"]
)
def test_a_part_of_the_treatments_comes_out_as_it_is_stored(name):
    """what was chosen runs with forty new seeds on held-out digits."""
    assert held(name, (NEW[12],))["held_out"] == pytest.approx(treatments()[name]["held_out"][12:13], abs=0.6)


FORTIES = (NEW, range(600, 640), range(1000, 1040))


@functools.cache
def each_forty(name):
    """The means with the stored seeds and with two times forty more, and all 120."""
    found = [treatments()[name]["held_out"], *(held(name, seeds)["held_out"] for seeds in FORTIES[1:])]
    return [sum(wrong) / 40 for wrong in found], sum(found, [])


@pytest.mark.slow
def test_what_an_average_gains_with_other_seeds():
    """An average gains AdamW 1.7 points here, a cosine 1.6; Muon in its place, at a constant rate, 0.8."""
    adamw, cosine, average, muon = (
        each_forty(name)[0] for name in ("AdamW, constant", "AdamW, cosine", "AdamW, average", "Muon, constant")
    )
    for constant, by_cosine, by_average, by_muon in zip(adamw, cosine, average, muon, strict=True):
        assert constant - by_average == pytest.approx(1.6, abs=0.2)
        assert constant - by_cosine > 1.1
        assert constant - by_muon == pytest.approx(0.8, abs=0.25)


@pytest.mark.slow
def test_other_seeds_and_finer_rates_say_so_too():
    """In this race Muon's does: it beats AdamW with each treatment, here by 0.5 to 0.8 points."""  # noqa: E501
    for treatment, finer in zip(TREATMENTS, (0.00681, 0.0316, None), strict=True):
        ours, theirs = f"Muon, {treatment}", f"AdamW, {treatment}"
        assert (ours, theirs) in won(counted({name: held(name, range(600, 640)) for name in (ours, theirs)}))
        if finer:
            assert (ours, theirs) in won(counted({ours: treatments()[ours], theirs: held(theirs, tuple(NEW), finer)}))


def test_muons_lead_by_the_minibatch():
    """With the average and in 120 steps Muon leads by more in smaller minibatches, and in deeper networks.
    By the operation it then trails most in the smallest, and in 32 at each depth.
    At a constant rate it leads in 128 even by the operation.
    Here AdamW and Muon both have the average, and were tuned with six seeds.
    """
    steps, operations = leads().values()
    assert steps[8].mean() > steps[32].mean() + 1 and operations[8].mean() < operations[32].mean() - 1
    for batch, signs in ((8, (True, True)), (128, (False, False))):
        results = counted(treatments(f"digits, minibatches of {batch}"))
        wins = won({name: results[name] for name in results if "average" in name})
        assert ("Muon, constant", "AdamW, constant") in won(results)
        assert batch == 8 or ("Muon, constant", f"{LONG}, constant") in won(results)
        assert (("Muon, average", "AdamW, average") in wins, (f"{LONG}, average", "Muon, average") in wins) == signs
    assert all(abs(lead[128].mean()) < 2 * lead[128].std() / 40**0.5 for lead in (steps, operations))
    steps, _ = leads(BY_DEPTH).values()
    assert steps[2].mean() + 0.7 < steps[3].mean() < steps[4].mean() - 0.7
    for depth in (3, 4):
        results = counted(treatments(f"digits, {depth} hidden layers"))
        wins = won({name: results[name] for name in results if "average" in name})
        assert {("Muon, average", "AdamW, average"), (f"{LONG}, average", "Muon, average")} <= wins
        assert all(LRS[0] < race["best"] < LRS[-1] for race in treatments(f"digits, {depth} hidden layers").values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "task", "count", "least", "most"),
    [
        ("digits, minibatches of 8", replace(MATRIX, batch=8), 20, 1, 3),
        ("digits, 4 hidden layers", deeper(4), 8, 2, 5),
    ],
    ids=["minibatches of 8", "4 hidden layers"],
)
def test_muons_lead_in_small_minibatches_and_deep_networks_with_other_seeds(name, task, count, least, most):
    """With the average and in 120 steps Muon leads by more in smaller minibatches, and in deeper networks."""
    ends = []
    for rule in ("AdamW", "Muon"):
        race = treatments(name)[f"{rule}, average"]
        ends.append(trained(task, rule, [race["best"]], range(600, 600 + count), [race["decay"]])[1][-1].mean())
    assert least < ends[0] - ends[1] < most


@pytest.mark.slow
def test_on_as_many_images_muon_leads_by_more_in_large_minibatches():
    """Smaller minibatches also see fewer images in 120 steps: the picture does not tell which of the two it is."""
    leads = []
    for batch, steps, rates, decay in ((8, 480, (0.01, 0.01), 0.99), (128, 30, (0.0464, 0.1), 0.9)):
        task = replace(MATRIX, batch=batch, steps=steps)
        adamw, muon = (
            trained(task, rule, [lr], range(600, 616), [decay])[1][-1].mean()
            for rule, lr in zip(("AdamW", "Muon"), rates, strict=True)
        )
        leads.append(adamw - muon)
    assert 0.3 < leads[0] < leads[1] - 0.2


@pytest.mark.slow
def test_what_takes_muon_apart_with_other_seeds():
    """It beats AdamW at a constant rate and with the average.
    Muon beats `length alone` with the cosine
    `Muon on all` beats Muon with each treatment: on these digits the recipe is the worse one by the step.
    """
    for treatment in TREATMENTS:
        muon, length, adamw = (f"{rule}, {treatment}" for rule in ("Muon", "length alone", "AdamW"))
        wrong = {name: each_forty(name)[1] for name in (muon, length, adamw)}
        wins = won(counted({name: {"held_out": all_of_it} for name, all_of_it in wrong.items()}))
        lead, ahead = ((sum(wrong[a]) - sum(wrong[b])) / 120 for a, b in ((length, muon), (adamw, length)))
        assert ((muon, length) in wins) == (treatment != "average") and (0.35 < lead < 0.5) == (treatment != "average")
        if treatment != "cosine":
            assert (length, adamw) in wins and ahead == pytest.approx(0.4, abs=0.05)
    names = ("Muon on all, cosine", "Muon, cosine")
    assert names in won(counted({name: held(name, range(600, 640)) for name in names}))


@pytest.mark.slow
def test_muon_is_ahead_on_the_text_with_each_seed():
    """In 200 steps on the text, where four matrices are hidden, Muon beats everybody with each of the ten seeds ([and at equal cost?](#Deeper))."""  # noqa: E501
    results = stored()["results"]["text, transformer"]
    for name in results.keys() - {"Muon"}:
        pairs = zip(results["Muon"]["held_out"], results[name]["held_out"], strict=True)
        assert all(muon < other for muon, other in pairs)
    few = replace(RACES["text, transformer"], steps=120)
    muon, adamw = (learned(few, name, [rate], (200, 201))[1] for name, rate in (("Muon", 0.0215), ("AdamW", 0.01)))
    assert (muon < adamw).all()


def test_on_the_text_muon_pays_by_the_operation_too():
    """There a training step with Muon takes 1.4 times the operations.
    At a constant rate we do not know who is ahead; with the cosine, and with the average, Muon is.
    With the cosine that says less: `AdamW longer` is worse there than at a constant rate.
    - By the operation, both averaged, AdamW leads there in 8 and 32, Muon on the text.
    """
    task, results = RACES[TEXT], treatments(TEXT)
    net, inputs = task.model(0).float(), task.data(0)[0][0][: task.batch]
    with FlopCounterMode(display=False) as gradient:
        net(inputs).sum().backward()
    with FlopCounterMode(display=False) as muon:
        for p in (matrices := split(net)[0]):
            rules.orthogonal(p.detach())
    weights, steered = (sum(p.numel() for p in some) for some in (net.parameters(), matrices))
    step = gradient.get_total_flops() + 16 * weights
    assert (step + muon.get_total_flops() - 16 * steered) / step == pytest.approx(AS_LONG_TEXT, abs=0.005)
    assert (
        round(AS_LONG_TEXT * task.steps) == 280
        and results["Muon, constant"]["held_out"] == (stored()["results"][TEXT]["Muon"]["held_out"])
    )
    wins, lrs = won(results), results["Muon, constant"]["lrs"]
    assert (f"{LONG}, constant", f"{LONG}, cosine") in wins
    assert all(lrs[0] < race["best"] < lrs[-1] for race in results.values())
    for treatment in TREATMENTS:
        ours, theirs = f"Muon, {treatment}", f"{LONG}, {treatment}"
        assert (theirs, ours) not in wins and ((ours, theirs) in wins) == (treatment != "constant")


@pytest.mark.slow
def test_muon_is_ahead_on_the_text_at_equal_cost_with_another_length():
    """So with either, Muon pays on the text by the operation, too."""
    ends = {}
    for rule, lr, steps in (("Muon", 0.0215, 80), ("AdamW", 0.01, round(80 * AS_LONG_TEXT))):
        run = replace(RACES[TEXT], steps=steps)
        ends[rule] = trained(run, rule, [lr], range(200, 204), (0.95,))[1][-1, :, 0]
    assert (ends["Muon"] < ends["AdamW"]).all()


def test_who_beats_both_adamws_on_the_other_tasks():
    """On the CNN, with one flattened kernel, Muon beats AdamW's constant rate.
    Schedule-free and AdamW's average beat that rate on both tasks
    """  # noqa: E501
    results = stored()["results"]
    for task in ("digits, CNN", "text, transformer"):
        found = beaten(results[task])
        for name in ("schedule-free", "AdamW, average", "Muon"):
            assert {"AdamW", COSINE} <= set(found[name])


@pytest.mark.parametrize("seed", [1, 2])
def test_without_orthogonal_muon_is_momentum_in_its_averaging_form(seed):
    """Take `orthogonal` out and momentum remains, in the averaging form of [lesson 03](03_momentum.ipynb) and with Nesterov's look ahead."""  # noqa: E501
    draw = torch.Generator().manual_seed(seed)
    p, g, b = (torch.randn(3, 3, generator=draw, dtype=torch.float64) for _ in range(3))
    moved, kept = rules.muon(p, g, b, lr=0.1, weight_decay=0, ns_coefficients=(1.0, 0.0, 0.0))
    u = 0.95 * (0.95 * b + 0.05 * g) + 0.05 * g
    torch.testing.assert_close(kept, 0.95 * b + 0.05 * g)
    torch.testing.assert_close(moved, p - 0.1 * u / u.norm())


@pytest.mark.parametrize("size", [0.01, 3.0])
@pytest.mark.parametrize("n", [2, 9])
def test_a_vector_has_one_singular_value(n, size):
    """So Muon would step every vector by one length, whatever that of its mean gradient, and the class refuses one."""
    g = size * torch.randn(1, n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    one = rules.orthogonal(torch.ones(1, 1, dtype=torch.float64))
    torch.testing.assert_close(rules.orthogonal(g), one * g / g.norm())
    with pytest.raises(ValueError, match="real matrices"):
        Muon([g[0].requires_grad_()])


@pytest.mark.parametrize("smallest", [1e-3, 0.02, 0.3])
def test_the_cubic_polynomial_converges_and_the_quintic_does_not(smallest):
    """The cubic polynomial converges, and multiplies a small value by 1.5 at each step.
    The quintic one does not converge, but multiplies a small value by 3.4, and is near enough for a step.
    """
    s = torch.tensor([1.0, smallest], dtype=torch.float64)
    off = {}
    for name, coefficients in {"cubic": (1.5, -0.5, 0.0), "quintic": (3.4445, -4.775, 2.0315)}.items():
        off[name] = (rules.orthogonal(s.diag(), coefficients, 60).diag() - 1).abs().max()
        tiny = torch.tensor([1.0, 1e-6], dtype=torch.float64).diag()
        one, two = (rules.orthogonal(tiny, coefficients, steps)[1, 1] for steps in (1, 2))
        assert abs(two / one - coefficients[0]) < 1e-3
    assert off["cubic"] < 1e-9 and 1e-3 < off["quintic"] < 0.4


@pytest.mark.parametrize("g", [1.0, -40.0])
def test_the_first_steps_of_nadam_are_too_short(g):
    """But torch lets `m` fade by $\\beta_1$: where all gradients are alike, with $\\beta_1 = 0.9$ and torch's `momentum_decay` NAdam's early steps, from the second on, are too short, by up to 27 %."""  # noqa: E501
    m = v = c = mean = 0.0
    steps = []
    for t in range(1, 61):
        p, m, v, c = rules.nadam(0.0, g, m, v, c, t=t, lr=1.0, eps=0)
        steps.append(abs(p))
        mu = 0.9 * (1 - 0.5 * 0.96 ** (t * 0.004))
        mean = mu * mean + (1 - mu) * g
        assert abs(mean / c - g) < 1e-9 * abs(g)
    assert steps[0] > 1 and max(steps[1:49]) < 1 and 0.725 < min(steps) < 0.735 and abs(steps[-1] - 1) < 0.001


def minibatch_gradients(seed):
    net, draw = MATRIX.model(seed), torch.Generator().manual_seed(seed)
    (images, labels), *_ = MATRIX.data(seed)
    weight = net[2].weight
    for _ in range(10):
        rows = torch.randint(len(images), (32,), generator=draw)
        loss = torch.nn.functional.cross_entropy(net(images[rows]), labels[rows])
        yield weight.detach(), torch.autograd.grad(loss, [weight])[0]


@pytest.mark.parametrize("seed", [0, 2])
def test_bfloat16_shows_where_singular_values_are_small(seed):
    """Where singular values are almost 0, bfloat16 shows: ten steps with gradients of the digits, in the hidden layer of the race, end about a tenth of the way apart."""  # noqa: E501
    draw = torch.Generator().manual_seed(seed)
    full = [(torch.ones(32, 32), torch.randn(32, 32, generator=draw)) for _ in range(10)]
    for steps, least, most in ((full, 0, 0.02), (list(minibatch_gradients(seed)), 0.05, 0.2)):
        start, ends = steps[0][0], []
        for library in (Muon, torch.optim.Muon):
            p = start.clone().requires_grad_()
            optimizer = library([p], lr=0.1)
            for _, gradient in steps:
                p.grad = gradient.clone()
                optimizer.step()
            ends.append(p.detach())
        assert least < (ends[0] - ends[1]).norm() / (ends[0] - start).norm() < most


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_muon_brings_near_one(seed):
    """Momentum goes far in the few directions of the large singular values, Muon in many more.
    From 0.003 of the matrix's length on, a singular value comes to between 0.68 and 1.21.
    Below 0.003 the curve falls to 0; there lie most of the 32 at step 1.
    """
    sizes = torch.logspace(-2.5, 0, 3001, dtype=torch.float64)
    made = brought(rules.orthogonal, sizes)
    assert 0.68 < made.min() and made.max() < 1.21
    below = brought(rules.orthogonal, torch.logspace(-6, -2.6, 100, dtype=torch.float64))
    assert (below.diff() > 0).all() and below[0] < 0.001
    first, later = hidden_layer(60, seed).values()
    assert (first < 0.003).sum() > 20
    for values, momentum, muon in ((first, 3, 10), (later, 6, 24)):
        assert (values > 0.5 * values.max()).sum() < momentum
        assert (brought(rules.orthogonal, values) > 0.5).sum() > muon


def off(line):
    """How far from the minimum each of some runs is in its last half, root mean square."""
    return (line[100:] ** 2).mean(0) ** 0.5


@pytest.mark.parametrize("start", [5.0, -20.0])
def test_the_average_pays_where_the_rate_is_large(start):
    """Plain SGD it is: at 0.03 $x$ is farther in 79 of 100 noises, for the way down from 5 is still in it.
    At 0.3 it is farther in none.
    So at the same rate an average pays once the way down weighs little in it.
    """
    plain, noise = (noisy_bowl(rules.schedule_free_sgd, 0.05, slice(None), start=at)["plain SGD"] for at in (5, 0))
    assert off(plain).mean() == pytest.approx(off(noise).mean(), rel=0.01)
    _, plain, mean = map(off, noisy_bowl(rules.schedule_free_sgd, 0.05, slice(None), start=start).values())
    assert (mean > plain).sum() == (70 if start == 5 else 100)
    for lr in (0.03, 0.3):
        farther = []
        for begun in (start, 0.0):
            _, plain, mean = map(off, noisy_bowl(rules.schedule_free_sgd, lr, slice(None), start=begun).values())
            farther.append(int((mean > plain).sum()))
        assert farther == ([0, 0] if lr == 0.3 else [79 if start == 5 else 100, 23])


@pytest.mark.parametrize("start", [5.0, -6.0])
def test_what_beta_is_for(start):
    """Without `beta` $z$ is plain SGD, and $x$ the mean of its way: at 0.3 nearer still, at 0.03 three times as far as with 0.9.
    `beta` asks for the gradient near $x$, so $z$ runs past the minimum and pulls $x$ there.
    """  # noqa: E501
    far = {}
    for lr, beta in itertools.product((0.03, 0.3), (0, 0.9)):
        fast, plain, mean = noisy_bowl(rules.schedule_free_sgd, lr, slice(None), beta, start).values()
        far[lr, beta] = (off(mean) ** 2).mean() ** 0.5
        if not beta:
            assert abs(fast - plain).max() < 1e-9
            assert abs(mean[-1] - plain.mean(0)).max() < 1e-9
    assert 2.8 < far[0.03, 0] / far[0.03, 0.9] < 4
    assert far[0.3, 0] < far[0.3, 0.9]
    _, plain, mean = noisy_bowl(rules.schedule_free_sgd, 0.05, slice(None), 0.5, start).values()
    assert (off(mean) ** 2).mean() < (off(plain) ** 2).mean()
    fast, _, mean = (
        line.mean(1) / start for line in noisy_bowl(rules.schedule_free_sgd, 0.03, slice(None), 0.9, start).values()
    )
    assert (fast[70:] < -0.1).all() and (mean[:120] > 0).all() and (abs(mean[120:]) < 0.1).all()


@pytest.mark.parametrize(("beta", "least"), [(0.0, 0.17), (0.5, 0.18), (0.9, 0.31)])
def test_each_at_its_best_rate(beta, least):
    """The numbers are distances from the minimum in the last 100 of 200 steps, root mean square over 100 noises; `at best` is at the best of 21 rates.
    But SGD may choose its rate: at best it comes to 0.26, $x$ with this `beta` only to 0.31.
    At best $x$ comes to 0.17 without `beta`, to 0.18 with 0.5: there the average beats SGD at its best constant rate.
    With the rate 1/t SGD comes to 0.17 as well: on this bowl it then averages, too.
    """  # noqa: E501
    ends = []
    for lr in torch.logspace(-2, 0, 41).tolist():
        _, *lines = noisy_bowl(rules.schedule_free_sgd, lr, slice(None), beta).values()
        ends.append([(off(line) ** 2).mean() ** 0.5 for line in lines])
    plain, mean = map(min, zip(*ends, strict=True))
    assert (round(plain, 2), round(mean, 2)) == (0.26, least)
    noises = torch.stack(
        [torch.randn(200, generator=torch.Generator().manual_seed(k), dtype=torch.float64) for k in range(100)], 1
    )
    q, falling = 5.0, []
    for t, error in enumerate(noises, 1):
        q = q - (q + 2 * error) / t
        falling.append(q)
    torch.testing.assert_close(falling[-1], -2 * noises.mean(0))  # the average of all that the noises say
    assert round(off(torch.stack(falling)).square().mean().sqrt().item(), 2) == 0.17


def test_who_is_told_apart_in_400_steps():
    """In 400 steps ten seeds tell only AdamW's own cosine from its constant rate."""
    results = stored()["results"]["digits, 400 steps"]
    assert {len(race["held_out"]) for race in results.values()} == {10}
    told = {name for name in results.keys() - {"AdamW"} if won({one: results[one] for one in (name, "AdamW")})}
    assert told == {COSINE}


@pytest.mark.parametrize("shape", [(4, 4), (3, 7)])
def test_which_step_leads_down_farthest(shape):
    """Of all steps whose singular values are at most 1, this one leads down farthest, to first order; of all whose entries are at most 1, the sign does (Bernstein & Newhouse 2024)."""  # noqa: E501
    draw = torch.Generator().manual_seed(4)
    g = torch.randn(shape, generator=draw, dtype=torch.float64)
    u, _, vt = torch.linalg.svd(g, full_matrices=False)
    for _ in range(200):
        other = torch.randn(shape, generator=draw, dtype=torch.float64) + 2 * torch.rand((), generator=draw) * u @ vt
        assert (g * other / torch.linalg.matrix_norm(other, 2)).sum() < (g * (u @ vt)).sum()
        assert (g * other / other.abs().max()).sum() < (g * g.sign()).sum()


def test_lion_is_elementwise_as_a_sweep_needs():
    """**Muon is not elementwise**, so what you learned of sweeps in lesson 13 does not hold for it."""
    bowl, lion = quadratic(condition=4), from_rule(rules.lion)
    starts = torch.tensor([[1.0, 2.0], [-3.0, 0.5]], dtype=torch.float64)
    together = sweep(bowl, lion, 20, starts, lr=0.1).points
    alone = [sweep(bowl, lion, 20, start[None], lr=0.1).points[0] for start in starts]
    torch.testing.assert_close(together, torch.stack(alone))
    p, g, b = (torch.randn(3, 3, generator=torch.Generator().manual_seed(1)) for _ in range(3))
    apart = rules.muon(p[:1], g[:1], b[:1], lr=1.0)[0] - rules.muon(p, g, b, lr=1.0)[0][:1]
    assert apart.abs().max() > 0.01
