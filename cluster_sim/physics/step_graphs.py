"""Sizes of steps that run as CUDA graphs, and costs of the launches of all other steps.

A step that runs as one graph costs the host a single launch. A step in pieces runs everything but
attention as graphs: one graph per layer and, between two graphs, the kernels of attention, which
the host launches one by one. All kernels of an eager step are launched one by one. Graphs are
captured for some sizes. A smaller step is padded to the next size, and a step above the largest
size is eager. Source: vLLM 0.11 to 0.33, `v1/cudagraph_dispatcher.py`, and
`docs/design/cuda_graphs.md` (splitting at attention, order full, piecewise, none); TensorRT-LLM,
`_torch/pyexecutor/cuda_graph_runner.py` (padding, exact sizes).

Two constants describe a step in pieces. `piecewise_layer` is a minimum time per layer, as
`eager_layer` is for an eager step: the host cannot launch faster. `piece` is added per layer: the
start of attention and of the next graph, which the kernel before does not hide. Where they are not
fitted, they are estimated:

* piecewise_layer = eager_layer / 4. An eager layer of a dense model has about twelve launches:
  two norms, four products, two quantisations or copies, rotary embedding, activation, cache write
  and attention. A layer in pieces has three: cache write, attention and one graph.
* piece = launch_overlap x (start of decode attention + launch of a product), by the kernels that
  were measured alone: what one graph of the whole step would hide of these two starts.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.efficiency import Overhead
from cluster_sim.hardware.kernel_fits import fit_of_engine
from cluster_sim.llm.model import Model
from cluster_sim.physics.memo import Memo
from cluster_sim.physics.replica_layout import ReplicaLayout

PIECEWISE_SHARE = 0.25
"""Launches of a layer in pieces relative to those of an eager layer, an estimate."""


class LaunchCosts(NamedTuple):
    """Costs of the launches of a step that does not run as one CUDA graph."""

    eager_s: float
    """Minimum time of an eager step [s]."""
    pieces_s: float
    """Minimum time of a step in pieces [s]."""
    added_s: float
    """Time that a step in pieces takes longer than as one graph [s]."""


class GraphedStep(NamedTuple):
    """Padding of a step, and the costs of its launches."""

    tokens: int = 0
    """Number of tokens of one rank to which the step is padded; 0 for a step without a captured
    size."""
    added_s: float = 0.0
    """Time that the step takes longer than as one graph [s]."""
    floor_s: float = 0.0
    """Minimum time of the step [s]."""


class StepGraphs:
    """Sizes and launches of steps by their counts on one rank, each computed once and kept.

    Without a plan every decode step runs as one graph, padded to the next of `graph_batches`, and
    every step with a prompt is eager.
    """

    def __init__(self, layout: ReplicaLayout, costs: LaunchCosts) -> None:
        self._plan, self._costs = layout.graphs, costs
        self._batches = tuple(sorted(layout.graph_batches))
        self.decode = Memo(self._decode)
        """Decode step, by (sequences, tokens per sequence)."""
        self.mixed = Memo(self._mixed)
        """Step with prompt tokens, by its number of tokens."""

    def _decode(self, key: tuple[int, int]) -> GraphedStep:
        sequences, each = key
        plan = self._plan
        if plan is None:
            padded = _captured(self._batches, sequences)
            return GraphedStep(each * padded if padded > sequences else 0)
        if padded := _captured(plan.decode_sequences, sequences, padding=plan.padding):
            return GraphedStep(each * padded)
        return self._mixed(each * sequences)

    def _mixed(self, tokens: int) -> GraphedStep:
        plan, costs = self._plan, self._costs
        if plan is not None:
            if padded := _captured(plan.step_tokens, tokens, padding=plan.padding):
                return GraphedStep(padded)
            if padded := _captured(plan.piece_tokens, tokens, padding=plan.padding):
                return GraphedStep(padded, costs.added_s, costs.pieces_s)
        return GraphedStep(0, 0.0, costs.eager_s)


def _captured(sizes: tuple[int, ...], count: int, *, padding: bool = True) -> int:
    """Return the captured size for a count, which is at least one; 0 without such a graph."""
    place = bisect_left(sizes, count)
    if place == len(sizes) or not (padding or sizes[place] == count):
        return 0
    return sizes[place]


def launch_costs(model: Model, device: Device, layout: ReplicaLayout) -> LaunchCosts:
    """Return the costs of the launches of a model's steps; the module docstring has the rules.

    Parameters
    ----------
    model
        Shape of the model.
    device
        GPU that the replica runs on.
    layout
        Layout of the replica, with the name of the engine.

    Returns
    -------
    LaunchCosts
        Minimum times of a step, and the time that pieces add [s].

    Examples
    --------
    80 layers with at least 400 us each, or a quarter of it in pieces, beside the host's 37 us:

    >>> from cluster_sim.schema import catalog_entry
    >>> h200 = Device.model_validate(catalog_entry("devices", "h200-sxm"))
    >>> llama = Model.model_validate(catalog_entry("models", "llama-3.3-70b"))
    >>> host_s = h200.overhead("vLLM").step_s
    >>> costs = launch_costs(llama, h200, ReplicaLayout(engine="vLLM"))
    >>> round(costs.eager_s - host_s, 6), round(costs.pieces_s - host_s, 6)
    (0.032, 0.008)
    """
    overhead, layers = device.overhead(layout.engine), model.passed_layers
    latent = sum(kind.layers for kind in model.attention if kind.is_latent)
    latent_s = overhead.eager_latent_layer_s
    eager_s = eager_layer_s(overhead, layout)
    if latent_s is None:
        latent_s = eager_s
    more_s = latent * (latent_s - eager_s)
    more_s += model.moe_layers * overhead.eager_expert_layer_s
    return LaunchCosts(
        overhead.step_s + layers * eager_s + more_s,
        overhead.step_s + layers * piecewise_layer_s(overhead) + PIECEWISE_SHARE * more_s,
        layers * piece_s_of(device, layout),
    )


def eager_layer_s(overhead: Overhead, layout: ReplicaLayout) -> float:
    """Return the minimum time per layer of a step outside of graphs [s].

    An engine that captures pieces launches the compiled pieces of a larger step; an engine that
    captures whole decode steps alone launches every kernel.
    """
    has_pieces = layout.graphs is not None and bool(layout.graphs.piece_tokens)
    if has_pieces and overhead.eager_split_layer_s is not None:
        return overhead.eager_split_layer_s
    return overhead.eager_layer_s


def piecewise_layer_s(overhead: Overhead) -> float:
    """Return the minimum time per layer of a step in pieces, fitted or else estimated [s]."""
    if overhead.piecewise_layer_s is not None:
        return overhead.piecewise_layer_s
    return PIECEWISE_SHARE * overhead.eager_layer_s


def piece_s_of(device: Device, layout: ReplicaLayout) -> float:
    """Return the time per layer that pieces add, fitted or else estimated [s]."""
    overhead = device.overhead(layout.engine)
    if overhead.piece_s is not None:
        return overhead.piece_s
    if device.kernels is None:
        return 0.0
    product = fit_of_engine(device.kernels.gemm, layout.weights, layout.engine)
    attention = fit_of_engine(device.kernels.generation, layout.kv_cache, layout.engine)
    starts_s = (product.launch_s if product else 0.0) + (attention.start_s if attention else 0.0)
    return overhead.launch_overlap * starts_s
