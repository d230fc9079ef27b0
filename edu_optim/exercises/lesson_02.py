"""Lesson 02, stochastic gradients: its tasks, their hints, and the answers that go wrong."""

from .registry import bug, task


@task((1,), (2,), (7,))
def running_mean_rate(t):
    """Write the mean of t numbers with the mean of the first t - 1 of them and the newest one.

    The gradient is the place minus the newest number. At the first step, which rate jumps right onto it?
    """
    return 1 / t


@bug("running_mean_rate")
def running_mean_rate_one_late(t):
    """The count is one late: the first step goes only half way, so the place where you started stays in the mean.

    The first step has t = 1; where should it land?
    """
    return 1 / (t + 1)


@bug("running_mean_rate")
def running_mean_rate_root(t):
    """1 / sqrt(t) is the decay of other proofs; with it the newest numbers count for more than the old ones.

    In the mean of four numbers, what is the weight of the fourth?
    """
    return t**-0.5


@bug("running_mean_rate")
def running_mean_rate_constant(t):
    """With a constant rate old numbers fade, so the place never settles on the mean.

    In the mean of four numbers, what is the weight of the fourth?
    """
    return 1.0


@task((0.1, 1.0, 1.0, 1), (0.5, 2.0, 4.0, 1), (0.02, 25.0, 9.0, 16))
def noise_ball(lr, curvature, variance, batch):
    """Two things happen in a step: the factor shrinks the variance of the place, and the noise adds to it.

    The lesson has the result for one example; what happens to the variance of a mean of several?

    Once it has settled V = (1 - lr * curvature)**2 * V + lr**2 * variance / batch. Solve it for V.
    """
    return lr * variance / batch / (curvature * (2 - lr * curvature))


@bug("noise_ball")
def noise_ball_small_lr(lr, curvature, variance, batch):
    """This holds for very small rates only: it has 2 where 2 - lr * curvature belongs.

    At the largest stable rate, lr * curvature = 2, how large should the ball be?
    """
    return lr * variance / batch / (2 * curvature)


@bug("noise_ball")
def noise_ball_one_example(lr, curvature, variance, batch):
    """This is the ball of batches of one example: batch is not used.

    By what does the variance of a mean of 16 numbers differ from that of one?
    """
    return lr * variance / (curvature * (2 - lr * curvature))


@bug("noise_ball")
def noise_ball_root_of_batch(lr, curvature, variance, batch):
    """The error of a mean shrinks as 1 / sqrt(batch), and the variance is the square of the error.

    By what does the variance of a mean of 16 numbers differ from that of one?
    """
    return lr * variance / batch**0.5 / (curvature * (2 - lr * curvature))


@bug("noise_ball")
def noise_ball_radius(lr, curvature, variance, batch):
    """This is the radius of the ball, the root of its variance.

    In which units is a variance, those of the place or their square?
    """
    return (lr * variance / batch / (curvature * (2 - lr * curvature))) ** 0.5


@task((0.1, 32, 256), (0.4, 64, 16))
def scaled_rate(lr, batch, new_batch):
    """With batches twice as large there are half as many steps in an epoch. How long should each be?

    As far in an epoch as before: the rate grows in proportion to the batch.
    """
    return lr * new_batch / batch


@bug("scaled_rate")
def scaled_rate_root(lr, batch, new_batch):
    """The root keeps the variance of one step as it was; the sheet asks for as far in an epoch.

    With batches four times as large, how many steps has an epoch, and how far must each go?
    """
    return lr * (new_batch / batch) ** 0.5


@bug("scaled_rate")
def scaled_rate_upside_down(lr, batch, new_batch):
    """The rate shrinks as the batch grows, although there are fewer steps then and each is less noisy.

    With batches twice as large, how many steps has an epoch, and how far must each go?
    """
    return lr * batch / new_batch
