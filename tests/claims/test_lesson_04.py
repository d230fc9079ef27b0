"""What lesson 04 claims beyond its own settings, tried elsewhere; each docstring quotes the sentences it tests."""

import math

import pytest
import torch
from cells import Lesson
from torch.nn.functional import cross_entropy

from edu_optim import descend, from_rule, train_many
from edu_optim.lab.lesson_04 import bent, bent_places, growing_momentum, old_buffer, rate, worst_bowl
from edu_optim.lab.lesson_04_digits import PARTS, held_out
from edu_optim.problems import digits, quadratic, rosenbrock, small_net
from edu_optim.rules import momentum, nesterov

LESSON = Lesson("04").later("imports", "form-of-1983")


@pytest.mark.parametrize("lr, beta", [(0.02, 0.3), (0.07, 0.95), (0.13, 0.6)])
def test_looking_ahead_is_friction(lr, beta):
    """Along a direction of curvature $\\lambda$, Nesterov's ball moves as classical momentum does with $\\beta(1 - \\eta\\lambda)$ in the place of $\\beta$."""  # noqa: E501
    for curvature in (0.1, 2.0, 11.0):
        ball = classical = 1.7
        velocity = memory = 0.0
        for _ in range(30):
            velocity = beta * velocity + curvature * (ball - lr * beta * velocity)
            ball -= lr * velocity
            classical, memory = momentum(
                classical, curvature * classical, memory, lr=lr, momentum=beta * (1 - lr * curvature)
            )
            assert ball == pytest.approx(classical, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.93])
def test_friction_helps_where_the_ball_swings(beta):
    """friction that grows with the curvature and helps where its ball swings"""
    products = torch.logspace(-6, -0.01, 400, dtype=torch.float64)
    ahead, plain = (rate(rule, products, 1.0, beta) for rule in (nesterov, momentum))
    critical = (1 - products.sqrt()) ** 2
    swings, creeps = beta * (1 - products) > critical, beta < critical
    assert swings.any() and (ahead < plain)[swings].all()
    assert creeps.any() and (ahead > plain)[creeps].all()


def test_below_a_thousandth_or_three_both_creep():
    """Where $\\eta\\lambda$ is below about 0.003, at this $\\beta$ of 0.9, both balls creep, and there looking ahead is slower."""  # noqa: E501
    for products, slower in ((torch.logspace(-6, -2.59, 99), True), (torch.logspace(-2.55, -0.01, 99), False)):
        products = products.double()
        assert ((rate(nesterov, products, 1.0, 0.9) > rate(momentum, products, 1.0, 0.9)) == slower).all()
        assert ((0.9 * (1 - products) < (1 - products.sqrt()) ** 2) == slower).all()
        assert ((0.9 < (1 - products.sqrt()) ** 2) == slower).all()


@pytest.mark.parametrize("largest", [0.02, 0.9])
def test_a_smaller_memory_leaves_fewer_that_swing(largest):
    """With a smaller $\\beta$ fewer directions of a bowl swing, so fewer gain by friction."""
    curves = torch.logspace(-5, 0, 400, dtype=torch.float64)
    for lr in (lambda beta: largest, lambda beta: largest * (1 - beta)):
        counts = []
        for beta in (0.3, 0.5, 0.7, 0.9, 0.95):
            products = lr(beta) * curves
            swing = beta * (1 - products) > (1 - products.sqrt()) ** 2
            gain = rate(nesterov, products, 1.0, beta) < rate(momentum, products, 1.0, beta)
            assert (gain | ~swing).all()
            counts.append(swing.sum().item())
        assert counts == sorted(counts) and counts[0] < counts[-1]


@pytest.mark.parametrize("beta", [0.15, 0.6, 0.97])
def test_looking_ahead_tilts_the_floor(beta):
    """Looking ahead tilts the flat floor of lesson 03: where the ball swings, its convergence rate is $\\sqrt{\\beta(1 - \\eta\\lambda)}$, and sinks with the curvature to 0 at $\\eta\\lambda = 1$.
    At $\\eta\\lambda = 1 - \\beta$ it is $\\beta$, the square of momentum's $\\sqrt\\beta$: in the long run half the steps do."""  # noqa: E501
    begin = 1 - 4 * beta / (1 + beta) ** 2  # from here on the roots are complex, and the ball swings
    products = torch.linspace(begin, 1, 30, dtype=torch.float64)[1:]
    rates = rate(nesterov, products, 1.0, beta)
    assert rates == pytest.approx((beta * (1 - products)).sqrt(), abs=1e-7) and (rates.diff() < 0).all()
    gentle = (1 - beta) * torch.logspace(-4, 0, 200, dtype=torch.float64)
    ahead, plain = (rate(rule, gentle, 1.0, beta) for rule in (nesterov, momentum))
    assert ahead[-1] == pytest.approx(beta, abs=1e-6) and plain[-1] == pytest.approx(beta**0.5, abs=1e-6)
    gain = ahead.log() / plain.log()  # in steps, in the long run
    assert gain[-1] == pytest.approx(2, abs=1e-5) and (gain[:-1] < gain[-1]).all()
    swings = gain[gentle > begin]
    assert (swings.diff() > 0).all() and (gain[gentle < begin] < swings[0] + 0.01).all()


@pytest.mark.parametrize("beta", [0.2, 0.95])
@pytest.mark.parametrize("product", [1.02, 1.3, 2.5])
def test_beyond_one_friction_is_a_drive(product, beta):
    """Beyond $\\eta\\lambda = 1$ the ball, from rest, crosses the floor at every step, so the turned velocity pushes the way the slope does: the friction has become a drive."""  # noqa: E501
    ball, velocity = -2.3, 0.0
    for _ in range(40):
        kept, push = beta * (1 - product) * velocity, product * ball
        velocity = kept + push
        before, ball = ball, ball - velocity
        assert kept * push >= 0 > before * ball


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9, 0.99])
def test_the_drive_is_weak_at_first(beta):
    """Dark is fast: Nesterov's valley lies at 1, and both its walls are steep.
    Still, at $\\beta = 0.9$ it is the lower of the two from 0.003 to 1.33."""
    products = torch.linspace(1.001, 1.05, 20, dtype=torch.float64)
    assert (rate(nesterov, products, 1.0, beta) < rate(momentum, products, 1.0, beta)).all()
    edge = torch.tensor([(2 + 2 * beta) / (1 + 2 * beta)], dtype=torch.float64)
    assert rate(nesterov, edge, 1.0, beta) > rate(momentum, edge, 1.0, beta) + (1 - beta) / 10
    climbs = rate(nesterov, torch.linspace(1, edge.item(), 12, dtype=torch.float64), 1.0, beta).diff()
    assert climbs.argmax() == 0 and climbs.argmin() == len(climbs) - 1
    sides = rate(nesterov, torch.tensor([1 - 1e-4, 1 + 1e-4], dtype=torch.float64), 1.0, beta)
    assert sides == pytest.approx(math.sqrt(beta * 1e-4), rel=0.05)  # a root on both sides
    near = torch.tensor([0.0026, 0.0031, 1.32, 1.34], dtype=torch.float64)
    assert (rate(nesterov, near, 1.0, 0.9) < rate(momentum, near, 1.0, 0.9)).tolist() == [False, True, True, False]


@pytest.mark.parametrize("place", [-3.0, 0.02, 700.0])
def test_one_over_the_curvature(place):
    """It ends there exactly because $\\eta$ is one over the curvature; a smaller one stops short."""
    pushed = [place - lr * 8.0 * place for lr in (1 / 8, 0.1, 0.02)]
    assert pushed[0] == 0 and all(0 < end / place < 1 for end in pushed[1:])


@pytest.mark.parametrize("lr, beta", [(0.003, 0.95), (0.02, 0.6)])
def test_parameters_are_the_points_ahead(lr, beta):
    """torch does not store the dots.
    Its parameters are the squares, so the gradient it is passed is the one that the rule asks for."""
    bowl = quadratic(condition=40)
    curvatures = torch.tensor([1.0, 40.0], dtype=torch.float64)
    run = descend(bowl, torch.optim.SGD, steps=30, lr=lr, momentum=beta, nesterov=True)
    ball, velocity = run.points[0], torch.zeros(2, dtype=torch.float64)
    for parameters in run.points:
        ahead = ball - lr * beta * velocity
        assert torch.allclose(parameters, ahead, rtol=0, atol=1e-12)
        velocity = beta * velocity + curvatures * ahead
        ball = ball - lr * velocity


@pytest.mark.parametrize("lr, beta", [(0.01, 0.95), (0.02, 0.6)])
def test_only_while_the_rate_stays(lr, beta):
    """All this holds while $\\eta$ stays."""
    curvatures = torch.tensor([1.0, 40.0], dtype=torch.float64)
    ball, velocity, gaps = torch.tensor([-4.0, 1.0], dtype=torch.float64), torch.zeros(2, dtype=torch.float64), []
    weight = ball.clone()
    optimizer = torch.optim.SGD([weight], lr=lr, momentum=beta, nesterov=True)
    for step in range(9):
        if step == 6:
            lr = optimizer.param_groups[0]["lr"] = lr / 10
        ahead = ball - lr * beta * velocity
        gaps.append((weight - ahead).norm().item())
        velocity = beta * velocity + curvatures * ahead
        ball = ball - lr * velocity
        weight.grad = curvatures * weight
        optimizer.step()
    assert max(gaps[:6]) < 1e-12 and min(gaps[6:]) > 1e-2


@pytest.mark.parametrize("k", [4, 36, 900])
def test_on_bowls_it_is_slower_than_momentum_at_its_best(k):
    """So on bowls it is slower *in the end* than momentum at its best."""
    root, curves = math.sqrt(k), torch.linspace(1, k, 301, dtype=torch.float64)
    at_its_best = rate(momentum, curves, (2 / (root + 1)) ** 2, ((root - 1) / (root + 1)) ** 2).max()
    assert at_its_best == pytest.approx((root - 1) / (root + 1), abs=1e-6)
    for z in torch.linspace(0.05, 1.9, 38).tolist():  # whatever its settings
        for beta in torch.linspace(0, 0.99, 34).tolist():
            assert rate(nesterov, curves, z / k, beta).max() > at_its_best


@pytest.mark.parametrize("k", [36, 400])
def test_in_the_end_is_not_at_first(k):
    """But from this start, where the steep directions carry the loss, its loss is lower for 50 steps."""
    root, curves = math.sqrt(k), torch.linspace(1, k, 301, dtype=torch.float64)
    settings = [
        (momentum, (2 / (root + 1)) ** 2, ((root - 1) / (root + 1)) ** 2),
        (nesterov, 1 / k, (root - 1) / (root + 1)),
    ]
    overtaken = []
    for start in (torch.ones_like(curves), 1 / curves):
        losses = []
        for rule, lr, beta in settings:
            p, b, line = start, 0.0, []
            for _ in range(300):
                p, b = rule(p, curves * p, b, lr=lr, momentum=beta)
                line.append((curves * p**2).sum())
            losses.append(torch.stack(line))
        ahead = losses[0] < losses[1]
        overtaken.append(ahead.double().argmax().item())
        assert ahead[-1] and not ahead[0]
        assert ahead[overtaken[-1] :].all()
    assert overtaken[0] > 3 * overtaken[1]
    floor = []  # from a start on it, momentum is lower from the first step on
    for rule, lr, beta in settings:
        p, b = 1.0, 0.0
        for _ in range(60):
            p, b = rule(p, p, b, lr=lr, momentum=beta)
            floor.append(abs(p))
    assert all(plain < ahead for plain, ahead in zip(floor[:60:59], floor[60::59], strict=True))


def test_tenth_and_hundredth():
    """From step 1,000 to 10,000 gradient descent falls to a tenth, and the method of 1983 to a hundredth."""
    plain, grows = worst_bowl(momentum, 3000, momentum=0.0), worst_bowl(LESSON["nesterov_1983"], 3000)
    assert plain[2999] / plain[299] == pytest.approx(0.1, rel=0.01)
    assert grows[2999] / grows[299] == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize("rule", [momentum, nesterov])
def test_constant_memory_gains_a_factor(rule):
    """With $\\beta = 0.9$ for good Nesterov ends at a tenth of gradient descent's loss and falls like $1/k$ again.
    With $\\beta = 0.9$ for good, as torch would keep it, the worst loss on bowls of small curvature falls like $1/k$ again"""  # noqa: E501
    kept, plain = worst_bowl(rule, 4000, momentum=0.75), worst_bowl(momentum, 4000, momentum=0.0)
    assert kept[3999] / kept[399] == pytest.approx(0.1, rel=0.05)
    factor = kept[-1] / plain[-1]
    assert factor == pytest.approx(1 - 0.75, rel=0.01)


def test_chosen_memory():
    """No: choose $k$, from 100 to 10,000, and take $\\beta = 1 - 8/k$ in all $k$ steps; the loss ends less than a third higher.
    So it, too, falls to about a hundredth with ten times the steps."""  # noqa: E501
    ends = [worst_bowl(nesterov, steps, momentum=1 - 8 / steps)[-1].item() for steps in (500, 5000)]
    assert ends[1] / ends[0] == pytest.approx(0.01, rel=0.15)
    assert ends == pytest.approx([_after(steps, 8) for steps in (500, 5000)], rel=0.01)
    for steps in (30, 100, 400, 3000, 10_000):
        grows = worst_bowl(LESSON["nesterov_1983"], steps)[-1]
        assert (_after(steps, 8) < 4 / 3 * grows) == (steps >= 100)
    far = [_after(10**power, 8) for power in (3, 4, 5, 6)]  # beyond 10,000 it is a tenth
    assert [after / before for before, after in zip(far, far[1:], strict=False)] == pytest.approx(
        [0.01, 0.08, 0.1], rel=0.1
    )


def _after(steps, part):
    """The worst loss of Nesterov's method after ``steps`` with momentum 1 - part / steps, by powers of a matrix."""
    bowls, beta = torch.logspace(-13, 0, 2601, dtype=torch.float64), 1 - part / steps
    rows = [1 - bowls * (1 + beta), torch.full_like(bowls, -(beta**2)), bowls, torch.full_like(bowls, beta)]
    step = torch.stack(rows, -1).reshape(-1, 2, 2)
    return (bowls * torch.linalg.matrix_power(step, steps)[:, 0, 0] ** 2 / 2).max().item()


def test_where_the_growing_memory_needs_the_look_ahead():
    """On a slope that bends it can
    With the look ahead it arrives from each of these starts, and with $\\eta = 0.3$ momentum does, too.
    On these bowls momentum with that $\\beta$ keeps up."""
    ahead, plain = LESSON["nesterov_1983"], growing_momentum
    assert worst_bowl(plain, 3000)[-1] == pytest.approx(worst_bowl(ahead, 3000)[-1].item(), rel=0.01)
    assert bent(bent_places(plain, 3000, 0.7)[-1]).max() > 0.01 > 1e-9 > bent(bent_places(ahead, 200, 0.7)[-1]).max()
    assert all(bent(bent_places(plain, 3000, lr)[-1]).max() < 1e-3 for lr in (0.1, 0.3))


@pytest.mark.parametrize("n, steps", [(41, 20), (101, 50)])
def test_lower_bound(n, steps):
    """Of that guarantee only the constant can be improved: Nesterov's book of 2004 gives for each $k$ a bowl, of more than $2k$ weights, on which each method that combines the gradients it has seen keeps at least $3/32 \\cdot L\\,|\\theta_0-\\theta^*|^2/(k+1)^2$."""  # noqa: E501
    steps = (n - 1) // 2
    chain = (2 * torch.eye(n) - torch.eye(n).roll(1, 0).tril() - torch.eye(n).roll(-1, 0).triu()).double() / 4
    goal = torch.linalg.solve(chain, torch.eye(n)[0].double() / 4)
    assert torch.linalg.eigvalsh(chain).max() < 1
    bound = 3 / 32 * (goal**2).sum() / (steps + 1) ** 2
    for rule, options in [(momentum, {"momentum": 0.9}), (nesterov, {"momentum": 0.9}), (LESSON["nesterov_1983"], {})]:
        p, memory = torch.zeros(n, dtype=torch.float64), 0.0
        for _ in range(steps):
            p, memory = rule(p, chain @ (p - goal), memory, lr=1.0, **options)
        assert (p - goal) @ chain @ (p - goal) / 2 > bound
    reached = torch.eye(n, dtype=torch.float64)[:, :steps]  # all that the gradients seen can combine to
    closest = reached @ torch.linalg.solve(reached.T @ chain @ reached, reached.T @ chain @ goal)
    assert (closest - goal) @ chain @ (closest - goal) / 2 > bound


@pytest.mark.parametrize("beta", [0.05, 0.5, 0.99])
def test_range_of_stable_learning_rates(beta):
    """On a bowl, for $0 < \\beta < 1$, looking ahead narrows the range of stable $\\eta\\lambda$, from $2 + 2\\beta$ to $(2+2\\beta)/(1+2\\beta)$.
    So a larger $\\beta$ widens momentum's range and narrows Nesterov's"""  # noqa: E501
    curvature = torch.tensor(3.0, dtype=torch.float64)
    for rule, edge in [(momentum, 2 + 2 * beta), (nesterov, (2 + 2 * beta) / (1 + 2 * beta))]:
        assert rate(rule, curvature, 0.999 * edge / 3, beta) < 1 < rate(rule, curvature, 1.001 * edge / 3, beta)


def test_old_buffer_is_momentum():
    """$g + \\beta b_{t-1}$ *is* $b_t$: two swapped lines, and Nesterov is plain momentum."""
    p = q = torch.tensor([-1.5, 2.0], dtype=torch.float64)
    b = c = torch.zeros(2, dtype=torch.float64)
    for _ in range(50):
        p, b = old_buffer(p, torch.func.grad(rosenbrock)(p), b, lr=5e-4, momentum=0.8)
        q, c = momentum(q, torch.func.grad(rosenbrock)(q), c, lr=5e-4, momentum=0.8)
    assert torch.equal(p, q)


@pytest.mark.parametrize("batch, sizes", [(12, (64, 8, 10)), (32, (64, 16, 10))])
def test_held_out_loss(batch, sizes):
    """at 0.7 and below these seeds do not agree.
    on nets like these it can help in a short run."""
    betas, seeds = torch.tensor([0.6, 0.9, 0.95], dtype=torch.float64), range(30, 36)
    losses, parts = held_out(betas, [150], seeds, batch=batch, sizes=sizes)[150]
    ahead, means = (losses[:, 1] < losses[:, 0]).sum(0), losses.mean(0)
    assert 0 < ahead[0] < len(seeds) and ahead[1] >= 4 and ahead[2] >= 5
    assert (means[1, 1:] < means[0, 1:] - 0.004).all()
    assert parts.min() > PARTS[0] and parts.max() < PARTS[-1]  # none is at an end of those tried


def test_held_out_loss_later():
    """After 600 steps at 0.9 little is left; at 0.95 ten of twelve seeds still gain."""
    betas = torch.tensor([0.9, 0.95], dtype=torch.float64)
    losses, parts = held_out(betas, [600], range(40, 46), parts=PARTS / 2)[600]
    means = losses.mean(0)
    assert abs(means[0, 0] - means[1, 0]) < 0.012 and parts.min() > PARTS[0] / 2 and parts.max() < PARTS[-1] / 2
    assert (losses[:, 1, 1] < losses[:, 0, 1]).sum() >= 4


def test_held_out_is_what_train_many_teaches():
    """At each $\\beta$ each rule has the best of six learning rates on these same images: $1-\\beta$ times 0.35, 0.5, 0.71, 1, 1.41 or 2"""  # noqa: E501
    images, labels = digits()
    rates = 0.3 * PARTS.double()
    losses, parts = held_out(torch.tensor([0.7], dtype=torch.float64), [20], [0])[20]
    for rule, loss, part in zip((momentum, nesterov), losses[0, :, 0], parts[:, 0], strict=True):
        options = {"batch": 8, "lr": rates, "momentum": 0.7}
        run = train_many(small_net(64, 16, 10), from_rule(rule), images[:797], labels[:797], 20, **options)
        each = [cross_entropy(scores, labels[797:]).item() for scores in run.scores(images[797:])]
        assert loss == pytest.approx(min(each), rel=1e-9) and part == PARTS[each.index(min(each))]
