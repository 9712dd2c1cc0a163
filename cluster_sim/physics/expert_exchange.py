"""Exchange of tokens between the attention of data-parallel ranks and the experts of all ranks."""

from __future__ import annotations

from functools import cached_property
from math import ceil, comb
from typing import NamedTuple

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.exchange_fits import ExchangeFit, OneWayFit
from cluster_sim.llm.layers.feed_forward import Experts
from cluster_sim.llm.model import Model
from cluster_sim.physics import node_collectives
from cluster_sim.physics.collectives import all_gather_s, all_to_all_s, reduce_scatter_s
from cluster_sim.physics.exchange_kinds import (
    KINDS,
    ROW_BYTES,
    ExchangeKind,
    GroupShape,
    chosen_kind,
    sent_format,
)
from cluster_sim.physics.exchange_times import Parcels, one_way_s
from cluster_sim.physics.expert_load import SpreadExperts, busiest_group
from cluster_sim.physics.gemm import ACTIVATION_BYTES
from cluster_sim.physics.replica_layout import ReplicaLayout

NETWORK_START_S = 12e-6
"""Additional time of one way over the network, beside the latency from device to device [s].

It is fitted to DeepEP's table of low-latency kernels on H800 (docs/legacy.md, 16 to 256 devices,
128 tokens per device), with the start inside a node of an H100 and a latency of 8 us. The
bandwidth is that of the ports as the network gives it, 46 GB/s of 50 GB/s for InfiniBand NDR.
"""


class WayTimes(NamedTuple):
    """Times of the two ways of an exchange."""

    dispatch_s: float
    """Time of sending tokens to their experts [s]."""
    combine_s: float
    """Time of sending the outputs of experts back [s]."""


class ExpertExchange:
    """Exchange of one layer of a model under one engine, for steps with or without prompts.

    Parameters
    ----------
    model
        Model with experts.
    device
        Device of the group.
    layout
        Distribution of the model over devices, with several ranks of attention.
    has_prompts
        Whether the steps have prompts.
    """

    def __init__(
        self, model: Model, device: Device, layout: ReplicaLayout, *, has_prompts: bool
    ) -> None:
        assert model.experts is not None
        self._model, self._experts, self._device = model, model.experts, device
        self._layout = layout
        self._devices = layout.tensor_parallel * layout.data_parallel
        shape = GroupShape(
            self._devices, layout.expert_parallel, layout.network.nodes, self._experts.top_k
        )
        plan = layout.exchange
        name = plan.prefill if has_prompts else plan.decode
        self.kind = chosen_kind(name, device, layout.engine, shape, has_prompts=has_prompts)
        """Kind of exchange."""
        self._fit = device.exchanges.of(self.kind)
        if self._fit is not None and layout.network.nodes > 1:
            self._fit = _over_nodes(self._fit)

    def times(self, tokens: int) -> WayTimes:
        """Return the times of both ways for `tokens` of all ranks."""
        if self._fit is None:
            return self._collectives(tokens)
        return self._kernels(self._fit, KINDS[self.kind], tokens)

    def _kernels(self, fit: ExchangeFit, kind: ExchangeKind, tokens: int) -> WayTimes:
        """Return the times of kernels that send each token to the devices of its experts."""
        model, layout = self._model, self._layout
        width = model.expert_hidden
        computed: str = model.computed_in(layout.weights, "experts")
        if computed == "fp4" and model.fp4_format == "mxfp4":
            computed = "mxfp4"
        sent = sent_format(self.kind, layout.engine, computed)
        fullest = self._fullest(tokens) if kind.copies == "experts" else self._fullest_once(tokens)
        return WayTimes(
            self._way_s(fit.dispatch, tokens, width * ROW_BYTES[sent] + kind.header_bytes, fullest),
            self._way_s(fit.combine, tokens, width * ROW_BYTES["bf16"], fullest),
        )

    def _way_s(self, fit: OneWayFit, tokens: int, row_bytes: float, fullest: float) -> float:
        """Return the time of one way [s]."""
        kind, network, spread = KINDS[self.kind], self._layout.network, self._spread
        processors: float = fit.processors
        if kind.sends_per_expert:
            processors = spread.slots / ceil(spread.slots / fit.processors)
        each = tokens / self._devices
        inside, remote = self._copies
        parcels = Parcels(
            each,
            inside,
            row_bytes,
            self._devices / network.nodes,
            spread.slots,
            processors,
            fullest,
        )
        if network.nodes == 1:
            return float(one_way_s(fit, parcels))
        if kind.copies_between_nodes == "nodes":
            fullest = 1.0
        beside_s = fullest * each * remote * row_bytes / network.device_bytes_per_s
        return network.latency_s + float(one_way_s(fit, parcels, beside_s))

    @cached_property
    def _copies(self) -> tuple[float, float]:
        """Number of copies per token over the links of nodes, and over the network."""
        kind, experts, nodes = KINDS[self.kind], self._experts, self._layout.network.nodes
        if kind.copies == "experts":
            away = experts.top_k * (1.0 - 1.0 / nodes)
            return experts.top_k - away, away
        reached = reached_nodes(experts, nodes)
        return reached_devices(experts, self._devices), reached * (1.0 - 1.0 / nodes)

    @cached_property
    def _spread(self) -> SpreadExperts:
        return self._layout.spread(self._experts)

    def _fullest(self, tokens: int) -> float:
        """Return the copies of the fullest device beyond what chance alone gives, as a ratio.

        The measured tables have experts drawn at random over devices with as many experts each, so
        chance is a part of the fits.
        """
        groups, rows = self._spread.groups, self._experts.top_k * tokens
        by_chance = busiest_group(groups, rows) / groups * rows
        return max(self._layout.expert_load.busiest(self._spread, tokens).rows / by_chance, 1.0)

    def _fullest_once(self, tokens: int) -> float:
        """Return that ratio if a device gets one copy of a token for all of its experts there."""
        ratio, top_k = self._fullest(tokens), self._experts.top_k
        share = 1.0 / self._layout.expert_parallel
        even = 1.0 - (1.0 - share) ** top_k
        return (1.0 - (1.0 - min(ratio * share, 1.0)) ** top_k) / even

    def _collectives(self, tokens: int) -> WayTimes:
        """Return the times of NCCL's collectives among all devices."""
        fits, devices = self._device.collectives, self._devices
        size = tokens * self._model.hidden * ACTIVATION_BYTES
        over = self._layout.nodes_of(devices)
        if over is not None:
            return WayTimes(
                node_collectives.all_gather_s(fits, over, size),
                node_collectives.reduce_scatter_s(fits, over, size),
            )
        gathered = WayTimes(
            all_gather_s(fits.all_gather, devices, size),
            reduce_scatter_s(fits.reduce_scatter, devices, size),
        )
        if self.kind == "all_gather_reduce_scatter" or fits.all_to_all is None:
            return gathered
        copies = min(self._experts.top_k, self._layout.expert_parallel)
        sent_s = all_to_all_s(fits.all_to_all, devices, size * copies / devices)
        sent = WayTimes(sent_s, sent_s)
        return sent if self.kind == "nccl_all_to_all" else min(gathered, sent, key=sum)


def _over_nodes(fit: ExchangeFit) -> ExchangeFit:
    """Return the fit of a kind with the start of its kernels over the network."""
    ways = {"dispatch": fit.dispatch, "combine": fit.combine}
    return fit.model_copy(
        update={
            name: way.model_copy(update={"start_s": way.start_s + NETWORK_START_S})
            for name, way in ways.items()
        }
    )


def reached_devices(experts: Experts, devices: int) -> float:
    """Return the mean number of devices that hold experts of a token.

    Experts are drawn at random without replacement: R (1 - C(E - E/R, k) / C(E, k)). A number of
    experts that does not divide is shared in fractions.

    >>> from cluster_sim.llm.layers.feed_forward import Experts
    >>> round(reached_devices(Experts(count=8, top_k=2, ffn=1), 4), 3)  # 4 (1 - 15/28)
    1.857
    """
    return _reached(experts.count, experts.top_k, devices)


def reached_nodes(experts: Experts, nodes: int) -> float:
    """Return the mean number of nodes that hold experts of a token.

    Routing that first chooses groups of experts limits the nodes (DeepSeek-V3: 4 of 8 groups,
    arXiv 2412.19437, section 2.1.2). Nodes hold whole groups; with more nodes than groups, several
    nodes share one.

    >>> from cluster_sim.llm.layers.feed_forward import Experts
    >>> plain = Experts(count=256, top_k=8, ffn=1)
    >>> limited = plain.model_copy(update={"routing_groups": 8, "routed_groups": 4})
    >>> round(reached_nodes(plain, 8), 2), round(reached_nodes(limited, 8), 2)
    (5.29, 3.6)
    """
    groups, chosen = experts.routing_groups, experts.routed_groups
    if chosen is None or chosen >= groups or nodes == 1:
        return _reached(experts.count, experts.top_k, nodes)
    candidates = _reached(groups, chosen, nodes) if nodes <= groups else chosen * nodes / groups
    return candidates * (1.0 - (1.0 - 1.0 / candidates) ** experts.top_k)


def _reached(number: int, drawn: int, parts: int) -> float:
    """Return the mean number of `parts` that hold some of `drawn` of `number` things."""
    each = number / parts
    if each != int(each):
        return parts * (1.0 - (1.0 - 1.0 / parts) ** drawn)
    missed = comb(number - int(each), drawn) / comb(number, drawn)
    return parts * (1.0 - missed)
