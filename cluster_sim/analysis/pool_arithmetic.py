"""What arithmetic says of one pool, as records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cluster_sim.physics.cache_groups import CacheGroup
from cluster_sim.topology import Route


@dataclass(frozen=True)
class WaferArithmetic:
    """The placement of one replica on wafers, and its pipeline."""

    regions: int
    """Number of regions."""
    cuts: tuple[str, ...]
    """Name of the first part on each wafer but the first."""
    layer_cores: tuple[int, int]
    """Cores of the smallest and of the largest region with a layer."""
    weight_fill: tuple[float, float]
    """Share of the SRAM that weights take, on the emptiest and on the fullest wafer."""
    kv_tokens: tuple[int, int]
    """KV cache capacity of the layers on the fullest and on the emptiest wafer; the first is that
    of the replica [tokens]."""
    slots: float
    """Number of tokens that are in the pipeline at once."""
    station_s: float
    """Time that a decoding token takes in the slowest pipeline stage, without its keys [s]."""


@dataclass(frozen=True)
class PoolArithmetic:
    """One pool, worked out without simulating."""

    name: str
    """Name of the pool."""
    replicas: int
    """Number of replicas."""
    devices_a_replica: int
    """Number of devices per replica."""
    weight_bytes: float
    """Weights on one device, or on all wafers of a replica [B]."""
    runtime_bytes: float | None
    """Memory of one device for the runtime, activations of dense layers and windows; None on wafers
    [B]."""
    activation_bytes: float
    """Memory of one device for what experts and the sampler need beyond that [B]."""
    kv_bytes: float
    """Memory of one device, or of all wafers of a replica, for the KV cache [B]."""
    kv_token_bytes: float
    """KV of one token on one device, or on all wafers of a replica [B]."""
    kv_tokens: int
    """KV cache capacity of one replica, in whole blocks [tokens].

    Where groups of layers share pages: the model's longest context times the sequences of that
    length which fit at once, as vLLM logs it.
    """
    step_at_1_s: float
    """Length of a step with one sequence that decodes at the mean context [s]."""
    full_batch: int
    """Number of sequences that decode at once when there is always another waiting."""
    step_when_full_s: float
    """Mean length of a step then, prompts included [s]."""
    requests_per_s: float
    """Highest rate of the whole pool [1/s]."""
    bound_by: str
    """Limit that keeps the batch from being larger."""
    parts: dict[str, float]
    """Share of the step when full by what it is spent on."""
    path: Route
    """Path from the front door to the first device."""
    role: str = "both"
    """Part of a request that the pool serves: `both`, `prefill` or `decode`."""
    load_s: float | None = None
    """Time until the weights of a replica are on its devices, as on a cold start; None where the
    node's file does not say [s]."""
    wafers: WaferArithmetic | None = None
    """Placement of a replica on wafers; None on other devices."""
    kv_pages: int = 0
    """Number of pages that groups of layers share on one replica; 0: one group has all blocks."""
    kv_page_bytes: float = 0.0
    """Size of a page on one device [B]."""
    kv_groups: tuple[CacheGroup, ...] = ()
    """Groups of layers that share them."""
    kv_pages_per_sequence: float = 0.0
    """Number of pages of a sequence that decodes at the mean context."""
    hit_tokens: int = 0
    """Number of tokens of which every prefix that is found is a multiple; 0 without prefix caching,
    and where one group has all blocks."""
    kv_transfer_s: float | None = None
    """Time to move the KV of a prompt of mean length to the first decode replica, alone on its
    path; None for a pool that does not prefill for others [s]."""

    def usd_per_million_output_tokens(
        self, usd_per_hour: float, output_tokens: float
    ) -> float | None:
        """Return the cost of output tokens at the highest rate: no load makes them cheaper.

        Parameters
        ----------
        usd_per_hour
            Running cost of the pool [USD/h].
        output_tokens
            Mean output tokens of a request.

        Returns
        -------
        float | None
            Cost of a million output tokens [USD]; None for a pool that serves only prompts or only
            what follows, and for one that serves nothing.
        """
        if self.role != "both" or not self.requests_per_s:
            return None
        return 1e6 * usd_per_hour / (3600.0 * self.requests_per_s * output_tokens)


def highest_rate_per_s(pools: Sequence[PoolArithmetic]) -> float:
    """Return the highest rate of all pools together [1/s].

    Prefill and decode pools serve no more than either can.
    """
    by_role = {
        role: sum(pool.requests_per_s for pool in pools if pool.role == role)
        for role in ("both", "prefill", "decode")
    }
    return by_role["both"] + min(by_role["prefill"], by_role["decode"])
