"""Public measurements at their source: fetch a file at a fixed commit, and turn it into a tidy table."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import InputError

RAW = "https://raw.githubusercontent.com"
TIMEOUT = 30  # seconds without a byte before the network counts as missing
ISOFLOP_SWEEPS = (
    "epochai_chinchilla__massivetext__chinchilla",
    "llama_3__exp_loss",
    "marin_202603__nemotron__llama_2",
)


def cache_folder() -> Path:
    """Where fetched files are kept: the user's own cache folder, or LOSSBAND_CACHE."""
    import platformdirs

    return Path(os.environ.get("LOSSBAND_CACHE") or platformdirs.user_cache_dir("lossband")) / "sources"


def fetch(name: str, about: dict[str, Any], *, again: bool = False) -> list[Path]:
    """The source's files as local paths: from the cache, or fetched (`again`: in any case).

    Raises:
        InputError: no network, no such file at the source, or a file that has not its SHA-256.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")
    folder, paths = cache_folder() / name, []
    folder.mkdir(parents=True, exist_ok=True)
    for file in about["files"]:
        url, local = f"{RAW}/{about['repository']}/{about['commit']}/{file}", folder / Path(file).name
        if again:
            local.unlink(missing_ok=True)
        try:
            known = about["sha256"].get(file)
            downloader: Any = _download
            paths.append(Path(pooch.retrieve(url, known, local.name, folder, downloader=downloader)))
        except (OSError, ValueError) as error:  # no network or no such file; a hash that does not match
            raise InputError(
                f"the data set {name!r} could not be fetched from {url} ({type(error).__name__}: {error}).",
                f"Check the network, or point LOSSBAND_DATA at a folder that holds {name}.csv.",
            ) from error
    return paths


def _download(url: str, path: Any, _: object) -> None:
    """Pooch's own downloader leaves the connection of a missing file open."""
    import requests

    with requests.get(url, stream=True, timeout=TIMEOUT) as answer, open(path, "wb") as file:
        answer.raise_for_status()
        file.writelines(answer.iter_content(1 << 16))


def chinchilla(paths: Sequence[Path]) -> pd.DataFrame:
    """Hoffmann et al.'s runs as read off their figure: model size, training FLOP, loss; tokens = C / 6N."""
    source = pd.read_csv(paths[0])
    params, flops = source["Model Size"].astype(float), source["Training FLOP"].astype(float)
    return pd.DataFrame(
        {
            "run": [f"chin{i:03d}" for i in range(len(source))],
            "family": "chinchilla",
            "params": params,
            "tokens": flops / (6 * params),
            "flops": flops,
            "loss": source["loss"],
            "epoch_outlier": (source["loss"].rank(ascending=False, method="first") <= 5).astype(int),
        }
    )


def isoflops(paths: Sequence[Path]) -> pd.DataFrame:
    """Three isoFLOP sweeps; `outlier` and `reason` are the source's own."""
    source = pd.read_csv(paths[0], keep_default_na=False)
    source.insert(0, "run", [f"iso{i:04d}" for i in range(len(source))])
    source = source[source["experiment"].isin(ISOFLOP_SWEEPS)].reset_index(drop=True)
    tidy = source.rename(columns={"experiment": "family", "budget": "flops"})
    tidy["outlier"] = (tidy["outlier"].astype(str) == "True").astype(int)
    tidy["condition"] = tidy["condition"].replace("", np.nan)
    names = ["run", "family", "source", "dataset", "condition", "params", "tokens", "flops"]
    return tidy[[*names, "loss", "outlier", "reason"]]


def overtraining(paths: Sequence[Path]) -> pd.DataFrame:
    """One row per model and validation set, with the source's 95 % intervals over sequences and tokens."""
    rows = [row for path in sorted(paths) for row in _evaluations(json.loads(Path(path).read_text()))]
    return pd.DataFrame(rows)


def _evaluations(model: dict[str, Any]) -> Iterator[dict[str, Any]]:
    knobs = model["hyperparameters"]
    shape = dict(part.split("=") for part in Path(knobs["model"]).stem.split("_") if "=" in part)
    for result in model["results"]:
        yield {
            "run": model["name"],
            "family": model["dataset_name"],
            "params": knobs["params"],
            "params_no_embed": knobs["params_no_embed"],
            "tokens": knobs["tokens"],
            "cm": knobs["chinchilla_multiplier"],
            "lr": knobs["lr"],
            "batch_size": knobs["global_bs"],
            "warmup": knobs["warmup"],
            "d_model": float(shape.get("d", "nan")),
            "n_layer": float(shape.get("l", "nan")),
            "n_head": float(shape.get("h", "nan")),
            "val_set": Path(result["val_data"][0]).parent.name,
            "loss": result["loss"],
            "loss_seq_lo95": result["loss_sequences_lower_95"],
            "loss_seq_hi95": result["loss_sequences_upper_95"],
            "loss_tok_lo95": result["loss_tokens_lower_95"],
            "loss_tok_hi95": result["loss_tokens_upper_95"],
            "eval_sequences": result["sequences"],
        }


def gemstones(paths: Sequence[Path]) -> pd.DataFrame:
    """Checkpoints of the constant-rate phase, ends of the cool-downs, and the learning-rate ablation."""
    parts = zip(("hot", "cooldown_end", "lr_ablation_hot"), paths, strict=True)
    source = pd.concat([pd.read_json(path, lines=True).assign(phase=phase) for phase, path in parts])
    return pd.DataFrame(
        {
            "run": source["run_name"].str.replace("PyGemma-", "").str.replace("_pretrain", ""),
            "family": "gemstone",
            "phase": source["phase"],
            "params": source["params_active_precise"],
            "tokens": source["tokens"],
            "step": source["step"],
            "loss": source["final_loss"],
            "d_model": source["width"],
            "n_layer": source["depth"],
            "aspect": source["width"] / source["depth"],
            "seconds_per_step": source["seconds_per_step"],
            "num_nodes": source["num_nodes"],
        }
    ).reset_index(drop=True)


def extrapolation_benchmark(paths: Sequence[Path]) -> pd.DataFrame:
    """One-variable learning curves with the source's split into `train` 1 and 0."""
    source = pd.concat([pd.read_csv(path, dtype={"Model": str, "Task": str}) for path in paths])
    names = {"Domain": "domain", "Task": "task", "Model": "model", "Seen Examples": "x", "Loss": "loss"}
    tidy = source.rename(columns={**names, "Training": "train"})
    tidy.insert(0, "run", tidy["domain"] + "|" + tidy["task"] + "|" + tidy["model"])
    columns = ["run", "domain", "task", "model", "x", "loss", "train"]
    return tidy.sort_values(["run", "x"], kind="stable", ignore_index=True)[columns]


CONVERT = {
    each.__name__: each for each in (chinchilla, isoflops, overtraining, gemstones, extrapolation_benchmark)
}


def fingerprint(frame: pd.DataFrame) -> str:
    """SHA-256 of a table's columns and cells, numbers at eight significant digits, in any order of rows."""
    cells = [[_cell(value) for value in frame[name]] for name in frame]
    rows = sorted("\x1f".join(row) for row in zip(*cells, strict=True))
    return hashlib.sha256("\x1e".join(["\x1f".join(map(str, frame.columns)), *rows]).encode()).hexdigest()


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None or value != value else f"{float(value):.8g}"
