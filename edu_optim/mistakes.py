"""The bank: wrong and variant forms of the rules, as they are seen in homework, teaching material and public code.

Each entry is a pure rule of a few lines with the same arguments as the right one. Its docstring is what a learner is
told: a paragraph that says why it is wrong, then one question that leads to the way out. A **bug** is wrong. A
**variant** is somebody else's convention: its docstring says whose, and how to convert. Adding a mistake is adding a
function.

The sources are named where one is known; the others were collected from public code without one.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass

from . import rules
from .rules import maximum


@dataclass(frozen=True)
class Mistake:
    """An entry of the bank.

    Args:
        name: of the mistake, in a few words.
        kind: ``"bug"``, ``"variant"`` or ``"loop"``, a mistake around an optimizer and not in it.
        of: the name of the right rule or task.
        rule: the wrong one.
        why: what is wrong with it, or whose convention it is.
        question: leads to the way out, or says how to convert.

    >>> bank("adam")[0].name
    'no correction'
    """

    name: str
    kind: str
    of: str
    rule: Callable
    why: str
    question: str


BANK = []


ANY = []


def bank(rule):
    """The mistakes that are known of the rule or task of this name: its own, then those that can befall any rule.

    >>> [mistake.name for mistake in bank("gradient_descent")]
    ['ignores lr', 'scales the weight', 'climbs', 'stands still', 'resets state']
    """
    right = getattr(rules, rule, None)
    general = [_mistake("bug", rule, function, functools.partial(function, right)) for function in ANY if right]
    return [mistake for mistake in BANK if mistake.of == rule] + general


def _mistake(kind, of, function, rule):
    why, question = (" ".join(part.split()) for part in inspect.getdoc(function).split("\n\n"))
    name = function.__name__.removeprefix(f"{of}_").replace("_", " ")
    return Mistake(name, kind, of, rule, why, question)


def _entry(kind, of):
    def enter(rule):
        BANK.append(_mistake(kind, of, rule, rule))
        return rule

    return enter


def bug(of):
    """Enter a function into the bank, as a wrong form of the rule of this name.

    >>> {mistake.kind for mistake in bank("gradient_descent")}
    {'bug'}
    """
    return _entry("bug", of)


def variant(of):
    """Enter a function into the bank, as somebody else's form of the rule of this name.

    >>> [mistake.name for mistake in bank("momentum") if mistake.kind == "variant"]
    ['ema', 'lr inside']
    """
    return _entry("variant", of)


def loop(of):
    """Enter a function into the bank, as a wrong form of the training loop of this name.

    >>> [mistake.name for mistake in bank("training_loop")][0]
    'no zero grad'
    """
    return _entry("loop", of)


# In any rule: functions of the right one and its arguments.


@ANY.append
def climbs(right, p, g, *buffers, **hyper):
    """The step is added, so the loss is climbed.

    The gradient points uphill; which way do you want to go?
    """
    q, *buffers = right(p, g, *buffers, **hyper)
    return p + (p - q), *buffers


@ANY.append
def stands_still(right, p, g, *buffers, **hyper):
    """The parameter comes back as it was.

    Which line changes the parameter, and what becomes of its result?
    """
    return p, *right(p, g, *buffers, **hyper)[1:]


@ANY.append
def resets_state(right, p, g, *buffers, **hyper):
    """What the optimizer should remember is zero again at every step.

    Where do the buffers wait between two steps, and who puts them there?
    """
    return right(p, g, *(0 * buffer for buffer in buffers), **hyper)


# Adam. Right: the first step is lr times the sign of the gradient.


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


# AMSGrad.


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


# AdamW.


@bug("adamw")
def adamw_l2_instead(p, g, m, v, *, t, lr, betas, eps, weight_decay):
    """The decay is added to the gradient, so Adam divides it by the gradient's own size: this is L2 through Adam.

    How far does a weight shrink here if its gradient is zero, and how far if its gradient is large?
    """
    return rules.adam(p, g + weight_decay * p, m, v, t=t, lr=lr, betas=betas, eps=eps)


@bug("adamw")
def adamw_decay_without_lr(p, g, m, v, *, t, lr, betas, eps, weight_decay):
    """The weight shrinks by weight_decay at every step; in torch's form lr multiplies it.

    If a schedule takes lr to zero, should the weights go on shrinking?
    """
    return rules.adam(p - weight_decay * p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)


@bug("adamw")
def adamw_no_decay(p, g, m, v, *, t, lr, betas, eps, weight_decay):
    """Nothing decays: this is Adam.

    What happens to a weight whose gradient is always zero?
    """
    return rules.adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)


@bug("adamw")
def adamw_grows(p, g, m, v, *, t, lr, betas, eps, weight_decay):
    """The decay has the wrong sign: every step makes the weights larger.

    With lr * weight_decay = 0.1, by which factor should a weight be multiplied before Adam's step?
    """
    return rules.adam(p + lr * weight_decay * p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)


@bug("adamw")
def adamw_decays_after_the_step(p, g, m, v, *, t, lr, betas, eps, weight_decay):
    """The decay comes after Adam's step and shrinks that step too; torch decays first.

    Which value of the weight should the decay see, the one before the step or the one after?
    """
    p, m, v = rules.adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)
    return p - lr * weight_decay * p, m, v


# Gradient descent and momentum.


@bug("gradient_descent")
def gradient_descent_ignores_lr(p, g, *, lr):
    """The whole gradient is subtracted, whatever lr is.

    Which of your arguments is not used?
    """
    return (p - g,)


@bug("gradient_descent")
def gradient_descent_scales_the_weight(p, g, *, lr):
    """The weight itself is multiplied by lr.

    What multiplies p in the formula, and what multiplies g?
    """
    return (lr * p - g,)


@variant("momentum")
def momentum_ema(p, g, b, *, lr, momentum, dampening):
    """Here the velocity is a running mean, as in Adam; torch's is a fading sum, 1 / (1 - momentum) times as large.

    To walk torch's path, multiply lr by 1 / (1 - momentum). Does your sheet ask for torch's form?
    """
    b = momentum * b + (1 - momentum) * g
    return p - lr * b, b


@variant("momentum")
def momentum_lr_inside(p, g, b, *, lr, momentum, dampening):
    """Here lr is inside the velocity, as in Sutskever et al. 2013 and Keras; torch multiplies the whole velocity.

    Both walk one path until lr changes; then this one coasts on at its old speed. Does your sheet ask for torch's form?
    """
    b = momentum * b + lr * (1 - dampening) * g
    return p - b, b


@bug("momentum")
def momentum_old_buffer(p, g, b, *, lr, momentum, dampening):
    """The step uses the velocity from before this gradient, so it is one gradient late: the first step is zero.

    Which of your two lines should come first?
    """
    return p - lr * b, momentum * b + (1 - dampening) * g


@bug("momentum")
def momentum_wrong_sign(p, g, b, *, lr, momentum, dampening):
    """The velocity collects the negative gradient and is then subtracted, so the two signs cancel and it climbs.

    How many minus signs stand between g and p?
    """
    b = momentum * b - (1 - dampening) * g
    return p - lr * b, b


@bug("momentum")
def momentum_forgets(p, g, b, *, lr, momentum, dampening):
    """Nothing of the old velocity is kept, so this is gradient descent.

    What is the velocity after two equal gradients, if it remembers the first?
    """
    return p - lr * (1 - dampening) * g, (1 - dampening) * g


@bug("momentum")
def momentum_never_fades(p, g, b, *, lr, momentum, dampening):
    """All gradients are kept at full weight, so the velocity only grows.

    Which factor makes an old gradient count less?
    """
    b = b + (1 - dampening) * g
    return p - lr * b, b


@bug("nesterov")
def nesterov_old_buffer(p, g, b, *, lr, momentum):
    """The look-ahead uses the velocity from before this gradient, and what is left is plain momentum.

    When you look ahead, does the velocity already know the newest gradient?
    """
    return p - lr * (g + momentum * b), momentum * b + g


@bug("nesterov")
def nesterov_double(p, g, b, *, lr, momentum):
    """The whole velocity is added to its own look-ahead, so old gradients count twice.

    In the step, which term stands beside momentum * b: the velocity or the newest gradient?
    """
    b = momentum * b + g
    return p - lr * (b + momentum * b), b


@variant("nesterov")
def nesterov_lr_inside(p, g, b, *, lr, momentum):
    """Here lr is inside the velocity, as in Keras; torch multiplies the whole step.

    Both walk one path until lr changes. Does your sheet ask for torch's form?
    """
    b = momentum * b + lr * g
    return p - (lr * g + momentum * b), b


# Adagrad.


@bug("adagrad")
def adagrad_forgets(p, g, s, *, lr, eps):
    """The sum is replaced by the newest square, so every step is lr long.

    After two gradients of 2, what should s be?
    """
    s = g**2
    return p - lr * g / (s**0.5 + eps), s


@bug("adagrad")
def adagrad_no_root(p, g, s, *, lr, eps):
    """The step divides by the sum of squares and not by its root.

    If all gradients were ten times as large, should the steps change?
    """
    s = s + g**2
    return p - lr * g / (s + eps), s


@bug("adagrad")
def adagrad_abs_not_square(p, g, s, *, lr, eps):
    """The sum is of the sizes of the gradients, not of their squares.

    The root in the denominator undoes a power; where is that power taken?
    """
    s = s + maximum(g, -g)
    return p - lr * g / (s**0.5 + eps), s


@bug("adagrad")
def adagrad_uses_before_adding(p, g, s, *, lr, eps):
    """The step divides by the sum from before this gradient, which is zero at the first step: a step of lr g / eps.

    Which of your two lines should come first?
    """
    return p - lr * g / (s**0.5 + eps), s + g**2


@bug("adagrad")
def adagrad_no_eps(p, g, s, *, lr, eps):
    """There is no eps, so a weight whose gradient has always been zero becomes nan: zero by zero.

    What is the denominator of a weight that no example has touched yet?
    """
    s = s + g**2
    return p - lr * g / s**0.5, s


@variant("adagrad")
def adagrad_eps_inside(p, g, s, *, lr, eps):
    """Here eps is added to the sum before the root; torch adds it after.

    The root of eps does here what eps does there, where gradients are small. Does your sheet ask for torch's?
    """
    s = s + g**2
    return p - lr * g / (s + eps) ** 0.5, s


# RMSprop.


@bug("rmsprop")
def rmsprop_alpha_swapped(p, g, s, *, lr, alpha, eps):
    """alpha and 1 - alpha have changed places, so the mean hardly remembers anything.

    With alpha = 0.99, how much of the old mean should be kept?
    """
    s = (1 - alpha) * s + alpha * g**2
    return p - lr * g / (s**0.5 + eps), s


@bug("rmsprop")
def rmsprop_no_one_minus(p, g, s, *, lr, alpha, eps):
    """The square enters at full weight, so s is a fading sum and not a mean, and the steps are too short.

    The weights of a mean add up to one; what do alpha and 1 add up to?
    """
    s = alpha * s + g**2
    return p - lr * g / (s**0.5 + eps), s


@variant("rmsprop")
def rmsprop_eps_inside(p, g, s, *, lr, alpha, eps):
    """Here eps is added to the mean square before the root, as TensorFlow did; torch adds it after.

    The root of eps does here what eps does there, where gradients are small. Does your sheet ask for torch's?
    """
    s = alpha * s + (1 - alpha) * g**2
    return p - lr * g / (s + eps) ** 0.5, s


@bug("rmsprop")
def rmsprop_gradient_squared_on_top(p, g, s, *, lr, alpha, eps):
    """The square of the gradient stands on top, so the step has lost its sign and never turns back.

    Which way does a weight move here if its gradient is negative?
    """
    s = alpha * s + (1 - alpha) * g**2
    return p - lr * g**2 / (s**0.5 + eps), s


@bug("rmsprop")
def rmsprop_no_root(p, g, s, *, lr, alpha, eps):
    """The step divides by the mean square and not by its root.

    If all gradients were ten times as large, should the steps change?
    """
    s = alpha * s + (1 - alpha) * g**2
    return p - lr * g / (s + eps), s


@bug("rmsprop")
def rmsprop_old_buffer(p, g, s, *, lr, alpha, eps):
    """The step divides by the mean from before this gradient, which is zero at the first step.

    Which of your two lines should come first?
    """
    return p - lr * g / (s**0.5 + eps), alpha * s + (1 - alpha) * g**2


@bug("rmsprop_centered")
def rmsprop_centered_centered_sign(p, g, s, a, *, lr, alpha, eps):
    """The square of the mean is added to the mean square; a variance is the mean square minus the squared mean.

    If all gradients are alike, how much do they vary?
    """
    s, a = alpha * s + (1 - alpha) * g**2, alpha * a + (1 - alpha) * g
    return p - lr * g / ((s + a**2) ** 0.5 + eps), s, a


@bug("rmsprop_centered")
def rmsprop_centered_not_centered(p, g, s, a, *, lr, alpha, eps):
    """The mean is kept but not taken off, so this is plain RMSprop.

    Where is the mean of the gradients used?
    """
    s, a = alpha * s + (1 - alpha) * g**2, alpha * a + (1 - alpha) * g
    return p - lr * g / (s**0.5 + eps), s, a


# Adadelta.


@bug("adadelta")
def adadelta_wrong_order(p, g, s, u, *, lr, rho, eps):
    """The mean square of the steps is updated before the step that it scales, with a step that used the old one.

    When a step is worked out, which steps has the optimizer already taken?
    """
    s = rho * s + (1 - rho) * g**2
    d = (u + eps) ** 0.5 / (s + eps) ** 0.5 * g
    u = rho * u + (1 - rho) * d**2
    return p - lr * (u + eps) ** 0.5 / (s + eps) ** 0.5 * g, s, u


@bug("adadelta")
def adadelta_no_eps_on_top(p, g, s, u, *, lr, rho, eps):
    """Without eps on top the first step is zero, so there is no step to learn from, and it stands still for ever.

    What is the mean square of no steps at all?
    """
    s = rho * s + (1 - rho) * g**2
    d = u**0.5 / (s + eps) ** 0.5 * g
    return p - lr * d, s, rho * u + (1 - rho) * d**2


@variant("adadelta")
def adadelta_lr_in_accumulator(p, g, s, u, *, lr, rho, eps):
    """Here the step is remembered after lr has scaled it; torch remembers it before.

    At lr = 1, the paper's, both are the same. Does your sheet ask for torch's?
    """
    s = rho * s + (1 - rho) * g**2
    d = lr * (u + eps) ** 0.5 / (s + eps) ** 0.5 * g
    return p - d, s, rho * u + (1 - rho) * d**2


@bug("adadelta")
def adadelta_upside_down(p, g, s, u, *, lr, rho, eps):
    """The two roots have changed places: the step grows with the gradient and shrinks with the past steps.

    Which of the two has the units of the weight, and should it stand on top or below?
    """
    s = rho * s + (1 - rho) * g**2
    d = (s + eps) ** 0.5 / (u + eps) ** 0.5 * g
    return p - lr * d, s, rho * u + (1 - rho) * d**2


# In the loop around an optimizer.


@loop("training_loop")
def training_loop_no_zero_grad(model, optimizer, x, y, epochs):
    """The gradients add up: each step follows the sum of all gradients so far.

    `backward` adds to what is in p.grad; which line empties it?
    """
    for _ in range(epochs):
        ((model(x) - y) ** 2).mean().backward()
        optimizer.step()


@loop("training_loop")
def training_loop_erases_the_gradient(model, optimizer, x, y, epochs):
    """The gradient is forgotten between backward and step, so the optimizer finds nothing to follow.

    When is a gradient old, before it has been used or after?
    """
    for _ in range(epochs):
        ((model(x) - y) ** 2).mean().backward()
        optimizer.zero_grad()
        optimizer.step()


@loop("training_loop")
def training_loop_steps_first(model, optimizer, x, y, epochs):
    """The optimizer moves before backward has told it where: every step follows the gradient of the round before.

    Which line must have run before step() can know the slope?
    """
    for _ in range(epochs):
        loss = ((model(x) - y) ** 2).mean()
        optimizer.step()
        optimizer.zero_grad()
        loss.backward()


@loop("training_loop")
def training_loop_never_steps(model, optimizer, x, y, epochs):
    """The slope is asked for and nobody moves.

    Which line of a round turns the knobs?
    """
    for _ in range(epochs):
        optimizer.zero_grad()
        ((model(x) - y) ** 2).mean().backward()


@loop("training_loop")
def training_loop_sum_for_mean(model, optimizer, x, y, epochs):
    """The loss is the sum of the squares, so that the gradient grows with the number of examples.

    With a thousand examples, how long would a step be?
    """
    for _ in range(epochs):
        optimizer.zero_grad()
        ((model(x) - y) ** 2).sum().backward()
        optimizer.step()


@loop("scheduled_loop")
def scheduled_loop_scheduler_first(model, optimizer, scheduler, batches, epochs):
    """The scheduler moves before the optimizer, so the first learning rate is skipped.

    Which step should the first learning rate belong to?
    """
    for _ in range(epochs):
        for x, y in batches:
            optimizer.zero_grad()
            ((model(x) - y) ** 2).mean().backward()
            scheduler.step()
            optimizer.step()


@loop("scheduled_loop")
def scheduled_loop_per_epoch_for_per_batch(model, optimizer, scheduler, batches, epochs):
    """The scheduler is asked once in an epoch, and it was made to be asked at every batch.

    If its curve has 1000 points, how many times must it be called to reach the end?
    """
    for _ in range(epochs):
        for x, y in batches:
            optimizer.zero_grad()
            ((model(x) - y) ** 2).mean().backward()
            optimizer.step()
        scheduler.step()


@loop("scheduled_loop")
def scheduled_loop_never_scheduled(model, optimizer, scheduler, batches, epochs):
    """The scheduler is never asked, so the learning rate stays where it began.

    Which call moves the schedule on?
    """
    for _ in range(epochs):
        for x, y in batches:
            optimizer.zero_grad()
            ((model(x) - y) ** 2).mean().backward()
            optimizer.step()


@bug("resume")
def resume_from_zero(saved, model, optimizer, scheduler):
    """The schedule begins again at zero: after one more step the learning rate is that of the second step.

    Which of the three entries of the checkpoint knows how many steps there have been?
    """
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])


@bug("resume")
def resume_without_the_optimizer(saved, model, optimizer, scheduler):
    """The optimizer begins again with an empty memory.

    Which of the three entries of the checkpoint holds its buffers?
    """
    model.load_state_dict(saved["model"])
    scheduler.load_state_dict(saved["scheduler"])


@bug("resume")
def resume_weights_only(saved, model, optimizer, scheduler):
    """Only the weights come back; the optimizer and the schedule begin anew.

    What else had a memory when the checkpoint was written?
    """
    model.load_state_dict(saved["model"])


@bug("warmup")
def warmup_counts_zero_twice(t, length, peak):
    """The first two steps have the same learning rate, so the warm-up is one step late.

    How many steps have been begun at t = 1?
    """
    return peak * min(1, max(t, 1) / length)


@bug("warmup")
def warmup_begins_at_zero(t, length, peak):
    """At t = 0 the learning rate is zero, so the first step is wasted.

    Which fraction of the peak should the first of four steps have?
    """
    return peak * min(1, t / length)


# In a class around a right rule. Each sees one parameter ``at`` one step: its number ``index`` and ``group``, its own
# count ``t``, the ``lr``, the other ``options`` of its group and those ``given`` for all, the ``drawer`` its buffers
# lie in; and the ``step``, all ``rates`` of the step and of the
# first one, how many ``updates`` there were of any parameter, whether a checkpoint was ``loaded``, and the ``count``
# at that time. Each changes what its mistake would change.

FAULTS = []


def _around(kind):
    def enter(fault):
        FAULTS.append(_mistake(kind, "class", fault, fault))
        return fault

    return enter


@_around("bug")
def shares_state(at):
    """All parameters use the same buffers, so that each meets what another has left there.

    How many parameters have this shape, and which of them owns the buffer?
    """
    at.drawer = "everybody"


@_around("bug")
def t_per_parameter(at):
    """The step count grows with every parameter, not with every step.

    If a model has a hundred parameters, what is t after one call of step()?
    """
    at.t = at.updates


@_around("variant")
def t_shared(at):
    """One step count serves all parameters; torch counts for each of them the steps at which it had a gradient.

    To convert, keep the count in the state of each parameter, and advance it where its gradient is not None.
    """
    at.t = at.step


@_around("bug")
def ignores_group(at):
    """Every parameter moves with the learning rate of the first group.

    The groups may differ; from which of them should a parameter take its options?
    """
    at.lr = at.rates[0]


@_around("bug")
def keeps_the_first_lr(at):
    """The learning rate is the one of the first step for ever, so that a schedule changes nothing.

    A scheduler writes the new rate into the group; where does your step read it?
    """
    at.lr = at.first_rates[at.group]


@_around("bug")
def state_not_saved(at):
    """A checkpoint forgets the buffers and the count: after loading it, the optimizer starts anew.

    state_dict() saves what lies in self.state; where do your buffers lie?
    """
    if at.loaded:
        at.drawer, at.t = (at.index, "after loading"), at.t - at.count


@_around("bug")
def t_not_saved(at):
    """A checkpoint brings the buffers back, but the step count begins again at 1.

    state_dict() saves what lies in self.state; does your count lie there?
    """
    if at.loaded:
        at.t -= at.count


@_around("bug")
def buffers_not_saved(at):
    """A checkpoint brings the step count back, but the buffers begin again at zero.

    state_dict() saves what lies in self.state; do your buffers lie there?
    """
    if at.loaded:
        at.drawer = (at.index, "after loading")


@_around("bug")
def t_never_advances(at):
    """The correction is that of the first step at every step, and never fades.

    Which line raises the count, and where is it kept until the next step?
    """
    at.t = 1


@_around("bug")
def decays_every_group(at):
    """Every group decays with the same weight_decay, also the one that asked for none.

    The groups may differ; from which of them should a parameter take its options?
    """
    at.options["weight_decay"] = at.given.get("weight_decay")


@_around("variant")
def decay_by_schedule_only(at):
    """Here the decay follows the schedule but not the learning rate itself, as in Loshchilov & Hutter 2019.

    To convert to torch's form, divide weight_decay by the learning rate at the start.
    """
    at.options["weight_decay"] = at.options.get("weight_decay", 0) / at.first_rates[at.group]


@_around("variant")
def dampens_first_step(at):
    """Here the first gradient is dampened like all others; torch lets the first one in whole.

    To convert, start the velocity with the first gradient as it is.
    """
    at.options["dampening"] = at.given.get("dampening")


# In an answer, seen at once and not by where it goes.

SEEN = {}


def _seen(fault):
    SEEN[fault.__name__] = _mistake("bug", "class", fault, fault)
    return fault


@_seen
def returns_nothing():
    """The function comes to its end without handing back a result.

    What does it give to whoever calls it, and which word would do that?
    """


@_seen
def rebinds_parameter():
    """The model's parameter never changes: a new tensor was given an old name.

    What does `p = p - ...` change, the tensor that the model holds or what the name p stands for?
    """


@_seen
def updates_with_graph():
    """The update itself was recorded for the backward pass, and torch refuses to change a leaf that way.

    Which decorator of torch tells it that step() is no part of the model?
    """


@_seen
def changes_gradient():
    """After step() the gradient is another than before; who looks at it later, or adds to it, meets your change.

    Which line writes into p.grad, and could it make a new tensor instead?
    """


@_seen
def crashes_on_missing_gradient():
    """A parameter without a gradient stops the step; a frozen layer or an unused one has None there.

    What should a step do with a parameter whose grad is None?
    """
