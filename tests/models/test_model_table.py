"""The committed table of networks and their numbers of parameters are what the script writes from today's variants."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from detforge.export import catalog
from detforge.models.zoo import VARIANTS

SCRIPT = Path(__file__).parents[2] / "docs" / "models.py"


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("models_table", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_variant_has_its_number_of_parameters() -> None:
    assert list(json.loads(catalog.PARAMETERS.read_text())) == list(VARIANTS), "run: python docs/models.py"


@pytest.mark.slow
@pytest.mark.long
def test_the_numbers_of_parameters_are_up_to_date() -> None:
    assert json.loads(catalog.PARAMETERS.read_text()) == catalog.count_parameters(), "run: python docs/models.py"


def test_the_table_is_up_to_date(script: ModuleType) -> None:
    assert script.PAGE.read_text(encoding="utf-8") == script.table(), "run: python docs/models.py"


def test_the_page_is_written_whole_or_not_at_all(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "models.md"
    monkeypatch.setattr(script, "PAGE", page)
    monkeypatch.setattr(catalog, "PARAMETERS", tmp_path / "parameters.json")
    monkeypatch.setattr(catalog, "count_parameters", dict)
    monkeypatch.setattr(sys, "argv", ["models.py"])
    monkeypatch.setattr(script, "table", lambda: "new")
    script.main()
    assert page.read_text() == "new"
    monkeypatch.setattr(script, "table", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        script.main()
    assert page.read_text() == "new"
