"""Arguments of wrong types, over the whole public surface: an answer or InputError, and never after the fit."""

import inspect
import os

import numpy as np
import pandas as pd
import pytest
import simulated
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import lossband as lb
from lossband.inference import batches
from lossband.laws.law import LAWS

QUICK = dict(method="laplace", num_samples=20, num_chains=2, progress=False)
ROW = {"params": 1e9, "tokens": 1e10}
AHEAD = {"params": 1e9, "step": 300}
CURVES = pd.DataFrame(
    [
        {
            "run": f"{params:.0e}",
            "params": params,
            "step": step,
            "loss": 1.5 + 20 * params**-0.2 + 9 * step**-0.5,
        }
        for params in (1e7, 3e7, 1e8, 3e8)
        for step in (20, 40, 80, 160, 300)
    ]
)
SEEDS = pd.DataFrame(
    [
        {"run": run, "step": step, "loss": 2 + 9 * step**-0.5 + 0.01 * run}
        for run in range(3)
        for step in (50, 100, 200)
    ]
)
LOG = pd.DataFrame({"step": range(1, 99), "loss": np.geomspace(4, 2, 98)})
WRONG = [
    None, "x", b"x", 3.5, -1, 0, float("nan"), float("inf"), [], {}, (), object(), np.array([1.0, 2.0]),
    np.array(3), pd.DataFrame(), True, 10**400, np.int64(2), np.float32(0.5), int, {"a": 1}, ["a"], [1, "a"],
    {1, 2}, 1 + 2j, pd.Series([1.0]), pd.NaT, np.array(["a"]), {"params": None}, [[1]], ["\0"], "\0",
    lambda x: x, np.datetime64("2026"), range(3), np.bool_(True), 2**70, "0.9", -0.5, 1e300,
]  # fmt: skip


@pytest.fixture(scope="module")
def table():
    return simulated.chinchilla()


@pytest.fixture(scope="module")
def results(table, tmp_path_factory):
    """What the calls are made on: a posterior of each kind."""
    plain = lb.fit(table, "chinchilla", drift=None, **QUICK)
    other = table.assign(loss=table.loss * 1.02)
    folder = tmp_path_factory.mktemp("arguments")
    LOG.to_csv(folder / "log.csv", index=False)
    return {
        "post": plain,
        "other": lb.fit(table, "kaplan", drift=None, **QUICK),
        "test": lb.backtest(table, "chinchilla", drift=None, **QUICK),
        "outlook": lb.watch(LOG, 900, **QUICK),
        "recipes": lb.compare_recipes(table, other, law="chinchilla", drift=None, **QUICK),
        "run": lb.forecast_run(
            lb.fit(CURVES, "trajectory", noise="normal+run", **QUICK), **AHEAD, target=2.5
        ),
        "link": lb.link(plain, table.assign(accuracy=0.9 - table.loss / 10), drift=None, **QUICK),
        "sets": lb.fit(
            table.assign(other=1.1 * table.loss), "chinchilla", targets=["loss", "other"], drift=None, **QUICK
        ),
        "file": plain.save(folder / "post.nc"),
        "folder": folder,
    }


def answers(results, table):
    """Calls that answer from what is there: name -> (function, arguments, keywords)."""
    post, out, rec = results["post"], results["outlook"], results["recipes"]
    both, folder = {"a": post, "b": results["other"]}, results["folder"]
    run, link, sets = results["run"], results["link"], results["sets"]
    return {
        "equivalent": (post.equivalent, ["params"], dict(of={"tokens": 1e10}, at=ROW, levels=0.9)),
        "optimum": (post.optimum, ["params"], dict(at={"tokens": 1e10}, within=0.005, bounds={}, candidates=None, plus=(), kind="mean", levels=0.9)),
        "plot": (post.plot, ["params"], dict(new=ROW, by=None)),
        "forecast_run": (lb.forecast_run, [run.posterior], dict(schedule=None, target=2.5, seeds=2, seed=0, **AHEAD)),
        "final": (run.final, [], dict(level=0.9)),
        "envelope": (run.envelope, [], dict(level=0.9, kind="mean")),
        "seeds_for": (run.seeds_for, [0.01], {}),
        "reach of a run": (run.reach, [2.5], dict(level=0.9)),
        "forecast of a metric": (link.predict, [table], dict(kind="mean", levels=0.9, columns={})),
        "macro": (sets.macro, [{"loss": 1.0, "other": 1.0}], {}),
        "forecast of sets": (sets.predict, [table], dict(kind="mean", levels=0.9, columns={})),
        "better": (lb.better, [SEEDS, SEEDS], dict(target=2.5, names=("a", "b"), spread=None, columns={}, seed=0)),
        "schedule": (lb.schedule, ["cosine"], dict(until=1000, peak=1e-3, warmup=10, final=0.1)),
        "Tracker": (lb.Tracker, [1000], dict(schedule=None, earlier=None, target=2.0, every=100, clock="step", say=None, log=None)),
        "Population.load": (lb.Population.load, ["mine.json"], {}),
        "write_report": (lb.write_report, [post, folder / "report.html"], dict(runs=table, backtest=None, title="x")),
        "predict": (post.predict, [table], dict(kind="mean", levels=0.9, columns={})),
        "draws": (post.draws, [table], dict(kind="mean", columns={})),
        "gap": (post.gap, [table], dict(by="params", kind="mean", level=0.9, columns={})),
        "prob": (post.prob, [table], dict(below=3.0, kind="mean", columns={})),
        "summary": (post.summary, [], dict(level=0.9)),
        "log_score": (post.log_score, [table], dict(columns={})),
        "optimal": (post.optimal, [1e21], dict(cost="6ND", inference_tokens=0, bounds={}, at={}, levels=0.9)),
        "save": (post.save, [folder / "again.nc"], {}),
        "load": (lb.load, [results["file"]], dict(law=None, noise=None, drift=None)),
        "load_dataset": (lb.load_dataset, ["looped"], {}),
        "thin": (lb.thin, [LOG], dict(bins=5, columns={})),
        "calibration": (results["test"].calibration, [], dict(by="params")),
        "curve": (out.curve, [], dict(kind="mean", levels=0.9)),
        "end": (out.end, [], dict(kind="mean", levels=0.9)),
        "end_below": (out.end_below, [2.0], dict(kind="mean")),
        "reach": (out.reach, [2.0], dict(level=0.9)),
        "draws of an outlook": (out.draws, [], dict(new=None, kind="mean", columns={})),
        "difference": (rec.difference, [ROW], dict(pair=("a", "b"), levels=0.9)),
        "multiplier": (rec.multiplier, [ROW], dict(pair=("a", "b"), levels=0.9)),
        "prob_flip": (rec.prob_flip, [ROW], dict(start=None, pair=("a", "b"))),
        "next_run": (lb.next_run, [post, table], dict(target=ROW, cost=None, count=1, budget=np.inf)),
        "average": (lb.average, [both], dict(weights={"a": 1, "b": 1})),
        "import_runs": (
            lb.import_runs,
            [folder / "log.csv"],
            dict(format=None, pattern=None, columns={}, constants={}, tokens_per_step=1, run="a", per_run=None),
        ),
        "Drift": (lb.Drift, [], dict(tau=(0.1, 0.8), edge=0.1, mean=-0.1, size=0.3, undertrained=(0.3, 0.6), averaged=True)),
        "Noise": (lb.Noise, ["normal"], dict(run=False, ou=False, sigma=0.1)),
        "with_priors": (lb.laws.chinchilla.with_priors, [], dict(alpha=None)),
        "law": (lambda **given: lb.law(**given)(lambda runs: 1.0), [], dict(inputs=("params",), name="fuzzed", compute=None)),
    }  # fmt: skip


def fits(results, table):
    """Calls that fit: name -> (function, arguments, keywords)."""
    shared = dict(num_samples=20, num_chains=2, seed=0, method="laplace", progress=False, columns={})
    own = dict(law="chinchilla", noise="student-t", drift=None)
    more = dict(until_ess=None, population=None, metric="loss", bounds=None, pool=None)
    both = {"a": results["post"], "b": results["other"]}
    return {
        "fit": (lb.fit, [table], shared | own | more | {"num_warmup": 10, "targets": None}),
        "fit_many": (lb.fit_many, [[table]], shared | own | more | dict(batch=4, executor=None, folder=None, errors="raise")),
        "learn": (lb.learn, [[table, table]], dict(law="chinchilla", groups=["a", "b"], beyond=False, num_samples=20, seed=0, method="laplace", progress=False)),
        "link": (lb.link, [results["post"], table.assign(accuracy=0.5)], dict(metric="accuracy", bounds=None, columns={})),
        "benchmark": (lb.benchmark, [lambda train, new: None], dict(data=None, groups=None, kinds=("near",), plain=None)),
        "check_design": (lb.check_design, [table], own | dict(columns={}, seed=0)),
        "watch": (lb.watch, [LOG, 900], shared | dict(schedule=None, earlier=None, target=1.9, drift="default")),
        "backtest": (lb.backtest, [table, "chinchilla"], dict(by="params", hide=1, share=None, levels=0.9, columns={}, drift=None)),
        "compare_recipes": (
            lb.compare_recipes,
            [table, table],
            dict(law="chinchilla", names=["a", "b"], pool=0.1, floor=0.0, apart=None, drift=None),
        ),
        "compare": (lb.compare, [both], dict(cuts=1, folds=2, group="run", num_warmup=5, num_samples=10, seed=0, batch=2, progress=False)),
        "numpyro_model": (lb.numpyro_model, [table], own | dict(columns={}, observe=False, seed=0, metric='loss', bounds=None, pool=None)),
    }  # fmt: skip


def called(function, arguments, keywords, slot, value):
    """Call with one argument replaced: "refused" or "answered"; anything else is a failure."""
    arguments, keywords = list(arguments), dict(keywords)
    if isinstance(slot, int):
        arguments[slot] = value
    else:
        keywords[slot] = value
    try:
        function(*arguments, **keywords)
    except lb.InputError as error:
        assert error.what and error.hint
        return "refused"
    except OSError as error:
        assert error.hint
        return "refused"
    return "answered"


def slots(calls):
    return [(name, slot) for name, (_, a, k) in calls.items() for slot in (*range(len(a)), *k)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of its own: a wrong path may be a good name of a file."""
    monkeypatch.chdir(tmp_path)
    yield
    LAWS.pop("fuzzed", None)


def search(calls, count):
    """Random calls with one wrong argument each; how often they were answered and refused."""
    found = {"answered": 0, "refused": 0}

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(slots(calls)), st.sampled_from(WRONG))
    def check(where, value):
        name, slot = where
        found[called(*calls[name], slot, value)] += 1

    check()
    return found


@pytest.mark.filterwarnings("ignore")
def test_a_wrong_argument_is_refused_or_answered(results, table, here):
    found = search(answers(results, table), 1000)
    assert min(found.values()) >= 50, found


def test_every_public_function_is_called(results, table):
    """What the search calls, by its name; a fit of its own each: plots, laws and scores have other tests."""
    calls = {**answers(results, table), **fits(results, table)}
    known = {getattr(function, "__name__", "") for function, _, _ in calls.values()}
    public = {name for name in lb.__all__ if inspect.isfunction(getattr(lb, name))}
    assert public - known <= {
        "floor",
        "law",
        "power",
    }  # "law" is called above by a lambda; terms while a law is traced
    methods = {name for name, _ in inspect.getmembers(lb.Posterior, inspect.isfunction) if name[0] != "_"}
    assert methods - known <= {"assembled", "samples"}


class BegunError(Exception):
    """A fit has begun."""


@pytest.mark.filterwarnings("ignore")
def test_a_wrong_argument_is_refused_before_the_fit(results, table, here, monkeypatch):
    """Fits are replaced by one that says that they began: every refusal comes before it."""

    def begin(*_, **__):
        raise BegunError

    monkeypatch.setattr(batches, "fit_chunk", begin)
    calls = fits(results, table)
    begun, refused = 0, 0
    for name, slot in slots(calls):
        for value in WRONG:
            try:
                refused += called(*calls[name], slot, value) == "refused"
            except BegunError:
                begun += 1
    assert begun >= 50 and refused >= 500, (begun, refused)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_five_thousand_random_calls(results, table, here):
    found = search(answers(results, table) | fits(results, table), 5000)
    print(found)
    assert sum(found.values()) >= 5000 and found["answered"] >= 200  # measured: 227 answered, 4,773 refused


ISSUE = {
    "levels='0.9'": (lambda p, b: p.predict(b, levels="0.9"), "levels= has '0.9'"),
    "gap level=90": (lambda p, b: p.gap(b, level=90), "between 0 and 1"),
    "summary level=90": (lambda p, b: p.summary(level=90), "between 0 and 1"),
    "prob nan": (lambda p, b: p.prob(b.tail(1), below=np.nan), "below= got nan"),
    "prob None": (lambda p, b: p.prob(b, below=None), "below= got None"),
    "prob of other rows": (lambda p, b: p.prob(b, below=[1, 2]), "2 losses for 30 rows"),
    "seed None": (lambda p, b: lb.fit(b, seed=None), "seed= got None"),
    "seed 2**70": (lambda p, b: lb.fit(b, seed=2**70), "whole number from 0"),
    "seed 1.5": (lambda p, b: lb.fit(b, seed=1.5), "seed= got 1.5"),
    "columns list": (lambda p, b: lb.fit(b, columns=["params"]), "columns= got"),
    "hide 1.5": (lambda p, b: lb.backtest(b, hide=1.5), "hide= got 1.5"),
    "hide []": (lambda p, b: lb.backtest(b, hide=[]), "hide= is empty"),
    "hide '1'": (lambda p, b: lb.backtest(b, hide="1"), "hide= got '1'"),
    "by list": (lambda p, b: lb.backtest(b, by=["params"]), "by= got"),
    "import frame": (lambda p, b: lb.import_runs(b), "path of a log"),
    "load None": (lambda p, b: lb.load(None), "path of a file"),
    "inference '1e12'": (lambda p, b: p.optimal(1e21, inference_tokens="1e12"), "inference_tokens= got"),
    "target 'floor'": (lambda p, b: lb.next_run(p, b, target="floor"), "target= has 0 values"),
    "pool -1": (lambda p, b: lb.compare_recipes(b, b, pool=-1), "pool= got -1"),
    "fit_many(frame)": (lambda p, b: lb.fit_many(b), "expected a list of tables"),
    "watch until '9'": (lambda p, b: lb.watch(LOG, "900"), "until= got '900'"),
    "watch until inf": (lambda p, b: lb.watch(LOG, np.inf), "until= got inf"),
}


@pytest.mark.parametrize("case", ISSUE)
def test_wrong_arguments_by_name(case, results, table):
    call, message = ISSUE[case]
    with pytest.raises(lb.InputError, match=message):
        call(results["post"], table)


def test_numpy_scalars_are_numbers(results, table):
    post = results["post"]
    counts = {name: np.int64(QUICK[name]) for name in ("num_samples", "num_chains")}
    again = lb.fit(table, "chinchilla", drift=None, seed=np.uint8(0), **QUICK | counts)
    assert np.array_equal(again.sites["E"], post.sites["E"]) and isinstance(again.seed, int)
    for level in (np.float32(0.5), np.float64(0.5), 0.5, [0.5], (0.5,), np.array([0.5]), pd.Series([0.5])):
        assert list(post.predict(table, levels=level).filter(like="lo_")) == ["lo_50"]
    assert len(post.gap(table, by=("params", "tokens"))) == 30
    assert post.prob(table, below=np.float32(3)).shape == (30,) == post.prob(table, below=table.loss).shape
    assert len(lb.backtest(table, "chinchilla", drift=None, hide=np.int8(1), **QUICK).frame) == 6
    assert lb.thin(LOG, np.int32(5)).shape[0] > 5
    assert os.fspath(results["file"]) and lb.load(str(results["file"])).law == post.law
