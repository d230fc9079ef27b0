"""Lesson 09, AdamW and parameter groups: its exercises, their hints, and the answers that go wrong."""

import math

import torch

from .exercise import Exercise, at, convention, edit

RULES = {
    "adamw": [
        "Which of the two may the decay not pass through, the gradient or the weight?",
        "First the weight shrinks by lr * weight_decay of itself, then Adam's step is taken with the gradient alone.",
    ],
    "adamw_amsgrad": [
        "It is AdamW's decay, and then AMSGrad's step.",
        "First the weight shrinks by lr * weight_decay of itself, then the step is taken with the gradient alone.",
    ],
}

DECAY = "    p = p - lr * weight_decay * p  # (1) decay\n"
L2 = "    g = g + weight_decay * p\n"
ADAM = "return adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)  # (2) Adam"
AMSGRAD = "return amsgrad(p, g, m, v, v_max, t=t, lr=lr, betas=betas, eps=eps)  # (2) AMSGrad"
CATALOG = [
    edit(
        "the decay goes through the gradient",
        {DECAY: L2},
        why="It is added to the gradient, so Adam divides it by the gradient's own size: this is L2 through Adam.",
        ask="How far does a weight shrink here if its gradient is zero, and how far if its gradient is large?",
    ),
    edit(
        "the decay is not multiplied by lr",
        {"lr * weight_decay * p": "weight_decay * p"},
        why="The weight shrinks by weight_decay at every step; in torch's form lr multiplies it.",
        ask="If a schedule takes lr to zero, should the weights go on shrinking?",
    ),
    edit(
        "the decay is multiplied by lr twice",
        {"lr * weight_decay * p": "lr * lr * weight_decay * p"},
        why="lr stands in the decay once more than in torch's form.",
        ask="By what is a weight multiplied with lr = 0.1 and weight_decay = 0.1, if no gradient comes?",
    ),
    *(
        edit(
            "the decay acts twice, on the weight and through the gradient",
            {DECAY: both},
            why="Once it shrinks the weight, and once more it is divided by the gradient's size.",
            ask="Through which of the two may the decay not pass, the gradient or the weight?",
        )
        for both in (DECAY + L2, L2 + DECAY)
    ),
    edit(
        "nothing decays",
        {DECAY: ""},
        why="This is the rule without its decay.",
        ask="What happens to a weight whose gradient is always zero?",
    ),
    edit(
        "the decay makes the weights grow",
        {"p - lr * weight_decay * p": "p + lr * weight_decay * p"},
        why="The decay has the wrong sign.",
        ask="With lr * weight_decay = 0.1, by which factor should a weight be multiplied before the step?",
    ),
    convention(
        "the decay comes after the step",
        {
            DECAY: "",
            ADAM: "p, m, v = adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)\n    return p - lr * weight_decay * "
            "p, m, v",
        },
        {
            DECAY: "",
            AMSGRAD: "p, *rest = amsgrad(p, g, m, v, v_max, t=t, lr=lr, betas=betas, eps=eps)\n"
            "    return p - lr * weight_decay * p, *rest",
        },
        why="So it is in Stanford's CS336 and in TinyTorch: it shrinks the new weight, this step included; torch "
        "decays first.",
        ask="The two differ by lr * weight_decay times the step. Which do you want to match?",
    ),
]


def l2_coefficient(decay, lr, momentum):
    return decay / lr * (1 - momentum / (1 - decay))


def half_life(lr, weight_decay):
    return math.log(0.5) / math.log(1 - lr * weight_decay)


def parameter_groups(model, lr, weight_decay):
    groups = []
    for name, p in model.named_parameters():
        own_lr = lr / 10 if name.startswith("0.") else lr
        own_decay = 0 if p.ndim < 2 else weight_decay
        groups.append({"params": [p], "lr": own_lr, "weight_decay": own_decay})
    return groups


EACH = "    for name, p in model.named_parameters():\n"


def _watch_groups(answer):
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    first = {id(p) for p in model[0].parameters()}
    groups = list(answer(model, 0.23, 0.017))
    written = [set(group) if isinstance(group, dict) else set() for group in groups]
    optimizer = torch.optim.AdamW(groups, lr=0.23, weight_decay=0.017)
    unread = set()
    for keys, group in zip(written, optimizer.param_groups, strict=False):
        slow, spared = any(id(p) in first for p in group["params"]), any(p.ndim < 2 for p in group["params"])
        if slow and "lr" not in keys or spared and "weight_decay" not in keys:
            unread |= keys - optimizer.defaults.keys() - {"params"}
    yield "keys that AdamW does not read", sorted(unread)
    settings = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    for name, p in model.named_parameters():
        group = settings.get(id(p), {"lr": "none, for it is in no group", "weight_decay": "none"})
        for key in ("lr", "weight_decay"):
            yield f"the {key} of {name}", group[key]
        others = ("betas", "eps", "amsgrad", "maximize")
        changed = [key for key in others if group.get(key) not in (optimizer.defaults[key], None)]
        yield f"other options changed for {name}", changed
    yield "parameters that ask for no gradient", [n for n, p in model.named_parameters() if not p.requires_grad]


EXERCISES = [
    Exercise(
        "l2_coefficient",
        l2_coefficient,
        [
            "If p shrinks by decay * p in a step, what is lr * v? And what was v a step before?",
            "v = decay * p / lr, and momentum * v of the step before is momentum / (1 - decay) of that.",
            "And for Adam? Where nothing but the decay comes, it divides the coefficient away.",
        ],
        [
            edit(
                "v is taken for constant",
                {"(1 - momentum / (1 - decay))": "(1 - momentum)"},
                why="It shrinks from step to step, as p does.",
                ask="By which factor was v larger one step before?",
            ),
            edit(
                "as without momentum",
                {" * (1 - momentum / (1 - decay))": ""},
                why="This is right for plain SGD; momentum goes on pulling with what it has collected.",
                ask="With momentum 0.9 and a steady pull, how many times the pull is v?",
            ),
            edit(
                "lr is not used",
                {"decay / lr": "decay"},
                why="L2 goes through the step, so lr multiplies it; the decay here does not.",
                ask="With a coefficient of 0.01, lr = 0.1 and no momentum, what is a weight multiplied by?",
            ),
            edit(
                "the decay is taken as it is",
                {"decay / lr * (1 - momentum / (1 - decay))": "decay"},
                why="What is added to the gradient goes through the momentum and through lr; the decay does neither.",
                ask="With a coefficient of 0.01, lr = 0.1 and no momentum, what is a weight multiplied by?",
            ),
            edit(
                "v is taken for constant, and lr is not used",
                {"decay / lr * (1 - momentum / (1 - decay))": "decay * (1 - momentum)"},
                why="v shrinks from step to step, as p does, and L2 goes through lr, as the decay here does not.",
                ask="By which factor was v larger one step before?",
            ),
            edit(
                "momentum makes the coefficient larger",
                {"* (1 - momentum / (1 - decay))": "/ (1 - momentum)"},
                why="Momentum adds up many pulls, so each of them must be smaller.",
                ask="With momentum 0.9 and a steady pull, how many times the pull is v?",
            ),
            edit(
                "converted the other way",
                {"decay / lr": "decay * lr"},
                why="It has lr in the wrong place.",
                ask="With this coefficient and lr = 0.1, without momentum, what is a weight multiplied by?",
            ),
        ],
        at("l2_coefficient", (0.013, 0.37, 0.9), (0.0041, 0.53, 0.0), (0.19, 0.07, 0.6)),
        secret=True,
    ),
    Exercise(
        "half_life",
        half_life,
        [
            "What is a weight multiplied by in one step, if no gradient comes?",
            "By 1 - lr * weight_decay. To which power is that 1/2? Not a whole number; leave it as it is.",
            "Half of lr and twice the weight_decay? Only their product stands in it, so nothing happens.",
        ],
        [
            edit(
                "the textbook's approximation",
                {"math.log(0.5) / math.log(1 - lr * weight_decay)": "math.log(2) / (lr * weight_decay)"},
                why="ln 2 / (lr * weight_decay) is good to a per cent while lr * weight_decay is below 0.02; the exact "
                "number is asked for.",
                ask="What is a weight multiplied by in one step, and what is the logarithm of that, exactly?",
            ),
            edit(
                "as if every step took away as much as the first",
                {"math.log(0.5) / math.log(1 - lr * weight_decay)": "0.5 / (lr * weight_decay)"},
                why="A step takes a part of what is left, so each takes less than the one before.",
                ask="If a step takes a tenth, what is left of 1 after two of them, 0.8 or 0.81?",
            ),
            edit(
                "the steps to a share of 1/e",
                {"math.log(0.5) / math.log(1 - lr * weight_decay)": "1 / (lr * weight_decay)"},
                why="1 / (lr * weight_decay) steps leave 0.37 of it or less.",
                ask="Which factor do n steps leave, and for which n is that factor 1/2?",
            ),
            edit(
                "right where a step takes weight_decay away",
                {"lr * weight_decay": "weight_decay"},
                why="In torch's form lr multiplies it.",
                ask="By how much does one step shrink a weight of 1 with lr = 0.1 and weight_decay = 0.1?",
            ),
            edit(
                "the steps in which a weight would double",
                {"math.log(0.5) / math.log(1 - lr * weight_decay)": "math.log(2) / math.log(1 + lr * weight_decay)"},
                why="It grows by lr * weight_decay of itself here; it should shrink by as much.",
                ask="What is a weight multiplied by in one step?",
            ),
            edit(
                "that many steps ago it was",
                {"math.log(0.5)": "math.log(2)"},
                why="The number has the wrong sign: two logarithms of numbers below 1 are both negative.",
                ask="Is one of your two logarithms of 2, and the other of a number below 1?",
            ),
        ],
        at("half_life", (0.23, 0.17), (0.0013, 0.43), (0.61, 0.79)),
        secret=True,
    ),
    Exercise(
        "parameter_groups",
        parameter_groups,
        [
            "`model.named_parameters()` gives a name and a parameter at a time. What do biases and gains have in "
            "common?",
            "A weight matrix has two dimensions, `p.ndim`; a bias and a gain have one. The first layer's names begin "
            "with "
            "`0.`.",
            'A group may hold a single parameter: one dict for each, with its "params", "lr" and "weight_decay".',
        ],
        [
            edit(
                "the gain of the LayerNorm decays",
                {"p.ndim < 2": 'name.endswith("bias")'},
                why="The biases are spared, but the gain, which is called a weight, is not.",
                ask="Which number should a gain stay close to, and where does decay pull it?",
            ),
            edit(
                "every parameter decays",
                {"0 if p.ndim < 2 else weight_decay": "weight_decay"},
                why="The learning rates are right; biases and gains are not spared.",
                ask="What happens under decay to a bias that ought to be 10?",
            ),
            edit(
                "every layer has the same learning rate",
                {'lr / 10 if name.startswith("0.") else lr': "lr"},
                why="The decay is right.",
                ask="Which layer should move at a tenth of lr, and how do its names begin?",
            ),
            edit(
                "the bias of the first layer moves at the full rate",
                {'name.startswith("0.")': 'name == "0.weight"'},
                why="Of the first layer only the weight is slowed.",
                ask="Which parameters belong to the first layer?",
            ),
            edit(
                "the first matrix keeps the product",
                {"0 if p.ndim < 2 else weight_decay": "0 if p.ndim < 2 else weight_decay * lr / own_lr"},
                why="Its weight decay is ten times as large, so that lr * weight_decay stays; asked for is the same "
                "weight_decay for each matrix.",
                ask="Which weight_decay should a group of the first layer hold?",
            ),
            edit(
                "the decay of the first matrix is divided by ten, too",
                {"0 if p.ndim < 2 else weight_decay": "0 if p.ndim < 2 else weight_decay * own_lr / lr"},
                why="A tenth of lr makes lr * weight_decay a tenth; the two would make it a hundredth.",
                ask="Which weight_decay should a group of the first layer hold?",
            ),
            *(
                edit(
                    "the decay of the matrices is multiplied by lr",
                    {"0 if p.ndim < 2 else weight_decay": f"0 if p.ndim < 2 else weight_decay * {rate}"},
                    why="AdamW itself multiplies it by lr, which so comes in twice.",
                    ask="A step is to take lr * weight_decay of a matrix away. What should its group hold?",
                )
                for rate in ("lr", "own_lr")
            ),
            edit(
                'AdamW does not read the key "decay"',
                {'"weight_decay": own_decay': '"decay": own_decay'},
                why="It passes over keys that it does not know, and so every parameter decays.",
                ask="What is the option called in the call of AdamW?",
            ),
            edit(
                'AdamW does not read the key "learning_rate"',
                {'"lr": own_lr': '"learning_rate": own_lr'},
                why="It passes over keys that it does not know, and so every layer moves at the lr of the call.",
                ask="What is the option called in the call of AdamW?",
            ),
            *(
                edit(
                    "the biases of the two Linears decay",
                    {"p.ndim < 2": spared},
                    why="The gain of the LayerNorm is spared, and they are not.",
                    ask="Which parameters have one dimension?",
                )
                for spared in ('name == "1.weight"', 'name.startswith("1.")')
            ),
            edit(
                "the bias of the first Linear decays",
                {"p.ndim < 2": 'p.ndim < 2 and name != "0.bias"'},
                why="The other bias of a Linear is spared.",
                ask="Which weight_decay has the group that holds it?",
            ),
            edit(
                "biases and gains decay, and the matrices do not",
                {"p.ndim < 2": "p.ndim >= 2"},
                why="It is the other way round.",
                ask="How many dimensions has a weight matrix?",
            ),
            edit(
                "of the two matrices only the first decays",
                {"p.ndim < 2": 'name != "0.weight"'},
                why="The second one mixes features, too.",
                ask="How many dimensions has 3.weight?",
            ),
            edit(
                "the LayerNorm is in no group",
                {EACH: EACH + '        if name.startswith("1."):\n            continue\n'},
                why="A parameter that is in no group never moves.",
                ask="How many parameters has the model, and how many are in your groups?",
            ),
            edit(
                "the LayerNorm learns slowly, too",
                {'name.startswith("0.")': 'name[0] in "01"'},
                why="Only the first Linear is to learn at a tenth of lr.",
                ask="How do the names of its parameters begin, and how those of the LayerNorm?",
            ),
            edit(
                "the first layer is the fast one",
                {'lr / 10 if name.startswith("0.") else lr': 'lr if name.startswith("0.") else lr / 10'},
                why="Everything else learns at a tenth of lr.",
                ask="Which layer should move at a tenth of lr?",
            ),
            edit(
                "the first layer learns ten times as fast",
                {"lr / 10": "lr * 10"},
                why="A tenth of lr is asked for.",
                ask="Is your rate of the first layer smaller than lr?",
            ),
            edit(
                "every rate is ten times too large",
                {'lr / 10 if name.startswith("0.") else lr': 'lr if name.startswith("0.") else lr * 10'},
                why="The first layer is slower by the right factor; the rest should learn at lr.",
                ask="At which rate do you let the last layer learn?",
            ),
            edit(
                "nothing decays",
                {"0 if p.ndim < 2 else weight_decay": "0"},
                why="The learning rates are right; the weight matrices are spared too.",
                ask="Which parameters should decay?",
            ),
        ],
        _watch_groups,
    ),
]
