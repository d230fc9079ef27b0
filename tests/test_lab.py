"""Experiments as functions: what they draw, what they measure and what they say when something breaks."""

import io
import math

import numpy
import pytest
import torch
from ipywidgets import Widget
from matplotlib import style
from matplotlib.axes import Axes
from PIL import Image

import edu_optim
from edu_optim import lab, problems, race, rules
from edu_optim.lab import Experiment, Player, choice, lesson_01, overlay, rate, rivals, slider, switch
from edu_optim.lab.comparison import as_class
from edu_optim.lab.maps import CURVED, EVEN, LRS, _measured_rates, larger_root
from edu_optim.lab.picture import Picture
from edu_optim.lab.steps import RATE, _dissected
from edu_optim.plot import BLUE, DENSITY, RED, bundle, contour, describe, figure


def valley(ax):
    contour(ax, problems.rosenbrock)


def paths(ax, *, lr, optimizer=None):
    """Paths along Rosenbrock's valley."""
    runs = race(problems.rosenbrock, rivals(edu_optim.Adam, optimizer, lr=lr), steps=20)
    return {"loss": runs[0].losses[-1], **overlay(ax, {run.name: run.points for run in runs})}


def bar(ax, *, level):
    """A bar."""
    if level == 13:
        raise ValueError("level must not be 13")
    ax.plot([0, 0], [0, level], label="bar")
    return {"height": level, "area": level / 2}


def axes_to_twenty(ax):
    ax.set(xlim=(-1, 1), ylim=(0, 20))


def axes_of_each_height(ax, level):
    ax.plot([-1, 1], [1, level + 1], label="ground")
    if level > 8:
        ax.set(title="High", xlabel="m", ylabel="m", yscale="log", ylim=(1e4, 1), yticks=[10, 1000])
        ax.set(xscale="symlog", xlim=(2, -2))
        ax.legend()
    if level == 9:
        ax.set(aspect="equal", yscale="linear")


def pixels(png):
    return numpy.asarray(Image.open(io.BytesIO(png)), dtype=int)


def uncorrected(p, g, m, v, *, t, lr, betas=(0.9, 0.999), eps=1e-8):
    """Adam without its corrections."""
    beta1, beta2 = betas
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    return p - lr * m / (v**0.5 + eps), m, v


def test_a_move_draws_a_new_picture_and_says_what_it_shows():
    experiment = Experiment(bar, axes_to_twenty, level=slider("height", "m", 5, 0, 20))
    before = experiment.image.value
    assert experiment.numbers == {"height": 5, "area": 2.5}
    experiment.controls["level"].value = 8
    assert experiment.text == "height: 8\narea: 4" and str(experiment) == "height (m): 8\nheight: 8\narea: 4"
    assert experiment.image.value != before
    assert "area</th><td>4</td>" in experiment.readout.value and 'role="status"' in experiment.readout.value
    assert experiment.image.tooltip == "A bar." and "description" in experiment.image.get_state()


@pytest.mark.parametrize("ground", [axes_to_twenty, None, axes_of_each_height])
def test_no_move_leaves_anything_behind(ground):
    experiment = Experiment(bar, ground, level=slider("height", "m", 5, 0, 5000))
    first = experiment.image.value
    for height in (20, 3, 13, 5):
        experiment.controls["level"].value = height
    assert experiment.image.value == first
    for height in (9, 5000, 9):  # where the axes follow, the numbers beside them need other room
        experiment.controls["level"].value = height
        fresh = Experiment(bar, ground, level=slider("height", "m", height, 0, 5000))
        assert experiment.image.value == fresh.image.value
        assert describe(experiment.picture.fig) == describe(experiment.at().fig)


@pytest.mark.slow
def test_the_kept_backdrop_is_what_a_fresh_drawing_shows():
    experiment = Experiment(paths, valley, lr=rate("learning rate", "", 0.1, 0.01, 1), optimizer=rules.adam)
    experiment.controls["lr"].value = 0.5
    fresh = io.BytesIO()
    experiment.at().fig.savefig(fresh, format="png", dpi=DENSITY)
    shown, drawn = pixels(experiment.image.value), pixels(fresh.getvalue())[..., :3]
    assert shown.shape == drawn.shape
    assert (abs(shown - drawn).max(-1) > 60).mean() < 0.002  # only the minimum's mark lies under the path


def test_a_snapshot_has_the_same_lines_and_leaves_the_experiment_alone():
    experiment = Experiment(paths, valley, lr=rate("learning rate", "", 0.1, 0.01, 1))
    png = experiment.image.value
    fig, ax = figure()
    valley(ax)
    paths(ax, lr=0.1)
    assert describe(experiment.at().fig) == describe(fig)
    experiment.follow()
    assert experiment.image.value == png


@pytest.mark.parametrize("theirs", ["dark_background", {"text.usetex": True}, {"lines.linewidth": 9, "font.size": 30}])
def test_a_readers_style_changes_no_experiment_and_no_word_on_a_figure(theirs):
    def drawn():
        experiment = Experiment(bar, axes_to_twenty, level=slider("height", "m", 5, 0, 20))
        experiment.controls["level"].value = 7
        fig, ax = figure()
        ax.set(xlabel="step", title="A line")
        ax.plot([0, 1], [0, 1], color=RED, linewidth=1, label="line")
        ax.text(0.5, 0.5, "a word", fontsize=11)
        return bytes(experiment.image.value), experiment.at()._repr_mimebundle_()[0]["image/png"], bundle(fig, "A.")[0]

    usual = drawn()
    with style.context(theirs):
        assert drawn() == usual


def test_the_ground_is_drawn_anew_only_when_what_it_depends_on_moves():
    drawn = []

    def ground(ax, span):
        drawn.append(span)
        ax.set(xlim=(0, span), ylim=(0, 1))

    def dot(ax, *, span, at):
        """A dot."""
        ax.plot([at], [0.5], "o")
        return {"at": at}

    experiment = Experiment(dot, ground, span=slider("span", "m", 4, 1, 9), at=slider("place", "m", 1, 0, 9))
    experiment.controls["at"].value = 2
    assert drawn == [4]
    experiment.controls["span"].value = 6
    assert drawn == [4, 6] and experiment.picture.fig.axes[0].get_xlim() == (0, 6)


def test_another_ground_in_the_same_axes_leaves_them_as_they_are(monkeypatch):
    def ground(ax, span, gap):
        ax.axhspan(-1, span, color="0.9", label="below")
        ax.set(xlim=(0, 12), ylim=(0, 9), xticks=range(0, 12, gap))
        ax.legend()

    def line(ax, *, span, gap, words):
        """A line."""
        ax.plot([0, 12], [0, span])
        ax.set_title(f"{words}, span {span}")
        return {"span": span}

    def made(**values):
        return Experiment(line, ground, **{name: slider(name, "", value, 1, 9) for name, value in values.items()})

    experiment, frames = made(span=4, gap=2, words=1), []
    monkeypatch.setattr(
        Picture, "_draw_frame", lambda self, draw=Picture._draw_frame: frames.append(self) or draw(self)
    )
    for name, value, framed in (("span", 6, 0), ("gap", 3, 1), ("words", 2, 0), ("span", 9, 0), ("gap", 2, 1)):
        frames.clear()
        experiment.controls[name].value = value
        assert len(frames) == framed, (name, value)
        fresh = made(**{key: control.value for key, control in experiment.controls.items()})
        assert experiment.image.value == fresh.image.value, (name, value)


def test_a_legend_is_made_anew_only_if_it_says_something_else(monkeypatch):
    def side(ax, *, level):
        """A side."""
        ax.plot([0, level - 5], label="above" if level > 7 else "below", color=RED if level < 13 else BLUE)
        if level < 18:
            ax.legend()
        return {}

    experiment = Experiment(side, axes_to_twenty, level=slider("height", "m", 5, 0, 20))
    made, anew = [], Axes.legend
    monkeypatch.setattr(Axes, "legend", lambda ax, *given, **options: made.append(ax) or anew(ax, *given, **options))
    for level, words, changed in (6, "below", 0), (8, "above", 1), (9, "above", 0), (14, "above", 1), (19, "", 0):
        made.clear()
        experiment.controls["level"].value = level
        legend = experiment.picture.fig.axes[0].get_legend()
        assert (legend.get_texts()[0].get_text() if legend else "") == words and bool(made) == changed, level
        fresh = Experiment(side, axes_to_twenty, level=slider("height", "m", level, 0, 20))
        assert (pixels(experiment.image.value) == pixels(fresh.image.value)).all(), level


def test_an_error_shows_in_words_and_the_next_move_works_again():
    experiment = Experiment(bar, axes_to_twenty, level=slider("height", "m", 5, 0, 20))
    before = experiment.image.value
    experiment.controls["level"].value = 13
    assert "ValueError: level must not be 13" in experiment.text and "in bar, line" in experiment.text
    assert "level must not be 13" in experiment.readout.value and RED in experiment.readout.value
    assert "last setting that worked" in experiment.text and experiment.image.value == before
    experiment.controls["level"].value = 12
    assert experiment.error is None and experiment.text == "height: 12\narea: 6"


def test_an_error_at_the_start_shows_too_and_what_it_says_is_no_markup():
    def broken(ax, *, x):
        """Nothing."""
        raise RuntimeError("<b>no</b>")

    experiment = Experiment(broken, x=slider("x", "m", 1, 0, 2))
    assert "RuntimeError: <b>no</b>" in experiment.text and "&lt;b&gt;no" in experiment.readout.value
    assert "last setting" not in experiment.text


def test_a_picture_without_words_is_refused():
    with pytest.raises(ValueError, match="draw must have a docstring"):
        Experiment(lambda ax: {})


def test_what_is_displayed_is_the_picture_with_its_numbers_beside_the_widget():
    data, metadata = Experiment(bar, level=slider("height", "m", 5, 0, 20))._repr_mimebundle_()
    assert data["text/plain"].startswith("A bar.\nheight (m): 5\nheight: 5\narea: 2.5\npanel 1: ")
    assert data.keys() == {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}
    assert data["image/png"].startswith(b"\x89PNG") and metadata["image/png"]["alt"].startswith("A bar.")


def test_an_experiment_that_fails_is_displayed_with_its_error():
    data, _ = Experiment(bar, level=slider("height", "m", 13, 0, 20))._repr_mimebundle_()
    assert "level must not be 13" in data["text/plain"] and "image/png" not in data


def test_another_setting_is_shown_without_moving_the_experiment():
    experiment = Experiment(bar, axes_to_twenty, level=slider("height", "m", 5, 0, 20))
    before = experiment.image.value
    snapshot = experiment.at(level=8)
    assert str(snapshot) == "height (m): 8\nheight: 8\narea: 4" and snapshot.numbers == {"height": 8, "area": 4}
    assert "line bar, 2 points, mean (0, 4)" in snapshot._repr_mimebundle_()[0]["text/plain"]
    assert experiment.controls["level"].value == 5 and experiment.image.value == before
    with pytest.raises(TypeError, match="the controls are level, got hight"):
        experiment.at(hight=3)


def test_a_prediction_is_answered_in_words_and_with_the_picture_when_a_button_is_pressed():
    guess = lab.predict("Up or down?", ["up", "down"], "It <goes> up.", figure()[0])
    assert guess._picture.layout.display == "none" and not guess.said
    guess.buttons[1].click()
    assert guess.said == "You expected: down. It <goes> up." and "It &lt;goes&gt; up." in guess._words.value
    assert guess._picture.layout.display == "" and bytes(guess._picture.value).startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="choice must be one of up, down, got 'sideways'"):
        guess.choose("sideways")
    with pytest.raises(ValueError, match="choices must be two words or more, got 'up'"):
        lab.predict("Up?", "up", "It goes up.")


def test_controls_have_names_units_and_ranges():
    whole, part, ratio = (
        slider("turn", "degrees", 0, 0, 45),
        slider("beta", "", 0.9, 0.0, 1.0),
        rate("lr", "", 1, 0.1, 10),
    )
    assert (whole.description, whole.step, whole.max) == ("turn (degrees)", 1, 45)
    assert isinstance(whole.value, int) and isinstance(part.value, float) and part.description == "beta"
    assert (ratio.description, ratio.value, ratio.stops[0], ratio.stops[-1]) == ("lr", 1, 0.1, 10)
    assert choice("form", "a", "b").value == "a" and switch("mistake").value is False


def test_a_rate_keeps_its_slider_its_number_and_its_value_together():
    seen = []
    lr = rate("learning rate", "", 2 / 26, 0.005, 0.5)
    lr.observe(lambda change: seen.append(change.new), "value")
    lr.value = 0.0821  # between two stops
    assert (lr.number.value, lr.value) == (0.0821, 0.0821)
    assert abs(math.log(lr.stops[lr.slider.value] / 0.0821)) <= math.log(100) / 600
    lr.slider.value = 300
    assert (lr.number.value, lr.value) == (0.5, 0.5)
    lr.number.value = 0.01
    assert lr.stops[lr.slider.value] == pytest.approx(0.01, rel=0.01) and lr.value == 0.01
    lr.value = 7
    assert (lr.number.value, lr.value, lr.slider.value) == (0.5, 0.5, 300)
    assert seen == [0.0821, 0.5, 0.01, 0.5]


@pytest.mark.parametrize(
    "value, low, high", [(1e-8, 1e-10, 1), (2 / 26, 0.005, 0.5), (10, 1, 100), (0.1, 0.01, 10**0.5)]
)
def test_every_stop_of_a_rate_is_reached_and_stays(value, low, high):
    lr = rate("learning rate", "", value, low, high)
    for stop in range(301):
        lr.slider.value = stop
        assert lr.slider.value == stop and lr.value == lr.stops[stop]


def test_a_player_keeps_its_slider_its_button_and_its_value_together():
    seen = []
    player = Player("step", "of 50", 1, 1, 50, pace=5)
    player.observe(lambda change: seen.append(change.new), "value")
    player.slider.value = 7
    assert (player.value, player.play.value) == (7, 7)
    player.play.value = 12  # as the browser does at each tick
    assert (player.value, player.slider.value, player.play.step) == (12, 12, 5) and seen == [7, 12]


def test_several_holds_what_is_ticked():
    several = lab.Several("optimizers", ["Adam"], ["SGD", "Adam"])
    several.boxes[0].value = True
    assert several.value == ("SGD", "Adam")


@pytest.mark.parametrize("mine", [rules.adam, edu_optim.Adam, torch.optim.Adam], ids=["rule", "class", "torch's"])
def test_a_right_optimizer_is_the_same_in_all_steps(mine):
    fig, ax = figure()
    assert paths(ax, lr=0.1, optimizer=mine)["yours, ours and torch"] == "the same in all 20 steps"
    assert [line.get_label() for line in ax.get_lines()] == ["torch", "ours", "yours"]


def test_a_wrong_optimizer_is_marked_where_it_first_leaves():
    fig, ax = figure()
    found = paths(ax, lr=0.1, optimizer=uncorrected)
    assert found["yours leaves torch at"].startswith("step 1, (-0.884, 1.32) instead of (-1.1, 1.1)")
    (mark,) = [line for line in ax.get_lines() if line.get_label() == "_mismatch"]
    assert mark.get_xydata()[0] == pytest.approx([-1.2 + 0.1 * 10**0.5, 1 + 0.1 * 10**0.5], rel=1e-3)


def test_a_difference_after_many_steps_is_found_and_rounding_is_not():
    line = torch.rand(50, 2, dtype=torch.float64)
    nudged, bent = line * (1 + 1e-12), line.clone()
    bent[31] += 1e-3
    assert "the same" in str(overlay(figure()[1], {"torch": line, "ours": line, "yours": nudged}))
    assert "step 31" in str(overlay(figure()[1], {"torch": line, "ours": line, "yours": bent}))


def test_paths_that_explode_together_are_the_same_and_one_that_does_not_has_left():
    lost = torch.tensor([[0.0, 0.0], [1e300, 1.0], [float("inf"), float("nan")]])
    kept = torch.tensor([[0.0, 0.0], [1e300, 1.0], [1.0, 1.0]])
    assert "the same" in str(overlay(figure()[1], {"torch": lost, "ours": lost, "yours": lost}))
    assert "step 2" in str(overlay(figure()[1], {"torch": lost, "ours": lost, "yours": kept}))


def test_ours_alone_is_compared_with_nothing_and_yours_gets_only_what_it_takes():
    assert rivals(edu_optim.SGD, lr=0.1, nesterov=True, momentum=0.9).keys() == {"SGD"}
    entrants = rivals(edu_optim.SGD, rules.nesterov, lr=0.1, nesterov=True, momentum=0.9)
    assert entrants["yours"][1] == {"lr": 0.1, "momentum": 0.9}
    assert entrants["torch"] == (torch.optim.SGD, {"lr": 0.1, "nesterov": True, "momentum": 0.9})


# The playground.


def ends(control):
    """The ends of the range of a control, and all of its words."""
    if isinstance(control, Player):
        return [control.slider.min, control.slider.max]
    if hasattr(control, "options"):
        return control.options
    if hasattr(control, "boxes"):
        return [(), tuple(lab.FAMILY)]
    if hasattr(control, "stops"):
        return [control.stops[0], control.stops[-1]]
    return [control.min, control.max] if hasattr(control, "min") else [True, False]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [None, uncorrected], ids=["ours", "a reader's"])
def test_every_end_of_every_control_of_the_playground_gives_a_picture(optimizer):
    ground = lab.playground(optimizer, like=optimizer and "Adam")
    for control in ground.controls.values():
        first, pictures = control.value, {bytes(ground.image.value)}
        for value in ends(control):
            if hasattr(control, "boxes"):
                for box in control.boxes:
                    box.value = box.description in value
            else:
                control.value = value
            assert ground.error is None, ground.error
            pictures.add(bytes(ground.image.value))
        assert len(pictures) > 1, control.description
        if not hasattr(control, "boxes"):
            control.value = first


def test_the_playground_says_where_each_path_ends_and_which_is_lost():
    ground = lab.playground()
    trace = edu_optim.descend(problems.himmelblau, edu_optim.SGD, 100, torch.tensor([-0.5, -1.0]).double(), lr=0.01)
    x, y = trace.points[-1]
    assert ground.numbers["SGD"].startswith(f"at ({x:.3g}, {y:.3g}), loss ")
    ground.controls["lr"].value = 1
    assert ground.numbers["SGD"].startswith("diverged, past 1000 times its first loss at step 2")
    assert ground.numbers["Adam"].startswith("at (")


def test_the_playground_compares_a_readers_optimizer_with_its_namesake():
    assert lab.playground(rules.nesterov).numbers["yours, ours and torch"] == "the same in all 100 steps"
    assert lab.playground(rules.gradient_descent).constants["like"] == "SGD"
    assert lab.playground(rules.adamw).constants["like"] == "AdamW"
    assert lab.playground(uncorrected, like="Adam").numbers["yours leaves torch at"].startswith("step 1,")
    with pytest.raises(ValueError, match="like must be one of SGD, momentum, .*, got None for uncorrected"):
        lab.playground(uncorrected)
    assert lab.playground(uncorrected, like="adam").constants["like"] == "Adam"
    with pytest.raises(ValueError, match="got 'adm' for uncorrected; did you mean 'Adam'?"):
        lab.playground(uncorrected, like="adm")
    with pytest.raises(ValueError, match="where there is no optimizer to compare, got 'Adam'"):
        lab.playground(like="Adam")


def test_playing_the_path_follows_it_once(monkeypatch):
    ground = lab.playground()
    monkeypatch.setattr("edu_optim.lab.paths.race", None)
    for step in (0, 1, 50, 99):
        ground.controls["step"].value = step
        assert ground.error is None


# The microscope.


class KeepsItsOwnBooks(torch.optim.Optimizer):
    """A reader's momentum, with the velocity outside of `state`."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})
        self.velocity = {}

    @torch.no_grad()
    def step(self):
        for p in self.param_groups[0]["params"]:
            self.velocity[p] = 0.9 * self.velocity.get(p, 0) + p.grad
            p -= self.param_groups[0]["lr"] * self.velocity[p]


def dissected(optimizer, problem=problems.rosenbrock, steps=12, **options):
    return _dissected(problem, optimizer, steps, tuple(options.items()))


@pytest.mark.parametrize("optimizer", [edu_optim.Adam, torch.optim.Adam, rules.adam], ids=["ours", "torch's", "rule"])
def test_the_arrows_add_up_and_the_buffers_are_those_of_the_optimizer(optimizer):
    rows = dissected(optimizer, lr=0.1)
    trace = edu_optim.descend(problems.rosenbrock, as_class(optimizer), 12, lr=0.1, keep_state=True)
    mean = next(key for key in trace.state if key in ("exp_avg", "m"))
    for t, row in enumerate(rows, 1):
        torch.testing.assert_close(row["at"], trace.points[t - 1])
        torch.testing.assert_close(row["step"], trace.points[t] - trace.points[t - 1])
        torch.testing.assert_close(row["of it from memory"] + row["of it from this gradient"], row["step"])
        torch.testing.assert_close(row[mean], trace.state[mean][t - 1])
        torch.testing.assert_close(row[f"{mean} / (1 - beta^t)"], trace.state[mean][t - 1] / (1 - 0.9**t))
        torch.testing.assert_close(row[RATE], row["step"] / -row["gradient"])


@pytest.mark.parametrize("optimizer, options", [(edu_optim.SGD, {"momentum": 0.9}), (KeepsItsOwnBooks, {})])
def test_memory_is_the_step_without_this_gradient(optimizer, options):
    rows = dissected(optimizer, problems.quadratic(condition=25), lr=0.02, **options)
    assert rows[0]["of it from memory"].tolist() == [0, 0]
    for before, row in zip(rows, rows[1:], strict=False):
        torch.testing.assert_close(row["of it from memory"], 0.9 * before["step"])
        torch.testing.assert_close(row["of it from this gradient"], -0.02 * row["gradient"])


def test_the_microscope_shows_each_step_and_follows_the_learning_rate():
    view = lab.microscope(rules.momentum, lr=0.02, steps=30)
    pictures = {view.image.value}
    for step in (2, 15, 30):
        view.controls["step"].value = step
        pictures.add(view.image.value)
    assert len(pictures) == 4 and view.error is None
    for lr in ends(view.controls["lr"]):
        view.controls["lr"].value = lr
        assert view.error is None


# Maps of thousands of descents.

MAPS = {
    "basins": lab.basins,
    "basins of Adam": lambda: lab.basins(edu_optim.Adam, lr=0.3),
    "basins of a rule": lambda: lab.basins(rules.nesterov),
    "sensitivity": lab.sensitivity,
    "sensitivity of AdamW": lambda: lab.sensitivity(edu_optim.AdamW),
    "sensitivity of a rule": lambda: lab.sensitivity(rules.gradient_descent),
    "rates": lab.rates,
    "rates of a rule": lambda: lab.rates(rules.momentum),
}


@pytest.mark.slow
@pytest.mark.parametrize("make", MAPS.values(), ids=MAPS)
def test_every_end_of_every_control_of_a_map_gives_a_picture_and_leaves_nothing_behind(make):
    view = make()
    first, count = view.image.value, len(view.picture._artists())
    for control in view.controls.values():
        before, pictures = control.value, {bytes(view.image.value)}
        for value in ends(control)[-2:]:
            control.value = value
            assert view.error is None, view.error
            pictures.add(bytes(view.image.value))
        assert len(pictures) > 1 or len(ends(control)) == 1, control.description
        control.value = before
    assert view.image.value == first and len(view.picture._artists()) == count


def test_the_basins_are_those_of_the_optimizer_and_add_up():
    view = lab.basins(edu_optim.Adam, lr=0.3, steps=80)
    view.controls["beta1"].value, view.controls["beta2"].value = 0.5, 0.95
    start, options = problems.himmelblau.grid(64, 64), {"lr": 0.3, "betas": (0.5, 0.95)}
    found = edu_optim.sweep(problems.himmelblau, edu_optim.Adam, 80, start, **options)
    to_b = found.minimum == 1
    steps = found.arrival[to_b].double().mean()
    said = f"from {100 * to_b.double().mean():.3g} % of the starts, in {steps:.3g} steps on average"
    assert view.numbers["B at (-2.81, 3.13)"] == said
    shares = [float(words.removeprefix("from ").split()[0]) for words in view.numbers.values()]
    assert sum(shares) == pytest.approx(100, abs=0.5) and len(shares) == 6


@pytest.mark.parametrize("optimizer, against", [(edu_optim.SGD, "momentum"), (edu_optim.Adam, "beta2")])
def test_the_best_setting_is_where_a_descent_of_its_own_ends_lowest(optimizer, against):
    view = lab.sensitivity(optimizer)
    view.controls["against"].value = against
    words = view.numbers["best"].replace(",", "").split()
    lr, other = float(words[2]), float(words[4])
    (mark,) = [line for line in view.picture.fig.axes[0].get_lines() if line.get_label() == "_best"]
    (x, y) = mark.get_xydata()[0]
    assert x == pytest.approx(lr, rel=0.01) and (y if against == "momentum" else 1 - y) == pytest.approx(
        other, rel=0.01
    )
    y = y if against == "momentum" else 1 - y
    options = {"lr": x, **({"momentum": y} if against == "momentum" else {"betas": (0.9, y)})}
    alone = edu_optim.descend(problems.rosenbrock, optimizer, 100, **options)
    assert alone.losses[-1].item() == pytest.approx(view.numbers["its loss above the minimum"].item(), rel=1e-3)


def test_the_share_that_diverged_is_counted():
    view = lab.sensitivity(rules.gradient_descent)
    view.controls["surface"].value = lab.RAVINE.name  # diverges beyond 2 / 25
    view.controls["steps"].value = 300
    expected = 100 * (LRS > 2 / 25).double().mean()
    assert float(view.numbers["diverged"].split()[0]) == pytest.approx(expected, abs=2.5)


def test_the_measured_rate_is_that_of_the_formula_and_nearer_with_more_steps():
    view = lab.rates()
    apart = {}
    for steps in (50, 100, 200):
        view.controls["steps"].value = steps
        apart[steps] = view.numbers["largest difference"], view.numbers["mean difference"]
    assert apart[50] > apart[100] > apart[200] and apart[200] < (0.025, 0.001)
    measured = _measured_rates(edu_optim.SGD, 200)
    creeps, swings, explodes = measured[5, 0], measured[12, 32], measured[37, 0]
    assert CURVED[[5, 12, 37]].tolist() == pytest.approx([0.48, 1.04, 3.04]) and EVEN[32].item() == 0.64
    assert [creeps.item(), swings.item(), explodes.item()] == pytest.approx([1 - 0.48, 0.8, 3.04 - 1], abs=0.005)


def test_the_formula_is_the_largest_eigenvalue_of_a_step():
    for x, beta in [(0.3, 0.2), (1.0, 0.81), (3.9, 0.5), (0.25, 0.25)]:
        step = torch.tensor([[1 - x, -x * beta], [1, beta]], dtype=torch.float64)  # of (p, b), with lr = x
        expected = torch.linalg.eigvals(step).abs().max().item()
        assert larger_root(torch.tensor(1 + beta - x), beta).item() == pytest.approx(expected, abs=1e-6)


def test_another_rule_than_momentum_is_seen_to_leave_the_formula():
    assert lab.rates(rules.momentum).text == lab.rates().text
    assert lab.rates(rules.nesterov).numbers["largest difference"] > 1


def test_a_map_names_what_the_optimizer_must_take():
    def bare(p, g, *, lr):
        return (p - lr * g,)

    with pytest.raises(ValueError, match="optimizer must take lr and momentum, got bare"):
        lab.rates(bare)
    with pytest.raises(ValueError, match="optimizer must take one of momentum, .*, got Rprop"):
        lab.sensitivity(torch.optim.Rprop)


# Every widget is one that a keyboard can reach.


def test_every_control_is_a_widget_of_the_standard_set():
    views = [lab.playground(), lab.microscope(edu_optim.SGD, lr=0.1), lab.basins(), lab.sensitivity(), lab.rates()]
    controls = [control for view in views for control in view.controls.values()]
    assert all(isinstance(control, Widget) and control.description for control in controls)


@pytest.mark.parametrize(
    "name, value, allowed",
    [
        ("lr", 0.0, "a number from 0.005 to 0.5, got 0.0"),
        ("condition", "steep", "a number from 1 to 100, got 'steep'"),
        ("broken", 1, "True or False, got 1"),
    ],
)
def test_a_value_at_which_a_control_cannot_stand_is_refused(name, value, allowed):
    with pytest.raises(ValueError, match=f"^{name} must be {allowed}$"):
        lesson_01.play().at(**{name: value})
