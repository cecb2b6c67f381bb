"""The committed table of networks is what its script prints from the variants of today."""

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("models_table", DOCS / "models.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    committed = (DOCS / "models.md").read_text(encoding="utf-8")
    assert committed == script.table(), "run: python docs/models.py"
