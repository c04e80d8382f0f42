"""The report in a real browser: on a phone and on a desk, in light and dark, nothing overlaps or scrolls sideways."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

import lossband as lb

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
WIDTHS = {"phone": 390, "desk": 1280}
SCHEMES = {"dark": 0, "light": 1}
MEASURE = """
<script>
addEventListener("load", () => {
  const inner = document.querySelector("iframe").contentDocument, root = inner.documentElement;
  const boxes = (svg) => [...svg.querySelectorAll("text")].map((t) => [t.textContent, t.getBoundingClientRect()]);
  const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  const overlaps = [];
  for (const svg of inner.querySelectorAll("svg")) {
    const all = boxes(svg);
    all.forEach(([one, a], i) => all.slice(i + 1).forEach(([other, b]) => meet(a, b) && overlaps.push([one, other])));
  }
  const style = inner.defaultView.getComputedStyle(inner.body);
  const found = {width: root.clientWidth, wide: root.scrollWidth, overlaps, texts: inner.querySelectorAll("svg text").length,
    ink: style.color, paper: style.backgroundColor, drawn: [...inner.querySelectorAll("svg")].every((s) => s.getBoundingClientRect().width > 100)};
  document.body.textContent = "FOUND" + JSON.stringify(found) + "END";
});
</script>
"""


def seen(page, width, scheme, folder):
    """What a browser makes of a page in a frame of that width."""
    around = folder / "around.html"
    around.write_text(
        f'<!doctype html><body>{MEASURE}<iframe width="{width}" height="900" srcdoc="{html.escape(page)}"></iframe></body>'
    )
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={folder / 'profile'}",
    ]
    options += [
        f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
        "--virtual-time-budget=8000",
        "--dump-dom",
    ]
    done = subprocess.run([BROWSER, *options, around.as_uri()], capture_output=True, text=True, timeout=120)
    found = re.search(r"FOUND(.*)END", done.stdout, flags=re.DOTALL)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


def luminance(colour):
    """Relative luminance of "rgb(r, g, b)", by WCAG 2."""
    parts = np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) / 255
    return np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [
        0.2126,
        0.7152,
        0.0722,
    ]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report with every section, of a sweep with long names."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    params, tokens = (m.ravel() for m in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e8, 3e10, 6)))
    loss = (1.69 + 406.4 * params**-0.34 + 410.7 * tokens**-0.28) * np.exp(
        np.random.default_rng(0).normal(0, 0.003, 30)
    )
    runs = pd.DataFrame({"params": params, "tokens": tokens, "loss": loss})
    runs["run"] = [f"ladder/of-the-spring/{i}-with-a-long-name" for i in range(30)]
    quick = dict(method="laplace", num_samples=50, progress=False)
    test = lb.backtest(runs, "chinchilla", by="params", hide=1, **quick)
    lb.write_report(lb.fit(runs, "chinchilla", **quick), path, backtest=test)
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("device", WIDTHS)
def test_a_report_fits_the_screen_and_no_label_overlaps(device, scheme, report, tmp_path):
    found = seen(report, WIDTHS[device], scheme, tmp_path)
    assert found["wide"] <= found["width"] <= WIDTHS[device]
    assert found["overlaps"] == [] and found["texts"] > 40 and found["drawn"]
    ink, paper = luminance(found["ink"]), luminance(found["paper"])
    assert (paper < 0.05) == (scheme == "dark")
    assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) > 7


def test_what_overlaps_or_is_too_wide_would_be_seen(tmp_path):
    bad = '<!doctype html><body><div style="width:2000px">x</div><svg width="300" height="60"><text x="5" y="30">one label</text><text x="9" y="32">another</text></svg></body>'
    found = seen(bad, 390, "light", tmp_path)
    assert found["wide"] > found["width"] and found["overlaps"] == [["one label", "another"]]


def test_a_report_has_the_equation_with_numbers_the_forecast_and_the_plan(report):
    assert "L(N, D) = E + A (N / N0)^-alpha + B (D / D0)^-beta" in report
    (filled,) = re.findall(
        r"L\(N, D\) = (1\.\d+ \+ [\d.]+ \(N / 1e\+08\)\^-[\d.]+ \+ [\d.]+ \(D / [\d.e+]+\)\^-[\d.]+)", report
    )
    value = eval(filled.replace("^", "**").replace(" (", " * (").replace("N", "1e8").replace("D", "1.73e9"))
    assert value == pytest.approx(1.69 + 406.4 * 1e8**-0.34 + 410.7 * 1.73e9**-0.28, rel=0.02)
    assert "Forecast and plan" in report and "params_median" in report and "lo_90" in report
