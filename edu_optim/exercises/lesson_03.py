"""Lesson 03, momentum: its tasks, their hints, and the answers that go wrong."""

from .registry import bug, task, variant


@task((0.1, 0.5), (1.0, 0.9), (0.3, 0.0))
def to_torch(lr, beta):
    """On a steady slope of 1, how fast is the running mean in the end, and how fast is torch's sum?

    The mean ends at 1 and the sum at 1 / (1 - beta). The two steps must be the same.
    """
    return lr * (1 - beta)


@bug("to_torch")
def to_torch_the_other_way(lr, beta):
    """This converts a rate of torch's into one for the running mean.

    torch's velocity is the larger one; does it need the larger or the smaller rate?
    """
    return lr / (1 - beta)


@bug("to_torch")
def to_torch_as_it_is(lr, beta):
    """The same number in both forms takes torch's 1 / (1 - beta) times as far.

    How large is each velocity after many gradients of 1?
    """
    return lr


@task((0.1, 1.0), (0.01, 25.0), (1.0, 0.25))
def critical_momentum(lr, curvature):
    """Too little momentum creeps and too much swings. At the edge the two roots of the recurrence are one.

    The roots are those of z**2 - (1 + beta - lr * curvature) * z + beta. When is its discriminant zero?

    (1 + beta - lr * curvature)**2 = 4 * beta. Take the root of both sides and solve for sqrt(beta).
    """
    return (1 - (lr * curvature) ** 0.5) ** 2


@bug("critical_momentum")
def critical_momentum_root(lr, curvature):
    """This is the root of the momentum, the rate at which the ball comes in; the momentum is its square.

    What do the two roots multiply to, and what is each of them if they are equal?
    """
    return 1 - (lr * curvature) ** 0.5


@bug("critical_momentum")
def critical_momentum_descent(lr, curvature):
    """This is the factor of plain gradient descent.

    With this momentum, what is (1 + beta - lr * curvature)**2 - 4 * beta, and what should it be?
    """
    return 1 - lr * curvature


@bug("critical_momentum")
def critical_momentum_nesterov(lr, curvature):
    """This is the momentum that suits Nesterov's method, a subject of lesson 04.

    With this momentum, what is (1 + beta - lr * curvature)**2 - 4 * beta, and what should it be?
    """
    root = (lr * curvature) ** 0.5
    return (1 - root) / (1 + root)


def _travel(lr, momentum, steps, inside, drop=10):
    velocity = place = 0.0
    for t in range(steps):
        rate = lr if t < steps // 2 else lr / drop
        velocity = momentum * velocity + (rate if inside else 1)
        place += velocity if inside else rate * velocity
    return place


def _watch_travel(answer):
    seen = []
    for given in [(0.1, 0.9, 20), (0.5, 0.5, 6)]:
        torch_form, inside = answer(*given)
        call = f"travel_after_drop{given}"
        seen += [(f"the first number of {call}", torch_form), (f"the second number of {call}", inside)]
    return seen


@task(observe=_watch_travel)
def travel_after_drop(lr, momentum, steps):
    """Nothing here needs a formula: a loop of `steps` rounds with a velocity and a place for each form.

    In one form the velocity is a sum of gradients and lr multiplies all of it; in the other it is a sum of lr times
    gradient, and what has been added stays.
    """
    return _travel(lr, momentum, steps, inside=False), _travel(lr, momentum, steps, inside=True)


@bug("travel_after_drop")
def travel_after_drop_swapped(lr, momentum, steps):
    """Both numbers are right, in the other order.

    Which form brakes at once when lr drops, torch's or the one with lr inside?
    """
    return travel_after_drop(lr, momentum, steps)[::-1]


@bug("travel_after_drop")
def travel_after_drop_both_torch(lr, momentum, steps):
    """Both numbers are those of torch's form: in the second the velocity must keep the old, larger rates.

    With lr inside, what is in the velocity at the moment of the drop?
    """
    return (travel_after_drop(lr, momentum, steps)[0],) * 2


@bug("travel_after_drop")
def travel_after_drop_never_drops(lr, momentum, steps):
    """The learning rate is the same all the way.

    Which rate holds in the second half of the steps?
    """
    return (_travel(lr, momentum, steps, inside=False, drop=1),) * 2


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
