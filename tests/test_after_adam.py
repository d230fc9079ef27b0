"""What came after Adam: against torch.optim, against the papers' formulas, and by hand."""

import copy
import inspect
import itertools
import pickle

import pytest
import sympy
import torch
from cases import buffers, difference, feed, gradients, parameters, title

import edu_optim
from edu_optim import from_rule
from edu_optim.foreach import TensorList
from edu_optim.later import rules, split
from edu_optim.later.muon import stacked

LIMIT = 1e-12  # of the largest relative difference in float64
GRIDS = {
    "NAdam": {"lr": [0.01], "betas": [(0.9, 0.999), (0.0, 0.7)], "eps": [1e-8, 0.1], "momentum_decay": [0.004, 0.1, 0]},
    "RAdam": {"lr": [0.01], "betas": [(0.9, 0.999), (0.5, 0.7), (0.9, 0.6)], "eps": [1e-8, 0.1]},
}
COMMON = {"weight_decay": [0, 0.1], "decoupled_weight_decay": [False, True], "maximize": [False, True]}
CASES = [
    (name, dict(zip(grid, values, strict=True)))
    for name, own in GRIDS.items()
    for grid in [{**own, **COMMON}]
    for values in itertools.product(*grid.values())
]
RICH = [case for case in CASES if case[1]["weight_decay"] and case[1]["eps"] == 0.1 and case[1]["maximize"]]


@pytest.fixture
def double():
    """torch keeps NAdam's product of betas in the default dtype."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def pair(case, run=None):
    name, options = case
    mine, truth = parameters(), parameters()
    return mine, getattr(edu_optim, name)(mine, **options, run=run), truth, getattr(torch.optim, name)(truth, **options)


def apart(mine, optimizer, truth, reference):
    return max(difference(mine, truth), difference(buffers(optimizer, mine), buffers(reference, truth)))


@pytest.mark.parametrize("run", ["per_tensor", "multi_tensor", None])
def test_the_whole_table_agrees_with_torch_in_float64_after_30_steps(run, double):
    rows, found = gradients(30), {}
    for case in CASES:
        mine, optimizer, truth, reference = pair(case, run)
        feed(optimizer, mine, rows)
        feed(reference, truth, rows)
        scale = max(p.detach().abs().max().item() for p in truth if p.numel())
        off = max((p - q).abs().max().item() for p, q in zip(mine, truth, strict=True) if p.numel())
        found[title(case)] = max(off / scale, difference(buffers(optimizer, mine), buffers(reference, truth)))
    worst = max(found, key=found.get)
    print(f"\nlargest relative difference of {len(found)} cases, run={run}: {found[worst]:.1e}, at {worst}")
    assert found[worst] <= LIMIT


@pytest.mark.parametrize("case", RICH, ids=title)
def test_under_the_usual_default_dtype_they_agree_to_the_rounding_of_torchs_product(case):
    mine, optimizer, truth, reference = pair(case)
    feed(optimizer, mine, gradients(30))
    feed(reference, truth, gradients(30))
    assert apart(mine, optimizer, truth, reference) <= 1e-5
    for p, q in zip(mine, truth, strict=True):
        assert optimizer.state[p].keys() == reference.state[q].keys()
        for key, value in reference.state[q].items():
            assert (optimizer.state[p][key].dtype, optimizer.state[p][key].shape) == (value.dtype, value.shape)


@pytest.mark.parametrize("case", RICH, ids=title)
def test_a_checkpoint_continues_in_the_other_library_both_ways(case, double):
    rows = gradients(12)
    mine, optimizer, truth, reference = pair(case)
    feed(optimizer, mine, rows[:6])
    feed(reference, truth, rows[:6])
    to_ours, to_theirs = copy.deepcopy(reference.state_dict()), copy.deepcopy(optimizer.state_dict())
    optimizer.load_state_dict(to_ours)
    reference.load_state_dict(to_theirs)
    feed(optimizer, mine, rows[6:])
    feed(reference, truth, rows[6:])
    assert apart(mine, optimizer, truth, reference) <= 1e-10


@pytest.mark.parametrize("case", RICH, ids=title)
def test_a_parameter_that_misses_steps_has_its_own_count(case, double):
    rows = gradients(12)
    for t, row in enumerate(rows):
        row[0] = row[0] if t % 3 else None
    mine, optimizer, truth, reference = pair(case)
    feed(optimizer, mine, rows)
    feed(reference, truth, rows)
    assert apart(mine, optimizer, truth, reference) <= 1e-10


def listed(function):
    return [(p.name, p.default) for p in inspect.signature(function).parameters.values() if p.name != "self"]


@pytest.mark.parametrize("name", ["NAdam", "RAdam", "Muon"])
def test_the_constructor_lists_what_torchs_lists_in_its_order_with_its_defaults_and_then_run(name):
    *mine, run = listed(getattr(edu_optim, name))
    assert mine == listed(getattr(torch.optim, name)) and run == ("run", None)


@pytest.mark.parametrize("name", ["NAdam", "RAdam", "Muon"])
def test_every_option_is_explained(name):
    cls = getattr(edu_optim, name)
    documented = inspect.getdoc(cls).partition("Args:")[2]
    assert [option for option in inspect.signature(cls).parameters if option not in documented] == []


# Formulas


def symbols(names):
    return sympy.symbols(names, positive=True)


def simplest(expression):
    return sympy.simplify(sympy.nsimplify(expression))


def test_nadam_is_the_formula_of_the_paper_where_its_mean_fades_as_torchs():
    """Dozat 2016, with mu from t = 1 on and the product of all mu so far."""
    p, g1, g2, lr, eps, beta1, beta2 = symbols("p g1 g2 lr eps beta1 beta2")
    mu, lead = beta1 / 2, beta1 / 2  # momentum_decay 0
    state, product, m, v, x = (p, 0, 0, 0), 1, 0, 0, p
    for t, g in enumerate([g1, g2], 1):
        state = rules.nadam(state[0], g, *state[1:], t=t, lr=lr, betas=(beta1, beta2), eps=eps, momentum_decay=0)
        product = product * mu
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        m_hat = lead * m / (1 - product * lead) + (1 - mu) * g / (1 - product)
        x = x - lr * m_hat / (sympy.sqrt(v / (1 - beta2**t)) + eps)
        numbers = {p: 0.7, g1: 2, g2: 3, lr: 0.1, eps: 0.2, beta1: 0.8, beta2: 0.6}
        assert abs((state[0] - x).subs(numbers)) < 1e-12
        assert simplest(state[3] - (1 - product)) == 0


def test_lion_is_the_formula_of_the_paper():
    """Chen et al. 2023, algorithm 2."""
    p, m, lr, decay, beta1, beta2 = symbols("p m lr decay beta1 beta2")
    g = sympy.symbols("g", real=True)
    moved, kept = rules.lion(p, g, m, lr=lr, betas=(beta1, beta2), weight_decay=decay)
    steer = sympy.sign(beta1 * m + (1 - beta1) * g)
    assert sympy.expand(moved - (p - lr * (steer + decay * p))) == 0
    assert sympy.expand(kept - (beta2 * m + (1 - beta2) * g)) == 0


def schedule_free(p, steps, beta, direction):
    """Defazio et al. 2024, equations 3 to 5, with c = 1 / t: y, and x, after each step."""
    z = x = p
    y = p
    for t, g in enumerate(steps, 1):
        z = z - direction(t, g, y)
        x = (1 - sympy.Rational(1, t)) * x + sympy.Rational(1, t) * z
        y = (1 - beta) * z + beta * x
        yield y, x


def test_schedule_free_sgd_is_the_formula_of_the_paper():
    p, lr, beta, *steps = symbols("p lr beta g1 g2 g3")
    y, e = p, 0
    truth = schedule_free(p, steps, beta, lambda t, g, y: lr * g)
    for t, (g, (right, average)) in enumerate(zip(steps, truth, strict=True), 1):
        y, e = rules.schedule_free_sgd(y, g, e, t=t, lr=lr, beta=beta)
        assert sympy.expand(y - right) == 0
        assert sympy.expand(y + (1 - beta) * e - average) == 0


def test_schedule_free_adamw_is_algorithm_1_of_the_paper_without_warmup():
    p, lr, beta1, beta2, eps, decay, *steps = symbols("p lr beta1 beta2 eps decay g1 g2")
    squares = [0]

    def direction(t, g, y):
        squares.append(beta2 * squares[-1] + (1 - beta2) * g**2)
        return lr * g / (sympy.sqrt(squares[-1] / (1 - beta2**t)) + eps) + lr * decay * y

    y, v, e = p, 0, 0
    for t, (g, (right, _)) in enumerate(zip(steps, schedule_free(p, steps, beta1, direction), strict=True), 1):
        y, v, e = rules.schedule_free_adamw(y, g, v, e, t=t, lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=decay)
        numbers = {p: 0.7, lr: 0.1, beta1: 0.8, beta2: 0.6, eps: 0.2, decay: 0.3, steps[0]: 2, steps[1]: 5}
        assert abs((y - right).subs(numbers)) < 1e-12


ELEMENTWISE = [
    rules.nadam,
    rules.radam,
    rules.radam_decoupled,
    rules.lion,
    rules.schedule_free_sgd,
    rules.schedule_free_adamw,
    rules.adam_ema,
]


@pytest.mark.parametrize("rule", ELEMENTWISE, ids=lambda rule: rule.__name__)
def test_floats_tensors_and_lists_of_tensors_give_the_same(rule):
    letters = edu_optim.signature.signature(rule)
    values = [[0.3, -1.2, 0.0, 2.0] for _ in range(2)] + [[0.5, 0.1, 0.0, 0.2] for _ in letters.buffers]
    hyper = {"lr": 0.1} | ({"t": 7} if "t" in letters.keywords else {})
    tensors = [torch.tensor(column, dtype=torch.float64) for column in values]
    one = rule(*tensors, **hyper)
    many = rule(*[TensorList([tensor]) for tensor in tensors], **hyper)
    for k, row in enumerate(zip(*values, strict=True)):
        assert rule(*row, **hyper) == pytest.approx([result[k].item() for result in one], rel=1e-13, abs=1e-15)
    assert [result.tensors[0].tolist() for result in many] == [
        pytest.approx(result.tolist(), rel=1e-13) for result in one
    ]


@pytest.mark.parametrize("rule", [rules.lion, rules.schedule_free_sgd, rules.schedule_free_adamw, rules.adam_ema])
def test_a_kernel_gives_what_eager_arithmetic_gives(rule):
    found = {}
    for run in ("per_tensor", "compiled"):
        mine = parameters()
        feed(from_rule(rule)(mine, lr=0.01, run=run), mine, gradients(20))
        found[run] = mine
    for one, two in zip(*found.values(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-11, atol=1e-13)


# Muon

MUON = [
    {},
    {"nesterov": False, "weight_decay": 0},
    {"momentum": 0.5, "ns_steps": 3, "lr": 0.1},
    {"ns_coefficients": (1.5, -0.5, 0.0), "ns_steps": 9},
    {"adjust_lr_fn": "match_rms_adamw"},
    {"adjust_lr_fn": "original", "momentum": 0, "eps": 0.1},
]
SHAPES = [(4, 4), (4, 4), (6, 3), (3, 6), (1, 5), (4, 4)]


def matrices(dtype=torch.float64):
    draw = torch.Generator().manual_seed(3)
    return [torch.randn(shape, generator=draw, dtype=torch.float64).to(dtype).requires_grad_() for shape in SHAPES]


def muon_pair(options, run=None):
    draw = torch.Generator().manual_seed(4)
    rows = [[torch.randn(shape, generator=draw, dtype=torch.float64) for shape in SHAPES] for _ in range(10)]
    mine, truth = matrices(), matrices()
    optimizer, reference = edu_optim.Muon(mine, **options, run=run), torch.optim.Muon(truth, **options)
    feed(optimizer, mine, rows)
    feed(reference, truth, rows)
    return mine, optimizer, truth, reference


@pytest.mark.parametrize("run", [None, "per_tensor"])
@pytest.mark.parametrize("options", MUON, ids=str)
def test_muon_agrees_with_torchs_where_that_does_not_round_to_bfloat16(options, run, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    mine, optimizer, truth, reference = muon_pair(options, run)
    for one, two in zip([*mine, *buffers(optimizer, mine)], [*truth, *buffers(reference, truth)], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-11)
    assert [optimizer.state[p].keys() for p in mine] == [reference.state[p].keys() for p in truth]


@pytest.mark.parametrize("options", MUON, ids=str)
def test_muon_agrees_with_torchs_to_the_rounding_of_bfloat16(options):
    mine, _, truth, _ = muon_pair(options)
    start = matrices()
    for p, q, before in zip(mine, truth, start, strict=True):
        assert (p - q).norm() <= 0.1 * (q - before).norm()


def test_a_checkpoint_of_muon_continues_in_the_other_library_both_ways(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    mine, optimizer, truth, reference = muon_pair({})
    saved = copy.deepcopy(reference.state_dict())
    reference.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    optimizer.load_state_dict(saved)
    rows = [[torch.ones(shape, dtype=torch.float64) for shape in SHAPES]]
    feed(optimizer, mine, rows)
    feed(reference, truth, rows)
    for one, two in zip(mine, truth, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-11)


def test_a_copy_of_muon_still_stacks():
    optimizer = edu_optim.Muon(matrices())
    assert pickle.loads(pickle.dumps(optimizer)).run is copy.deepcopy(optimizer).run is stacked


def test_a_stack_of_matrices_is_stepped_as_each_of_them_alone():
    draw = torch.Generator().manual_seed(5)
    p, g, b = (torch.randn(3, 4, 6, generator=draw, dtype=torch.float64) for _ in range(3))
    together = rules.muon(p, g, b, lr=0.1)
    alone = [rules.muon(*each, lr=0.1) for each in zip(p, g, b, strict=True)]
    for one, two in zip(together, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(one, torch.stack(two), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("shape", [(5, 5), (8, 3), (3, 8)])
def test_the_cubic_iteration_ends_at_the_orthogonal_factor_of_the_singular_values(shape):
    u = torch.randn(shape, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    left, _, right = torch.linalg.svd(u, full_matrices=False)
    torch.testing.assert_close(rules.orthogonal(u, (1.5, -0.5, 0.0), 60), left @ right, rtol=0, atol=1e-10)


def test_a_singular_value_follows_the_polynomial():
    s, (a, b, c) = torch.tensor([0.6, 0.3, 0.05, 0.0], dtype=torch.float64), (3.4445, -4.775, 2.0315)
    expected = s / s.norm()
    for _ in range(5):
        expected = a * expected + b * expected**3 + c * expected**5
    torch.testing.assert_close(rules.orthogonal(s.diag()).diag(), expected)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"run": "compiled"}, "run must be None, 'per_tensor' or a callable for Muon, got 'compiled'"),
        ({"ns_coefficients": (1, 2)}, "ns_coefficients must be three numbers"),
        ({"ns_steps": 100}, "ns_steps must be a whole number"),
        ({"adjust_lr_fn": "mine"}, "adjust_lr_fn must be None"),
        ({"lr": -1.0}, "lr must be"),
    ],
)
def test_bad_options_of_muon_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        edu_optim.Muon(matrices(), **options)


def test_muon_refuses_what_is_no_matrix():
    with pytest.raises(ValueError, match=r"params must hold real matrices, got torch.float32 of shape \(3,\)"):
        edu_optim.Muon([torch.ones(3, requires_grad=True)])
    with pytest.raises(TypeError, match="nesterov must be True or False, got 1"):
        edu_optim.Muon(matrices(), nesterov=1)


def test_split_gives_each_parameter_to_one_side_and_only_hidden_matrices_to_muon():
    layers = [torch.nn.Embedding(7, 4), torch.nn.Linear(4, 4), torch.nn.LayerNorm(4), torch.nn.Linear(4, 9)]
    model = torch.nn.Sequential(*layers)
    hidden, others = split(model)
    assert [p is model[1].weight for p in hidden] == [True]
    assert {id(p) for p in (*hidden, *others)} == {id(p) for p in model.parameters()}
    assert len(hidden) + len(others) == len(list(model.parameters()))
    assert split(torch.nn.Linear(3, 2))[0] == []
    tied = torch.nn.Sequential(torch.nn.Embedding(7, 4), torch.nn.Linear(4, 4), torch.nn.Linear(4, 7, bias=False))
    tied[2].weight = tied[0].weight
    assert [p is tied[1].weight for p in split(tied)[0]] == [True]
