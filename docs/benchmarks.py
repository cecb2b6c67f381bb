"""Fill the tables of docs/benchmarks.md from the JSON files in docs/benchmarks/: `python docs/benchmarks.py`.

A script of benchmarks/ writes its results with `--json docs/benchmarks/NAME.json`. Its table is in the document between
the marks `<!-- NAME -->` and `<!-- end -->`.
"""

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DOCUMENT = HERE / "benchmarks.md"
FIGURES = HERE / "benchmarks"
MARKED = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Rewrite the document."""
    DOCUMENT.write_text(filled(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")


def filled(document: str) -> str:
    """The document with updated tables. Raises KeyError for results without marks."""
    reports = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FIGURES.glob("*.json"))}
    if homeless := set(reports) - {name for _, name, _ in MARKED.findall(document)}:
        raise KeyError(f"docs/benchmarks.md has no place for {', '.join(sorted(homeless))}")
    return MARKED.sub(lambda match: f"{match[1]}{table(reports[match[2]])}{match[3]}", document)


def table(report: dict[str, Any]) -> str:
    """The tables of one report as Markdown, with the machine."""
    lines = ["", "| | way | ms | times ours | |", "|---|---|---|---|---|"]
    for each in report["tables"]:
        for i, row in enumerate(each["rows"]):
            title = each["title"] if i == 0 else ""
            lines.append(f"| {title} | {row['way']} | {figure(row['ms'])} | {figure(row['ratio'])} | {row['result']} |")
    facts, rounds = report["environment"], report["settings"]["rounds"]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items() if name != "detforge")
    beside = facts["processors_beside"]
    busy = f"; other processes used {beside} processors" if beside and beside > 0.2 else ""
    lines += ["", f"Medians of {rounds} rounds on {facts['threads']} threads of {facts['cpu']}{busy}; {versions}.", ""]
    return "\n".join(lines) + "\n"


def figure(value: float) -> str:
    """A number with its significant digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}" if value >= 10 else f"{value:.2f}"


if __name__ == "__main__":
    main()
