"""INTERIM."""
import numpy as np
from pyNN import common
from pyNN.core import ezip
from pyNN.space import Space
from . import simulator
from .standardmodels import StaticSynapse
from .. import FromListConnector


class Connection(common.Connection):
    def __init__(self, prj, k):
        self.__dict__.update(prj=prj, k=k)
    presynaptic_index = property(lambda s: s.prj._pre[s.k])
    postsynaptic_index = property(lambda s: s.prj._post[s.k])
    def __getattr__(self, n): return self.prj._v[n][self.k]
    def __setattr__(self, n, v): self.prj._v[n][self.k]=v
    def as_tuple(self, *names): return tuple(getattr(self, n) for n in names)


class Projection(common.Projection):
    _simulator = simulator
    _static_synapse_class = StaticSynapse

    def __init__(self, presynaptic_population, postsynaptic_population, connector, synapse_type=None, source=None,
                 receptor_type=None, space=Space(), label=None):
        common.Projection.__init__(self, presynaptic_population, postsynaptic_population, connector, synapse_type, source,
                                   receptor_type, space, label)
        self._pre=[]; self._post=[]; self._v={n: [] for n in self.synapse_type.get_parameter_names()}
        self.native=[]; self.stale=True
        connector.connect(self)
        simulator.state.projections.append(self); simulator.state.changed()
    def __len__(self): return len(self._pre)
    def shortest_delay(self): return min(self._v.get("delay",[1e9]))
    def longest_delay(self): return max(self._v.get("delay",[0]))
    @property
    def connections(self): return (Connection(self,k) for k in range(len(self)))
    def __getitem__(self,k): return Connection(self,k)
    def _convergent_connect(self, pre, post, location_selector=None, **params):
        for n,i in enumerate(pre):
            self._pre.append(int(i)); self._post.append(int(post))
            for name,v in params.items(): self._v[name].append(float(v[n]) if np.ndim(v) else float(v))
    def _set_attributes(self, ps):
        ps.evaluate(simplify=False)
        for name, value in ps.items():
            for k in range(len(self)): self._v[name][k]=value[self._pre[k], self._post[k]]
        self.stale=True; simulator.state.changed()
    def _get_attributes_as_list(self, names):
        return [tuple(self._pre[k] if n=="presynaptic_index" else self._post[k] if n=="postsynaptic_index" else self._v[n][k] for n in names) for k in range(len(self))]
    def _get_attributes_as_arrays(self, names, multiple_synapses="sum"):
        out=[]
        for n in names:
            a=np.full(self.shape, np.nan)
            for k in range(len(self)): a[self._pre[k],self._post[k]]=self._v[n][k]
            out.append(a)
        return out
    def describe_to(self, network):
        pre=simulator.state.native_cells(self.pre); post=simulator.state.native_cells(self.post)
        P=np.array(self._pre,int); Q=np.array(self._post,int); n=0
        for a,ia in pre:
            for b,ib in post:
                keep=np.isin(P,ia)&np.isin(Q,ib)
                if not keep.any(): continue
                w=np.array(self._v["weight"])[keep]; d=np.array(self._v["delay"])[keep]
                rows=np.column_stack([np.searchsorted(ia,P[keep]),np.searchsorted(ib,Q[keep])]).tolist()
                vals={k: (v[0] if len(set(v))==1 else np.array(v)) for k,v in self._v.items()}
                kw=dict(connector=FromListConnector(rows), weight=w, delay=d, synapse=self.synapse_type.native_synapse(vals))
                if n < len(self.native): self.native[n]=network.replace(self.native[n], **kw)
                else: self.native.append(network.project(a,b,receptor=self.receptor_type,label=f"{self.label} {len(network.projections)}",**kw))
                n+=1
        self.stale=False
