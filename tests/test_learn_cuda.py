"""The kernels for graphics processors, in the simulator of ``numba.cuda``, against torch's autograd of the plain loop.

The simulator runs them on the CPU, thread by thread; what it cannot show is speed and that a real device compiles them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parent.parent

SCRIPT = """
import json, sys
sys.path.insert(0, "tests")
import torch
from neurosim.learn import LI, LIF, AdaptiveLIF, functional, fused_cuda
from test_learn_fused import NEURONS, SURROGATES, both, compare, normal
functional._kernels_take = lambda x: False
functional._processors_take = lambda x, weight: weight is None
calls = []
inner = fused_cuda.loop
functional.fused_cuda.loop = lambda *args: calls.append(1) or inner(*args)
done = 0
for place, name in enumerate(SURROGATES):
    make, values, train = NEURONS[sorted(NEURONS)[place % len(NEURONS)]]
    for reset in ("zero", "subtract"):
        for detach in (True, False):
            neurons = make(3, reset=reset, detach_reset=detach, surrogate=name, train=train, **values)
            compare(both(neurons, 0.5 + 0.8 * normal(6, 2, 3, seed=20 + place)), 1e-11)
            done += 1
for syn in (None, 2.0):
    compare(both(LI(3, tau_m=4.0, tau_syn=syn, train=("tau_m",) if syn is None else ("tau_m", "tau_syn")), normal(6, 2, 3)), 1e-11)
    done += 1
compare(both(LIF(3), normal(6, 2, 3)), 1e-11)
print(json.dumps([done + 1, len(calls)]))
"""


def test_the_kernels_in_the_simulator():
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [31, 31]


@pytest.mark.skipif("not __import__('torch').cuda.is_available()", reason="no graphics processor")
def test_the_kernels_on_a_device():
    import torch
    from neurosim.learn import AdaptiveLIF
    from test_learn_fused import normal

    x = 0.5 + normal(20, 8, 16, dtype=torch.float32)
    found = []
    for device in ("cpu", "cuda"):
        layer, drive = AdaptiveLIF(16, tau_syn=3.0, train=("tau_m", "beta")).to(device), x.to(device).requires_grad_()
        y, _ = layer(drive)
        (y * normal(20, 8, 16, seed=2, dtype=torch.float32).to(device)).sum().backward()
        found.append((y.cpu(), drive.grad.cpu(), layer.log_tau_m.grad.cpu()))
    if torch.equal(found[0][0], found[1][0]):  # a device may round a product and a sum together
        assert all(torch.allclose(one, other, rtol=1e-4, atol=1e-4) for one, other in zip(*found))
    else:
        assert (found[0][0] != found[1][0]).float().mean() < 0.01
