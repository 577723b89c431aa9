"""Samples to learn from: images, spoken digits as spikes, text, made tasks, and files of event cameras and spiking data sets.

Each gives a `Split` in three parts, samples first.  Nothing is downloaded but from package registries, once; sets that are in
none are read by path.
"""

from .binned import Binned, binned
from .cochlea import Cochlea
from .events import dvs_gesture, nmnist, packed_events, shd, ssc
from .images import digits, fashion, mnist
from .speech import spoken
from .split import Split, by_group, by_index, some, stratified
from .tasks import delay_coded, delayed_match, store_recall
from .text import Text, bible, text
from .yin_yang import yin_yang

__all__ = [
    "Binned",
    "Cochlea",
    "Split",
    "Text",
    "bible",
    "binned",
    "by_group",
    "by_index",
    "delay_coded",
    "delayed_match",
    "digits",
    "dvs_gesture",
    "fashion",
    "mnist",
    "nmnist",
    "packed_events",
    "shd",
    "some",
    "spoken",
    "ssc",
    "store_recall",
    "stratified",
    "text",
    "yin_yang",
]
