"""Mistakes that can befall any rule, and those in a class around a right rule."""

from .registry import ANY, _mistake

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
