"""The border: what is malformed is refused where it is given, in words that name the thing, the value and the range."""

import dataclasses
import math
import os
import pickle
import re
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import neurosim as ns
from neurosim import (
    AllToAllConnector,
    ArrayConnector,
    DCSource,
    DistanceDependentProbabilityConnector,
    Exponential,
    FileFormatError,
    FixedNumberPostConnector,
    FixedNumberPreConnector,
    FixedProbabilityConnector,
    FixedTotalNumberConnector,
    FromFileConnector,
    FromListConnector,
    Gamma,
    IF_cond_exp,
    IF_curr_exp,
    IndexBasedProbabilityConnector,
    Integers,
    LogNormal,
    Network,
    NetworkError,
    NeurosimError,
    NoisyCurrentSource,
    Normal,
    OneToOneConnector,
    ParameterError,
    Simulation,
    SimulationError,
    SmallWorldConnector,
    SpikeSourceArray,
    SpikeSourceInhGamma,
    SpikeSourcePoisson,
    SpikeSourcePoissonRefractory,
    StepCurrentSource,
    Uniform,
    cells,
    currents,
    store,
)

NAN, INF = math.nan, math.inf
ALL, ONE = AllToAllConnector(), OneToOneConnector()


def network(seed=3):
    made = Network(seed=seed, label="brain")
    made.population(10, IF_curr_exp(), "cells")
    made.population(4, IF_cond_exp(), "cond")
    made.population(5, SpikeSourcePoisson(rate=20.0), "source")
    return made


def joined(n, connector=ALL, weight=0.1, delay=1.0, pre="cells", post="cells", **fields):
    return n.project(n[pre], n[post], connector, weight, delay, **fields)


def built(n, **arguments):
    return Simulation(n, **{"dt": 0.1, **arguments})


def described(n, dt=0.1, **fields):
    joined(n, **fields)
    return n.describe(dt)


def cell(**values):
    return lambda n: n.population(3, IF_curr_exp(**values), "p")


# id, what is done to a network, the error, what its message must have
POPULATIONS = [
    ("size 0", lambda n: n.population(0, IF_curr_exp(), "p"), NetworkError, ["'p'", "at least 1", "got 0"]),
    ("size negative", lambda n: n.population(-2, IF_curr_exp(), "p"), NetworkError, ["'p'", "at least 1", "got -2"]),
    ("size float", lambda n: n.population(2.0, IF_curr_exp(), "p"), NetworkError, ["'p'", "whole number", "got 2.0"]),
    ("size bool", lambda n: n.population(True, IF_curr_exp(), "p"), NetworkError, ["'p'", "whole number", "got True"]),
    ("size None", lambda n: n.population(None, IF_curr_exp(), "p"), NetworkError, ["'p'", "got None"]),
    ("size huge", lambda n: n.population(10**12, IF_curr_exp(), "p"), NetworkError, ["'p'", "at most 2147483647"]),
    ("label twice", lambda n: n.population(3, IF_curr_exp(), "cells"), NetworkError, ["brain", "'cells'", "differ"]),
    ("label empty", lambda n: n.population(3, IF_curr_exp(), ""), NetworkError, ["label", "non-empty", "''"]),
    ("label number", lambda n: n.population(3, IF_curr_exp(), 7), NetworkError, ["label", "text", "got 7"]),
    ("cell is text", lambda n: n.population(3, "IF_curr_exp", "p"), NetworkError, ["'p'", "model", "'IF_curr_exp'"]),
    ("cell is any class", lambda n: n.population(3, dict, "p"), NetworkError, ["'p'", "model", "dict"]),
    ("cell is the base class", lambda n: n.population(3, cells.Cell, "p"), NetworkError, ["'p'", "model"]),
    ("cell is a source of currents", lambda n: n.population(3, DCSource(), "p"), NetworkError, ["'p'", "DCSource"]),
    ("parameter unknown", lambda n: IF_curr_exp(tau=3), ParameterError, ["IF_curr_exp", "'tau'", "tau_m", "v_thresh"]),
    ("parameter unknown in set", lambda n: n["cells"].set(tau=3), ParameterError, ["IF_curr_exp", "'tau'", "tau_m"]),
    ("parameter unknown of source", lambda n: SpikeSourceArray(times=[1.0]),
     ParameterError, ["'times'", "spike_times"]),
    ("parameter unknown of current", lambda n: DCSource(amp=1.0), ParameterError, ["DCSource", "'amp'", "amplitude"]),
    ("parameter 0", cell(tau_m=0), ParameterError, ["IF_curr_exp.tau_m must be > 0 ms, got 0: membrane time constant"]),
    ("parameter negative", cell(tau_m=-1), ParameterError, ["IF_curr_exp.tau_m must be > 0 ms, got -1"]),
    ("parameter NaN", cell(v_rest=NAN), ParameterError, ["IF_curr_exp.v_rest", "finite mV", "got nan"]),
    ("parameter inf", cell(cm=INF), ParameterError, ["IF_curr_exp.cm", "nF", "got inf"]),
    ("parameter text", cell(tau_m="10"), ParameterError, ["IF_curr_exp.tau_m", "number", "got '10'"]),
    ("parameter None", cell(tau_m=None), ParameterError, ["IF_curr_exp.tau_m", "number", "got None"]),
    ("parameter bool", cell(tau_m=True), ParameterError, ["IF_curr_exp.tau_m", "number", "got True"]),
    ("parameter complex", cell(tau_m=3 + 1j), ParameterError, ["IF_curr_exp.tau_m", "number", "got (3+1j)"]),
    ("parameter array of complex", cell(tau_m=np.ones(3) + 0j), ParameterError, ["IF_curr_exp.tau_m", "number"]),
    ("parameter dict", cell(tau_m={1: 2}), ParameterError, ["IF_curr_exp.tau_m", "number", "got {1: 2}"]),
    ("parameter ragged", cell(tau_m=[[1.0], [1.0, 2.0]]), ParameterError, ["IF_curr_exp.tau_m", "number"]),
    ("parameter of wrong length", cell(tau_m=[1.0, 2.0]), ParameterError, ["p: IF_curr_exp.tau_m", "3 values", "(2,)"]),
    ("parameter 2-D", cell(tau_m=np.ones((3, 3))), ParameterError, ["p: IF_curr_exp.tau_m", "3 values", "(3, 3)"]),
    ("parameter empty", cell(tau_m=[]), ParameterError, ["p: IF_curr_exp.tau_m", "3 values", "(0,)"]),
    ("parameter bad in an array", cell(tau_m=[1, -2, 3]), ParameterError, ["tau_m must be > 0 ms, got -2 at index 1"]),
    ("parameter distributed too widely", cell(tau_m=Normal(10, 5)), ParameterError, ["tau_m", "> 0 ms", "low="]),
    ("parameters out of order", cell(v_reset=-40.0), ParameterError, ["v_reset must be < IF_curr_exp.v_thresh", "-40"]),
    ("set of wrong length", lambda n: n["cells"].set(tau_m=np.ones(7)),
     ParameterError, ["cells", "tau_m", "10", "(7,)"]),
    ("positions of wrong shape", lambda n: n.population(3, IF_curr_exp(), "p", np.ones((2, 2))), NetworkError,
     ["'p'", "(3, 3)", "(2, 2)"]),
    ("positions NaN", lambda n: n.population(3, IF_curr_exp(), "p", np.full((3, 3), NAN)),
     NetworkError, ["'p'", "finite"]),
    ("positions text", lambda n: n.population(3, IF_curr_exp(), "p", "line"), NetworkError, ["'p'", "'line'"]),
    ("positions that fill no grid", lambda n: n.population(3, IF_curr_exp(), "p", ns.Grid2D()),
     NetworkError, ["3 cells"]),
    ("initial unknown", lambda n: n["cells"].initialize(u=0.0), ParameterError, ["cells", "'u'", "v, isyn_exc"]),
    ("initial NaN", lambda n: n["cells"].initialize(v=NAN),
     ParameterError, ["cells.initial v", "finite mV", "got nan"]),
    ("initial of wrong shape", lambda n: n["cells"].initialize(v=[1.0, 2.0]),
     ParameterError, ["initial v", "10", "(2,)"]),
    ("initial of a view, wrong shape", lambda n: n["cells"][:3].initialize(v=[1.0, 2.0]), ParameterError,
     ["cells[0..2].initial v", "3 values", "(2,)"]),
    ("initial of a view, text", lambda n: n["cells"][:3].initialize(v="rest"), ParameterError, ["initial v", "'rest'"]),
    ("initial of a view, unknown", lambda n: n["cells"][:3].initialize(u=1.0), ParameterError, ["'u'", "v, isyn_exc"]),
    ("initial values not a dict", lambda n: n.population(3, IF_curr_exp(), "p", initial_values=5), ParameterError,
     ["p: initial_values", "dict", "got 5"]),
    ("initial value of a source", lambda n: n["source"].initialize(v=0.0), ParameterError, ["source", "'v'", "none"]),
    ("population unknown", lambda n: n["nobody"], NetworkError, ["brain", "'nobody'", "cells, cond, source"]),
    ("sample too many", lambda n: n["cells"].sample(11), NetworkError, ["cells.sample", "1 to 10", "got 11"]),
    ("sample none", lambda n: n["cells"].sample(0), NetworkError, ["cells.sample", "1 to 10", "got 0"]),
    ("sample half", lambda n: n["cells"].sample(1.5), NetworkError, ["cells.sample", "got 1.5"]),
    ("sample seed", lambda n: n["cells"].sample(2, seed=-1), ParameterError, ["cells.sample", "seed", "got -1"]),
    ("view empty", lambda n: n["cells"][3:3], NetworkError, ["cells[slice(3, 3", "no cell"]),
    ("view of nothing", lambda n: n["cells"][[]], NetworkError, ["cells[[]]", "no cell"]),
    ("view repeated", lambda n: n["cells"][[1, 2, 1]], NetworkError, ["cells[[1, 2, 1]]", "twice"]),
    ("view repeated by sign", lambda n: n["cells"][[9, -1]], NetworkError, ["cells[[9, -1]]", "twice"]),
    ("view out of range", lambda n: n["cells"][10], NetworkError, ["cells[10]", "0 .. 9"]),
    ("view out of range below", lambda n: n["cells"][[-11]], NetworkError, ["cells[[-11]]", "0 .. 9"]),
    ("view by fraction", lambda n: n["cells"][1.5], NetworkError, ["cells[1.5]", "whole numbers"]),
    ("view by text", lambda n: n["cells"]["a"], NetworkError, ["cells['a']", "whole numbers"]),
    ("view by truth", lambda n: n["cells"][True], NetworkError, ["cells[True]", "whole numbers"]),
    ("view by None", lambda n: n["cells"][None], NetworkError, ["cells[None]", "whole numbers"]),
    ("view by matrix", lambda n: n["cells"][np.eye(2, dtype=int)], NetworkError, ["cells[", "a row"]),
    ("view by mask of wrong length", lambda n: n["cells"][[True, False]],
     NetworkError, ["cells[[True, False]]", "0 .. 9"]),
    ("view by step 0", lambda n: n["cells"][::0], NetworkError, ["cells[slice(None, None, 0)]"]),
    ("view of a view out of range", lambda n: n["cells"][2:5][3], NetworkError, ["cells[2..4][3]", "0 .. 2"]),
]

PROJECTIONS = [
    ("delay negative", lambda n: joined(n, delay=-1.0), ParameterError, ["cells -> cells: delay", "> 0 ms", "got -1"]),
    ("delay 0", lambda n: joined(n, delay=0), ParameterError, ["cells -> cells: delay", "> 0 ms", "got 0"]),
    ("delay NaN", lambda n: joined(n, delay=NAN), ParameterError, ["cells -> cells: delay", "> 0 ms", "got nan"]),
    ("delay inf", lambda n: joined(n, delay=INF), ParameterError, ["cells -> cells: delay", "got inf"]),
    ("delay bool", lambda n: joined(n, delay=True), ParameterError, ["cells -> cells: delay", "number", "got True"]),
    ("delay below dt", lambda n: described(n, delay=0.05), NetworkError, ["cells -> cells", "0.05 ms", "dt is 0.1 ms"]),
    ("delay too long", lambda n: described(n, delay=1e5), NetworkError, ["cells -> cells", "60000 steps", "100000 ms"]),
    ("delay of a list, NaN", lambda n: joined(n, ONE, delay=[1.0] * 9 + [NAN]),
     ParameterError, ["delay", "nan at index 9"]),
    ("delay drawn from 0", lambda n: described(n, delay=Exponential(1.0)), NetworkError, ["down to 0 ms", "low=0.1"]),
    ("delay of text", lambda n: joined(n, delay=["late"]), ParameterError, ["cells -> cells: delay", "['late']"]),
    ("delay of wrong shape", lambda n: joined(n, delay=np.ones((3, 3))),
     ParameterError, ["delay", "(10, 10)", "(3, 3)"]),
    ("delay in a list below dt", lambda n: (joined(n, FromListConnector([(0, 1, 0.1, 0.01)])), built(n)), NetworkError,
     ["cells -> cells", "0.01 ms", "dt is 0.1 ms"]),
    ("weight NaN", lambda n: joined(n, weight=NAN), ParameterError, ["cells -> cells: weight", "nA", "got nan"]),
    ("weight inf", lambda n: joined(n, weight=INF), ParameterError, ["cells -> cells: weight", "nA", "got inf"]),
    ("weight None", lambda n: joined(n, weight=None), ParameterError, ["cells -> cells: weight", "number", "got None"]),
    ("weight bool", lambda n: joined(n, weight=False),
     ParameterError, ["cells -> cells: weight", "number", "got False"]),
    ("weight complex", lambda n: joined(n, weight=1j), ParameterError, ["cells -> cells: weight", "number", "1j"]),
    ("weight negative", lambda n: joined(n, weight=-1.0), ParameterError,
     ["cells -> cells", "excitatory receptor of IF_curr_exp", "positive (nA)", "got -1"]),
    ("weight positive", lambda n: joined(n, weight=1.0, receptor="inhibitory"), ParameterError,
     ["inhibitory receptor of IF_curr_exp", "negative (nA)", "got 1"]),
    ("conductance negative", lambda n: joined(n, weight=-1.0, post="cond", receptor="inhibitory"), ParameterError,
     ["cells -> cond", "inhibitory receptor of IF_cond_exp", "positive (uS)", "got -1"]),
    ("weight of both signs", lambda n: joined(n, weight=Uniform(-1, 2)), ParameterError, ["positive (nA)", "got -1"]),
    ("weight of a list, sign", lambda n: joined(n, ONE, weight=[0.1] * 9 + [-2.0]),
     ParameterError, ["positive", "got -2"]),
    ("weight in a list, sign", lambda n: (joined(n, FromListConnector([(0, 1, 2., 1.), (3, 1, -2., 1.)])), built(n)),
     ParameterError, ["cells -> cells", "excitatory", "positive", "got -2"]),
    ("weight by distance, sign", lambda n: (n["cells"].__setattr__("positions", np.zeros((10, 3))),
                                            joined(n, weight="d - 3"), built(n)),
     ParameterError, ["positive", "got -3"]),
    ("weight in a list, NaN", lambda n: FromListConnector([(0, 1, NAN, 1.0)]),
     ParameterError, ["row 0: weight", "nan"]),
    ("weights of wrong shape", lambda n: joined(n, weight=np.ones((10, 4))),
     ParameterError, ["weight", "(10, 10)", "(10, 4)"]),
    ("weights 3-D", lambda n: joined(n, weight=np.ones((2, 2, 2))),
     ParameterError, ["weight", "(10, 10)", "(2, 2, 2)"]),
    ("weights empty", lambda n: joined(n, weight=[]), ParameterError, ["cells -> cells: weight", "empty"]),
    ("weights of text", lambda n: joined(n, weight=["a"]), ParameterError, ["cells -> cells: weight", "['a']"]),
    ("weights too few", lambda n: (joined(n, ONE, weight=np.ones(4)), built(n)),
     ParameterError, ["weight", "got 4 values"]),
    ("weights too many", lambda n: (joined(n, ONE, weight=np.ones(11)), built(n)), ParameterError,
     ["weight", "10 synapses", "got 11 values"]),
    ("weight by distance, no positions", lambda n: joined(n, weight="d"),
     NetworkError, ["weight", "'cells' has no positions"]),
    ("weight hostile", lambda n: joined(n, weight="__import__('os').system('x')"), ParameterError,
     ["cells -> cells: weight", "__import__", "not understood"]),
    ("receptor unknown", lambda n: joined(n, receptor="nmda"), NetworkError,
     ["cells -> cells", "IF_curr_exp", "'nmda'", "excitatory, inhibitory"]),
    ("receptor None", lambda n: joined(n, receptor=None),
     NetworkError, ["IF_curr_exp", "None", "excitatory, inhibitory"]),
    ("onto a source", lambda n: joined(n, post="source"),
     NetworkError, ["cells -> source", "SpikeSourcePoisson", "is a source"]),
    ("end of another network", lambda n: n.project(n["cells"], network()["cells"], ALL), NetworkError,
     ["'cells'", "another network"]),
    ("end a view of another network", lambda n: n.project(network()["cells"][:2], n["cells"], ALL), NetworkError,
     ["cells[0..1]", "another network"]),
    ("end by label", lambda n: n.project("cells", n["cells"], ALL), NetworkError, ["expected a Population", "'cells'"]),
    ("end missing", lambda n: n.project(n["cells"], None, ALL), NetworkError, ["expected a Population", "None"]),
    ("label of a projection", lambda n: joined(n, label=5), NetworkError, ["label", "text", "got 5"]),
    ("connector a class", lambda n: joined(n, AllToAllConnector),
     NetworkError, ["cells -> cells", "connector", "AllToAll"]),
    ("connector text", lambda n: joined(n, "all"), NetworkError, ["cells -> cells", "connector", "'all'"]),
    ("one to one of unequal sizes", lambda n: joined(n, ONE, post="cond"), NetworkError,
     ["cells -> cond: OneToOneConnector", "10 sources", "4 targets"]),
    ("n too large", lambda n: joined(n, FixedNumberPreConnector(11)), NetworkError,
     ["FixedNumberPreConnector.n", "<= 10", "got 11"]),
    ("n too large without itself", lambda n: joined(n, FixedNumberPreConnector(10, allow_self_connections=False)),
     NetworkError, ["FixedNumberPreConnector.n", "<= 9", "got 10", "itself"]),
    ("n of targets too large", lambda n: joined(n, FixedNumberPostConnector(5), post="cond"), NetworkError,
     ["FixedNumberPostConnector.n", "<= 4", "got 5"]),
    ("n in all too large", lambda n: joined(n, FixedTotalNumberConnector(101, with_replacement=False)), NetworkError,
     ["FixedTotalNumberConnector.n", "<= 100", "got 101"]),
    ("n negative", lambda n: FixedNumberPreConnector(-1),
     ParameterError, ["FixedNumberPreConnector.n", ">= 0", "got -1"]),
    ("n float", lambda n: FixedNumberPreConnector(2.5),
     ParameterError, ["FixedNumberPreConnector.n", "whole", "got 2.5"]),
    ("n bool", lambda n: FixedTotalNumberConnector(True), ParameterError, ["FixedTotalNumberConnector.n", "got True"]),
    ("n drawn negative", lambda n: (joined(n, FixedNumberPreConnector(Uniform(-9, -5))), built(n)), ParameterError,
     ["FixedNumberPreConnector.n", ">= 0", "Uniform"]),
    ("p above 1", lambda n: FixedProbabilityConnector(1.5), ParameterError, ["p_connect", ">= 0 and <= 1", "got 1.5"]),
    ("p negative", lambda n: FixedProbabilityConnector(-0.1),
     ParameterError, ["p_connect", ">= 0 and <= 1", "got -0.1"]),
    ("p NaN", lambda n: FixedProbabilityConnector(NAN), ParameterError, ["p_connect", ">= 0 and <= 1", "got nan"]),
    ("p text", lambda n: FixedProbabilityConnector("0.1"), ParameterError, ["p_connect", ">= 0 and <= 1", "got '0.1'"]),
    ("allow_self_connections text", lambda n: FixedProbabilityConnector(0.1, "no"), ParameterError,
     ["allow_self_connections", "True or False", "'no'"]),
    ("degree NaN", lambda n: SmallWorldConnector(NAN, 0.1),
     ParameterError, ["SmallWorldConnector.degree", ">= 0", "nan"]),
    ("list outside", lambda n: joined(n, FromListConnector([(0, 1), (3, 10)])), NetworkError,
     ["FromListConnector.conn_list row 1", "post index", "< 10", "got 10"]),
    ("list negative", lambda n: joined(n, FromListConnector([(-1, 1)])),
     NetworkError, ["row 0", "pre index", "got -1"]),
    ("list of fractions", lambda n: FromListConnector([(0.5, 1)]), ParameterError, ["row 0: pre", "whole", "got 0.5"]),
    ("list of one column", lambda n: FromListConnector([[1], [2]]), ParameterError, ["conn_list", "(2, 1)"]),
    ("list ragged", lambda n: FromListConnector([[1, 2], [2]]), ParameterError, ["conn_list", "same number"]),
    ("list of text", lambda n: FromListConnector([("a", "b")]), ParameterError, ["conn_list", "numbers"]),
    ("list columns unnamed", lambda n: FromListConnector([(0, 1, 2.0)]), ParameterError, ["column_names", "3 values"]),
    ("list columns misnamed", lambda n: FromListConnector([(0, 1, 2.0)], ("tau",)),
     ParameterError, ["weight, delay", "tau"]),
    ("array of wrong shape", lambda n: joined(n, ArrayConnector(np.eye(3, dtype=bool))),
     NetworkError, ["(10, 10)", "(3, 3)"]),
    ("array of numbers", lambda n: ArrayConnector(np.full((3, 3), 0.5)),
     ParameterError, ["ArrayConnector.array", "float64"]),
    ("distance without positions", lambda n: joined(n, DistanceDependentProbabilityConnector("exp(-d)")), NetworkError,
     ["DistanceDependentProbabilityConnector", "positions"]),
    ("distance hostile", lambda n: DistanceDependentProbabilityConnector("__import__('os').system('x')"),
     ParameterError,
     ["__import__", "not understood"]),
    ("distance attribute", lambda n: DistanceDependentProbabilityConnector("d.__class__"),
     ParameterError, ["d.__class__"]),
    ("distance not closed", lambda n: DistanceDependentProbabilityConnector("exp(-d"), ParameterError, ["'exp(-d'"]),
    ("distance nested", lambda n: DistanceDependentProbabilityConnector("(" * 400 + "d"),
     ParameterError, ["expression"]),
    ("distance long", lambda n: DistanceDependentProbabilityConnector("d+" * 9999 + "d"),
     ParameterError, ["500 characters"]),
    ("index expression text", lambda n: IndexBasedProbabilityConnector("i < j"),
     ParameterError, ["function", "'i < j'"]),
    ("index probability", lambda n: (joined(n, IndexBasedProbabilityConnector(lambda i, j: i + j)), built(n)),
     ParameterError, ["index_expression", ">= 0 and <= 1", "got 2"]),
    ("file missing", lambda n: FromFileConnector("/no/where.txt"),
     FileFormatError, ["'/no/where.txt'", "cannot be read"]),
    ("file not a path", lambda n: FromFileConnector(5), ParameterError, ["FromFileConnector.file", "path", "got 5"]),
    ("conductance drawn negative", lambda n: joined(n, weight=Normal(0.1, 1), post="cond"), ParameterError,
     ["cells -> cond", "positive (uS)", "got -inf", "low="]),
    ("array ragged", lambda n: ArrayConnector([[1], [1, 2]]), ParameterError, ["ArrayConnector.array", "same number"]),
    ("list columns a number", lambda n: FromListConnector([(0, 1, 2.0)], 5), ParameterError, ["column_names", "5"]),
    ("weight by a function of text", lambda n: (n["cells"].__setattr__("positions", np.zeros((10, 3))),
                                                joined(n, weight=lambda d: "x"), built(n)),
     ParameterError, ["cells -> cells: weight", "numbers", "'x'"]),
    ("axes", lambda n: ns.Space(axes=["x"]), ParameterError, ["Space.axes", "['x']"]),
    ("scale factor", lambda n: ns.Space(scale_factor="1"), ParameterError, ["Space.scale_factor", "finite", "'1'"]),
    ("offset", lambda n: ns.Space(offset="abc"), ParameterError, ["Space.offset", "'abc'"]),
    ("boundaries", lambda n: ns.Space(periodic_boundaries=(1, 2, 3)), ParameterError, ["boundaries of x", "got 1"]),
    ("line", lambda n: ns.Line(dx="a"), ParameterError, ["Line.dx", "finite", "'a'"]),
    ("grid", lambda n: ns.Grid2D(aspect_ratio=-1.0), ParameterError, ["Grid2D.aspect_ratio", "> 0", "-1.0"]),
    ("space", lambda n: Network(space="xy"), ParameterError, ["Network.space", "Space", "'xy'"]),
]

INPUTS = [
    ("times negative", lambda n: SpikeSourceArray([1.0, -2.0]),
     ParameterError, ["spike_times", ">= 0", "ms", "got -2"]),
    ("times NaN", lambda n: SpikeSourceArray([[1.0], [NAN]]), ParameterError, ["spike_times", "got nan in row 1"]),
    ("times inf", lambda n: SpikeSourceArray([INF]), ParameterError, ["spike_times", "got inf"]),
    ("times out of reach", lambda n: SpikeSourceArray([1e300]),
     ParameterError, ["spike_times", "<= 1e+12 ms", "got 1e+300"]),
    ("times a number", lambda n: SpikeSourceArray(5.0), ParameterError, ["spike_times", "rows", "got 5.0"]),
    ("times text", lambda n: SpikeSourceArray("12"), ParameterError, ["spike_times", "rows", "'12'"]),
    ("times None", lambda n: SpikeSourceArray(None), ParameterError, ["spike_times", "rows", "None"]),
    ("times 3-D", lambda n: SpikeSourceArray([[[1.0]]]), ParameterError, ["spike_times", "rows"]),
    ("times mixed", lambda n: SpikeSourceArray([1.0, [2.0]]), ParameterError, ["spike_times", "rows"]),
    ("times of other sources", lambda n: n.population(3, SpikeSourceArray([[1.0], [2.0]]), "p"), ParameterError,
     ["p: SpikeSourceArray.spike_times", "3 rows", "got 2"]),
    ("rate negative", lambda n: SpikeSourcePoisson(rate=-5.0), ParameterError,
     ["SpikeSourcePoisson.rate must be >= 0 Hz, got -5: mean rate"]),
    ("rate NaN", lambda n: SpikeSourcePoisson(rate=NAN), ParameterError, ["SpikeSourcePoisson.rate", ">= 0 Hz", "nan"]),
    ("rate out of reach", lambda n: (n.population(1, SpikeSourcePoisson(rate=1e12), "p"), n.describe()), ParameterError,
     ["p: SpikeSourcePoisson.rate", "<= 1e+07 Hz", "0.1 ms", "got 1e+12"]),
    ("duration negative", lambda n: SpikeSourcePoisson(duration=-5.0),
     ParameterError, ["duration", ">= 0 ms", "got -5"]),
    ("dead time too long", lambda n: SpikeSourcePoissonRefractory(rate=200.0, tau_refrac=5.0), ParameterError,
     ["rate * tau_refrac", "< 1000", "got 1000"]),
    ("dead time too long when drawn", lambda n: (n.population(
        9, SpikeSourcePoissonRefractory(rate=Uniform(300, 400), tau_refrac=5.0), "p"), built(n)), ParameterError,
     ["p: SpikeSourcePoissonRefractory.rate * tau_refrac", "< 1000"]),
    ("dead times of another length", lambda n: n.population(
        3, SpikeSourcePoissonRefractory(rate=np.ones(3), tau_refrac=np.ones(2)), "p"), ParameterError,
     ["tau_refrac", "(2,)"]),
    ("gamma rate out of reach", lambda n: (n.population(1, SpikeSourceInhGamma([1e-9], [1e-9]), "p"), n.describe()),
     ParameterError, ["p: SpikeSourceInhGamma", "<= 1e+07 Hz", "got 1e+18"]),
    ("tbins not ascending", lambda n: SpikeSourceInhGamma([1, 1], [1, 1], [5, 5]),
     ParameterError, ["tbins", "ascend", "ms"]),
    ("tbins of another length", lambda n: SpikeSourceInhGamma([1, 1], [1, 1], [0]),
     ParameterError, ["one length", "2, 2, 1"]),
    ("gamma shape 0", lambda n: SpikeSourceInhGamma([0.0]), ParameterError, ["SpikeSourceInhGamma.a", "> 0", "got 0"]),
    ("gamma shape text", lambda n: SpikeSourceInhGamma("a"), ParameterError, ["SpikeSourceInhGamma.a", "row", "'a'"]),
    ("gamma shape NaN", lambda n: SpikeSourceInhGamma([NAN]),
     ParameterError, ["SpikeSourceInhGamma.a", "finite", "nan"]),
    ("input rate negative", lambda n: n.poisson_input(n["cells"], -1.0, 0.1), ParameterError,
     ["Poisson -> cells.rate must be >= 0 Hz, got -1"]),
    ("input rate of wrong shape", lambda n: n.poisson_input(n["cells"], np.ones(3), 0.1), ParameterError,
     ["Poisson -> cells.rate", "10 values", "(3,)"]),
    ("input rate drawn", lambda n: n.poisson_input(n["cells"], Uniform(1, 2), 0.1),
     ParameterError, ["rate", "10", "Uniform"]),
    ("input rate out of reach", lambda n: (n.poisson_input(n["cells"], 1e9, 0.1), n.describe()), ParameterError,
     ["Poisson -> cells.rate", "<= 1e+07 Hz", "got 1e+09"]),
    ("input weight drawn", lambda n: n.poisson_input(n["cells"], 1.0, Normal(1, 0.1)), ParameterError,
     ["Poisson -> cells: weight", "one number", "Normal"]),
    ("input weights", lambda n: n.poisson_input(n["cells"], 1.0, [0.1] * 10), ParameterError, ["weight", "one number"]),
    ("input weight text", lambda n: n.poisson_input(n["cells"], 1.0, "d"),
     ParameterError, ["weight", "one number", "'d'"]),
    ("input weight NaN", lambda n: n.poisson_input(n["cells"], 1.0, NAN), ParameterError, ["weight", "nA", "nan"]),
    ("input weight negative", lambda n: n.poisson_input(n["cells"], 1.0, -0.1),
     ParameterError, ["positive (nA)", "-0.1"]),
    ("input start NaN", lambda n: n.poisson_input(n["cells"], 1.0, 0.1, start=NAN),
     ParameterError, ["start", "ms", "nan"]),
    ("input stop NaN", lambda n: n.poisson_input(n["cells"], 1.0, 0.1, stop=NAN),
     ParameterError, ["stop", "ms", "nan"]),
    ("input stop out of reach", lambda n: n.poisson_input(n["cells"], 1.0, 0.1, stop=1e300),
     ParameterError, ["<= 1e+12 ms"]),
    ("input stop before start", lambda n: n.poisson_input(n["cells"], 1.0, 0.1, start=5.0, stop=4.0), ParameterError,
     ["Poisson -> cells: stop", ">= start (5 ms)", "got 4 ms"]),
    ("input into a source", lambda n: n.poisson_input(n["source"], 1.0, 0.1), NetworkError, ["source", "is a source"]),
    ("input receptor", lambda n: n.poisson_input(n["cells"], 1.0, 0.1, "gaba"), NetworkError, ["'gaba'", "excitatory"]),
    ("input of another network", lambda n: n.poisson_input(network()["cells"], 1.0, 0.1),
     NetworkError, ["another network"]),
    ("current stops first", lambda n: DCSource(1.0, start=5.0, stop=2.0),
     ParameterError, ["DCSource.stop", "5 ms", "got 2 ms"]),
    ("current NaN", lambda n: DCSource(NAN), ParameterError, ["DCSource.amplitude", "finite nA", "got nan"]),
    ("current of many", lambda n: DCSource([1.0, 2.0]),
     ParameterError, ["DCSource.amplitude", "one number", "[1.0, 2.0]"]),
    ("current drawn", lambda n: DCSource(Normal(1, 1)), ParameterError, ["DCSource.amplitude", "one number", "Normal"]),
    ("steps of two lengths", lambda n: StepCurrentSource([0.0, 1.0], [1.0]), ParameterError, ["one length", "2 and 1"]),
    ("steps not ascending", lambda n: StepCurrentSource([2.0, 1.0], [1.0, 2.0]), ParameterError, ["times", "ascend"]),
    ("steps NaN", lambda n: StepCurrentSource([0.0], [NAN]), ParameterError, ["amplitudes", "finite", "nan"]),
    ("steps text", lambda n: StepCurrentSource("ab", "cd"), ParameterError, ["StepCurrentSource.times", "'ab'"]),
    ("steps none", lambda n: StepCurrentSource([], []), ParameterError, ["StepCurrentSource.times", "[]"]),
    ("noise of no step", lambda n: NoisyCurrentSource(dt=0.0),
     ParameterError, ["NoisyCurrentSource.dt", "> 0 ms", "got 0"]),
    ("inject a number", lambda n: n.inject(1.0, n["cells"]), NetworkError, ["current source", "got 1.0"]),
    ("inject a class", lambda n: n.inject(DCSource, n["cells"]), NetworkError, ["current source", "DCSource"]),
    ("inject into a source", lambda n: n.inject(DCSource(), n["source"]),
     NetworkError, ["source", "cannot receive a current"]),
    ("inject elsewhere", lambda n: n.inject(DCSource(), network()["cells"]),
     NetworkError, ["'cells'", "another network"]),
    ("record unknown", lambda n: n["cells"].record("w"), NetworkError, ["cells", "'w'", "spikes, v, isyn_exc"]),
    ("record v of a source", lambda n: n.record(None, "v"), NetworkError, ["source", "'v'", "spikes"]),
    ("record a number", lambda n: n["cells"].record(5), NetworkError, ["record", "name", "got 5"]),
    ("record nothing", lambda n: n["cells"].record([]), NetworkError, ["record", "name", "got []"]),
    ("record numbers", lambda n: n["cells"].record([5]), NetworkError, ["cells", "cannot record 5"]),
    ("record elsewhere", lambda n: n.record(network()["cells"], "v"), NetworkError, ["'cells'", "another network"]),
    ("record spikes at an interval", lambda n: n["cells"].record("spikes", 1.0),
     ParameterError, ["spikes", "interval", "1 ms"]),
    ("record at interval 0", lambda n: n["cells"].record("v", 0.0),
     ParameterError, ["v: interval", "> 0", "ms", "got 0"]),
    ("record at interval NaN", lambda n: n["cells"].record("v", NAN), ParameterError, ["v: interval", "ms", "got nan"]),
    ("record at interval text", lambda n: n["cells"].record("v", "1"),
     ParameterError, ["v: interval", "number", "'1'"]),
    ("record at interval bool", lambda n: n["cells"].record("v", True),
     ParameterError, ["v: interval", "number", "True"]),
    ("record at intervals", lambda n: n["cells"].record("v", [1.0, 2.0]),
     ParameterError, ["v: interval", "one number"]),
    ("record off the grid", lambda n: (n["cells"].record("v", 0.25), built(n)), ParameterError,
     ["v of cells", "multiple of dt = 0.1 ms", "got 0.25 ms"]),
    ("record at two intervals", lambda n: (n["cells"].record("v", 0.2), n["cells"][:2].record("v", 0.5), built(n)),
     NetworkError, ["v of cells", "two intervals", "0.2", "0.5 ms"]),
    ("uniform upside down", lambda n: Uniform(2, 1), ParameterError, ["Uniform", "low <= high"]),
    ("uniform text", lambda n: Uniform("a", 1), ParameterError, ["Uniform.low", "number", "'a'"]),
    ("uniform bool", lambda n: Uniform(False, True), ParameterError, ["Uniform.low", "number", "False"]),
    ("normal sd negative", lambda n: Normal(0, -1), ParameterError, ["Normal", "sd >= 0", "sd=-1"]),
    ("normal bounds apart", lambda n: Normal(0, 1, low=9), ParameterError, ["Normal", "fraction", "low=9"]),
    ("normal bound NaN", lambda n: Normal(0, 1, low=NAN), ParameterError, ["Normal", "low < high", "nan"]),
    ("log-normal sigma", lambda n: LogNormal(0, -1), ParameterError, ["LogNormal", "sigma >= 0", "sigma=-1"]),
    ("log-normal too large", lambda n: LogNormal(1000, 1), ParameterError, ["LogNormal", "finite mean", "1000"]),
    ("log-normal bounds apart", lambda n: LogNormal(0, 1, low=1e3),
     ParameterError, ["LogNormal", "fraction", "low=1000"]),
    ("exponential mean 0", lambda n: Exponential(0), ParameterError, ["Exponential", "mean > 0", "mean=0"]),
    ("exponential bounds apart", lambda n: Exponential(1, low=10),
     ParameterError, ["Exponential", "fraction", "low=10"]),
    ("exponential bound NaN", lambda n: Exponential(1, high=NAN), ParameterError, ["Exponential", "low < high", "nan"]),
    ("gamma infinite", lambda n: Gamma(INF, 1), ParameterError, ["Gamma", "finite shape", "inf"]),
    ("gamma bounds apart", lambda n: Gamma(2, 1, high=1e-3), ParameterError, ["Gamma", "fraction", "high=0.001"]),
    ("integers of fractions", lambda n: Integers(1.5, 3), ParameterError, ["Integers", "whole", "1.5"]),
    ("integers infinite", lambda n: Integers(0, INF), ParameterError, ["Integers", "whole", "inf"]),
]

SIMULATIONS = [
    ("no network", lambda n: Simulation("brain"), ParameterError, ["Simulation", "Network", "'brain'"]),
    ("no population", lambda n: Simulation(Network(label="void")), NetworkError, ["void", "no population"]),
    ("dt 0", lambda n: built(n, dt=0), ParameterError, ["Simulation.dt", "<= 1000 ms", "got 0"]),
    ("dt negative", lambda n: built(n, dt=-0.1), ParameterError, ["Simulation.dt", "ms", "got -0.1"]),
    ("dt NaN", lambda n: built(n, dt=NAN), ParameterError, ["Simulation.dt", "ms", "got nan"]),
    ("dt tiny", lambda n: built(n, dt=1e-300), ParameterError, ["Simulation.dt", ">= 1e-06", "got 1e-300"]),
    ("dt text", lambda n: built(n, dt="0.1"), ParameterError, ["Simulation.dt", "ms", "got '0.1'"]),
    ("dt bool", lambda n: built(n, dt=True), ParameterError, ["Simulation.dt", "ms", "got True"]),
    ("dt of a description", lambda n: n.describe(INF), ParameterError, ["dt", "<= 1000 ms", "got inf"]),
    ("seed negative", lambda n: built(n, seed=-1), ParameterError, ["Simulation.seed", ">= 0", "got -1"]),
    ("seed float", lambda n: built(n, seed=1.0), ParameterError, ["Simulation.seed", "whole", "got 1.0"]),
    ("seed bool", lambda n: built(n, seed=True), ParameterError, ["Simulation.seed", "whole", "got True"]),
    ("seed too large", lambda n: built(n, seed=2**63), ParameterError, ["Simulation.seed", "< 2**63"]),
    ("seed of a network", lambda n: Network(seed=-1), ParameterError, ["Network.seed", ">= 0", "got -1"]),
    ("seed of a network float", lambda n: Network(seed=1.5), ParameterError, ["Network.seed", "whole", "got 1.5"]),
    ("seed of a network bool", lambda n: Network(seed=False), ParameterError, ["Network.seed", "whole", "got False"]),
    ("seed of a network None", lambda n: Network(seed=None), ParameterError, ["Network.seed", "whole", "got None"]),
    ("label of a network", lambda n: Network(label=None), NetworkError, ["Network.label", "text", "got None"]),
    ("threads 0", lambda n: built(n, threads=0), ParameterError, ["Simulation.threads", "1 and 256", "got 0"]),
    ("threads 1000", lambda n: built(n, threads=1000), ParameterError, ["Simulation.threads", "1 and 256", "got 1000"]),
    ("threads text", lambda n: built(n, threads="all"), ParameterError, ["Simulation.threads", "1 and 256", "'all'"]),
    ("update unknown", lambda n: built(n, update="lazy"), ParameterError, ["Simulation.update", "'clock'", "'lazy'"]),
    ("stream a number", lambda n: built(n, stream=5), ParameterError, ["Simulation.stream", "path", "got 5"]),
    ("refractory for ever", lambda n: (n["cells"].set(tau_refrac=1e300), built(n)), ParameterError,
     ["cells: IF_curr_exp.tau_refrac", "<= 1e+06 ms", "steps", "got 1e+300"]),
    ("capacitance of nothing", lambda n: (n["cells"].set(cm=1e-320), built(n)), ParameterError,
     ["cells: IF_curr_exp", "too extreme", "0.1 ms"]),
    ("neuron without states", lambda n: ns.neuron({"a": 1.0}, {}), ParameterError, ["at least one state"]),
    ("neuron of text", lambda n: ns.neuron({"a": "x"}, {"v": 0.0}), ParameterError, ["a", "finite number", "'x'"]),
    ("neuron of a list", lambda n: ns.neuron(["a"], {"v": 0.0}), ParameterError, ["dicts", "['a']"]),
    ("neuron of one receptor", lambda n: ns.neuron({}, {"v": 0.0}, "ampa"), ParameterError, ["receptors", "'ampa'"]),
    ("neuron of another unit", lambda n: ns.neuron({}, {"v": 0.0}, weight_unit="pA"), ParameterError, ["'nA'", "'pA'"]),
    ("memory", lambda n: (n.population(10**6, IF_curr_exp(), "p"), joined(n, pre="p", post="p"), built(n)),
     NetworkError,
     ["brain", "GiB", "1e+12 synapses", "memory are free"]),
    ("memory of indices", lambda n: (n.population(2**31 - 1, IF_curr_exp(), "p"),
                                     joined(n, FixedProbabilityConnector(0.5, False), pre="cells", post="p"), built(n)),
     NetworkError, ["brain", "GiB", "memory are free"]),
]

# as above, done to a simulation of network() that has run for a while
RUNNING = [
    ("run 0", lambda s: s.run(0), ParameterError, ["duration", "> 0 ms", "got 0"]),
    ("run negative", lambda s: s.run(-1.0), ParameterError, ["duration", "> 0 ms", "got -1"]),
    ("run NaN", lambda s: s.run(NAN), ParameterError, ["duration", "> 0 ms", "got nan"]),
    ("run text", lambda s: s.run("10"), ParameterError, ["duration", "> 0 ms", "'10'"]),
    ("run bool", lambda s: s.run(True), ParameterError, ["duration", "> 0 ms", "True"]),
    ("run off the grid", lambda s: s.run(0.25), ParameterError, ["multiple of dt = 0.1 ms", "got 0.25 ms"]),
    ("run without end", lambda s: s.run(1e300), ParameterError, ["duration", "ms", "got 1e+300"]),
    ("step 0", lambda s: s.step(0), ParameterError, ["Simulation.step", ">= 1", "got 0"]),
    ("step half", lambda s: s.step(1.5), ParameterError, ["Simulation.step", "whole", "got 1.5"]),
    ("set unknown", lambda s: s.set(s.network["cells"], tau_m=3.0),
     ParameterError, ["cells", "rate, current and states", "follow()", "'tau_m'"]),
    ("set of wrong shape", lambda s: s.set(s.network["cells"], v=[1.0, 2.0]),
     ParameterError, ["cells.v", "10", "(2,)"]),
    ("set 2-D", lambda s: s.set(s.network["cells"], current=np.ones((10, 1))),
     ParameterError, ["cells.current", "(10, 1)"]),
    ("set NaN", lambda s: s.set(s.network["cells"], current=NAN), ParameterError, ["cells.current", "nA", "got nan"]),
    ("set text", lambda s: s.set(s.network["cells"], v="rest"), ParameterError, ["cells.v", "number", "'rest'"]),
    ("set drawn", lambda s: s.set(s.network["cells"], v=Uniform(-70, -60)), ParameterError, ["cells.v", "Uniform"]),
    ("set rate of a neuron", lambda s: s.set(s.network["cells"], rate=3.0), ParameterError, ["cells", "no rate"]),
    ("set rate negative", lambda s: s.set(s.network["source"], rate=-3.0),
     ParameterError, ["source.rate", ">= 0 Hz", "-3"]),
    ("set rate out of reach", lambda s: s.set(s.network["source"], rate=1e12),
     ParameterError, ["source.rate", "<= 1e+07 Hz"]),
    ("set current of a source", lambda s: s.set(s.network["source"], current=1.0),
     ParameterError, ["source", "current"]),
    ("set v of a source", lambda s: s.set(s.network["source"], v=1.0), ParameterError, ["source", "'v'"]),
    ("set elsewhere", lambda s: s.set(network()["cells"], v=1.0), NetworkError, ["does not belong"]),
    ("set a label", lambda s: s.set("cells", v=1.0), NetworkError, ["'cells'", "does not belong"]),
    ("set the simulation", lambda s: s.set(s, v=1.0), NetworkError, ["does not belong"]),
    ("set with one unknown", lambda s: s.set(s.network["cells"], v=-60.0, w=1.0), ParameterError, ["'w'"]),
    ("get unknown", lambda s: s.get(s.network["cells"], "w"), ParameterError, ["cells", "'w'", "v, isyn_exc"]),
    ("get list", lambda s: s.get(s.network["cells"], ["v"]), ParameterError, ["cells", "['v']", "v, isyn_exc"]),
    ("get v of a source", lambda s: s.get(s.network["source"], "v"), ParameterError, ["source", "'v'", "none"]),
    ("get elsewhere", lambda s: s.get(network()["cells"], "v"), NetworkError, ["does not belong"]),
    ("save where there is no folder", lambda s: s.save("/no/where/a.nsim"),
     FileFormatError, ["/no/where/a.nsim", "No such file"]),
]

BORDER = POPULATIONS + PROJECTIONS + INPUTS + SIMULATIONS


def refused(action, thing, error, fragments):
    with pytest.raises(NeurosimError) as caught:
        action(thing)
    assert type(caught.value) is error
    message = str(caught.value)
    assert len(message) < 700
    for fragment in fragments:
        assert fragment in message, message


@pytest.mark.parametrize("action, error, fragments", [case[1:] for case in BORDER], ids=[case[0] for case in BORDER])
def test_malformed_descriptions_are_refused(action, error, fragments):
    refused(action, network(), error, fragments)


def test_there_are_many_cases_of_different_names():
    assert len(BORDER) + len(RUNNING) > 200
    assert len({case[0] for case in BORDER + RUNNING}) == len(BORDER) + len(RUNNING)


@pytest.fixture(scope="module")
def template():
    return running(network())


def running(n):
    n["cells"].record(["spikes", "v"])
    joined(n, weight=5.0, pre="source")
    n.poisson_input(n["cells"], 2000.0, 1.0)
    sim = Simulation(n, seed=5, threads=1)
    sim.run(20.0)
    return sim


@pytest.fixture(scope="module")
def undisturbed(template):
    twin = template.branch()
    twin.run(20.0)
    return twin.result


@pytest.mark.parametrize("action, error, fragments", [case[1:] for case in RUNNING], ids=[case[0] for case in RUNNING])
def test_a_running_simulation_goes_on_after_an_error(template, undisturbed, action, error, fragments):
    sim = template.branch()
    before = sim.result
    refused(action, sim, error, fragments)
    assert sim.t == pytest.approx(20.0)
    assert same(sim.result, before)
    sim.run(20.0)
    assert same(sim.result, undisturbed)
    assert sim.result.spikes("cells").count > 0


def same(a, b):
    return (np.array_equal(a.spikes("cells").times, b.spikes("cells").times)
            and np.array_equal(a.spikes("cells").ids, b.spikes("cells").ids)
            and np.array_equal(a.traces("cells", "v").values, b.traces("cells", "v").values))


ATOMIC = [case[:2] for case in POPULATIONS + PROJECTIONS + INPUTS
          if not {"built", "described", "describe"} & set(case[1].__code__.co_names)]


def test_a_refused_description_leaves_the_network_as_it_was():
    assert len(ATOMIC) > 120
    n = network()
    before = n.fingerprint()
    for name, action in ATOMIC:
        with pytest.raises(NeurosimError):
            action(n)
        assert n.fingerprint() == before and n.records == [], name
    with pytest.raises(NetworkError):
        n.record(None, ["spikes", "v"])
    assert n.records == []


def test_a_population_added_later_is_not_part_of_the_simulation():
    sim = running(network())
    late = sim.network.population(2, IF_curr_exp(), "late")
    with pytest.raises(NetworkError, match="late was added after"):
        sim.get(late, "v")
    with pytest.raises(SimulationError, match="make a new Simulation"):
        sim.step()


def test_negative_indices_count_from_the_end_as_in_numpy():
    n = network()
    assert n["cells"][-1].indices.tolist() == [9]
    assert n["cells"][[-1, 0]].indices.tolist() == [9, 0]
    assert n["cells"][2:8][-2:].indices.tolist() == [6, 7]
    assert n["cells"][np.int64(3)].indices.tolist() == [3]
    assert n["cells"][np.arange(10) % 2 == 0].size == 5


def test_arrays_given_are_copied():
    tau = np.full(10, 20.0)
    n = network()
    n["cells"].set(tau_m=tau)
    tau[:] = -1.0
    assert (n["cells"].cell.tau_m == 20.0).all()


def test_times_of_a_source_can_be_set():
    n = network()
    source = n.population(2, SpikeSourceArray([1.0]), "times")
    source.set(spike_times=[[1.0], [3.0, 2.0]])
    assert [row.tolist() for row in source.cell.rows(2, "times")] == [[1.0], [2.0, 3.0]]
    with pytest.raises(ParameterError, match="2 rows, got 3"):
        source.set(spike_times=[[1.0], [2.0], [3.0]])


# ------------------------------------------------------------------------------------- defaults and lists


@pytest.mark.parametrize("dt", [0.05, 0.1, 0.5, 2.0])
def test_the_default_delay_is_one_step(dt):
    n = network()
    n.project(n["cells"], n["cells"], ONE, 0.1)
    assert n.projections[0].delay is None
    assert "10 synapses" in str(n.describe(dt))
    sim = Simulation(n, dt=dt, threads=1)
    assert sim._store.longest_delay == sim._store.shortest_delay == 1


def test_weights_and_delays_may_be_lists():
    n = network()
    projection = n.project(n["cells"], n["cells"], ONE, [0.1 * k for k in range(10)], [1.0] * 10)
    from neurosim import wiring
    _, _, weight, delay = wiring.arrays(projection, n.seed, 0.1)
    assert weight.tolist() == [0.1 * k for k in range(10)]
    assert np.allclose(delay, 1.0)


def test_two_inputs_of_one_label_are_two_trains():
    n = network()
    first, second = (n.poisson_input(n["cells"], 100.0, 0.1) for _ in range(2))
    assert first.label != second.label


def test_time_constants_far_below_a_step_are_no_trouble():
    for tau in (1e-3, 1e-300):
        n = network()
        n["cells"].set(tau_syn_E=tau).record("v")
        n["cells"].initialize(isyn_exc=1.0)
        joined(n, weight=5.0, pre="source")
        result = Simulation(n, dt=1.0, threads=1).run(200.0)
        assert np.isfinite(result.traces("cells", "v").values).all()


def test_models_of_no_unit_ask_for_no_sign():
    @ns.neuron(parameters={"tau": 10.0}, states={"x": 0.0})
    def Free(s, p, x):
        s.x += x.excitatory + x.inhibitory
        return False

    n = network()
    n.population(2, Free(), "free")
    assert joined(n, weight=-1.0, post="free").sign == 0


# ------------------------------------------------------------------------------------- every declared parameter

MODELS = [getattr(module, name) for module in (cells, currents) for name in module.__all__]
MODELS = [m for m in MODELS if dataclasses.is_dataclass(m) and issubclass(m, (cells.Model, currents.CurrentSource))]
DECLARED = [(m, name, p) for m in MODELS for name, p in ns.parameters.parameters_of(m).items()]


def test_models_and_parameters_are_found():
    names = {m.__name__ for m in MODELS}
    assert {"IF_curr_exp", "Izhikevich", "SpikeSourcePoisson", "SpikeSourceInhGamma", "DCSource"} <= names
    assert len(MODELS) >= 18 and len(DECLARED) > 130
    assert sum(p.low > -INF or p.high < INF for _, _, p in DECLARED) > 60


def outside(p):
    """Numbers that the range excludes."""
    values = [st.sampled_from([NAN, INF, -INF])]
    if p.low > -INF:
        values.append(st.floats(max_value=p.low, allow_infinity=False, exclude_max=not p.open_low))
    if p.high < INF:
        values.append(st.floats(min_value=p.high, allow_infinity=False, exclude_min=not p.open_high))
    return st.one_of(values)


@given(data=st.data())
def test_every_parameter_refuses_what_is_outside_its_range(data):
    for model, name, p in DECLARED:
        value = data.draw(outside(p), label=f"{model.__name__}.{name}")
        with pytest.raises(ParameterError) as caught:
            model(**{name: value})
        assert str(caught.value) == f"{model.__name__}.{name} must be {p.range_text()}, got {value:g}: {p.sentence}"


@pytest.mark.parametrize("value", ["3", None, True, 1j, b"3", {}, object()], ids=lambda v: type(v).__name__)
def test_every_parameter_refuses_what_is_no_number(value):
    for model, name, p in DECLARED:
        message = rf"^{model.__name__}\.{name} must be (a|one) number.*{re.escape(p.sentence)}$"
        with pytest.raises(ParameterError, match=message):
            model(**{name: value})


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_every_model_names_its_parameters_when_one_is_unknown(model):
    names = [f.name for f in dataclasses.fields(model)]
    with pytest.raises(ParameterError) as caught:
        model(nonsense=1.0)
    assert str(caught.value) == f"{model.__name__} has no parameter 'nonsense'; it has {', '.join(names)}"
    assert pickle.loads(pickle.dumps(model())) is not None


# ------------------------------------------------------------------------------------- truncated distributions

TRUNCATED = [
    (LogNormal(0.0, 1.0, low=0.5, high=3.0), LogNormal(0.0, 1.0)),
    (Exponential(2.0, low=0.5, high=3.0), Exponential(2.0)),
    (Gamma(2.0, 1.0, low=0.5, high=3.0), Gamma(2.0, 1.0)),
    (Gamma(0.5, 2.0, low=0.1), Gamma(0.5, 2.0)),
    (Normal(1.0, 1.0, low=0.5, high=3.0), Normal(1.0, 1.0)),
]


@pytest.mark.parametrize("cut, whole", TRUNCATED, ids=lambda d: type(d).__name__)
def test_truncated_draws_are_those_of_the_whole_distribution_that_lie_inside(cut, whole):
    drawn, all_drawn = cut.draw(7, 0, 20000), whole.draw(7, 0, 20000)
    low, high = cut.support()
    inside = (all_drawn >= low) & (all_drawn <= high)
    assert 0.2 < inside.mean() < 0.99
    assert (drawn >= low).all() and (drawn <= high).all()
    np.testing.assert_allclose(drawn[inside], all_drawn[inside], rtol=1e-14)
    assert abs(drawn[~inside].mean() - all_drawn[inside].mean()) < 0.05
    quantiles = np.linspace(0.05, 0.95, 19)
    np.testing.assert_allclose(np.quantile(drawn, quantiles), np.quantile(all_drawn[inside], quantiles), atol=0.08)
    np.testing.assert_array_equal(cut.draw(7, 500, 100), drawn[500:600])


def test_truncated_distributions_can_be_delays():
    n = network()
    for law in (LogNormal(0.0, 0.5, low=0.1, high=20.0), Exponential(1.0, low=0.1), Gamma(2.0, 1.0, low=0.1)):
        joined(n, delay=law)
    assert "3 projections" in str(n.describe(0.1))


def test_the_gamma_function_that_guards_redraws():
    from neurosim.parameters import _gamma_cdf
    assert _gamma_cdf(1.0, 2.0) == pytest.approx(1.0 - math.exp(-2.0), rel=1e-12)
    assert _gamma_cdf(0.5, 2.0) == pytest.approx(math.erf(math.sqrt(2.0)), rel=1e-12)
    assert _gamma_cdf(3.0, 1e9) == 1.0 and _gamma_cdf(3.0, 0.0) == 0.0
    for a in (1e3, 9e4, 2e5, 1e9):
        assert _gamma_cdf(a, a + math.sqrt(a)) == pytest.approx(0.8413, abs=5e-3)


# ------------------------------------------------------------------------------------- files


def test_streams_that_cannot_be_written_are_refused_before_anything_is_built(tmp_path, monkeypatch):
    def never(*arguments):
        raise AssertionError("built")

    monkeypatch.setattr("neurosim.engine.build", never)
    foreign = tmp_path / "thesis.doc"
    foreign.write_text("years of work")
    lost = tmp_path / "none" / "a.nsim"
    for path, reason in ((lost, "No such file"), (tmp_path, "not a file"), (foreign, "it is kept")):
        with pytest.raises(FileFormatError, match=f"cannot write {path}: .*{reason}"):
            built(network(), stream=path)
    assert foreign.read_text() == "years of work"


def test_a_stream_cannot_be_reset_and_keeps_what_it_has(tmp_path):
    n = network()
    n["source"].record("spikes")
    with Simulation(n, threads=1, stream=tmp_path / "a.nsim") as sim:
        sim.run(50.0)
        with pytest.raises(SimulationError, match="streams cannot be reset"):
            sim.reset()
        with pytest.raises(ParameterError):
            sim.set(n["source"], rate=-1.0)
        sim.run(50.0)
    kept = ns.Result.load(tmp_path / "a.nsim")
    assert kept.t_stop == pytest.approx(100.0)
    assert np.array_equal(kept.spikes("source").times, sim.result.spikes("source").times)


def test_a_stream_of_a_loaded_state_begins_where_it_was_saved(tmp_path):
    sim = running(network())
    sim.save(tmp_path / "a.nsim")
    loaded = Simulation.load(tmp_path / "a.nsim", described_as_running(), threads=1, stream=tmp_path / "b.nsim")
    loaded.run(10.0)
    loaded.close()
    sim.run(10.0)
    kept = ns.Result.load(tmp_path / "b.nsim")
    assert (kept.t_start, kept.t_stop) == pytest.approx((20.0, 30.0))
    late = sim.result.spikes("cells").times > 20.0 + 1e-6
    assert np.array_equal(kept.spikes("cells").times, sim.result.spikes("cells").times[late])


def described_as_running(change=lambda n: None):
    n = network()
    n["cells"].record(["spikes", "v"])
    joined(n, weight=5.0, pre="source")
    n.poisson_input(n["cells"], 2000.0, 1.0)
    change(n)
    return n


OTHER = [
    ("another size", lambda n: n.population(2, IF_curr_exp(), "more")),
    ("another parameter", lambda n: n["cells"].set(v_rest=-64.0)),
    ("another rate", lambda n: n["source"].set(rate=3.0)),
    ("another weight", lambda n: joined(n, weight=Normal(1.0, 0.1), label="new")),
    ("another input", lambda n: n.inputs.__setitem__(0, dataclasses.replace(n.inputs[0], rate=1.0))),
    ("another start", lambda n: n["cells"].initialize(v=-60.0)),
    ("another current", lambda n: n.inject(DCSource(0.1), n["cells"])),
]


@pytest.fixture(scope="module")
def saved(template, tmp_path_factory):
    path = tmp_path_factory.mktemp("state") / "a.nsim"
    template.save(path)
    return path


@pytest.mark.parametrize("change", [case[1] for case in OTHER], ids=[case[0] for case in OTHER])
def test_states_of_another_network_are_refused(saved, change):
    with pytest.raises(FileFormatError, match="a.nsim was saved from another network"):
        Simulation.load(saved, described_as_running(change), threads=1)


def test_other_recordings_are_no_other_network(saved):
    Simulation.load(saved, described_as_running(lambda n: n["cond"].record("v")), threads=1).run(1.0)


def rewritten(path, out, change):
    """The same state with something else in its frames."""
    header, frames = store.read_all(path)
    content = {frame.kind: dict(frame.arrays) for frame in frames}
    change(header, content)
    store.write_all(out, header, [(kind, {}, arrays) for kind, arrays in content.items()])
    return out


HOSTILE = [
    ("no dt", lambda h, c: h.pop("dt")),
    ("dt text", lambda h, c: h.update(dt="fast")),
    ("dt negative", lambda h, c: h.update(dt=-1.0)),
    ("seed None", lambda h, c: h.update(seed=None)),
    ("update unknown", lambda h, c: h.update(update="rm -rf")),
    ("no fingerprint", lambda h, c: h.pop("fingerprint")),
    ("a result", lambda h, c: h.update(content="result")),
    ("step negative", lambda h, c: h.update(step=-5)),
    ("step too late", lambda h, c: h.update(step=2**80)),
    ("step a list", lambda h, c: h.update(step=[1])),
    ("no state", lambda h, c: c.pop("state")),
    ("no history", lambda h, c: c.pop("history")),
    ("no currents", lambda h, c: c.pop("held")),
    ("state cut", lambda h, c: c["state"].update(x=c["state"]["x"][:-1])),
    ("state of another type", lambda h, c: c["state"].update(x=c["state"]["x"].astype(np.float32))),
    ("state lacks potentials", lambda h, c: c["state"].pop("x")),
    ("history of more spikes", lambda h, c: c["history"].update(counts=c["history"]["counts"] + 1)),
    ("history of fewer than none", lambda h, c: c["history"].update(counts=c["history"]["counts"] * 0 - 1)),
    ("history of strangers", lambda h, c: c["history"].update(spikes=c["history"]["spikes"] + 10**6)),
    ("history below 0", lambda h, c: c["history"].update(spikes=c["history"]["spikes"] - 10**6)),
    ("currents unpaired", lambda h, c: c["held"].update(cells=np.arange(3))),
]


@pytest.mark.parametrize("change", [case[1] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_hostile_states_are_refused(saved, tmp_path, change):
    assert store.read_all(saved)[1][1].arrays["spikes"].size > 0
    path = rewritten(saved, tmp_path / "b.nsim", change)
    with pytest.raises(FileFormatError, match="saved"):
        Simulation.load(path, described_as_running(), threads=1)


FOREIGN = [b"", b"\x89NSIM", b"PK\x03\x04" + bytes(40), pickle.dumps({"content": "state"}), b"x" * 4096]


@pytest.mark.parametrize("content", FOREIGN, ids=range(len(FOREIGN)))
def test_foreign_states_are_refused(tmp_path, content):
    path = tmp_path / "a.nsim"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="a.nsim"):
        Simulation.load(path, network())


def test_truncated_states_are_refused(saved, tmp_path):
    whole = saved.read_bytes()
    path = tmp_path / "a.nsim"
    for size in range(0, len(whole), max(1, len(whole) // 40)):
        path.write_bytes(whole[:size])
        with pytest.raises(FileFormatError, match="a.nsim"):
            Simulation.load(path, network())
    for at in range(10, len(whole), max(1, len(whole) // 40)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1:])
        with pytest.raises(FileFormatError, match="a.nsim"):
            Simulation.load(path, network())
    with pytest.raises(FileFormatError, match="cannot read"):
        Simulation.load(tmp_path / "missing.nsim", network())
    with pytest.raises(ParameterError, match="Simulation.threads"):
        Simulation.load(saved, described_as_running(), threads=0)
    with pytest.raises(ParameterError, match="needs a Network"):
        Simulation.load(saved, "brain")


class Bomb:
    """Unpickling it would leave a trace."""

    def __reduce__(self):
        return os.mkdir, ("exploded",)


def zipped(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)


def npy(shape, data, dtype="'<f8'"):
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}}}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def test_hostile_lists_of_synapses_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = npy((2,), struct.pack("<2d", 0.0, 1.0))
    np.savez("pickled.npz", pre=np.array([Bomb(), Bomb()], dtype=object), post=np.zeros(2))
    np.save("array.npy", np.zeros((2, 2)))
    os.rename("array.npy", "array.npz")
    with open("pickle.npz", "wb") as file:
        pickle.dump(Bomb(), file)
    with open("pickle.txt", "wb") as file:
        pickle.dump(Bomb(), file)
    zipped("huge.npz", pre=npy((10**12,), b""), post=good)
    zipped("nested.npz", pre=b"\x93NUMPY\x01\x00" + struct.pack("<H", 60000) + b"[" * 60000, post=good)
    zipped("bomb.npz", pre=npy((10**6,), bytes(8 * 10**6)), post=good)
    zipped("lengths.npz", pre=npy((3,), bytes(24)), post=good)
    zipped("names.npz", source=good, target=good)
    with zipfile.ZipFile("damaged.npz", "w") as archive:
        archive.writestr("pre.npy", good)
    data = Path("damaged.npz").read_bytes()
    Path("damaged.npz").write_bytes(data[:60] + b"\xff" + data[61:])
    Path("short.npz").write_bytes(data[:50])
    Path("empty.npz").write_bytes(b"")
    Path("words.txt").write_text("0 1\none two\n")
    Path("ragged.txt").write_text("0 1\n0 1 2\n")
    Path("code.txt").write_text("# columns = __import__('os').mkdir('exploded')\n0 1\n")
    Path("deep.txt").write_text("# columns = " + "[" * 5000 + "\n0 1\n")
    Path("columns.txt").write_text("# columns = ['i', 'j', 'weight']\n0 1\n")
    files = sorted(os.listdir())
    assert len(files) >= 15
    for path in files:
        with pytest.raises(FileFormatError, match=f"FromFileConnector.file '{path}'"):
            FromFileConnector(path)
    assert not os.path.exists("exploded")


def test_memory_is_asked_for_only_after_the_estimate(monkeypatch):
    n = network()
    joined(n)
    monkeypatch.setattr("neurosim.description._free_memory", lambda: 100.0)
    monkeypatch.setattr("neurosim.engine.make_groups", lambda *a: pytest.fail("allocated"))
    message = r"brain needs about .* GiB \(100 synapses\), but only .* GiB of memory are free"
    with pytest.raises(NetworkError, match=message):
        built(n)


def test_errors_are_also_of_the_built_in_kind():
    assert issubclass(ParameterError, ValueError) and issubclass(NetworkError, ValueError)
    assert issubclass(FileFormatError, ValueError) and issubclass(SimulationError, RuntimeError)
