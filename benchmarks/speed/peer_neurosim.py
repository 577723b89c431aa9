"""The benchmark models in neurosim."""

from . import measure

MODES = ("auto", "clock", "event")


def run(model_key: str, size: float, duration: float, threads: int = 1, seed: int = 1, mode: str = "auto") -> dict:
    """Build and simulate one model in neurosim; see :func:`measure.row` for what it must return.

    Parameters
    ----------
    model_key : str
        A key of :func:`models.model`, perhaps with changes: "M6:pacemaker_fraction=0.05".
    size : float
        Number of neurons; for M5 the scale.
    duration : float
        ms.
    mode : {"auto", "clock", "event"}
        How populations are updated.
    """
    raise NotImplementedError("benchmarks/speed/peer_neurosim.py: run() is not written yet")


if __name__ == "__main__":
    measure.main(run, MODES)
