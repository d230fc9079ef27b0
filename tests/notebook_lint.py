"""What a lesson must keep to, beyond giving the same outputs again."""

import ast
import re
import statistics

import nbformat

from edu_optim.tools.notebooks import METADATA

TAGS = {"rule", "figure", "experiment", "exercise", "check", "gpu"}
LONGEST_CELL = 25
LONG_CELL = 12
MEDIAN_CELL = 5
WORDS = 80

HEADING = re.compile(r"^#+ .*$", re.MULTILINE)
NOT_PROSE = re.compile(
    r"```.*?```|\$\$.*?\$\$|<!--.*?-->"  # blocks of code, formulas, comments
    r"|^\s*\|.*?$"  # rows of tables
    r"|\$[^$\n]+\$|`[^`\n]+`|!\[.*?\]\(.*?\)|\]\(.*?\)|</?\w[^>]*>",  # formulas, code, images and links in a line
    re.DOTALL | re.MULTILINE,
)
SWITCHED_OFF = re.compile(r"^\s*#\s*(NBVAL_|PYTEST_VALIDATE_)", re.MULTILINE | re.IGNORECASE)
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}", re.IGNORECASE)
BY_A_MACHINE = re.compile(r"[0-9a-f]{8}(-|$)")
BY_HAND = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def lint(notebook):
    """All that is wrong with a notebook, each complaint a sentence that begins with the id of its cell."""
    ids = [cell.get("id") for cell in notebook.cells]
    if len(set(ids) - {None}) < len(ids):
        return ["notebook: has cells without an id, or with the same one"]
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        return [f"notebook: is not valid: {error.args[0]}"]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    complaints = [f"notebook: {complaint}" for complaint in _whole(notebook, code)]
    for cell in notebook.cells:
        found = [*_any(cell), *(_markdown(cell) if cell.cell_type == "markdown" else [])]
        if cell.cell_type == "code":
            found += [*_code(cell, first=cell is code[0]), *_outputs(cell)]
        complaints += [f"{cell.id}: {complaint}" for complaint in found]
    return complaints


def _whole(notebook, code):
    if notebook.metadata != METADATA:
        yield f"has metadata other than {METADATA}"
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        yield "was not run from top to bottom: nbval would compare nothing in a cell without its number"
    solved = [cell for cell in code if cell.metadata.get("nbgrader", {}).get("solution")]
    lengths = [len(cell.source.splitlines()) for cell in code if cell not in solved]
    if sum(length < LONG_CELL for length in lengths) < 0.9 * len(lengths):
        yield f"has more than a tenth of its code cells at {LONG_CELL} lines or more"
    if lengths and statistics.median(lengths) > MEDIAN_CELL:
        yield f"has code cells of more than {MEDIAN_CELL} lines in the median"


def _any(cell):
    if BY_A_MACHINE.match(cell.id) or not BY_HAND.fullmatch(cell.id):
        yield "has no id written by hand, such as adam-rule"
    if unknown := set(cell.metadata.get("tags", [])) - TAGS:
        yield f"has unknown tags {sorted(unknown)}"
    if extra := cell.metadata.keys() - {"tags", "nbgrader"}:
        yield f"has metadata {sorted(extra)} beside its tags"


def _markdown(cell):
    prose = NOT_PROSE.sub(" ", cell.source)
    words = sum(any(map(str.isalnum, word)) for word in HEADING.sub("", prose).split())
    if words > WORDS and "# Sources" not in cell.source:
        yield f"has {words} words of prose, more than {WORDS}"
    if re.search(r"\\begin\{aligned\}((?!\\end\{aligned\}).)*\\tag", cell.source, re.DOTALL):
        yield "has a \\tag inside aligned, which MathJax shows as an error; write align"
    if "!" in prose:
        yield "has an exclamation mark"
    if re.search(r"\bsimply\b", prose, re.IGNORECASE):
        yield "says 'simply'"


def _code(cell, first):
    lines = len(cell.source.splitlines())
    if not lines:
        yield "is empty"
    if lines > LONGEST_CELL:
        yield f"has {lines} lines, more than {LONGEST_CELL}"
    if cell.source.rstrip().endswith(";"):
        yield "ends in ';', which nbval does not understand"
    if SWITCHED_OFF.search(cell.source):
        yield "has a comment that switches nbval off"
    try:
        tree = ast.parse(cell.source)
    except SyntaxError:
        yield "is not plain Python: no ! or % commands"
        return
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    if imports and not first:
        yield "imports, which only the first code cell does"
    if any(alias.name == "*" for node in imports for alias in node.names):
        yield "has a star import"


def _outputs(cell):
    for output in cell.outputs:
        data = output.get("data", {})
        plain = data.get("text/plain", "")
        if output.output_type == "error":
            yield "ended in an error"
        if output.get("name") == "stderr":
            yield "wrote to stderr"
        if ADDRESS.search(output.get("text", "") + plain):
            yield "shows an address in memory"
        if others := {mime for mime in data if mime.startswith("image/")} - {"image/png"}:
            yield f"shows {sorted(others)}, not a PNG"
        if plain.startswith("<Figure") or (data and not plain):
            yield "shows something without a text that nbval can compare"
        elif "image/png" in data and len(plain.partition("\n")[0].split()) < 5:
            yield "shows a picture without a sentence that says what is in it"
