"""``python -m neurosim.pynn script.py ...``: run a PyNN script for which ``neurosim`` is one of PyNN's simulators.

Scripts that choose their simulator by name (``pyNN.utility.get_simulator``, ``import_module("pyNN." + name)``) look for
it below ``pyNN``; here they find this back end as ``pyNN.neurosim``.  PyNN itself is left as it is.
"""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from ..extras import need

USAGE = "usage: python -m neurosim.pynn SCRIPT [ARGUMENT ...]   (the name of the simulator is neurosim)"


def as_simulator_of_pynn() -> ModuleType:
    """Make this back end importable as ``pyNN.neurosim``, in this process, and return it."""
    pynn, back_end = need("pyNN", "pynn"), need("neurosim.pynn", "pynn")
    sys.modules["pyNN.neurosim"] = back_end
    pynn.neurosim = back_end  # type: ignore[attr-defined]
    return back_end


def run_script(given: list[str], usage: str, prepare: Callable[[], object]) -> int:
    """Run a script as ``python`` would: its folder comes first on the path, ``sys.argv`` holds what follows.

    Parameters
    ----------
    given : list of str
        The script and its arguments.
    usage : str
        Printed where there is no script.
    prepare : callable
        Called before the script begins.

    Returns
    -------
    int
        2 if there is no such script; else 0, unless the script ends otherwise.
    """
    if not given or given[0] in ("-h", "--help"):
        print(usage, file=sys.stdout if given else sys.stderr)
        return 0 if given else 2
    script = Path(given[0])
    if not script.is_file():
        print(f"{usage}\nno such file: {script}", file=sys.stderr)
        return 2
    prepare()
    sys.argv[:] = given
    sys.path[0] = str(script.resolve().parent)
    runpy.run_path(str(script), run_name="__main__")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run a script for which ``neurosim`` is one of PyNN's simulators; ``arguments``: by default those of the command line."""
    return run_script(sys.argv[1:] if arguments is None else arguments, USAGE, as_simulator_of_pynn)


if __name__ == "__main__":
    sys.exit(main())
