"""Lessons as a reader meets them: a real JupyterLab in a real browser, moved by mouse and by keyboard."""

import os
import re
from pathlib import Path

import pytest
from browser import HOW_TO_GET_ONE, NOTEBOOKS, Lesson, browser, chromium, is_required, jupyterlab, write

pytestmark = pytest.mark.slow
LESSONS = [path.name for number in ("00", "08") for path in NOTEBOOKS.glob(f"{number}_*.ipynb")]
HANDLE = "[role=slider]"
CHANGE_MAY_TAKE = 15_000  # ms
BROKEN = """
from edu_optim.lab import Experiment, slider

def bar(ax, *, level):
    '''A bar.'''
    if level > 5:
        raise ValueError("the bar must not rise above 5")
    ax.bar([0], [level])
    return {"height": level}

Experiment(bar, level=slider("height", "m", 5, 0, 10))
"""
PIXELS = """async image => {
    const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
    return Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))).join();
}"""
FOCUS = """node => [...node.querySelectorAll('[role=slider], input, select, button')]
    .filter(found => found.offsetParent).indexOf(document.activeElement)"""
BOXES = """node => {
    const width = found => Math.round(found.getBoundingClientRect().width);
    const cut = [...node.querySelectorAll('label, .widget-readout, input[type=number]')]
        .filter(found => getComputedStyle(found).display !== 'none' && found.scrollWidth > found.clientWidth + 1);
    return {
        tracks: [...node.querySelectorAll('.noUi-base')].map(width),
        picture: width(node.querySelector('img')), column: width(node),
        cut: cut.map(found => found.textContent || found.value),
    };
}"""
SLOW = """
import time
from edu_optim.lab import Experiment, slider

seen = []

def slowly(ax, *, level):
    '''A bar that takes its time.'''
    seen.append(level)
    time.sleep(1.2)
    ax.bar(0, level)
    return {"height": level}

Experiment(slowly, level=slider("level", "m", 1, 0, 100))
"""


@pytest.fixture(scope="module")
def lab():
    """A browser, the address of a JupyterLab, and the folder it shows."""
    path = chromium()
    if path is None:
        (pytest.fail if is_required() else pytest.skip)(HOW_TO_GET_ONE)
    with jupyterlab() as (url, lessons), browser(path) as window:
        yield window, url, lessons


@pytest.fixture(scope="module", params=LESSONS)
def lesson(lab, request):
    """A lesson of which every cell was run: what it was before that, and what went wrong in it."""
    window, url, lessons = lab
    opened = Lesson(window, url, request.param)
    opened.untouched = only_opened(opened, lessons / request.param)
    opened.name, opened.errors = Path(request.param).stem, opened.run_all()
    yield opened
    opened.close()


def only_opened(lesson, file):
    """What is seen of a lesson before anything is run, and whether saving it changes the file."""
    stored = file.read_bytes()
    picture = lesson.cell("play-experiment").locator(".jp-OutputArea img").first
    picture.wait_for()
    width = picture.evaluate("image => image.decode().then(() => image.naturalWidth)")
    lesson.page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    dirty = lesson.page.evaluate("jupyterapp.shell.currentWidget.context.model.dirty")
    return {"width of the picture": width, "dirty": dirty, "saved as it was": file.read_bytes() == stored}


@pytest.fixture(scope="module")
def bars(lab):
    """Two experiments with a bar, one that breaks and one that is slow."""
    window, url, lessons = lab
    write(lessons, "bars.ipynb", broken=BROKEN, slow=SLOW)
    opened = Lesson(window, url, "bars.ipynb")
    assert opened.run_all() == []
    yield opened
    opened.close()


@pytest.fixture
def experiment(lesson, tmp_path):
    return Play(lesson, "play-experiment", tmp_path)


class Play:
    """An experiment on the screen: what it shows and says, and the ways to move it."""

    def __init__(self, lesson, cell, tmp_path):
        self.page, self.name = lesson.page, getattr(lesson, "name", cell)
        self.folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)
        self.node = lesson.cell(cell).locator(".jp-OutputArea-output").first
        self.image, self.status = self.node.locator("img"), self.node.locator("[role=status]")
        self.image.wait_for()
        self.sliders, self.switches = self.node.locator(HANDLE), self.node.locator("input[type=checkbox]")

    def shows(self):
        """The picture, as a digest of its bytes, and the text under it."""
        return self.image.evaluate(PIXELS), self.status.inner_text()

    def wait_for_change(self, before):
        """What it shows once both picture and text are others than before, and nothing changes any more."""
        last = None
        for _ in range(CHANGE_MAY_TAKE // 250):
            now = self.shows()
            if now == last and all(new != old for new, old in zip(now, before, strict=True)):
                return now
            last = now
            self.page.wait_for_timeout(250)
        raise AssertionError(f"{self.name}: picture or text did not change: {before} -> {now}")

    def take_screenshot(self, moment):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.node.scroll_into_view_if_needed()
        self.page.screenshot(path=self.folder / f"{self.name}-{moment}.png")

    def drag(self, handle):
        """Drag a handle by a third of its track, to where there is room for that."""
        track, knob = handle.locator("xpath=ancestor::*[contains(@class, 'noUi-base')]").bounding_box(), middle(handle)
        share = (knob[0] - track["x"]) / track["width"]
        self.page.mouse.move(*knob)
        self.page.mouse.down()
        self.page.mouse.move(knob[0] + track["width"] * (1 / 3 if share < 0.6 else -1 / 3), knob[1], steps=8)
        self.page.mouse.up()

    def press_arrows(self, handle):
        """Move a handle by ten arrow keys, away from the end that it is nearer to."""
        low, high, now = (float(handle.get_attribute(f"aria-value{end}")) for end in ("min", "max", "now"))
        handle.focus()
        for _ in range(10):
            self.page.keyboard.press("ArrowLeft" if now - low > high - now else "ArrowRight")


def middle(locator):
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_learner_is_shown_the_lessons_and_nothing_for_instructors(lab, lesson):
    _, url, lessons = lab
    listed = lesson.page.locator(".jp-DirListing-itemText").all_inner_texts()
    assert sorted(listed) == sorted(["images", "scripts", *(path.name for path in lessons.glob("*.ipynb"))])
    assert lesson.page.request.get(f"{url}/api/contents/solutions/{LESSONS[0]}?content=0").ok
    plugins = lesson.page.evaluate("jupyterapp.listPlugins()")
    assert [plugin for plugin in plugins if re.search("nbgrader|jupyter-notebook|announcements", plugin)] == []


def test_every_cell_runs(lesson):
    assert lesson.errors == []


def test_no_widget_fails_to_show(lesson, experiment):
    assert lesson.page.locator(".jupyter-widgets-error-widget").count() == 0
    experiment.take_screenshot("at-first")


def test_a_slider_dragged_by_the_mouse_changes_picture_and_text(experiment):
    before = experiment.shows()
    experiment.drag(experiment.sliders.first)
    experiment.wait_for_change(before)
    experiment.take_screenshot("dragged")


def test_a_slider_moved_by_arrow_keys_changes_picture_and_text(experiment):
    before = experiment.shows()
    experiment.press_arrows(experiment.sliders.first)
    experiment.wait_for_change(before)


def test_a_switch_ticked_by_the_space_bar_changes_picture_and_text(experiment):
    before = experiment.shows()
    switch = experiment.switches.last
    switch.focus()
    experiment.page.keyboard.press("Space")
    assert switch.is_checked()
    changed = experiment.wait_for_change(before)
    experiment.take_screenshot("broken")
    experiment.page.keyboard.press("Space")
    experiment.wait_for_change(changed)


def test_every_control_is_reached_by_the_tab_key(experiment):
    controls = experiment.node.locator(f"{HANDLE}, input, select, button").filter(visible=True)
    controls.first.focus()
    reached = {experiment.node.evaluate(FOCUS)}
    for _ in range(3 * controls.count()):  # between them stand the numbers, which can be typed over
        experiment.page.keyboard.press("Tab")
        reached.add(experiment.node.evaluate(FOCUS))
    assert reached >= set(range(controls.count()))


def test_every_control_has_a_name_that_can_be_read_in_full(experiment):
    for control in experiment.node.locator(".widget-inline-hbox").all():
        names = control.locator("label:visible, span:visible")
        inputs = control.locator(f"{HANDLE}, input, select")
        if inputs.count():
            labels = "input => input.labels?.[0]?.textContent"
            assert names.first.inner_text().strip() if names.count() else inputs.first.evaluate(labels)
            cut = names.evaluate_all(
                "names => names.filter(name => name.scrollWidth > name.clientWidth + 1)"
                ".filter(name => getComputedStyle(name).display !== 'inline')"
                ".map(name => name.textContent)"
            )
            assert cut == []


@pytest.mark.parametrize("width, height, track", [(1280, 900, 220), (1024, 768, 220), (640, 450, 160)])
def test_a_hand_can_use_it_at_1280_at_1024_and_at_twice_the_size(experiment, width, height, track):
    page = experiment.page
    try:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(500)
        boxes = experiment.node.evaluate(BOXES)
        assert min(boxes["tracks"]) >= track
        assert boxes["picture"] >= 0.95 * boxes["column"]
        assert boxes["cut"] == []
        experiment.take_screenshot(f"at-{width}")
    finally:
        page.set_viewport_size({"width": 1280, "height": 900})


def test_picture_and_controls_are_read_out(experiment):
    read = experiment.node.aria_snapshot()
    caption = experiment.status.inner_text().split("\n")[0]
    assert f'- img "{caption}"' in read
    assert all(name.strip() in read for name in experiment.node.locator(".widget-label:visible").all_inner_texts())


def test_the_text_says_in_a_sentence_what_the_picture_shows(experiment):
    caption = experiment.status.inner_text().split("\n")[0]
    assert caption.endswith(".") and len(caption.split()) >= 8


def test_a_lesson_that_is_only_opened_shows_its_picture_and_is_saved_as_it_was(lesson):
    assert lesson.untouched["width of the picture"] > 600
    assert not lesson.untouched["dirty"]
    assert lesson.untouched["saved as it was"]


def test_an_error_is_shown_in_words_and_the_experiment_goes_on(bars, tmp_path):
    bar = Play(bars, "broken", tmp_path)
    picture, _ = bar.shows()
    bar.press_arrows(bar.sliders.first)
    bar.status.get_by_text("ValueError: the bar must not rise above 5").wait_for()
    assert bar.shows()[0] == picture
    bar.take_screenshot("error")
    bar.page.keyboard.press("Home")
    bar.status.get_by_role("row", name="height 0").wait_for()


def test_only_the_newest_value_is_worked_on_and_long_work_says_so(bars, tmp_path):
    bar = Play(bars, "slow", tmp_path)
    bar.drag(bar.sliders.first)
    bar.status.get_by_text("working").wait_for()
    last = bar.sliders.first.get_attribute("aria-valuenow").removesuffix(".0")
    bar.status.get_by_text(last, exact=True).wait_for()
    values = bars.execute("print(*seen)").split()
    assert values[-1] == last and len(values) <= 4
