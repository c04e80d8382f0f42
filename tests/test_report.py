"""The report.

One file that needs nothing else, says what the posterior says, and escapes what users write.
"""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import lossband as lb
from lossband.evaluation.backtest import Backtest
from lossband.report import _backtest_of, charts, page

VOID = {"meta", "br", "link"}


class Reader(HTMLParser):
    """Text by tag, attributes, and whether every tag is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.cells, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells.append(data)


@pytest.fixture(scope="module")
def scored(default_post, grid):
    """A backtest's frame, without fitting again.

    The grid's largest sizes, forecast by a fit that saw them.
    """
    from lossband.evaluation.backtest import _scored

    rows = grid[grid.params >= np.sort(grid.params.unique())[-2]].assign(
        run=lambda t: [f"r{i}" for i in range(len(t))]
    )
    return Backtest(_scored(default_post, rows, 2, (0.5, 0.9)), (), (0.5, 0.9))


@pytest.fixture(scope="module")
def report(default_post, scored, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    scored.frame.to_csv(folder / "backtest.csv", index=False)
    path = lb.write_report(
        default_post, folder / "report.html", backtest=folder / "backtest.csv", title="<b>&"
    )
    text = path.read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(text)
    return text, reader


def test_the_file_is_whole_and_needs_no_network(report):
    text, reader = report
    assert not reader.open
    links = [value for name, value in reader.attributes if name in ("src", "href", "xlink:href")]
    assert all(value.startswith("#") for value in links)
    assert not re.search(r"url\((?!#)|@import|<script", text)
    assert "prefers-color-scheme: dark" in text and 'name="viewport"' in text


def test_it_says_what_the_posterior_says(report, default_post):
    text, reader = report
    for name in ("E", "alpha", "beta", "above"):
        draws = default_post.parts[default_post.cited][1].draws.sites[name]
        at = reader.cells.index(name)
        assert reader.cells[at + 1] == page.shown(float(np.median(draws)))
        assert reader.cells[at + 3] == page.shown(float(np.quantile(draws, 0.05)))
    assert str(default_post.health).splitlines()[0] in text
    for words in ("Coefficients", "Gap per curve", "Calibration", "Provenance", "data, SHA-256"):
        assert words in text


def test_what_users_write_is_escaped(report):
    assert "<b>&" not in report[0] and "&lt;b&gt;&amp;" in report[0]
    assert page.table(pd.DataFrame({"<i>": ["<script>"]})).count("&lt;") == 2


def test_drawings_take_the_pages_colours(report):
    text, _ = report
    assert "var(--real)" in text and "var(--pred)" in text and "currentColor" in text
    assert not any(stand_in in text for stand_in in charts.PAGE_COLOURS)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', text))
    assert used and all(text.count(f' id="{name}"') == 1 for name in used)  # each drawing uses its own shapes


def test_a_backtest_comes_back_from_its_file(scored, tmp_path):
    scored.frame.to_csv(tmp_path / "b.csv", index=False)
    pd.testing.assert_frame_equal(
        _backtest_of(tmp_path / "b.csv").calibration("params"), scored.calibration("params")
    )
    pd.DataFrame({"loss": [1.0]}).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(lb.InputError, match=r"other\.csv is no backtest of lossband"):
        _backtest_of(tmp_path / "other.csv")


def test_measured_rows_are_moved_along_the_law_to_the_drawings_inputs(default_post, grid, monkeypatch):
    """Each drawing's points lie on its curve as closely as the rows lie on the law: within the noise."""
    seen = []
    monkeypatch.setattr(charts, "svg_of", lambda figure: seen.append(figure.axes[0]))
    charts.bands(default_post)
    for ax in seen:
        lines = {line.get_label(): line for line in ax.lines}
        x, y = lines["predicted"].get_data()
        px, py = lines["measured"].get_data()
        at = np.interp(np.log(px), np.log(x), y)
        assert np.max(np.abs(py / at - 1)) < 0.03
    assert sum(len(ax.lines[-1].get_xdata()) for ax in seen) == len(grid)
