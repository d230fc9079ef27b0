"""The mathematics: every optimizer of the course as one pure function.

A rule takes a parameter ``p``, its gradient ``g`` and its buffers, and returns the new parameter and the new
buffers. It changes nothing in place and uses nothing but ``+ - * / **``. The same text therefore runs on Python
floats, on SymPy symbols, on tensors of any shape, on a `TensorList` and in a compiled kernel; everything is
elementwise, and a hyper-parameter may be a tensor that broadcasts against ``p``.

Positional: ``p``, ``g``, then the buffers, which start at zero. Keyword-only: ``t``, the number of this step
(the first is 1), where the rule needs it, and the hyper-parameters. Units: ``p`` in its own units [p], the loss
in [f], so ``g`` is in [f/p].

The rules are in order of increasing complexity: each is the one before it with one thing changed.
"""


def gradient_descent(p, g, *, lr):
    """Walk downhill: a step against the gradient.

    ``lr`` is in [p²/f]. Source: A. Cauchy 1847, Méthode générale pour la résolution des systèmes d'équations
    simultanées, C. R. Acad. Sci. Paris 25, 536-538.

    >>> gradient_descent(1.0, 4.0, lr=0.25)
    (0.0,)
    """
    p = p - lr * g  # (1) the step
    return (p,)


def momentum(p, g, b, *, lr, momentum=0.9, dampening=0):
    """A heavy ball: the step is a fading sum of all gradients so far.

    Buffer ``b`` is the velocity in [f/p]; ``lr`` is in [p²/f]. Source: B. Polyak 1964, Some methods of speeding
    up the convergence of iteration methods, USSR Comput. Math. Math. Phys. 4(5), 1-17; in torch's form, where
    ``lr`` multiplies the whole velocity. ``dampening=momentum`` makes ``b`` a running mean.

    >>> p, b = momentum(1.0, 1.0, 0.0, lr=0.5, momentum=0.5)
    >>> momentum(p, 1.0, b, lr=0.5, momentum=0.5)
    (-0.25, 1.5)
    """
    b = momentum * b + (1 - dampening) * g  # (1) the velocity
    p = p - lr * b  # (2) the step
    return p, b


def nesterov(p, g, b, *, lr, momentum=0.9):
    """Momentum that looks ahead: the newest gradient counts once more.

    Buffer ``b`` is the velocity in [f/p]; ``lr`` is in [p²/f]. Sources: Y. Nesterov 1983, A method for solving
    the convex programming problem with convergence rate O(1/k²), Dokl. Akad. Nauk SSSR 269, 543-547; in the form
    of Y. Bengio, N. Boulanger-Lewandowski & R. Pascanu 2012, Advances in optimizing recurrent networks,
    arXiv 1212.0901.

    >>> nesterov(1.0, 1.0, 0.0, lr=0.5, momentum=0.5)
    (0.25, 1.0)
    """
    b = momentum * b + g  # (1) the velocity
    p = p - lr * (g + momentum * b)  # (2) the step, from where the velocity leads
    return p, b


def adagrad(p, g, s, *, lr, eps=1e-10):
    """A learning rate for each coordinate: divide by the length of all its gradients so far.

    Buffer ``s`` is the sum of squared gradients in [f²/p²]; ``lr`` is in [p], ``eps`` in [f/p]. Source: J. Duchi,
    E. Hazan & Y. Singer 2011, Adaptive subgradient methods for online learning and stochastic optimization,
    JMLR 12, 2121-2159.

    >>> adagrad(1.0, 2.0, 0.0, lr=0.5, eps=0)
    (0.5, 4.0)
    """
    s = s + g**2  # (1) all squares so far
    p = p - lr * g / (s**0.5 + eps)  # (2) the step
    return p, s


def rmsprop(p, g, s, *, lr, alpha=0.99, eps=1e-8):
    """Adagrad that forgets: a running mean of the squares instead of their sum.

    Buffer ``s`` is the mean square in [f²/p²]; ``lr`` is in [p], ``eps`` in [f/p], ``alpha`` a number in [0, 1].
    Source: T. Tieleman & G. Hinton 2012, Lecture 6.5: rmsprop, Neural Networks for Machine Learning, Coursera.

    >>> rmsprop(1.0, 2.0, 0.0, lr=0.25, alpha=0.75, eps=0)
    (0.5, 1.0)
    """
    s = alpha * s + (1 - alpha) * g**2  # (1) running mean of the squares
    p = p - lr * g / (s**0.5 + eps)  # (2) the step
    return p, s


def rmsprop_centered(p, g, s, a, *, lr, alpha=0.99, eps=1e-8):
    """RMSprop that divides by the standard deviation of the gradient instead of its root mean square.

    Buffers ``s``, the mean square in [f²/p²], and ``a``, the mean in [f/p]. Where all gradients are alike
    ``s - a**2`` is a difference of nearly equal numbers, and rounding can make it negative. Source: A. Graves
    2013, Generating sequences with recurrent neural networks, arXiv 1308.0850.

    >>> rmsprop_centered(1.0, 2.0, 0.0, 0.0, lr=0.25, alpha=0.5, eps=0)
    (0.5, 2.0, 1.0)
    """
    s = alpha * s + (1 - alpha) * g**2  # (1) running mean of the squares
    a = alpha * a + (1 - alpha) * g  # (2) running mean of the gradients
    p = p - lr * g / ((s - a**2) ** 0.5 + eps)  # (3) the step
    return p, s, a


def rmsprop_momentum(p, g, s, b, *, lr, alpha=0.99, eps=1e-8, momentum=0.9):
    """RMSprop whose scaled gradient drives a velocity, as torch does it.

    Buffers ``s``, the mean square in [f²/p²], and ``b``, the velocity, a plain number. Source: A. Graves 2013,
    Generating sequences with recurrent neural networks, arXiv 1308.0850.

    >>> rmsprop_momentum(1.0, 2.0, 0.0, 0.5, lr=0.25, alpha=0.75, eps=0, momentum=0.5)
    (0.4375, 1.0, 2.25)
    """
    s = alpha * s + (1 - alpha) * g**2  # (1) running mean of the squares
    b = momentum * b + g / (s**0.5 + eps)  # (2) the velocity
    p = p - lr * b  # (3) the step
    return p, s, b


def rmsprop_centered_momentum(p, g, s, a, b, *, lr, alpha=0.99, eps=1e-8, momentum=0.9):
    """Centered RMSprop whose scaled gradient drives a velocity.

    Buffers ``s``, ``a`` and ``b`` as in `rmsprop_centered` and `rmsprop_momentum`, and the same source.

    >>> rmsprop_centered_momentum(1.0, 2.0, 0.0, 0.0, 0.5, lr=0.25, alpha=0.5, eps=0, momentum=0.5)
    (0.4375, 2.0, 1.0, 2.25)
    """
    s = alpha * s + (1 - alpha) * g**2  # (1) running mean of the squares
    a = alpha * a + (1 - alpha) * g  # (2) running mean of the gradients
    b = momentum * b + g / ((s - a**2) ** 0.5 + eps)  # (3) the velocity
    p = p - lr * b  # (4) the step
    return p, s, a, b


def adadelta(p, g, s, u, *, lr=1.0, rho=0.9, eps=1e-6):
    """RMSprop with its units repaired: the size of past steps takes the place of the learning rate.

    Buffers ``s``, the mean square gradient, and ``u``, the mean square step. The quotient of their roots is in
    [p²/f] once both are far above ``eps``, so the step has the units of ``p`` and ``lr`` is a plain number.
    Source: M. Zeiler 2012, ADADELTA: an adaptive learning rate method, arXiv 1212.5701.

    >>> adadelta(1.0, 2.0, 0.0, 0.0, rho=0.25, eps=1.0)
    (0.0, 3.0, 0.75)
    """
    s = rho * s + (1 - rho) * g**2  # (1) running mean of the squared gradients
    d = (u + eps) ** 0.5 / (s + eps) ** 0.5 * g  # (2) the step, in units of p
    u = rho * u + (1 - rho) * d**2  # (3) running mean of the squared steps
    p = p - lr * d  # (4)
    return p, s, u


def adam(p, g, m, v, *, t, lr, betas=(0.9, 0.999), eps=1e-8):
    """Momentum over RMSprop, and both means corrected for having started at zero.

    Buffers ``m``, the mean gradient in [f/p], and ``v``, the mean square in [f²/p²]; ``lr`` is in [p], ``eps``
    in [f/p]. Source: D. Kingma & J. Ba 2015, Adam: a method for stochastic optimization, arXiv 1412.6980.

    >>> adam(1.0, 2.0, 0.0, 0.0, t=1, lr=0.25, betas=(0.5, 0.75), eps=0)
    (0.75, 1.0, 1.0)
    """
    beta1, beta2 = betas
    m = beta1 * m + (1 - beta1) * g  # (1) running mean of the gradients
    v = beta2 * v + (1 - beta2) * g**2  # (2) running mean of their squares
    m_hat = m / (1 - beta1**t)  # (3) undo the pull towards zero
    v_hat = v / (1 - beta2**t)  # (4)
    p = p - lr * m_hat / (v_hat**0.5 + eps)  # (5) the step
    return p, m, v


def amsgrad(p, g, m, v, v_max, *, t, lr, betas=(0.9, 0.999), eps=1e-8):
    """Adam whose denominator never shrinks.

    Buffers as in `adam`, and ``v_max``, the largest ``v`` so far. Source: S. Reddi, S. Kale & S. Kumar 2018, On
    the convergence of Adam and beyond, arXiv 1904.09237; in torch's form, which corrects after the maximum.

    >>> amsgrad(1.0, 2.0, 0.0, 0.0, 4.0, t=1, lr=0.25, betas=(0.5, 0.75), eps=0)
    (0.875, 1.0, 1.0, 4.0)
    """
    beta1, beta2 = betas
    m = beta1 * m + (1 - beta1) * g  # (1) running mean of the gradients
    v = beta2 * v + (1 - beta2) * g**2  # (2) running mean of their squares
    v_max = maximum(v_max, v)  # (3) the largest of them so far
    m_hat = m / (1 - beta1**t)  # (4) undo the pull towards zero
    v_hat = v_max / (1 - beta2**t)  # (5)
    p = p - lr * m_hat / (v_hat**0.5 + eps)  # (6) the step
    return p, m, v, v_max


def adamw(p, g, m, v, *, t, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
    """Adam, after the weights have shrunk by a factor that no gradient has touched.

    Buffers as in `adam`; ``weight_decay`` is in [1/p], so that ``lr * weight_decay`` is a plain number. Source:
    I. Loshchilov & F. Hutter 2019, Decoupled weight decay regularization, arXiv 1711.05101; in torch's form,
    where ``lr`` multiplies the decay.

    >>> adamw(1.0, 2.0, 0.0, 0.0, t=1, lr=0.25, betas=(0.5, 0.75), eps=0, weight_decay=1.0)
    (0.5, 1.0, 1.0)
    """
    p = p - lr * weight_decay * p  # (1) decay
    return adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)  # (2) Adam


def adamw_amsgrad(p, g, m, v, v_max, *, t, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
    """AMSGrad with the decay of `adamw`: buffers as in `amsgrad`, sources as in both.

    >>> adamw_amsgrad(1.0, 2.0, 0.0, 0.0, 4.0, t=1, lr=0.25, betas=(0.5, 0.75), eps=0, weight_decay=1.0)
    (0.625, 1.0, 1.0, 4.0)
    """
    p = p - lr * weight_decay * p  # (1) decay
    return amsgrad(p, g, m, v, v_max, t=t, lr=lr, betas=betas, eps=eps)  # (2) AMSGrad


def maximum(a, b):
    """The larger of two, elementwise, for every kind of argument that a rule takes.

    >>> maximum(1.0, 2.0)
    2.0
    """
    if hasattr(a, "maximum"):
        return a.maximum(b)
    if hasattr(a, "free_symbols"):
        from sympy import Max

        return Max(a, b)
    return max(a, b)
