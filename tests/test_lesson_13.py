"""What lesson 13 computes, against counts of its own."""

import torch
from cells import Lesson

from edu_optim import SGD, rules, sweep
from edu_optim.problems import himmelblau

LESSON = Lesson("13").later("imports", "not-elementwise-sweep")


def test_the_rule_that_is_not_elementwise_mixes_descents_and_no_rule_of_the_course_does():
    normalized = LESSON["normalized"]
    p, g = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    assert normalized(p, g, lr=0.5)[0][0] != normalized(p[:1], g[:1], lr=0.5)[0][0]
    assert rules.gradient_descent(p, g, lr=0.5)[0][0] == rules.gradient_descent(p[:1], g[:1], lr=0.5)[0][0]


def test_a_coarse_map_is_points_of_the_fine_one():
    fine = sweep(himmelblau, SGD, 50, himmelblau.grid(17, 17), lr=0.01, momentum=0.8)
    coarse = sweep(himmelblau, SGD, 50, himmelblau.grid(9, 9), lr=0.01, momentum=0.8)
    assert torch.equal(fine.minimum[::2, ::2], coarse.minimum)
