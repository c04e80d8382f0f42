"""Every law: its docstring equation, gradients, monotony, units, pickles; and how a law is found or made."""

import copy
import inspect
import json
import pickle
from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest

from lossband.errors import InputError
from lossband.laws import LAWS, Law, capped, chinchilla, coupled, find_law, floor, kaplan, power, power_law
from lossband.laws.priors import prior_from, prior_spec
from lossband.runs.arrays import runs_of, unit_of

pytestmark = pytest.mark.usefixtures("x64", "quick_compile")

ROWS = 9
RANGES = {
    "params": (1e7, 1e10),
    "tokens": (1e8, 1e12),
    "loops": (1, 8),
    "params_once": (1e6, 1e8),
    "params_rec": (1e7, 1e9),
    "lr_area": (1.0, 1e3),
    "lr_mean": (1e-5, 1e-3),
    "unique_tokens": (1e7, 1e8),
    "max_loops": (2, 8),
    "position": (1, 1024),
    "step": (10, 1e5),
    "ff_ratio": (0.5, 16),
    "head_dim": (8, 256),
    "experts": (1, 512),
    "active": (1e7, 1e9),
    "total": (1e9, 1e10),
    "first_tokens": (1e8, 1e10),
    "streams": (1, 8),
    "vocabulary": (4e3, 6e4),
    "characters": (1e8, 1e12),
    "batch": (16, 2048),
    "lr": (2e-4, 5e-3),
    "bits": (2, 16),
    "proportion_web": (0.1, 0.9),
    "proportion_code": (0.05, 0.5),
}


@dataclass(frozen=True)
class Case:
    """A law at a generic point.

    equation: (coefficients v, centred or plain inputs x, centres c) -> loss, as the docstring writes it.
    natural: (derived coefficients v, inputs x, and centres c if it takes them) -> the same loss as papers
        write it; or None.
    together: inputs that share a unit, and so are scaled together; an input without a unit is left out.
    lengths: coefficient -> the input in whose unit it is.
    raises, idle, saturates, free: inputs of which more raises the loss, leaves it alone, lowers it up to a
        point, or does what the coefficients say.
    """

    inputs: tuple
    values: dict
    equation: object
    natural: object
    together: tuple
    lengths: dict = field(default_factory=dict)
    raises: tuple = ()
    idle: tuple = ()
    saturates: tuple = ()
    free: tuple = ()


def chinchilla_equation(v, x, c):
    return (
        v["E"]
        + v["A"] * (x["params"] / c["params"]) ** -v["alpha"]
        + v["B"] * (x["tokens"] / c["tokens"]) ** -v["beta"]
    )


def chinchilla_natural(v, x):
    return v["E"] + v["A_natural"] * x["params"] ** -v["alpha"] + v["B_natural"] * x["tokens"] ** -v["beta"]


def coupled_equation(v, x, c):
    R = v["A"] + v["B"]
    p = v["A"] / R
    of_params = p * (x["params"] / c["params"]) ** (-v["alpha"] / v["g"])
    of_tokens = (1 - p) * (x["tokens"] / c["tokens"]) ** (-v["beta"] / v["g"])
    return v["E"] + R * (of_params + of_tokens) ** v["g"]


def capped_equation(v, x, c):
    K = v["A"] + v["B"] + v["above"]
    stretch = K / v["above"]
    sites = v | {"E": 0.0, "alpha": v["alpha"] * stretch, "beta": v["beta"] * stretch}
    S = stretch * chinchilla_equation(sites, x, c)
    return v["E"] + 1 / (1 / S + 1 / K)


def capped_natural(v, x):
    K = v["A"] + v["B"] + v["above"]
    a, b = (v[name] * K / v["above"] for name in ("alpha", "beta"))
    A, B = v["A_natural"] * x["params"] ** -a, v["B_natural"] * x["tokens"] ** -b
    return v["E"] + 1 / (1 / (A + B) + 1 / K)


def coupled_natural(v, x):
    """Each shortage alone costs A N^-alpha or B D^-beta; together they cost the 1/g-norm of the two."""
    alone = v["A_natural"] * x["params"] ** -v["alpha"], v["B_natural"] * x["tokens"] ** -v["beta"]
    return v["E"] + sum(cost ** (1 / v["g"]) for cost in alone) ** v["g"]


def kaplan_equation(v, x, c):
    of_params = v["p"] * (x["params"] / c["params"]) ** (-v["alpha_N"] / v["alpha_D"])
    return v["R"] * (of_params + (1 - v["p"]) * c["tokens"] / x["tokens"]) ** v["alpha_D"]


def kaplan_natural(v, x):
    return ((v["Nc"] / x["params"]) ** (v["alpha_N"] / v["alpha_D"]) + v["Dc"] / x["tokens"]) ** v["alpha_D"]


LOOPED = (("params", "A", "alpha", "t1"), ("tokens", "B", "beta", "t2"), ("loops", "C", "gamma", "t3"))


def looped_equation(v, x, c):
    return v["E"] + sum(v[a] * ((x[name] + v[t]) / (c[name] + v[t])) ** -v[e] for name, a, e, t in LOOPED)


def looped_natural(v, x):
    return v["E"] + sum(v[f"{a}_natural"] * (x[name] + v[t]) ** -v[e] for name, a, e, t in LOOPED)


def effective(v, x):
    return x["params_once"] + x["loops"] ** v["phi"] * x["params_rec"]


def recurrence_equation(v, x, c):
    centre = c["params_once"] + c["params_rec"]
    of_params = v["A"] * (effective(v, x) / centre) ** -v["alpha"]
    return v["E"] + of_params + v["B"] * (x["tokens"] / c["tokens"]) ** -v["beta"]


def recurrence_natural(v, x):
    return (
        v["E"] + v["A_natural"] * effective(v, x) ** -v["alpha"] + v["B_natural"] * x["tokens"] ** -v["beta"]
    )


def in_place_of_params(effective):
    """The equations of `coupled` with something else as the parameters.

    `effective` is of the inputs or of their centres.
    """
    equation = lambda v, x, c: coupled_equation(
        v, {**x, "params": effective(v, x)}, {**c, "params": effective(v, c, centre=True)}
    )  # noqa: E731
    return equation, lambda v, x: coupled_natural(v, {**x, "params": effective(v, x)})


def recurrent(v, x, centre=False):
    return x["params_once"] + x["params_rec"] if centre else effective(v, x)


def all_looped(v, x, centre=False):
    return x["params"] * x["loops"] ** v["phi"]


STEP = ("params", "tokens", "loops", "max_loops")


def looped_step_equation(v, x, c):
    steps = v["C"] * ((x["loops"] + v["t3"]) / (c["loops"] + v["t3"])) ** -v["gamma"]
    return chinchilla_equation(v, x, c) + steps * (x["max_loops"] / c["max_loops"]) ** v["delta"]


def looped_step_natural(v, x, c):
    steps = v["C_natural"] * (x["loops"] + v["t3"]) ** -v["gamma"]
    return chinchilla_natural(v, x) + steps * (x["max_loops"] / c["max_loops"]) ** v["delta"]


def worth(new, used, repeats):
    return new + new * repeats * (1 - np.exp(-(used / new - 1) / repeats))


def data_constrained_equation(v, x, c):
    return chinchilla_equation(v, repeated(v, x, c), c)


def data_constrained_natural(v, x):
    """With the allocation as the paper writes it.

    N* = G (G D)^(beta / alpha), G = (alpha A / beta B)^(1 / (alpha + beta)).
    """
    U = np.minimum(x["unique_tokens"], x["tokens"])
    G = (v["alpha"] * v["A_natural"] / (v["beta"] * v["B_natural"])) ** (1 / (v["alpha"] + v["beta"]))
    V = np.minimum(G * (U * G) ** (v["beta"] / v["alpha"]), x["params"])
    return chinchilla_natural(
        v, {"params": worth(V, x["params"], v["R_N"]), "tokens": worth(U, x["tokens"], v["R_D"])}
    )


def epochs_equation(v, x, c):
    worths = repeated(v, x, c)
    return coupled_equation(v, worths, c)


def repeated(v, x, c):
    """What repeated tokens and excess parameters are worth, as `data_constrained_equation` writes it."""
    U = np.minimum(x["unique_tokens"], x["tokens"])
    ratio = v["alpha"] * v["A"] / (v["beta"] * v["B"])
    best = c["params"] * ratio ** (1 / v["alpha"]) * (U / c["tokens"]) ** (v["beta"] / v["alpha"])
    V = np.minimum(best, x["params"])
    return {"params": worth(V, x["params"], v["R_N"]), "tokens": worth(U, x["tokens"], v["R_D"])}


def of_effective(effective):
    """The equations of a power law above a floor in effective parameters, a function of (v, inputs)."""

    def equation(v, x, c):
        return v["E"] + v["A"] * (effective(v, x) / effective(v, c)) ** -v["alpha"]

    return equation, lambda v, x: v["E"] + v["A_natural"] * effective(v, x) ** -v["alpha"]


def with_experts(v, x):
    return x["params"] * x["experts"] ** v["phi"]


def with_streams(v, x):
    return x["params"] * (1 + v["k"] * np.log(x["streams"]))


def with_bits(v, x):
    return x["params"] * (1 - np.exp(-x["bits"] / v["c"]))


def precision_equation(v, x, c):
    tokens = v["B"] * (x["tokens"] / c["tokens"]) ** -v["beta"]
    return of_effective(with_bits)[0](v, x, c) + tokens


def experts_bilinear_equation(v, x, c):
    n, e = np.log(x["params"] / c["params"]), np.log(x["experts"] / c["experts"])
    return np.exp(np.log(v["R"]) - v["a"] * n - v["b"] * e + v["c"] * n * e)


def with_sparsity(v, x):
    return x["params"] * (x["active"] / x["params"]) ** v["phi"] * (x["total"] / x["active"]) ** v["psi"]


def sparse_equation(v, x, c):
    stages = (x["tokens"] / c["tokens"]) ** -v["beta"] * (x["first_tokens"] / c["first_tokens"]) ** -v[
        "delta"
    ]
    return of_effective(with_sparsity)[0](v, x, c) + v["B"] * stages


def mixture_equation(v, x, c):
    h, h0 = (v["w_web"] * z["proportion_web"] + v["w_code"] * z["proportion_code"] for z in (x, c))
    return v["E"] + v["A"] * (x["params"] / c["params"]) ** -v["alpha"] + v["M"] * (h / h0) ** -v["mu"]


def vocabulary_equation(v, x, c):
    N, V, H = (x[name] / c[name] for name in ("params", "vocabulary", "characters"))
    of_text = v["B"] * H ** -v["beta"] * V ** v["delta"]
    return v["E"] + v["A"] * N ** -v["alpha"] + v["G"] * V ** -v["gamma"] + of_text


def batch_rate_equation(v, x, c):
    n, d = np.log(x["params"] / c["params"]), np.log(x["tokens"] / c["tokens"])
    off = np.log(x["batch"]) - np.log(v["batch_best"]) - v["batch_tokens"] * d
    rate = np.log(v["lr_best"]) + v["lr_params"] * n + v["lr_tokens"] * d + v["lr_batch"] * off
    u = np.log(x["lr"]) - rate
    cost = lambda z, k, s: k / 2 * z**2 * np.exp(s * z / np.sqrt(1 + z**2))  # noqa: E731
    rise = cost(u, v["k_lr"], v["s_lr"]) + cost(off, v["k_b"], v["s_b"])
    return chinchilla_equation(v, x, c) * np.exp(rise)


def position_by_size_equation(v, x, c):
    n = x["params"] / c["params"]
    a = v["E"] + v["A"] * n ** -v["alpha"]
    b = v["b_centre"] * c["position"] ** v["p"] * n ** v["b_slope"]
    return a + b * x["position"] ** (-v["p"] * n ** v["p_slope"])


def position_by_size_natural(v, x, c):
    n = x["params"] / c["params"]
    a, b = v["E"] + v["A"] * n ** -v["alpha"], v["b"] * n ** v["b_slope"]
    return a + b * x["position"] ** (-v["p"] * n ** v["p_slope"])


def position_by_step_equation(v, x, c):
    R = v["b_centre"] + v["B"]
    q = v["b_centre"] / R
    of_context = q * (x["position"] / c["position"]) ** (-v["p"] / v["g"])
    return v["E"] + R * (of_context + (1 - q) * (x["step"] / c["step"]) ** (-v["beta"] / v["g"])) ** v["g"]


def position_by_step_natural(v, x):
    alone = v["b"] * x["position"] ** -v["p"], v["B_natural"] * x["step"] ** -v["beta"]
    return v["E"] + sum(cost ** (1 / v["g"]) for cost in alone) ** v["g"]


SHAPE = {"ff_ratio": (3.1, 0.04, 0.011, 0.017), "head_dim": (60.0, -0.06, 0.02, 0.004)}


def shape_equation(v, x, c):
    n, rise = x["params"] / c["params"], 0.0
    for j in SHAPE:
        off = np.log(x[j] / (v[f"{j}_best"] * n ** v[f"{j}_shift"]))
        rise = rise + np.where(off < 0, v[f"{j}_below"], v[f"{j}_above"]) * off**2
    return (v["E"] + v["A"] * n ** -v["alpha"]) * np.exp(rise)


def saturated_equation(v, x, c):
    """By bisection, in place of Newton's method."""
    centre = v["E"] + v["A"]
    E0, below = centre + v["above"], v["alpha"] * (1 + v["a"] * v["A"] / v["above"])
    low, high = np.full(ROWS, v["E"]), np.full(ROWS, E0)
    wanted = v["A"] / (1 - centre / E0) ** v["a"] * (x["tokens"] / c["tokens"]) ** -below
    for _ in range(60):
        L = (low + high) / 2
        too_high = (L - v["E"]) / (1 - L / E0) ** v["a"] > wanted
        low, high = np.where(too_high, low, L), np.where(too_high, L, high)
    return L


def bnsl_equation(v, x, c):
    bend = lambda value: (1 + (value / v["d"]) ** (1 / v["f"])) ** (-v["c"] * v["f"])  # noqa: E731
    before = v["alpha"] - v["c"] / (1 + (v["d"] / c["tokens"]) ** (1 / v["f"]))
    scaled = v["A"] * (x["tokens"] / c["tokens"]) ** -before
    return v["E"] + scaled * bend(x["tokens"]) / bend(c["tokens"])


TWO = ("params", "tokens")
SUM = {"E": 1.62, "A": 0.41, "alpha": 0.31, "B": 0.23, "beta": 0.37}


def begun(v, x):
    """The summed rate less what the warm-up lost."""
    return x["lr_area"] - (1.9 * v["w"] - 1) * x["lr_area"].min()


CASES = {
    "chinchilla": Case(TWO, SUM, chinchilla_equation, chinchilla_natural, (("params",), ("tokens",))),
    "coupled": Case(TWO, SUM | {"g": 0.57}, coupled_equation, coupled_natural, (("params",), ("tokens",))),
    "capped": Case(
        TWO,
        SUM | {"above": 1.3},
        capped_equation,
        capped_natural,
        (("params",), ("tokens",)),
    ),
    "kaplan": Case(
        TWO,
        {"R": 2.9, "p": 0.35, "alpha_N": 0.076, "alpha_D": 0.103},
        kaplan_equation,
        kaplan_natural,
        (("params",), ("tokens",)),
    ),
    "looped": Case(
        (*TWO, "loops"),
        SUM | {"C": 0.17, "gamma": 0.82, "t1": 3e7, "t2": 2e9, "t3": 0.6},
        looped_equation,
        looped_natural,
        (("params",), ("tokens",), ("loops",)),
        {"t1": "params", "t2": "tokens", "t3": "loops"},
    ),
    "recurrence": Case(
        ("params_once", "params_rec", "loops", "tokens"),
        SUM | {"phi": 0.46},
        recurrence_equation,
        recurrence_natural,
        (("params_once", "params_rec"), ("tokens",)),
    ),
    "coupled_recurrence": Case(
        ("params_once", "params_rec", "loops", "tokens"),
        SUM | {"phi": 0.46, "g": 0.57},
        *in_place_of_params(recurrent),
        (("params_once", "params_rec"), ("tokens",)),
    ),
    "coupled_looped": Case(
        (*TWO, "loops"),
        SUM | {"phi": 0.46, "g": 0.57},
        *in_place_of_params(all_looped),
        (("params",), ("tokens",)),
    ),
    "power": Case(
        ("tokens",),
        {"E": 1.62, "A": 0.41, "alpha": 0.31},
        lambda v, x, c: v["E"] + v["A"] * (x["tokens"] / c["tokens"]) ** -v["alpha"],
        lambda v, x: v["E"] + v["A_natural"] * x["tokens"] ** -v["alpha"],
        (("tokens",),),
    ),
    "looped_step": Case(
        STEP,
        SUM | {"C": 0.17, "gamma": 0.82, "t3": 0.6, "delta": 0.13},
        looped_step_equation,
        looped_step_natural,
        (("params",), ("tokens",), ("loops",), ("max_loops",)),
        {"t3": "loops"},
        free=("max_loops",),
    ),
    "data_constrained": Case(
        (*TWO, "unique_tokens"),
        SUM | {"R_D": 11.0, "R_N": 4.2},
        data_constrained_equation,
        data_constrained_natural,
        (("params",), ("tokens", "unique_tokens")),
        saturates=(*TWO, "unique_tokens"),
    ),
    "position": Case(
        ("position",),
        {"a": 1.62, "b_centre": 0.41, "p": 0.53},
        lambda v, x, c: v["a"] + v["b_centre"] * (x["position"] / c["position"]) ** -v["p"],
        lambda v, x: v["a"] + v["b"] * x["position"] ** -v["p"],
        (("position",),),
    ),
    "position_by_size": Case(
        ("position", "params"),
        {"E": 1.62, "A": 0.41, "alpha": 0.31, "b_centre": 0.3, "b_slope": 0.08, "p": 0.53, "p_slope": 0.04},
        position_by_size_equation,
        position_by_size_natural,
        (("params",),),  # the unit of an index is one token
        free=("params",),
    ),
    "position_by_step": Case(
        ("position", "step"),
        {"E": 1.62, "b_centre": 0.41, "p": 0.53, "B": 0.23, "beta": 0.37, "g": 0.57},
        position_by_step_equation,
        position_by_step_natural,
        (("position",), ("step",)),
    ),
    "shape": Case(
        ("params", *SHAPE),
        {"E": 1.62, "A": 0.41, "alpha": 0.31}
        | {
            f"{j}_{part}": value
            for j, values in SHAPE.items()
            for part, value in zip(("best", "shift", "below", "above"), values, strict=True)
        },
        shape_equation,
        None,
        (("params",), ("ff_ratio",), ("head_dim",)),
        {f"{j}_best": j for j in SHAPE},
        free=("params", *SHAPE),
    ),
    "power_no_floor": Case(
        ("tokens",),
        {"A": 2.4, "alpha": 0.11},
        lambda v, x, c: v["A"] * (x["tokens"] / c["tokens"]) ** -v["alpha"],
        lambda v, x: v["A_natural"] * x["tokens"] ** -v["alpha"],
        (("tokens",),),
    ),
    "power_shifted": Case(
        ("tokens",),
        {"E": 1.62, "A": 0.41, "alpha": 0.31, "t": 2e9},
        lambda v, x, c: v["E"] + v["A"] * ((x["tokens"] + v["t"]) / (c["tokens"] + v["t"])) ** -v["alpha"],
        lambda v, x: v["E"] + v["A_natural"] * (x["tokens"] + v["t"]) ** -v["alpha"],
        (("tokens",),),
        {"t": "tokens"},
    ),
    "power_saturated": Case(
        ("tokens",),
        {"E": 1.62, "A": 0.41, "alpha": 0.31, "above": 3.7, "a": 0.8},
        saturated_equation,
        None,
        (("tokens",),),
    ),
    "bnsl": Case(
        ("tokens",),
        {"E": 1.62, "A": 0.41, "alpha": 0.31, "d": 4e10, "c": 0.14, "f": 0.6},
        bnsl_equation,
        None,
        (("tokens",),),
        {"d": "tokens"},
        free=("tokens",),
    ),
    "trajectory": Case(
        ("params", "tokens", "lr_area", "lr_mean"),
        SUM | {"C": 0.17, "w": 0.6, "kappa": 0.07},
        lambda v, x, c: (
            v["E"]
            + v["A"] * (x["params"] / c["params"]) ** -v["alpha"]
            + (x["params"] / c["params"]) ** v["kappa"]
            * (
                v["B"] * (begun(v, x) / (c["lr_area"] - 0.14 * x["lr_area"].min())) ** -v["beta"]
                + v["C"] * x["lr_mean"] / c["lr_mean"]
            )
        ),
        None,
        (("params",), ("tokens",), ("lr_area",), ("lr_mean",)),
        raises=("lr_mean",),
        idle=("tokens",),
        free=("params",),
    ),
    "curve": Case(
        ("tokens", "lr_area", "lr_mean"),
        {"E": 1.62, "A": 0.41, "alpha": 0.31, "C": 0.17, "w": 0.6},
        lambda v, x, c: (
            v["E"]
            + v["A"] * (begun(v, x) / (c["lr_area"] - 0.14 * x["lr_area"].min())) ** -v["alpha"]
            + v["C"] * x["lr_mean"] / c["lr_mean"]
        ),
        lambda v, x: v["E"] + v["A_natural"] * begun(v, x) ** -v["alpha"] + v["C_natural"] * x["lr_mean"],
        (("tokens",), ("lr_area",), ("lr_mean",)),
        raises=("lr_mean",),
        idle=("tokens",),
    ),
}
CASES |= {
    "experts": Case(
        ("params", "experts"),
        {"E": 1.62, "A": 0.41, "alpha": 0.31, "phi": 0.37},
        *of_effective(with_experts),
        (("params",),),
        free=("experts",),
    ),
    "experts_bilinear": Case(
        ("params", "experts"),
        {"R": 2.7, "a": 0.08, "b": 0.03, "c": 0.006},
        experts_bilinear_equation,
        None,
        (("params",),),
        free=("params", "experts"),
    ),
    "parallel": Case(
        ("params", "streams"),
        {"E": 1.62, "A": 0.41, "alpha": 0.31, "k": 0.37},
        *of_effective(with_streams),
        (("params",),),
    ),
    "sparse": Case(
        ("params", "active", "total", "tokens", "first_tokens"),
        SUM | {"phi": 0.83, "psi": 0.07, "delta": 0.04},
        sparse_equation,
        None,
        (("params", "active", "total"), ("tokens",), ("first_tokens",)),
        free=("params", "active", "total", "first_tokens"),
    ),
    "mixture": Case(
        ("params", "proportion_web", "proportion_code"),
        {"E": 1.62, "A": 0.41, "alpha": 0.31, "M": 0.23, "mu": 0.37, "w_web": 0.6, "w_code": 2.3},
        mixture_equation,
        None,
        (("params",), ("proportion_web", "proportion_code")),
    ),
    "vocabulary": Case(
        ("params", "vocabulary", "characters"),
        SUM | {"E": -5.3, "G": 0.17, "gamma": 0.28, "delta": 0.13},
        vocabulary_equation,
        None,
        (("params",), ("vocabulary",), ("characters",)),
        free=("vocabulary",),
    ),
    "batch_rate": Case(
        (*TWO, "batch", "lr"),
        SUM
        | {"batch_best": 190.0, "batch_tokens": 0.55, "lr_best": 1.4e-3, "lr_params": -0.6, "lr_tokens": 0.3}
        | {"lr_batch": 0.28, "k_lr": 0.031, "k_b": 0.017, "s_lr": 0.55, "s_b": 0.23},
        batch_rate_equation,
        None,
        (("params",), ("tokens",), ("batch",), ("lr",)),
        {"batch_best": "batch", "lr_best": "lr"},
        free=(*TWO, "batch", "lr"),
    ),
    "precision": Case(
        (*TWO, "bits"),
        SUM | {"c": 3.1},
        precision_equation,
        None,
        (("params",), ("tokens",)),
    ),
    "epochs": Case(
        (*TWO, "unique_tokens"),
        SUM | {"R_D": 11.0, "R_N": 4.2, "g": 0.57},
        epochs_equation,
        None,
        (("params",), ("tokens", "unique_tokens")),
        saturates=(*TWO, "unique_tokens"),
    ),
}
every_law = pytest.mark.parametrize("name", sorted(LAWS))


def table_of(name):
    """A generic training table of a law: inputs over their ranges, and losses."""
    rng = np.random.default_rng(11)
    inputs = {n: np.exp(rng.uniform(*np.log(RANGES[n]), ROWS)) for n in CASES[name].inputs}
    lower = 6.5 if LAWS[name].scale == "identity" else 0.0  # such losses may be negative
    return pd.DataFrame(inputs).assign(loss=rng.uniform(2.1, 4.2, ROWS) - lower)


def unit_for(name, table):
    return replace(LAWS[name], inputs=CASES[name].inputs).unit(table)


def runs_for(name, table=None):
    table = table_of(name) if table is None else table
    return runs_of(table, unit_for(name, table))


def evaluate(law, runs, values):
    """The law's curve with every coefficient fixed, and all its sites by name."""
    with numpyro.handlers.trace() as trace:
        curve = numpyro.handlers.substitute(law, values)(runs)
    return curve, {site: message["value"] for site, message in trace.items()}


def draw(law, runs, **fixed):
    """20 prior draws of the law's curve, `(draw, row)`."""

    def one(key):
        with (
            numpyro.handlers.block(),
            numpyro.handlers.seed(rng_seed=key),
            numpyro.handlers.substitute(data=fixed),
        ):
            return law(runs)

    return jax.vmap(one)(jax.random.split(jax.random.key(4), 20))


def test_every_law_has_a_case():
    assert set(CASES) == set(LAWS)
    for name, law in LAWS.items():
        assert law.name == name and law.inputs in ((), CASES[name].inputs) and law.source and law.__doc__


@every_law
def test_the_docstring_equation_is_what_the_law_computes(name):
    case, runs = CASES[name], runs_for(name)
    curve, sites = evaluate(LAWS[name], runs, case.values)
    assert curve.shape == (ROWS,) and set(case.values) <= set(sites)
    expected = case.equation(case.values, runs.inputs, runs.unit.centre)
    np.testing.assert_allclose(curve, expected, rtol=1e-12)


@pytest.mark.parametrize("name", sorted(name for name, case in CASES.items() if case.natural))
def test_natural_coefficients_give_the_same_curve_in_natural_units(name):
    case, runs = CASES[name], runs_for(name)
    curve, sites = evaluate(LAWS[name], runs, case.values)
    given = (sites, runs.inputs, runs.unit.centre)[: len(inspect.signature(case.natural).parameters)]
    np.testing.assert_allclose(curve, case.natural(*given), rtol=1e-12)


@every_law
def test_every_coefficient_has_a_finite_gradient_and_moves_the_curve(name):
    case, runs = CASES[name], runs_for(name)
    jacobian = jax.jit(jax.jacfwd(lambda values: evaluate(LAWS[name], runs, values)[0]))(case.values)
    assert set(jacobian) == set(case.values)
    for site, slope in jacobian.items():
        assert slope.shape == (ROWS,) and np.isfinite(slope).all() and np.abs(slope).max() > 0, site


@every_law
def test_more_of_an_input_lowers_the_loss_or_raises_it_whatever_the_coefficients(name):
    runs = runs_for(name)
    fixed = (
        {"phi": 0.46} if "phi" in CASES[name].values else {}
    )  # a loop may be worth less than nothing by its prior

    def total(inputs):
        return jnp.sum(draw(LAWS[name], type(runs)(inputs, runs.unit), **fixed), axis=1)

    for column, slope in jax.jacrev(total)(runs.inputs).items():
        assert slope.shape == (20, ROWS) and np.isfinite(slope).all()
        case = CASES[name]
        sign = 1 if column in case.raises else 0 if column in case.idle else -1
        ends = column in case.saturates and (slope <= 0).all()
        assert ends or column in case.free or (np.sign(slope) == sign).all(), column


@every_law
def test_prior_curves_lie_around_the_measured_losses(name):
    table = table_of(name)
    curves = draw(LAWS[name], runs_for(name, table))
    if LAWS[name].scale == "identity":
        assert table["loss"].min() - 2 < np.median(curves) < table["loss"].max() + 2
        return
    assert (curves > 0).all()
    assert table["loss"].min() / 2 < np.median(curves) < table["loss"].max() * 2


@every_law
def test_the_unit_of_an_input_leaves_prior_curves_alone(name):
    table = table_of(name)
    before = draw(LAWS[name], runs_for(name, table))
    for group in CASES[name].together:
        scaled = table.assign(**{column: table[column] * 1e-9 for column in group})
        np.testing.assert_allclose(draw(LAWS[name], runs_for(name, scaled)), before, rtol=1e-10)


@every_law
def test_the_unit_of_an_input_leaves_the_curve_of_given_coefficients_alone(name):
    case, table = CASES[name], table_of(name)
    before, _ = evaluate(LAWS[name], runs_for(name, table), case.values)
    for group in case.together:
        scaled = table.assign(**{column: table[column] * 1e-9 for column in group})
        values = {site: v * 1e-9 if case.lengths.get(site) in group else v for site, v in case.values.items()}
        np.testing.assert_allclose(
            evaluate(LAWS[name], runs_for(name, scaled), values)[0], before, rtol=1e-10
        )


@every_law
def test_prior_curves_scale_with_the_losses(name):
    table = table_of(name)
    scaled = table.assign(loss=table["loss"] / np.log(2))  # nats to bits
    curves, in_bits = (draw(LAWS[name], runs_for(name, t)) for t in (table, scaled))
    np.testing.assert_allclose(in_bits, curves / np.log(2), rtol=1e-12)


@every_law
def test_a_law_survives_pickling_with_its_priors(name):
    site = next(iter(CASES[name].values))
    law = LAWS[name].with_priors(**{site: dist.Gamma(2.0, 5.0)})
    again = pickle.loads(pickle.dumps(law))
    assert (again, again.name, again.inputs, again.source) == (law, law.name, law.inputs, law.source)
    assert again != LAWS[name] and pickle.loads(pickle.dumps(LAWS[name])) == LAWS[name]


@every_law
def test_with_priors_changes_that_prior_only(name):
    def priors(law):
        with numpyro.handlers.seed(rng_seed=0), numpyro.handlers.trace() as trace:
            law(runs_for(name))
        return {site: message["fn"] for site, message in trace.items() if message["type"] == "sample"}

    before = priors(LAWS[name])
    assert set(before) == set(CASES[name].values)
    for changed in before:
        mine = dist.Gamma(2.0, 5.0)
        after = priors(LAWS[name].with_priors(**{changed: mine}))
        assert after.pop(changed) is mine and list(after) == [site for site in before if site != changed]
        for site, prior in after.items():
            assert type(prior) is type(before[site])
            for argument in prior.arg_constraints:
                assert getattr(prior, argument) == getattr(before[site], argument), (changed, site)


def test_laws_of_equal_priors_are_equal():
    one, two = (chinchilla.with_priors(alpha=dist.Beta(2.0, 5.0), E=dist.Gamma(1.0, 1.0)) for _ in range(2))
    turned = chinchilla.with_priors(E=dist.Gamma(1.0, 1.0)).with_priors(alpha=dist.Beta(2.0, 5.0))
    assert one == two == turned and hash(one) == hash(two) == hash(turned)
    others = [
        chinchilla,
        coupled,
        one.with_priors(alpha=dist.Beta(2.0, 6.0)),
        one.with_priors(alpha=dist.Gamma(2.0, 5.0)),
    ]
    assert all(one != other for other in others)


def log_of(base, *, scale=1.0):
    exp, affine = dist.transforms.ExpTransform(), dist.transforms.AffineTransform(0.0, scale)
    return dist.TransformedDistribution(base, [affine, exp])


PRIORS = {
    "plain": (lambda: dist.Beta(2.0, 5.0), lambda: dist.Beta(2.0, 6.0)),
    "another form": (lambda: dist.Gamma(2.0, 5.0), lambda: dist.InverseGamma(2.0, 5.0)),
    "truncated": (
        lambda: dist.TruncatedNormal(0.3, 0.1, low=0.0),
        lambda: dist.TruncatedNormal(0.6, 0.1, low=0.0),
    ),
    "end": (lambda: dist.TruncatedNormal(0.3, 0.1, low=0.0), lambda: dist.TruncatedNormal(0.3, 0.1, low=0.1)),
    "base": (lambda: log_of(dist.Normal(0.0, 1.0)), lambda: log_of(dist.Normal(1.0, 1.0))),
    "transform": (lambda: log_of(dist.Normal(0.0, 1.0)), lambda: log_of(dist.Normal(0.0, 1.0), scale=2.0)),
}


@pytest.mark.parametrize("case", PRIORS)
def test_laws_are_compared_by_all_numbers_of_their_priors(case):
    one, other = PRIORS[case]
    laws = [chinchilla.with_priors(alpha=prior) for prior in (one(), one(), other())]
    assert laws[0] == laws[1] and hash(laws[0]) == hash(laws[1]) and laws[0] != laws[2]


@pytest.mark.parametrize(
    ("form", "numbers"), [("Beta", (2.0, 5.0)), ("LogNormal", (-1.0, 0.5)), ("HalfNormal", ([1.0, 2.0],))]
)
def test_a_prior_comes_back_from_its_plain_data(form, numbers):
    prior = getattr(dist, form)(*map(jnp.array, numbers))
    spec = json.loads(json.dumps(prior_spec(prior)))
    again = prior_from((spec[0], [tuple(argument) for argument in spec[1]]))
    assert type(again) is type(prior)
    np.testing.assert_array_equal(again.log_prob(0.3), prior.log_prob(0.3))


def test_a_prior_that_no_numpyro_has_is_refused():
    with pytest.raises(InputError, match="'Betta' is no distribution"):
        prior_from(("Betta", ()))


@pytest.mark.parametrize("case", ["truncated", "base"])
def test_a_prior_that_cannot_be_saved_is_refused(case):
    with pytest.raises(InputError, match="cannot be saved"):
        prior_spec(PRIORS[case][0]())


def test_a_prior_of_no_site_is_refused():
    with pytest.raises(
        InputError, match="names alhpa, which the law 'chinchilla' does not sample; did you mean 'alpha'"
    ):
        evaluate(
            chinchilla.with_priors(alhpa=dist.Beta(2.0, 5.0)),
            runs_for("chinchilla"),
            CASES["chinchilla"].values,
        )


def test_coupled_at_one_is_chinchilla():
    runs = runs_for("coupled")
    whole, sites = evaluate(coupled, runs, SUM | {"g": 1.0})
    parts, natural = evaluate(chinchilla, runs, SUM)
    np.testing.assert_allclose(whole, parts, rtol=1e-12)
    for site in ("A_natural", "B_natural"):
        assert float(sites[site]) == pytest.approx(float(natural[site]), rel=1e-12)


@pytest.mark.parametrize("alpha", [0.103, 0.076])
def test_coupled_without_a_floor_and_with_g_of_beta_is_kaplan(alpha):
    """With alpha = beta = g as its docstring says, and with any other alpha too."""
    runs, R, p = runs_for("kaplan"), 2.9, 0.35
    theirs, _ = evaluate(kaplan, runs, {"R": R, "p": p, "alpha_N": alpha, "alpha_D": 0.103})
    values = {"E": 0.0, "A": R * p, "B": R * (1 - p), "alpha": alpha, "beta": 0.103, "g": 0.103}
    np.testing.assert_allclose(evaluate(coupled, runs, values)[0], theirs, rtol=1e-12)


def test_each_shortage_alone_costs_the_natural_coefficient():
    """Where the other input is without bound, coupled is E + A_natural N^-alpha."""
    table = table_of("coupled").assign(tokens=1e200)
    unit = unit_of(table_of("coupled"), TWO)
    curve, v = evaluate(coupled, runs_of(table, unit), CASES["coupled"].values)
    np.testing.assert_allclose(
        curve, v["E"] + v["A_natural"] * table["params"].to_numpy() ** -v["alpha"], rtol=1e-12
    )


@pytest.mark.parametrize("name", ["recurrence", "coupled_recurrence", "coupled_looped"])
def test_compute_of_loops_is_the_parameters_applied_times_the_tokens(name):
    runs = runs_for(name)
    x = runs.inputs
    applied = x.get("params_once", 0.0) + x["loops"] * x.get("params_rec", x.get("params"))
    np.testing.assert_allclose(LAWS[name].compute(runs), applied * x["tokens"], rtol=1e-14)


def test_the_default_law_reads_the_loops_where_they_vary():
    table = table_of("coupled_recurrence").assign(params=1e9 * np.linspace(1, 2, ROWS))
    looped, once = table.drop(columns=["params_once", "params_rec"]), table.assign(loops=4.0)
    found = [find_law(None, rows).name for rows in (table, looped, once, table[["tokens", "loss"]])]
    assert found == ["coupled_recurrence", "coupled_looped", "capped", "power_saturated"]


def log_normal(median, width):
    return dist.LogNormal, (np.log(median), width)


STATED = {  # (smallest loss, median loss, smallest inputs) -> coefficient -> prior, from the docstrings
    "chinchilla": lambda *_: {"alpha": log_normal(0.28, 0.4), "beta": log_normal(0.32, 0.45)},
    "capped": lambda least, typical, _: {
        "E": (dist.LogNormal, (np.log(0.45 * least), 0.8)),
        "alpha": log_normal(0.28, 0.4),
        "beta": log_normal(0.32, 0.45),
        "above": (dist.LogNormal, (np.log(typical), 1.0)),
    },
    "coupled": lambda *_: {
        "alpha": log_normal(0.28, 0.4),
        "beta": log_normal(0.32, 0.45),
        "g": (dist.LogNormal, (-0.6, 0.4)),
    },
    **dict.fromkeys(
        ("coupled_recurrence", "coupled_looped"),
        lambda *_: {
            "phi": (dist.Normal, (0.5, 0.4)),
            "alpha": log_normal(0.28, 0.4),
            "beta": log_normal(0.32, 0.45),
            "g": (dist.LogNormal, (-0.6, 0.4)),
        },
    ),
    "kaplan": lambda least, typical, _: {
        "R": log_normal(typical, 0.3),
        "p": (dist.Uniform, (0.0, 1.0)),
        "alpha_N": log_normal(0.08, 0.5),
        "alpha_D": log_normal(0.1, 0.5),
    },
    "looped": lambda least, typical, inputs: {
        "alpha": log_normal(0.3, 0.45),
        "beta": log_normal(0.3, 0.45),
        "gamma": log_normal(0.3, 0.45),
        "t1": log_normal(inputs["params"], 1.0),
        "t2": log_normal(inputs["tokens"], 1.0),
        "t3": log_normal(inputs["loops"], 1.0),
    },
    "recurrence": lambda *_: {
        "phi": (dist.Normal, (0.5, 0.4)),
        "alpha": log_normal(0.28, 0.4),
        "beta": log_normal(0.32, 0.45),
    },
    "power": lambda *_: {"alpha": log_normal(0.3, 0.6)},
    "trajectory": lambda least, typical, _: {
        "alpha": log_normal(0.28, 0.4),
        "beta": log_normal(0.5, 0.6),
        "C": log_normal(0.04 * typical, 0.6),
        "w": (dist.Beta, (4.0, 3.0)),
        "kappa": (dist.Normal, (0.0, 0.1)),
    },
    "curve": lambda least, typical, _: {
        "alpha": log_normal(0.5, 0.6),
        "C": log_normal(0.04 * typical, 0.6),
        "w": (dist.Beta, (4.0, 3.0)),
    },
    "power_no_floor": lambda least, typical, _: {
        "A": log_normal(typical, 0.5),
        "alpha": log_normal(0.1, 1.0),
    },
    "power_shifted": lambda least, typical, inputs: {
        "alpha": log_normal(0.3, 0.6),
        "t": log_normal(inputs["tokens"], 1.0),
    },
    "power_saturated": lambda least, typical, _: {
        "alpha": log_normal(0.3, 0.6),
        "above": log_normal(typical, 0.7),
        "a": log_normal(0.4, 0.7),
    },
    "bnsl": lambda *_: {
        "alpha": log_normal(0.3, 0.6),
        "d": log_normal(centre_of("bnsl", "tokens"), 1.5),
        "c": (dist.Normal, (0.0, 0.3)),
        "f": log_normal(0.5, 0.5),
    },
    "looped_step": lambda least, typical, inputs: {
        "alpha": log_normal(0.3, 0.45),
        "beta": log_normal(0.3, 0.45),
        "gamma": log_normal(0.6, 0.6),
        "t3": log_normal(inputs["loops"], 1.0),
        "delta": (dist.Normal, (0.2, 0.3)),
    },
    "data_constrained": lambda *_: {
        "alpha": log_normal(0.28, 0.4),
        "beta": log_normal(0.32, 0.45),
        "R_D": log_normal(15.0, 0.6),
        "R_N": log_normal(5.3, 0.6),
    },
    "position": lambda least, typical, _: {
        "a": log_normal(0.65 * least, 0.5),
        "b_centre": log_normal(0.2 * typical, 1.0),
        "p": log_normal(0.5, 0.5),
    },
    "position_by_size": lambda least, typical, _: {
        "alpha": log_normal(0.28, 0.4),
        "b_centre": log_normal(0.2 * typical, 1.0),
        "b_slope": (dist.Normal, (0.0, 0.15)),
        "p": log_normal(0.5, 0.5),
        "p_slope": (dist.Normal, (0.0, 0.15)),
    },
    "position_by_step": lambda least, typical, _: {
        "b_centre": log_normal(0.2 * typical, 1.0),
        "p": log_normal(0.5, 0.5),
        "beta": log_normal(0.5, 0.5),
        "g": (dist.LogNormal, (-0.6, 0.4)),
    },
    "shape": lambda *_: {
        "alpha": log_normal(0.28, 0.4),
        **{
            f"{j}_{part}": prior
            for j in SHAPE
            for part, prior in {
                "best": log_normal(centre_of("shape", j), 1.0),
                "shift": (dist.Normal, (0.0, 0.15)),
                "below": log_normal(0.01, 1.2),
                "above": log_normal(0.01, 1.2),
            }.items()
        },
    },
}


STATED |= {
    "experts": lambda *_: {"alpha": log_normal(0.28, 0.4), "phi": (dist.Normal, (0.4, 0.25))},
    "experts_bilinear": lambda least, typical, _: {
        "R": log_normal(typical, 0.3),
        "a": log_normal(0.08, 0.5),
        "b": log_normal(0.03, 0.7),
        "c": (dist.Normal, (0.0, 0.01)),
    },
    "parallel": lambda *_: {"alpha": log_normal(0.25, 0.4), "k": log_normal(0.35, 0.6)},
    "sparse": lambda *_: {
        "alpha": log_normal(0.28, 0.4),
        "beta": log_normal(0.32, 0.45),
        "delta": (dist.Normal, (0.05, 0.1)),
        "phi": (dist.Normal, (0.8, 0.3)),
        "psi": (dist.Normal, (0.1, 0.15)),
    },
    "mixture": lambda least, typical, _: {
        "alpha": log_normal(0.3, 0.45),
        "M": log_normal(0.2 * typical, 1.0),
        "mu": log_normal(0.3, 0.7),
        "w_web": log_normal(1.0, 1.5),
        "w_code": log_normal(1.0, 1.5),
    },
    "vocabulary": lambda least, typical, _: {
        "E": (dist.Normal, (least - 0.2 * typical, 0.3 * typical)),
        "G": log_normal(0.2 * typical, 1.0),
        "alpha": log_normal(0.28, 0.4),
        "gamma": log_normal(0.3, 0.6),
        "beta": log_normal(0.4, 0.45),
        "delta": (dist.Normal, (0.1, 0.1)),
    },
    "batch_rate": lambda *_: {
        "alpha": log_normal(0.28, 0.4),
        "beta": log_normal(0.32, 0.45),
        "batch_best": log_normal(centre_of("batch_rate", "batch"), 1.5),
        "batch_tokens": (dist.Normal, (0.5, 0.2)),
        "lr_best": log_normal(centre_of("batch_rate", "lr"), 1.0),
        "lr_params": (dist.Normal, (-0.5, 0.3)),
        "lr_tokens": (dist.Normal, (0.2, 0.2)),
        "lr_batch": (dist.Normal, (0.3, 0.3)),
        "k_lr": log_normal(0.015, 1.0),
        "k_b": log_normal(0.015, 1.0),
        "s_lr": (dist.Normal, (0.4, 0.4)),
        "s_b": (dist.Normal, (0.2, 0.4)),
    },
    "precision": lambda *_: {
        "alpha": log_normal(0.28, 0.4),
        "beta": log_normal(0.32, 0.45),
        "c": log_normal(2.7, 0.6),
    },
    "epochs": lambda *_: {
        "alpha": log_normal(0.28, 0.4),
        "beta": log_normal(0.32, 0.45),
        "g": (dist.LogNormal, (-0.6, 0.4)),
        "R_D": log_normal(15.0, 0.6),
        "R_N": log_normal(5.3, 0.6),
    },
}


def centre_of(name, column):
    return np.exp(np.log(table_of(name)[column]).mean())


@every_law
def test_the_priors_are_those_of_the_docstrings(name):
    table = table_of(name)
    with numpyro.handlers.seed(rng_seed=0), numpyro.handlers.trace() as trace:
        LAWS[name](runs_for(name, table))
    unit = unit_for(name, table)
    least, typical = float(unit.least), float(unit.typical)
    everywhere = {weight: log_normal(0.2 * typical, 1.0) for weight in "ABC"}
    everywhere |= {"E": log_normal(0.65 * least, 0.5)} if least > 0 else {}
    stated = {site: prior for site, prior in everywhere.items() if site in CASES[name].values}
    stated |= STATED[name](least, typical, table.min())
    assert set(stated) == set(CASES[name].values)
    for site, (form, numbers) in stated.items():
        prior = trace[site]["fn"]
        assert type(prior) is form
        mine = [float(getattr(prior, argument)) for argument in form.arg_constraints]
        assert mine == pytest.approx(list(form(*numbers).get_args().values()), rel=1e-9), site


def mine(runs):
    """A user's law of two columns, read in another order than the table's."""
    return (
        floor(runs)
        + power(runs.tokens, "B", "beta")
        + numpyro.sample("A", dist.HalfNormal(1.0)) * runs.params**-0.3
    )


def test_a_function_is_a_law_of_the_columns_that_it_reads():
    table = table_of("looped").assign(run="x", note="y", lr=3e-4)
    law = find_law(mine, table)
    assert (law.name, law.inputs, law.curve) == ("mine", ("tokens", "params"), mine)
    curve, _ = evaluate(
        law, runs_of(table, unit_of(table, law.inputs)), {"E": 1.0, "A": 2.0, "B": 0.5, "beta": 0.4}
    )
    tokens = table["tokens"] / np.exp(np.log(table["tokens"]).mean())
    np.testing.assert_allclose(curve, 1 + 2 * table["params"] ** -0.3 + 0.5 * tokens**-0.4, rtol=1e-12)


@pytest.mark.parametrize("name", [name for name, law in LAWS.items() if law.simpler])
def test_a_law_is_its_simpler_one_where_what_only_it_has_is_zero(name):
    law, runs = find_law(name, table_of(name)), runs_for(name, table_of(name))
    values = {site: value for site, value in CASES[name].values.items() if site in law.simplest().sites}
    nothing = dict.fromkeys(set(law.sites) - set(values), 0.0) | law.absent
    full, simple = (evaluate(each, runs, values | nothing)[0] for each in (law, law.simplest()))
    np.testing.assert_allclose(full, simple, rtol=1e-12)


def test_laws_are_found_by_name_by_themselves_and_by_default():
    table = table_of("looped")
    assert find_law("kaplan", table) is kaplan and find_law(kaplan, table) is kaplan
    assert find_law(None, table.drop(columns="loops")) is capped
    one = find_law(None, table[["loops", "loss"]].assign(params=3e7))
    assert (one.name, one.inputs) == ("power_saturated", ("loops",))


@pytest.mark.parametrize("again", [copy.deepcopy, lambda law: pickle.loads(pickle.dumps(law))])
def test_a_users_law_survives_pickling(again):
    law = Law(mine, "mine", TWO).with_priors(beta=dist.Beta(2.0, 5.0))
    assert again(law) == law and again(law).inputs == TWO


def test_power_of_one_input_survives_pickling():
    law = find_law("power", table_of("power"))
    assert pickle.loads(pickle.dumps(law)).inputs == ("tokens",)


def test_power_given_as_a_law_finds_its_input():
    assert find_law(power_law.with_priors(alpha=dist.Beta(2.0, 5.0)), table_of("power")).inputs == ("tokens",)
