"""The mapping of errors to exit codes."""

import pytest

from scoring_operator.cli.exit_codes import run_to_exit_code
from scoring_operator.errors import Conflict, Forbidden, Invalid, InvalidSettings, Unavailable


async def work(error: Exception | None) -> int:
    if error:
        raise error
    return 7


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        pytest.param(None, 7, "", id="success"),
        pytest.param(InvalidSettings("no namespace"), 64, "create-run: no namespace", id="settings"),
        pytest.param(Invalid("too large"), 65, "create-run: the API server rejects the run: too large", id="invalid"),
        pytest.param(Forbidden("no role"), 75, "create-run: no role; a retry may succeed", id="forbidden"),
        pytest.param(Unavailable("reset"), 75, "create-run: reset; a retry may succeed", id="unavailable"),
        pytest.param(Conflict("changed"), 75, "create-run: changed; a retry may succeed", id="conflict"),
    ],
)
def test_error_becomes_one_line_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], error: Exception | None, code: int, message: str
) -> None:
    assert run_to_exit_code("create-run", work(error)) == code
    assert capsys.readouterr().err.strip() == message


def test_unexpected_error_is_raised() -> None:
    with pytest.raises(RuntimeError):
        run_to_exit_code("create-run", work(RuntimeError("a bug")))
