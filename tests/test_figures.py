"""The five figures: their answers against closed forms and simulated truths, their pictures, their files."""

import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest
import simulated

from lossband import studies as figures
from lossband.errors import InputError

matplotlib.use("Agg")
EXAMPLES = Path(__file__).parents[1] / "examples"
QUICK = {"num_samples": 250}


@pytest.fixture(scope="module")
def drawn():
    """Every figure, at a small size, when it is first asked for."""
    data = {
        "position": simulated.positions,
        "position-step": simulated.position_steps,
        "curve": simulated.long_run,
        "shape": simulated.shapes,
        "looped": lambda: None,
    }
    kept = {}

    def draw(name):
        if name not in kept:
            kept[name] = figures.FIGURES[name](data[name](), **QUICK)
        return kept[name]

    return draw


every_figure = pytest.mark.parametrize("name", figures.FIGURES)


@every_figure
def test_a_figure_is_healthy_and_leaves_its_files(name, drawn, tmp_path):
    figure = drawn(name)
    for post in figure.posts.values():
        assert post.health.rhat_max < 1.06 and post.health.divergences < 20
    paths = figure.save(tmp_path)
    assert len(paths) == len(set(paths)) == 1 + len(figure.tables) + len(figure.posts)
    assert matplotlib.image.imread(paths[0]).std() > 0.05
    assert all(title in str(figure) for title in figure.tables) and figure.title.endswith("?")
    for table in figure.tables.values():
        assert len(table) and not table.isna().all(axis=0).any()


@every_figure
def test_a_picture_says_what_its_axes_are_and_hides_no_data(name, drawn):
    axes = np.ravel(drawn(name).axes)
    axes[0].figure.canvas.draw()
    for ax in axes:
        if ax.get_legend():
            assert ax.get_legend().get_window_extent().y0 >= ax.get_window_extent().y1 - 1
    assert axes[-1].get_xlabel() and axes[0].get_ylabel() and "(" in axes[0].get_ylabel()


def test_bands_hold_the_truth_of_the_position_figure(drawn):
    sizes, held, forecast = drawn("position").tables.values()
    truth = 0.55 * (sizes["params"] / 3e6) ** 0.03
    assert ((sizes["lo_90"] <= truth) & (truth <= sizes["hi_90"])).sum() >= 5
    assert sizes["alone_median"].isna().tolist() == [False] * 5 + [True]
    assert held["lo_90"].item() < 0 < held["hi_90"].item() and held["inside_90"].item() >= 0.8
    assert (forecast["params"] == 4e8).all() and (forecast["lo_90"] < forecast["hi_90"]).all()


def test_the_last_step_holds_the_truth(drawn):
    """Where hypot(c, 60 s^-.7) = 1.01 (1.5 + c) - 1.5."""
    (last,) = drawn("position-step").tables.values()
    context = 4.0 * last["position"] ** -0.5
    training = np.sqrt((1.01 * (1.5 + context) - 1.5) ** 2 - context**2)
    truth = (60 / training) ** (1 / 0.7)
    assert ((last["lo_90"] <= truth) & (truth <= last["hi_90"])).sum() >= 4
    assert last["median"].is_monotonic_increasing


def test_the_last_step_is_where_the_law_says():
    v = {"E": 1.5, "b": 4.0, "p": 0.5, "B_natural": 60.0, "beta": 0.7, "g": 0.4}
    post = SimpleNamespace(sites={name: np.full((2, 3), value) for name, value in v.items()})
    last = figures.last_steps(post, [7.0], within=0.05)

    def loss(step):
        return v["E"] + ((4 * 7**-0.5) ** 2.5 + (60 * step**-0.7) ** 2.5) ** 0.4

    assert loss(last["median"].item()) == pytest.approx(1.05 * loss(1e15), rel=1e-6)
    assert last[["lo_90", "hi_90"]].nunique(axis=1).item() == 1


def test_the_curves_bands_hold_the_end_and_spikes_do_not_move_them(drawn):
    assert (
        "warm-up" in {note.code for note in drawn("curve").notes}
        and str(drawn("curve")).count("[warm-up]") == 1
    )
    final, reached = drawn("curve").tables.values()
    assert ((final["lo_90"] <= final["real"]) & (final["real"] <= final["hi_90"])).all()
    width = (final["hi_90"] - final["lo_90"]).to_numpy()
    assert width[0] > width[1] > width[2]
    assert ((reached["prob"] > 0.02) & (reached["lo_90"] <= reached["real"])).all()


def test_the_shapes_best_ratios_hold_the_truth(drawn):
    best, compute = drawn("shape").tables.values()
    truth = best["axis"].map({"ff_ratio": 3.0, "head_dim": 24.0})
    assert ((best["best_lo_90"] <= truth) & (truth <= best["best_hi_90"])).sum() >= 4
    more = best["axis"].map(
        {"ff_ratio": np.sqrt(np.log(1.01) / 0.01), "head_dim": np.sqrt(np.log(1.01) / 0.012)}
    )
    upper = truth * np.exp(more)
    assert ((best["to_lo_90"] <= upper) & (upper <= best["to_hi_90"])).sum() >= 4
    assert ((compute["lo_90"] > 0.02) & (compute["hi_90"] < 1)).all()


def test_extra_compute_buys_what_it_says():
    v = {"E": 1.2, "A": 0.8, "alpha": 0.25}
    post = SimpleNamespace(
        sites={name: np.full((1, 2), value) for name, value in v.items()},
        problem=SimpleNamespace(unit=SimpleNamespace(centre={"params": 6e5})),
    )
    more = figures.extra_compute(post, [1e6], within=0.02)["median"].item()
    loss = lambda n: 1.2 + 0.8 * (n / 6e5) ** -0.25  # noqa: E731
    assert loss(1e6 * (1 + more)) == pytest.approx(loss(1e6) / 1.02, rel=1e-9)
    assert figures.extra_compute(post, [1e30], within=0.02)["median"].item() == np.inf


def test_several_runs_are_too_many_for_the_curve_figure():
    run = simulated.long_run()
    with pytest.raises(InputError, match="watch follows one run, and the table has 2"):
        figures.curve(pd.concat([run, run.assign(run="two")]))


def test_several_models_are_too_many_for_the_step_figure():
    runs = simulated.position_steps()
    with pytest.raises(InputError, match="the table has 60 sizes"):
        figures.position_step(runs.assign(params=np.arange(1.0, 61)))


@pytest.mark.parametrize("name", ["looped", "position", "position_step", "curve", "shape"])
def test_an_example_prints_its_answer(name, drawn, tmp_path, monkeypatch, capsys):
    """The script as it is run, but for the fit itself, which the tests share."""
    figure = drawn(name.replace("_", "-"))
    monkeypatch.setattr(figures, name, lambda: figure)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", str(tmp_path)])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert figure.title in capsys.readouterr().out and list(tmp_path.glob("*.png"))
