"""Pictures: they draw what they are given, and say what they draw."""

import inspect
import itertools
import math
import struct

import matplotlib
import numpy
import pytest
import torch

import edu_optim
from edu_optim import Sweep, Trace, descend, plot, problems, sweep


def trace(name="Adam", values=(4.0, 2.0, 1.0)):
    points = torch.tensor([[value, -value] for value in values])
    return Trace(name, points, torch.tensor(values))


BATCH = Trace("Adam", torch.arange(12.0).reshape(3, 2, 2), torch.tensor([[9.0, 8.0], [3.0, 4.0], [1.0, 2.0]]))


def drawn(line):
    return [pair.tolist() for pair in line.get_xydata()]


def test_every_optimizer_has_a_color_a_dash_and_a_marker_of_its_own():
    classes = {name for name, cls in inspect.getmembers(edu_optim, inspect.isclass) if hasattr(cls, "step")}
    assert classes - {"RuleOptimizer"} <= plot.LOOKS.keys()
    looks = [plot.look(name) for name in plot.LOOKS]
    for one, other in itertools.combinations(looks, 2):
        assert all(one[key] != other[key] for key in ("color", "linestyle", "marker"))


@pytest.mark.parametrize("name", ["mine", "LBFGS", "NAG", ""])
def test_an_optimizer_that_is_not_known_has_a_look_that_stays_and_no_known_one_has(name):
    assert plot.look(name) == plot.look(name)
    assert plot.look(name) not in [plot.look(known) for known in plot.LOOKS]


@pytest.mark.parametrize(
    "problem", [problems.rosenbrock, problems.himmelblau, problems.six_hump_camel], ids=lambda problem: problem.name
)
def test_a_contour_fills_the_window_with_levels_closest_near_the_minima_and_marks_those(problem):
    fig, ax = plot.figure()
    plot.contour(ax, problem, levels=9, points=51)
    (levels,) = ax.collections
    (marks,) = ax.get_lines()
    lowest = problem(torch.tensor(problem.minima[0], dtype=torch.float64)).item()
    gaps = numpy.diff(levels.levels)
    assert len(levels.levels) == 9 and levels.levels[0] > lowest and (numpy.diff(gaps) > 0).all()
    assert all(len(path.vertices) for path in levels.get_paths()[1:])
    assert numpy.array_equal(marks.get_xydata(), problem.minima) and marks.get_linestyle() == "None"
    assert (ax.get_xlim(), ax.get_ylim()) == problem.window
    assert ax.get_title().lower() == problem.name.lower()
    for level, path in zip(levels.levels, levels.get_paths(), strict=True):
        if len(path.vertices):
            on_line = problem(torch.tensor(path.vertices[path.codes != path.CLOSEPOLY]))
            assert on_line.median().item() == pytest.approx(level, rel=0.1, abs=0.5)


def test_a_path_is_the_points_of_its_trace_in_the_look_of_its_optimizer():
    fig, ax = plot.figure()
    plot.paths(ax, trace("SGD"), BATCH, every=2)
    one, first, second = ax.get_lines()
    assert drawn(one) == trace().points.tolist()
    assert [drawn(first), drawn(second)] == BATCH.points.transpose(0, 1).tolist()
    assert one.get_markevery() == 2
    for line, name in [(one, "SGD"), (first, "Adam"), (second, "Adam")]:
        assert line.get_color() == plot.look(name)["color"] and line.get_marker() == plot.look(name)["marker"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["SGD", "Adam"]


def test_the_losses_are_drawn_against_the_step_and_named_once_at_their_ends():
    fig, ax = plot.figure()
    plot.losses(ax, trace("SGD", (4.0, 3.0, 2.0)), BATCH)
    assert [drawn(line) for line in ax.get_lines()] == [
        [[0, 4], [1, 3], [2, 2]],
        [[0, 9], [1, 3], [2, 1]],
        [[0, 8], [1, 4], [2, 2]],
    ]
    assert ax.get_yscale() == "log" and ax.get_xlabel() == "step"
    assert {text.get_text(): text.get_color() for text in ax.texts} == {
        name: plot.look(name)["color"] for name in ("SGD", "Adam")
    }


def test_names_at_the_ends_stand_in_the_order_of_the_lines_and_do_not_overlap():
    fig, ax = plot.figure()
    plot.losses(ax, *[trace(name, (9.0, end)) for name, end in [("SGD", 1.02), ("Adam", 1.0), ("AdamW", 1.01)]])
    fig.draw_without_rendering()
    boxes = {text.get_text(): text.get_window_extent() for text in ax.texts}
    assert boxes["Adam"].y1 <= boxes["AdamW"].y0 + 1 and boxes["AdamW"].y1 <= boxes["SGD"].y0 + 1


@pytest.fixture
def shown(monkeypatch):
    displayed = []
    monkeypatch.setattr("edu_optim.plot.text.display", lambda data, **options: displayed.append((data, options)))
    return displayed


@pytest.mark.parametrize("cls, lr", [(edu_optim.SGD, 1.5), (torch.optim.SGD, 0.25)])
def test_a_descent_that_explodes_is_drawn_and_named_too(shown, cls, lr):
    exploded = descend(problems.booth, cls, 600, lr=lr)
    assert not exploded.losses[-1].isfinite()
    fig, ax = plot.figure()
    plot.losses(ax, exploded, descend(problems.booth, edu_optim.Adam, 600, lr=0.1))
    plot.show(fig, "one descent explodes and the other converges")
    assert {text.get_text() for text in ax.texts} == {"SGD", "Adam"}
    for text in ax.texts:
        assert numpy.isfinite(text.get_window_extent().extents).all()


def test_a_loss_of_exactly_zero_is_drawn_on_the_logarithmic_scale(shown):
    fig, ax = plot.figure()
    plot.losses(ax, trace(values=(4.0, 0.0, 0.0)))
    plot.show(fig, "a loss that reaches zero at once")
    assert "(0, 4) (1, 0) (2, 0)" in shown[0][0]["text/plain"]


def test_a_figure_is_shown_as_a_picture_with_its_text(shown):
    fig, ax = plot.figure(width=4, height=3)
    ax.plot([0, 1], [2, 3])
    alt = "A line that goes up."
    plot.show(fig, alt)
    ((data, options),) = shown
    png = data.pop("image/png")
    assert png[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", png[16:24]) == (4 * 144, 3 * 144)
    assert data == {"text/plain": f"{alt}\n{plot.describe(fig)}"}
    assert options == {"metadata": {"image/png": {"width": 288, "height": 216, "alt": alt}}, "raw": True}


def test_the_text_of_what_this_machine_measured_is_its_sentence_alone(shown):
    fig, ax = plot.figure()
    ax.plot([0, 1], [2, 3])
    plot.show(fig, "A line that goes up.", numbers=False)
    assert shown[0][0]["text/plain"] == "A line that goes up." and shown[0][0]["image/png"]


@pytest.mark.parametrize("alt", ["", "Loss", "the loss goes down", None, 3])
def test_a_figure_without_a_sentence_is_not_shown(shown, alt):
    with pytest.raises(ValueError, match="alt must be a sentence that says what the figure shows") as error:
        plot.show(plot.figure()[0], alt)
    assert repr(alt) in str(error.value) and not shown


def test_figures_come_in_the_style_of_the_course_and_pyplot_keeps_none():
    fig, axes = plot.figure(columns=2, rows=3, sharex=True)
    assert axes.shape == (3, 2) and fig.get_size_inches().tolist() == [9.0, 3 * 3.6]
    assert fig.dpi == plot.DENSITY and not axes[0, 0].spines["top"].get_visible()
    assert matplotlib._pylab_helpers.Gcf.figs == {}


def grid(value):
    return numpy.array([[1.0, 2.0], [3.0, value]])


DRAWINGS = {
    "line": lambda ax, value: ax.plot([0, 1, value]),
    "label": lambda ax, value: ax.plot([0, 1], label=f"line {value}"),
    "marks": lambda ax, value: ax.scatter([0, 1], [0, value]),
    "colored marks": lambda ax, value: ax.scatter([0, 1], [0, 1], c=[0, value]),
    "levels": lambda ax, value: ax.contour(grid(9), levels=[2, value]),
    "filled levels": lambda ax, value: ax.contourf(grid(9), levels=[2, value, 9]),
    "mesh": lambda ax, value: ax.pcolormesh(grid(value)),
    "image": lambda ax, value: ax.imshow(grid(value)),
    "bars": lambda ax, value: ax.bar([1, 2], [1, value]),
    "band": lambda ax, value: ax.fill_between([0, 1], [0, 1], [1, value]),
    "arrow": lambda ax, value: ax.annotate("", xy=(value, 1), xytext=(0, 0), arrowprops={"arrowstyle": "->"}),
    "text": lambda ax, value: ax.text(0, 0, f"a = {value}"),
    "title": lambda ax, value: ax.set_title(f"a = {value}"),
    "axis": lambda ax, value: ax.set_xlabel(f"a = {value}"),
    "limit": lambda ax, value: ax.set_xlim(0, value),
    "level line": lambda ax, value: ax.axhline(value),
    "histogram": lambda ax, value: ax.hist([1, 2, value]),
    "scale": lambda ax, value: ax.set_xscale("log" if value > 5 else "linear"),
}


def described(draw, value):
    fig, ax = plot.figure()
    draw(ax, value)
    return plot.describe(fig)


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_the_text_of_a_figure_follows_what_is_drawn(draw):
    assert described(draw, 5.0) == described(draw, 5.0)
    assert described(draw, 5.0) != described(draw, 5.5)


@pytest.mark.parametrize("moved", range(21))
def test_no_point_of_a_line_moves_unnoticed(moved):
    points = numpy.linspace(1, 5, 21)
    changed = points.copy()
    changed[moved] += 1
    limits = {"xlim": (0, 20), "ylim": (0, 10)}
    assert described(lambda ax, y: ax.set(**limits) + ax.plot(y), points) != described(
        lambda ax, y: ax.set(**limits) + ax.plot(y), changed
    )


@pytest.mark.parametrize(
    "points",
    [problems.himmelblau.minima, [(-1.0, 1e-17), (0.1 + 0.2 - 0.3, 1.0), (1.0, -1.0)]],
    ids=["mean", "points"],
)
def test_rounding_does_not_show_in_the_text(points):
    fig, ax = plot.figure()
    ax.plot(*zip(*points, strict=True), "o")
    ax.scatter(*zip(*points, strict=True))
    assert "e-" not in plot.describe(fig)


def test_points_that_are_no_numbers_are_described_as_missing():
    assert "(1, --)" in described(lambda ax, y: ax.plot([1.0, y, 3.0]), math.nan)


def test_each_panel_is_described_with_its_title_labels_limits_and_scale():
    fig, (left, right) = plot.figure(columns=2)
    left.set(title="Losses", xlabel="step", ylabel="loss, log scale", yscale="log", xlim=(0, 9), ylim=(0.1, 10))
    right.set(xscale="log", xlim=(1, 1000), ylim=(-1, 1))
    assert plot.describe(fig).split("\n") == [
        "panel 1 Losses: step from 0 to 9; loss, log scale from 0.1 to 10",
        "panel 2: x from 1 to 1e+03, log scale; y from -1 to 1",
    ]


@pytest.mark.parametrize(
    ("label", "scale", "said"),
    [
        ("loss", "linear", "loss from 1 to 2"),
        ("loss", "log", "loss from 1 to 2, log scale"),
        ("loss, log scale", "log", "loss, log scale from 1 to 2"),
        ("loss, log scale", "linear", "loss, log scale from 1 to 2, linear scale"),
    ],
)
def test_a_scale_that_its_label_does_not_say_is_told(label, scale, said):
    fig, ax = plot.figure()
    ax.set(ylabel=label, yscale=scale, ylim=(1, 2))
    assert plot.describe(fig).endswith(f"; {said}")


# Maps of sweeps.


def landed(minimum, arrival):
    """A sweep over Himmelblau's window that has ended as told."""
    minimum, arrival = torch.tensor(minimum), torch.tensor(arrival)
    return Sweep("SGD", {}, torch.zeros(*minimum.shape, 2), torch.zeros(minimum.shape), minimum, arrival)


def basin_map(found, problem=problems.himmelblau):
    fig, ax = plot.figure()
    plot.basins(ax, problem, found)
    return fig, ax, ax.get_images()[0]


def test_a_basin_has_the_color_of_its_minimum_full_where_fast_pale_where_slow_and_gray_where_there_is_none():
    _, ax, image = basin_map(landed([[0, 1, 1], [3, -1, 0]], [[4, 4, 90], [20, -1, 90]]))
    rgb = image.get_array()
    full = [numpy.array(matplotlib.colors.to_rgb(color)) for color, _ in plot.BASINS]
    pale = [0.5 + 0.5 * color for color in full]
    for place, expected in {(0, 0): full[0], (0, 1): full[1], (0, 2): pale[1], (1, 2): pale[0]}.items():
        assert rgb[place].tolist() == pytest.approx(expected.tolist())
    assert tuple(rgb[1, 1]) == pytest.approx(matplotlib.colors.to_rgb(plot.NOWHERE))
    assert (rgb[1, 0] > full[3]).all() and (rgb[1, 0] < pale[3]).all()
    marks = [line for line in ax.get_lines() if line.get_label()[1:2] == ":"]
    assert [tuple(line.get_xydata()[0]) for line in marks] == [*problems.himmelblau.minima]
    assert [matplotlib.colors.to_rgb(line.get_color()) for line in marks] == [tuple(color) for color in full[:4]]
    assert [text.get_text() for text in ax.texts] == [*"ABCD"] and len({line.get_marker() for line in marks}) == 4


def test_each_start_is_the_middle_of_its_pixel_and_the_map_is_that_of_the_descents():
    found = sweep(problems.himmelblau, edu_optim.SGD, 80, problems.himmelblau.grid(12, 9), lr=0.005)
    fig, ax, image = basin_map(found)
    assert image.origin == "lower"
    for row, column in itertools.product(range(9), range(12)):
        x, y = problems.himmelblau.grid(12, 9)[row, column].tolist()
        x0, x1, y0, y1 = image.get_extent()
        assert int((y - y0) / (y1 - y0) * 9) == row and int((x - x0) / (x1 - x0) * 12) == column
    for index, (x, y) in enumerate(problems.himmelblau.minima):  # a start near a minimum leads to it
        row, column = round((y + 5) / 10 * 8), round((x + 5) / 10 * 11)
        assert found.minimum[row, column] == index
    assert (ax.get_xlim(), ax.get_ylim()) == problems.himmelblau.window


def test_a_basin_map_says_in_numbers_how_large_each_basin_is_where_it_lies_and_how_long_it_takes():
    fig, _, image = basin_map(landed([[0, 0, 0], [0, 2, -1]], [[4, 4, 8], [8, 30, -1]]))
    assert image.get_label() == (
        "basins of 2 x 3 starts: A from 66.7 %, mean start (-1.25, -2.5), 6 steps; "
        "C from 16.7 %, mean start (0, 5), 30 steps; no minimum from 16.7 %, mean start (5, 5)"
    )
    assert image.get_label() in plot.describe(fig)
    said = [text.get_text() for text in fig.axes[0].get_legend().get_texts()]
    assert said[0] == "A: 66.7 % of the starts" and said[-3:-1] == ["full: 4 steps or fewer", "pale: 28 steps or more"]


def test_a_basin_map_where_nothing_arrives_is_gray():
    _, ax, image = basin_map(landed([[-1, -1], [-1, -1]], [[-1, -1], [-1, -1]]))
    assert len(numpy.unique(image.get_array())) == 1
    assert [text.get_text() for text in ax.get_legend().get_texts()][4:] == ["gray: at no minimum"]


def test_a_basin_map_tells_what_has_diverged_from_what_is_at_no_minimum():
    found = landed([[0, -1], [-1, -1]], [[4, -1], [-1, -1]])
    found.losses[1] = torch.tensor([torch.nan, torch.inf])
    _, ax, image = basin_map(found)
    gray, black = (matplotlib.colors.to_rgb(color) for color in (plot.NOWHERE, plot.BLACK))
    assert [tuple(rgb) for rgb in (*image.get_array()[0, 1:], *image.get_array()[1])] == [gray, black, black]
    assert [text.get_text() for text in ax.get_legend().get_texts()][-2:] == ["gray: at no minimum", "black: diverged"]
    assert "no minimum from 25 %, mean start (5, -5); diverged from 50 %, mean start (0, 5)" in image.get_label()


def test_a_basin_map_needs_a_sweep_over_rows_and_columns_and_not_too_many_minima():
    with pytest.raises(ValueError, match=r"sweep must be over starts \[rows, columns\].* got \[3\]"):
        basin_map(landed([0, 1, 2], [1, 1, 1]))
    many = problems.surface("many", minima=((0, 0),) * 8, window=((-1, 1), (-1, 1)), start=(0, 0))(lambda x, y: x)
    with pytest.raises(ValueError, match="problem must have 1 to 7 minima, got 8"):
        basin_map(landed([[0, 1], [2, 3]], [[1, 1], [1, 1]]), many)


LR, KEPT = torch.tensor([0.01, 0.1, 1.0, 10.0]), torch.tensor([0.0, 0.4, 0.8])
VALUES = torch.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, math.nan], [math.inf, 1e101, 100]])


def heat_map(values=VALUES, x=LR, y=KEPT, **options):
    fig, ax = plot.figure()
    plot.heat(ax, x, y, values, "loss", **options)
    return fig, ax, ax.collections[0]


def test_a_heat_map_shows_each_value_at_its_settings_and_hatches_what_diverged():
    fig, ax, mesh = heat_map()
    fig.draw_without_rendering()
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")
    corners = mesh.get_coordinates()  # [row, column, 2]
    for i, j in itertools.product(range(4), range(3)):
        (x0, y0), (x1, y1) = corners[j, i], corners[j + 1, i + 1]
        assert (x0 * x1) ** 0.5 == pytest.approx(LR[i].item()) and (y0 + y1) / 2 == pytest.approx(KEPT[j].item())
        shown = mesh.get_array()[j, i]
        assert shown is numpy.ma.masked if not VALUES[i, j] < 1e100 else shown == VALUES[i, j].item()
    assert isinstance(mesh.norm, matplotlib.colors.LogNorm) and (mesh.norm.vmin, mesh.norm.vmax) == (1, 100)
    assert ax.patches[0].get_hatch() and [text.get_text() for text in ax.texts] == ["diverged"]
    assert mesh.colorbar.ax.get_ylabel() == "loss" and mesh.get_cmap().name == "cividis"


@pytest.mark.parametrize(
    "values, low, high",
    [([[0, 1e-30], [1, 2]], 2e-12, 2), ([[0, 0], [0, 0]], 1e-12, 1), ([[3, 3], [3, 3]], 3, 30)],
    ids=["over twelve powers", "only zeros", "all alike"],
)
def test_logarithmic_colors_reach_down_twelve_powers_of_ten_and_zero_is_not_missing(values, low, high):
    fig, ax, mesh = heat_map(torch.tensor(values, dtype=torch.float64), LR[:2], KEPT[:2])
    fig.draw_without_rendering()
    assert (mesh.norm.vmin, mesh.norm.vmax) == pytest.approx((low, high), rel=1e-6)
    assert not numpy.ma.getmaskarray(mesh.get_array()).any() and not ax.patches


def test_a_heat_map_can_be_linear_and_says_all_when_everything_diverged():
    assert type(heat_map(-VALUES[:3, :2], LR[:3], KEPT[:2], scale="linear")[2].norm) is matplotlib.colors.Normalize
    fig, ax, _ = heat_map(torch.full((4, 3), math.nan))
    fig.draw_without_rendering()
    assert [text.get_text() for text in ax.texts] == ["diverged"] and "100 % missing" in plot.describe(fig)


def test_the_text_of_a_heat_map_follows_the_map():
    values = torch.arange(81.0).reshape(9, 9) + 1
    axis = torch.linspace(1, 9, 9)
    said = {plot.describe(heat_map(changed, axis, axis)[0]) for changed in (values, values.T, values.flip(0))}
    assert len(said) == 3 and all("; loss; 0 % missing; medians of ninths" in text for text in said)
    assert plot.describe(heat_map(values, axis, axis)[0]).endswith("from below: 11 38 65, 14 41 68, 17 44 71")


@pytest.mark.parametrize(
    "change, words",
    [
        ({"values": VALUES.T}, "values must be [n, m] over x [n] and y [m], with n and m above 1, got [3, 4] over"),
        ({"values": VALUES[:, :1], "y": KEPT[:1]}, "with n and m above 1, got [4, 1] over [4] and [1]"),
        ({"values": -VALUES}, "values must be >= 0 on a logarithmic scale, got -100"),
        ({"scale": "sqrt"}, "scale must be 'log' or 'linear', got 'sqrt'"),
    ],
    ids=lambda value: None,
)
def test_a_heat_map_that_cannot_be_drawn_is_refused(change, words):
    with pytest.raises(ValueError) as error:
        heat_map(**change)
    assert words in str(error.value)
