"""The committed table of networks is what its script writes from the variants of today."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "models.py"


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("models_table", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_table_is_up_to_date(script: ModuleType) -> None:
    assert script.PAGE.read_text(encoding="utf-8") == script.table(), "run: python docs/models.py"


def test_the_page_is_written_whole_or_not_at_all(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "models.md"
    monkeypatch.setattr(script, "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["models.py"])
    monkeypatch.setattr(script, "table", lambda: "new")
    script.main()
    assert page.read_text() == "new"
    monkeypatch.setattr(script, "table", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        script.main()
    assert page.read_text() == "new"
