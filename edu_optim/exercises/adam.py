"""What goes wrong in public code of Adam and AMSGrad."""

from .exercise import convention, edit

M, V, LARGEST = "m / (1 - beta1**t)", "v / (1 - beta2**t)", "v_max / (1 - beta2**t)"
FIRST_T = "What is t when the very first gradient comes in?"
CATALOG = [
    edit(
        "lr is divided by the root of the step count",
        {"p - lr * m_hat": "p - lr / t**0.5 * m_hat"},
        why="The proofs of Kingma & Ba 2015 and of Reddi et al. 2018 let lr fall so; the rule takes lr as it comes.",
        ask="If a schedule already changes lr from step to step, by what is your step multiplied?",
    ),
    edit(
        "lr is divided by the step count",
        {"p - lr * m_hat": "p - lr / t * m_hat"},
        why="The steps shrink as 1/t; the rule takes lr as it comes.",
        ask="If a schedule already changes lr from step to step, by what is your step multiplied?",
    ),
    edit(
        "the means are not corrected",
        {M: "m", V: "v"},
        why="They start at zero and are used as they are, so the first step is too long: 3.16 lr at the usual betas.",
        ask="After one step m is (1 - beta1) g; by what must you divide it to get g back?",
    ),
    convention(
        "nothing is corrected",
        {M: "m", LARGEST: "v_max"},
        why="So AMSGrad is printed by Reddi et al. 2018; torch corrects as Adam does.",
        ask="Both agree after some thousand steps. Which do you want to match?",
    ),
    edit(
        "only the mean gradient is corrected",
        {V: "v"},
        {LARGEST: "v_max"},
        why="The numerator is right and the denominator starts far too small.",
        ask="Which of the two means needs more help at the first step, the one with beta1 or the one with beta2?",
    ),
    edit(
        "only the mean square is corrected",
        {M: "m"},
        why="The first steps are too short: (1 - beta1) lr at the start.",
        ask="If every gradient were 1, what would m be after the first step, and what should its estimate of the "
        "mean be?",
    ),
    edit(
        "the correction has no power",
        {"beta1**t": "beta1", "beta2**t": "beta2"},
        why="It divides by 1 - beta and not by 1 - beta**t: right at the first step, and it never fades.",
        ask="By how much is a mean over the last hundred gradients still pulled towards zero?",
    ),
    edit(
        "the power in the correction is always 2",
        {"beta1**t": "beta1**2", "beta2**t": "beta2**2"},
        why="beta is squared at every step, so it is right at the second step and nowhere else.",
        ask="Which number should stand in the exponent at step 7?",
    ),
    edit(
        "the means are multiplied by their correction",
        {M: "m * (1 - beta1**t)", V: "v * (1 - beta2**t)"},
        {M: "m * (1 - beta1**t)", LARGEST: "v_max * (1 - beta2**t)"},
        why="They should be divided by 1 - beta**t; this doubles the error.",
        ask="A mean that came out too small: does it need a factor above or below one?",
    ),
    edit(
        "the two corrections are swapped",
        {M: "m / (1 - beta2**t)", V: "v / (1 - beta1**t)"},
        {M: "m / (1 - beta2**t)", LARGEST: "v_max / (1 - beta1**t)"},
        why="Each mean is corrected with the beta of the other.",
        ask="Which beta made m, and which one v?",
    ),
    edit(
        "the step count is one ahead",
        {"beta1**t": "beta1 ** (t + 1)", "beta2**t": "beta2 ** (t + 1)"},
        why="The first step is corrected as if it were the second.",
        ask=FIRST_T,
    ),
    edit(
        "the steps are counted from zero",
        {"beta1**t": "beta1 ** (t - 1)", "beta2**t": "beta2 ** (t - 1)"},
        why="The first correction divides by 1 - beta**0, which is nothing.",
        ask=FIRST_T,
    ),
    convention(
        "eps is not corrected",
        {"(v_hat**0.5 + eps)": "(v_hat**0.5 + eps / (1 - beta2**t) ** 0.5)"},
        why="This is the shortcut at the end of section 2 of Kingma & Ba 2015, TensorFlow's, and that of Stanford's "
        "CS336: "
        "eps meets the uncorrected root.",
        ask="Their eps is torch's times the root of 1 - beta2**t. Which do you want to match?",
    ),
    convention(
        "eps sits inside the root and is not corrected",
        {"(v_hat**0.5 + eps)": "(v_hat + eps / (1 - beta2**t)) ** 0.5"},
        why="eps meets the uncorrected mean square; torch adds it to the corrected root.",
        ask="Where gradients are small, the root of eps does here what eps does there. Which do you want to match?",
    ),
    edit(
        "the step divides by the mean square, not by its root",
        {"v_hat**0.5": "v_hat"},
        why="Small gradients take huge steps.",
        ask="If all gradients were ten times as large, by what factor would m_hat grow, and by what factor v_hat?",
    ),
    edit(
        "the second mean is of the gradients, not of their squares",
        {"(1 - beta2) * g**2": "(1 - beta2) * g"},
        why="It can be negative, and then its root is nan.",
        ask="Which power of g belongs into v, so that v never loses its sign?",
    ),
    edit(
        "the mean gradient is a fading sum, not a mean",
        {"(1 - beta1) * g ": "g "},
        why="The gradient enters m at full weight, so m is up to 1 / (1 - beta1) times too large.",
        ask="The weights of a mean add up to one; what do beta1 and 1 add up to?",
    ),
    edit(
        "beta and 1 - beta have changed places",
        {"beta1 * m + (1 - beta1)": "(1 - beta1) * m + beta1", "beta2 * v + (1 - beta2)": "(1 - beta2) * v + beta2"},
        why="Both means hardly remember anything.",
        ask="With beta1 = 0.9, how much of the old mean should be kept?",
    ),
    edit(
        "the betas are swapped",
        {"beta1, beta2 = betas": "beta2, beta1 = betas"},
        why="Each mean fades with the other's beta: the gradient is remembered for long and its square hardly at all.",
        ask="Which of the two should follow the newest gradients more closely, the direction or the scale?",
    ),
    edit(
        "the newest gradient stands on top",
        {"lr * m_hat": "lr * g"},
        why="The step uses the gradient where its mean belongs: this is RMSprop with a correction.",
        ask="You keep m up to date; where is it used?",
    ),
    edit(
        "the corrected means are kept as the buffers",
        {"m_hat = m /": "m = m_hat = m /", "v_hat = v /": "v = v_hat = v /"},
        why="The next step corrects what has been corrected already.",
        ask="Which of m and m_hat goes into the next step's running mean?",
    ),
    edit(
        "the corrected mean gradient is kept as the buffer",
        {"m_hat = m /": "m = m_hat = m /"},
        why="The next step corrects once more what has been corrected already; v is kept as it should be.",
        ask="Which of m and m_hat goes into the next step's running mean?",
    ),
    edit(
        "the corrected mean square is kept as the buffer",
        {"v_hat = v /": "v = v_hat = v /"},
        why="The next step corrects once more what has been corrected already; m is kept as it should be.",
        ask="Which of v and v_hat goes into the next step's running mean?",
    ),
    convention(
        "the maximum is taken after the correction",
        {"v_max = maximum(v_max, v)": f"v_max = maximum(v_max, {V})", LARGEST: "v_max"},
        why="torch and Keras take the largest mean square, then correct it; Optax corrects first.",
        ask="They may never agree: a large early gradient stays in the maximum of one and not of the other. Which do "
        "you want to match?",
    ),
    edit(
        "the denominator is Adam's",
        {LARGEST: V},
        why="The step divides by the present mean square: the largest one is not used, or is not kept.",
        ask="Which of v and v_max keeps the denominator from shrinking?",
    ),
    edit(
        "the step divides by eps alone",
        {"(v_hat**0.5 + eps)": "eps"},
        why="The buffer under the root stays zero, or is not used.",
        ask="Which line gives that buffer its new number, and does it keep it?",
    ),
    edit(
        "the running mean goes on from the maximum",
        {"v_max = maximum(v_max, v)": "v = v_max = maximum(v_max, v)"},
        why="v itself can never shrink again.",
        ask="Which of v and v_max is the running mean?",
    ),
]
