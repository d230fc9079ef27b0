"""What a newcomer mistypes gets an answer that says what was seen and what is wanted."""

import subprocess
import sys

import pytest

import edu_optim
from edu_optim import lab, problems, rules
from edu_optim.check import check, hint

SLIPS = {
    "a name for an optimizer": (lambda: lab.playground("adam"), "optimizer must be a class or a rule.*got 'adam'"),
    "a number for an optimizer": (lambda: lab.playground(3), "optimizer must be a class or a rule.*got 3"),
    "a map of a name": (lambda: lab.basins("SGD"), "optimizer must be a class or a rule.*got 'SGD'"),
    "a sensitivity of a name": (lambda: lab.sensitivity("SGD"), "optimizer must be a class or a rule.*got 'SGD'"),
    "the rates of a name": (lambda: lab.rates("SGD"), "optimizer must be a class or a rule.*got 'SGD'"),
    "a microscope over a name": (lambda: lab.microscope("adam", lr=0.1), "optimizer must be .*got 'adam'"),
    "a rate that is a word": (lambda: lab.microscope(rules.adam, lr="x"), "lr must be a number above 0, got 'x'"),
    "a descent by a name": (
        lambda: edu_optim.descend(problems.beale, "Adam", steps=5),
        "optimizer must be a class, such as edu_optim.Adam.*got 'Adam'",
    ),
    "a descent of a name": (
        lambda: edu_optim.descend("beale", edu_optim.Adam, steps=5),
        "problem must be one of edu_optim.problems.*got 'beale'",
    ),
    "a hint for a number": (lambda: hint(3), "named by a function, a class or a word such as 'adam', got 3"),
    "a check like a number": (lambda: check(rules.adam, like=3), "named by a function, a class or a word.*got 3"),
    "a rule among classes": (lambda: edu_optim.adam, "no attribute 'adam': the rule is edu_optim.rules.adam"),
    "nothing we have": (lambda: edu_optim.lyon, "no attribute 'lyon'$"),
}


@pytest.mark.parametrize("slip, answer", SLIPS.values(), ids=SLIPS)
def test_a_slip_is_answered(slip, answer):
    with pytest.raises((TypeError, ValueError, AttributeError), match=answer):
        slip()


def test_case_is_forgiven():
    assert check(rules.adam, like="Adam").kind == check(rules.adam, like="adam").kind
    assert lab.playground(rules.adam, like="adam").constants["like"] == "Adam"


def test_the_packages_of_the_readme_are_there_without_an_import_of_their_own_and_check_can_be_called():
    code = "import edu_optim; edu_optim.lab.playground; edu_optim.plot.show; from edu_optim import check, rules; "
    code += "print(check(rules.adam).kind == check.check(rules.adam).kind)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert result.stdout == "True\n", result.stderr
