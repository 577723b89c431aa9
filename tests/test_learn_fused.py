"""The kernels of the time loop against torch's autograd of a plain loop over steps: outputs, states and every gradient."""

import itertools

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings, strategies as st  # noqa: E402
from torch import nn  # noqa: E402

from neurosim.learn import LI, LIF, AdaptiveLIF, Recurrent, Sequential, Surrogate  # noqa: E402
from neurosim.learn import functional, fused  # noqa: E402
from neurosim.learn.surrogate import _SLOPES  # noqa: E402

F64 = torch.float64
SURROGATES = sorted(_SLOPES)
NEURONS = {
    "LIF": (LIF, {"tau_m": 4.0, "v_thresh": 0.9}, ("tau_m", "v_thresh")),
    "LIF with a synapse": (LIF, {"tau_m": 4.0, "tau_syn": 2.5}, ("tau_m", "v_thresh", "tau_syn")),
    "AdaptiveLIF": (AdaptiveLIF, {"tau_m": 5.0, "tau_adapt": 6.0, "beta": 0.3}, ("tau_m", "v_thresh", "tau_adapt", "beta")),
    "AdaptiveLIF with a synapse": (AdaptiveLIF, {"tau_m": 5.0, "tau_syn": 2.0, "tau_adapt": 6.0},
                                   ("tau_m", "v_thresh", "tau_syn", "tau_adapt", "beta")),
}


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=1, dtype=F64):
    return torch.randn(*shape, generator=generator(seed), dtype=F64).to(dtype)


def spikes(*shape, p=0.1, seed=1, dtype=F64):
    return (torch.rand(*shape, generator=generator(seed), dtype=F64) < p).to(dtype)


def both(neurons, x, own=None, product=None, dtype=F64):
    """(names, kernel's numbers, plain loop's numbers): output, states, and gradients of a loss by all that has one."""
    neurons = neurons.to(dtype)
    found = []
    for run in (functional.neuron_loop, functional.plain_loop):
        drive = x.detach().clone().requires_grad_()
        start = {name: (0.4 * normal(*one.shape, seed=7 + place, dtype=dtype)).requires_grad_()
                 for place, (name, one) in enumerate(neurons.initial(x if product is None else x.new_zeros(*x.shape[:2], len(product[0]))).items())}
        weight = None
        if own is not None:
            weight = own.detach().clone().requires_grad_()
            start["s"] = spikes(*start["v"].shape, p=0.3, seed=5, dtype=dtype).requires_grad_()
        linear = [] if product is None else [one.detach().clone().requires_grad_() for one in product]
        given_x = drive
        if product is not None:
            given_x = functional.Product(drive, *linear) if run is functional.neuron_loop else nn.functional.linear(drive, *linear)
        neurons.zero_grad()
        y, after = run(given_x, start, neurons.cell(), weight)
        loss = (y * normal(*y.shape, seed=2, dtype=dtype)).sum()
        loss = loss + sum((one * normal(*one.shape, seed=3, dtype=dtype)).sum() for one in after.values())
        loss.backward()
        values = {"y": y, "x": drive.grad, **{f"{name} after": one for name, one in after.items()},
                  **{f"{name} before": one.grad for name, one in start.items()},
                  **{name: one.grad for name, one in neurons.named_parameters()},
                  **({} if weight is None else {"own": weight.grad}),
                  **{f"linear {place}": one.grad for place, one in enumerate(linear)}}
        found.append({name: one.detach().clone() for name, one in values.items()})
    return found


def compare(found, relative=1e-12):
    """Numbers agree, relative to the largest of their kind; spikes are equal."""
    kernels, plain = found
    assert kernels.keys() == plain.keys()
    assert torch.equal(kernels["y"], plain["y"]) or relative > 1e-9 or "s after" not in kernels
    for name, one in plain.items():
        size = one.abs().max()
        assert torch.isfinite(one).all(), name
        assert (kernels[name] - one).abs().max() <= relative * size + 1e-300, (name, (kernels[name] - one).abs().max() / size)


@pytest.mark.parametrize("kind", NEURONS)
@pytest.mark.parametrize(("reset", "detach", "looped"), list(itertools.product(("zero", "subtract"), (True, False), (True, False))))
def test_every_neuron_reset_and_loop(kind, reset, detach, looped):
    make, values, train = NEURONS[kind]
    for place, name in enumerate(SURROGATES):
        neurons = make(5, reset=reset, detach_reset=detach, surrogate=name, train=train, **values)
        x = 0.5 + 0.8 * normal(11, 3, 5, seed=20 + place)
        found = both(neurons, x, own=0.6 * normal(5, 5, seed=4) if looped else None)
        assert 0.02 < found[1]["y"].mean() < 0.9
        assert all(one.abs().max() > 0 for one in found[1].values())
        compare(found)
    assert place == 6
