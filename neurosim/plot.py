"""Pictures of networks and results.

Every function returns a ``matplotlib.figure.Figure`` that belongs to nobody: nothing is shown, no
global state is touched, and it goes away with its last reference.  Write it with
``figure.savefig("raster.png")``, open a window with :func:`show`, or let a notebook show it
(``%matplotlib inline``).  Needs the extra ``plot``.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .analysis import partnered
from .errors import ParameterError
from .extras import need
from .result import PopulationInfo, Result, Weights

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .network import Network

__all__ = ["ResultPlot", "check_format", "colours", "comparison", "connectivity", "learning_curves", "receptive_fields", "show",
           "synapse_matrix", "weight_histogram", "weights_in_time"]

# Told apart by colour-blind readers (a test measures it): blues for excitation, oranges for inhibition.
_COLD = ("#0072B2", "#56B4E9", "#332288", "#1F8A9E")
_WARM = ("#D55E00", "#E6A100", "#8C3B00", "#EFA57A")
_NEUTRAL = ("#555555", "#0072B2", "#D55E00", "#56B4E9", "#E6A100", "#332288", "#8C3B00")
_INK, _FAINT = "#222222", "#B0B0B0"

_STYLE = {
    "font.size": 10.0, "axes.labelsize": 10.0, "axes.titlesize": 10.5, "axes.titlelocation": "left",
    "xtick.labelsize": 9.0, "ytick.labelsize": 9.0, "legend.fontsize": 9.0, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": _INK, "axes.labelcolor": _INK,
    "axes.linewidth": 0.8, "xtick.color": _INK, "ytick.color": _INK, "text.color": _INK, "figure.facecolor": "white",
    "axes.titlepad": 6.0, "lines.linewidth": 1.1, "pdf.fonttype": 42, "svg.fonttype": "none",
}


@contextlib.contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    """A new figure in the house style, which holds while it is drawn; size in inches."""
    matplotlib = need("matplotlib", "plot")
    with matplotlib.rc_context(_STYLE):
        yield need("matplotlib.figure", "plot").Figure(figsize=(width, height), dpi=150, layout="constrained")


def check_format(path: str | os.PathLike) -> None:
    """Raise if no picture can be written under that name: the suffix is unknown, or matplotlib is missing."""
    need("matplotlib", "plot")
    if Path(path).suffix.lower() not in (".png", ".pdf", ".svg"):
        raise ParameterError(f"the name of a picture must end in .png, .pdf or .svg, got {os.fspath(path)!r}")


def show(figure: Figure) -> None:
    """Open a window with a figure, and wait until it is closed."""
    pyplot = need("matplotlib.pyplot", "plot")
    manager = pyplot.figure(figsize=figure.get_size_inches()).canvas.manager
    manager.canvas.figure = figure
    figure.set_canvas(manager.canvas)
    pyplot.show()


def colours(populations: Mapping[str, PopulationInfo]) -> dict[str, str]:
    """A colour for each population: blues for excitatory, oranges for inhibitory; from the fifth on, again."""
    used = {"excitatory": 0, "inhibitory": 0, "": 0}
    palettes = {"excitatory": _COLD, "inhibitory": _WARM, "": _NEUTRAL if not any(map(_role, populations.items())) else
                (_FAINT, "#777777")}
    result = {}
    for item in populations.items():
        role = _role(item)
        result[item[0]] = palettes[role][used[role] % len(palettes[role])]
        used[role] += 1
    return result


def _role(item: tuple[str, PopulationInfo]) -> str:
    """A population's role; where it makes no synapses, from the usual endings of labels."""
    label, info = item
    if info.role:
        return info.role
    lowered = label.lower()
    if lowered.startswith("exc") or lowered.endswith("exc") or label in ("E", "e") or label[-1:] == "E":
        return "excitatory"
    if lowered.startswith("inh") or lowered.endswith("inh") or label in ("I", "i") or label[-1:] == "I":
        return "inhibitory"
    return ""


class ResultPlot:
    """Pictures of one result; reached as ``result.plot``.

    ``populations`` is a list of labels, in the order in which they are drawn; by default all that
    recorded what is drawn.
    """

    def __init__(self, result: Result) -> None:
        self._result = result
        self._colours = colours(result.populations)

    def _spiking(self, populations: str | Sequence[str] | None) -> list[str]:
        names = [populations] if isinstance(populations, str) else populations
        if names is None:
            names = [name for name, variables in self._result.recorded.items() if "spikes" in variables]
        if not names:
            raise ParameterError(f"no population of {self._result.label!r} recorded spikes")
        for name in names:
            self._result.spikes(name)
        return list(names)

    def raster(self, populations: str | Sequence[str] | None = None, max_neurons: int = 1000,
               t0: float | None = None, t1: float | None = None, bin_width: float | None = None) -> Figure:
        """Spikes against time, the mean rates beside them, the population rates below.

        Parameters
        ----------
        populations : list of str, optional
        max_neurons : int
            Rows in all.  Of larger populations evenly spread neurons are shown; rates are of all neurons.
        t0, t1 : float
            Window, ms; by default the whole recording.
        bin_width : float
            Of the population rates, ms; by default a round number of which at most 200 fit.
        """
        names = self._spiking(populations)
        start = self._result.t_start if t0 is None else t0
        stop = self._result.t_stop if t1 is None else t1
        if not stop > start:
            raise ParameterError(f"a raster needs t1 > t0, got {start:g} to {stop:g} ms")
        spikes = {name: self._result.spikes(name).between(start, stop) for name in names}
        chosen = _chosen({name: s.neurons for name, s in spikes.items()}, max_neurons)
        width = bin_width or _round_width((stop - start) / 200)
        rows = sum(ids.size for ids in chosen.values())
        height = min(5.2, 2.0 + 0.45 * len(names), 0.8 + 0.2 * rows)
        with _figure(8.0, height + 1.6) as figure:
            grid = figure.add_gridspec(2, 2, width_ratios=[6, 1], height_ratios=[height, 1.3])
            dots = figure.add_subplot(grid[0, 0])
            bars = figure.add_subplot(grid[0, 1], sharey=dots)
            rates = figure.add_subplot(grid[1, 0], sharex=dots)
            centres = self._dots(dots, spikes, chosen, height)
            self._bars(bars, spikes, centres, {name: ids.size for name, ids in chosen.items()})
            self._rates_in_time(rates, spikes, width)
            dots.set_xlim(start, stop)
            dots.tick_params(axis="x", labelbottom=False)
            if self._result.label:
                dots.set_title(self._result.label)
        return figure

    def _dots(self, axes: Axes, spikes: Mapping[str, Any], chosen: Mapping[str, np.ndarray],
              height: float) -> dict[str, float]:
        """The raster, first population on top; the height at which each one lies."""
        total = sum(ids.size for ids in chosen.values())
        gap = max(1.0, 0.015 * total)
        row_points = 60.0 * height / (total + gap * len(chosen))
        places = {name: _rows(spikes[name].ids, ids) for name, ids in chosen.items()}
        dot = 3.5 * min(1.0, max(0.35, (3000.0 / (1 + sum(rows.size for rows, _ in places.values()))) ** 0.4))
        marker, size = ("|", min(14.0, 0.75 * row_points)) if row_points > 4 else (".", dot)
        bottom, centres, notes = 0.0, {}, []
        for name, ids in chosen.items():
            rows, shown = places[name]
            axes.plot(spikes[name].times[shown], bottom + rows, linestyle="none", marker=marker, markersize=size,
                      markeredgewidth=0.0 if marker == "." else 0.9, color=self._colours[name], rasterized=True,
                      label=name)
            centres[name] = bottom + 0.5 * (ids.size - 1)
            notes.append(f"{name}{', ' if len(chosen) > 4 else chr(10)}{_of(ids.size, spikes[name].size)}")
            bottom += ids.size + gap
        axes.set_ylim(bottom - gap + 0.02 * total, -0.5 - 0.005 * total)
        axes.set_yticks(list(centres.values()), notes, linespacing=1.25)
        for tick, name in zip(axes.get_yticklabels(), chosen):
            tick.set_color(self._colours[name])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_ylabel("neuron")
        return centres

    def _bars(self, axes: Axes, spikes: Mapping[str, Any], centres: Mapping[str, float],
              heights: Mapping[str, int]) -> None:
        thickest = 0.06 * sum(heights.values())
        for name, centre in centres.items():
            rate = spikes[name].rate()
            axes.barh(centre, rate, height=min(0.7 * heights[name], thickest), color=self._colours[name])
            axes.annotate(f"{rate:.3g}", (rate, centre), xytext=(3, 0), textcoords="offset points", va="center",
                          fontsize=9)
        axes.margins(x=0.5)
        axes.set_xlim(left=0.0)
        axes.set_title("mean rate (Hz)", fontsize=9)
        # Each bar carries its number, so it needs no axis.
        axes.tick_params(bottom=False, labelbottom=False, left=False, labelleft=False)
        axes.spines["bottom"].set_visible(False)

    def _rates_in_time(self, axes: Axes, spikes: Mapping[str, Any], width: float) -> None:
        for name, one in spikes.items():
            counts, edges = one.histogram(width)
            rate = counts / (width / 1000.0) / max(1, one.neurons.size)
            if counts.size:
                axes.stairs(rate, edges, color=self._colours[name], baseline=None,
                            linewidth=1.0 if len(spikes) <= 4 else 0.8)
        axes.set_ylim(bottom=0.0)
        axes.set_xlabel("time (ms)")
        axes.set_ylabel("rate (Hz)")
        axes.annotate(f"bins of {width:g} ms", (1.0, 1.0), xycoords="axes fraction", ha="right", va="bottom",
                      fontsize=8, color="#666666")

    def traces(self, population: str, variable: str, ids: Sequence[int] | None = None,
               t0: float | None = None, t1: float | None = None) -> Figure:
        """A recorded variable of some neurons, one panel each, with their spikes as ticks above if recorded.

        Parameters
        ----------
        population, variable : str
        ids : list of int
            By default the first six that were recorded.
        t0, t1 : float
            Window, ms; by default the whole recording.
        """
        trace = self._result.traces(population, variable)
        shown = [int(i) for i in (trace.ids[:6] if ids is None else ids)]
        if not shown:
            raise ParameterError(f"no neuron of {population!r} recorded {variable!r}")
        spiking = "spikes" in self._result.recorded[population]
        start = self._result.t_start if t0 is None else t0
        stop = self._result.t_stop if t1 is None else t1
        with _figure(8.0, 0.9 + 1.05 * len(shown)) as figure:
            panels = figure.subplots(len(shown), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
            for axes, neuron in zip(panels, shown):
                axes.plot(trace.times, trace.of(neuron), color=self._colours[population], linewidth=1.0)
                axes.set_title(f"neuron {neuron}", fontsize=9, pad=7 if spiking else 3, color="#555555")
                if spiking:
                    _ticks(axes, self._result.spikes(population).between(start, stop), neuron)
            panels[-1].set_xlabel("time (ms)")
            panels[-1].set_xlim(start, stop)
            unit = f" ({trace.unit})" if trace.unit else ""
            figure.supylabel(f"{variable}{unit} of {population}", fontsize=10)
        return figure

    def rates(self, populations: str | Sequence[str] | None = None, bins: int = 30) -> Figure:
        """How the rates of single neurons are distributed, population by population."""
        names = self._spiking(populations)
        values = {name: self._result.spikes(name).rates() for name in names}
        # Rates are multiples of one spike in the whole time; bins that are not would show stripes.
        quantum = 1000.0 / max(self._result.duration, 1e-9)
        top = max((float(np.quantile(v, 0.998)) for v in values.values() if v.size), default=0.0)
        width = quantum * max(1, math.ceil(top / bins / quantum))
        edges = -0.5 * quantum + width * np.arange(math.ceil((top + quantum) / width) + 1)
        beyond = {name: int((v > edges[-1]).sum()) for name, v in values.items()}
        notes = {name: f"mean {v.mean():.3g} Hz" + (f"\n{beyond[name]:,} beyond" if beyond[name] else "")
                 for name, v in values.items() if v.size}
        return self._small_multiples(values, edges, "rate of a neuron (Hz)", "neurons", notes)

    def isi(self, populations: str | Sequence[str] | None = None, bins: int = 40) -> Figure:
        """How the intervals between spikes are distributed, population by population, with the irregularity CV."""
        names = self._spiking(populations)
        values = {name: self._result.spikes(name).intervals() for name in names}
        values = {name: v[v > 0] for name, v in values.items()}
        every = np.concatenate(list(values.values()))
        low, high = (float(every.min()), float(every.max())) if every.size else (1.0, 1000.0)
        edges = np.geomspace(low * 0.99, max(high, low * 1.1) * 1.01, bins + 1)
        cvs = {name: self._result.spikes(name).cv() for name in names}
        notes = {name: "" if math.isnan(cv) else f"CV {cv:.2f}" for name, cv in cvs.items()}
        return self._small_multiples(values, edges, "interval between spikes (ms)", "intervals", notes, log=True)

    def _small_multiples(self, values: Mapping[str, np.ndarray], edges: np.ndarray, xlabel: str, what: str,
                         notes: Mapping[str, str], log: bool = False) -> Figure:
        """One histogram for each population, in per cent of its own, on common axes."""
        columns = min(4, len(values)) if len(values) != 4 else 2
        rows = math.ceil(len(values) / columns)
        with _figure(max(4.5, 2.3 * columns + 0.6), 2.0 * rows + 0.7) as figure:
            panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
            for axes, name in zip(panels.flat, values):
                counts = np.histogram(values[name], edges)[0]
                axes.stairs(100.0 * counts / max(1, values[name].size), edges, fill=True, color=self._colours[name])
                axes.set_title(name, color=self._colours[name])
                axes.annotate(notes.get(name, ""), (0.98, 0.95), xycoords="axes fraction", ha="right", va="top", fontsize=9)
                if log:
                    _log_axis(axes)
            for axes in panels.flat[len(values):]:
                axes.set_visible(False)
            panels[0, 0].set_xlim(min(edges[0], 0.0) if not log else edges[0], edges[-1])
            panels[0, 0].set_ylim(0.0, 1.25 * panels[0, 0].get_ylim()[1])  # room for the notes
            for axes in _lowest(panels, len(values)):
                axes.tick_params(axis="x", labelbottom=True)
            figure.supxlabel(xlabel, fontsize=10)
            figure.supylabel(f"share of {what} (%)", fontsize=10)
        return figure

    def weights(self, projections: str | Sequence[str] | Mapping[str, Any], bins: int = 50) -> Figure:
        """How the weights are distributed; where they were recorded over time, how that changed.

        Parameters
        ----------
        projections : str, list of str, or dict
            Labels of projections whose weights the result keeps, or arrays (or :class:`Weights`) by name.
        """
        if isinstance(projections, Mapping):
            kept = {name: w if isinstance(w, Weights) else Weights(np.asarray(w)) for name, w in projections.items()}
        else:
            names = [projections] if isinstance(projections, str) else projections
            kept = {name: self._result.weights(name) for name in names}
        over_time = kept and all(w.times is not None and w.times.size > 1 for w in kept.values())
        return weights_in_time(kept, bins) if over_time else weight_histogram(kept, bins)

    def connectivity(self, network: Network) -> Figure:
        """Synapses from population to population: see :func:`connectivity`."""
        return connectivity(network)


def weight_histogram(weights: Mapping[str, Weights], bins: int = 50) -> Figure:
    """How the weights of projections are distributed, one above the other on one axis."""
    unit = _one_unit(weights)
    values = {name: np.ravel(w.last).astype(np.float64) for name, w in weights.items()}
    every = np.concatenate(list(values.values()))
    low, high = (float(every.min()), float(every.max())) if every.size else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + (abs(low) or 1.0) * 1e-3, bins + 1)
    with _figure(6.0, 0.8 + 1.6 * len(values)) as figure:
        panels = figure.subplots(len(values), 1, sharex=True, squeeze=False)[:, 0]
        for k, (axes, name) in enumerate(zip(panels, values)):
            v, colour = values[name], _NEUTRAL[1 + k % (len(_NEUTRAL) - 1)]
            axes.stairs(np.histogram(v, edges)[0], edges, fill=True, color=colour)
            axes.set_title(name.replace("->", "\N{RIGHTWARDS ARROW}"), color=colour)
            note = f"{v.size:,} synapses\nmean {v.mean():.3g}, sd {v.std():.3g}" if v.size else "no synapses"
            axes.annotate(note, (0.99, 0.97), xycoords="axes fraction", ha="right", va="top", fontsize=9)
            axes.set_ylim(bottom=0.0)
            axes.yaxis.set_major_formatter(lambda y, _: _short(y))
        panels[-1].set_xlabel(f"weight ({unit})" if unit else "weight")
        figure.supylabel("synapses", fontsize=10)
    return figure


def weights_in_time(weights: Mapping[str, Weights], bins: int = 50, curves: int = 5) -> Figure:
    """Recorded weights against time, one panel for each projection.

    Colour says which share of the synapses lies in each of ``bins`` intervals of weight; ``curves`` synapses, evenly
    spread over the order of the last weights, are drawn as lines.  Of up to 20 synapses all are drawn, and no colour.
    """
    unit = _one_unit(weights)
    with _figure(8.0, 0.7 + 2.2 * len(weights)) as figure:
        panels = figure.subplots(len(weights), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, one) in zip(panels, weights.items()):
            assert one.times is not None
            n = one.values.shape[1]
            picked = np.unique(np.linspace(0, one.times.size - 1, 500).astype(int))  # more could not be told apart
            times, values = one.times[picked], one.values[picked]
            if n > 20:
                low, high = float(values.min()), float(values.max())
                edges = np.linspace(low, high if high > low else low + (abs(low) or 1.0) * 1e-3, bins + 1)
                shares = np.array([np.histogram(row, edges)[0] for row in values]) * (100.0 / n)
                middle = 0.5 * (times[1:] + times[:-1])
                image = axes.pcolormesh(np.concatenate([times[:1], middle, times[-1:]]), edges, shares.T, vmin=0.0,
                                        vmax=max(float(np.quantile(shares, 0.99)), 1e-9), cmap="Blues", rasterized=True)
                bar = figure.colorbar(image, ax=axes, label="% of synapses", extend="max", fraction=0.05, pad=0.02)
                bar.outline.set_visible(False)
            order = np.argsort(one.last, kind="stable")
            shown = order if n <= 20 else order[np.linspace(0, n - 1, curves).round().astype(int)]
            axes.plot(times, values[:, shown], color=_WARM[0] if n > 20 else _COLD[0], linewidth=0.9)
            axes.set_title(f"{name.replace('->', chr(0x2192))}: {n:,} synapse{'s' if n > 1 else ''}")
            axes.ticklabel_format(axis="y", scilimits=(-2, 4))
            axes.set_ylabel(f"weight ({unit})" if unit else "weight")
        panels[-1].set_xlim(times[0], times[-1])
        panels[-1].set_xlabel("time (ms)")
    return figure


def receptive_fields(fields: np.ndarray, title: str = "", curve: np.ndarray | None = None,
                     confusion: np.ndarray | None = None, note: str = "") -> Figure:
    """What cells respond to, as one picture each; beside it how they came to it.

    Parameters
    ----------
    fields : ndarray, shape (cells, height, width)
        The weights onto each cell, laid out as its inputs lie in space.
    title : str
    curve : ndarray, shape (2, k), optional
        Examples seen, and the share that was recognised.
    confusion : ndarray, shape (classes, classes), optional
        Examples by what they were (row) and what they were taken for (column).
    note : str
        Above `confusion`.
    """
    fields = np.asarray(fields, dtype=np.float64)
    if fields.ndim != 3 or not fields.size:
        raise ParameterError(f"receptive fields must have the shape (cells, height, width), got {fields.shape}")
    n, height, width = fields.shape
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    tiles = np.zeros((rows * (height + 1) + 1, columns * (width + 1) + 1))
    for k in range(n):
        y, x = 1 + k // columns * (height + 1), 1 + k % columns * (width + 1)
        tiles[y:y + height, x:x + width] = fields[k]
    beside = curve is not None or confusion is not None
    with _figure(11.0 if beside else 7.4, 7.6) as figure:
        sides: Any = figure.subfigures(1, 2, width_ratios=(7.2, 3.8)) if beside else [figure]
        axes = sides[0].add_subplot()
        brightest = max(float(np.quantile(fields, 0.997)), 1e-30)
        axes.imshow(tiles, cmap="magma", vmin=0.0, vmax=brightest, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(title)
        panels = sides[1].subplots(2, 1, height_ratios=(1.0, 1.25)) if beside else []
        for panel, given in zip(panels, (curve, confusion)):
            panel.set_visible(given is not None)
        if curve is not None:
            axes = panels[0]
            axes.plot(*curve, color=_COLD[0])
            axes.set_ylim(0.0, 1.0)
            axes.set_xlim(left=0.0)
            axes.yaxis.set_major_formatter(lambda y, _: f"{100 * y:.0f} %")
            axes.xaxis.set_major_formatter(lambda x, _: _short(x) if x else "0")
            axes.set_xlabel("images seen")
            axes.set_title("recognised while learning")
        if confusion is not None:
            axes = panels[1]
            shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
            axes.imshow(shares, cmap="YlGnBu", vmin=0.0, vmax=1.0)
            for i, j in np.argwhere(shares >= 0.005):
                axes.text(j, i, f"{100 * shares[i, j]:.0f}", ha="center", va="center", fontsize=7.5,
                          color="white" if shares[i, j] > 0.55 else _INK)
            axes.set_xticks(range(confusion.shape[1]))
            axes.set_yticks(range(confusion.shape[0]))
            axes.tick_params(length=0)
            axes.set_xlabel("taken for")
            axes.set_ylabel("shown (numbers: %)")
            axes.set_title(note)
    return figure


def comparison(results: Mapping[str, Result], within: float, population: str | None = None, neurons: int = 40,
               bin_width: float | None = None) -> Figure:
    """The same network simulated in several ways: spikes of some neurons, rates, and how many spikes are shared as time goes on.

    Parameters
    ----------
    results : dict of Result
        By name, of the same populations; the others are compared with the last.
    within : float
        ms; how far apart two spikes of one neuron count as the same.
    population : str, optional
        Of the raster; by default the one with most spikes.
    neurons : int
        Rows of the raster, evenly spread over the neurons that fired.
    bin_width : float
        Of the shares, ms; by default a round number of which at most 40 fit.

    Raises
    ------
    ParameterError
        If no population recorded its spikes in all results, or for fewer than 2 results or more than 6.
    """
    colours = (_INK, "#E6A100", "#0072B2", "#D55E00", "#56B4E9", "#332288")
    if not 2 <= len(results) <= len(colours):
        raise ParameterError(f"a comparison is one of 2 to {len(colours)} results, got {len(results)}")
    names, last = list(results), list(results.values())[-1]
    labels = [label for label in last.populations if all("spikes" in one.recorded.get(label, ()) for one in results.values())]
    if not labels:
        raise ParameterError(f"no population of {last.label!r} recorded spikes in {', '.join(names)}")
    if population is None:
        population = max(labels, key=lambda label: last.spikes(label).count)
    colour = dict(zip(names, colours))
    trains = {name: one.spikes(population).trains() for name, one in results.items()}
    fired = sorted(set().union(*trains.values()))
    rows = [fired[k] for k in np.unique(np.linspace(0, len(fired) - 1, min(neurons, len(fired))).astype(int))] if fired else []
    width = bin_width or _round_width(last.duration / 40)
    with _figure(9.0, 2.4 + max(1.6, 0.1 * len(rows))) as figure:
        grid = figure.add_gridspec(2, 2, width_ratios=[3.2, 1], height_ratios=[max(1.6, 0.1 * len(rows)), 1.6])
        dots = figure.add_subplot(grid[0, 0])
        shared = figure.add_subplot(grid[1, 0], sharex=dots)
        bars = figure.add_subplot(grid[:, 1])
        for k, name in enumerate(names):
            at = [-row - 0.25 * k for row, neuron in enumerate(rows) for _ in trains[name].get(neuron, ())]
            times = [t for neuron in rows for t in trains[name].get(neuron, ())]
            dots.plot(times, at, "|", color=colour[name], markersize=3.0, markeredgewidth=1.0, label=name)
        every = max(1, len(rows) // 8)
        dots.set_yticks([-row - 0.25 for row in range(0, len(rows), every)], [str(n) for n in rows[::every]])
        dots.set(title=f"{population} of {last.label}", ylabel="neuron", xlim=(last.t_start, last.t_stop))
        dots.tick_params(axis="x", labelbottom=False)
        dots.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(names), borderaxespad=0.0, handletextpad=0.1)
        for name in names[:-1]:
            shared.stairs(*_shared_in_time([(results[name].spikes(one), last.spikes(one)) for one in labels], within, width),
                          color=colour[name], baseline=None)
        shared.set(ylim=(0.0, 105.0), xlabel="time (ms)", ylabel=f"shared with\n{names[-1]} (%)")
        tall = 0.8 / len(names)
        for k, name in enumerate(names):
            bars.barh(np.arange(len(labels)) + (k - (len(names) - 1) / 2) * tall, [results[name].spikes(one).rate() for one in labels],
                      height=tall, color=colour[name])
        bars.set_yticks(range(len(labels)), labels)
        bars.set(xlabel="rate (Hz)", ylim=(len(labels) - 0.5, -0.5))
    return figure


def learning_curves(runs: Mapping[str, Sequence[Sequence[Mapping[str, float]]]]) -> Figure:
    """Loss and accuracy by epoch: what was learnt dashed, what was held out for validation drawn out.

    Parameters
    ----------
    runs : dict
        By name, trainings that differ in their seed: for each the rows of its `neurosim.learn.History`.  The mean is drawn,
        and the range over the seeds as a band.

    Raises
    ------
    ParameterError
        If there is no row.
    """
    colours = ("#0072B2", "#D55E00", "#1F8A9E", "#E6A100", "#332288", "#56B4E9", _INK)
    if not any(rows for trainings in runs.values() for rows in trainings):
        raise ParameterError("learning curves need at least one epoch")
    keys = {key for trainings in runs.values() for rows in trainings for row in rows for key in row}
    panels = [name for name in ("loss", "accuracy") if name in keys or f"validation_{name}" in keys]
    with _figure(4.2 * len(panels), 3.0) as figure:
        for place, name in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), place + 1)
            for k, (label, trainings) in enumerate(runs.items()):
                for key, style, what in ((name, "--", "learning"), (f"validation_{name}", "-", "validation")):
                    longest = max(map(len, trainings), default=0)
                    table = np.array([[row.get(key, np.nan) for row in rows] + [np.nan] * (longest - len(rows)) for rows in trainings])
                    seen = ~np.isnan(table).all(axis=0) if table.size else np.zeros(0, dtype=bool)
                    if not seen.any():
                        continue
                    epochs, found = np.flatnonzero(seen) + 1, table[:, seen] * (100.0 if name == "accuracy" else 1.0)
                    colour = colours[k % len(colours)]
                    axes.plot(epochs, np.nanmean(found, axis=0), style, color=colour, label=f"{label}, {what}" if label else what)
                    if len(trainings) > 1:
                        axes.fill_between(epochs, np.nanmin(found, axis=0), np.nanmax(found, axis=0), color=colour, alpha=0.15, lw=0)
            axes.set(xlabel="epoch", ylabel="accuracy (%)" if name == "accuracy" else name)
            axes.xaxis.set_major_locator(need("matplotlib.ticker", "plot").MaxNLocator(integer=True))
            if place == len(panels) - 1:
                axes.legend()
    return figure


def _shared_in_time(pairs: Sequence[tuple[Any, Any]], within: float, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Share of spikes that have a partner, in per cent, in bins of time; and the edges of these."""
    times: list[np.ndarray] = []
    matched: list[np.ndarray] = []
    for a, b in pairs:
        left, right = a.trains(), b.trains()
        for neuron in left.keys() | right.keys():
            ends = left.get(neuron, np.empty(0)), right.get(neuron, np.empty(0))
            times += ends
            matched += partnered(ends[0], ends[1], within)
    start, stop = pairs[0][1].window
    edges = start + width * np.arange(math.ceil((stop - start) / width - 1e-9) + 1)
    at, found = np.concatenate([np.empty(0), *times]), np.concatenate([np.empty(0, bool), *matched])
    counts, hits = np.histogram(at, edges)[0], np.histogram(at[found], edges)[0]
    return 100.0 * np.where(counts > 0, hits / np.maximum(counts, 1), np.nan), edges


def connectivity(network: Network | tuple[Sequence[str], Any]) -> Figure:
    """Synapses from population (column) to population (row), expected or given.

    Parameters
    ----------
    network : Network, or (labels, matrix)
        ``matrix[i, j]`` is the number of synapses from population j to population i.
    """
    labels, matrix = network if isinstance(network, tuple) else synapse_matrix(network)
    labels, matrix = [str(label) for label in labels], np.asarray(matrix, dtype=np.float64)
    n = len(labels)
    if matrix.shape != (n, n) or not n:
        raise ParameterError(f"a matrix of {n} populations must have the shape ({n}, {n}), got {matrix.shape}")
    colors = need("matplotlib.colors", "plot")
    positive = matrix[matrix > 0]
    low, high = (positive.min(), positive.max()) if positive.size else (1.0, 1.0)
    norm = colors.LogNorm(low * 0.7, max(high, low * 1.5)) if high > 30 * low else colors.Normalize(0.0, high)
    with _figure(2.6 + 0.62 * n, 1.9 + 0.5 * n) as figure:
        axes = figure.add_subplot()
        image = axes.imshow(np.ma.masked_equal(matrix, 0.0), cmap="YlGnBu", norm=norm, aspect="auto")
        for i, j in np.argwhere(matrix > 0):
            dark = norm(matrix[i, j]) > 0.55
            axes.text(j, i, _short(matrix[i, j]), ha="center", va="center", fontsize=8.5,
                      color="white" if dark else _INK)
        axes.set_xticks(range(n), labels, rotation=45 if max(map(len, labels)) > 5 else 0,
                        ha="right" if max(map(len, labels)) > 5 else "center")
        axes.set_yticks(range(n), labels)
        axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="both", length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xlabel("from population")
        axes.set_ylabel("to population")
        bar = figure.colorbar(image, ax=axes, label="synapses", fraction=0.06, pad=0.03)
        bar.ax.yaxis.set_major_formatter(lambda y, _: _short(y))
        bar.outline.set_visible(False)
    return figure


def synapse_matrix(network: Network) -> tuple[list[str], np.ndarray]:
    """Labels of the populations, and the expected synapses to each (row) from each (column)."""
    from .wiring import expected_synapses
    labels = [population.label for population in network.populations]
    matrix = np.zeros((len(labels), len(labels)))
    for projection in network.projections:
        i, j = labels.index(projection.post.population.label), labels.index(projection.pre.population.label)
        matrix[i, j] += expected_synapses(projection)
    return labels, matrix


# ------------------------------------------------------------------------------------------- helpers


def _chosen(neurons: Mapping[str, np.ndarray], most: int) -> dict[str, np.ndarray]:
    """The neurons to draw: about ``most``, shared in proportion, but no population gets lost."""
    if most < 1:
        raise ParameterError(f"max_neurons must be >= 1, got {most}")
    total = sum(ids.size for ids in neurons.values())
    least = max(1, most // (4 * len(neurons)))
    chosen = {}
    for name, ids in neurons.items():
        n = ids.size if total <= most else min(ids.size, max(least, round(most * ids.size / total)))
        chosen[name] = ids[np.arange(n) * ids.size // max(1, n)]
    return chosen


def _one_unit(weights: Mapping[str, Weights]) -> str:
    """The unit of all of these weights; raises if there are several, or no weights."""
    if not weights:
        raise ParameterError("a picture of weights needs at least one projection, got none")
    units = {w.unit for w in weights.values()}
    if len(units) > 1:
        raise ParameterError(f"weights of one picture must have one unit, got {', '.join(sorted(units))}")
    return units.pop()


def _rows(ids: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The row of each spike of a chosen neuron, and which spikes those are."""
    row = np.searchsorted(chosen, ids)
    shown = row < chosen.size
    shown[shown] = chosen[row[shown]] == ids[shown]
    return row[shown], shown


def _ticks(axes: Axes, spikes: Any, neuron: int) -> None:
    """The spikes of a neuron as ticks above its panel."""
    times = spikes.of(neuron) if neuron in spikes.neurons else np.empty(0)
    if times.size:  # a line without points would upset the layout
        axes.plot(times, np.full(times.size, 1.06), linestyle="none", marker="|", markersize=6, markeredgewidth=1.0,
                  color=_INK, transform=axes.get_xaxis_transform(), clip_on=False, label="spikes")


def _lowest(panels: np.ndarray, n: int) -> list[Any]:
    """The lowest visible panel of each column."""
    rows, columns = panels.shape
    return [panels[(n - 1 - j) // columns, j] for j in range(columns) if j < n and rows]


def _log_axis(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.xaxis.set_minor_formatter(lambda x, _: "")


def _round_width(width: float) -> float:
    """The nearest larger of 1, 2, 5, 10, ... ms."""
    scale = 10.0 ** math.floor(math.log10(width))
    return max(0.5, next(scale * k for k in (1.0, 2.0, 5.0, 10.0) if scale * k >= width * (1 - 1e-9)))


def _of(shown: int, size: int) -> str:
    return f"{size:,}" if shown == size else f"{shown:,} of {size:,}"


def _short(number: float) -> str:
    """A count in three digits: 950, 1.2 k, 34 M."""
    for scale, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= 0.9995 * scale:
            return f"{number / scale:.3g}{unit}"
    return f"{number:.3g}"
