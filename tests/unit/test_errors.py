import pytest

from hangar import errors
from hangar.errors import ConfigError, HangarError, MachineMissing, Problem


def test_one_problem_and_several() -> None:
    one = ConfigError("a.yml", [Problem("x", "is wrong")])
    two = ConfigError("a.yml", [Problem("x.y", "is wrong"), Problem("", "there is no such file")], "Mend it.")
    assert (one.brief, one.details) == ("a.yml has a problem; nothing was touched.", "x: is wrong")
    assert two.brief == "a.yml has 2 problems; nothing was touched."
    assert two.details == "x.y: is wrong\nthere is no such file"


@pytest.mark.parametrize(
    ("name", "code"),
    [("HangarError", 1), ("ConfigError", 2), ("PromiseBroken", 3), ("LockHeld", 1), ("CloudError", 1)],
)
def test_exit_codes(name: str, code: int) -> None:
    assert getattr(errors, name).exit_code == code


def test_errors_are_compared_by_what_they_say() -> None:
    assert HangarError("a", "b", "c") == HangarError("a", "b", "c")
    assert HangarError("a") != HangarError("b")
    assert HangarError("a") != errors.CloudError("a")


def test_a_missing_machine_says_how_to_make_it() -> None:
    error = MachineMissing("sandbox")
    assert error.brief == "The environment sandbox has no machine."
    assert error.resolution == "Make it: ./provision.py up sandbox"
