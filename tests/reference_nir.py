"""NIR graphs executed plainly: node by node, step by step, in double precision, by Euler's method; sub-graphs recursively.

Loops: within a step nodes are computed as soon as what they need is there; of a node that lies behind itself the value of the
step before is taken (nothing at the first step).
"""

import itertools

import numpy as np


class Executed:
    """A graph with its state."""

    def __init__(self, graph, dt, reset="value"):
        self.graph, self.dt, self.reset = graph, dt, reset
        self.parts = {name: Executed(node, dt, reset) for name, node in graph.nodes.items() if type(node).__name__ == "NIRGraph"}
        self.state = {name: {} for name in graph.nodes}
        self.before = {}
        self.order = self._order()

    def _order(self):
        edges = set(self.graph.edges)
        behind = {name: set() for name in self.graph.nodes}
        for _ in behind:
            for u, v in edges:
                behind[u] |= {v} | behind[v]
        order = [name for name, node in self.graph.nodes.items() if type(node).__name__ == "Input"]
        while len(order) < len(behind):
            for name in behind:
                needed = [u for u, v in edges if v == name]
                if name not in order and all(u in order or (u in behind[name] and len(needed) > 1) for u in needed):
                    order.append(name)
                    break
            else:
                raise ValueError("a loop that nothing enters")
        return order

    def step(self, x):
        """Output of one step; x is the Input's value."""
        now = {}
        for name in self.order:
            node = self.graph.nodes[name]
            kind = type(node).__name__
            arriving = [now.get(u, self.before.get(u)) for u, v in self.graph.edges if v == name]
            total = x if kind == "Input" else sum(value for value in arriving if value is not None)
            if kind == "NIRGraph":
                now[name] = self.parts[name].step(total)
            elif kind in ("Input", "Output"):
                now[name] = total
            else:
                now[name] = getattr(self, kind.lower())(node, np.asarray(total, dtype=float), self.state[name])
        self.before = now
        return next(now[name] for name, node in self.graph.nodes.items() if type(node).__name__ == "Output")

    def run(self, frames):
        """Outputs of all steps, stacked."""
        return np.array([self.step(np.asarray(frame, dtype=float)) for frame in frames])

    # ---------------------------------------------------------------- neurons

    def _fired(self, v, node, s):
        late = s.get("z", np.zeros(v.shape))
        v_reset = np.broadcast_to(node.v_reset, v.shape)
        if self.reset == "late subtract":
            v = v - late * node.v_threshold
        elif self.reset == "late value":
            v = np.where(late > 0, v_reset, v)
        z = (v > node.v_threshold).astype(float)
        if self.reset == "value":
            v = np.where(z > 0, v_reset, v)
        elif self.reset == "subtract":
            v = v - z * node.v_threshold
        s["v"], s["z"] = v, z
        return z

    def lif(self, node, x, s):
        v = s.get("v", np.broadcast_to(node.v_leak, x.shape))
        return self._fired(v + self.dt / node.tau * (node.v_leak - v + node.r * x), node, s)

    def li(self, node, x, s):
        v = s.get("v", np.broadcast_to(node.v_leak, x.shape))
        s["v"] = v + self.dt / node.tau * (node.v_leak - v + node.r * x)
        return s["v"]

    def _synapse(self, node, x, s):
        i = s.get("i", np.zeros(x.shape))
        s["i"] = i + self.dt / node.tau_syn * (node.w_in * x - i)
        v = s.get("v", np.broadcast_to(node.v_leak, x.shape))
        return v + self.dt / node.tau_mem * (node.v_leak - v + node.r * s["i"])

    def cubalif(self, node, x, s):
        return self._fired(self._synapse(node, x, s), node, s)

    def cubali(self, node, x, s):
        s["v"] = self._synapse(node, x, s)
        return s["v"]

    def i(self, node, x, s):
        s["v"] = s.get("v", np.zeros(x.shape)) + self.dt * node.r * x
        return s["v"]

    def __getattr__(self, name):
        if name == "if":
            return lambda node, x, s: self._fired(
                s.get("v", np.broadcast_to(node.v_reset, x.shape)) + self.dt * node.r * x, node, s)
        raise AttributeError(name)

    def threshold(self, node, x, s):
        return (x > node.threshold).astype(float)

    # ---------------------------------------------------------------- the rest

    def linear(self, node, x, s):
        return x @ np.asarray(node.weight, dtype=float).T

    def affine(self, node, x, s):
        return self.linear(node, x, s) + node.bias

    def scale(self, node, x, s):
        return x * node.scale

    def delay(self, node, x, s):
        past = s.setdefault("past", [])
        past.append(x)
        steps = np.broadcast_to(np.rint(np.asarray(node.delay) / self.dt).astype(int), x.shape)
        return np.array([past[-1 - steps[at]][at] if steps[at] < len(past) else 0.0 for at in np.ndindex(x.shape)]).reshape(x.shape)

    def flatten(self, node, x, s):
        return x.reshape(-1)

    def conv2d(self, node, x, s):
        return convolved(np.asarray(node.weight, dtype=float), x, node.stride, node.padding, node.dilation, node.groups,
                         np.asarray(node.bias))

    def conv1d(self, node, x, s):
        return convolved(np.asarray(node.weight, dtype=float), x, node.stride, node.padding, node.dilation, node.groups,
                         np.asarray(node.bias))

    def sumpool2d(self, node, x, s):
        weight = np.ones((x.shape[0], 1, *np.atleast_1d(node.kernel_size)))
        return convolved(weight, x, node.stride, node.padding, 1, x.shape[0], np.zeros(x.shape[0]))

    def avgpool2d(self, node, x, s):
        return self.sumpool2d(node, x, s) / np.prod(node.kernel_size)


def convolved(weight, x, stride, padding, dilation, groups, bias):
    """A cross-correlation by its definition: one output value after the other."""
    n = x.ndim - 1
    stride, dilation = (np.broadcast_to(np.asarray(value, dtype=int), n) for value in (stride, dilation))
    reach = dilation * (np.array(weight.shape[2:]) - 1)
    if isinstance(padding, str):
        sides = [(r // 2, r - r // 2) if padding == "same" else (0, 0) for r in reach]
    else:
        sides = [(p, p) for p in np.broadcast_to(np.asarray(padding, dtype=int), n)]
    x = np.pad(x, [(0, 0), *sides])
    out = np.zeros((weight.shape[0], *((np.array(x.shape[1:]) - reach - 1) // stride + 1)))
    per_group, each = weight.shape[1], weight.shape[0] // groups
    for c, *at in itertools.product(*map(range, out.shape)):
        for i, *k in itertools.product(*map(range, weight.shape[1:])):
            source = tuple(np.array(at) * stride + np.array(k) * dilation)
            out[(c, *at)] += weight[(c, i, *k)] * x[(c // each * per_group + i, *source)]
        out[(c, *at)] += bias[c]
    return out
