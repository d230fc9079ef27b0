"""What goes wrong in public code of Lion."""

from .after_adam import NO_DECAY, UNUSED, UNUSED_ASK, UP, UP_ASK, decays_after
from .exercise import edit

STEERS, KEPT = "u = beta1 * m + (1 - beta1) * g", "m = beta2 * m + (1 - beta2) * g"
STEERING, KEEPING = f"    {STEERS}  # (1) the mean that steers\n", f"    {KEPT}  # (3) the mean that is kept\n"
STEP, BOTH = "p = p - lr * (sign(u) + weight_decay * p)", "(sign(u) + weight_decay * p)"
LION = [
    edit("the steps go uphill", {"(sign(u) + weight": "(-sign(u) + weight"}, why=UP, ask=UP_ASK),
    edit(
        "the steps go uphill, and the weights grow",
        {"p - lr * (sign": "p + lr * (sign"},
        why="The sign and the decay are both added.",
        ask="How many minus signs must stand between the gradient and the parameter?",
    ),
    edit(
        "the decay has the sign of the weight and not its size",
        {BOTH: "(sign(u) + weight_decay * sign(p))"},
        why="Every weight then shrinks by the same amount, a large one too slowly.",
        ask="Of a weight of 4 and one of 1, which should shrink by more?",
    ),
    edit("lr is not used", {"p - lr * (": "p - ("}, why=UNUSED, ask=UNUSED_ASK),
    edit(
        "lr multiplies the decay and not the sign",
        {STEP: "p = p - sign(u) - lr * weight_decay * p"},
        why="Every weight moves by 1.",
        ask="How far should a weight move in one step?",
    ),
    edit(
        "beta2 makes both means",
        {STEERS: "u = beta2 * m + (1 - beta2) * g"},
        why="The sign is taken of the mean that is kept, with this gradient in it.",
        ask="With which beta does the newest gradient have more say, and which of the two means steers?",
    ),
    edit(
        "beta1 makes both means",
        {KEPT: "m = beta1 * m + (1 - beta1) * g"},
        why="What is kept is the mean that steers: one momentum, and its sign.",
        ask="Which of the two betas decides how long a gradient is remembered?",
    ),
    edit(
        "the betas are swapped",
        {"beta1, beta2 = betas": "beta2, beta1 = betas"},
        why="The mean that steers is made with the beta of the one that is kept, and the other way round.",
        ask="Which beta mixes m into what the sign is taken of?",
    ),
    edit(
        "the gradient enters the mean that is kept before it steers",
        {STEERING: f"    {KEPT}\n    {STEERS}\n", KEEPING: ""},
        why="The newest gradient is mixed with a mean that holds it already.",
        ask="Which of the two lines should come first?",
    ),
    edit(
        "what is kept is a mean of what steers",
        {KEPT: "m = beta2 * m + (1 - beta2) * u"},
        why="u holds a share of m already, so m forgets more slowly than beta2 says.",
        ask="Of what is the mean taken that is kept?",
    ),
    edit(
        "what is kept is a mean of the gradients' signs",
        {KEPT: "m = beta2 * m + (1 - beta2) * sign(g)"},
        why="A large gradient then counts no more than a small one; only what steps is a sign.",
        ask="In which of the two lines is the sign taken?",
    ),
    edit(
        "what is kept is a mean of the steps' signs",
        {KEPT: "m = beta2 * m + (1 - beta2) * sign(u)"},
        why="The sizes of the gradients are lost before they are averaged.",
        ask="Of what is the mean taken that is kept?",
    ),
    edit(
        "the newest gradient steers at full weight",
        {STEERS: "u = beta1 * m + g"},
        why="A mean gives it the weight 1 - beta1, so it outvotes m more often than it should.",
        ask="The weights of a mean add up to one; what do beta1 and 1 add up to?",
    ),
    edit(
        "what is kept is a fading sum, not a mean",
        {KEPT: "m = beta2 * m + g"},
        why="The gradient enters m at full weight, so m is up to 1 / (1 - beta2) times too large.",
        ask="The weights of a mean add up to one; what do beta2 and 1 add up to?",
    ),
    edit(
        "beta and 1 - beta have changed places",
        {STEERS: "u = (1 - beta1) * m + beta1 * g", KEPT: "m = (1 - beta2) * m + beta2 * g"},
        why="Both means hardly remember anything.",
        ask="With beta2 = 0.99, how much of the old mean should be kept?",
    ),
    edit(
        "the sign is not taken",
        {"sign(u)": "u"},
        why="The step is as long as the mean, where every weight should move by lr.",
        ask="How far should a weight move whose gradients are ten times as large?",
    ),
    edit(
        "the sign is that of the newest gradient",
        {"sign(u)": "sign(g)"},
        why="Older gradients have no say.",
        ask="Which mean do older gradients reach, and where does it enter the step?",
    ),
    edit(
        "the sign is that of the mean without this gradient",
        {"sign(u)": "sign(m)"},
        why="Each step is one gradient late: the first does not move.",
        ask="Of what is the sign taken in the rule?",
    ),
    edit(
        "a mean of zero counts as negative",
        {"sign(u)": "(2.0 * (u > 0) - 1)"},
        why="A weight without a gradient moves by lr.",
        ask="What is the sign of zero?",
    ),
    edit(
        "a mean of zero counts as positive",
        {"sign(u)": "(2.0 * (u >= 0) - 1)"},
        why="A weight without a gradient moves by lr.",
        ask="What is the sign of zero?",
    ),
    edit(
        "a mean of zero gives nan",
        {"sign(u)": "u / abs(u)"},
        why="There the sign is 0/0; elsewhere it is right.",
        ask="What is the sign of zero?",
    ),
    edit(
        "the decay goes through the gradient",
        {STEERING: f"    g = g + weight_decay * p\n{STEERING}", BOTH: "sign(u)"},
        why="It is added to the gradient, and of the mean of such sums only the sign is left.",
        ask="By how much does a weight shrink in a step here, and does that depend on weight_decay?",
    ),
    edit(
        "the decay goes through the gradient, and beta1 makes both means",
        {STEERING: f"    g = g + weight_decay * p\n{STEERING}", BOTH: "sign(u)", KEPT: KEPT.replace("beta2", "beta1")},
        why="One momentum of gradient and decay is kept, and its sign is the step.",
        ask="Does the step depend on weight_decay, and which beta decides how long a gradient is remembered?",
    ),
    edit(
        "the decay stands inside the sign",
        {BOTH: "sign(u + weight_decay * p)"},
        why="Of mean and decay together only the sign is left.",
        ask="By how much does a weight shrink in a step here, and does that depend on weight_decay?",
    ),
    edit(
        "the decay is not multiplied by lr",
        {STEP: "p = p - lr * sign(u) - weight_decay * p"},
        why="The weight shrinks by weight_decay at every step.",
        ask="If a schedule takes lr to zero, should the weights go on shrinking?",
    ),
    edit(
        "the decay is multiplied by lr twice",
        {"+ weight_decay * p)": "+ lr * weight_decay * p)"},
        why="The sum is multiplied by lr already.",
        ask="By which share should a weight shrink in a step, apart from the sign?",
    ),
    edit(
        "the decay makes the weights grow",
        {"sign(u) + weight": "sign(u) - weight"},
        why="The decay has the wrong sign.",
        ask="By which factor should a weight be multiplied in a step, apart from the sign?",
    ),
    edit("nothing decays", {BOTH: "sign(u)"}, why="This is the rule without its decay.", ask=NO_DECAY),
    decays_after({STEP: "p = p - lr * sign(u)\n    p = p - lr * weight_decay * p"}, whose="the paper"),
]
