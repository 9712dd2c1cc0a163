"""Arithmetic estimates of one pool, as records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cluster_sim.analysis.engine_facts import EngineFacts
from cluster_sim.physics.cache_groups import CacheGroup
from cluster_sim.topology import Route


@dataclass(frozen=True)
class WaferArithmetic:
    """The placement of one replica on wafers, and its pipeline."""

    regions: int
    """Number of regions."""
    cuts: tuple[str, ...]
    """Name of the first part on each wafer except the first."""
    layer_cores: tuple[int, int]
    """Number of cores of the smallest and of the largest region with a layer."""
    weight_fill: tuple[float, float]
    """Share of the SRAM that weights take, on the emptiest and on the fullest wafer."""
    kv_tokens: tuple[int, int]
    """KV cache capacity of the layers on the fullest and on the emptiest wafer [tokens]. The first
    is that of the replica."""
    slots: float
    """Number of tokens in the pipeline at a time."""
    station_s: float
    """Time of a decoding token in the slowest pipeline stage, without reading its keys [s]."""


@dataclass(frozen=True)
class PoolArithmetic:
    """Estimates of one pool, computed without simulation."""

    name: str
    """Name of the pool."""
    replicas: int
    """Number of replicas."""
    devices_a_replica: int
    """Number of devices per replica."""
    weight_bytes: float
    """Weights on one device, or on all wafers of a replica [B]."""
    runtime_bytes: float | None
    """Memory of one device for the runtime, activations of dense layers and windows [B]; None for
    wafers."""
    activation_bytes: float
    """Memory of one device for further activations of experts and the sampler [B]."""
    kv_bytes: float
    """Memory of one device, or of all wafers of a replica, for the KV cache [B]."""
    kv_token_bytes: float
    """Size of the KV cache of one token on one device, or on all wafers of a replica [B]."""
    kv_tokens: int
    """KV cache capacity of one replica, in whole blocks [tokens].

    If groups of layers share pages, it is the model's longest context times the number of such
    sequences that fit simultaneously, as vLLM logs it.
    """
    step_at_1_s: float
    """Length of a step with one sequence that decodes at the mean context [s]."""
    full_batch: int
    """Number of sequences that decode simultaneously with a constant queue."""
    step_when_full_s: float
    """Mean length of a step with a full batch, prefill included [s]."""
    requests_per_s: float
    """Highest rate of the whole pool [1/s]."""
    bound_by: str
    """Limit that keeps the batch from being larger."""
    parts: dict[str, float]
    """Share of each kind of work in a step with a full batch."""
    path: Route
    """Path from the front door to the first device."""
    engine: EngineFacts
    """Limits and CUDA graphs of the engine."""
    weights_format: str = ""
    """Format in which the weights are served."""
    kv_cache_format: str = ""
    """Format of the KV cache."""
    role: str = "both"
    """Phases of a request that the pool serves: `both`, `prefill` or `decode`."""
    load_s: float | None = None
    """Time to load the weights of a replica, as on a cold start [s]; None if the node's file does
    not give it."""
    clock: str = ""
    """Frequency policy, which the estimates leave out; empty if there is none."""
    scaling: str = ""
    """Numbers of replicas between which the pool is scaled, and the target; empty if it is not."""
    start_s: float | None = None
    """Time from the decision to add a replica until it is ready [s]; None if the pool is not
    scaled."""
    wafers: WaferArithmetic | None = None
    """Placement of a replica on wafers; None for other devices."""
    kv_pages: int = 0
    """Number of pages that groups of layers share on one replica; 0 if one group has all blocks."""
    kv_page_bytes: float = 0.0
    """Size of a page on one device [B]."""
    kv_groups: tuple[CacheGroup, ...] = ()
    """Groups of layers that share the pages."""
    kv_pages_per_sequence: float = 0.0
    """Number of pages of a sequence that decodes at the mean context."""
    hit_tokens: int = 0
    """Number of tokens of which every reused prefix is a multiple; 0 without prefix caching, or if
    one group has all blocks."""
    kv_transfer_s: float | None = None
    """Time of the KV transfer of a prompt of mean length to the first decode replica without other
    traffic [s]; None for a pool that does not prefill for others."""

    def usd_per_million_output_tokens(
        self, usd_per_hour: float, output_tokens: float
    ) -> float | None:
        """Return the cost of output tokens at the highest rate, the lowest cost at any load.

        Parameters
        ----------
        usd_per_hour
            Running cost of the pool [USD/h].
        output_tokens
            Mean output tokens of a request.

        Returns
        -------
        float | None
            Cost per million output tokens [USD]; None for a pool that serves only prefill or only
            decode, and for a pool that serves nothing.
        """
        if self.role != "both" or not self.requests_per_s:
            return None
        return 1e6 * usd_per_hour / (3600.0 * self.requests_per_s * output_tokens)


def highest_rate_per_s(pools: Sequence[PoolArithmetic]) -> float:
    """Return the highest rate of all pools together [1/s].

    The rate of prefill and decode pools is the smaller of the two.
    """
    by_role = {
        role: sum(pool.requests_per_s for pool in pools if pool.role == role)
        for role in ("both", "prefill", "decode")
    }
    return by_role["both"] + min(by_role["prefill"], by_role["decode"])
