"""Data of public reports that contradict the law: each is refused, or said by a note, and not taken for sound."""

import numpy as np
import pytest
import simulated
from reports import report

import lossband as lb
from lossband.live.alarm import events_of, notes_of
from lossband.model.problem import pose

QUICK = dict(method="laplace", num_samples=200, num_chains=2, progress=False)


@pytest.fixture(scope="module")
def table():
    """30 rows by Chinchilla's law with noise of .3 %."""
    return simulated.chinchilla()


@pytest.fixture(scope="module")
def post(table):
    return lb.fit(table, "chinchilla", drift=None, **QUICK)


def codes(notes):
    return {note.code for note in notes}


@report(3, "huggingface/datablations#14")
def test_a_largest_model_above_all_forecasts_is_said_by_the_backtest(table):
    worse = table.loss.where(table.params < table.params.max(), 1.08 * table.loss)
    found = lb.backtest(table.assign(loss=worse), "chinchilla", drift=None, **QUICK)
    assert "one-sided" in codes(found.notes)


@report(3, "RaoFoundation/bittensor#1021")
def test_no_model_is_forecast_below_the_floor(post):
    assert post.prob({"params": 1e14, "tokens": 1e16}, below=0.5).tolist() == [0.0]


FAMILIES = {  # report: of every second row, what its loss is multiplied by
    "another vocabulary": 1.12,
    "bits per byte beside nats per token": 1 / (4.2 * np.log(2)),
    "bits per byte beside bits per character": 1.0505,
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param("another vocabulary", marks=report(3, "ggml-org/llama.cpp#7111")),
        pytest.param(
            "bits per byte beside nats per token",
            marks=report(3, "thinking-machines-lab/tinker-cookbook#823"),
        ),
        pytest.param(
            "bits per byte beside bits per character", marks=report(3, "facebookresearch/adaptive-span#17")
        ),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_losses_in_two_units_are_two_families(case, named, table):
    other = np.arange(len(table)) % 2 == 1
    mixed = table.assign(loss=table.loss.where(~other, FAMILIES[case] * table.loss))
    mixed = mixed.assign(tokenizer=np.where(other, "a", "b")) if named else mixed
    health = lb.fit(mixed, "chinchilla", drift=None, **QUICK).health
    assert "families" in codes(health.notes) and not health.ok


@report(3, "marin-community/marin#2101")
def test_repeated_data_that_the_law_does_not_read_are_said(table):
    more = np.arange(len(table)) % 3 == 0
    mixed = table.assign(epochs=np.where(more, 4, 1), loss=table.loss.where(~more, 1.06 * table.loss))
    health = lb.fit(mixed, "chinchilla", drift=None, **QUICK).health
    assert codes(health.notes) & {"families", "unread"} and not health.ok


@report(3, "deepgram/kur#101")
def test_a_validation_loss_that_turns_is_said_to_rise():
    epoch = np.arange(1.0, 106)
    loss = np.where(epoch < 28, 220 + 400 * epoch**-0.7, 220 + 400 * 28**-0.7 + 4 * (epoch - 28))
    health = lb.fit({"step": 100 * epoch, "loss": loss}, "power", drift=None, **QUICK).health
    assert "rising" in codes(health.notes) and not health.ok
    assert codes(notes_of(events_of(100 * epoch, loss))) == {"rising-run"}


EPOCHS = {  # validation losses of few epochs, read off the curves of the reports
    "perplexity up after ten epochs": [5.0, 4.2, 3.8, 3.5, 3.3, 3.2, 3.1, 3.05, 3.02, 3.0]
    + [3.05, 3.1, 3.2, 3.3, 3.4, 3.5, 3.6, 3.7],
    "rising since the third": [4.8, 4.5, 4.4, 4.42, 4.47, 4.5, 4.58, 4.63, 4.7, 4.82, 4.9],
    "falls by fits": [4.8, 4.5, 4.4, 4.42, 4.37, 4.3, 4.38, 4.33, 4.3, 4.22, 4.29, 4.25],
}


@pytest.mark.parametrize(
    ("case", "rises"),
    [
        pytest.param(
            "perplexity up after ten epochs", True, marks=report(3, "bentrevett/pytorch-seq2seq#102")
        ),
        pytest.param("rising since the third", True, marks=report(3, "jasonppy/VoiceCraft#16")),
        ("falls by fits", False),
    ],
)
def test_a_rise_over_few_epochs_is_seen(case, rises):
    losses = np.array(EPOCHS[case])
    events = events_of(np.arange(1.0, len(losses) + 1), losses)
    assert [event.kind for event in events] == ["rise"] * rises


@report(3, "D-X-Y/NAS-Bench-201#19")
def test_a_run_that_was_resumed_without_its_weights_has_left_its_path():
    step = np.arange(1, 200) * 100.0
    loss = 1.5 + 8 * step**-0.3 * np.exp(np.random.default_rng(0).normal(0, 0.002, 199))
    loss[120:] += 0.6
    (note,) = notes_of(events_of(step, loss))
    assert note.code == "left-path" and "shift" in note.text


@report(3, "facebookresearch/svoice#22")
def test_losses_below_zero_are_refused_with_a_law_that_takes_them():
    with pytest.raises(lb.InputError, match="loss has 9 values? <= 0") as raised:
        pose({"step": range(1, 10), "loss": [-3.0 - i for i in range(9)]}, "power")
    assert "vocabulary" in raised.value.hint


@report(3, "scipy/scipy#5980")
def test_losses_of_zero_are_named_by_their_rows():
    loss = [0, 0, 0, 0, 0, 0.27, *[0] * 10, 0.76, 1.22, 1.04, 0.77, 1.28, 1.44, 1.43, 1.28, 0.93, 0.7, 0.91]
    with pytest.raises(lb.InputError, match=r"loss has 15 value.* <= 0 \(rows 0, 1, 2, 3, 4, 6 and 9 more\)"):
        pose({"step": range(1, 28), "loss": loss}, "power")


@report(3, "xiaofeng419/Pedestrian-Intention-Classification#3")
def test_an_accuracy_under_the_name_of_a_loss_rises(table):
    better = 1 / (1 + np.exp(-(np.log(table.params) - 18) / 3))
    health = lb.fit(table.assign(loss=better), "chinchilla", drift=None, **QUICK).health
    assert "rising" in codes(health.notes) and not health.ok


@report(3, "scipy/scipy#12715")
def test_a_question_in_other_units_than_the_data_is_no_forecast(table):
    small = table.assign(params=table.params / 1e6, tokens=table.tokens / 1e9)
    post = lb.fit(small, "chinchilla", drift=None, **QUICK)
    band = post.predict({"params": 7e10, "tokens": 1.4e12})
    assert any(note.startswith("[far]") for note in band.attrs["notes"]) and band.attrs["ok"] is False
