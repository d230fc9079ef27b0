"""Every lesson keeps to the skeleton, and its rule cells are the rules that ship."""

import ast
import inspect
import re
from pathlib import Path

import nbformat
import pytest
from cells import Lesson

from edu_optim import rules
from edu_optim.tools.refresh import LINKS, link_neighbors

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
LESSONS = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
OPTIMIZERS = [path for path in LESSONS if "01" <= path.name[:2] <= "09"]
HEADINGS = [
    "The idea",
    "The rule",
    "By hand",
    "Does it match?",
    "See it",
    "Play",
    "When it fails",
    "Deeper",
    "Exercises",
    "In short",
    "Sources",
]
RULES = {
    "01": ["gradient_descent"],
    "02": ["gradient_descent"],
    "03": ["momentum"],
    "04": ["nesterov"],
    "05": ["adagrad"],
    "06": ["rmsprop", "rmsprop_centered"],
    "07": ["adadelta"],
    "08": ["adam", "amsgrad"],
    "09": ["adamw"],
}


def read(path):
    return nbformat.read(path, as_version=4)


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def markdown(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def bare(function):
    """The tree of a function without its docstring."""
    if ast.get_docstring(function) is not None:
        function.body = function.body[1:]
    return ast.dump(function)


def functions(source):
    return {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}


by_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
by_optimizer = pytest.mark.parametrize("path", OPTIMIZERS, ids=lambda path: path.stem)


@by_lesson
def test_headings_are_the_skeleton_in_order(path):
    text = markdown(read(path))
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert re.match(rf"# {path.name[:2]} · \S", text)
    assert [heading for heading in HEADINGS if heading in headings] == [h for h in headings if h in HEADINGS]
    if path in OPTIMIZERS:
        assert headings == [h for h in HEADINGS if h != "Deeper" or h in headings]


BUDGETS = {"a lesson": (2000, 150, 40), "Deeper": (800, 50, 12)}  # words, lines of code, cells of code


@by_lesson
def test_a_lesson_keeps_to_its_budgets(path):
    for part, cells in parts(read(path)).items():
        code = [cell for cell in cells if cell.cell_type == "code"]
        words = sum(len(prose(cell.source).split()) for cell in cells if cell.cell_type == "markdown")
        lines = sum(bool(line.strip()) for cell in code for line in cell.source.splitlines())
        print(f"{path.name[:2]}, {part}: {words} words, {lines} lines, {len(code)} cells")
        assert all(have <= most for have, most in zip((words, lines, len(code)), BUDGETS[part], strict=True)), part


def parts(notebook):
    """The cells of a notebook without those of its section Deeper, and those; not the links that refresh writes."""
    found, part = {"a lesson": [], "Deeper": []}, "a lesson"
    for cell in notebook.cells:
        if heading := re.match(r"## (.+)", cell.source):
            part = "Deeper" if heading[1] == "Deeper" else "a lesson"
        if cell.id not in LINKS:
            found[part].append(cell)
    return found


NOT_WORDS = re.compile(r"```.*?```|\$\$.*?\$\$|^\s*\|.*?$|\$[^$\n]+\$|\]\(.*?\)", re.DOTALL | re.MULTILINE)


def prose(source):
    """The words of a cell without formulas, tables, fenced code and the targets of links."""
    return NOT_WORDS.sub(" ", source)


@by_lesson
def test_no_heading_is_empty(path):
    cells = read(path).cells
    for cell, after in zip(cells, [*cells[1:], None], strict=True):
        if re.fullmatch(r"#+ .*", cell.source.strip()):
            assert after is not None and not after.source.startswith("#"), cell.id


@by_optimizer
def test_rule_cells_are_the_rules_that_ship(path):
    typed = {}
    for cell in tagged(read(path), "rule"):
        typed |= functions(cell.source)
    assert list(typed) == RULES[path.name[:2]]
    shipped = functions(inspect.getsource(rules))
    for name, function in typed.items():
        assert bare(function) == bare(shipped[name])


@by_optimizer
def test_equations_and_lines_carry_the_same_numbers(path):
    notebook = read(path)
    rule_cells = tagged(notebook, "rule")
    sections = re.split(r"^## ", markdown(notebook), flags=re.MULTILINE)
    refined = [section for section in sections if section.startswith("Deeper")]
    tags = re.findall(r"\\tag\{(\d+)\}", "".join([sections[2], *refined]))
    comments = [number for cell in rule_cells for number in re.findall(r"# \((\d+)\)", cell.source)]
    assert tags and set(tags) == set(comments)


@by_optimizer
def test_letters_table_and_conventions_card_are_there(path):
    notebook = read(path)
    assert "| symbol | code | in torch | meaning |" in markdown(notebook)
    match = re.search(r"## Does it match\?(.*?)\n## ", markdown(notebook), re.DOTALL)[1]
    assert match.count("\n|") >= 4


@by_optimizer
def test_at_least_three_figures(path):
    cells = tagged(read(path), "figure")
    shown = [cell for cell in cells if any("image/png" in output.get("data", {}) for output in cell.outputs)]
    assert len(shown) >= 3


@pytest.mark.parametrize("path", LESSONS[:-1], ids=lambda path: path.stem)
def test_each_lesson_names_the_next(path):
    following = LESSONS[LESSONS.index(path) + 1].name[:2]
    assert re.search(rf"\*\*(Next|Where to go next)[:.]\*\*[^|]*\b{following}\b", markdown(read(path)), re.DOTALL)


@by_lesson
def test_each_lesson_links_its_neighbors_at_its_top_and_its_end(path):
    linked = read(path)
    link_neighbors(linked, path, LESSONS)
    assert linked == read(path)


@by_lesson
def test_links_to_other_files_lead_somewhere(path):
    for target in re.findall(r"\]\((?!https?:|#|attachment:)([^)#]+)", markdown(read(path))):
        assert (NOTEBOOKS / target).exists(), target


def test_readme_and_lesson_00_list_every_lesson():
    readme = (NOTEBOOKS.parent / "README.md").read_text()
    start = markdown(read(LESSONS[0]))
    for path in LESSONS:
        assert f"](notebooks/{path.name})" in readme
        assert path == LESSONS[0] or f"]({path.name})" in start


@by_lesson
def test_a_cell_that_is_run_again_or_an_experiment_that_is_moved_finds_its_names_as_they_were(path):
    assert Lesson(path.name[:2]).rebound() == {}


@pytest.mark.parametrize("path", sorted(Path(__file__).parent.glob("test_lesson_*.py")), ids=lambda path: path.stem)
def test_importing_the_tests_of_a_lesson_runs_no_cell(path):
    assert runs_when_imported(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "source, runs",
    [
        ('rule = Lesson("03").run("rule")["rule"]', ["run"]),
        ('exec(LESSON.sources["rule"], names)', ["exec"]),
        ('def experiment(optimizer=run("rule")["rule"]):\n    return optimizer', ["run"]),
        ('def experiment():\n    return run("rule")\n\nRULE = Later(lambda: run("rule"))', []),
    ],
)
def test_what_runs_when_a_module_is_imported_is_found(source, runs):
    assert runs_when_imported(source) == runs


def runs_when_imported(source):
    """The calls of `run` and `exec` outside of functions."""
    nodes = list(ast.walk(ast.parse(source)))
    later = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.Lambda)]
    inside = {node for function in later for part in bodies(function) for node in ast.walk(part)}
    calls = [node.func for node in nodes if isinstance(node, ast.Call) and node not in inside]
    names = [getattr(call, "attr", getattr(call, "id", None)) for call in calls]
    return [name for name in names if name in ("run", "exec")]


def bodies(function):
    return function.body if isinstance(function.body, list) else [function.body]
