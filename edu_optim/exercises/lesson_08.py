"""Lesson 08, Adam: its tasks, their hints, and the answers that go wrong."""

import torch

from .. import rules
from ..rules import maximum
from .registry import RULE_HINTS, bank, bug, task, variant

RULE_HINTS["adam"] = [
    "Where will the two means and the count of a parameter wait between two steps? `self.state[p]` is a dict.",
    "At the first step of a parameter its state is empty: put zeros and a count of 0 there. The lesson's rule then "
    "says what to do with them, and it is still in your notebook.",
    "For each group and each p whose grad is not None: raise the count, call the rule with the buffers, "
    "copy the new numbers into p and into the buffers. All of it without recording a graph.",
]


RULE_HINTS["amsgrad"] = [
    "Adam's denominator can shrink. Which quantity would have to be kept so that it cannot?",
    "`maximum(v_max, v)` is that quantity; it is a buffer like the others.",
    "torch corrects the maximum, and goes on with the plain running mean.",
]


@task((0.9, 0.999), (0.5, 0.9), (0.0, 0.99))
def step_after_silence(beta1, beta2):
    """After a long silence m and v are zero, and both corrections are over. Now one gradient g comes.

    m is (1 - beta1) * g, v is (1 - beta2) * g**2. What is m over the root of v?
    """
    return (1 - beta1) / (1 - beta2) ** 0.5


@bug("step_after_silence")
def step_after_silence_first_step(beta1, beta2):
    """That is the very first step, where the corrections undo the emptiness; after a silence t is large.

    What are 1 - beta1**t and 1 - beta2**t after a thousand steps?
    """
    return 1.0


@bug("step_after_silence")
def step_after_silence_no_root(beta1, beta2):
    """The step divides by the root of v.

    With beta2 = 0.999 and a gradient of 1, v is 0.001. What is its root?
    """
    return (1 - beta1) / (1 - beta2)


@bug("step_after_silence")
def step_after_silence_without_beta1(beta1, beta2):
    """This is RMSprop's burst: in Adam the newest gradient enters m at the weight 1 - beta1.

    After one gradient of 1, what is m?
    """
    return 1 / (1 - beta2) ** 0.5


@bug("step_after_silence")
def step_after_silence_betas(beta1, beta2):
    """beta is what a mean keeps; what enters it is the rest.

    After one gradient of 1, with a mean of 0 before it, what is m?
    """
    return beta1 / beta2**0.5


def _watch_disguise(answer):
    seen = []
    for name in ("sign descent", "Adagrad"):
        draw = torch.Generator().manual_seed(8)
        p = m = v = torch.zeros(3, dtype=torch.float64)
        for t in range(1, 7):
            g = torch.randn(3, generator=draw, dtype=torch.float64)
            before = p
            p, m, v = rules.adam(p, g, m, v, t=t, **answer(name, 0.1, t))
            seen.append((f"as {name}, step {t}", p - before))
    return seen


@task(observe=_watch_disguise, close=1e-3)
def disguise(name, lr, t):
    """For the sign: neither mean may remember anything.

    For Adagrad: m remembers nothing and v everything, so beta2 is as close to 1 as you like, such as 1 - 1e-9. Then
    the corrected v is the mean of all squares so far, and Adagrad wants their sum.

    A sum of t squares is t times their mean, and the root makes it sqrt(t): hand that to lr.
    """
    if name == "sign descent":
        return {"lr": lr, "betas": (0, 0), "eps": 0}
    return {"lr": lr / t**0.5, "betas": (0, 1 - 1e-9), "eps": 0}


@bug("disguise")
def disguise_mean_for_sum(name, lr, t):
    """The sign descent is right. As Adagrad it divides by the root of the mean square, where Adagrad has the sum.

    How many times the mean of t squares is their sum?
    """
    return {**disguise(name, lr, t), "lr": lr}


@bug("disguise")
def disguise_t_for_root(name, lr, t):
    """The sign descent is right. As Adagrad the steps shrink as 1/t, which is too fast.

    The sum is t times the mean; what becomes of that t under the root?
    """
    return {**disguise(name, lr, t), "lr": lr if name == "sign descent" else lr / t}


@bug("disguise")
def disguise_keeps_momentum(name, lr, t):
    """Both have Adam's usual beta1, so old gradients still steer.

    Which beta makes m the newest gradient and nothing else?
    """
    chosen = disguise(name, lr, t)
    return {**chosen, "betas": (0.9, chosen["betas"][1])}


LINEUP = {"A": "m undamped", "B": "no root", "C": "corrects v only"}


LINEUP |= {"D": "betas swapped", "E": "no correction", "F": "gradient on top"}


def lineup():
    """Six wrong Adams without their names: a letter -> a rule with Adam's arguments.

    >>> wrong = lineup()["A"]
    >>> wrong(0.0, 1.0, 0.0, 0.0, t=1, lr=0.5, betas=(0.5, 0.75), eps=0)[1]
    1.0
    """
    known = {mistake.name: mistake.rule for mistake in bank("adam")}
    return {letter: _nameless(known[name]) for letter, name in LINEUP.items()}


def _nameless(rule):
    return lambda *columns, **options: rule(*columns, **options)


def _watch_suspects(answer):
    named = answer()
    if not isinstance(named, dict) or named.keys() != LINEUP.keys():
        raise TypeError(f"it must return a dict with the keys A to F, got {named!r}")
    return [(f"suspect {letter}", named[letter]) for letter in LINEUP]


@task(observe=_watch_suspects, secret=True)
def suspects():
    """Begin with one gradient of 1, then more of the same. Three of the six give themselves away at the first step.

    For the other three a gradient of 1 hides everything: 1 is its own square and its own root. Try 10.

    A change of direction tells the last two apart: one forgets the old direction at once, the other hardly at all.
    """
    return dict(LINEUP)


@bug("adam")
def adam_no_correction(p, g, m, v, *, t, lr, betas, eps):
    """The means start at zero and are used as they are, so the first step is too long: 3.16 lr at the usual betas.

    After one step m is (1 - beta1) g; by what must you divide it to get g back?
    """
    beta1, beta2 = betas
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    return p - lr * m / (v**0.5 + eps), m, v


def _means(g, m, v, betas):
    beta1, beta2 = betas
    return beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2


def _corrected(m, v, t, betas):
    beta1, beta2 = betas
    return m / (1 - beta1**t), v / (1 - beta2**t)


@bug("adam")
def adam_corrects_m_only(p, g, m, v, *, t, lr, betas, eps):
    """Only the mean gradient is corrected, so its numerator is right and its denominator starts far too small.

    Which of the two means needs more help at the first step, the one with beta1 or the one with beta2?
    """
    m, v = _means(g, m, v, betas)
    m_hat, _ = _corrected(m, v, t, betas)
    return p - lr * m_hat / (v**0.5 + eps), m, v


@bug("adam")
def adam_corrects_v_only(p, g, m, v, *, t, lr, betas, eps):
    """Only the mean square is corrected, so the first steps are too short: (1 - beta1) lr at the start.

    If every gradient were 1, what would m be after the first step, and what should its estimate of the mean be?
    """
    m, v = _means(g, m, v, betas)
    _, v_hat = _corrected(m, v, t, betas)
    return p - lr * m / (v_hat**0.5 + eps), m, v


@bug("adam")
def adam_correction_without_power(p, g, m, v, *, t, lr, betas, eps):
    """The correction divides by 1 - beta instead of 1 - beta**t: right at the first step, and never fades.

    By how much is a mean over the last hundred gradients still pulled towards zero?
    """
    m, v = _means(g, m, v, betas)
    m_hat, v_hat = _corrected(m, v, 1, betas)
    return p - lr * m_hat / (v_hat**0.5 + eps), m, v


@bug("adam")
def adam_power_fixed_at_2(p, g, m, v, *, t, lr, betas, eps):
    """The correction squares beta at every step, so it is right at the second step and nowhere else.

    Which number should stand in the exponent at step 7?
    """
    m, v = _means(g, m, v, betas)
    m_hat, v_hat = _corrected(m, v, 2, betas)
    return p - lr * m_hat / (v_hat**0.5 + eps), m, v


@bug("adam")
def adam_multiplies_by_correction(p, g, m, v, *, t, lr, betas, eps):
    """The means are multiplied by 1 - beta**t where they should be divided by it, which doubles the error.

    A mean that came out too small: does it need a factor above or below one?
    """
    m, v = _means(g, m, v, betas)
    beta1, beta2 = betas
    return p - lr * (m * (1 - beta1**t)) / ((v * (1 - beta2**t)) ** 0.5 + eps), m, v


@bug("adam")
def adam_t_one_ahead(p, g, m, v, *, t, lr, betas, eps):
    """The step count is one ahead: the first step is corrected as if it were the second.

    What is t when the very first gradient comes in?
    """
    m, v = _means(g, m, v, betas)
    m_hat, v_hat = _corrected(m, v, t + 1, betas)
    return p - lr * m_hat / (v_hat**0.5 + eps), m, v


@bug("adam")
def adam_t_from_zero(p, g, m, v, *, t, lr, betas, eps):
    """The steps are counted from zero, so the first correction divides by 1 - beta**0, which is nothing.

    What is t when the very first gradient comes in?
    """
    m, v = _means(g, m, v, betas)
    beta1, beta2 = betas
    nothing = g * 0
    m_hat, v_hat = m / (1 - beta1 ** (t - 1) + nothing), v / (1 - beta2 ** (t - 1) + nothing)
    return p - lr * m_hat / (v_hat**0.5 + eps), m, v


@variant("adam")
def adam_eps_inside(p, g, m, v, *, t, lr, betas, eps):
    """Here eps is added to the mean square before the root; the paper, torch and Keras add it after.

    The root of eps does here what eps does there, where gradients are small: convert by squaring it. Does your sheet
    ask for torch's?
    """
    m, v = _means(g, m, v, betas)
    m_hat, v_hat = _corrected(m, v, t, betas)
    return p - lr * m_hat / (v_hat + eps) ** 0.5, m, v


@variant("adam")
def adam_eps_hat(p, g, m, v, *, t, lr, betas, eps):
    """This is the shortcut of section 2 of Kingma & Ba 2015, and TensorFlow's: eps meets the uncorrected root.

    Their eps-hat is eps times the root of 1 - beta2**t. Does your sheet ask for the algorithm as it is printed?
    """
    m, v = _means(g, m, v, betas)
    beta1, beta2 = betas
    return p - lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t) * m / (v**0.5 + eps), m, v


@bug("adam")
def adam_eps_added_to_weight(p, g, m, v, *, t, lr, betas, eps):
    """Without brackets around root + eps, the division is done first, and eps is added to the step itself.

    What does a / b + c divide by?
    """
    m, v = _means(g, m, v, betas)
    m_hat, v_hat = _corrected(m, v, t, betas)
    return p - lr * (m_hat / v_hat**0.5 + eps), m, v


@bug("adam")
def adam_no_eps(p, g, m, v, *, t, lr, betas, eps):
    """There is no eps, so a weight whose gradient has always been zero becomes nan: zero by zero.

    What is the denominator of a weight that no example has touched yet?
    """
    m, v = _means(g, m, v, betas)
    m_hat, v_hat = _corrected(m, v, t, betas)
    return p - lr * m_hat / v_hat**0.5, m, v


@bug("adam")
def adam_no_root(p, g, m, v, *, t, lr, betas, eps):
    """The step divides by the mean square and not by its root, so small gradients take huge steps.

    If all gradients were ten times as large, by what factor would m_hat grow, and by what factor v_hat?
    """
    m, v = _means(g, m, v, betas)
    m_hat, v_hat = _corrected(m, v, t, betas)
    return p - lr * m_hat / (v_hat + eps), m, v


@bug("adam")
def adam_v_uses_g(p, g, m, v, *, t, lr, betas, eps):
    """The second mean is of the sizes of the gradients, not of their squares.

    The root in the denominator undoes a power; where is that power taken?
    """
    beta1, beta2 = betas
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * maximum(g, -g)
    m_hat, v_hat = _corrected(m, v, t, betas)
    return p - lr * m_hat / (v_hat**0.5 + eps), m, v


@bug("adam")
def adam_v_is_plain_g(p, g, m, v, *, t, lr, betas, eps):
    """The second mean is of the gradients themselves, so it can be negative, and then its root is nan.

    Which power of g belongs into v, so that v never loses its sign?
    """
    beta1, beta2 = betas
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g
    m_hat, v_hat = _corrected(m, v, t, betas)
    return p - lr * m_hat / (v_hat**0.5 + eps), m, v


@bug("adam")
def adam_m_undamped(p, g, m, v, *, t, lr, betas, eps):
    """The gradient enters m at full weight, so m is a sum and not a mean: about 1 / (1 - beta1) times too large.

    The weights of a mean add up to one; what do beta1 and 1 add up to?
    """
    beta1, beta2 = betas
    m, v = beta1 * m + g, beta2 * v + (1 - beta2) * g**2
    m_hat, v_hat = _corrected(m, v, t, betas)
    return p - lr * m_hat / (v_hat**0.5 + eps), m, v


@bug("adam")
def adam_v_is_sum(p, g, m, v, *, t, lr, betas, eps):
    """The square enters v at full weight, so v is a sum and not a mean, and the steps are too short.

    The weights of a mean add up to one; what do beta2 and 1 add up to?
    """
    beta1, beta2 = betas
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + g**2
    m_hat, v_hat = _corrected(m, v, t, betas)
    return p - lr * m_hat / (v_hat**0.5 + eps), m, v


@bug("adam")
def adam_betas_swapped(p, g, m, v, *, t, lr, betas, eps):
    """Each mean fades with the other's beta: the gradient is remembered for long and its square hardly at all.

    Which of the two should follow the newest gradients more closely, the direction or the scale?
    """
    m, v = _means(g, m, v, betas[::-1])
    m_hat, v_hat = _corrected(m, v, t, betas[::-1])
    return p - lr * m_hat / (v_hat**0.5 + eps), m, v


@bug("adam")
def adam_gradient_on_top(p, g, m, v, *, t, lr, betas, eps):
    """The step uses the newest gradient instead of its mean: this is RMSprop with a correction.

    You keep m up to date; where is it used?
    """
    m, v = _means(g, m, v, betas)
    _, v_hat = _corrected(m, v, t, betas)
    return p - lr * g / (v_hat**0.5 + eps), m, v


@bug("adam")
def adam_keeps_corrected_means(p, g, m, v, *, t, lr, betas, eps):
    """The corrected means are kept as the buffers, so the next step corrects what has been corrected already.

    Which of m and m_hat goes into the next step's running mean?
    """
    m, v = _corrected(*_means(g, m, v, betas), t, betas)
    return p - lr * m / (v**0.5 + eps), m, v


@variant("amsgrad")
def amsgrad_after_correction(p, g, m, v, v_max, *, t, lr, betas, eps):
    """This takes the largest of the corrected mean squares; torch takes the largest, then corrects it.

    Both are in use, and they agree after some thousand steps. Does your sheet ask for torch's?
    """
    m, v = _means(g, m, v, betas)
    m_hat, v_hat = _corrected(m, v, t, betas)
    v_max = maximum(v_max, v_hat)
    return p - lr * m_hat / (v_max**0.5 + eps), m, v, v_max


@bug("amsgrad")
def amsgrad_is_adam(p, g, m, v, v_max, *, t, lr, betas, eps):
    """The largest mean square is kept but the step divides by the present one: this is Adam.

    Which of v and v_max keeps the denominator from shrinking?
    """
    p, m, v = rules.adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)
    return p, m, v, maximum(v_max, v)


@bug("amsgrad")
def amsgrad_keeps_the_maximum_in_v(p, g, m, v, v_max, *, t, lr, betas, eps):
    """The running mean goes on from the maximum, so v itself can never shrink again.

    Which of v and v_max is the running mean?
    """
    m, v = _means(g, m, v, betas)
    v = v_max = maximum(v_max, v)
    m_hat, v_hat = _corrected(m, v_max, t, betas)
    return p - lr * m_hat / (v_hat**0.5 + eps), m, v, v_max
