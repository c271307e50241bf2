from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli.line_choice import choose_line
from agent.errors import ConfigurationError, LineNotFoundError

pytestmark = pytest.mark.unit

PAGE = "  - {web: kiln, business: Copper Kiln, greeting: Hello.}\n"
PHONE = '  - {number: "+15550177", web: hall, business: Town Hall, greeting: Hello.}\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lines.yaml"
    path.write_text(f"lines:\n{PAGE}{PHONE}")
    return path


def test_a_line_goes_by_its_number_or_its_page(file: Path) -> None:
    for wanted in ("hall", "web:hall", "+15550177"):
        assert choose_line(file, wanted).business == "Town Hall"
    with pytest.raises(LineNotFoundError, match=r"\+15550100"):
        choose_line(file, "+15550100")


def test_with_none_named_it_is_the_first_that_will_do(file: Path) -> None:
    assert choose_line(file).business == "Copper Kiln"
    assert choose_line(file, by_phone=True).business == "Town Hall"
    assert choose_line(None).business == "Brightside Dental"


def test_a_page_is_not_called_by_telephone(file: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"line kiln .* no number to call: add one"):
        choose_line(file, "kiln", by_phone=True)
    file.write_text(f"lines:\n{PAGE}")
    with pytest.raises(ConfigurationError, match=r"No line in .* number to call"):
        choose_line(file, by_phone=True)
