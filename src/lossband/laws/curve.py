"""Laws of one input: a learning curve along whatever was varied."""

from .base import law
from .terms import floor, power


@law(inputs=(), name="power", source="Alabdulmohsin et al. 2022, arXiv:2209.06640, eq. 2 (M2)")
def power_law(runs):
    r"""One power law in one input, above a floor.

        L(x) = E + A (x / x0)^-alpha

    ======  ====================================  ============  ===========================================
    symbol  meaning                               unit          prior
    ======  ====================================  ============  ===========================================
    x       the one input of the table            as given
    x0      its geometric mean over the rows      as given
    E       irreducible loss                      of the loss   `floor`
    A       loss above the floor at the centre    of the loss   `weight`: a fifth of the loss
    alpha   exponent                              none          LogNormal(ln .3, .6): vision runs to 1
    ======  ====================================  ============  ===========================================
    """
    (name,) = runs.inputs
    return floor(runs) + power(getattr(runs, name), "A", "alpha", median=0.3, width=0.6)
