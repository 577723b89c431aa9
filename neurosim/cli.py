"""The command line: ``neurosim run brunel``, ``neurosim run my_network.py``, ``neurosim info`` ..."""

from __future__ import annotations

import argparse
import ast
import importlib.metadata
import importlib.util
import inspect
import json
import os
import platform
import runpy
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from . import __version__
from .errors import FileFormatError, NeurosimError, ParameterError

if TYPE_CHECKING:
    from .network import Network
    from .result import Result

__all__ = ["EXTRAS", "main"]

# Each extra, and the modules that it brings.
EXTRAS = {
    "plot": ("matplotlib",),
    "data": ("sklearn",),
    "pynn": ("pyNN", "neo"),
    "learn": ("torch", "norse", "snntorch"),
    "nir": ("nir", "nirtorch"),
    "spinnaker": ("spynnaker",),
    "peers": ("nest", "brian2", "pyNN"),
    "bench": ("psutil",),
}


class _Task(NamedTuple):
    """What is to be simulated: a network, and what the command line leaves open."""

    network: Network
    duration: float
    dt: float
    model: Any


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : list of str, optional
        By default those that the program was called with.

    Returns
    -------
    int
        0; 1 from ``check`` if the network cannot be deployed; 2 after an error of ours, told in one line on stderr; 130 after Ctrl-C
        outside a run; 141 if whoever read the output stopped before its end.
    """
    arguments = _parser().parse_args(argv)
    try:
        code = arguments.command(arguments) or 0
        sys.stdout.flush()  # so that a reader who is gone is noticed here
        return code
    except BrokenPipeError:
        # Whoever read it, such as ``head``, has enough; what is left in the buffer must not be tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (NeurosimError, ModuleNotFoundError) as error:
        print(f"neurosim: {error}", file=sys.stderr)
        return 2
    except MemoryError as error:
        print(f"neurosim: not enough memory: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("neurosim: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("neurosim", description="Spiking networks: describe once, simulate, see what they did.")
    parser.add_argument("--version", action="version", version=f"neurosim {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Any, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(command=function)
        return sub

    command("info", _info, "versions, processor, kernel cache, extras")
    command("models", _models, "list the built-in models")
    run = command("run", _run, "simulate a built-in model or a script's network")
    describe = command("describe", _describe, "what would be built: sizes, synapses, memory")
    check = command("check", _check, "whether a network can run on SpiNNaker, and what the machine makes of it")
    write = command("export", _export, "write a PyNN program that runs a network elsewhere, such as on NEST")
    for sub in (run, describe, check, write):
        sub.add_argument("target", metavar="NAME|SCRIPT.py",
                         help="a built-in model, or a script that defines `network` or build(scale=1.0, seed=1)")
        sub.add_argument("--scale", type=float, metavar="S", help="size relative to the published network (1)")
        sub.add_argument("--seed", type=int, default=1, metavar="N", help="of the graph and of all that is random (1)")
        sub.add_argument("--dt", type=float, metavar="MS", help="time step (what the model asks for, or 0.1; check: 1)")
        sub.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help="an option of the model")
    for sub in (run, describe):
        sub.add_argument("--plot", metavar="FILE", help="write a picture: .png, .pdf, .svg")
    for sub in (run, write):
        sub.add_argument("--time", type=float, metavar="MS", help="how long to simulate (what the model asks for, or 1000)")
    check.add_argument("--json", action="store_true", help="print the report as data")
    check.add_argument("--option", action="append", default=[], metavar="SETTING=VALUE",
                       help="of the machine: time_scale_factor, spikes_per_second, allow_zero_weights ...")
    write.add_argument("--to", default="nest", metavar="SIMULATOR", help="PyNN's name of it: nest, neuron, brian2 (nest)")
    write.add_argument("-o", "--output", required=True, metavar="FILE.py", help="the program; its data go to FILE.npz")
    run.add_argument("--threads", type=int, metavar="N", help="by default chosen by the size of the network")
    run.add_argument("--update", choices=("auto", "clock", "event"), help="how neurons are updated (auto)")
    run.add_argument("--save", metavar="FILE", help="write the result: .npz or .nsim")
    run.add_argument("--stream", metavar="FILE", help="write recordings while the simulation goes on: .nsim")
    run.add_argument("--quiet", action="store_true", help="print nothing but errors")
    show = command("show", _show, "what a saved result or a stream holds")
    show.add_argument("file", metavar="FILE", help="an .npz or .nsim file, also one of a run that was killed")
    show.add_argument("--plot", metavar="FILE", help="write a picture: .png, .pdf, .svg")
    return parser


# ------------------------------------------------------------------------------------------ commands


def _info(arguments: argparse.Namespace) -> None:
    from .description import processors
    from .kernels import cache_directory
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "numba", "llvmlite")]
    cache = cache_directory()
    files = [path for path in cache.rglob("*") if path.is_file()] if cache.is_dir() else []
    usable = processors()
    lines = [
        ("neurosim", f"{__version__} in {Path(__file__).resolve().parent}"),
        ("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("libraries", ", ".join(versions)),
        ("processor", f"{_processor()}: {os.cpu_count()} cores, {usable} of them for this process"),
        ("kernel cache", f"{cache}: {len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.1f} MB"),
    ]
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        state = f"lacks {', '.join(missing)}: pip install \"neurosim-snn[{extra}]\"" if missing else "installed"
        lines.append((f"[{extra}]", state))
    for name, value in lines:
        print(f"{name:14}{value}")


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"


def _models(arguments: argparse.Namespace) -> None:
    from .models import MODELS
    width = max(map(len, MODELS), default=0)
    for name, model in MODELS.items():
        print(f"{name:{width}}  {model.summary}")


def _describe(arguments: argparse.Namespace) -> None:
    task = _task(arguments)
    _check_picture(arguments.plot)
    print(task.network.describe(task.dt))
    if arguments.plot:
        from .plot import connectivity
        _write_picture(connectivity(task.network), arguments.plot)


def _check(arguments: argparse.Namespace) -> int:
    from .hardware.spinnaker.check import check
    task = _task(arguments, dt=1.0)
    report = check(task.network, **{"dt": task.dt, **_options(arguments.option, "--option")})
    print(json.dumps(report.as_dict()) if arguments.json else report)
    return 0 if report.ok else 1


def _export(arguments: argparse.Namespace) -> None:
    from .hardware.pynn_export import write_script
    if os.path.realpath(arguments.output) == os.path.realpath(arguments.target):
        raise ParameterError(f"--output must not be the script that is exported, got {arguments.output!r}")
    _check_place(arguments.output)
    task = _task(arguments)
    for note in write_script(task.network, arguments.output, arguments.to, task.duration, task.dt, arguments.seed):
        print(note)
    print(f"wrote {arguments.output} and {Path(arguments.output).with_suffix('.npz')}: python {arguments.output} {arguments.to}")


def _run(arguments: argparse.Namespace) -> None:
    _check_picture(arguments.plot)
    _check_result_file(arguments.save)
    if _learns(arguments.target):
        _learn(arguments)
        return
    if arguments.save and arguments.stream and os.path.realpath(arguments.save) == os.path.realpath(arguments.stream):
        raise ParameterError(f"--save and --stream must name two files, got {arguments.save!r} twice")
    task = _task(arguments)
    from . import Simulation
    given = {name: getattr(arguments, name) for name in ("threads", "update", "stream")}
    options = {name: value for name, value in given.items() if value is not None}
    progress = not arguments.quiet
    with Simulation(task.network, dt=task.dt, seed=arguments.seed, progress=progress, **options) as simulation:
        start = time.perf_counter()
        result = simulation.run(task.duration, progress=progress)
        wall = time.perf_counter() - start
    # First what cannot be had again, then what is only for the eye.
    if arguments.save:
        result.save(arguments.save)
    if not arguments.quiet:
        print(task.model.report(result) if task.model else _table(result))
        print(_speed(result, wall))
    if arguments.plot:
        _write_picture(result.plot.raster(), arguments.plot)


def _learns(target: str) -> bool:
    """Whether this is a built-in model that is to learn something, not just to run."""
    from .models import MODELS
    return target in MODELS and getattr(MODELS[target], "learn", None) is not None


def _learn(arguments: argparse.Namespace) -> None:
    """Teach a model, say how well it learnt; what it learnt is kept, in files of its name if no other was given."""
    from .models import MODELS
    model = MODELS[arguments.target]
    for name in ("time", "update", "stream"):
        if getattr(arguments, name) is not None:
            raise ParameterError(f"{model.name} learns: --{name} does not apply; its options are in docs/models.md")
    name = _unused_name(model.name)
    kept, drawn = arguments.save or f"{name}.npz", arguments.plot
    if Path(kept).suffix.lower() != ".npz":
        raise ParameterError(f"what {model.name} learnt is written as .npz, got {kept!r}")
    _check_place(kept)
    if drawn is None and importlib.util.find_spec("matplotlib") is not None:
        drawn = f"{name}.png"
        _check_place(drawn)
    options = {"dt": arguments.dt} if arguments.dt is not None else {}
    learnt = model.taught(scale=_or(arguments.scale, 1.0), seed=arguments.seed, threads=arguments.threads,
                          progress=not arguments.quiet, **options, **_options(arguments.set))
    learnt.save(kept)
    if not arguments.quiet:
        print(learnt.report())
    if drawn is not None:
        _write_picture(learnt.picture(), drawn)
    if not arguments.quiet:
        print(f"wrote {kept}" + (f" and {drawn}" if drawn else ""))


def _unused_name(name: str) -> str:
    """The name, numbered if an earlier run left files of it: what took long to learn is not written over."""
    free, k = name, 1
    while Path(f"{free}.npz").exists() or Path(f"{free}.png").exists():
        k += 1
        free = f"{name}-{k}"
    return free


def _show(arguments: argparse.Namespace) -> None:
    from .result import Result
    _check_picture(arguments.plot)
    result = Result.load(arguments.file)
    cut = "" if result.complete else "; its run was cut short"
    print(f"{result.label}: {result.t_start:g} to {result.t_stop:g} ms, dt {result.dt:g} ms, seed {result.seed}{cut}")
    print(_table(result))
    for (population, variable), trace in result._traces.items():
        print(f"{population}: {variable} of {trace.ids.size} neurons at {trace.times.size} times ({trace.unit})")
    if arguments.plot:
        _write_picture(result.plot.raster(), arguments.plot)


# ---------------------------------------------------------------------------------- what to simulate


def _task(arguments: argparse.Namespace, dt: float | None = None) -> _Task:
    """The network that the command line names; ``dt`` stands before what the model asks for, and behind what a script does."""
    target = arguments.target
    if target.endswith(".py") or os.sep in target:
        return _from_script(arguments, dt)
    from .models import MODELS
    if target not in MODELS:
        raise ParameterError(f"there is no model {target!r}; there are: {', '.join(MODELS)}; a script's name ends in .py")
    model = MODELS[target]
    options = {"dt": arguments.dt} if arguments.dt is not None else {}
    network = model.build(scale=_or(arguments.scale, 1.0), seed=arguments.seed, **options, **_options(arguments.set))
    return _Task(network, _or(getattr(arguments, "time", None), model.default_time),
                 _or(arguments.dt, _or(dt, model.default_dt)), model)


def _from_script(arguments: argparse.Namespace, dt: float | None = None) -> _Task:
    """The network that a script defines; it may also define ``duration`` and ``dt``, in ms."""
    path = arguments.target
    if not os.path.isfile(path):
        raise FileFormatError(f"there is no script {path}")
    # As `python script.py` would: modules beside the script can be imported.
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    try:
        names = runpy.run_path(path, run_name="__neurosim__")
        if "network" not in names and callable(names.get("build")):
            options = {"scale": _or(arguments.scale, 1.0), "seed": arguments.seed, **_options(arguments.set)}
            try:
                inspect.signature(names["build"]).bind(**options)
            except TypeError as error:
                raise ParameterError(f"build of {path} cannot take these options: {error}") from None
            network = names["build"](**options)
        elif "network" not in names:
            raise ParameterError(f"{path} must define `network` or build(scale=1.0, seed=1); it defines neither")
        elif arguments.scale is not None or arguments.set:
            raise ParameterError(f"{path} defines a finished `network`; --scale and --set need build(scale=1.0, seed=1)")
        else:
            network = names["network"]
    finally:
        sys.path.pop(0)
    from .network import Network
    if not isinstance(network, Network):
        raise ParameterError(f"{path} must give a Network, got {type(network).__name__}")
    return _Task(network, _or(getattr(arguments, "time", None), names.get("duration", 1000.0)),
                 _or(arguments.dt, names.get("dt", _or(dt, 0.1))), None)


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _options(settings: Sequence[str], flag: str = "--set") -> dict[str, Any]:
    """``["g=5", "state=AI"]`` as a dict; what is not a Python literal is text."""
    options = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not (equals and name.isidentifier()):
            raise ParameterError(f"{flag} needs OPTION=VALUE, got {setting!r}")
        try:
            options[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            options[name] = text
    return options


# -------------------------------------------------------------------------------------------- output


def _check_place(path: str) -> None:
    """Raise if a file cannot be written, before time is spent on what it is to hold."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise FileFormatError(f"cannot write {path}: there is no folder {folder}")
    if os.path.isdir(path) or not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise FileFormatError(f"cannot write {path}: permission denied or a folder")


def _check_picture(path: str | None) -> None:
    if path is not None:
        from .plot import check_format
        check_format(path)
        _check_place(path)


def _check_result_file(path: str | None) -> None:
    if path is not None:
        if Path(path).suffix.lower() not in (".npz", ".nsim"):
            raise ParameterError(f"the name of a result must end in .nsim or .npz, got {path!r}")
        _check_place(path)


def _write_picture(figure: Any, path: str) -> None:
    try:
        figure.savefig(path)
    except OSError as error:
        raise FileFormatError(f"cannot write {path}: {error.strerror or error}") from error


def _table(result: Result) -> str:
    """Size, spikes, rate, irregularity and synchrony of every population that recorded spikes."""
    from .models.base import number, render, statistics
    rows = []
    for label, variables in result.recorded.items():
        if "spikes" in variables:
            spikes = result.spikes(label)
            rate, cv, synchrony = statistics(spikes)
            rows.append((label, f"{spikes.size:,}", f"{spikes.count:,}", number(rate, 2), number(cv, 3),
                         number(synchrony, 2)))
    head = ("population", "neurons", "spikes", "rate Hz", "CV of ISI", "synchrony")
    return render(head, rows) if rows else "no spikes were recorded"


def _speed(result: Result, wall: float) -> str:
    """How long it took, against real time."""
    if wall <= 0 or result.duration <= 0:
        return f"{result.duration:g} ms simulated"
    speed = result.duration / 1000.0 / wall
    return f"{result.duration:g} ms simulated in {wall:.3g} s: {speed:.3g} x real time"
