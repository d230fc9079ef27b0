"""What came after Adam, each as an edit of a rule of `edu_optim.rules`, under the same contract."""

from ..rules import adam, maximum


def nadam(p, g, m, v, c, *, t, lr, betas=(0.9, 0.999), eps=1e-8, momentum_decay=0.004):
    """Adam with Nesterov's look ahead: the newest gradient counts once more.

    Buffers ``m`` and ``v`` as in `adam`, and ``c``, what a mean of ones would be, which corrects where beta1 is not
    the same at every step; ``lr`` is in [p], ``eps`` in [f/p]. Source: T. Dozat 2016, Incorporating Nesterov momentum
    into Adam, ICLR workshop; with torch's ``m``, which fades by beta1 itself.

    >>> nadam(1.0, 2.0, 0.0, 0.0, 0.0, t=1, lr=0.25, betas=(0.5, 0.75), eps=0, momentum_decay=0)
    (0.7166666666666667, 1.0, 1.0, 0.75)
    """
    beta1, beta2 = betas
    mu = beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))  # (1) beta1, from half of it upwards
    mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
    m = beta1 * m + (1 - beta1) * g  # (2) running mean of the gradients
    v = beta2 * v + (1 - beta2) * g**2  # (3) running mean of their squares
    c = mu * c + (1 - mu)  # (4) running mean of ones
    m_hat = mu_next * m / (mu_next * c + (1 - mu_next)) + (1 - mu) * g / c  # (5) the look ahead
    v_hat = v / (1 - beta2**t)  # (6)
    p = p - lr * m_hat / (v_hat**0.5 + eps)  # (7) the step
    return p, m, v, c


def radam(p, g, m, v, *, t, lr, betas=(0.9, 0.999), eps=1e-8):
    """Adam that divides by the mean square only once it rests on enough gradients, and cautiously at first.

    Buffers as in `adam`; ``lr`` is in [p] from then on and in [p²/f] before, ``eps`` in [f/p]. Source: L. Liu et al.
    2020, On the variance of the adaptive learning rate and beyond, arXiv 1908.03265; in torch's form, where ``eps``
    meets the uncorrected root.

    >>> radam(1.0, 2.0, 0.0, 0.0, t=1, lr=0.25, betas=(0.5, 0.75))
    (0.5, 1.0, 1.0)
    """
    beta1, beta2 = betas
    m = beta1 * m + (1 - beta1) * g  # (1) running mean of the gradients
    v = beta2 * v + (1 - beta2) * g**2  # (2) running mean of their squares
    m_hat = m / (1 - beta1**t)  # (3) undo the pull towards zero
    most = 2 / (1 - beta2) - 1  # (4) how many gradients v can rest on, and on how many it does
    n = most - 2 * t * beta2**t / (1 - beta2**t)
    if n <= 5:
        return p - lr * m_hat, m, v  # (5) too few: momentum
    r = ((n - 4) * (n - 2) * most / ((most - 4) * (most - 2) * n)) ** 0.5  # (6) caution, from near 0 to 1
    p = p - lr * r * m_hat * (1 - beta2**t) ** 0.5 / (v**0.5 + eps)  # (7) the step
    return p, m, v


def radam_decoupled(p, g, m, v, *, t, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
    """RAdam with the decay of `edu_optim.rules.adamw`: buffers as in `radam`, sources as in both.

    >>> radam_decoupled(1.0, 0.0, 0.0, 0.0, t=1, lr=0.25, weight_decay=1.0)[0]
    0.75
    """
    p = p - lr * weight_decay * p  # (1) decay
    return radam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)  # (2) RAdam


def lion(p, g, m, *, lr, betas=(0.9, 0.99), weight_decay=0):
    """Every weight moves by ``lr``: only the sign of a mean gradient is used.

    Buffer ``m``, the mean gradient in [f/p]; ``lr`` is in [p], ``weight_decay`` in [1/p]. Source: X. Chen et al.
    2023, Symbolic discovery of optimization algorithms, arXiv 2302.06675.

    >>> lion(1.0, -8.0, 1.0, lr=0.25, betas=(0.5, 0.75))
    (1.25, -1.25)
    """
    beta1, beta2 = betas
    u = beta1 * m + (1 - beta1) * g  # (1) the mean that steers
    p = p - lr * (sign(u) + weight_decay * p)  # (2) the step
    m = beta2 * m + (1 - beta2) * g  # (3) the mean that is kept
    return p, m


def schedule_free_sgd(p, g, e, *, t, lr, beta=0.9):
    """Gradient descent and the average of its points, with the gradient asked for between the two.

    Buffer ``e`` in [p] leads from the point that descends to the average, which is ``p + (1 - beta) * e``; ``lr`` is in
    [p²/f]. Source: A. Defazio et al. 2024, The road less scheduled, arXiv 2405.15682; for a constant ``lr``, with the
    authors' weights 1 / t.

    >>> schedule_free_sgd(1.0, 2.0, 0.0, t=1, lr=0.25)
    (0.5, 0.0)
    """
    z = p - beta * e  # (1) the point that descends
    x = z + e  # (2) the average of such points
    z = z - lr * g  # (3) gradient descent
    x = x + (z - x) / t  # (4) one more point in the average
    e = x - z
    p = z + beta * e  # (5) where the next gradient is asked for
    return p, e


def schedule_free_adamw(p, g, v, e, *, t, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0):
    """Schedule-free descent that divides by Adam's root mean square, with decoupled decay.

    Buffers ``v`` as in `adam` and ``e`` as in `schedule_free_sgd`, where beta1 has the place of ``beta``; ``lr`` is in
    [p]. The same source; without warmup.

    >>> schedule_free_adamw(1.0, 2.0, 0.0, 0.0, t=1, lr=0.25)
    (0.75..., 0.00..., 0.0)
    """
    beta1, beta2 = betas
    v = beta2 * v + (1 - beta2) * g**2  # (1) running mean of the squares
    v_hat = v / (1 - beta2**t)  # (2)
    d = g / (v_hat**0.5 + eps) + weight_decay * p  # (3) what stands for the gradient
    p, e = schedule_free_sgd(p, d, e, t=t, lr=lr, beta=beta1)  # (4) schedule-free descent
    return p, v, e


def adam_ema(p, g, m, v, a, *, t, lr, betas=(0.9, 0.999), eps=1e-8, decay=0.99):
    """Adam, beside a running mean of its weights: train with ``p``, answer with ``a / (1 - decay**t)``.

    Buffers ``m`` and ``v`` as in `adam`, and ``a`` in [p]. Sources as in `adam`; B. Polyak & A. Juditsky 1992,
    Acceleration of stochastic approximation by averaging, SIAM J. Control Optim. 30(4), 838-855.

    >>> adam_ema(1.0, 2.0, 0.0, 0.0, 0.0, t=1, lr=0.25, betas=(0.5, 0.75), eps=0, decay=0.5)
    (0.75, 1.0, 1.0, 0.375)
    """
    p, m, v = adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)  # (1) Adam
    a = decay * a + (1 - decay) * p  # (2) running mean of the weights
    return p, m, v, a


def sign(x):
    """1, -1 or 0, elementwise, for every kind of argument that a rule takes; what is below 1e-30 counts as nearly 0.

    In float16, where 1e-30 is 0, it gives nan for 0.

    >>> sign(-2.0), sign(0.0)
    (-1.0, 0.0)
    """
    if hasattr(x, "free_symbols") and not hasattr(x, "maximum"):  # a traced value has all names
        from sympy import sign as of_symbols

        return of_symbols(x)
    return x / (maximum(x, -x) + 1e-30)


def muon(
    p,
    g,
    b,
    *,
    lr,
    weight_decay=0.1,
    momentum=0.95,
    nesterov=True,
    ns_coefficients=(3.4445, -4.775, 2.0315),
    eps=1e-7,
    ns_steps=5,
    adjust_lr_fn=None,
):
    """Momentum whose step is made orthogonal: a matrix is stepped as a matrix, in all its directions alike.

    ``p`` is a tensor ``[..., rows, columns]``. Buffer ``b``, the mean gradient in [f/p]; ``lr`` is in [p]. Sources:
    K. Jordan et al. 2024, Muon: an optimizer for hidden layers in neural networks, kellerjordan.github.io/posts/muon;
    in torch's form, with its decay and its running mean.

    >>> import torch
    >>> p, b = muon(torch.zeros(2, 2), torch.diag(torch.tensor([3.0, 0.5])), torch.zeros(2, 2), lr=1.0, ns_steps=9)
    >>> p.diag().abs().min() > 0.6
    tensor(True)
    """
    b = momentum * b + (1 - momentum) * g  # (1) running mean of the gradients
    u = momentum * b + (1 - momentum) * g if nesterov else b  # (2) the newest counts once more
    o = orthogonal(u, ns_coefficients, ns_steps, eps)  # (3) all singular values near 1
    p = p - lr * weight_decay * p  # (4) decay
    p = p - lr * stretch(p.shape, adjust_lr_fn) * o  # (5) the step
    return p, b


def orthogonal(u, ns_coefficients=(3.4445, -4.775, 2.0315), ns_steps=5, eps=1e-7):
    """The Newton-Schulz iteration: the same singular vectors, and singular values driven towards 1.

    A singular value s becomes k1 s + k3 s³ + k5 s⁵ at each step. Sources: K. Jordan et al. 2024, as in `muon`, and
    J. Bernstein & L. Newhouse 2024, Old optimizer, new norm: an anthology, arXiv 2409.20325.

    Args:
        u: a tensor ``[..., rows, columns]``.
        ns_coefficients: k1, k3 and k5; (1.5, -0.5, 0) is the cubic iteration, which converges to 1.
        ns_steps: how often.
        eps: the least length that ``u`` is divided by.

    >>> import torch
    >>> orthogonal(torch.diag(torch.tensor([3.0, 0.5])), (1.5, -0.5, 0), 20)
    tensor([[1., 0.],
            [0., 1.]])
    """
    k1, k3, k5 = ns_coefficients
    x = u.mT if u.shape[-2] > u.shape[-1] else u  # so that x @ x.mT is the smaller product
    x = x / ((x * x).sum((-2, -1), keepdim=True) ** 0.5).clamp(min=eps)  # so that no singular value is above 1
    for _ in range(ns_steps):
        xx = x @ x.mT
        x = k1 * x + (k3 * xx + k5 * xx @ xx) @ x
    return x.mT if u.shape[-2] > u.shape[-1] else x


def stretch(shape, adjust_lr_fn=None):
    """What the step of a matrix is multiplied by, for its shape.

    Args:
        shape: of the matrix, ``(..., rows, columns)``.
        adjust_lr_fn: ``"original"`` or None, Jordan's, or ``"match_rms_adamw"``, J. Liu et al. 2025, Muon is scalable
            for LLM training, arXiv 2502.16982, whose steps are about as long as AdamW's.

    >>> stretch((8, 2)), stretch((2, 8)), stretch((4, 16), "match_rms_adamw")
    (2.0, 1.0, 0.8)
    """
    rows, columns = shape[-2:]
    if adjust_lr_fn == "match_rms_adamw":
        return 0.2 * max(rows, columns) ** 0.5
    return max(1, rows / columns) ** 0.5
