"""Training spiking networks with PyTorch, and running what was trained with the very same spikes.

Sequences are tensors of shape (time, batch, ...).  Time constants and delays are in steps, potentials in units of the
threshold; `to_network` says how long a step is, in ms.
"""

from ..extras import need  # noqa: E402

need("torch", "learn")

from .astrocytes import AstroAttention, AstroLIF  # noqa: E402
from .checkpointing import Checkpointed  # noqa: E402
from .conversion import Converted, convert  # noqa: E402
from .cost import cost  # noqa: E402
from .credit import route_errors  # noqa: E402
from .delay_training import (  # noqa: E402
    DelaySchedule,
    as_trained,
    clamp_delays,
    delay_layers,
    delay_rates,
    parameter_groups,
    refresh_batch_norm,
    round_delays,
    rounded,
    rounding_gap,
)
from .delays import DelayedLinear  # noqa: E402
from .deployment import describe, to_network  # noqa: E402
from .encoders import encoder  # noqa: E402
from .eventprop import EventLI, EventLIF  # noqa: E402
from .events import excess_spikes, first_spike_scores, spike_times, spikes_at  # noqa: E402
from .foreign import Foreign  # noqa: E402
from .integrating import IF, Integrator  # noqa: E402
from .neurons import AdaptiveLIF, LI, LIF  # noqa: E402
from .online import OTTT, EProp  # noqa: E402
from .projection import OrthogonalProjection  # noqa: E402
from .quantised import QCFS  # noqa: E402
from .readout import last_of_time, max_over_time, mean_over_time, spike_count, sum_of_softmax  # noqa: E402
from .recurrent import Recurrent  # noqa: E402
from .recurrent_delays import RecurrentDelays  # noqa: E402
from .regularisers import Regulariser, regularise, voltage  # noqa: E402
from .residual import Residual  # noqa: E402
from .returning import from_network  # noqa: E402
from .reward import RewardSTDP  # noqa: E402
from .sequence import Layer, Sequential  # noqa: E402
from .surrogate import Surrogate  # noqa: E402
from .training import History, evaluate, fit, scores  # noqa: E402

__all__ = [
    "AdaptiveLIF",
    "AstroAttention",
    "AstroLIF",
    "Checkpointed",
    "Converted",
    "DelaySchedule",
    "DelayedLinear",
    "EProp",
    "EventLI",
    "EventLIF",
    "Foreign",
    "History",
    "IF",
    "Integrator",
    "LI",
    "LIF",
    "Layer",
    "OTTT",
    "OrthogonalProjection",
    "QCFS",
    "Recurrent",
    "RecurrentDelays",
    "Regulariser",
    "Residual",
    "RewardSTDP",
    "Sequential",
    "Surrogate",
    "as_trained",
    "clamp_delays",
    "convert",
    "cost",
    "delay_layers",
    "delay_rates",
    "describe",
    "encoder",
    "evaluate",
    "excess_spikes",
    "first_spike_scores",
    "fit",
    "from_network",
    "last_of_time",
    "max_over_time",
    "mean_over_time",
    "parameter_groups",
    "refresh_batch_norm",
    "regularise",
    "round_delays",
    "rounded",
    "rounding_gap",
    "route_errors",
    "scores",
    "spike_count",
    "spike_times",
    "spikes_at",
    "sum_of_softmax",
    "to_network",
    "voltage",
]
