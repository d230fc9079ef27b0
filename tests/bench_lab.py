"""How fast the experiments follow a hand in a real JupyterLab: python tests/bench_lab.py [00 01 ...]

Every control of every experiment of the lessons is moved by the keyboard. A move is timed in the browser, from the
press of the key to the frame in which the new picture is painted, and in the kernel, where the picture is computed,
drawn and encoded; the rest is transport and browser. Then each first slider is dragged by the mouse: a drag is timed
from the last move to the last new picture. Needs a Chromium and a quiet machine.
"""

import importlib.metadata
import json
import os
import platform
import statistics
import sys

import browser
import nbformat
from test_experiments import LESSONS, cells_of_experiments

MOVES = 10
TIMED = """
import time
from edu_optim import lab

TIMES = []

def timed(experiment, follow=lab.Experiment.follow):
    start = time.perf_counter()
    follow(experiment)
    TIMES.append(1000 * (time.perf_counter() - start))

lab.Experiment.follow = timed
"""
WATCH = """node => {
    const image = node.querySelector('img.widget-image');
    window.times = [];
    node.addEventListener('keydown', () => { window.pressed = performance.now(); }, true);
    document.addEventListener('mousemove', () => { window.pressed = performance.now(); }, true);
    new MutationObserver(async () => {
        const pressed = window.pressed;
        await image.decode().catch(() => 0);
        requestAnimationFrame(() => window.times.push(performance.now() - pressed));
    }).observe(image, {attributes: true, attributeFilter: ['src']});
}"""
CHOOSE_NEXT = """node => {
    node.selectedIndex = (node.selectedIndex + 1) % node.options.length;
    window.pressed = performance.now();
    node.dispatchEvent(new Event('change', {bubbles: true}));
}"""


def main():
    wanted = sys.argv[1:]
    paths = [path for path in LESSONS if not wanted or path.name[:2] in wanted]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "matplotlib", "jupyterlab"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}\n")
    print("| experiment | moves | median, ms | worst | kernel, median | worst | slowest control | drag settles |")
    print("|---|---|---|---|---|---|---|---|")
    with browser.jupyterlab() as (url, lessons), browser.browser(browser.chromium()) as chromium:
        for path in paths:
            sources = cells_of_experiments(nbformat.read(path, as_version=4))
            browser.write(lessons, "bench.ipynb", timed=TIMED, **{f"c{n}": cell for n, cell in enumerate(sources)})
            lesson = browser.Lesson(chromium, url, "bench.ipynb")
            assert lesson.run_all() == []
            for number in range(len(sources)):
                cell = lesson.cell(f"c{number}")
                if cell.locator("img.widget-image").count():
                    print(f"| {row(path.stem, lesson, cell)} |", flush=True)
            lesson.close()


def row(name, lesson, cell):
    """What a line of the table says of an experiment."""
    cell.evaluate(WATCH)
    times, kernel = {}, []
    for control in cell.locator("[role=slider], .edu-optim input[type=checkbox], select").all():
        control.focus()
        label = control.evaluate("node => node.closest('.widget-inline-hbox').innerText.split('\\n')[0]")
        lesson.execute("TIMES.clear()")
        times[label] = moves(lesson, control)
        kernel += json.loads(lesson.execute("print(TIMES)"))
    times = {label: of_one for label, of_one in times.items() if of_one}  # else nothing new was drawn
    every = [time for of_one in times.values() for time in of_one]
    slowest = max(times, key=lambda label: statistics.median(times[label]))
    settled = drag(lesson, cell)
    numbers = [statistics.median(every), max(every), statistics.median(kernel), max(kernel)]
    shown = " | ".join(f"{number:.0f}" for number in numbers)
    return f"{name} | {len(every)} | {shown} | {slowest} {statistics.median(times[slowest]):.0f} | {settled:.0f}"


def moves(lesson, control):
    """The time of each move of a control to and fro, in ms, the first left out."""
    forth, back = ("PageUp", "PageDown") if control.get_attribute("role") else ("Space", "Space")
    if control.get_attribute("aria-valuenow") == control.get_attribute("aria-valuemax"):
        forth, back = back, forth
    lesson.page.evaluate("window.times.length = 0")
    for number in range(MOVES + 1):
        if control.evaluate("node => node.tagName") == "SELECT":
            control.evaluate(CHOOSE_NEXT)
        else:
            lesson.page.keyboard.press(back if number % 2 else forth)
        lesson.page.wait_for_timeout(400)
    return lesson.page.evaluate("window.times")[1:]


def drag(lesson, cell):
    """How long after the last of 30 moves of the mouse within 600 ms the first slider's last picture comes, in ms."""
    handle = cell.locator("[role=slider]").first
    handle.scroll_into_view_if_needed()
    knob, mouse = handle.bounding_box(), lesson.page.mouse
    x, y = knob["x"] + knob["width"] / 2, knob["y"] + knob["height"] / 2
    mouse.move(x, y)
    mouse.down()
    for step in range(1, 31):
        mouse.move(x + step, y)
        lesson.page.wait_for_timeout(20)
    lesson.page.wait_for_timeout(1500)
    mouse.up()
    return lesson.page.evaluate("window.times.at(-1)")


if __name__ == "__main__":
    main()
