"""Handwritten digits learnt without a teacher: Diehl & Cook 2015."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cells.conductance import IF_cond_exp
from ..cells.homeostatic import IF_cond_exp_homeostatic
from ..cells.sources import SpikeSourcePoisson
from ..connectors import AllToAllConnector, ArrayConnector, OneToOneConnector
from ..console import count_bar, interruptible
from ..description import check_dt, check_threads, processors
from ..errors import FileFormatError, ParameterError
from ..homeostasis import WeightNormalization
from ..network import Network
from ..parameters import stream_key
from ..plasticity import AdditiveWeightDependence, SpikePairRule, STDPMechanism
from .base import Model, plain
from .digits_data import Digits, load

if TYPE_CHECKING:
    from ..engine import Simulation
    from ..result import Result

__all__ = ["CELL", "INTERNEURON", "MODEL", "RULE", "Learned", "build", "learn", "report"]

CELLS = 400
CELL = IF_cond_exp_homeostatic(v_rest=-65.0, v_reset=-65.0, v_thresh=-52.0, tau_m=100.0, cm=0.1, tau_refrac=5.0,
                               tau_syn_E=1.0, tau_syn_I=2.0, e_rev_E=0.0, e_rev_I=-100.0, theta_plus=0.1)
INTERNEURON = IF_cond_exp(v_rest=-60.0, v_reset=-45.0, v_thresh=-40.0, tau_m=10.0, cm=0.01, tau_refrac=2.0,
                          tau_syn_E=1.0, tau_syn_I=2.0, e_rev_E=0.0, e_rev_I=-85.0)
W_MAX = 1e-3  # uS: the leak conductance of a cell, cm / tau_m
RULE = SpikePairRule(tau_plus=20.0, tau_minus=20.0, A_plus=1.2 / 784, A_minus=0.0)  # A_plus at 28 x 28 pixels
TAU_THETA = 5000.0  # ms, times the number of cells: each wins as many images in that time
TOTAL = 14.0 * W_MAX / 784  # sum of the weights onto a cell, for each pixel
TO_INHIBITION, INHIBITION = 10.4e-3, 17.0e-3  # uS
SHOWN, PAUSE = 150.0, 50.0  # ms
INPUT = 15_000.0  # Hz, of all sources together while the average image is shown
NORMALISED = 10  # images from one normalisation of the weights to the next
SPREAD = 0.18  # of the first weights about the centre of the image, in its widths
TRAIN, ASSIGN, TEST = 20_000, 10_000, 10_000
_PORTION = 500  # images that one thread shows in one simulation


# ----------------------------------------------------------------------------------------- the network


def build(scale: float, seed: int, dt: float, side: int = 28) -> Network:
    """The network before it has learnt; until an image is shown its sources all fire at one rate.

    A Poisson source for each pixel excites every one of 400 cells through synapses that learn.  A spike of a cell
    excites its own interneuron, which inhibits all the other cells: they compete for the image.  Whoever wins
    strengthens its synapses from bright pixels, and all weights onto it are scaled back to a fixed sum, so that it
    comes to fit this image and others less; and its threshold rises, so that other cells win other images.

    The cells, the interneurons and the synapses between them are the paper's.  Departures, to learn in minutes:

    * The rule is a pair rule without depression: each spike of a cell adds the trace of the source.  (The paper
      compares four rules that learn about equally well; its published code has a triplet rule.)
    * An image is shown for 150 ms at about 2.4 times the rates, with a pause of 50 ms, not for 350 and 150 ms.  The
      cells' v is put to rest before it.  Rates are divided by the image's norm, so that thin digits excite as thick
      ones do; no image is shown a second time for having caused too few spikes.
    * The sum of the weights is 14 instead of 78 times the leak conductance: a cell then sums input for longer before it
      fires, and the best-fitting one is more often the first.  theta grows by 0.1 and not 0.05 mV, and decays in
      2000 s and not 10,000 s.
    * Weights begin larger in the centre of the image, so that cells that have not learnt yet answer to digits too, and
      are scaled every ten images; delays are one step instead of up to 10 ms.

    Parameters
    ----------
    scale : float
        Multiplies the number of cells.
    side : int
        Width of the images, in pixels.

    References
    ----------
    Diehl PU, Cook M (2015) Front Comput Neurosci 9:99, doi:10.3389/fncom.2015.00099.
    """
    if isinstance(side, bool) or not isinstance(side, (int, np.integer)) or not 2 <= side <= 256:
        raise ParameterError(f"model digits: side must be a whole number of pixels from 2 to 256, got {side!r}")
    net = _network(_cells(scale), side, seed, dt, _first_weights(_cells(scale), side, seed))
    net.record(net.populations, "spikes")
    return net


def _cells(scale: float) -> int:
    if isinstance(scale, bool) or not isinstance(scale, (int, float, np.number)) or not 0 < scale <= 1e6:
        raise ParameterError(f"model digits: scale must be > 0 and <= 1e6, got {scale!r}")
    n = round(CELLS * scale)
    if n < 2:
        raise ParameterError(f"model digits: scale must leave 2 cells (>= {2 / CELLS:g}), got {scale:g}")
    return n


def _first_weights(n: int, side: int, seed: int) -> np.ndarray:
    """Random weights with more on the centre, (pixels, n): a cell that has not learnt then answers to digits too."""
    r = (np.arange(side) - 0.5 * (side - 1)) / (SPREAD * side)
    hill = np.exp(-0.5 * (r[:, None]**2 + r**2)).reshape(-1, 1)
    weights = hill * np.random.default_rng(seed).random((side * side, n))
    return weights * (TOTAL * side * side / weights.sum(axis=0))


def _network(n: int, side: int, seed: int, dt: float, weights: np.ndarray, theta: Any = 0.0,
             learns: bool = True) -> Network:
    """The network with these weights and thresholds; what does not learn keeps both."""
    net = Network(seed, "digits")
    pixels = net.population(side * side, SpikeSourcePoisson(rate=INPUT / side**2), "pixels")
    cell = CELL.replaced(tau_theta=TAU_THETA * n) if learns else CELL.replaced(theta_plus=0.0, tau_theta=1e30)
    rule = dataclasses.replace(RULE, A_plus=RULE.A_plus * side * side / 784)
    mechanism = STDPMechanism(rule, AdditiveWeightDependence(w_min=0.0, w_max=W_MAX)) if learns else None
    exc = net.population(n, cell, "exc", initial_values={"theta": theta})
    inh = net.population(n, INTERNEURON, "inh")
    total = WeightNormalization(TOTAL * side * side, NORMALISED * (SHOWN + PAUSE)) if learns else None
    net.project(pixels, exc, AllToAllConnector(), weights, dt, label="learnt", synapse=mechanism,
                homeostasis=total)
    net.project(exc, inh, OneToOneConnector(), TO_INHIBITION, dt)
    net.project(inh, exc, ArrayConnector(~np.eye(n, dtype=bool)), INHIBITION, dt, "inhibitory")
    return net


def report(result: Result) -> str:
    """Rates, irregularity and synchrony."""
    return plain(result, ["No image was shown: `neurosim run digits` shows them, and tests what was learnt."])


# -------------------------------------------------------------------------------------- showing images


def _rates(images: np.ndarray, gain: float) -> np.ndarray:
    """Rates of the sources, Hz, (n, pixels): images divided by their norms, times a gain."""
    flat = images.reshape(len(images), math.prod(images.shape[1:])).astype(np.float64)
    return flat * (gain / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9))


def _gain(images: np.ndarray) -> float:
    """What makes the mean sum of the rates of these images INPUT."""
    return float(INPUT / _rates(images, 1.0).sum(axis=1).mean())


def _show(simulation: Simulation, rates: np.ndarray) -> np.ndarray:
    """The spikes of each cell while one image is shown; the pause after it is simulated too."""
    pixels, exc, _ = simulation.network.populations
    simulation.set(exc, v=CELL.v_rest)
    simulation.set(pixels, rate=rates)
    spikes = simulation.step(round(SHOWN / simulation.dt))["exc"]
    simulation.set(pixels, rate=0.0)
    simulation.step(round(PAUSE / simulation.dt))
    return np.bincount(spikes, minlength=exc.size)


@dataclasses.dataclass(eq=False)
class Learned:
    """A network that has learnt digits, and how well it tells them apart.

    Attributes
    ----------
    weights : ndarray, float32, shape (pixels, cells)
        uS.
    theta : ndarray, shape (cells,)
        mV, how far the thresholds have risen.
    shape : (int, int)
        Of the images.
    responses : ndarray, shape (10, cells)
        Mean number of spikes for an image of each digit of the training set.
    curve : ndarray, shape (2, k)
        Images shown, and the share of the last block that the assignment of the block before got right.
    confusion : ndarray, shape (10, 11)
        Held-out images by digit shown and digit voted for; the last column counts those without a spike.
    weighted : float
        Share of held-out images that the vote weighted by `responses` gets right.
    facts : dict
        What was shown, how much of it, how long it took.
    """

    weights: np.ndarray
    theta: np.ndarray
    shape: tuple[int, int]
    responses: np.ndarray
    curve: np.ndarray
    confusion: np.ndarray
    weighted: float
    facts: dict[str, Any]

    @property
    def assigned(self) -> np.ndarray:
        """The digit to which each cell answers most; -1 for those that never answer."""
        return np.where(self.responses.max(axis=0) > 0, self.responses.argmax(axis=0), -1)

    @property
    def accuracy(self) -> float:
        """Share of held-out images whose digit the assigned cells voted for."""
        return float(np.trace(self.confusion) / max(self.confusion.sum(), 1))

    def classify(self, images: np.ndarray, seed: int = 1, threads: int | None = None) -> np.ndarray:
        """The digits that the network, no longer learning, sees in images (n, height, width); -1 where it is silent."""
        images = np.asarray(images)
        if images.ndim != 3 or images.shape[1:] != tuple(self.shape):
            expected = f"(n, {self.shape[0]}, {self.shape[1]})"
            raise ParameterError(f"images must have the shape {expected}, got {images.shape}")
        rates = _rates(images, self.facts["gain"])
        counts = _answers(self.weights, self.theta, rates, self.facts["dt"], seed, _workers(threads), lambda n: None)
        return _vote(counts, self.responses)

    def report(self) -> str:
        """How well, on how many images."""
        f, tested = self.facts, int(self.confusion.sum())
        error = 100.0 * np.sqrt(self.accuracy * (1.0 - self.accuracy) / max(tested, 1))
        shown = self.confusion.sum(axis=1)
        each = [(100.0 * self.confusion[d, d] / shown[d], d) for d in range(10) if shown[d]]
        (best, easy), (worst, hard) = max(each), min(each)
        cells = " ".join(str(k) for k in np.bincount(self.assigned[self.assigned >= 0], minlength=10))
        cut = "" if f["complete"] else f" (interrupted; {f['asked']:,} were asked for)"
        return "\n".join([
            f"{f['data']}: {self.weights.shape[1]} cells saw {f['train']:,} images ({f['different']:,} different ones)"
            f" for {SHOWN:g} ms each{cut}",
            f"held-out images recognised: {100.0 * self.accuracy:.1f} +- {error:.1f} % of {tested:,}"
            f" ({100.0 * self.weighted:.1f} % if cells vote for all digits, by their responses)",
            f"best digit {easy} ({best:.0f} %), worst {hard} ({worst:.0f} %); images without a spike:"
            f" {int(self.confusion[:, 10].sum())}",
            f"labels served only to assign cells, with {f['assign']:,} training images; cells for 0 to 9: {cells}",
            f"learnt in {f['learning_s']:.0f} s, assigned and tested in {f['testing_s']:.0f} s"
            f" ({f['cpu_s']:.0f} s of processor time)",
        ])

    def picture(self) -> Any:
        """The weights onto each cell, as images; what it learnt when; which digits it confuses: a matplotlib Figure."""
        from ..plot import receptive_fields
        order = np.lexsort((-self.responses.max(axis=0), self.assigned))
        fields = self.weights.T[order].reshape(-1, *self.shape)
        title = f"{fields.shape[0]} cells after {self.facts['train']:,} images of {self.facts['data']}"
        return receptive_fields(fields, title, self.curve, self.confusion[:, :10], f"{100.0 * self.accuracy:.1f} % of"
                                f" {int(self.confusion.sum()):,} held-out images")

    def save(self, path: str | os.PathLike) -> None:
        """Write everything as ``.npz``."""
        arrays = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "facts"}
        try:
            with open(path, "wb") as file:
                np.savez_compressed(file, facts=json.dumps(self.facts), **arrays)
        except OSError as error:
            raise FileFormatError(f"cannot write {os.fspath(path)}: {error.strerror or error}") from error

    @classmethod
    def load(cls, path: str | os.PathLike) -> Learned:
        """What :meth:`save` wrote."""
        try:
            with np.load(path, allow_pickle=False) as file:
                values = {f.name: file[f.name] for f in dataclasses.fields(cls)}
            values.update(facts=json.loads(str(values["facts"])), shape=tuple(int(k) for k in values["shape"]),
                          weighted=float(values["weighted"]))
        except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise FileFormatError(f"{os.fspath(path)} does not hold what a digits model learnt: {error}") from error
        return cls(**values)


# -------------------------------------------------------------------------------- learning and testing


def learn(scale: float = 1.0, seed: int = 1, dt: float = 1.0, threads: int | None = None, progress: bool = False,
          images: str = "auto", train: int = TRAIN, assign: int = ASSIGN, test: int = TEST) -> Learned:
    """Show digits to the network, then see which it tells apart.

    Learning uses no labels.  Then weights and thresholds are held, images of the training set are shown again to find
    the digit to which each cell answers most, and the cells vote on images that were held out: the digit whose cells
    fire most on average wins.

    Ctrl-C ends the learning early, and what was learnt until then is tested.

    Parameters
    ----------
    scale : float
        Number of cells relative to 400.
    seed : int
        Of the first weights, the order of the images and the sources' spikes.
    threads : int, optional
        For learning (chosen by speed) and for testing (all processors).
    progress : bool
    images : str
        ``"mnist"``, ``"small"``, ``"auto"`` or a folder: see `neurosim.models.digits_data.load`.
    train : int
        Images to show; beyond the size of the set they are shown again, in another order.
    assign, test : int
        Images, at most, for assigning the cells, and held out.
    """
    for name, value in (("train", train), ("assign", assign), ("test", test)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ParameterError(f"model digits: {name} must be a whole number of images >= 1, got {value!r}")
    cells = _cells(scale)
    Network(seed, "digits")  # refuses what is no seed
    check_dt(dt, "model digits: dt")
    if abs(round(PAUSE / dt) * dt - PAUSE) > 1e-6 * dt:
        raise ParameterError(f"model digits: dt must divide the {PAUSE:g} ms between two images, got {dt:g} ms")
    workers = _workers(threads)
    digits, rng = load(images), np.random.default_rng(seed)
    if digits.shape[0] != digits.shape[1]:
        raise ParameterError(f"model digits: images must be square, got {digits.shape}")
    order = np.concatenate([rng.permutation(len(digits.train)) for _ in range(-(-train // len(digits.train)))])[:train]
    began, cpu = time.perf_counter(), time.process_time()
    gain = _gain(digits.train)
    weights, theta, counts = _learnt(digits, order, gain, cells, seed, dt, threads, progress)
    learnt = time.perf_counter()
    seen = order[:len(counts)]
    chosen = rng.permutation(len(digits.train))[:assign]
    held = np.arange(len(digits.test)) if test >= len(digits.test) else rng.permutation(len(digits.test))[:test]
    with count_bar(progress, chosen.size + held.size, "images", "testing") as tick:
        one, two = (_answers(weights, theta, _rates(some, gain), dt, stream_key(seed, "digits", name),
                             workers, tick)
                    for name, some in (("assign", digits.train[chosen]), ("test", digits.test[held])))
    responses = _responses(one, digits.train_labels[chosen])
    labels = digits.test_labels[held]
    confusion = np.zeros((10, 11), np.int64)
    np.add.at(confusion, (labels, _vote(two, responses)), 1)  # a vote of -1 is the last column
    facts = {"data": digits.name, "train": len(seen), "asked": int(train), "different": int(np.unique(seen).size),
             "complete": len(seen) == len(order), "assign": int(chosen.size), "test": int(held.size), "seed": int(seed),
             "dt": float(dt), "gain": gain, "learning_s": learnt - began, "testing_s": time.perf_counter() - learnt,
             "cpu_s": time.process_time() - cpu}
    curve = _curve(counts, digits.train_labels[seen])
    return Learned(weights, theta, digits.shape, responses, curve, confusion,
                   float((_weighted_vote(two, responses) == labels).mean()), facts)


def _learnt(digits: Digits, order: np.ndarray, gain: float, n: int, seed: int, dt: float, threads: int | None,
            progress: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, thresholds, and the spikes of each cell for each image shown, fewer if interrupted."""
    from ..engine import Simulation
    side = digits.shape[0]
    net = _network(n, side, seed, dt, _first_weights(n, side, seed))
    rates = _rates(digits.train, gain)
    counts = np.zeros((len(order), n), np.int32)
    k = 0
    with Simulation(net, dt=dt, seed=seed, threads=threads) as simulation, interruptible() as stop, \
            count_bar(progress, len(order), "images", "learning") as tick:
        while k < len(order) and not stop.is_set():
            counts[k] = _show(simulation, rates[order[k]])
            k += 1
            tick(1)
        weights = np.zeros((side * side, n), np.float32)
        found = simulation.weights("learnt")
        weights[found.pre, found.post] = found.values
        theta = simulation.get(net.populations[1], "theta")
    return weights, theta, counts[:k]


def _answers(weights: np.ndarray, theta: np.ndarray, rates: np.ndarray, dt: float, seed: int, workers: int,
             tick: Callable[[int], Any]) -> np.ndarray:
    """Spikes of each cell for each row of rates, (images, cells), in a network that does not learn, by several threads.

    Each portion of the images has a simulation and a seed of its own, so that the number of threads does not matter.
    """
    from ..engine import Simulation
    n = weights.shape[1]
    net = _network(n, math.isqrt(len(weights)), 1, dt, weights.astype(np.float64), theta, learns=False)
    counts = np.zeros((len(rates), n), np.int32)

    def work(first: int) -> None:
        with Simulation(net, dt=dt, seed=stream_key(seed, first) % 2**62, threads=1) as simulation:
            for i in range(first, min(first + _PORTION, len(rates))):
                counts[i] = _show(simulation, rates[i])
                tick(1)

    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(work, first) for first in range(0, len(rates), _PORTION)]
        try:
            for job in jobs:
                job.result()
        finally:  # after Ctrl-C only the portions that have begun are still waited for
            for job in jobs:
                job.cancel()
    return counts


def _workers(threads: int | None) -> int:
    if threads is None:
        return processors()
    check_threads(threads, "model digits: threads")
    return int(threads)


def _responses(counts: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean spikes of each cell for each digit, (10, cells); 0 for digits that were not shown."""
    none = np.zeros(counts.shape[1])
    return np.stack([counts[labels == d].mean(axis=0) if (labels == d).any() else none for d in range(10)])


def _vote(counts: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """The digit whose cells fired most on average; -1 where none fired."""
    assigned = np.where(responses.max(axis=0) > 0, responses.argmax(axis=0), -1)
    means = np.stack([counts[:, assigned == d].mean(axis=1) if (assigned == d).any() else np.zeros(len(counts))
                      for d in range(10)], axis=1)
    return np.where(means.max(axis=1) > 0, means.argmax(axis=1), -1)


def _weighted_vote(counts: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """As :func:`_vote`, every cell voting for each digit by its share of the cell's responses."""
    means = counts @ (responses / np.maximum(responses.sum(axis=0), 1e-9)).T
    return np.where(means.max(axis=1) > 0, means.argmax(axis=1), -1)


def _curve(counts: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Accuracy on each block of the images that were learnt, with cells assigned by the block before; (2, blocks)."""
    block = max(50, min(1000, len(counts) // 10))
    ends, right = [], []
    for before, first in _blocks(len(counts), block):
        votes = _vote(counts[first:first + block], _responses(counts[before:first], labels[before:first]))
        ends.append(first + block)
        right.append(float((votes == labels[first:first + block]).mean()))
    return np.array([ends, right]).reshape(2, -1)


def _blocks(n: int, block: int) -> Iterator[tuple[int, int]]:
    return ((first - block, first) for first in range(block, n - block + 1, block))


MODEL = Model("digits", "handwritten digits, learnt without a teacher (Diehl & Cook 2015): 400 cells", build, report,
              default_dt=1.0, learn=learn)
