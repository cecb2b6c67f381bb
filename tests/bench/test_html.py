"""The page: whole, alone, and with the figures of its report where they belong."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from bench.reports import CASE, report, result

from detforge.deploy.backends.node_times import NodeTime
from detforge.deploy.bench.charts import distributions, short
from detforge.deploy.bench.html import to_html
from detforge.deploy.bench.report import PEER, STAGES

VOID = {"meta", "br", "line", "circle", "path"}


class Page(HTMLParser):
    """Checks that tags close in order; collects attributes and texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_it_is_whole_and_needs_nothing_beside_itself() -> None:
    page = Page(to_html(report(result(), result(replace(CASE, batch=8), factor=3))))
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not {"src", "href", "srcset"} & set(attributes)
    style = "".join(page.texts)
    assert "url(" not in style and "@import" not in style and "prefers-color-scheme: dark" in style


def test_names_are_text_whatever_they_are() -> None:
    name = '<script>alert("1")</script>&.onnx'
    html = to_html(report(result(replace(CASE, model=name))))
    page = Page(html)
    assert "script" not in {tag for tag, _ in page.tags}
    assert name in page.texts


def test_every_figure_is_there() -> None:
    one = result()
    texts = Page(to_html(report(one))).texts
    for stage in STAGES:
        for metric in ("mean", "p50", "p90", "p99"):
            assert f"{getattr(one.ms[stage], metric):.3f}" in texts
    assert "Some [bold] CPU, 2 processors, quota 1.5, 2 threads used" in texts
    assert "3 periods by the CPU quota, 2 times by heat" in texts


def test_bars_are_parted_as_stages_are() -> None:
    html = to_html(report(result()))
    shares = [float(share) for share in re.findall(r'style="flex:([0-9.]+)" title="(?:decode|pre|infer|post)', html)]
    assert shares == [1, 2, 3, 4]


def test_a_peer_tells_how_many_times_as_long_it_takes() -> None:
    peer = result(replace(CASE, backend=PEER), factor=1.5)
    both = report(result(), peer)
    [ratio] = both.ratios()
    assert (ratio.peer, ratio.infer, ratio.e2e) == (peer.case, 1.5, 1.5)
    assert "1.50 times as long as the exported file" in to_html(both)


def test_changes_and_nodes_have_their_sections() -> None:
    watched = replace(result(), nodes=(NodeTime("a<b", "Conv", 2.0), NodeTime("c", "Relu", 0.5)))
    texts = Page(to_html(report(watched), report(result(factor=0.5), result(replace(CASE, model="b.onnx"))))).texts
    assert texts.count("+100.0") == 20
    assert "a<b (Conv)" in texts and "2.000 ms" in texts
    assert "Change" not in Page(to_html(report(watched))).texts


@pytest.mark.parametrize("factors", [(1, 1), (1, 200), (1e-3,), (1e5,)])
def test_charts_stay_in_their_frame(factors: tuple[float, ...]) -> None:
    chart = distributions([result(factor=factor) for factor in factors])
    page = Page(chart)
    [view] = [attributes["viewbox"] for tag, attributes in page.tags if tag == "svg"]
    assert view is not None
    width, height = map(float, view.split()[2:])
    numbers = [tuple(map(float, pair)) for pair in re.findall(r"[ML]([0-9.-]+) ([0-9.-]+)", chart)]
    assert all(0 <= x <= width and 0 <= y <= height for x, y in numbers)
    ticks = [float(text.split()[0]) for text in page.texts if re.fullmatch(r"[0-9.e+]+( ms)?", text)]
    assert len(ticks) >= 3 and ticks == sorted(ticks)


def test_the_peak_of_a_hill_is_where_most_samples_are() -> None:
    one = replace(result(), e2e_ms=(10.0,) * 90 + (20.0,) * 10)
    path = re.search(r'class="area" d="M([^"]*)Z"', distributions([one]))
    assert path is not None
    points = [tuple(map(float, pair.split())) for pair in path[1].split("L")[2:-1]]
    highest = min(points, key=lambda point: point[1])
    second = min((point for point in points if abs(point[0] - highest[0]) > 100), key=lambda point: point[1])
    floor = points[0][1]
    assert (floor - second[1]) / (floor - highest[1]) == pytest.approx(1 / 9, abs=0.02)


@pytest.mark.parametrize(("ms", "text"), [(0.123456, "0.1235"), (12.5, "12.50"), (999.94, "999.9"), (1234.5, "1234")])
def test_figures_have_the_digits_that_say_something(ms: float, text: str) -> None:
    assert short(ms) == text


def test_the_style_is_shipped() -> None:
    from detforge.deploy.bench import html

    assert Path(html.__file__).with_name("report.css").is_file()
