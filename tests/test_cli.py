"""The demo, as a user runs it; and the figure, the table and the files that it writes."""

import pandas as pd
import pytest

import lossband as lb
from lossband.cli import main


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    from contextlib import redirect_stderr, redirect_stdout
    from io import StringIO

    folder, out, err = tmp_path_factory.mktemp("demo"), StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(["demo", "--out", str(folder)])
    return folder, status, out.getvalue(), err.getvalue()


def test_demo_prints_diagnostics_then_coefficients_then_calibration_then_gaps(demo):
    _, status, out, _ = demo
    assert status == 0
    places = [
        out.index(words)
        for words in ("R-hat max", "alpha", "Calibration by model size", "Signed gap per curve")
    ]
    assert places == sorted(places)


def test_demo_shows_no_progress_bar_in_a_pipe(demo):
    _, _, out, err = demo
    assert "sampling" not in err and "it/s" not in out + err


def test_demo_writes_the_figure_the_bands_and_the_posterior(demo):
    folder, *_ = demo
    assert (folder / "panels.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    bands, post = pd.read_csv(folder / "bands.csv"), lb.load(folder / "posterior.nc")
    runs = lb.load_dataset("looped")
    assert bands["params"].nunique() == runs["params"].nunique()
    assert post.problem.frame["params"].max() < runs["params"].max()
    assert post.health.rhat_max < 1.01
    assert post.health.ess_min > 400
    assert post.health.divergences <= 20  # of 4,000: the shifts are barely seen, and the note says so


def test_demo_bands_hold_the_hidden_size(demo):
    folder, *_ = demo
    post, runs = lb.load(folder / "posterior.nc"), lb.load_dataset("looped")
    hidden = runs[(runs.params == runs.params.max()) & (runs.tokens >= 1e5)]
    band = post.predict(hidden)
    inside = (band["lo_90"].to_numpy() <= hidden["loss"]) & (hidden["loss"] <= band["hi_90"].to_numpy())
    assert inside.mean() > 0.75


def test_panels_has_one_axes_a_cell_and_marks_the_held_out_size(demo):
    import matplotlib.pyplot as plt

    folder, *_ = demo
    runs = lb.load_dataset("looped")
    runs = runs[(runs.tokens >= 1e5) & runs.loops.isin([2, 8])]
    axes = lb.plot.panels(lb.load(folder / "posterior.nc"), runs, hidden=runs.params.max(), points=8)
    assert axes.shape == (2, 5)
    titles = [axis.get_title() for axis in axes.flat]
    assert sum("held out" in title for title in titles) == 2
    assert all(len(axis.collections) == 2 for axis in axes.flat)  # the 50 and the 90 % band
    plt.close("all")


def test_bad_input_ends_with_a_hint_and_status_2(capsys, monkeypatch):
    def fail(args):
        raise lb.InputError("something is wrong.", "Do this.")

    monkeypatch.setattr("lossband.cli.run_demo", fail)
    assert main(["demo"]) == 2
    assert capsys.readouterr().err.splitlines() == ["error: something is wrong.", "hint: Do this."]


def test_unknown_data_set_names_the_nearest():
    with pytest.raises(lb.InputError, match="did you mean 'looped'"):
        lb.load_dataset("loped")
    assert "units" in " ".join(lb.datasets.describe("looped"))
