"""How fast an experiment follows its slider in a real JupyterLab: python tests/bench_lab.py (needs a Chromium).

The experiment is a contour with three paths of 100 steps. A move is timed in the browser, from the press of an arrow
key to the frame in which the new picture is painted; its parts are timed in the kernel.
"""

import importlib.metadata
import os
import platform
import statistics

import browser
import nbformat

MOVES = 50
SETUP = '''
import time, torch
import edu_optim
from edu_optim import lab, problems, race, rules
from edu_optim.plot import contour

torch.set_num_threads(1)

def valley(ax):
    contour(ax, problems.rosenbrock)

def walk(ax, *, lr, optimizer):
    """Adam in Rosenbrock's valley: yours, ours and torch's."""
    runs = race(problems.rosenbrock, lab.rivals(edu_optim.Adam, optimizer, lr=lr), steps=100)
    return {"loss": runs[0].losses[-1], **lab.overlay(ax, {run.name: run.points for run in runs})}

experiment = lab.Experiment(walk, valley, lr=lab.rate("learning rate", "", 0.1, 0.001, 1), optimizer=rules.adam)
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

compute_ms, encode_ms = median(compute), median(lambda: lab._png(experiment.picture.canvas))
print(compute_ms, median(lambda: experiment.picture.png(experiment.values)) - compute_ms - encode_ms, encode_ms)
"""
WATCH = """node => {
    const image = node.querySelector('img');
    window.times = [];
    node.addEventListener('keydown', () => { window.pressed = performance.now(); }, true);
    new MutationObserver(async () => {
        const pressed = window.pressed;
        await image.decode().catch(() => 0);
        requestAnimationFrame(() => window.times.push(performance.now() - pressed));
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
        parts = [float(part) for part in lesson.execute(PARTS).split()]
        lesson.close()
    report(times, parts)


def moves(lesson):
    """The time of each move in ms, the first three left out."""
    experiment = lesson.cell("setup")
    experiment.locator(".noUi-handle").focus()
    experiment.evaluate(WATCH)
    for number in range(MOVES + 3):
        lesson.page.keyboard.press("ArrowLeft" if number % 2 else "ArrowRight")
        lesson.page.wait_for_timeout(250)
    return lesson.page.evaluate("window.times")[3:]


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
