"""Fill the tables of docs/benchmarks.md from the JSON files in docs/benchmarks/: `python docs/benchmarks.py`.

A script of benchmarks/ writes its results with `--json docs/benchmarks/NAME.json`. Its table is in the document between
the marks `<!-- NAME -->` and `<!-- end -->`. benchmarks/gpu/run.py writes gpu.json.
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
    texts = {name: gpu_table(report) if name == "gpu" else table(report) for name, report in reports.items()}
    texts.setdefault("gpu", "\nNothing was measured on a GPU yet.\n\n")
    return MARKED.sub(lambda match: f"{match[1]}{texts[match[2]]}{match[3]}", document)


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


RIVALS = ("torch", "torchvision", "im2col and product", "plain convolution")


def gpu_table(report: dict[str, Any]) -> str:
    """What became of every step on a GPU, and the times of all kernels beside their rivals', as Markdown."""
    lines = ["", "| step | | |", "|---|---|---|"]
    lines += [f"| {step['name']} | {step['state']} | {step['detail']} |" for step in report["steps"]]
    head = ("", "", "us, data in the cache", "us, from memory", "share of a copy's speed", *RIVALS)
    lines += ["", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    measured: dict[tuple[str, str], dict[str, Any]] = {}
    for row in (row for step in report["steps"] for row in step["results"] if "hot_us" in row):
        measured.setdefault((row["workload"], row["dtype"]), {})[row["way"]] = row
    for (workload, dtype), ways in measured.items():
        ours = ways["ours"]
        share = ours.get("of_copy_cold")
        cells = [figure(ours["hot_us"]), figure(ours["cold_us"]) if ours["cold_us"] else ""]
        cells += [
            f"{share:.0%}" if share else "",
            *(figure(ways[way]["ratio"]) if way in ways else "" for way in RIVALS),
        ]
        lines.append(f"| {workload} | {dtype} | {' | '.join(cells)} |")
    facts = report["environment"]
    versions = [f"{name} {version}" for name, version in facts["packages"].items() if version and name != "detforge"]
    lines += ["", f"{', '.join([facts['gpu'], facts['nvcc'] or 'no nvcc', *versions])}. Rivals: times ours.", ""]
    return "\n".join(lines) + "\n"


def figure(value: float) -> str:
    """A number with its significant digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}" if value >= 10 else f"{value:.2f}"


if __name__ == "__main__":
    main()
