"""The experiments and pictures of lesson 00, against loops of plain numbers."""

import pytest
import torch
from cells import Later, Lesson

import edu_optim
from edu_optim.check import check
from edu_optim.lab import lesson_00
from edu_optim.lab.surfaces import SURFACES

LESSON = Lesson("00")
play = Later(lambda: {"play": lesson_00.play}).experiment


def practice_by_hand(lr, forget):
    """The loss before each of 50 epochs of Adam and after them, and the prediction for x = 5."""
    model = LESSON.run("imports", "new-model")["new_model"]()
    knobs = [model.weight.item(), model.bias.item()]
    gradients, m, v, losses = [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], []
    for t in range(1, 52):
        errors = [knobs[0] * x + knobs[1] - 2 * x for x in (1, 2, 3, 4)]
        losses.append(sum(error**2 for error in errors) / 4)
        if t == 51:
            return losses, 5 * knobs[0] + knobs[1]
        fresh = [sum(e * x for e, x in zip(errors, (1, 2, 3, 4), strict=True)) / 2, sum(errors) / 2]
        for i in (0, 1):
            gradients[i] = fresh[i] + (gradients[i] if forget else 0)
            m[i] = 0.9 * m[i] + 0.1 * gradients[i]
            v[i] = 0.999 * v[i] + 0.001 * gradients[i] ** 2
            knobs[i] -= lr * m[i] / (1 - 0.9**t) / ((v[i] / (1 - 0.999**t)) ** 0.5 + 1e-8)


@pytest.mark.parametrize("lr", [0.01, 0.3, 3])
@pytest.mark.parametrize("forget", [False, True])
def test_the_experiment_is_the_loop_by_hand(lr, forget):
    numbers = play(edu_optim.Adam, lr=lr, broken=forget).numbers
    losses, prediction = practice_by_hand(lr, forget)
    assert numbers["loss after 50 epochs"] == pytest.approx(losses[-1], rel=1e-5)
    assert numbers["highest loss"] == pytest.approx(max(losses), rel=1e-5)
    assert numbers["highest in the last 10 epochs"] == pytest.approx(max(losses[41:]), rel=1e-5)
    assert numbers["prediction for x = 5"] == pytest.approx(prediction, rel=1e-5)


def test_a_forgotten_zero_grad_shows_after_the_second_step():
    assert play(edu_optim.Adam, broken=True).numbers["yours leaves torch at"].startswith("step 2, ")


@pytest.mark.parametrize("optimizer", [edu_optim.Adam, torch.optim.Adam, edu_optim.rules.adam])
def test_the_experiment_takes_any_adam(optimizer):
    assert play(optimizer).numbers["yours, ours and torch"] == "the same in all 50 steps"


def test_another_optimizer_than_adam_parts_at_the_first_step():
    assert play(torch.optim.SGD).numbers["yours leaves torch at"].startswith("step 1, ")


@pytest.mark.parametrize("lr", [0.3, 3])
def test_the_line_of_a_model_stays_in_its_frame(lr):
    ax = lesson_00.play().at(lr=lr, broken=True).fig.axes[1]
    low, high = ax.get_ylim()
    assert all(low <= height <= high for line in ax.get_lines() for height in line.get_ydata())


@pytest.mark.parametrize("surface", lesson_00.first_race().controls["surface"].options)
def test_the_first_race_is_gradient_descent_and_five_others(surface):
    ax = lesson_00.first_race().at(surface=surface, lr=0.01, step=7).fig.axes[0]
    place = torch.tensor(SURFACES[surface].start, dtype=torch.float64).requires_grad_()
    for _ in range(7):
        (g,) = torch.autograd.grad(SURFACES[surface](place), place)
        place = (place - 0.01 * g).detach().requires_grad_()
    ends = {line.get_label(): line.get_xydata()[-1] for line in ax.get_lines()}
    assert set(lesson_00.SIX) < set(ends)
    assert ends["SGD"] == pytest.approx(place.tolist(), rel=1e-9)


def test_a_step_against_the_gradient_by_hand():
    _, falls, against = lesson_00.hundred_steps(length=0.01)
    errors = [0.67037853 * x + 0.34645085 - 2 * x for x in (1, 2, 3, 4)]
    g = [sum(e * x for e, x in zip(errors, (1, 2, 3, 4), strict=True)) / 2, sum(errors) / 2]
    steepness = (g[0] ** 2 + g[1] ** 2) ** 0.5
    assert against == pytest.approx(0.01 * steepness, rel=0.01)
    assert len(falls) == 100


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        (lambda errors: errors.mean(), "the errors are not squared"),
        (lambda errors: errors.mean().square(), "the mean is squared, not the errors"),
        (lambda errors: errors.square().mean() ** 0.5, "the root of the mean is taken"),
        (lambda errors: errors.square().mean(), None),
    ],
)
def test_wrong_losses_have_names(wrong, name):
    def training_loop(model, optimizer, x, y, epochs):
        for _ in range(epochs):
            optimizer.zero_grad()
            wrong(model(x) - y).backward()
            optimizer.step()

    assert check(training_loop).name == name


def test_two_steps_in_a_round_have_a_name():
    def training_loop(model, optimizer, x, y, epochs):
        for _ in range(epochs):
            optimizer.zero_grad()
            ((model(x) - y) ** 2).mean().backward()
            for _ in range(2):
                optimizer.step()

    assert check(training_loop).name == "two steps in every round"


@pytest.mark.parametrize("numbers", ["[1], [2], [3], [5]", "[1.5], [2], [3], [4]"])
def test_whole_numbers_and_others_may_be_put_in(numbers):
    names = LESSON.run("imports", "new-model", "train")
    exec(LESSON.sources["data"].replace("[1], [2], [3], [4]", numbers), names)
    names |= LESSON.run("first-training", "predict-five", **names)
    assert names["answer"](names["trained"], 6) > names["answer"](names["trained"], 5.5)
    assert names["losses"][-1] < names["losses"][0]


def test_a_prediction_without_the_bias_has_a_name():
    names = LESSON.run("imports", "data", "new-model", "train")

    def prediction_after(epochs):
        model = names["new_model"]()
        names["train"](model, torch.optim.Adam(model.parameters(), lr=0.01), epochs)
        return model.weight.item() * 5

    assert check(prediction_after).name == "the bias is left out"


def test_a_prediction_in_a_tensor_has_a_name():
    names = LESSON.run("imports", "data", "new-model", "train")

    def prediction_after(epochs):
        model = names["new_model"]()
        names["train"](model, torch.optim.Adam(model.parameters(), lr=0.01), epochs)
        return model(torch.tensor([[5.0]]))

    assert check(prediction_after).name == "the answer is in a tensor or an array, not a plain number"


@pytest.mark.parametrize(
    ("distance", "name"),
    [(0.1, "that is the length of the first step alone"), (0.4, "that is how far four steps go with zero_grad")],
)
def test_a_distance_of_one_step_is_told_from_four_equal_ones(distance, name):
    assert check(lambda: distance, like="distance_without_zero_grad").name == name


def in_parts(model, optimizer, x, y, epochs):
    for _ in range(epochs):
        optimizer.zero_grad()
        for size in (1, len(x) - 1):
            (((model(x[:size]) - y[:size]) ** 2).sum() / len(y)).backward()
            x, y = x.roll(-size, 0), y.roll(-size, 0)
        optimizer.step()


def without_the_bias(model, optimizer, x, y, epochs):
    for _ in range(epochs):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(x @ model.weight.T, y).backward()
        optimizer.step()


def twice_backward(model, optimizer, x, y, epochs):
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward(retain_graph=True)
        loss.backward()
        optimizer.step()


def asked_once(model, optimizer, x, y, epochs):
    prediction = model(x)
    for _ in range(epochs):
        loss = torch.nn.functional.mse_loss(prediction, y)
        optimizer.zero_grad()
        loss.backward(retain_graph=True)
        optimizer.step()


def moved_by_hand(model, optimizer, x, y, epochs):
    for _ in range(epochs):
        model.zero_grad()
        torch.nn.functional.mse_loss(model(x), y).backward()
        for p in model.parameters():
            p.data -= 0.3 * p.grad


def with_a_model_of_its_own(model, optimizer, x, y, epochs):
    model = LESSON.run("imports", "new-model")["new_model"]()
    for _ in range(epochs):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()


def on_the_points_of_the_lesson(model, optimizer, x, y, epochs):
    names = LESSON.run("imports", "data", "train")
    names["train"](model, optimizer, epochs)


def towards_twice_x(model, optimizer, x, y, epochs):
    for _ in range(epochs):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(x), x + x).backward()
        optimizer.step()


def a_fourth_of_the_sum(model, optimizer, x, y, epochs):
    for _ in range(epochs):
        optimizer.zero_grad()
        ((model(x) - y) ** 2 / 4).sum().backward()
        optimizer.step()


def asked_again_after_the_step(model, optimizer, x, y, epochs):
    for _ in range(epochs):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
        torch.nn.functional.mse_loss(model(x), y).backward()


@pytest.mark.parametrize("loop", [in_parts, asked_again_after_the_step])
def test_what_is_too_much_is_added_up_or_unused(loop):
    verdict = check(loop, like="training_loop")
    assert verdict.passed and "the passes add up to it, or what is too much goes unused" in verdict.text


def test_a_loop_for_a_line_alone_does_not_pass():
    def training_loop(model, optimizer, x, y, epochs):
        for _ in range(epochs):
            optimizer.zero_grad()
            ((model.weight * x + model.bias - y) ** 2).mean().backward()
            optimizer.step()

    verdict = check(training_loop)
    assert not verdict.passed and "has no attribute 'weight'" in verdict.text


@pytest.mark.parametrize(
    ("loop", "name", "difference"),
    [
        (on_the_points_of_the_lesson, "the data of the lesson, whatever the call passes", ("-2.86", "-0.1071")),
        (towards_twice_x, "the truth is taken to be 2 * x, whatever y is", ("0.02711", "0.1071")),
        (a_fourth_of_the_sum, "the sum is divided by 4, however many examples there are", ("-1.466", "-1.954")),
        (in_parts, "there are more backward passes than steps", ("more than steps", "as many as steps")),
        (without_the_bias, "the bias has no part in the prediction", ("0", "-5.955")),
        (twice_backward, "every gradient is twice the right one", ("-36.42", "-18.21")),
        (asked_once, "the model is asked once, before the loop", ("-5.955", "-4.925")),
        (with_a_model_of_its_own, "at every step the gradient is empty", ("nothing", "[-18.21, -5.955]")),
        (moved_by_hand, "something else than the optimizer that was passed moves the model", ("0", "5")),
    ],
)
def test_unusual_loops_have_names(loop, name, difference):
    verdict = check(loop, like="training_loop")
    assert (verdict.name, verdict.difference[1:]) == (name, difference)
    assert verdict.passed == (loop is in_parts)
