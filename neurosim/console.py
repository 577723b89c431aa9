"""What a run shows while it goes on, and how it is stopped from the keyboard."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

from .result import Result

__all__ = ["announce_compilation", "building", "count_bar", "interruptible", "learning_bar",
           "run_bar"]


def announce_compilation(loop: str = "engine.advance") -> None:
    """Say so, once, when the kernels of a main loop are not in the cache yet: the first simulation then seems to hang."""
    from . import kernels
    if not kernels.compiled_before(loop):
        logging.getLogger("neurosim").warning(
            "neurosim: compiling its kernels, once on this machine and for this version; about half a minute"
        )


@contextlib.contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Within: the first Ctrl-C sets the event, the second interrupts."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, frame: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def run_bar(show: bool, duration: float) -> Iterator[Any]:
    """A progress bar of simulated time; yields a function that is told of each chunk."""
    if not show:
        yield lambda *chunk: None
        return
    from tqdm import tqdm
    spikes, began = 0, time.perf_counter()
    with tqdm(total=duration, unit="ms", bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} ms [{elapsed}<{remaining}{postfix}]") as bar:
        def tell(chunk: Result) -> None:
            nonlocal spikes
            spikes += sum(chunk.spikes(label).count for label, kept in chunk.recorded.items() if "spikes" in kept)
            bar.update(min(chunk.duration, bar.total - bar.n))
            factor = bar.n / 1000.0 / max(time.perf_counter() - began, 1e-9)
            bar.set_postfix_str(f"{factor:.2g} x real time, {spikes} spikes")
        yield tell


@contextlib.contextmanager
def count_bar(show: bool, total: int, unit: str, text: str) -> Iterator[Any]:
    """A progress bar of things done; yields a function that is told how many more."""
    if not show:
        yield lambda n: None
        return
    from tqdm import tqdm
    with tqdm(total=total, unit=f" {unit}", desc=text) as bar:
        yield bar.update


@contextlib.contextmanager
def learning_bar(show: bool, batches: int) -> Iterator[Any]:
    """A progress bar of batches; yields a function that is told how many more, and figures to show beside it."""
    if not show:
        yield lambda n, figures: None
        return
    from tqdm import tqdm
    with tqdm(total=batches, unit=" batches") as bar:
        def tell(n: int, figures: dict[str, float]) -> None:
            bar.set_postfix_str(", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in figures.items()), refresh=False)
            bar.update(n)
        yield tell


@contextlib.contextmanager
def building(show: bool, synapses: float) -> Iterator[Any]:
    """A progress bar of synapses made; each is met twice."""
    if not show or synapses < 2e6:
        yield lambda n: None
        return
    from tqdm import tqdm
    with tqdm(total=2 * int(synapses), unit=" synapses", unit_scale=0.5, desc="building", leave=False) as bar:
        yield bar.update
