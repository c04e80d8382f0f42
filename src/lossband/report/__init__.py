"""A report: one HTML file that a team can pass around, without a network and without lossband."""

import datetime
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd

from .._arguments import of_type, path_of
from .._files import replacing
from ..errors import InputError
from ..evaluation.backtest import Backtest
from ..posterior.posterior import Posterior
from ..runs.table import read_runs
from . import ahead, charts, page

MOST_CURVES = 40


def write_report(
    post: Posterior,
    path: str | os.PathLike,
    *,
    runs: pd.DataFrame | str | os.PathLike | None = None,
    backtest: Backtest | str | os.PathLike | None = None,
    title: str | None = None,
) -> Path:
    """Write a posterior's report: equation, coefficients, health, bands, forecast and plan, gaps, provenance.

    Args:
        post: a `Posterior`.
        path: of the HTML file; written whole or not at all.
        runs: measured rows for the gaps; by default the training rows.
        backtest: a `Backtest`, or the path of the CSV that `lossband backtest -o` wrote; it adds the
            calibration.
        title: of the page.

    Returns:
        The path.

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
        >>> post = lb.fit(runs, "chinchilla", method="laplace")
        >>> path = lb.write_report(post, "report.html")
    """
    import matplotlib as mpl

    of_type("post", post, Posterior, "Fit one: lossband.fit(runs).")
    path = path_of(path)
    if title is not None and not isinstance(title, str):
        raise InputError(
            f"title= got a {type(title).__name__}; expected text.", "Leave it out for the default."
        )
    title = title or f"{post.law.name}: {len(post.problem.frame)} measured losses"
    with mpl.rc_context({"backend": "Agg"}):
        sections = [_head(post, title), ahead.equation(post), _coefficients(post), _health(post)]
        sections += [_bands(post), ahead.forecast(post), _gaps(post, runs)]
        if backtest is not None:
            sections.append(_calibration(_backtest_of(backtest)))
    sections.append(_provenance(post))
    with replacing(path) as temporary:
        temporary.write_text(page.page(title, sections), encoding="utf-8")
    return Path(path)


def _head(post: Posterior, title: str) -> str:
    frame = post.problem.frame
    ranges = ", ".join(
        f"{name} {frame[name].min():.3g} to {frame[name].max():.3g}" for name in post.law.inputs
    )
    verdict = (
        page.text("The sampler did its work. What the notes below say about the data still holds.", "good")
        if post.health.ok
        else page.text(
            "Do not trust this fit yet: the sampler's diagnostics are below what they should be.", "bad"
        )
    )
    about = f"Law {post.law.name} on {len(frame)} rows of {frame['run'].nunique()} runs: {ranges}."
    return f"<h1>{page.escape(title)}</h1>" + page.text(about, "soft") + verdict


def _coefficients(post: Posterior) -> str:
    shown = {"median": "median", "sd": "sd", "lo_90": "lo_90", "hi_90": "hi_90", "r_hat": "R-hat"}
    summary = pd.DataFrame(post.parts[post.cited][1].summary(level=0.9))
    table = summary[[*shown, "ess_bulk"]].rename(columns=shown | {"ess_bulk": "ESS"})
    words = f"Of the fit {post.cited!r}, the one to cite." if len(post.parts) > 1 else ""
    rows = table.rename_axis("coefficient").reset_index()
    return page.section("Coefficients", page.text(words, "soft"), page.table(rows))


def _health(post: Posterior) -> str:
    line, *_ = str(post.health).splitlines()
    notes = [page.note(each.code, each.text) for each in post.health.notes]
    return page.section("Health", page.text(line), *(notes or [page.text("No notes.", "soft")]))


def _bands(post: Posterior) -> str:
    figures = [page.figure(svg, caption) for svg, caption in charts.bands(post)]
    words = (
        "Bands are for a new measurement of a new run, other inputs at the part's mean; measured losses are "
        "moved there along the law."
    )
    return page.section("Measured and predicted", page.text(words, "soft"), page.panels(figures))


def _gaps(post: Posterior, runs: pd.DataFrame | str | os.PathLike | None) -> str:
    frame = post.problem.frame if runs is None else read_runs(runs)
    by = "run" if "run" in frame and frame["run"].nunique() < len(frame) else post.law.inputs[0]
    table = post.gap(frame, by=by, kind="run").sort_values("gap", key=np.abs, ascending=False)
    shown = table.head(MOST_CURVES).sort_values(by)
    words = (
        f"Predicted minus measured, averaged over each {by}, with its 90 % interval; above zero the "
        "prediction is too high."
    )
    if len(table) > len(shown):
        words += f" The {len(shown)} largest of {len(table)} are shown."
    drawing = page.figure(charts.gaps(shown, by))
    return page.section("Gap per curve", page.text(words, "soft"), drawing, page.table(shown))


def _calibration(test: Backtest) -> str:
    hidden = next((c for c in ("params", "tokens", "loops", "position", "step") if c in test.frame), None)
    table = test.calibration(by=hidden)
    notes = [page.note("calibration", words) for words in table.attrs["notes"]]
    drawing = page.panels(
        [page.figure(charts.reliability(test.frame["pit"]), "Calibrated bands lie on the diagonal.")]
    )
    words = f"Forecasts of {len(test.frame)} rows that were hidden from the fit."
    return page.section("Calibration", page.text(words, "soft"), page.table(table), *notes, drawing)


def _backtest_of(backtest: Backtest | str | os.PathLike) -> Backtest:
    """A `Backtest`, or the one whose frame `lossband backtest -o` wrote."""
    if isinstance(backtest, Backtest):
        return backtest
    frame = read_runs(backtest)
    inside = [name for name in map(str, frame) if name.startswith("inside_")]
    if not inside or not {"pit", "crps", "log_score", "bias", "median", "run"} <= set(frame):
        raise InputError(
            f"{backtest} is no backtest of lossband.", "Write one with lossband backtest ... -o FILE.csv."
        )
    levels = tuple(float(name.removeprefix("inside_")) / 100 for name in inside)
    frame[inside] = frame[inside].astype(str) == "True"  # a file's flags may come back as text
    return Backtest(frame, (), levels)


def _provenance(post: Posterior) -> str:
    record = json.loads(post.data.attrs["lossband"])
    drift = record["drift"] or "none"
    pairs = {
        "law": f"{record['law']} of {', '.join(record['inputs'])}",
        "source of the law": post.law.source or "none given",
        "priors changed": ", ".join(record["priors"]) or "none",
        "noise": json.dumps(record["noise"]),
        "drift": drift if isinstance(drift, str) else json.dumps(drift),
        "column names": ", ".join(f"{mine} = {ours}" for mine, ours in record["columns"].items())
        or "lossband's own",
        "seed": record["seed"],
        "data, SHA-256": record["data_sha256"],
        "versions": ", ".join(f"{name} {number}" for name, number in record["versions"].items()),
        "written": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    return page.section("Provenance", page.listing(pairs))
