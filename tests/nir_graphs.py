"""NIR graphs of many kinds for tests, with the names of those who can execute them; weights in single precision."""

import nir
import numpy as np


def full(n, value):
    """n equal numbers, single precision."""
    return np.full(n, value, np.float32)


def lif(n, tau=0.02, r=1.0, v_leak=0.0, v_threshold=1.0, v_reset=0.0):
    return nir.LIF(tau=full(n, tau), r=full(n, r), v_leak=full(n, v_leak), v_threshold=full(n, v_threshold), v_reset=full(n, v_reset))


def cuba(n, tau_syn=0.005, tau_mem=0.02, r=20.0, v_leak=0.0, v_threshold=1.0, v_reset=0.0, w_in=5.0):
    return nir.CubaLIF(tau_syn=full(n, tau_syn), tau_mem=full(n, tau_mem), r=full(n, r), v_leak=full(n, v_leak),
                       v_threshold=full(n, v_threshold), v_reset=full(n, v_reset), w_in=full(n, w_in))


def fire(n, r=1.0, v_threshold=1.0, v_reset=0.0):
    return nir.IF(r=full(n, r), v_threshold=full(n, v_threshold), v_reset=full(n, v_reset))


def weights(seed, post, pre, size=1.0, mean=0.3):
    """Normal weights whose sum does not depend on the number of inputs."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((post, pre)) * size / np.sqrt(pre) + mean * size / pre).astype(np.float32)


def affine(seed, post, pre, size=1.0, mean=0.3, bias=0.0):
    return nir.Affine(weights(seed, post, pre, size, mean), full(post, bias))


def graph(nodes, edges, n_in, n_out):
    """A graph with one Input and one Output."""
    ends = {"input": nir.Input(np.atleast_1d(n_in)), "output": nir.Output(np.atleast_1d(n_out))}
    return nir.NIRGraph({"input": ends["input"], **nodes, "output": ends["output"]}, edges, type_check=False)


def chain(n_in, n_out, **nodes):
    """Nodes one after the other."""
    names = ["input", *nodes, "output"]
    return graph(nodes, list(zip(names, names[1:])), n_in, n_out)


def looped(cell, n, seed, size, bias=0.0):
    """Neurons that project to themselves, as a graph of their own."""
    nodes = {"lif": cell, "w_rec": nir.Affine(weights(seed, n, n, size, -0.2), full(n, bias))}
    return graph(nodes, [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")], n, n)


def recurrent(cell, last, seed, size, nested, bias=0.0, n_in=12, n=20, n_out=8):
    """Two layers, the first of them looped: in a sub-graph or laid open."""
    loop = looped(cell, n, seed, size, bias)
    first, second = affine(seed + 1, n, n_in, size), affine(seed + 2, n_out, n, 2 * size)
    if nested:
        return chain(n_in, n_out, fc1=first, rec=loop, fc2=second, last=last)
    nodes = {"fc1": first, "rec": cell, "w_rec": loop.nodes["w_rec"], "fc2": second, "last": last}
    edges = [("input", "fc1"), ("fc1", "rec"), ("rec", "w_rec"), ("w_rec", "rec"), ("rec", "fc2"), ("fc2", "last"), ("last", "output")]
    return graph(nodes, edges, n_in, n_out)


def spikes(seed, steps, shape, p=0.3):
    """Random frames of 0 and 1."""
    return (np.random.default_rng(seed).random((steps, *np.atleast_1d(shape))) < p).astype(np.int64)
