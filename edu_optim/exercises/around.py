"""The class around a rule, in one readable text, and what goes wrong in such a class."""

import torch

from .after_adam import ONE_PRODUCT
from .exercise import convention, edit
from .outside import CALLED, DECORATOR, EVERY


class Reference(torch.optim.Optimizer):
    """What an optimizer class is compared with: its rule, at every parameter that has a gradient.

    >>> from edu_optim.rules import momentum
    >>> class Momentum(Reference):
    ...     rule, letters, names = staticmethod(momentum), ("b",), ("lr", "momentum", "dampening")
    >>> p = torch.tensor([1.0], requires_grad=True)
    >>> p.grad = torch.tensor([1.0])
    >>> Momentum([p], lr=0.5, momentum=0.9, dampening=0).step()
    >>> p
    tensor([0.5000], requires_grad=True)
    """

    def __init__(self, params, **options):
        super().__init__(params, options)

    @torch.no_grad()
    def step(self, closure=None):
        """Take a step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                g = p.grad
                state = self.state[p]
                if not state:
                    state["t"] = 0
                    state.update({letter: torch.zeros_like(p) for letter in self.letters})
                state["t"] += 1
                t = state["t"]
                options = {name: group[name] for name in self.names if name != "t"}
                if "t" in self.names:
                    options["t"] = t
                if "dampening" in options and t == 1:
                    options["dampening"] = 0
                if group.get("maximize"):
                    g = -g
                if "weight_decay" in group and "weight_decay" not in self.names:
                    g = g + group["weight_decay"] * p
                new, *buffers = self.rule(p, g, *(state[letter] for letter in self.letters), **options)
                state.update(zip(self.letters, buffers, strict=True))
                p.copy_(new)
        return loss


GROUP = "The groups may differ; from which of them should a parameter take its options?"
ALL = "In a model with two groups, how often does each line of step() run, and for which parameters?"
SAVED = "state_dict() saves what lies in self.state; what of yours lies there?"
STATE = "                state = self.state[p]\n"
TIMED = '                if "t" in self.names:\n'
BEGIN = "        loss = None\n"
NONE = "                if p.grad is None:\n"
RAISED = 'state["t"] += 1'
SHARED = 'group["count"] = group.get("count", 0) + 1'
BUFFERS, KEPT = "*(state[letter] for", "state.update(zip("
CALL = f"new, *buffers = self.rule(p, g, {BUFFERS}"
L2 = 'g = g + group["weight_decay"] * p'
AROUND = [
    edit(
        "the update is recorded for the backward pass",
        {DECORATOR: ""},
        why="step() fails while gradients are recorded and works while they are not: torch does not change a leaf "
        "that way.",
        ask="Which decorator of torch tells it that step() is no part of the model?",
    ),
    edit(
        "nothing is remembered from step to step",
        {"if not state:": "if True:"},
        why="Each step is taken as if it were the first of all.",
        ask="Where do the buffers wait between two steps, and how often are they made?",
    ),
    edit(
        "parameters of one shape share their buffers",
        {STATE: "                state = self.state[tuple(p.shape)]\n"},
        why="Each meets what another has left there.",
        ask="How many parameters have this shape, and which of them owns the buffer?",
    ),
    edit(
        "parameters of one shape share their buffers",
        {
            RAISED: f'{RAISED}\n                shared = self.state.setdefault(str(p.shape), {{"p": state}})["p"]',
            BUFFERS: "*(shared[letter] for",
            KEPT: "shared.update(zip(",
        },
        why="Each meets what another has left there, and has a count of its own.",
        ask="How many parameters have this shape, and which of them owns the buffer?",
    ),
    edit(
        "the step count grows with every parameter",
        {RAISED: 'self.count = getattr(self, "count", 0) + 1\n                state["t"] = self.count'},
        why="It should grow with every step.",
        ask="If a model has a hundred parameters, what is t after one call of step()?",
    ),
    convention(
        "one step count serves all parameters",
        {
            f"        {EVERY}\n": f"        {EVERY}\n            {SHARED}\n",
            RAISED: 'state["t"] = group["count"]',
        },
        why="So it is in Keras and many courses; torch counts for each parameter the steps at which it had a gradient.",
        ask="The two differ where a gradient is missing or comes late. To convert, keep the count in the state of "
        "each.",
    ),
    edit(
        "the learning rate is that of the first step for ever",
        {TIMED: f'                options["lr"] = group.setdefault("first", group["lr"])\n{TIMED}'},
        why="A schedule changes nothing.",
        ask="A scheduler writes the new rate into the group; where does your step read it?",
    ),
    edit(
        "a checkpoint forgets the step count",
        {
            SHARED: 'self.n = getattr(self, "n", 0) + (group is self.param_groups[0])',
            'state["t"] = group["count"]': 'state["t"] = self.n',
        },
        {
            RAISED: 'counts = self.__dict__.setdefault("n", {})\n'
            '                counts[p] = state["t"] = counts.get(p, 0) + 1'
        },
        why="Loaded into a new optimizer with new parameters, it begins again at 1.",
        ask=SAVED,
        kin="saved",
    ),
    edit(
        "a checkpoint forgets the buffers",
        {
            RAISED: f"{RAISED}\n                zeros = {{letter: torch.zeros_like(p) for letter in self.letters}}\n"
            '                own = self.__dict__.setdefault("own", {}).setdefault(p, zeros)',
            BUFFERS: "*(own[letter] for",
            KEPT: "own.update(zip(",
        },
        why="Loaded into a new optimizer with new parameters, they begin again at zero.",
        ask=SAVED,
        kin="saved",
    ),
    edit(
        "a checkpoint forgets all that the optimizer remembers",
        {STATE: '                state = self.__dict__.setdefault("own", {}).setdefault(p, {})\n'},
        why="Loaded into a new optimizer with new parameters, it starts anew.",
        ask=SAVED,
        kin="saved",
    ),
    edit(
        "the gradient is another after the step than before",
        {"p.copy_(new)": "p.copy_(new)\n                p.grad.mul_(0.5)"},
        why="Whoever looks at it later, or adds to it, meets your change.",
        ask="Which line changes p.grad, and must it?",
    ),
    edit(
        "the gradient is another after the step than before",
        {L2: 'g = g.add_(p, alpha=group["weight_decay"])'},
        why="Whoever looks at it later, or adds to it, meets the decay in it.",
        ask="Which line writes into p.grad, and could it make a new tensor instead?",
    ),
    edit(
        "only the first group is updated",
        {EVERY: f"{EVERY[:-1]}[:1]:"},
        why="The parameters of the others stand still, as where step() returns inside the loop over the groups.",
        ask=ALL,
    ),
    edit(
        "only the last group is updated",
        {EVERY: f"{EVERY[:-1]}[-1:]:"},
        why="The parameters of the others stand still, as where the loop over the parameters comes after that over "
        "the groups and not inside it.",
        ask=ALL,
    ),
    edit(
        "the step ends at the first parameter without a gradient",
        {"                    continue\n": "                    return loss\n"},
        why="The parameters after it stand still; a frozen or unused layer has None there.",
        ask="Which word goes on with the next parameter?",
    ),
    edit(
        "a parameter without a gradient stops the step with an error",
        {f"{NONE}                    continue\n": ""},
        why="A frozen layer, or one that is not used in this step, has None there.",
        ask="What should a step do with a parameter whose grad is None?",
    ),
    edit(
        "a parameter without a gradient is stepped as if its gradient were zero",
        {
            f"{NONE}                    continue\n": "",
            "g = p.grad\n": "g = torch.zeros_like(p) if p.grad is None else p.grad\n",
        },
        why="What it remembers moves it on, fades and is counted; a frozen layer should stay as it is.",
        ask="What should a step do with a parameter whose grad is None?",
    ),
    edit(
        "a gradient of zeros is taken for none",
        {"if p.grad is None:": "if p.grad is None or not p.grad.any():"},
        why="Where the gradient is zero, the buffers should still fade and the count grow.",
        ask="What does the rule do with g = 0, if m is not 0?",
    ),
    edit(
        "the buffers are made at the first step of all",
        {BEGIN: f'{BEGIN}        self.count = getattr(self, "count", 0) + 1\n', "if not state:": "if self.count == 1:"},
        why="A parameter whose first gradient comes late finds none.",
        ask="How does a parameter know that it has not been met before?",
    ),
    *CALLED,
    convention(
        "weight_decay is decoupled from the gradient",
        {L2: 'p.mul_(1 - group["lr"] * group["weight_decay"])'},
        why="This is AdamW's decay, or SGDW's; torch's option of this name adds weight_decay * p to the gradient.",
        ask="They are not the same where a buffer remembers the gradient. Which do you want to match?",
    ),
    edit(
        "weight_decay makes the weights grow",
        {'g + group["weight_decay"]': 'g - group["weight_decay"]'},
        why="The decay has the wrong sign.",
        ask="Which way does a weight of 1 move, if its gradient is only weight_decay * 1?",
    ),
    edit(
        "weight_decay is not used",
        {L2: "pass"},
        why="The constructor takes it and no step heeds it.",
        ask="Where does weight_decay * p join the gradient?",
    ),
    edit(
        "maximize is not used",
        {'if group.get("maximize"):': "if False:"},
        why="The constructor takes it and the steps still go downhill.",
        ask="What happens to the gradient if the sum is to grow?",
    ),
]


def around(letters, names):
    """The entries of a class around a rule with these buffers and keyword arguments.

    >>> "the first gradient is dampened too" in [entry.name for entry in around(("b",), ("lr", "dampening"))]
    True
    """
    decays, counts = "weight_decay" in names, not {"t", "dampening"}.isdisjoint(names)  # the rule itself

    def idle(places):
        return (decays and L2 in places) or (not counts and RAISED in places and BUFFERS not in places)

    found = [entry for entry in [*AROUND, *ONE_PRODUCT * ("c" in letters)] if not any(map(idle, entry.edits))]
    own = [name for name in names if name not in ("t", "dampening")]
    for taken in dict.fromkeys([*((name,) for name in own), tuple(name for name in own if name != "lr"), tuple(own)]):
        for source, words in {"self.defaults": "the constructor", "self.param_groups[0]": "the first group"}.items():
            found += [_taken_from(taken, source, words)] if taken else []
    if "t" not in names:
        found.append(
            edit(
                "lr is divided by the root of the step count",
                {TIMED: f'                options["lr"] = group["lr"] / t**0.5\n{TIMED}'},
                why="The rule takes lr as it comes; who wants it to fall writes a schedule.",
                ask="If a schedule already changes lr from step to step, by what is your step multiplied?",
            )
        )
    if len(letters) > 1:
        found.append(
            edit(
                "the buffers of a parameter are one tensor",
                {
                    "{letter: torch.zeros_like(p) for letter in self.letters}": (
                        "dict.fromkeys(self.letters, torch.zeros_like(p))"
                    ),
                    f"{KEPT}self.letters, buffers, strict=True))": (
                        "[state[letter].copy_(new) for letter, new in zip(self.letters, buffers, strict=True)]"
                    ),
                },
                why="They have several names, and what is written under one stands under all.",
                ask="How many tensors of zeros does your first step make for a parameter?",
            )
        )
    if letters == ("b",):
        found.append(
            edit(
                "the buffer is the gradient's own tensor",
                {
                    f"                {CALL} letter in self.letters), **options)\n": (
                        '                if t == 1:\n                    state["b"] = p.grad\n                else:\n'
                        '                    state["b"].mul_(options["momentum"])\n'
                        '                    state["b"].add_(p.grad, alpha=1 - options.get("dampening", 0))\n'
                        '                ahead = p.grad + options["momentum"] * state["b"]\n'
                        '                new = p - options["lr"] * (state["b"] if "dampening" in options else ahead)\n'
                    ),
                    f"                {KEPT}self.letters, buffers, strict=True))\n": "",
                },
                why="Where the next gradient is written into the same tensor, as zero_grad(set_to_none=False) leaves "
                "it, the "
                "buffer is overwritten.",
                ask="Which of your lines makes a tensor of its own for the buffer?",
            )
        )
    if "dampening" in names:
        found.append(
            convention(
                "the first gradient is dampened too",
                {'if "dampening" in options and t == 1:': "if False:"},
                why="torch lets the first one in whole.",
                ask="To convert, start the velocity with the first gradient as it is. Which do you want to match?",
            )
        )
    if decays:
        for words, kept in {"only matrices decay": "p.ndim > 1", "only vectors decay": "p.ndim < 2"}.items():
            found.append(
                edit(
                    words,
                    {TIMED: f'                options["weight_decay"] *= {kept}\n{TIMED}'},
                    why="Which parameters decay is for the groups to say.",
                    ask=GROUP,
                )
            )
        found.append(
            edit(
                "a parameter without a gradient decays",
                {NONE: f"{NONE}                    p.mul_(1 - group['lr'] * group['weight_decay'])\n"},
                why="A frozen layer, or one that is not used in this step, should stay as it is.",
                ask="What should a step do with a parameter whose grad is None?",
            )
        )
        found.append(
            convention(
                "the decay follows the schedule but not lr itself",
                {TIMED: f'                options["weight_decay"] /= group.setdefault("first", group["lr"])\n{TIMED}'},
                why="So Loshchilov & Hutter 2019 print it; in torch's form lr multiplies the decay.",
                ask="To convert to torch's form, divide weight_decay by the learning rate at the start.",
            )
        )
    return found


def _taken_from(names, source, words):
    which = names[0] if len(names) == 1 else "every option but lr" if "lr" not in names else "every option"
    return edit(
        f"{which} {'are those' if which == 'betas' else 'is that'} of {words}, not of the group",
        {TIMED: f"                options |= {{name: {source}[name] for name in {list(names)}}}\n{TIMED}"},
        why=f"Every parameter gets the same {' and '.join(names)}.",
        ask=GROUP,
        kin=words,
    )
