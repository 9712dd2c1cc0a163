"""Time of a decode-attention kernel in which the longest part of a sequence counts.

FlashInfer's own decode kernel (FA2, without TRTLLM-gen) plans each step on the host: it cuts the
sequences into parts of equal length, and takes the shortest length for which all parts of all KV
heads are at most two thread blocks per processor. Without a thread block to spare, no sequence is
cut, and the kernel lasts until the longest sequence is read. (flashinfer 0.2 to 0.6,
attention/scheduler.cuh: `PrefillSplitQOKVIndptr`, with `num_blocks_per_sm = 2`.)
"""

from __future__ import annotations

from math import inf, log
from typing import NamedTuple

from cluster_sim.hardware.block_attention_fit import BlockAttentionFit
from cluster_sim.physics.attention import AttentionShape
from cluster_sim.physics.ramp import Ramp


class BlockAttention(NamedTuple):
    """Time of decode attention of one layer for a fixed batch of sequences.

    The time is `start_s` plus the larger one of two: reading all keys, `read_s` each, and the last
    thread block. The last block begins after `wait_s` per key of all sequences, and reads a part of
    `part` x the mean length for `key_s` per key: at least `least_keys`, at most the longest
    sequence.
    """

    start_s: float
    read_s: float
    key_s: float
    wait_s: float
    part: float
    least_keys: float
    batch: int

    def stretch(self, keys: float, growth: float, longest: float) -> Ramp:
        """Return the lengths of steps that read `keys` keys first, and `growth` more each time [s].

        `longest` is the number of keys of the longest sequence in the first step; the mean is used
        if it is shorter than that.

        >>> attention = BlockAttention(5.0, 0.01, 0.1, 0.0, float("inf"), 128, 2)
        >>> attention.stretch(2000.0, 2.0, 1500.0)[:2]  # 5 + 1500 x 0.1, one more key per step
        (155.0, 0.1)
        """
        mean, each = keys / self.batch, growth / self.batch
        key_s = self.key_s
        block = Ramp(key_s * max(longest, mean), key_s * each)
        if self.part != inf:
            part_s = key_s * self.part
            part = Ramp(part_s * mean, part_s * each).at_least(key_s * self.least_keys)
            block = block.at_most(part)
        waiting = Ramp(self.wait_s * keys, self.wait_s * growth)
        reading = Ramp(self.read_s * keys, self.read_s * growth)
        first_s, slope_s, valid_steps = block.plus(waiting).overlapped(reading, 1.0)
        return Ramp(self.start_s + first_s, slope_s, valid_steps)


def block_attention(fit: BlockAttentionFit, shape: AttentionShape, batch: int) -> BlockAttention:
    """Return the time of the decode attention of one layer for `batch` sequences.

    With S = thread_blocks / kv_heads parts per KV head, B sequences and lengths spread like an
    exponential distribution of mean m, parts of -m ln(1 - B/S) keys make S parts: B / (1 - e^(-C/m))
    parts have C keys at most. Sequences of equal length are shorter than that if B is near S, and
    are read whole, as in the plan.

    More thread blocks than run in parallel wait: the last one begins when the others have read all
    keys but those in progress, a mean length each.

    Parameters
    ----------
    fit
        Constants for the precision of the KV cache.
    shape
        Heads of one device.
    batch
        Number of sequences, at least 1.

    Returns
    -------
    BlockAttention
        Time by keys of all sequences and of the longest one.

    Examples
    --------
    40 sequences of 8 KV heads are more than 296 / 8 = 37 parts. The longest of 10,000 keys takes
    10,000 x 10 ns, and the last of 320 blocks begins 24 / 296 of the mean length, 1,000 keys, late:

    >>> values = {"start": "0 s", "key": "10 ns", "bandwidth": "7 TB/s", "thread_blocks": 296}
    >>> fit = BlockAttentionFit.model_validate(values)
    >>> attention = block_attention(fit, AttentionShape(64, 8, 128, 1.0), 40)
    >>> round(attention.stretch(40_000, 40, 10_000).first_s * 1e6, 2)
    100.81
    """
    slots, heads = fit.thread_blocks, shape.kv_heads
    parts = max(slots // heads, 1)
    return BlockAttention(
        start_s=fit.start_s,
        read_s=2.0 * heads * shape.head_dim * shape.kv_bytes / fit.bandwidth_bytes_per_s,
        key_s=fit.key_s,
        wait_s=fit.key_s * max(heads / slots - 1.0 / batch, 0.0),
        part=-log(1.0 - batch / parts) if batch < parts else inf,
        least_keys=fit.least_keys,
        batch=batch,
    )
