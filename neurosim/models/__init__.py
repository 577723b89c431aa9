"""Networks from the literature: ``MODELS["microcircuit"].build(scale=0.1, seed=1)``."""

from . import brunel, ca3, coba, cuba, digits, microcircuit, sparse, tripartite
from .base import Model

__all__ = ["MODELS", "Model"]

MODELS: dict[str, Model] = {
    module.MODEL.name: module.MODEL for module in (microcircuit, brunel, cuba, coba, sparse, digits, tripartite, ca3)
}
