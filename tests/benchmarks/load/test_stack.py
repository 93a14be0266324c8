"""The load that a running stack gets, and what the program says where it cannot be asked."""

import pytest

from benchmarks.load.stack import main


def test_a_port_without_a_stack_is_an_error_of_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["1"])
    error = capsys.readouterr().err
    assert error.startswith("error: port 1: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        ["--rate", "0"],
        ["--rate", "nan"],
        ["--rate", "-5"],
        ["--seconds", "0"],
        ["--seconds", "inf"],
    ],
)
def test_a_rate_or_a_duration_without_a_request_is_refused(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["1", *options])
    name, value = options
    refusal = f"error: argument {name}: {value!r}: must be above 0 and finite\n"
    assert capsys.readouterr().err.endswith(refusal)
