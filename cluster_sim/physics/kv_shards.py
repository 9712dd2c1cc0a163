"""Parts of a KV cache that devices of one replica send to devices of another replica.

Prefill and decode replicas may have different layouts. Tensor-parallel devices share the heads of a
KV cache; they copy heads if there are fewer heads than devices, and every device has all of a
latent vector. If several sending devices hold a part of the cache, one of them sends it. Every
receiving device gets all of its parts, copies included.

Sources: vLLM's NIXL connector reads a copied part from device `rank x sending // receiving`, the
first one that has it (vllm/distributed/kv_transfer/kv_connector/v1/nixl/tp_mapping.py,
`compute_tp_mapping`). SGLang takes the first device of the range that has it and treats the others
as dummies (python/sglang/srt/disaggregation/common/conn.py, `target_tp_rank`). TensorRT-LLM takes
the device whose number among the copies is the receiving attention data-parallel rank modulo their
number (cpp/tensorrt_llm/executor/cache_transmission/cacheSplitConcat.cu, `targetIRanks`;
cacheFormatter.cpp, `needSendCache`). Pipeline stages send their own layers in all of them.
"""

from __future__ import annotations

from math import lcm
from typing import NamedTuple


class KvShards(NamedTuple):
    """Spread of the KV cache of one sequence over the devices of one attention rank."""

    stages: int
    """Number of pipeline stages, which have equal numbers of layers."""
    tensor: int
    """Number of tensor-parallel devices per stage."""
    parts: int
    """Number of parts into which the cache of a layer can be split: KV heads, or 1 for latent
    vectors. 0: the devices share the cache evenly in any number of parts, as wafers do."""

    @property
    def devices(self) -> int:
        """Number of devices."""
        return self.stages * self.tensor

    @property
    def groups(self) -> int:
        """Number of groups of tensor-parallel devices with different parts."""
        return min(self.tensor, self.parts)


class DevicePair(NamedTuple):
    """Devices at both ends of one path, as numbers within their attention ranks."""

    sending: int
    """Number of the sending device, stage by stage."""
    receiving: int
    """Number of the receiving device, stage by stage."""


def device_pairs(source: KvShards, target: KvShards, turn: int = 0) -> tuple[DevicePair, ...]:
    """Return the paths of a KV cache from one attention rank to another; all carry equal bytes.

    Parameters
    ----------
    source, target
        Spread of the cache over the sending and the receiving devices.
    turn
        Number that chooses among the sending devices with the same part: the first one with 0.

    Returns
    -------
    tuple[DevicePair, ...]
        Pairs of devices. The first pair has the receiving device 0.

    Examples
    --------
    Two devices with four KV heads each send to four devices with two heads each; a latent vector on
    four devices is sent to two devices, by the first and the third:

    >>> [tuple(pair) for pair in device_pairs(KvShards(1, 2, 8), KvShards(1, 4, 8))]
    [(0, 0), (0, 1), (1, 2), (1, 3)]
    >>> [tuple(pair) for pair in device_pairs(KvShards(1, 4, 1), KvShards(1, 2, 1))]
    [(0, 0), (2, 1)]
    """
    if not source.parts or not target.parts:
        count = max(source.devices, target.devices)
        return tuple(
            DevicePair(number % source.devices, number % target.devices) for number in range(count)
        )
    pairs = []
    slices, parts = lcm(source.stages, target.stages), lcm(source.groups, target.groups)
    copies, held = target.tensor // target.groups, source.tensor // source.groups
    for layer in range(slices):
        first = layer * source.stages // slices * source.tensor
        last = layer * target.stages // slices * target.tensor
        for part in range(parts):
            first_copy = first + part * source.groups // parts * held
            last_copy = last + part * target.groups // parts * copies
            for copy in range(copies):
                sending = first_copy + _copy_sent(copy, copies, held, turn)
                pairs.append(DevicePair(sending, last_copy + copy))
    return tuple(pairs)


def _copy_sent(copy: int, copies: int, held: int, turn: int) -> int:
    """Return the number of the sender, among those that hold a part, for one of its copies.

    copies, held: numbers of devices that receive and hold the part.
    """
    return copy * held // copies + turn % max(held // copies, 1)
