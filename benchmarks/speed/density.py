r"""The density that every sampler is given.

Lossband's `chinchilla` with Student-t noise and no drift, restated.

    ln y_i ~ StudentT(4, ln L(N_i, D_i), sigma),   L = E + A (N / N0)^-alpha + B (D / D0)^-beta

E / least ~ LogNormal(ln .65, .5), A / typical and B / typical ~ LogNormal(ln .2, 1), alpha ~ LogNormal(ln
.28, .4), beta ~ LogNormal(ln .32, .45), sigma / spread ~ LogNormal(ln .03, 1.2); least, typical and spread
are the smallest and the median loss and the standard deviation of ln loss, N0 and D0 the geometric means. In
natural units the coefficients are A_natural = A N0^alpha and B_natural = B D0^beta, whose priors, given alpha
and beta, are LogNormal too: the same posterior in other coordinates. A test holds all of it against
    lossband's own potential.
"""

from dataclasses import dataclass

import numpy as np

NU = 4.0
WIDTHS = {"E": 0.5, "alpha": 0.4, "A": 1.0, "beta": 0.45, "B": 1.0, "sigma": 1.2}
REPORTED = ("E", "A", "alpha", "B", "beta", "sigma", "ln A_natural", "ln B_natural")
"""What every row reports, whatever it samples; ESS, R-hat and agreement are of all of these."""


@dataclass(frozen=True)
class Numbers:
    """A table's rows as plain arrays `(row,)`, and the medians' logarithms of the priors.

    x, z: ln params and ln tokens less `centre`, which is (0, 0) in natural units.
    medians: site -> ln of its prior's median; A and B are at N0 and D0 in any case.
    """

    x: np.ndarray
    z: np.ndarray
    log_loss: np.ndarray
    medians: dict
    N0: float  # ln of the geometric mean of params, less centre[0]
    D0: float
    natural: bool

    @classmethod
    def of(cls, table, natural):
        x, z, y = (np.log(table[name].to_numpy(float)) for name in ("params", "tokens", "loss"))
        typical, shift = np.log(0.2) + np.median(y), (0.0, 0.0) if natural else (x.mean(), z.mean())
        medians = {
            "E": np.log(0.65) + y.min(),
            "alpha": np.log(0.28),
            "A": typical,
            "beta": np.log(0.32),
            "B": typical,
        }
        medians["sigma"] = np.log(0.03 * y.std())
        centre = (x.mean(), z.mean())
        return cls(
            x - shift[0], z - shift[1], y, medians, centre[0] - shift[0], centre[1] - shift[1], natural
        )


def reported(table, draws, natural):
    """The `REPORTED` quantities, each `(chain, draw)`, from draws of E, A, alpha, B, beta, sigma in either unit."""
    N0, D0 = np.log(table["params"]).mean(), np.log(table["tokens"]).mean()
    E, A, alpha, B, beta, sigma = (np.asarray(draws[name], float) for name in REPORTED[:6])
    to_natural = alpha * N0, beta * D0
    ln_A, ln_B = np.log(A) + (0 if natural else to_natural[0]), np.log(B) + (0 if natural else to_natural[1])
    centred = np.exp(ln_A - to_natural[0]), np.exp(ln_B - to_natural[1])
    return dict(zip(REPORTED, (E, centred[0], alpha, centred[1], beta, sigma, ln_A, ln_B), strict=True))
