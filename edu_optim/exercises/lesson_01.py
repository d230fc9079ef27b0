"""Lesson 01, gradient descent: its exercises, their hints, and the answers that go wrong."""

import math

from .. import rules
from .exercise import Exercise, at, edit

RULES = {
    "gradient_descent": [
        "`p = p - lr * g` makes a new tensor. Which one does the model hold?",
        "The options of a group are in `group`, the gradient is in `p.grad`, and a frozen parameter has None there.",
        "`p.sub_(...)` or `p.copy_(...)` writes into the tensor that the model holds.",
    ]
}

STEP = ["g", "b", "d", "m_hat", "(g + momentum * b)"]
CATALOG = [
    edit(
        "the steps go uphill",
        *({f"p - lr * {step}": f"p + lr * {step}"} for step in STEP),
        {"p - b": "p + b"},
        {"(lr * g + momentum * b)": "-(lr * g + momentum * b)"},
        why="Between the gradient and the parameter a minus sign is missing, or there is one too many.",
        ask="The gradient points uphill; how many minus signs must stand between it and the parameter?",
    ),
    edit(
        "the parameter stands still",
        {"    p = p - lr": "    _ = p - lr"},
        why="After every step the parameter is what it was before.",
        ask="Which line changes the parameter itself, and what becomes of its result?",
    ),
    edit(
        "lr is not used",
        *({f"p - lr * {step}": f"p - {step}"} for step in STEP),
        why="The steps are as long as they would be at a learning rate of 1.",
        ask="Where does lr stand in the formula?",
    ),
    edit(
        "lr is used twice",
        *({f"p - lr * {step}": f"p - lr * lr * {step}"} for step in STEP),
        why="The step is multiplied by lr once more than it should be.",
        ask="In which of your lines does lr stand?",
    ),
    edit(
        "the step stands where the parameter should",
        *({f"p = p - lr * {step}": f"p = -lr * {step}"} for step in STEP),
        why="The new parameter is how far the old one should move, not where it is then.",
        ask="Where would the next step start from?",
    ),
    edit(
        "the weight is multiplied by lr",
        {"p - lr * g  # (1) the step\n    return (p,)": "lr * p - g\n    return (p,)"},
        why="lr multiplies the weight itself and not the gradient.",
        ask="What multiplies p in the formula, and what multiplies g?",
    ),
    edit(
        "nothing is remembered from step to step",
        {"s = s + g": "s = 0 * s + g"},
        {"momentum * b + (1": "0 * b + (1"},
        {"b = momentum * b + g  #": "b = 0 * b + g  #"},
        {"alpha * s +": "0 * s +", "alpha * a +": "0 * a +", "momentum * b +": "0 * b +"},
        {"alpha * s +": "0 * s +", "alpha * a +": "0 * a +"},
        {"alpha * s +": "0 * s +", "momentum * b +": "0 * b +"},
        {"alpha * s +": "0 * s +"},
        {"rho * s +": "0 * s +", "(u + eps)": "(0 * u + eps)"},
        {"beta1 * m +": "0 * m +", "beta2 * v +": "0 * v +", "maximum(v_max, v)": "v"},
        {"beta1 * m +": "0 * m +", "beta2 * v +": "0 * v +"},
        why="Each step is taken as if what the earlier ones left behind were zero.",
        ask="Where do the buffers wait between two steps, and which line uses their old values?",
    ),
]


def edge_from_explosion(lr, growth):
    return 2 * lr / (1 + growth**0.5)


def steps_needed(curvature, lr, accuracy):
    return math.ceil(math.log(accuracy) / math.log(abs(1 - lr * curvature)))


EXERCISES = [
    Exercise(
        "edge_from_explosion",
        edge_from_explosion,
        [
            "One step multiplies the distance along a curvature by 1 - lr * curvature, and the loss by its square.",
            "An explosion jumps across the minimum: is the factor of its distance above 1 or below -1?",
            "Solve 1 - lr * L = -sqrt(growth) for L, the largest curvature. The edge is 2 / L.",
        ],
        [
            edit(
                "the loss is taken for the distance",
                {"growth**0.5": "growth"},
                why="The loss grows with the square of the distance, so its growth is not the factor of a step.",
                ask="If the loss becomes 9 times as large, what has become of the distance?",
            ),
            edit(
                "the jump does not cross the minimum",
                {"1 + growth**0.5": "1 - growth**0.5"},
                why="The factor is taken as positive, and with it the curvature comes out below zero.",
                ask="Does a path that explodes stay on its side of the minimum, and which sign has its factor then?",
            ),
            edit(
                "the jump is measured from the minimum, not from where it began",
                {"1 + growth**0.5": "growth**0.5 - 1"},
                why="A jump covers the old distance and the new one; here one is taken from the other.",
                ask="From 1 to -3, how long is the jump?",
            ),
            edit(
                "the factor is taken for lr times the curvature",
                {"1 + growth**0.5": "growth**0.5"},
                why="A step multiplies the distance by 1 - lr L; where it explodes, that is below -1.",
                ask="If lr L is 3, by what does a step multiply the distance?",
            ),
            edit(
                "the root is taken of the sum",
                {"1 + growth**0.5": "(1 + growth) ** 0.5"},
                why="The factor of a step is the root of growth; 1 comes to it afterwards.",
                ask="Of which number alone is the root the factor of the distance?",
            ),
            edit(
                "the root is taken twice",
                {"growth**0.5": "growth**0.25"},
                why="The factor of a step is the root of growth, and here that root stands under another.",
                ask="If the loss becomes 16 times as large, is the distance 4 times as large or twice?",
            ),
            edit(
                "the rate of the run is taken for a curvature",
                {"2 * lr / (1 + growth**0.5)": "2 / lr"},
                why="2 divided by the largest *curvature* is the edge, and lr is a rate.",
                ask="Which curvature makes the loss grow by `growth` at the rate lr?",
            ),
            edit(
                "the rate of one jump",
                {"2 * lr": "lr"},
                why="This is 1 / L, the rate that lands on the minimum of the steepest direction at once.",
                ask="Where does a jump twice as long end, and is it farther away than before?",
            ),
            edit(
                "the largest curvature, not the rate",
                {"2 * lr / (1 + growth**0.5)": "(1 + growth**0.5) / lr"},
                why="This is L itself.",
                ask="At which rate is the factor of this curvature -1?",
            ),
            edit(
                "the rate is divided by the factor",
                {"2 * lr / (1 + growth**0.5)": "lr / growth**0.5"},
                why="The factor is 1 - lr * L: half the rate does not give half the factor.",
                ask="What is left of the factor at a rate of zero?",
            ),
            edit(
                "the rate is divided by the growth of the loss",
                {"2 * lr / (1 + growth**0.5)": "lr / growth"},
                why="The growth is the square of the factor 1 - lr * L, and that is not in proportion to lr.",
                ask="What is left of the factor at a rate of zero?",
            ),
            edit(
                "the rate where two factors are equal in size",
                {"2 * lr / (1 + growth**0.5)": "2 / (1 + (1 + growth**0.5) / lr)"},
                why="This is 2/(m+L) with m = 1, and an explosion tells nothing of m.",
                ask="Which of the two curvatures alone decides whether a run explodes?",
            ),
            edit(
                "the rate that exploded",
                {"2 * lr / (1 + growth**0.5)": "lr"},
                why="At this rate the loss grows, so the edge lies below it.",
                ask="At which smaller rate would a jump end as far away as it began?",
            ),
            edit(
                "twice the rate, whatever the growth",
                {"2 * lr / (1 + growth**0.5)": "2 * lr"},
                why="The run exploded at half of what you return, so the edge lies below even that half.",
                ask="At which smaller rate would a jump end as far away as it began?",
            ),
            edit(
                "half the rate, whatever the growth",
                {"2 * lr / (1 + growth**0.5)": "lr / 2"},
                why="Two runs at one rate that explode slowly and fast get the same edge.",
                ask="Which of the two has the larger curvature, and which the lower edge?",
            ),
            edit(
                "lr is not used",
                {"2 * lr": "2"},
                why="The answer is the same whatever the rate of the run was.",
                ask="Two runs explode alike, one at a rate ten times the other's: have they the same edge?",
            ),
        ],
        at("edge_from_explosion", (0.13, 1.69), (0.0805, 1.021), (2.7, 41.0), (0.004, 6.3)),
        secret=True,
    ),
    Exercise(
        "steps_needed",
        steps_needed,
        [
            "After n steps the distance has been multiplied by a factor n times. Which factor?",
            "The size of 1 - lr * curvature, to the power n, has to come below accuracy. Logarithms turn the power "
            "around.",
            "There is no step number 13.2: `math.ceil` gives the next whole one.",
        ],
        [
            edit(
                "the quotient is upside down",
                {
                    "math.log(accuracy) / math.log(abs(1 - lr * curvature))": (
                        "math.log(abs(1 - lr * curvature)) / math.log(accuracy)"
                    )
                },
                why="Asked for is how often the factor must be multiplied to reach the accuracy.",
                ask="If a step halves the distance and a quarter is allowed, how many does your quotient give?",
            ),
            edit(
                "the number of steps is negative",
                {"math.log(accuracy) /": "-math.log(accuracy) /"},
                why="Both logarithms are below zero already, so their quotient is above it.",
                ask="What is the sign of log(0.1), and of log(0.5)?",
            ),
            edit(
                "one step too few",
                {"math.ceil": "math.floor"},
                why="After this many steps the distance is still a little larger than asked.",
                ask="After 27.04 steps you would be there; which whole number is enough?",
            ),
            edit(
                "the number of steps is not whole",
                {"math.ceil": ""},
                why="The formula is right, but nobody takes a fraction of a step.",
                ask="Which whole number of steps is enough?",
            ),
            edit(
                "one step too many where the last lands exactly on the accuracy",
                {"math.ceil(": "1 + math.floor("},
                why="A distance of exactly `accuracy` is enough, and here one more step is taken.",
                ask="At a distance of exactly `accuracy`, is one more step needed?",
            ),
            edit(
                "the steps that the loss needs",
                {"math.log(abs(1 - lr * curvature))": "math.log((1 - lr * curvature) ** 2)"},
                why="After this many steps the loss has fallen that far; the distance falls as the root of the loss.",
                ask="If the loss is a hundredth of what it was, what has become of the distance?",
            ),
            edit(
                "the loss is compared with accuracy, from a distance of 1",
                {
                    "math.log(accuracy) / math.log(abs(1 - lr * curvature))": (
                        "math.log(2 * accuracy / curvature) / math.log((1 - lr * curvature) ** 2)"
                    )
                },
                why="After these steps from 1 the loss itself is at most accuracy; asked is the share of the distance.",
                ask="Which number of your loop is at most accuracy when it ends?",
            ),
            edit(
                "the steps until the distance is accuracy squared",
                {"math.log(accuracy) /": "math.log(accuracy**2) /"},
                why="The square of the accuracy asks for about twice as many steps.",
                ask="How small may the distance be at the end?",
            ),
            edit(
                "the steps until the distance is accuracy squared",
                {"abs(1 - lr * curvature)": "abs(1 - lr * curvature) ** 0.5"},
                why="The root of the factor asks for about twice as many steps.",
                ask="By what does one step multiply the distance?",
            ),
            edit(
                "lr times the curvature counts twice",
                {"1 - lr * curvature": "1 - 2 * lr * curvature"},
                why="At lr 0.1 and curvature 4 a step leads from 1 to 0.6, and here to 0.2.",
                ask="On the parabola 2 * theta**2, what is the gradient at 1, and what is the curvature?",
            ),
            edit(
                "lr times half the curvature",
                {"1 - lr * curvature": "1 - lr * curvature / 2"},
                why="At lr 0.1 and curvature 4 a step leads from 1 to 0.6, and here to 0.8.",
                ask="On the parabola 2 * theta**2, what is the gradient at 1, and what is the curvature?",
            ),
            edit(
                "the factor is what a step takes away",
                {"abs(1 - lr * curvature)": "(lr * curvature)"},
                why="lr * curvature is what a step takes away; what is left is something else.",
                ask="If a step takes away a tenth of the distance, by what is the distance multiplied?",
            ),
            edit(
                "there is no answer where a step crosses the minimum",
                {"abs(1 - lr * curvature)": "(1 - lr * curvature)"},
                why="With curvature 23 and lr 0.081 each step ends on the other side: 1 - lr * curvature is below 0.",
                ask="Does a distance have a sign, and has what your code works with?",
            ),
            edit(
                "the number is not whole, and there is none where a step crosses the minimum",
                {"math.ceil": "", "abs(1 - lr * curvature)": "(1 - lr * curvature)"},
                why="Nobody takes a fraction of a step; and with curvature 23 and lr 0.081 the factor is below 0.",
                ask="Which whole number of steps is enough, and has a distance a sign?",
            ),
            edit(
                "as if every step took away as much as the first",
                {"math.log(accuracy) / math.log(abs(1 - lr * curvature))": "(1 - accuracy) / (lr * curvature)"},
                why="Each step takes away a share of what is left, so the steps become shorter.",
                ask="From 1 a step leads to 0.6; where does the next one lead?",
            ),
            edit(
                "as if the steps were infinitely short",
                {"math.log(abs(1 - lr * curvature))": "(-lr * curvature)"},
                why="A distance that shrinks as exp(-lr * curvature * steps) is what very short steps come close to.",
                ask="What does a single step at curvature 4 and lr 0.1 leave of the distance, and what is exp(-0.4)?",
            ),
            edit(
                "it stops as soon as a step has crossed the minimum",
                {"return ": "return 1 if lr * curvature > 1 else "},
                why="With curvature 23 and lr 0.081 the first step ends on the other side, and far from the minimum.",
                ask="Which of -0.9 and 0.1 is farther from 0, and which of them does your code call smaller?",
            ),
        ],
        at(
            "steps_needed",
            *((4.3, 0.07, 3e-5), (0.6, 0.9, 0.013), (2.0, 0.25, 0.0625), (23.0, 0.081, 2e-3), (5.0, 0.17, 0.7)),
        ),
        secret=True,
    ),
    Exercise("Mended", rules.gradient_descent, RULES["gradient_descent"], CATALOG),
]
