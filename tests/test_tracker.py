"""A run followed as it goes: forecasts from within, alarms, and the shell's `watch`."""

import json
import threading
import time

import numpy as np
import pandas as pd
import pytest

import lossband as lb
from lossband.cli import main
from lossband.live.alarm import events_of, notes_of

STEP = np.arange(1.0, 3001)


def losses(seed, n=3000, noise=0.01):
    """A falling curve with noise of four degrees of freedom."""
    step = np.arange(1.0, n + 1)
    return np.exp(np.log(2 + 6 * step**-0.35) + noise * np.random.default_rng(seed).standard_t(4, n) / 2**0.5)


@pytest.mark.parametrize("n", [100, 1000, 10_000])
def test_a_run_that_goes_well_raises_no_alarm(n):
    alarmed = sum(bool(events_of(np.arange(1.0, n + 1), losses(seed, n))) for seed in range(200))
    assert alarmed <= 4


WRONG = {  # kind: what is added to the ln loss of the later rows
    "spike": lambda late: 0.06 * (late < 120),
    "shift": lambda late: 0.05 + 0 * late,
    "rise": lambda late: 0.0003 * late,
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_goes_wrong_is_found_and_named(kind):
    found = []
    for seed in range(20):
        y = losses(seed)
        y[1800:] *= np.exp(WRONG[kind](np.arange(1200.0)))
        events = events_of(STEP, y)
        assert events, "not seen"
        found.append(events[0].kind == kind and 1700 < events[0].start < 2000)
    assert np.mean(found) >= 0.9


def test_a_short_spike_of_a_long_log_is_seen_and_single_rows_are_not():
    y = losses(0, 10_000)
    y[6000:6004] *= 1.5
    (event,) = events_of(np.arange(1.0, 10_001), y)
    assert event.kind == "spike" and 5990 < event.start <= 6001 and event.size > 0.3
    y = losses(0, 10_000)
    y[6000] *= 2
    assert not events_of(np.arange(1.0, 10_001), y)


def test_a_run_that_rises_is_not_forecast_to_fall_unsaid():
    y = losses(1)
    y[2400:] *= np.exp(0.0006 * np.arange(600.0))
    outlook = lb.watch(pd.DataFrame({"step": STEP, "loss": y}), until=6000, method="laplace")
    assert not outlook.ok and "rising-run" in {note.code for note in outlook.notes}
    well = lb.watch(pd.DataFrame({"step": STEP, "loss": losses(1)}), until=6000)
    assert well.ok and not notes_of(events_of(STEP, losses(1)))


def test_a_tracker_forecasts_says_and_logs():
    said, logged = [], []
    tracker = lb.Tracker(
        until=4000,
        target=2.6,
        schedule="cosine",
        every=1000,
        say=said.append,
        log=lambda numbers, now: logged.append((numbers, now)),
    )
    rates = lb.schedule("cosine", peak=1e-3, until=4000)(STEP)
    for step, loss, lr in zip(STEP, losses(2), rates, strict=True):
        tracker.update(step, loss, lr)
        if step % 1000 == 0:
            tracker.close()
    assert [now for _, now in logged] == [1000, 2000, 3000] and len(said) == 3
    last = logged[-1][0]
    assert last["final_loss_lo_90"] < last["final_loss"] < last["final_loss_hi_90"]
    assert last["prob_target"] == tracker.outlook.end_below(2.6) and "below 2.6" in said[-1]
    assert len(tracker.frame()) == 3000 and "lr" in tracker.frame()


def test_a_tracker_costs_little_and_never_breaks_a_run():
    tracker = lb.Tracker(until=10_000, every=100_000, say=None)
    took = []
    for step in range(1, 5001):
        start = time.perf_counter()
        tracker.update(step, float("nan") if step % 7 == 0 else 2 + step**-0.5)
        took.append(time.perf_counter() - start)
    assert np.median(took) < 1e-4 and len(tracker.frame()) == 5000 - 5000 // 7
    broken = lb.Tracker(until=10_000, every=100, say=None, earlier={"step": [1], "loss": [-1.0]})
    with pytest.warns(RuntimeWarning, match="could not forecast") as caught:
        for step in range(1, 401):
            broken.update(step, 2 + step**-0.5)
            if step % 100 == 0:
                broken.close()
    assert len(caught) == 1 and broken.outlook is None
    assert not any(thread.name == "lossband-tracker" for thread in threading.enumerate())


def test_a_tracker_says_an_event_once_and_counts_what_is_no_number():
    said, y = [], losses(3)
    y[1800:1900] *= 1.3
    tracker = lb.Tracker(until=6000, every=600, say=said.append)
    for step, loss in zip(STEP, y, strict=True):
        tracker.update(step, np.inf if step == 700 else loss)
        if step % 600 <= 1:
            tracker.close()
    tracker.close()
    assert sum("spike" in line for line in said) == 1
    assert any("1 losses were no positive numbers" in line for line in said)


@pytest.mark.parametrize(
    "options",
    [{"until": -1}, {"until": 10, "every": 0}, {"until": 10, "say": 3}, {"until": 10, "clock": "epoch"}],
)
def test_what_a_tracker_cannot_use_is_refused(options):
    with pytest.raises(lb.InputError):
        lb.Tracker(**options)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "train.csv"
    rates = lb.schedule("cosine", peak=1e-3, until=4000)(STEP)
    pd.DataFrame({"step": STEP, "lr": rates, "loss": losses(4)}).iloc[:2000].to_csv(path, index=False)
    return path


def test_the_shell_watches_a_log(log, tmp_path, capsys):
    options = ["--until", "4000", "--schedule", "cosine", "--target", "2.4", "--method", "laplace"]
    assert main(["watch", str(log), *options, "--json", "--plot", str(tmp_path / "o.png")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (
        said["rows"] == 2000
        and said["end"]["lo_90"] < said["end"]["hi_90"]
        and 0 <= said["reach"]["prob"] <= 1
    )
    assert (tmp_path / "o.png").stat().st_size > 10_000
    for wrong in (["--schedule", "cosin"], ["--peak", "1"], ["--run", "x"]):
        assert main(["watch", str(log), "--until", "4000", *wrong]) == 2


def test_the_shell_follows_a_growing_log_until_its_end(log, capsys):
    def grow():
        time.sleep(1.0)
        pd.DataFrame({"step": [3000.0, 4000.0], "lr": [1e-4, 0.0], "loss": [2.3, 2.29]}).to_csv(
            log, mode="a", header=False, index=False
        )

    writer = threading.Thread(target=grow)
    writer.start()
    assert main(["watch", str(log), "--until", "4000", "--method", "laplace", "--follow", ".3"]) == 0
    writer.join()
    streams = capsys.readouterr()
    assert streams.out.count("the loss is") == 1 and "has reached 4,000" in streams.out
