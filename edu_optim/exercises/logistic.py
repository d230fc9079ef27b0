"""What goes wrong in a logistic regression that learns with Adagrad."""

from .exercise import convention, edit

BEGIN = "    w = s = torch.zeros(inputs.shape[1], dtype=inputs.dtype)\n"
LOOP = "    for _ in range(steps):\n"
STEP = "w, s = rules.adagrad(w, g, s, lr=lr)"
LOGISTIC = [
    edit(
        "the scores are not made into probabilities",
        {"torch.sigmoid(inputs @ w)": "inputs @ w"},
        why="The labels are compared with the scores themselves, which fits a line to zeros and ones.",
        ask="Which function turns a score into a probability?",
    ),
    edit(
        "the gradient is divided by the sum of squares",
        {STEP: "s = s + g**2\n        w = w - lr * g / (s + 1e-10)"},
        why="The root is missing, so a small gradient makes a large step.",
        ask="If all gradients are a tenth as large, what becomes of your step, and of Adagrad's?",
    ),
    edit(
        "the gradients of the examples are summed",
        {" / len(labels)": ""},
        why="Asked for is the mean; Adagrad hides the factor from all but eps, and the sum of squares with it.",
        ask="How often does each example count in a mean of n?",
    ),
    edit(
        "the mean is taken over the columns, not over the examples",
        {"/ len(labels)": "/ inputs.shape[1]"},
        why="The sum over the examples is divided by the number of weights; Adagrad hides the factor from all "
        "but eps, which only the last, tiny features show.",
        ask="Over what does the mean in *mean cross-entropy* run?",
    ),
    edit(
        "each weight's mean is taken over the examples that have its feature",
        {"/ len(labels)": "/ (inputs != 0).sum(0)"},
        why="The mean is over all examples; Adagrad hides the factor from all but eps, and so only the last, "
        "tiny features show it.",
        ask="Does an example count in the mean where its feature is 0?",
    ),
    *[
        edit(
            "each example's gradient is squared before the mean",
            {
                STEP: (
                    f"s = s + ((inputs * (prediction - labels)[:, None]) ** 2).{pooled}(0)\n"
                    "        w = w - lr * g / (s**0.5 + 1e-10)"
                )
            },
            why="The sum takes in the square of the gradient that the step uses, the mean, once a step.",
            ask="What is `g` in the rule, and how many of them does one step have?",
        )
        for pooled in ("sum", "mean")
    ],
    edit(
        "every example takes a step of its own",
        {
            "        g = inputs.T @ (prediction - labels) / len(labels)\n"
            "        w, s = rules.adagrad(w, g, s, lr=lr)": (
                "        for x, y in zip(inputs, labels):\n"
                "            w, s = rules.adagrad(w, x * (torch.sigmoid(x @ w) - y), s, lr=lr)"
            )
        },
        why="One step should follow the gradient of the mean over all examples.",
        ask="How many times should `adagrad` be called when `steps` is 1?",
    ),
    edit(
        "the weights are moved one after another",
        {
            "        prediction = torch.sigmoid(inputs @ w)\n"
            "        g = inputs.T @ (prediction - labels) / len(labels)\n"
            "        w, s = rules.adagrad(w, g, s, lr=lr)": (
                "        for one in torch.eye(len(w), dtype=w.dtype):\n"
                "            g = one * (inputs.T @ (torch.sigmoid(inputs @ w) - labels)) / len(labels)\n"
                "            w, s = rules.adagrad(w, g, s, lr=lr)"
            )
        },
        why="From the second on, each weight sees predictions that the weights before it have changed in this step.",
        ask="How often are the predictions made when `steps` is 1?",
    ),
    edit(
        "the length of the gradient stands in the gradient's place",
        {"/ len(labels)": "/ len(labels)\n        g = g.norm()"},
        why="A length has no sign and is one number, so all weights move alike, and only down.",
        ask="Which shape should g have, and how does a weight learn that it should rise?",
    ),
    edit(
        "the loss is climbed",
        {"(prediction - labels)": "(labels - prediction)"},
        why="All weights have the wrong sign.",
        ask="In the gradient, which comes first, the prediction or the label?",
    ),
    edit(
        "this is gradient descent",
        {STEP: "w = w - lr * g"},
        why="The rare input gets the same learning rate as the common one.",
        ask="You have a sum of squares; which quantity does it divide?",
    ),
    edit(
        "a clock alone: each gradient is divided by the root of the number of its step",
        {STEP: "s = s + 1\n        w = w - lr * g / s**0.5"},
        why="A count stands where the sum of the squares belongs.",
        ask="If all gradients are a tenth as large, what becomes of your step, and of Adagrad's?",
    ),
    *[
        edit(
            "the sum of squares fades",
            {STEP: f"s = 0.9 * s + {share} * g**2\n        w = w - lr * g / (s**0.5 + 1e-10)"},
            why="Adagrad's sum keeps every square whole; one that fades is the next lesson's.",
            ask="How much of the first square is in s after ten steps?",
        )
        for share in ("1", "0.1")
    ],
    *[
        edit(
            "one sum of squares serves all weights",
            {STEP: (f"s = s + (g**2).{pooled}()\n        w = w - lr * g / (s**0.5 + {eps})")},
            why="The rare input is braked by the common one.",
            ask="Which shape should s have?",
        )
        for pooled in ("sum", "mean")
        for eps in ("1e-10", "0")
    ],
    edit(
        "there is no eps",
        {"lr=lr)": "lr=lr, eps=0)"},
        why="Here only the last weights, of tiny features, show it; a column of zeros would become nan.",
        ask="What is the denominator of a weight that no example has touched yet?",
    ),
    convention(
        "eps sits inside the root",
        {STEP: "s = s + g**2\n        w = w - lr * g / (s + 1e-10) ** 0.5"},
        why="So Keras and Optax have it; torch and the lesson's rule add eps to the root.",
        ask="Where gradients are small, the root of eps does here what eps does there. Which do you want?",
    ),
    convention(
        "eps is 1e-8",
        {"lr=lr)": "lr=lr, eps=1e-8)"},
        why="That is Adam's; torch's Adagrad and the lesson's rule have 1e-10.",
        ask="Where are gradients so small that the two differ?",
    ),
    edit(
        "the sum of squares is forgotten at every step",
        {"rules.adagrad(w, g, s, lr=lr)": "rules.adagrad(w, g, 0 * s, lr=lr)"},
        why="Every step is lr long in every direction, for s begins anew.",
        ask="Where is s made, before the loop or in it?",
    ),
    edit(
        "the weights and the sum of squares are one tensor",
        {STEP: "s += g**2\n        w -= lr * g / (s**0.5 + 1e-10)"},
        why="`w = s = torch.zeros(n)` gives one tensor two names, and a change in place, such as `s += g**2`, is a "
        "change of both.",
        ask="How many times is `torch.zeros` called?",
    ),
    edit(
        "one step, however many were asked for",
        {BEGIN: "", LOOP: f"{LOOP}    {BEGIN}"},
        why="All your weights are those after the first step; weights and sum that are made inside the loop do this.",
        ask="Where are both made, before the loop or in it?",
    ),
    *[
        edit(
            "the sum of squares does not start at zero",
            {BEGIN: f"{BEGIN}    s = s + {start}\n"},
            why="What it starts with counts as gradients that nobody has seen, and the small ones drown in it.",
            ask="How long is the first step with your start, and how long is it with zero?",
        )
        for start in ("1", "0.1")
    ],
    *[
        edit(
            "the weights do not start at zero",
            {BEGIN: f"{BEGIN}    w = w + {start}\n"},
            why="Every prediction should begin at one half.",
            ask="What is `inputs @ w` before the first step?",
        )
        for start in ("1", "0.1")
    ],
    edit(
        "the step is taken before the sum has the newest square",
        {STEP: "w = w - lr * g / (s**0.5 + 1e-10)\n        s = s + g**2"},
        why="At the first step the sum is zero, so that step is lr g / eps long.",
        ask="Which of your two lines should come first?",
    ),
    edit(
        "one step too many",
        {"range(steps)": "range(steps + 1)"},
        why="It takes one step more than was asked for.",
        ask="How often does your loop run when `steps` is 1?",
    ),
    edit(
        "one step is missing",
        {"range(steps)": "range(steps - 1)"},
        why="It takes one step less than was asked for.",
        ask="How often does your loop run when `steps` is 1?",
    ),
    edit(
        "the gradient is twice that of the mean cross-entropy",
        {" / len(labels)": " * 2 / len(labels)"},
        why="No 2 is in it; Adagrad hides it from all but eps, and only the last, tiny features show it.",
        ask="What is the derivative of log(1 + exp(x))?",
    ),
    edit(
        "the labels are taken as -1 and 1",
        {"(prediction - labels)": "(prediction - (2 * labels - 1))"},
        why="They are 0 and 1, and a sigmoid never reaches -1.",
        ask="What should be left of the gradient where the prediction is nearly 0 and the label is 0?",
    ),
    edit(
        "the gradient is that of the squared error",
        {"(prediction - labels)": "((prediction - labels) * prediction * (1 - prediction))"},
        why="Cross-entropy has a logarithm, whose derivative cancels the prediction * (1 - prediction) of the sigmoid.",
        ask="How large is your gradient where the prediction is 1 and the label 0, and how large should it be?",
    ),
    edit(
        "the prediction is 0 or 1, not a probability",
        {"torch.sigmoid(inputs @ w)": "(inputs @ w > 0).to(w)"},
        why="A threshold makes every error 0 or 1, however sure the model is.",
        ask="Which function turns a score into a probability?",
    ),
    *[
        edit(
            f"the prediction is kept {least} away from 0 and 1",
            {"torch.sigmoid(inputs @ w)": f"torch.sigmoid(inputs @ w).clamp({least}, 1 - {least})"},
            why="An example that is predicted surely and rightly then pushes on, and one that is wrong pushes less.",
            ask="Which error is left where the prediction is nearly 1 and the label is 1?",
        )
        for least in ("0.01", "0.001", "0.0001")
    ],
    edit(
        "the mean error times the mean input",
        {"inputs.T @ (prediction - labels) / len(labels)": "inputs.mean(0) * (prediction - labels).mean()"},
        why="The mean of a product is not the product of the means.",
        ask="Which error should multiply the first row of `inputs`?",
    ),
]
