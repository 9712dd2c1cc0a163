"""Layouts of a model on nodes: the smallest one that fits and that arithmetic finds sufficient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, inf
from typing import Any, NamedTuple

from cluster_sim.analysis.estimate import explain
from cluster_sim.analysis.pool_arithmetic import PoolArithmetic, highest_rate_per_s
from cluster_sim.analysis.request_lengths import sampled_lengths
from cluster_sim.errors import Fault, ScenarioError
from cluster_sim.hardware.node import Node
from cluster_sim.loading.files import scenarios_of
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Document

_MAX_NODES = 64
"""Number of nodes that are tried where the number is free."""
_USED = 0.8
"""Share of the highest rate up to which a layout is sufficient; queues grow long beyond it."""
_PRECISIONS = (None, "fp8", "fp4")
"""Precisions of the weights in the order in which they are tried; None is the published one."""
_OF_PLAN = "cluster.pools[0].replica."
"""Beginning of faults of a single key of a layout, such as a number of ranks that splits no heads."""


class Wanted(NamedTuple):
    """Known properties of a layout; None for a property that is free."""

    nodes: int | None = None
    """Number of nodes; None for as many as the replicas need."""
    replicas: int | None = None
    """Number of replicas; None for as many as the nodes hold."""
    tensor_parallel: int | None = None
    """Number of tensor-parallel ranks of a replica; None for any."""
    weights: str | None = None
    """Precision of the weights; None for the published one."""
    is_smallest: bool = False
    """Whether the smallest layout that fits is chosen, even if it is too small for the traffic."""


@dataclass(frozen=True)
class Layout:
    """One layout of a model on nodes that fits."""

    nodes: int
    """Number of nodes."""
    replica: Mapping[str, Any]
    """Keys of `replica` in a scenario."""
    scenario: Scenario
    """Scenario with this layout."""
    pool: PoolArithmetic
    """Arithmetic of its pool."""
    shortfall: str | None
    """Sentence that says why arithmetic finds it too small; None for a sufficient layout."""

    @property
    def size(self) -> str:
        """Number of replicas, and number of devices of a replica, in words."""
        pool = self.pool
        replicas = f"{pool.replicas} replicas" if pool.replicas > 1 else "one replica"
        noun = "wafer" if pool.wafers is not None else "device"
        several = pool.devices_a_replica > 1
        return f"{replicas} of {f'{pool.devices_a_replica} {noun}s' if several else f'one {noun}'}"

    @property
    def plan(self) -> dict[str, Any]:
        """Keys of `replica` with the formats of weights and KV cache, which may be the defaults."""
        replica = self.scenario.cluster.pools[0].replica
        formats = {
            "weights": str(replica.weights_of(self.scenario.model)),
            "kv_cache": str(replica.kv_cache),
        }
        parallel = {key: value for key, value in self.replica.items() if key != "engine"}
        return parallel | formats | {"engine": self.replica["engine"]}

    @property
    def rate_per_s(self) -> float:
        """Highest rate of all replicas [1/s]."""
        return highest_rate_per_s([self.pool])


def engine_of(node: Node) -> str:
    """Return the name of the engine that serves on a node's devices."""
    device = node.device
    if device.wafer is not None:
        return "cerebras"
    is_compiled = device.systolic is not None or device.weight_memory is not None
    return "compiled" if is_compiled else "vllm"


def layouts(keys: Mapping[str, Any], node: Node, wanted: Wanted, file: str) -> list[Layout]:
    """Return the layouts that fit, the chosen one first, the others from small to large.

    The smallest sufficient layout is chosen, else the one with the highest rate. Weights have the
    published precision, and a lower one only if they do not fit otherwise.

    Parameters
    ----------
    keys
        Keys of the scenario, without `cluster.pools[0].replica` and its number of nodes.
    node
        Node of the pool.
    wanted
        Known properties of the layout.
    file
        File of the scenario, beside which files that it names are looked for.

    Raises
    ------
    ScenarioError
        No layout fits. It says why the largest does not.
    """
    faults: list[Fault] = []
    weights = wanted.weights
    for precision in _PRECISIONS if weights is None else (weights,):
        for group in _groups(node, wanted):
            fitting: list[Layout] = []
            for count, replica in group:
                plan = replica | ({} if precision is None else {"weights": precision})
                try:
                    fitting.append(_layout(keys, count, plan, file))
                except ScenarioError as error:
                    faults += error.faults if precision == weights else ()
            if fitting:
                return fitting if wanted.is_smallest else _chosen_first(fitting)
    of_memory = [fault for fault in faults if not fault.what.startswith(_OF_PLAN)]
    raise ScenarioError([(of_memory or faults)[-1]])


def _chosen_first(fitting: list[Layout]) -> list[Layout]:
    chosen = next(
        (layout for layout in fitting if layout.shortfall is None),
        max(fitting, key=lambda layout: layout.rate_per_s),
    )
    return [chosen, *(layout for layout in fitting if layout is not chosen)]


def _groups(node: Node, wanted: Wanted) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    """Yield groups of numbers of nodes and keys of `replica`, from small to large replicas.

    A group is tried only if nothing in the groups before it fits.
    """
    engine = {"engine": engine_of(node)}
    nodes, replicas = wanted.nodes, wanted.replicas or 1
    if node.device.wafer is not None:
        if nodes is not None:
            yield [(nodes, {"wafers": each} | engine) for each in _divisors(nodes * node.devices)]
        else:
            for count in range(1, _MAX_NODES + 1):
                yield [(replicas * count, {"wafers": count * node.devices} | engine)]
        return
    ranks = _divisors(node.devices) if wanted.tensor_parallel is None else [wanted.tensor_parallel]
    yield [
        (nodes or ceil(replicas * each / node.devices), {"tensor_parallel": each} | engine)
        for each in ranks
    ]
    for count in range(1, _MAX_NODES + 1) if nodes is None else (nodes,):
        for span in (count,) if nodes is None else _divisors(count):
            plans = ((each, span * node.devices // each) for each in reversed(ranks))
            yield [
                (
                    count if nodes is not None else replicas * count,
                    {"tensor_parallel": each, "pipeline_parallel": stages} | engine,
                )
                for each, stages in plans
                if stages > 1
            ]


def _divisors(number: int) -> list[int]:
    return [each for each in range(1, number + 1) if number % each == 0]


def _layout(keys: Mapping[str, Any], nodes: int, replica: Mapping[str, Any], file: str) -> Layout:
    """Return a layout; raises ScenarioError for one that does not fit."""
    pool = keys["cluster"]["pools"][0] | {"nodes": nodes, "replica": dict(replica)}
    document = Document(dict(keys) | {"cluster": keys["cluster"] | {"pools": [pool]}}, file)
    scenario = scenarios_of(document).scenario()
    [arithmetic] = explain(scenario)
    return Layout(nodes, replica, scenario, arithmetic, _shortfall(scenario, arithmetic))


def _shortfall(scenario: Scenario, pool: PoolArithmetic) -> str | None:
    """Return why a pool is too small for the traffic; None for one that is not."""
    clients, peak_per_s = _load(scenario)
    if pool.role == "both" and peak_per_s > pool.requests_per_s:
        return f"its highest rate is {pool.requests_per_s:,.3g} requests/s, and up to {peak_per_s:,.6g} arrive"
    mean_per_s = _mean_per_s(scenario)
    if mean_per_s > _USED * pool.requests_per_s:
        return f"its highest rate is {pool.requests_per_s:,.3g} requests/s, and {mean_per_s:,.6g} arrive on average"
    step_s = _step_s(scenario, pool, clients, peak_per_s)
    tpot_s = scenario.slo.tpot_s
    if tpot_s is not None and step_s > tpot_s:
        return f"a step takes about {1e3 * step_s:,.3g} ms under this traffic, and a token may take {1e3 * tpot_s:,.3g} ms"
    if clients is not None and clients > pool.full_batch * pool.replicas:
        return f"it decodes at most {pool.full_batch * pool.replicas:,} requests at the same time ({pool.bound_by}), and {clients:,} are under way"
    return None


def _load(scenario: Scenario) -> tuple[int | None, float]:
    """Return the number of clients, None without, and the rate while all bursts last [1/s]."""
    arrivals = scenario.workload.arrivals
    if arrivals is None:
        return None, 0.0
    if (clients := arrivals.waiting_clients()) is not None:
        return clients.number, 0.0
    return None, arrivals.peak_rate_per_s()


def _mean_per_s(scenario: Scenario) -> float:
    arrivals = scenario.workload.arrivals
    return 0.0 if arrivals is None else arrivals.mean_rate_per_s(scenario.duration_s) or 0.0


def _step_s(scenario: Scenario, pool: PoolArithmetic, clients: int | None, rate_per_s: float) -> float:  # fmt: skip
    """Return the mean length of a step under the traffic [s].

    A step's length is taken as linear in the batch, between one sequence and a full batch. The
    batch follows from the rate by Little's law: rate times output tokens times step.
    """
    if pool.full_batch <= 1:
        return pool.step_at_1_s
    slope_s = (pool.step_when_full_s - pool.step_at_1_s) / (pool.full_batch - 1)
    if clients is not None:
        batch = min(clients / pool.replicas, pool.full_batch)
        return pool.step_at_1_s + slope_s * max(batch - 1.0, 0.0)
    tokens_per_s = rate_per_s / pool.replicas * sampled_lengths(scenario).output_tokens
    if tokens_per_s * slope_s >= 1.0:
        return inf
    step_s = (pool.step_at_1_s - slope_s) / (1.0 - tokens_per_s * slope_s)
    return min(max(step_s, pool.step_at_1_s), pool.step_when_full_s)
