"""Every picture: what it shows, that its tick labels have room, and results as a notebook shows them."""

import subprocess
import sys
from html.parser import HTMLParser
from itertools import combinations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import lossband as lb
from lossband.evaluation.backtest import Backtest, _scored
from lossband.evaluation.classic import classic
from lossband.evaluation.compare import LawTable
from lossband.plot import style
from lossband.runs.levels import is_isoflop

matplotlib.use("Agg")
QUICK = dict(method="laplace", num_samples=50, num_warmup=50, num_chains=2, progress=False)


def losses(params, tokens, seed=0):
    noise = np.exp(np.random.default_rng(seed).normal(0, 0.004, len(params)))
    loss = (1.69 + 406.4 * params**-0.34 + 410.7 * tokens**-0.28) * noise
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": loss})


@pytest.fixture(scope="module")
def isoflops():
    """Four budgets, seven sizes each."""
    budgets = np.repeat([1e19, 3e19, 1e20, 3e20], 7)
    params = 1e8 * (budgets / 1e19) ** 0.5 * np.tile(np.geomspace(0.25, 4.5, 7), 4)
    return losses(params, budgets / (6 * params))


@pytest.fixture(scope="module")
def post(isoflops):
    return lb.fit(isoflops[:21], "chinchilla", **QUICK)


@pytest.fixture(scope="module")
def plan(post):
    return post.optimal(flops=[1e20, 1e21, 1e22])


@pytest.fixture(scope="module")
def backtested(post, isoflops):
    rows = isoflops[21:].assign(run=lambda t: [f"r{i}" for i in range(len(t))])
    return Backtest(_scored(post, rows, 1, (0.5, 0.9)), (), (0.5, 0.9))


@pytest.fixture(scope="module")
def outlook():
    step = np.geomspace(100, 40_000, 120)
    loss = (2.5 + 3 * (step / 100) ** -0.5) * np.exp(np.random.default_rng(0).normal(0, 0.003, 120))
    return lb.watch(pd.DataFrame({"step": step, "loss": loss}), until=120_000, target=2.6, **QUICK)


@pytest.fixture(scope="module")
def table():
    schemes = {f"{s}_{c}": [0.0, 0.12] for s in ("future", "run") for c in ("behind", "behind_se")}
    return LawTable({"weight": [0.7, 0.3], **schemes, "notes": [(), ()]}, index=["capped", "<b>kaplan</b>"])


@pytest.fixture(scope="module")
def recipes(isoflops):
    return lb.compare_recipes(
        isoflops, isoflops.assign(loss=0.98 * isoflops.loss), law="chinchilla", drift=None, **QUICK
    )


@pytest.fixture(scope="module")
def chosen(post):
    larger = {"params": [1e9, 2e9, 4e9], "tokens": [1e10, 4e10, 1e11]}
    return lb.next_run(post, larger, target={"params": 1e10, "tokens": 1e12}, count=2)


PICTURES = {
    "recipes": lambda get: get("recipes").plot(get("recipes").way_to({"params": 7e9, "tokens": 1.4e11})),
    "next run": lambda get: get("chosen").plot(runs=get("isoflops")),
    "valleys of losses": lambda get: get("post").plot(new=get("isoflops")[21:]),
    "curves by size": lambda get: get("post").plot("tokens", by="params"),
    "a forecast": lambda get: get("post").plot(new={"params": [7e10], "tokens": [1.4e12]}),
    "plan": lambda get: get("plan").plot(),
    "backtest": lambda get: get("backtested").plot(),
    "outlook": lambda get: get("outlook").plot(),
    "laws": lambda get: get("table").plot(),
    "reliability": lambda get: lb.plot.reliability(get("backtested")),
    "pit": lambda get: lb.plot.pit(get("backtested")),
    "panels": lambda get: lb.plot.panels(
        get("post"), get("isoflops").assign(flops=np.repeat([1, 2, 3, 4], 7)), columns="flops", x="params"
    ),
    "exponents": lambda get: lb.plot.exponents(
        pd.DataFrame(
            {"params": [3e6, 4e6, 5e6]}
            | {f"{a}{b}": [0.4, 0.5, 0.6] for a in ("", "alone_") for b in ("median", "lo_90", "hi_90")}
        )
    ),
    "last steps": lambda get: lb.plot.last_steps(
        pd.DataFrame({"position": [1, 10, 300], "median": [2e3, 5e3, 9e3], "lo_90": 1e3, "hi_90": 1e4}),
        1e4,
        within=0.01,
    ),
}


@pytest.fixture
def drawn(request):
    """A picture's figure, by its name."""

    def draw(name):
        return np.ravel(PICTURES[name](request.getfixturevalue))[0].figure

    yield draw
    plt.close("all")


def overlapping(figure):
    """Pairs of tick labels whose boxes overlap, as text."""
    figure.canvas.draw()
    boxes = []
    for ax in [each for one in figure.axes for each in (one, *one.child_axes)]:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            shown = [tick for tick in ticks if low <= tick.get_loc() <= high]
            labels = [label for tick in shown for label in (tick.label1, tick.label2)]
            boxes += [
                (e.get_text(), e.get_window_extent()) for e in labels if e.get_visible() and e.get_text()
            ]
    return [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.overlaps(other)]


@pytest.mark.parametrize("name", PICTURES)
def test_tick_labels_have_room(name, drawn):
    figure = drawn(name)
    assert not overlapping(figure)
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            if axis.get_scale() == "log":
                assert 2 <= len(axis.get_major_locator()()) <= 8


@pytest.mark.parametrize("name", ["plan", "backtest"])
def test_the_labels_of_before_would_be_found(name, drawn, monkeypatch):
    """The alarm rings: matplotlib's own labels of a log axis overprint in these pictures."""

    def before(ax, which="x"):
        ax.set(**{f"{each}scale": "log" for each in which})
        return ax

    for module in ("evaluation", "forecast", "planning"):  # a function has the name of its module
        monkeypatch.setattr(sys.modules[f"lossband.plot.{module}"], "log_axes", before)
    assert overlapping(drawn(name))


@pytest.mark.parametrize(
    ("low", "high", "room", "labels"),
    [
        (3e6, 3e9, 7, ["3M", "10M", "30M", "100M", "300M", "1B", "3B"]),
        (1e18, 3e21, 4, ["1e18", "1e19", "1e20", "1e21"]),
        (2.1, 4.4, 7, ["2.5", "3", "3.5", "4"]),
        (0.0011, 0.02, 3, ["0.002", "0.01"]),
    ],
)
def test_ticks_are_round_and_as_many_as_have_room(low, high, room, labels):
    ticks = style.round_ticks(low, high, room)
    assert np.diff(np.log(ticks)).min() >= np.log(high / low) / room
    assert [style.short(tick) for tick in ticks] == labels or room == 3


def test_short_numbers_round_into_the_next_unit():
    assert [style.short(v) for v in (999.9e6, 1e21, 2.5e-3, 1234.0)] == ["1B", "1e21", "0.0025", "1.23k"]


def test_valleys_are_drawn_for_isoflops_only(post, isoflops, sweep):
    flops = 6 * isoflops.params * isoflops.tokens
    assert is_isoflop(isoflops.assign(flops=flops))
    assert not is_isoflop(sweep.assign(flops=6 * sweep.params * sweep.tokens))
    ax = post.plot()
    assert ax.get_xlabel() == "parameters N"
    names = ax.get_legend_handles_labels()[1]
    assert names[:3] == ["C = 1e19", "C = 3e19", "C = 1e20"] and {"50 % band", "90 % band"} <= set(names)
    for line in ax.lines:  # a valley has its lowest point inside
        if line.get_linestyle() == "--" and len(line.get_xdata()) > 2:
            assert 0 < np.argmin(line.get_ydata()) < len(line.get_ydata()) - 1
    plt.close("all")


def test_new_points_stand_at_their_losses_and_are_told_apart(post, isoflops):
    ax = post.plot(new=isoflops[21:])
    hollow = [
        line for line in ax.lines if line.get_markerfacecolor() == "white" and len(line.get_xdata()) == 7
    ]
    np.testing.assert_allclose(np.sort(hollow[0].get_ydata()), np.sort(isoflops.loss[21:]))
    assert any("held out" in name for name in ax.get_legend_handles_labels()[1])
    plt.close("all")


def test_points_off_their_curve_are_moved_and_that_is_said(post, isoflops):
    assert "moved" in post.plot("tokens", by="params").get_xlabel()
    assert "moved" not in post.plot().get_xlabel()
    plt.close("all")


@pytest.mark.parametrize("wrong", [{"x": "loops"}, {"by": "loops"}, {"new": {"params": [1e9]}}])
def test_a_picture_of_unknown_inputs_is_refused(post, wrong):
    with pytest.raises(lb.InputError):
        post.plot(**wrong)


class Tags(HTMLParser):
    """The tags, and whether each is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], set()

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


RESULTS = {
    "posterior": lambda get: get("post"),
    "summary": lambda get: get("post").summary(),
    "health": lambda get: get("post").health,
    "law": lambda get: get("post").law,
    "plan": lambda get: get("plan"),
    "backtest": lambda get: get("backtested"),
    "calibration": lambda get: get("backtested").calibration(),
    "outlook": lambda get: get("outlook"),
    "laws": lambda get: get("table"),
    "recipes": lambda get: get("recipes"),
    "next run": lambda get: get("chosen"),
    "classical fits": lambda get: classic(get("post"), [1e21], num_bootstraps=10),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_notebook_shows_a_result_escaped(name, request):
    page = RESULTS[name](request.getfixturevalue)._repr_html_()
    tags = Tags()
    tags.feed(page)
    assert not tags.open and tags.seen <= {*"div p b pre ul li table thead tbody tr th td".split()}
    assert len(page) < 20_000 and "<b>kaplan" not in page


def test_a_slice_of_a_summary_says_first_whether_to_trust_it(post):
    summary = post.summary()
    assert {"lo_90", "hi_90"} <= set(summary) and not [c for c in summary if c.startswith("eti")]
    for part in (summary, summary.head(1), summary[["median", "lo_90"]], summary.loc[summary.index[:2]]):
        assert str(part).startswith(str(post.health)) and "Pareto k" in part._repr_html_()


def test_prints_fit_the_width_and_hide_no_column(backtested, post, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for table in (backtested.calibration(), post.summary()):
        printed = str(table)
        assert all(column in printed for column in table)
        body = printed.split("\n\n")[-1 if not table.attrs.get("notes") else -2]
        assert max(map(len, body.splitlines())) <= 80
    assert "cover_90" in repr(backtested)


def test_python_m_lossband_is_the_command():
    done = subprocess.run([sys.executable, "-m", "lossband", "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("lossband ")
    assert subprocess.run([sys.executable, "-m", "lossband"], capture_output=True).returncode == 2
