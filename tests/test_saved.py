"""Files: a saved posterior predicts bit for bit, and nothing else than what was saved is ever loaded."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpyro.distributions as dist
import pytest
import xarray

import lossband as lb
from lossband import _files
from lossband.posterior.tree import FORMAT


def test_saved_posterior_predicts_bit_for_bit(default_post, grid, tmp_path):
    path = default_post.save(tmp_path / "post.nc")
    again = lb.load(path)
    far = grid.assign(params=grid.params * 1e3, run="a new run")
    for kind in ("mean", "run", "observation"):
        assert np.array_equal(again.draws(far, kind=kind), default_post.draws(far, kind=kind))
    assert again.health == default_post.health
    assert again.law == default_post.law
    assert list(tmp_path.iterdir()) == [path]  # written aside and moved: nothing else is left


@pytest.fixture(scope="module")
def steep(grid):
    """Chinchilla with one prior changed, on a table with names of its own and runs named in many scripts."""
    law = lb.laws.chinchilla.with_priors(alpha=dist.LogNormal(np.log(0.5), 0.001))
    mine = grid.rename(columns={"params": "N"}).assign(run=[f"μ-{i} 北 🙂" for i in range(len(grid))])
    return lb.fit(mine, law, drift=None, num_samples=250, columns={"N": "params"}), mine


def test_priors_names_and_columns_come_back(steep, tmp_path):
    post, mine = steep
    again = lb.load(post.save(tmp_path / "post.nc"))
    assert again.law == post.law
    assert list(again.problem.frame["run"]) == list(mine["run"])
    assert again.problem.columns == {"N": "params"}
    new = mine.drop(columns="loss")  # under the user's own names, which the file remembers
    assert np.array_equal(again.draws(new), post.draws(new.rename(columns={"N": "params"})))


def test_the_record_says_what_was_fitted_to_what_with_what(steep):
    record = json.loads(steep[0].data.attrs["lossband"])
    assert record["law"] == "chinchilla" and record["seed"] == 0
    assert record["priors"]["alpha"][0] == "LogNormal"
    assert record["coefficients"] == ["E", "A", "alpha", "B", "beta"]
    assert record["versions"].keys() >= {"lossband", "jax", "numpyro", "arviz_base", "python"}
    assert len(record["data_sha256"]) == 64


def test_a_law_of_any_one_input_comes_back_beside_another_column(curves, tmp_path):
    one = curves[curves.run == "b"]
    one = one.assign(step=one.tokens / 1e6).drop(columns=["tokens", "params"])
    post = lb.fit(one, "power", drift=None, method="laplace", num_samples=50)
    assert lb.load(post.save(tmp_path / "one.nc")).law.inputs == ("step",)


def rewritten(path, to, change):
    """The file with its tree changed."""
    with xarray.open_datatree(path, engine="h5netcdf") as tree:
        tree = tree.load()
    change(tree)
    tree.to_netcdf(to, engine="h5netcdf")
    return to


def recorded(**changes):
    """A change of what the file says of itself."""

    def change(tree):
        tree.attrs["lossband"] = json.dumps(json.loads(tree.attrs["lossband"]) | changes)

    return change


def another_loss(tree):
    tree["observed_data"]["loss"][0] = 9.0


@pytest.fixture(scope="module")
def path(plain_post, tmp_path_factory):
    return plain_post.save(tmp_path_factory.mktemp("saved") / "post.nc")


CHANGED = {
    "another loss": (another_loss, "do not match their hash"),
    "a later format": (recorded(format=FORMAT + 1), f"has format {FORMAT + 1}; this version reads {FORMAT}"),
    "an earlier format": (recorded(format=1), f"has format 1; this version reads {FORMAT}"),
    "an unknown law": (recorded(law="ours"), "holds the law 'ours', which is not one of lossband's"),
    "a law that has changed since": (recorded(curve=[2.0] * 56), "gives other losses than the law"),
    "no record": (lambda tree: tree.attrs.clear(), "is no lossband posterior"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_a_file_that_was_changed_is_refused(case, path, tmp_path):
    change, message = CHANGED[case]
    with pytest.raises(lb.InputError, match=message):
        lb.load(rewritten(path, tmp_path / "changed.nc", change))


def test_a_file_that_was_only_copied_is_not_refused(path, tmp_path):
    assert lb.load(rewritten(path, tmp_path / "copy.nc", lambda tree: None)).law.name == "chinchilla"


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.nc").write_text("loss,params\n")
    with pytest.raises(lb.InputError, match="is no lossband posterior"):
        lb.load(tmp_path / "text.nc")
    with pytest.raises(lb.InputError, match="there is no file"):
        lb.load(tmp_path / "nothing.nc")


def test_another_law_is_refused_by_its_name_and_by_its_priors(path):
    with pytest.raises(lb.InputError, match="holds the law 'chinchilla', not 'kaplan'"):
        lb.load(path, law=lb.laws.kaplan)
    other = lb.laws.chinchilla.with_priors(alpha=dist.Beta(2, 5))
    words = (
        r"with other priors \(the law's own\) than these \(alpha Beta\(concentration0=5, concentration1=2\)\)"
    )
    with pytest.raises(lb.InputError, match=words):
        lb.load(path, law=other)
    assert lb.load(path, law=lb.laws.chinchilla).law == lb.laws.chinchilla


def test_an_impostor_of_the_same_name_is_refused(path):
    def chinchilla(runs):
        return lb.floor(runs) + lb.power(runs.params, "A", "alpha") + 2 * lb.power(runs.tokens, "B", "beta")

    with pytest.raises(lb.InputError, match="gives other losses than the law"):
        lb.load(path, law=chinchilla)


KILLED = """
import os, signal, sys
import lossband as lb
from lossband import _files

def half(path, target):
    os.truncate(path, path.stat().st_size // 2)
    os.kill(os.getpid(), signal.SIGKILL)

post = lb.load(sys.argv[1])
_files._settle = half
post.save(sys.argv[1])
"""


def test_a_kill_in_the_middle_of_saving_leaves_the_old_file(plain_post, grid, tmp_path):
    path = plain_post.save(tmp_path / "post.nc")
    before = path.read_bytes()
    assert subprocess.run([sys.executable, "-c", KILLED, path], check=False).returncode == -9
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2  # it did get as far as writing aside
    assert lb.load(plain_post.save(path)).law == plain_post.law
    assert list(tmp_path.iterdir()) == [path]  # what the killed process left is gone


def test_a_failure_in_the_middle_of_saving_leaves_no_trace(plain_post, tmp_path, monkeypatch):
    def full(path, target):
        assert path.stat().st_size > 0
        raise OSError("no space left")

    monkeypatch.setattr(_files, "_settle", full)
    with pytest.raises(OSError, match="no space left"):
        plain_post.save(tmp_path / "post.nc")
    assert not list(tmp_path.iterdir())


def test_nothing_is_pickled():
    source = Path(lb.__file__).parent
    words = ("import pickle", "allow_pickle", "cloudpickle", "joblib", "torch.load")
    assert not [p for p in source.rglob("*.py") if any(word in p.read_text() for word in words)]


def test_a_file_leaves_out_what_can_be_computed_again(default_post, tmp_path):
    small, full = default_post.save(tmp_path / "small.nc"), default_post.save(tmp_path / "full.nc", full=True)
    assert small.stat().st_size < full.stat().st_size / 3
    with xarray.open_datatree(small, engine="h5netcdf") as tree:
        assert not {"log_likelihood", "posterior_predictive"} & set(tree.children)
    kept, again = default_post.data, lb.load(small).data
    assert np.array_equal(again["posterior_predictive"]["loss"], kept["posterior_predictive"]["loss"])
    np.testing.assert_allclose(again["log_likelihood"]["loss"], kept["log_likelihood"]["loss"], atol=1e-5)
    whole = lb.load(full).data
    assert np.array_equal(whole["log_likelihood"]["loss"], kept["log_likelihood"]["loss"])


def test_a_fit_with_autocorrelation_keeps_its_log_likelihood(curves, tmp_path):
    one = curves[curves.run == "b"]
    post = lb.fit(one, "power", noise="normal+ou", drift=None, num_samples=60)
    again = lb.load(post.save(tmp_path / "ou.nc"))
    assert np.array_equal(again.data["log_likelihood"]["loss"], post.data["log_likelihood"]["loss"])
