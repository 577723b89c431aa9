"""What others found the microcircuit of Potjans & Diesmann 2014 to do: rates, irregularity, synchrony.

The paper shows the activity of all eight populations in a figure.  Numbers stand in two places:

* The authors' reference implementation, in NEST, with Poisson drive: mean rates of all neurons of the full circuit,
  and of one tenth of it, in one simulation each, of 1 s after the first 0.5 s.  It warns that one run is not enough
  to verify another program by: the rate of L5E moves slowly, by several percent.
* Romaro et al., in NetPyNE: means over 60 s and about 1000 neurons of each population.  (They have smaller scales too,
  but reckon the lost input with other rates, and so get others; of DC drive the rates could not be read.)

References
----------
github.com/INM-6/microcircuit-PD14-model, commit fd40046, PyNEST/src/microcircuit/network_params.py: full circuit.
github.com/nest/nest-simulator, commit e0a0745, pynest/examples/Potjans_2014/reference_data/rate[0-7].dat: one tenth.
Romaro C, Najman FA, Lytton WW, Roque AC, Dura-Bernal S (2021) Neural Comput 33:1993-2032, doi:10.1162/neco_a_01400:
tables A.1 (rates, Poisson), A.3 and A.4 (irregularity, Poisson and DC), A.5 and A.6 (synchrony, Poisson and DC).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["CV", "EXCITATORY_RATES", "FULL_RATES", "LONG_RATES", "NEST_RATES", "SYNCHRONY", "Activity", "activity"]

FULL_RATES = np.array([0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829])
"""Hz, of the full circuit in NEST; also what `microcircuit.circuit` takes for the rates when it reckons lost input."""

NEST_RATES = {1.0: FULL_RATES, 0.1: np.array([0.402, 2.017, 3.880, 4.958, 6.575, 7.726, 0.831, 6.986])}
"""Hz by scale; the second are means of the neurons' rates in the reference data."""

LONG_RATES = np.array([0.90, 2.80, 4.39, 5.70, 6.80, 8.22, 1.14, 7.60])
"""Hz, of the full circuit in NetPyNE."""

EXCITATORY_RATES = {"L23E": 0.86, "L4E": 4.45, "L5E": 7.59, "L6E": 1.09}
"""Hz; those that Romaro et al. quote as "NEST trial" below table A.1."""

CV = {
    "poisson": np.array([0.938, 0.916, 0.891, 0.873, 0.847, 0.809, 0.924, 0.819]),
    "dc": np.array([0.936, 0.909, 0.875, 0.862, 0.820, 0.775, 0.923, 0.788]),
}
"""Coefficient of variation of the interspike intervals, by drive; full circuit in NetPyNE."""

SYNCHRONY = {
    "poisson": np.array([2.9, 1.8, 3.0, 1.7, 4.4, 1.1, 1.2, 1.0]),
    "dc": np.array([5.1, 3.3, 5.5, 2.7, 8.0, 2.0, 1.5, 1.3]),
}
"""Variance over mean of the spike count, by drive; full circuit in NetPyNE."""


class Activity(NamedTuple):
    """Published numbers, of shape (8,), nan where there are none; all but ``nest_rate`` are of the full circuit."""

    nest_scale: float
    nest_rate: np.ndarray
    long_rate: np.ndarray
    cv: np.ndarray
    synchrony: np.ndarray


def activity(scale: float, drive: str) -> Activity:
    """What is published for this drive: NEST's rates at this scale (within 2 %), or else of the full circuit."""
    key = next((known for known in NEST_RATES if abs(scale - known) <= 0.02 * known), 1.0)
    if drive == "poisson":
        return Activity(key, NEST_RATES[key], LONG_RATES, CV[drive], SYNCHRONY[drive])
    missing = np.full(8, np.nan)
    return Activity(1.0, missing, missing, CV[drive], SYNCHRONY[drive])
