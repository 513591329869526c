"""Numbers that make no sense are refused before a machine is asked or stopped."""

import pytest

from hangar.cli import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["logs", "-n", "0"], "argument -n/--lines: from 1 to 1000000 lines would be right"),
        (["logs", "-n=-5"], "argument -n/--lines: from 1 to 1000000 lines would be right"),
        (
            ["logs", "-n", "ten"],
            'argument -n/--lines: "ten" is no number; from 1 to 1000000 lines would be right',
        ),
        (["status", "--watch=0"], "argument -w/--watch: from 1 to 3600 seconds would be right"),
        (
            ["status", "--watch=soon"],
            'argument -w/--watch: "soon" is no number; from 1 to 3600 seconds would be right',
        ),
        # With these an upgrade that has drained the machine would never give up.
        (["upgrade", "apply", "--minutes=nan"], "argument --minutes: from 0 to 1440 minutes would be right"),
        (["upgrade", "apply", "--minutes=inf"], "argument --minutes: from 0 to 1440 minutes would be right"),
        (["upgrade", "apply", "--minutes=-3"], "argument --minutes: from 0 to 1440 minutes would be right"),
    ],
)
def test_a_number_without_sense_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
