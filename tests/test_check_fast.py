"""The exercises of lesson 12: an executor, a count of launches, a probe for what is elementwise."""

import pytest
import torch
from test_execute import launches

from edu_optim import Adam, rules
from edu_optim.check import check
from edu_optim.execute import EXECUTORS, compiled, multi_tensor, per_tensor
from edu_optim.exercises import EXERCISES, elementwise, lesson_12
from edu_optim.exercises.lesson_12 import concatenated


def measured(rule, tensors, run):
    """The launches of one step on so many tensors, as a reader may count who would rather measure."""
    return launches(EXECUTORS[run], getattr(rules, rule), tensors)


# A fourth executor


def by_counting_on(rule, columns, hyper):
    long = [torch.cat([x.reshape(-1) for x in column]) for column in columns]
    parameters, _, *buffers = columns
    for column, new in zip((parameters, *buffers), rule(*long, **hyper), strict=True):
        begin = 0
        for old in column:
            end = begin + old.numel()
            old[...] = new[begin:end].reshape(old.shape)
            begin = end


def by_indices(run_rule, lists, numbers):
    results = list(run_rule(*map(lambda column: torch.cat(list(map(torch.ravel, column))), lists), **numbers))
    results.insert(1, None)
    for index in (i for i in range(len(lists)) if i != 1):
        parts = torch.split(results[index], [tensor.numel() for tensor in lists[index]])
        torch._foreach_copy_(lists[index], [part.view(x.shape) for part, x in zip(parts, lists[index], strict=True)])


def through_data(rule, columns, hyper):
    with torch.no_grad():
        rows = torch.stack([torch.hstack([x.detach().flatten() for x in column]) for column in columns])
        news = rule(*rows, **hyper)
    written = columns[:1] + columns[2:]
    for k in range(len(news)):
        remaining = news[k]
        for old in written[k]:
            old.data.copy_(remaining[: old.numel()].unflatten(0, old.shape) if old.ndim else remaining[0])
            remaining = remaining[old.numel() :]
    return "done"


@pytest.mark.parametrize("answer", [by_counting_on, by_indices, through_data])
def test_an_executor_that_is_written_differently_is_correct(answer):
    assert check(answer, like="concatenated").kind == "correct", check(answer, like="concatenated")


def test_the_executors_of_the_course_are_not_what_is_asked():
    for answer, name in {per_tensor: "the rule is run tensor by tensor", multi_tensor: "the rule gets lists"}.items():
        assert check(answer, like="concatenated").name == name
    assert not check(compiled, like="concatenated").passed


def test_launches_that_grow_are_counted_for_the_reader():
    def list_by_list(rule, columns, hyper):
        for arguments in zip(*columns, strict=True):
            multi_tensor(rule, [[tensor] for tensor in arguments], hyper)

    for answer in (per_tensor, list_by_list):
        text = check(answer, like="concatenated").text
        assert "the launches of arithmetic that one more tensor costs your answer in momentum: yours 5, right 0" in text


def assigns(rule, columns, hyper):
    new = rule(*[torch.cat([x.flatten() for x in column]) for column in columns], **hyper)
    for column, results in zip([columns[0], *columns[2:]], new, strict=True):
        parts = results.split([x.numel() for x in column])
        for k, part in enumerate(parts):
            column[k] = part.view_as(column[k])


def views_the_old(rule, columns, hyper):
    new = rule(*[torch.cat([x.flatten() for x in column]) for column in columns], **hyper)
    for old, part in zip(columns[0], new[0].split([x.numel() for x in columns[0]]), strict=True):
        old.view(-1).copy_(part)


def without_shapes(rule, columns, hyper):
    new = rule(*[torch.cat([x.flatten() for x in column]) for column in columns], **hyper)
    for old, part in zip(columns[0], new[0].split([x.numel() for x in columns[0]]), strict=True):
        old.copy_(part)


def test_results_put_into_the_list_reach_no_tensor():
    assert check(assigns, like="concatenated").name == "no tensor of the model has changed"


@pytest.mark.parametrize("answer", [views_the_old, without_shapes])
def test_an_executor_that_torch_stops_is_shown_its_line(answer):
    verdict = check(answer, like="concatenated")
    assert verdict.kind == "error" and f"in {answer.__name__}, line" in verdict.text and "copy_(part)" in verdict.text


def backwards(rule, columns, hyper):
    concatenated(rule, [column[::-1] for column in columns], hyper)
    columns[0][0].add_(1e-3)


def in_double(rule, columns, hyper):
    long = [torch.cat([x.flatten() for x in column]).double() for column in columns]
    for old, new in zip([columns[0], *columns[2:]], rule(*long, **hyper), strict=True):
        for x, part in zip(old, new.split([x.numel() for x in old]), strict=True):
            x.copy_(part.view_as(x))


def half_of_it(rule, columns, hyper):
    for part in (slice(0, 2), slice(2, None)):
        if columns[0][part]:
            concatenated(rule, [column[part] for column in columns], hyper)


def test_an_executor_that_works_in_float64_is_told_so():
    assert check(in_double, like="concatenated").name == "the long tensors are in float64"


def test_an_unknown_mistake_in_an_executor_is_not_yet_and_without_a_name():
    verdict = check(backwards, like="concatenated")
    assert (verdict.kind, verdict.name) == ("unknown", None)
    assert verdict.difference[0] == "gradient_descent, step 1: parameter 1"
    assert not check(half_of_it, like="concatenated").passed


def test_adam_runs_by_the_right_answer_as_by_every_other():
    ends = []
    for run in ("per_tensor", concatenated):
        parameters = [torch.tensor(2.0, requires_grad=True), torch.ones(3, 2).T.requires_grad_()]
        optimizer = Adam(parameters, lr=0.1, run=run)
        for _ in range(5):
            for p in parameters:
                p.grad = p.detach() ** 2
            optimizer.step()
        ends.append(parameters)
    torch.testing.assert_close(*ends, rtol=1e-6, atol=0)


# Launches


def test_the_counts_that_are_asked_for_are_those_of_the_executors():
    asked = list(EXERCISES["launches"].observe(lambda *given: given))
    assert len(asked) == 6
    for _, given in asked:
        assert lesson_12.launches(*given) == measured(*given)


def count_of_lines(rule, tensors, run):
    signs = {"nesterov": [2, 4], "rmsprop_momentum": [4, 5, 2]}[rule]
    writes = {"nesterov": 2, "rmsprop_momentum": 3}[rule]
    return float(sum(signs) + writes) * {"per_tensor": tensors, "multi_tensor": 1}[run]


@pytest.mark.parametrize("answer", [measured, count_of_lines])
def test_counts_that_are_worked_out_differently_are_correct(answer):
    assert check(answer, like="launches").kind == "correct"


def test_a_wrong_count_is_told_on_which_side_it_is_and_no_more():
    verdict = check(lambda rule, tensors, run: tensors, like="launches")
    assert (
        verdict.name is None and verdict.text == "not yet\nlaunches('nesterov', 1, 'per_tensor'): yours 1, right higher"
    )


# What is elementwise


def with_matrices_of_one(step):
    p, g = torch.rand(3, 4), torch.rand(3, 4)
    whole = step(p, g)
    places = [(i, j) for i in range(3) for j in range(4)]
    return all(
        torch.equal(whole[i, j], step(p[i : i + 1, j : j + 1], g[i : i + 1, j : j + 1])[0, 0]) for i, j in places
    )


def by_disturbing(step, places):
    p, g = torch.linspace(-1, 1, 12).view(4, 3), torch.arange(12.0).view(4, 3).cos()
    factors = [1 - 3 * (torch.arange(12) == place).view(4, 3) for place in places]
    pairs = [pair for factor in factors for pair in ((p, factor * g), (factor * p, g))]
    return all(int((step(p, g) != step(*pair)).sum()) == 1 for pair in pairs)


def by_disturbing_each(step):
    return by_disturbing(step, range(12))


def by_disturbing_one(step):
    return by_disturbing(step, [4])


def by_slopes(step):
    p, g = torch.ones(2, 2), torch.ones(2, 2)
    slopes = [each.view(4, 4) for each in torch.autograd.functional.jacobian(step, (p, g))]
    return all(torch.allclose(slope, slope.diag().diag(), atol=1e-6) for slope in slopes)


def by_vmap(step):
    p, g = torch.randn(2, 3), torch.randn(2, 3)
    return torch.allclose(torch.vmap(torch.vmap(step))(p, g), step(p, g))


@pytest.mark.parametrize("answer", [with_matrices_of_one, by_disturbing_each, by_slopes, by_vmap])
def test_a_probe_that_is_written_differently_is_correct(answer):
    assert check(answer, like="is_elementwise").kind == "correct", check(answer, like="is_elementwise")


def shuffles_a_vector(step):
    p, g, order = torch.randn(8), torch.randn(8), torch.randperm(8)
    return torch.allclose(step(p, g)[order], step(p[order], g[order]))


def flips(step):
    p, g = torch.randn(3, 2), torch.randn(3, 2)
    return torch.allclose(step(p.flip(0), g.flip(0)).flip(0), step(p, g))


def rows_in_a_loop(step):
    p, g = torch.randn(3, 5), torch.randn(3, 5)
    return all(torch.allclose(step(p, g)[i : i + 1], step(p[i : i + 1], g[i : i + 1])) for i in range(3))


def columns_in_a_loop(step):
    p, g = torch.randn(3, 5), torch.randn(3, 5)
    return all(torch.allclose(step(p, g)[:, j : j + 1], step(p[:, j : j + 1], g[:, j : j + 1])) for j in range(5))


def columns_as_vectors(step):
    p, g = torch.randn(3, 5), torch.randn(3, 5)
    return torch.allclose(torch.stack([step(a, b) for a, b in zip(p.T, g.T, strict=True)], 1), step(p, g))


def rows_as_vectors(step):
    p, g = torch.randn(3, 5), torch.randn(3, 5)
    return torch.allclose(torch.stack([step(a, b) for a, b in zip(p, g, strict=True)]), step(p, g))


def starts_with_no_gradient(step):
    p, g = torch.randn(3, 2), torch.zeros(3, 2)
    return torch.allclose(step(p, g).flatten(), torch.cat([step(p[i, j], g[i, j]).view(1) for i, j in PLACES]))


def cuts_off_a_row_and_a_column(step):
    p, g = torch.randn(3, 4), torch.randn(3, 4)
    parts = [(slice(1, None), slice(None)), (slice(None), slice(1, None))]
    return all(torch.allclose(step(p, g)[part], step(p[part], g[part])) for part in parts)


PLACES = [(i, j) for i in range(3) for j in range(2)]
PROBES = {
    shuffles_a_vector: "the elements are only moved about",
    flips: "the elements are only moved about",
    rows_in_a_loop: "steps that mix the elements of a row pass",
    columns_in_a_loop: "steps that mix the elements of a column pass",
    rows_as_vectors: "steps that mix the elements of a row pass",
    columns_as_vectors: "steps that mix the elements of a column pass",
    by_disturbing_one: "a step whose elements feel only the first passes",
    cuts_off_a_row_and_a_column: "a step whose elements feel the one to their right passes",
}


@pytest.mark.parametrize(("answer", "name"), PROBES.items())
def test_a_probe_that_misses_something_is_named(answer, name):
    assert check(answer, like="is_elementwise").name == name


def by_the_transpose(step):
    p, g = torch.randn(3, 2), torch.randn(3, 2)
    return torch.allclose(step(p.T, g.T).T, step(p, g))


def keeps_a_corner(step):
    p, g = torch.randn(4, 4), torch.randn(4, 4)
    return torch.allclose(step(p, g)[:2, :2], step(p[:2, :2], g[:2, :2]))


@pytest.mark.parametrize("answer", [by_the_transpose, starts_with_no_gradient, keeps_a_corner, lambda step: False])
def test_an_unknown_probe_is_not_yet_and_says_which_step_was_judged_wrongly(answer):
    verdict = check(answer, like="is_elementwise")
    assert (verdict.kind, verdict.name) == ("unknown", None)
    assert verdict.difference[0].startswith("for ") and verdict.difference[0].endswith(" your answer")


def test_a_probe_without_a_return_is_told_so():
    def is_elementwise(step):
        step(torch.ones(2), torch.ones(2))

    assert check(is_elementwise).name == "returns nothing"


def test_the_steps_are_what_they_are_said_to_be():
    p, g = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for number, step in enumerate(elementwise.steps().values()):
        slopes = [each.view(12, 12) for each in torch.autograd.functional.jacobian(step, (p, g))]
        assert all(torch.allclose(slope, slope.diag().diag(), atol=1e-9) for slope in slopes) == (number < 4)
    muon = (p - elementwise.steps()["a toy Muon"](p, g)) / 0.1
    largest = torch.linalg.matrix_norm(muon, 2)  # Newton-Schulz drives all singular values towards 1
    assert 0.9 < largest <= 1 + 1e-9
