"""The house keeps its order: who imports whom, what is small, what agrees with what, and what the README says."""

import ast
import doctest
import fnmatch
import graphlib
import importlib
import inspect
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from pathlib import Path

import pytest
import yaml
from matplotlib.image import imread
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import edu_optim

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "edu_optim"
MODULES = {  # "rules", "lab.controls", "lab" for lab/__init__.py, and "__init__"
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
MAY_IMPORT = {  # each file and folder of the package: those above it in this list that it may import
    "rules": set(),
    "signature": set(),
    "foreach": set(),
    "arguments": {"signature"},
    "kernel": {"signature"},
    "execute": {"foreach", "kernel"},
    "base": {"signature", "arguments", "execute"},
    "optimizers": {"rules", "arguments", "base"},
    "later": {"rules", "arguments", "execute", "base"},
    "problems": set(),
    "trace": {"signature", "problems"},
    "contest": {"optimizers", "problems", "trace"},
    "plot": {"problems", "trace"},
    "lab": {"rules", "foreach", "base", "optimizers", "later", "problems", "trace", "contest", "plot"},
    "exercises": {"rules", "signature", "execute", "optimizers", "later", "problems", "contest"},
    "check": {"rules", "signature", "exercises"},
    "__init__": {"rules", "base", "optimizers", "later", "problems", "trace"},
    "tools": set(),
    "__main__": {"tools", "contest"},
}
MODULE = ["rules", "signature", "foreach", "kernel", "execute", "base", "optimizers"]
TOP = {
    "notebooks",
    "edu_optim",
    "tests",
    "environment.yml",
    "README.md",
    "pyproject.toml",
    "constraints.txt",
    "Makefile",
    "LICENSE",
    "LICENSE-TEXT",
    "CITATION.cff",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    ".gitignore",
    ".pre-commit-config.yaml",
    ".ci",
}
MAY_BE_THERE = {".devcontainer", ".git"}


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def run(*arguments, cwd=ROOT):
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def printed(code, cwd=ROOT):
    result = run("-c", code, cwd=cwd)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


# Modules


def test_importing_the_package_imports_nothing_for_pictures_or_notebooks():
    heavy = {"matplotlib", "ipywidgets", "IPython", "nbformat", "nbclient", "sklearn"}
    assert printed(f"import sys, edu_optim; print({heavy} & sys.modules.keys())") == ["set()"]


def imports(source, package=""):
    """The modules of edu_optim that a text in one of its folders imports, and the other top-level modules."""
    ours, others = set(), set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = f"edu_optim.{package}".strip(".").split(".")
            stem = [*above[: len(above) + 1 - node.level], node.module] if node.level else [node.module]
            names = [".".join(filter(None, [*stem, alias.name])) for alias in node.names]
        else:
            continue
        for top, *rest in (name.split(".") for name in names):
            if top == "edu_optim":
                ours.add(module(rest))
            else:
                others.add(top)
    return ours, others


def module(parts):
    """The module that a dotted name, in parts, is or is found in."""
    stems = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
    return next((stem for stem in stems if stem in MODULES), "__init__")


def package(name):
    """The folder in which a module stands."""
    return name if MODULES[name].stem == "__init__" != name else name.rpartition(".")[0]


@pytest.mark.parametrize(
    "source, package, ours, others",
    [
        ("from . import rules, problems", "", {"rules", "problems"}, set()),
        ("from .base import from_rule", "", {"base"}, set()),
        ("def f():\n    from edu_optim.plot import show", "", {"plot"}, set()),
        ("import edu_optim.trace, torch.nn", "", {"trace"}, {"torch"}),
        ("from edu_optim import Adam", "", {"__init__"}, set()),
        ("from .. import problems, SGD\nfrom ..plot import show", "lab", {"problems", "__init__", "plot"}, set()),
    ],
)
def test_imports_are_found_however_they_are_written(source, package, ours, others):
    assert imports(source, package) == (ours, others)


FOUND = {name: imports(path.read_text(encoding="utf-8"), package(name))[0] for name, path in MODULES.items()}


def test_every_file_and_folder_imports_only_what_its_row_names():
    found = {}
    for name, below in FOUND.items():
        top = name.partition(".")[0]
        found.setdefault(top, set()).update({other.partition(".")[0] for other in below} - {top})
    assert found.keys() == MAY_IMPORT.keys()
    assert {top: above for top in found if (above := found[top] - MAY_IMPORT[top])} == {}


def test_every_row_of_the_import_order_names_only_rows_above_it():
    seen = set()
    for name, below in MAY_IMPORT.items():
        assert below <= seen, name
        seen.add(name)


def test_no_module_imports_itself_by_way_of_others():
    print(" < ".join(graphlib.TopologicalSorter(FOUND).static_order()))


FOLDERS = [name for name, path in MODULES.items() if path.stem == "__init__" != name]


@pytest.mark.parametrize("name", FOLDERS)
def test_no_module_of_a_folder_takes_the_name_of_a_function_of_the_folder(name):
    names = getattr(importlib.import_module(f"edu_optim.{name}"), "__all__", [])
    assert [other for other in MODULES if package(other) == name != other and other.rpartition(".")[2] in names] == []


@pytest.mark.parametrize("name", ["rules", "later.rules"])
def test_rules_know_nothing_of_torch(name):
    assert imports(MODULES[name].read_text(encoding="utf-8"), package(name))[1] <= {"sympy"}


def code_lines(source):
    """How many lines of a source text hold code: not blank, not comment, not docstring."""
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {line for token in tokens if token.type not in silent for line in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def test_only_code_is_counted():
    source = '"""A\n\nmodule."""\n\nx = [\n    1,\n]  # one\n# no\n\ndef f():\n    """Not."""\n    return """a\nb"""\n'
    assert code_lines(source) == 6


def lines(name):
    return code_lines(MODULES[name].read_text(encoding="utf-8"))


def test_the_seven_files_of_the_module_are_small():
    counts = {name: lines(name) for name in MODULE}
    print(f"lines of code of the module: {sum(counts.values())} of 700, {counts}")
    assert sum(counts.values()) < 700


def test_no_other_file_is_long():
    counts = {name: lines(name) for name in MODULES.keys() - MODULE}
    print(f"the longest: {sorted(((count, name) for name, count in counts.items()), reverse=True)[:5]}")
    assert max(counts.values()) <= 350


# Annotations

BARE = {"rules", "later.rules"}  # one text serves floats, symbols and tensors
NOT_YET = {"exercises", "check"}


def not_annotated(source):
    """The public functions and methods of a source text with a parameter or a return that has no annotation."""
    found = []
    for node in ast.parse(source).body:
        inside = node.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_") else [node]
        for function in inside:
            if isinstance(function, ast.FunctionDef) and not re.match(r"_(?!_)", function.name):
                given = function.args
                names = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
                bare = [name.arg for name in names if name and name.annotation is None]
                if function.returns is None or set(bare) - {"self", "cls"}:
                    found.append(function.name)
    return found


@pytest.mark.parametrize(
    "source, found",
    [
        ("def f(x: int) -> int: ...\ndef _g(x): ...\nclass _C:\n    def f(self): ...", []),
        ("def f(x: int): ...\ndef g(x) -> int: ...\ndef h(*x, **y) -> int: ...", ["f", "g", "h"]),
        ("class C:\n    def f(self, *, x=1) -> int: ...\n    def __call__(self): ...", ["f", "__call__"]),
    ],
)
def test_what_is_not_annotated_is_found(source, found):
    assert not_annotated(source) == found


@pytest.mark.slow
def test_the_types_are_right():
    found = run("-m", "basedpyright", "--pythonpath", sys.executable)
    assert found.returncode == 0, found.stdout


def test_everything_public_is_annotated():
    missing = {name: found for name, path in MODULES.items() if (found := not_annotated(path.read_text("utf-8")))}
    without = {name if name in BARE else name.partition(".")[0] for name in missing}
    assert {name: missing[name] for name in without - BARE - NOT_YET} == {}
    assert without == BARE | NOT_YET


# Files


def test_the_top_level_holds_only_what_the_design_lists():
    ignored = [pattern.strip("/") for pattern in read(".gitignore").split()]
    there = {path.name for path in ROOT.iterdir()}
    there = {name for name in there if not any(fnmatch.fnmatch(name, pattern) for pattern in ignored)}
    assert TOP <= there <= TOP | MAY_BE_THERE


def test_contributing_fits_on_a_page():
    assert len(read("CONTRIBUTING.md").splitlines()) <= 60


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "edu_optim/README.md"])
def test_relative_links_lead_somewhere(name):
    targets = re.findall(r"""\]\(([^)\s]+)|(?:src|href)=["']([^"']+)""", read(name))
    relative = [a or b for a, b in targets if not re.match(r"[a-z]+:|#", a or b)]
    assert [target for target in relative if not ((ROOT / name).parent / target.partition("#")[0]).exists()] == []


def test_the_readme_of_the_package_lists_its_files_and_then_its_folders_in_the_order_of_imports():
    listed = re.findall(r"^\| \[.*?\]\((.*?)\) \|", read("edu_optim/README.md"), re.MULTILINE)
    in_order = sorted(MAY_IMPORT, key=lambda name: name not in MODULE)
    assert listed == [name if (PACKAGE / name).is_dir() else f"{name}.py" for name in in_order]


def test_the_changelog_begins_with_this_version():
    assert re.search(r"^## (\S+?),? ", read("CHANGELOG.md"), re.MULTILINE)[1] == edu_optim.__version__


def pins():
    lines = [line for line in read("constraints.txt").splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", line) for line in lines)
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def required():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    requirements = [Requirement(text) for texts in lists for text in texts]
    return [requirement for requirement in requirements if requirement.name != project["name"]]


@pytest.mark.parametrize("requirement", required(), ids=str)
def test_every_dependency_has_a_lower_bound_that_its_pin_satisfies(requirement):
    assert any(specifier.operator == ">=" for specifier in requirement.specifier)
    assert pins()[canonicalize_name(requirement.name)] in requirement.specifier


def test_every_pin_is_a_dependency():
    assert pins().keys() == {canonicalize_name(requirement.name) for requirement in required()}


def test_the_conda_environment_installs_the_package_with_the_same_versions():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    *conda, pip = yaml.safe_load(read("environment.yml"))["dependencies"]
    python = next(line.removeprefix("python=") for line in conda if line.startswith("python="))
    assert python in SpecifierSet(project["requires-python"])
    assert [line for line in conda if line != f"python={python}"] == ["pip"]
    options = dict(line.split(maxsplit=1) for line in pip["pip"])
    extra = re.fullmatch(r"\.\[(\w+)\]", options["-e"])[1]
    assert extra in project["optional-dependencies"]
    assert options.keys() == {"--extra-index-url", "-c", "-e"}
    assert (ROOT / options["-c"]).name == "constraints.txt"
    assert {f"-c {options['-c']}", f"-e '{options['-e']}'"} <= set(re.findall(r"-[ce] \S+", read("Makefile")))


def test_every_line_of_the_conda_environment_has_its_reason():
    for line in read("environment.yml").splitlines():
        assert "#" in line or line.strip() in ("channels:", "dependencies:", "- pip:")


def test_the_makefile_asks_for_the_python_that_the_package_asks_for():
    (minimum,) = re.findall(r"^MINIMUM := (.*)$", read("Makefile"), re.MULTILINE)
    assert tomllib.loads(read("pyproject.toml"))["project"]["requires-python"] == f">={minimum}"


def test_versions_written_twice_agree():
    assert yaml.safe_load(read("CITATION.cff"))["version"] == edu_optim.__version__
    assert yaml.safe_load(read(".pre-commit-config.yaml"))["repos"][0]["rev"] == f"v{pins()['ruff']}"


# What the README shows


def examples(text):
    """The Python blocks of a text, each with the output block that follows it at once, if one does."""
    return re.findall(r"^```python\n(.*?)^```\n(?:\n*```(?:text)?\n(.*?)^```)?", text, re.DOTALL | re.MULTILINE)


def test_the_readme_has_one_short_example_that_prints_and_draws_what_it_shows(tmp_path):
    ((code, output),) = examples(read("README.md"))
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    assert output.split()
    assert printed(code, cwd=tmp_path) == output.splitlines()
    drawn, shown = imread(tmp_path / "paths.png"), imread(ROOT / "notebooks" / "images" / "paths.png")
    assert drawn.shape == shown.shape and abs(drawn - shown).mean() < 1e-3


REFERENCE = """
import torch, edu_optim
x = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
model = torch.nn.Linear(1, 1)
model.load_state_dict({"weight": torch.tensor([[0.67037853]]), "bias": torch.tensor([0.34645085])})
optimizer = edu_optim.Adam(model.parameters(), lr=0.01)
for epoch in range(1, 51):
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(model(x), 2 * x)
    loss.backward()
    optimizer.step()
    if epoch % 10 == 0:
        print(f"{loss.item():.4f}")
print(f"{model(torch.tensor([[5.0]])).item():.4f}")
"""


def test_the_reference_example_prints_its_six_published_numbers():
    assert printed(REFERENCE) == ["9.0166", "7.0211", "5.3501", "3.9961", "2.9324", "6.4472"]


# Docstrings


def public(module):
    """The functions and classes that a module defines for others."""
    things = vars(importlib.import_module(f"edu_optim.{module}")).items()
    return [thing for name, thing in things if name[0] != "_" and is_defined_in(module, thing)]


def is_defined_in(module, thing):
    return (inspect.isclass(thing) or inspect.isfunction(thing)) and thing.__module__ == f"edu_optim.{module}"


ENTRIES = {name for name in MODULES if re.match(r"exercises\.(lesson_|faults)", name)}  # which test_check.py runs
PUBLIC = [thing for module in sorted(MODULES.keys() - ENTRIES - {"__init__", "__main__"}) for thing in public(module)]


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: f"{thing.__module__}.{thing.__name__}")
def test_everything_public_has_an_example_that_is_run(thing):
    assert doctest.DocTestParser().get_examples(thing.__doc__ or "")


@pytest.mark.parametrize("rule", [rule for rule in public("rules") if rule.__name__ != "maximum"])
def test_every_rule_names_its_source(rule):
    assert re.search(r"Sources?: .*\b(18|19|20)\d\d\b|sources? as in|same source", " ".join(rule.__doc__.split()))
