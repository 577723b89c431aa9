"""Samples to learn from: images, spoken digits as spikes, made tasks, and files of event cameras and spiking data sets.

Each gives a `Split` in three parts, samples first.  Nothing is downloaded but from package registries, once; sets that are in
none are read by path.
"""

from .cochlea import Cochlea
from .images import digits, fashion, mnist
from .split import Split, by_group, by_index, some, stratified
from .spoken import spoken
from .tasks import delay_coded, delayed_match, store_recall

__all__ = [
    "Cochlea",
    "Split",
    "by_group",
    "by_index",
    "delay_coded",
    "delayed_match",
    "digits",
    "fashion",
    "mnist",
    "some",
    "spoken",
    "store_recall",
    "stratified",
]
