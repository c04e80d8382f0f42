"""Data sets.

Local copies, conversion from the sources' own formats, the cache, and what goes wrong on the way.
"""

import http.server
import json
import threading
from functools import partial

import numpy as np
import pandas as pd
import pytest

import lossband as lb
from lossband import datasets
from lossband.datasets import sources

# Lines of the real sources, at the commits on record.
ISOFLOPS = """source,dataset,model,condition,experiment,tokens,params,budget,loss,outlier,reason
epochai_chinchilla,massivetext,chinchilla,,epochai_chinchilla__massivetext__chinchilla,16372620203.715488,1017959646.0,1e+20,2.554520985765487,True,near_duplicate_params
epochai_chinchilla,massivetext,chinchilla,,epochai_chinchilla__massivetext__chinchilla,245256722.15434554,6795600349.0,1e+19,5.005581996196243,True,off_center
llama_3,llama_3,llama_3,raw_loss,llama_3__raw_loss,1842753880.19,542666066.668053,6e+18,0.911815540739,False,none
"""
GEMSTONES = (
    '{"run_name":"PyGemma-256x71_pretrain","params_active_precise":95588096,"width":256,"depth":71,'
    '"tokens":10997465088,"step":2622,"num_nodes":16,"seconds_per_step":1.3595667816,"final_loss":3.356906414}\n'
)
LANGUAGE = """Domain,Task,Model,Seen Examples,Loss,Training
NMT,log_perplexity,"6 Enc, 6 Dec",1000000.0,0.7439282076923077,1
NMT,log_perplexity,"6 Enc, 6 Dec",500000.0,0.9311752923076924,1
LM,val_loss,1.68e+07,2621440000.0,0.9990000000000001,1
"""
OVERTRAINING = {
    "name": "c4_original-d=1024_l=24_h=8-0.25",
    "dataset_name": "c4_original",
    "hyperparameters": {
        "model": "training/open_lm_configs/d=1024_l=24_h=8.json",
        "tokens": 2058081280,
        "warmup": 2000,
        "lr": 0.003,
        "global_bs": 512,
        "params": 411616256,
        "params_no_embed": 359973888,
        "chinchilla_multiplier": 0.25,
    },
    "results": [
        {
            "loss": 4.257023584842682,
            "loss_sequences_lower_95": 4.123423239390056,
            "loss_sequences_upper_95": 4.39102222442627,
            "loss_tokens_lower_95": 4.241916694641113,
            "loss_tokens_upper_95": 4.272441368103028,
            "sequences": 120,
            "val_data": ["training/eval_data/val_tok_mult/openlm/shard_00000000.tar"],
        },
        {
            "loss": 3.5279492850157737,
            "loss_sequences_lower_95": 3.525283367304321,
            "loss_sequences_upper_95": 3.53053282244497,
            "loss_tokens_lower_95": 3.517132166666667,
            "loss_tokens_upper_95": 3.5387815,
            "sequences": 84999,
            "val_data": ["training/eval_data/c4_val/shard-{0000000..0000010}.tar"],
        },
    ],
}


def written(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


CONVERTED = {
    "isoflops": ({"isoflops.csv": ISOFLOPS}, ["run"]),
    "overtraining": ({"m.json": json.dumps(OVERTRAINING)}, ["run", "val_set"]),
    "gemstones": ({"hot": "", "end": GEMSTONES, "ablation": ""}, ["run", "phase", "step"]),
    "extrapolation_benchmark": ({"vision.csv": LANGUAGE.splitlines()[0], "lang.csv": LANGUAGE}, ["run", "x"]),
}


@pytest.mark.parametrize("name", CONVERTED)
def test_lines_of_the_real_source_give_rows_of_the_tidy_table(name, shared_data, tmp_path):
    texts, key = CONVERTED[name]
    rows = sources.CONVERT[name]([written(tmp_path, file, text) for file, text in texts.items()])
    tidy = pd.read_csv(shared_data / f"{name}.csv")
    assert list(rows.columns) == list(tidy.columns) and len(rows) >= 1
    found = rows[key].merge(tidy, on=key, how="left")[tidy.columns].drop_duplicates(key)
    assert found.notna().loc[:, "loss"].all()
    for column in tidy:
        if pd.api.types.is_numeric_dtype(tidy[column]):
            np.testing.assert_allclose(rows[column].astype(float), found[column].astype(float), rtol=1e-7)
        else:
            assert list(rows[column].fillna("")) == list(found[column].fillna("")), column


def chinchilla_source(tidy):
    """The source's format, made again from the tidy table."""
    return pd.DataFrame({"Model Size": tidy.params, "Training FLOP": tidy.flops, "loss": tidy.loss}).to_csv()


def test_chinchilla_is_converted_whole(shared_data, tmp_path):
    tidy = pd.read_csv(shared_data / "chinchilla.csv")
    rows = sources.chinchilla([written(tmp_path, "source.csv", chinchilla_source(tidy))])
    pd.testing.assert_frame_equal(rows, tidy, rtol=1e-7, check_dtype=False)


@pytest.fixture
def local(shared_data, monkeypatch):
    monkeypatch.setenv("LOSSBAND_DATA", str(shared_data))


@pytest.mark.parametrize("name", datasets.registry())
def test_a_local_copy_is_the_registered_table(name, local):
    frame = lb.load_dataset(name)
    about = lb.datasets.describe(name)
    assert len(frame) == about["rows"] and frame.attrs["dataset"] == about
    assert {"what", "repository", "commit", "licence", "citation", "units", "traps", "sha256"} <= set(about)
    assert bool(about["files"]) == (name in sources.CONVERT)
    assert not about["files"] or len(about["commit"]) == 40


def test_a_local_copy_that_was_changed_is_refused(shared_data, tmp_path, monkeypatch):
    monkeypatch.setenv("LOSSBAND_DATA", str(tmp_path))
    tidy = pd.read_csv(shared_data / "chinchilla.csv")
    tidy.sample(frac=1, random_state=0).to_csv(tmp_path / "chinchilla.csv", index=False)
    assert len(lb.load_dataset("chinchilla")) == 245  # the order of rows is no change
    tidy.assign(loss=tidy.loss.where(tidy.index != 7, 2.0)).to_csv(tmp_path / "chinchilla.csv", index=False)
    with pytest.raises(lb.InputError, match="is not the registered table 'chinchilla'"):
        lb.load_dataset("chinchilla")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A source of our own on this machine; returns its folder and the paths that were asked for."""
    asked, folder = [], tmp_path / "server"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, form, *args):
            asked.append(self.path)

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
    threading.Thread(target=served.serve_forever, daemon=True).start()
    monkeypatch.setattr(sources, "RAW", f"http://127.0.0.1:{served.server_port}")
    monkeypatch.setenv("LOSSBAND_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LOSSBAND_DATA", raising=False)
    yield folder, asked
    served.shutdown()
    served.server_close()


SOURCE = pd.DataFrame({"params": [1e8, 1e9], "flops": [1e19, 1e20], "loss": [3.0, 2.5]})


@pytest.fixture
def known(server, monkeypatch, tmp_path):
    """A set on record whose source stands on the server; returns its text's path there and in the cache."""
    folder, _ = server
    about = {"repository": "us/ours", "commit": "c0ffee", "files": ["data/source.csv"], "sha256": {}}
    path = folder / "us/ours/c0ffee/data/source.csv"
    path.parent.mkdir(parents=True)
    path.write_text(chinchilla_source(SOURCE))
    about["fingerprint"] = sources.fingerprint(sources.chinchilla([path]))
    monkeypatch.setattr(datasets, "registry", lambda: {"chinchilla": about})
    return path, tmp_path / "cache/sources/chinchilla/source.csv", about


def test_a_source_is_fetched_once_and_then_read_from_the_cache(server, known):
    first, again = lb.load_dataset("chinchilla"), lb.load_dataset("chinchilla")
    assert server[1] == ["/us/ours/c0ffee/data/source.csv"]
    pd.testing.assert_frame_equal(first, again)
    assert list(first["tokens"]) == pytest.approx([1e19 / 6e8, 1e20 / 6e9])


@pytest.mark.parametrize("damage", ["", "Model Size,Training", "other,columns\n1,2\n", None])
def test_a_corrupt_file_in_the_cache_is_fetched_again(damage, server, known):
    source, cached, _ = known
    lb.load_dataset("chinchilla")
    cached.write_text(source.read_text().replace("2.5", "2.4") if damage is None else damage)
    assert list(lb.load_dataset("chinchilla")["loss"]) == [3.0, 2.5]
    assert len(server[1]) == 2 and cached.read_text() == source.read_text()


def test_a_source_that_changed_is_refused(known):
    source, _, _ = known
    source.write_text(source.read_text().replace("2.5", "2.4"))
    with pytest.raises(lb.InputError, match="not what is on record: it gives a table of fingerprint"):
        lb.load_dataset("chinchilla")


def test_a_file_without_its_sha256_is_refused(known):
    known[2]["sha256"]["data/source.csv"] = "sha256:" + "0" * 64
    with pytest.raises(lb.InputError, match="could not be fetched.*hash"):
        lb.load_dataset("chinchilla")


def test_a_missing_file_and_a_missing_network_are_clear_errors(known, monkeypatch):
    known[0].unlink()
    with pytest.raises(lb.InputError, match="could not be fetched from http://127.0.0.1.*404") as raised:
        lb.load_dataset("chinchilla")
    assert "LOSSBAND_DATA" in raised.value.hint
    monkeypatch.setattr(sources, "RAW", "http://127.0.0.1:1")  # nobody listens there
    with pytest.raises(lb.InputError, match="could not be fetched.*ConnectionError"):
        lb.load_dataset("chinchilla")


def test_a_set_without_an_address_says_so(monkeypatch):
    monkeypatch.delenv("LOSSBAND_DATA", raising=False)
    with pytest.raises(lb.InputError, match="cannot be fetched: the losses were read off a figure"):
        lb.load_dataset("looped_isodepth")


def test_unknown_data_set_names_the_nearest():
    with pytest.raises(lb.InputError, match="did you mean 'looped'"):
        lb.load_dataset("loped")
    with pytest.raises(lb.InputError, match="did you mean 'chinchilla'"):
        lb.datasets.describe("chinchila")
    assert "units" in " ".join(lb.datasets.describe("looped"))


def test_a_table_by_its_path(tmp_path):
    SOURCE.to_parquet(tmp_path / "runs.parquet")
    SOURCE.to_csv(tmp_path / "runs.csv", index=False)
    pd.testing.assert_frame_equal(
        lb.load_dataset(tmp_path / "runs.parquet"), lb.load_dataset(tmp_path / "runs.csv")
    )
    (tmp_path / "bad.parquet").write_text("loss,params")
    with pytest.raises(lb.InputError, match="cannot be read as a Parquet table"):
        lb.load_dataset(tmp_path / "bad.parquet")


@pytest.mark.network
@pytest.mark.parametrize("name", sources.CONVERT)
def test_the_real_source_gives_the_registered_table(name, tmp_path, monkeypatch):
    monkeypatch.setenv("LOSSBAND_CACHE", str(tmp_path))
    monkeypatch.delenv("LOSSBAND_DATA", raising=False)
    assert len(lb.load_dataset(name)) == lb.datasets.describe(name)["rows"]
