"""How fast an experiment follows its slider in a real JupyterLab: python tests/bench_lab.py (needs a Chromium).

The experiment is a contour with three paths of 100 steps. A move is timed in the browser, from the press of an arrow
key to the frame in which the new picture is painted; its parts are timed in the kernel. A drag is timed from the last
move of the mouse to the last frame in which a new picture is painted.
"""

import importlib.metadata
import os
import platform
import statistics

import browser
import nbformat

MOVES, DRAGS = 50, 10
SETUP = '''
import time, torch
import edu_optim
from edu_optim import lab, problems, race, rules
from edu_optim.lab.experiment import as_png
from edu_optim.plot import contour

torch.set_num_threads(1)

def valley(ax):
    contour(ax, problems.rosenbrock)

def paths(ax, *, lr, optimizer):
    """Adam in Rosenbrock's valley: yours, ours and torch's."""
    runs = race(problems.rosenbrock, lab.rivals(edu_optim.Adam, optimizer, lr=lr), steps=100)
    return {"loss": runs[0].losses[-1], **lab.overlay(ax, {run.name: run.points for run in runs})}

experiment = lab.Experiment(paths, valley, lr=lab.rate("learning rate", "", 0.1, 0.001, 1), optimizer=rules.adam)
experiment
'''
PARTS = """
def median(work):
    times = []
    for _ in range(20):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return sorted(times)[10]

def compute():
    race(problems.rosenbrock, lab.rivals(edu_optim.Adam, rules.adam, lr=0.1), steps=100)

compute_ms, encode_ms = median(compute), median(lambda: as_png(experiment.picture.canvas))
print(compute_ms, median(lambda: experiment.picture.png(experiment.values)) - compute_ms - encode_ms, encode_ms)
"""
WATCH = """node => {
    const image = node.querySelector('img');
    window.times = [];
    node.addEventListener('keydown', () => { window.pressed = performance.now(); }, true);
    document.addEventListener('mousemove', () => { window.pressed = window.moved = performance.now(); }, true);
    new MutationObserver(async () => {
        const pressed = window.pressed;
        await image.decode().catch(() => 0);
        requestAnimationFrame(() => {
            window.painted = performance.now();
            window.times.push(window.painted - pressed);
        });
    }).observe(image, {attributes: true, attributeFilter: ['src']});
}"""


def main():
    with browser.jupyterlab() as (url, lessons), browser.browser(browser.chromium()) as chromium:
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        cell = nbformat.v4.new_code_cell(SETUP, id="setup")
        nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=kernel), lessons / "bench.ipynb")
        lesson = browser.Lesson(chromium, url, "bench.ipynb")
        assert lesson.run_all() == []
        times = moves(lesson)
        settled, pictures = zip(*[drag(lesson, to) for to in range(DRAGS)], strict=True)
        parts = [float(part) for part in lesson.execute(PARTS).split()]
        lesson.close()
    report(times, parts)
    print(
        f"{DRAGS} drags: settled {statistics.median(settled):.0f} ms after the last move, worst {max(settled):.0f} ms;"
    )
    print(f"a drag of 600 ms shows {statistics.median(pictures):.0f} pictures")


def moves(lesson):
    """The time of each move in ms, the first three left out."""
    experiment = lesson.cell("setup")
    experiment.locator(".noUi-handle").focus()
    experiment.evaluate(WATCH)
    for number in range(MOVES + 3):
        lesson.page.keyboard.press("ArrowLeft" if number % 2 else "ArrowRight")
        lesson.page.wait_for_timeout(250)
    return lesson.page.evaluate("window.times")[3:]


def drag(lesson, to):
    """Drag the handle to and fro for 600 ms: how long after the last move it settled, and how many pictures it drew."""
    knob = lesson.cell("setup").locator(".noUi-handle").bounding_box()
    x, y, mouse = knob["x"] + knob["width"] / 2, knob["y"] + knob["height"] / 2, lesson.page.mouse
    seen = lesson.page.evaluate("window.times.length")
    mouse.move(x, y)
    mouse.down()
    for step in range(1, 31):
        mouse.move(x + (step if to % 2 == 0 else -step), y)
        lesson.page.wait_for_timeout(20)
    lesson.page.wait_for_timeout(1000)
    mouse.up()
    return lesson.page.evaluate(f"[window.painted - window.moved, window.times.length - {seen}]")


def report(times, parts):
    median = statistics.median(times)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "matplotlib", "jupyterlab"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}")
    print(f"{len(times)} moves: median {median:.0f} ms, worst {max(times):.0f} ms")
    print("| compute | draw | encode | transport and browser |")
    print("|---|---|---|---|")
    print(f"| {' | '.join(f'{part:.0f} ms' for part in [*parts, median - sum(parts)])} |")


if __name__ == "__main__":
    main()
