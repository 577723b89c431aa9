"""PyNN's own example scripts on neurosim, beside PyNN's back ends: what do they find, what do they cost?

    python -m neurosim.benchmarks.pynn_examples [--back-ends neurosim,nest] [--only VAbenchmarks] [--figures FOLDER]

The scripts lie in PyNN's source distribution (:mod:`.pynn_source`).  Each runs unchanged in a process and a temporary
folder of its own, ``python -m neurosim.pynn script.py neurosim ...`` or ``python script.py nest ...``, and draws its
figures where it has any.  Spike counts and mean values are taken from the files that it writes and from what it prints;
they are kept in results/pynn_examples.json, where a run replaces those that it asked for, and written as a table to
docs/pynn_examples.md.  The figures of neurosim go, on one sheet, to docs/pynn_examples.png.
"""

import json
import math
import pickle
import re
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from . import pynn_peers, pynn_source

RESULTS = Path(__file__).parent / "results" / "pynn_examples.json"
PAGE = Path(__file__).parent.parent / "docs" / "pynn_examples.md"
OTHERS = tuple(name for name in pynn_peers.BACK_ENDS if name != "neurosim")
NUMBER = r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?"
PRINTED = (r"^(.* rate) *: *(NUMBER) *Hz", r"^(\w+ --> [EI])\s+(NUMBER) connections",
           r"^(Actual spike counts): \[(.*)\]", r"^(Number of Synapses) *: *(.*)")  # fmt: skip
ALIKE = {"connections-neurosim", *(f"connections-neurosim-{k}" for k in (1, 3, 5, 6, 7, 8))}
"""Figures that the sheet does without: there is one for each connector."""
SYNAPSES = re.compile("Number of Synapses|-->")
COUNT_SHARE, COUNT_SIGMAS, SIGNAL_SHARE = 0.05, 3.0, 0.1
"""How far beyond the other back ends' range a number may lie: see :func:`verdict`."""


@dataclass(frozen=True)
class Example:
    """A script and how it is run.

    Attributes
    ----------
    script : str
        Its file, without ``.py``.
    arguments : tuple of str
        What follows the simulator.
    """

    script: str
    arguments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The script with those arguments that are not about figures."""
        return " ".join([self.script, *(word for word in self.arguments if not word.startswith("--plot-figure"))])


PLOT = ("--plot-figure",)
EXAMPLES = (
    Example("HH_cond_exp2"), Example("Izhikevich", PLOT), Example("StepCurrentSource"),
    Example("VAbenchmarks", ("CUBA",)), Example("VAbenchmarks", ("COBA",)),
    Example("VAbenchmarks", ("CUBA", "--use-views")), Example("VAbenchmarks", ("COBA", "--use-assembly")),
    Example("VAbenchmarks", ("CUBA", "--use-csa")),
    Example("brunel"), Example("cell_type_demonstration", PLOT),
    Example("connections", ("--plot-figure=Results/connections",)),
    Example("current_injection", PLOT), Example("gif_neuron", PLOT), Example("inhomogeneous_network"),
    Example("monolith_vs_composed", PLOT), Example("multi_synapse", PLOT), Example("multiquantal_synapses", PLOT),
    Example("parameter_changes"), Example("random_numbers", PLOT), Example("simpleRandomNetwork"),
    Example("simpleRandomNetwork_csa"), Example("simple_STDP", PLOT), Example("small_network", PLOT),
    Example("specific_network"), Example("stdp_network"), Example("stochastic_deterministic_comparison", PLOT),
    Example("stochastic_synapses", PLOT), Example("stochastic_tsodyksmarkram", PLOT), Example("synaptic_input", PLOT),
    Example("tsodyksmarkram", PLOT), Example("update_spike_source_array", PLOT), Example("varying_poisson", PLOT),
)  # fmt: skip
LEFT_OUT = {
    "distrib_example": "passes arrays between MPI processes with mpi4py; no simulation",
    "nineml_brunel": "imports NEURON by name, and needs `ninemlcatalog`",
    "nineml_neuron": "needs `nineml` and a back end that generates code from it",
    "nrn_artificial_cell": "imports NEURON by name, for its IntFire1",
    "random_distributions": "takes no simulator: it draws from PyNN's own and NEURON's random numbers",
}
REMARKS = {
    "VAbenchmarks": "two neurons of a network whose spikes depend on every rounding: their mean potential differs "
    "by some mV from run to run",
    "brunel": "100 ms of large, slow fluctuations: with six seeds each, the inhibitory rate was 45 to 102 Hz on "
    "neurosim and 61 to 96 Hz on NEST, the excitatory one 54 to 78 Hz and 42 to 91 Hz",
    "multiquantal_synapses": "NEST's weight is that of one release site, here and in NEURON it is that of all n "
    "together; PyNN does not say which it means",
    "stochastic_synapses": "one synapse that transmits about half of nine spikes: the number differs with the draws",
    "stochastic_tsodyksmarkram": "three neurons and a few releases: the number differs with the draws",
    "simpleRandomNetwork_csa": "the script asks NumpyRNG.next for an argument that PyNN 0.13 has not got",
}
"""Why a number of an example may be outside, or why the script ends with an error everywhere."""


def quantities(folder: Path, back_end: str, output: str) -> dict[str, list[float]]:
    """What an example found, by name: from its files below ``folder/Results`` and from what it printed.

    Returns
    -------
    dict
        Of numbers ``[value, scale]``: spike counts with their square root, printed rates likewise, and the mean of all
        values of a signal with their standard deviation, in the unit of the signal.
    """
    found: dict[str, list[float]] = {}
    for path in sorted((folder / "Results").rglob("*.pkl")):
        stem = re.sub(r"_np\d+|_\d{8}-\d{6}", "", path.stem)
        stem = re.sub(rf"_{back_end}(?=_|$)", "", stem)
        with path.open("rb") as file:
            block = pickle.load(file)
        for k, segment in enumerate(block.segments):
            where = f"{stem}, segment {k}" if len(block.segments) > 1 else stem
            if len(segment.spiketrains):
                n = sum(len(train) for train in segment.spiketrains)
                found[f"{where}: spikes"] = [n, math.sqrt(max(n, 1))]
            for signal in segment.analogsignals:
                values = signal.magnitude
                name, unit = f"{where}: {signal.name}", str(signal.dimensionality)
                found[f"{name}, mean, {unit}"] = [float(values.mean()), float(values.std())]
    for pattern in PRINTED:
        for match in re.finditer(pattern.replace("NUMBER", NUMBER), output, re.MULTILINE):
            numbers = [float(one) for one in re.findall(NUMBER, re.sub(r"int\d+\(", "(", match[2]))]
            for k, value in enumerate(numbers):
                place = match[1] if len(numbers) == 1 else f"{match[1]} [{k}]"
                repeated = sum(name.partition(" #")[0] == f"printed: {place}" for name in found)
                label = f"printed: {place}" + (f" #{repeated + 1}" if repeated else "")
                found[label] = [value, math.sqrt(abs(value))]
    return found


def run_one(source: Path, example: Example, back_end: str, timeout: float, figures: Path) -> dict[str, Any]:
    """Run one example on one back end.

    Returns
    -------
    dict
        ``ran``, ``said`` (why it did not), ``wall_s`` and ``cpu_s`` of the process, ``found`` (:func:`quantities`) and
        ``figures``, the names of those copied to ``figures``.
    """
    script = str(source / "examples" / f"{example.script}.py")
    program = ["-m", "neurosim.pynn", script] if back_end == "neurosim" else [script]
    with tempfile.TemporaryDirectory(prefix="pynn-example-") as name:
        folder = Path(name)
        (folder / "Results").mkdir()
        done = pynn_peers.run(["-W", "ignore", *program, back_end, *example.arguments], folder, timeout)
        found = quantities(folder, back_end, done.output) if done.status == 0 else {}
        drawn = sorted(path for path in (folder / "Results").rglob("*") if path.suffix == ".png")
        names = []
        for k, path in enumerate(drawn if done.status == 0 else []):
            figures.mkdir(parents=True, exist_ok=True)
            names.append(f"{example.name.replace(' ', '_')}-{back_end}" + (f"-{k}" if k else "") + ".png")
            shutil.copyfile(path, figures / names[-1])
    return {"ran": done.status == 0, "said": "" if done.status == 0 else done.last_words(),
            "wall_s": round(done.wall, 2), "cpu_s": round(done.cpu, 2), "found": found, "figures": names}  # fmt: skip


def verdict(name: str, ours: list[float], others: list[list[float]]) -> str:
    """Whether a number of ours lies where the other back ends' are: "within", "outside" or, with no other, "alone".

    A count or rate may lie 5 % or three times its square root beyond their least and largest; the mean of a signal a
    tenth of the signal's standard deviation; a number of synapses on which several others agree must be theirs.
    """
    if not others:
        return "alone"
    if SYNAPSES.search(name) and len(others) > 1 and len({value for value, _ in others}) == 1:
        return "within" if ours[0] == others[0][0] else "outside"
    least, most = min(value for value, _ in others), max(value for value, _ in others)
    spread = max(scale for _, scale in others)
    margin = SIGNAL_SHARE * spread if ", mean, " in name else max(COUNT_SIGMAS * spread, COUNT_SHARE * abs(most))
    return "within" if least - margin <= ours[0] <= most + margin else "outside"


def run(source: Path, back_ends: list[str], only: str, timeout: float, results: Path, figures: Path) -> int:
    """Run the examples whose name contains ``only``; the number of those that did not run on neurosim."""
    kept = read(results)
    jobs = [(example, back_end) for back_end in back_ends for example in EXAMPLES if only in example.name]
    failures = 0
    with tqdm(jobs, unit="run") as bar:
        for example, back_end in bar:
            bar.set_description(f"{back_end} {example.name}")
            got = run_one(source, example, back_end, timeout, figures)
            column = kept["back_ends"].setdefault(back_end, {"examples": {}})
            column |= {"versions": pynn_peers.versions(back_end), "ended": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
            column["examples"][example.name] = got
            failures += back_end == "neurosim" and not got["ran"]
            if got["said"]:
                tqdm.write(f"{back_end} {example.name}: {got['said']}")
            results.parent.mkdir(parents=True, exist_ok=True)
            results.write_text(json.dumps(kept, indent=1) + "\n")
    return failures


def read(results: Path = RESULTS) -> dict[str, Any]:
    """The results that are kept."""
    return json.loads(results.read_text()) if results.exists() else {"back_ends": {}}


def render(kept: dict[str, Any]) -> str:
    """The page: what ran, what each example found on each back end, and what is left out."""
    columns = kept["back_ends"]
    names = [name for name in pynn_peers.BACK_ENDS if name in columns]
    heads = [f"{name} {columns[name]['versions'][name]}" for name in names]
    ran = [f"| example | {' | '.join(heads)} |", "|---" * (len(names) + 1) + "|"]
    numbers = [f"| example | quantity | {' | '.join(names)} | neurosim's |", "|---" * (len(names) + 3) + "|"]
    notes, outside, verdicts = [], [], {"within": 0, "outside": 0, "alone": 0}
    for example in EXAMPLES:
        rows = {name: columns[name]["examples"].get(example.name) for name in names}
        cells, reasons = [], defaultdict(list)
        for name, row in rows.items():
            if row is None:
                cells.append("not run")
            elif row["ran"]:
                cells.append(f"{row['wall_s']:.1f} / {row['cpu_s']:.1f}")
            else:
                cells.append("no")
                reasons[row["said"].replace("`", "'")].append(name)
        ran.append(f"| {example.name} | {' | '.join(cells)} |")
        alike = f" ({REMARKS[example.script]})" if example.script in REMARKS and cells == ["no"] * len(names) else ""
        notes += [f"* {example.name}, {', '.join(those)}: `{said}`{alike}" for said, those in reasons.items()]
        found = {name: row["found"] for name, row in rows.items() if row and row["ran"]}
        for row, quantities_of_it in _rows(found).items():
            ours = [found.get("neurosim", {}).get(quantity) for quantity in quantities_of_it]
            theirs = [[found[name][quantity] for name in found if name != "neurosim" and quantity in found[name]]
                      for quantity in quantities_of_it]  # fmt: skip
            judged = [verdict(row, one, those) for one, those in zip(ours, theirs, strict=True) if one]
            said = next((word for word in ("outside", "within", "alone") if word in judged), "–")
            if judged:
                verdicts[said] += 1
            if said == "outside":
                outside.append(f"* {example.name}: {row}: {REMARKS.get(example.script, 'not explained')}")
            values = [[found.get(name, {}).get(quantity) for quantity in quantities_of_it] for name in names]
            cells = ["; ".join("–" if one is None else f"{one[0]:.6g}" for one in those) if any(those) else "–"
                     for those in values]  # fmt: skip
            numbers.append(f"| {example.name} | {row} | {' | '.join(cells)} | {said} |")
    versions = columns[names[0]]["versions"] if names else {}
    stands = ", ".join(f"{name} {version}" for name, version in versions.items() if name != names[0])
    left = "\n".join(f"* {name}: {why}" for name, why in LEFT_OUT.items())
    why = "\n## Why some did not run\n\n" + "\n".join(notes) + "\n" if notes else ""
    return HEAD.format(stands=stands, left=left, n=len(LEFT_OUT), **verdicts) + "\n" + "\n".join(ran) + "\n" + why + (
        NUMBERS.format(**verdicts)) + "\n".join([*numbers, "", *outside]).rstrip() + "\n"


def _rows(found: dict[str, dict[str, list[float]]]) -> dict[str, list[str]]:
    """The rows of the table for an example: quantities that were printed as a list share one."""
    rows = defaultdict(list)
    for quantity in dict.fromkeys(label for values in found.values() for label in values):
        rows[re.sub(r" \[\d+\]", "", quantity)].append(quantity)
    return rows


HEAD = """\
# PyNN's own examples

The scripts of the `examples` folder of PyNN's source distribution, run unchanged: `python -m neurosim.pynn script.py
neurosim` on neurosim, `python script.py nest` and so on with the others. `python -m neurosim.benchmarks.pynn_examples`
fetches them, runs each in a process of its own, and writes this page ({stands}).

![Figures of the examples, drawn with neurosim](pynn_examples.png)

{n} of the scripts are left out:

{left}

## What runs

Wall / CPU seconds of the whole process, imports and figures included, on a machine that may have had other work; *no*:
it ends with an error. NEURON's mechanisms and neurosim's kernels were compiled before; Brian2 generates NumPy code.
"""
NUMBERS = """
## What they find

From the files that the scripts write and from what they print. *within*: neurosim's number lies between the least and
largest of the other back ends, or beyond them by no more than 5 % or three times its square root (counts and rates), or
a tenth of the signal's standard deviation (means of signals), and a number of synapses on which the others agree is
theirs; *alone*: no other back end has this number. Scripts with
random input get other random numbers on each back end. Of neurosim's numbers {within} are within, {outside} outside and
{alone} alone.

"""


def sheet(figures: Path, out: Path, across: int = 5, width: int = 360, height: int = 400) -> None:
    """Put the figures that neurosim made on one sheet, without their margins, in few colours.

    Parameters
    ----------
    across : int
        Figures in a row.
    width, height : int
        Pixels that a figure may take.
    """
    from PIL import Image, ImageChops, ImageDraw

    paths = [path for path in sorted(figures.glob("*-neurosim*.png")) if path.stem not in ALIKE]
    down, line = math.ceil(len(paths) / across), 14
    whole = Image.new("RGB", (across * (width + 10), down * (height + line + 10)), "white")
    draw = ImageDraw.Draw(whole)
    for k, path in enumerate(paths):
        with Image.open(path) as file:
            image = Image.new("RGB", file.size, "white")
            image.paste(file, mask=file.getchannel("A") if "A" in file.getbands() else None)
        image = image.crop(ImageChops.invert(image).getbbox())
        image.thumbnail((width, height))
        left, top = k % across * (width + 10) + 5, k // across * (height + line + 10) + 2
        draw.text((left, top), path.stem.replace("-neurosim", ""), fill="black")
        whole.paste(image, (left, top + line))
    out.parent.mkdir(parents=True, exist_ok=True)
    whole.quantize(64).save(out, optimize=True)


def main() -> None:
    """The command line."""
    parser = pynn_peers.options(__doc__, "example", 1800.0, RESULTS, PAGE)
    parser.add_argument("--figures", type=Path, help="folder for the figures (default: a temporary one)")
    a = parser.parse_args()
    back_ends = pynn_peers.chosen(a.back_ends, parser)
    failures = 0
    if not a.table_only:
        figures = a.figures or Path(tempfile.mkdtemp(prefix="pynn-figures-"))
        with tempfile.TemporaryDirectory(prefix="pynn-source-") as folder:
            source = pynn_source.unpack(Path(folder))
            failures = run(source, back_ends, a.only, a.timeout, a.results, figures)
        print(f"the figures are in {figures}")
        if "neurosim" in back_ends and not a.only:
            sheet(figures, a.page.with_suffix(".png"))
    a.page.parent.mkdir(parents=True, exist_ok=True)
    a.page.write_text(render(read(a.results)), encoding="utf-8")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
