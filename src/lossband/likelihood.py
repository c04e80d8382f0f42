"""Likelihood: the distribution of the table's ln losses as one of NumPyro's."""

import numpyro.distributions as dist

from .noise import LogLoss


class Likelihood(LogLoss, dist.Distribution):
    """A `LogLoss` that NumPyro can sample from and observe."""

    support = dist.constraints.real_vector
    pytree_data_fields = ("location", "reach", "scales", "measured")
    pytree_aux_fields = ("noise", "known_errors", "mixed")

    def __init__(self, location, *about):
        LogLoss.__init__(self, location, *about)
        dist.Distribution.__init__(self, event_shape=location.shape)
