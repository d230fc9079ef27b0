"""What goes wrong in public code of schedule-free descent, and of a mean of the weights."""

from . import adam, lesson_01, lesson_05
from .after_adam import NO_DECAY, SQUARE, UP, UP_ASK, moved
from .exercise import convention, edit

POINT, PUT = "z = p - beta * e", "p = z + beta * e"
DOWN = "    z = z - lr * g  # (3) gradient descent\n"
TAKEN = "    x = x + (z - x) / t  # (4) one more point in the average\n"
WHERE = "At which point, between which two, should the next gradient be asked for?"
SHRUNK = "    p = p - lr * weight_decay * p\n"
FREE = [
    *moved("g  # (3)"),
    edit(
        "the gradient is asked for at the average",
        {"x = z + e": "x = p", "    e = x - z\n": "    e = (x - z) / beta\n"},
        why="What comes back as p is the average itself.",
        ask=WHERE,
    ),
    edit(
        "the gradient is asked for at the point that descends",
        {POINT: "z = p", PUT: "p = z"},
        why="This is gradient descent with an average beside it.",
        ask=WHERE,
    ),
    edit(
        "beta and 1 - beta have changed places",
        {POINT: "z = p - (1 - beta) * e", PUT: "p = z + (1 - beta) * e"},
        why="With beta = 0.9, p is nearly the average; here it is nearly the point that descends.",
        ask="Which of z and x has the weight beta in p?",
    ),
    edit(
        "the average takes the point from before the step",
        {DOWN: "", TAKEN: TAKEN + DOWN},
        why="The average is one point late.",
        ask="Which comes first, the step of z or its place in the average?",
    ),
    edit(
        "the average fades",
        {"(z - x) / t": "(z - x) * (1 - beta)"},
        why="It is a running mean with beta; in the rule all points count alike.",
        ask="Which weight has the newest of t points in their average?",
    ),
    edit(
        "the descent goes on from the average",
        {"z = z - lr": "z = x - lr"},
        why="The step is taken from x, so z does not descend by itself.",
        ask="From which point does gradient descent go on?",
    ),
    convention(
        "the start is a point of the average too",
        {"(z - x) / t": "(z - x) / (t + 1)"},
        why="The weights are 1 / (t + 1), so t + 1 points count; the authors' code leaves the start out.",
        ask="The two differ less and less as the points grow many. Which do you want to match?",
    ),
]
FREE_ADAMW = [
    *SQUARE,
    *(entry for entry in lesson_05.CATALOG if entry.name == "eps sits inside the root"),
    *FREE,
    edit(
        "every step is the first",
        {"d, e, t=t": "d, e, t=1"},
        why="`schedule_free_sgd` is called with t = 1, so the average is always the newest point, and e stays 0.",
        ask="Which weight should the newest point have in the average after t steps?",
    ),
    edit("nothing decays", {" + weight_decay * p": ""}, why="This is the rule without its decay.", ask=NO_DECAY),
    edit(
        "beta1 is not handed on",
        {", beta=beta1)": ")"},
        why="`schedule_free_sgd` is called with its own beta, 0.9, whatever betas says.",
        ask="Which of the two betas says where between z and x the gradient is asked for?",
    ),
    edit(
        "beta2 is handed on, not beta1",
        {"beta=beta1": "beta=beta2"},
        why="The gradient is asked for nearer the average than it should be: beta2 is that of the squares.",
        ask="Which of the two betas says where between z and x the gradient is asked for?",
    ),
    edit(
        "the average comes back in the place of p",
        {"return p, v, e": "return p + (1 - beta1) * e, v, e"},
        why="x is what you answer with; the next step begins at p, between z and x.",
        ask="With which of the points do you train, and with which do you answer?",
    ),
    edit("the steps go uphill", {"d = g /": "d = -g /"}, why=UP, ask=UP_ASK),
    edit(
        "what stands for the gradient is multiplied by lr",
        {"d = g /": "d = lr * g /"},
        why="`schedule_free_sgd` multiplies by lr, so the step has it twice.",
        ask="Who should use lr, your rule or the one that it calls?",
    ),
    edit(
        "the decay makes the weights grow",
        {"+ weight_decay * p": "- weight_decay * p"},
        why="The decay has the wrong sign.",
        ask="Should the decay pull a weight towards zero or away from it?",
    ),
    edit(
        "the decay goes through the gradient",
        {"    v = beta2 *": "    g = g + weight_decay * p\n    v = beta2 *", " + weight_decay * p  # (3)": "  # (3)"},
        why="It is added to the gradient, and divided by its own size with it: this is L2 through Adam.",
        ask="Through which of the two may the decay not pass, the gradient or the weight?",
    ),
    edit(
        "the decay is that of the point that descends",
        {"weight_decay * p": "weight_decay * (p - beta1 * e)"},
        why="It is taken at z, where the rule takes it at p.",
        ask="Where is the gradient asked for, and where the decay?",
    ),
    edit(
        "the decay is that of the average",
        {"weight_decay * p": "weight_decay * (p + (1 - beta1) * e)"},
        why="It is taken at x, where the rule takes it at p.",
        ask="Where is the gradient asked for, and where the decay?",
    ),
    edit(
        "the decay is that of AdamW, outside the average",
        {"    v = beta2 *": f"{SHRUNK}    v = beta2 *", " + weight_decay * p  # (3)": "  # (3)"},
        why="A smaller p moves z and x at once, so the whole average shrinks; in the rule the decay moves z alone.",
        ask="Which of the three points should a step move, and how do the others learn of it?",
    ),
    edit(
        "the decay is taken outside the average, after the step",
        {"    return p, v, e": f"{SHRUNK}    return p, v, e", " + weight_decay * p  # (3)": "  # (3)"},
        why="A smaller p moves z and x at once, so the whole average shrinks; in the rule the decay moves z alone.",
        ask="Which of the three points should a step move, and how do the others learn of it?",
    ),
]

MEAN = "a = decay * a + (1 - decay) * p"
STEP = "    p, m, v = adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)  # (1) Adam\n"
THEN = f"    {MEAN}  # (2) running mean of the weights\n"
AVERAGED = [
    *lesson_01.CATALOG,
    *adam.CATALOG,
    edit(
        "the mean takes the weights from before the step",
        {STEP: "", THEN: THEN + STEP},
        why="The mean is one step late.",
        ask="Which comes first, the step or the mean?",
    ),
    edit(
        "decay and 1 - decay have changed places",
        {MEAN: "a = (1 - decay) * a + decay * p"},
        why="The mean hardly remembers anything.",
        ask="With decay = 0.99, how much of the old mean should be kept?",
    ),
    edit(
        "the mean of the weights is a fading sum",
        {"(1 - decay) * p": "p"},
        why="The weights enter whole, so the sum is up to 1 / (1 - decay) times too large.",
        ask="The weights of a mean add up to one; what do decay and 1 add up to?",
    ),
    edit(
        "the gradients are averaged, not the weights",
        {MEAN: "a = decay * a + (1 - decay) * g"},
        why="That is a mean such as m.",
        ask="Of what is the average that you want to answer with?",
    ),
    edit(
        "nothing is averaged",
        {f"    {MEAN}": "    a = a"},
        why="The mean comes back as it came.",
        ask="Which line lets the new weights in?",
    ),
    edit(
        "the training goes on from the mean",
        {"return p, m, v, a": "return a, m, v, a"},
        why="The mean comes back as the weights; it should only be kept beside them.",
        ask="With which weights does the next step of Adam begin?",
    ),
    convention(
        "the mean begins at the first weights",
        {MEAN: "a = p if t == 1 else decay * a + (1 - decay) * p"},
        why="So it is in torch's AveragedModel; here it begins at zero and is corrected when it is used.",
        ask="Your mean needs no correction. Which do you want to match?",
    ),
]
