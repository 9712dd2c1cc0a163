"""Kernels that are measured: kernels of Llama 3.1 8B, 3.3 70B and 3.1 405B, and memory traffic.

The kernels of the models are those of tensor parallelism 1 to 8.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import NamedTuple

HEAD_DIM = 128
VOCABULARY = 128_256
TENSOR_PARALLEL = (1, 2, 4, 8)
TOKENS = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096, 8192)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CONTEXTS = tuple(1024 << doubling for doubling in range(8))
PROMPTS = (128, 256, 512, *CONTEXTS)
MOST_PROMPT_TOKENS = 131_072  # sum over all sequences of a prefill
MOST_FLOP = 1e14  # per kernel: a quarter of a second or less, so that no row takes seconds
COPIED_BYTES = tuple(
    2**exponent for exponent in range(26, 33)
)  # 64 MiB to 4 GiB: larger than caches
STREAMS = (1, 2, 3, 4)
DTYPES = {"bfloat16": 2, "fp8": 1}
ORDER_SEED = 0


class Llama(NamedTuple):
    """Sizes of a model that determine the sizes of its kernels."""

    hidden: int
    heads: int
    kv_heads: int
    ffn: int


LLAMAS = (
    Llama(4096, 32, 8, 14336),
    Llama(8192, 64, 8, 28672),
    Llama(16384, 128, 8, 53248),
)  # 8B, 70B, 405B: their config.json


@dataclass(frozen=True)
class Gemm:
    """Product of m tokens and a weight matrix with n outputs and k inputs.

    Weights and inputs have `gemm_dtype`; outputs have 16 bits.
    """

    gemm_dtype: str
    m: int
    n: int
    k: int

    table = "gemm"
    library = ""

    @property
    def kind(self) -> str:
        """Kind of the kernel; all kinds get about the same number of rows."""
        return f"GEMM {self.gemm_dtype}"

    @property
    def bytes(self) -> int:
        """Bytes that the kernel reads and writes."""
        return DTYPES[self.gemm_dtype] * (self.n * self.k + self.m * self.k) + 2 * self.m * self.n

    @property
    def flop(self) -> float:
        return 2.0 * self.m * self.n * self.k

    def columns(self) -> dict[str, object]:
        """Return the columns of the table that identify the kernel."""
        return {"op": "gemm", **asdict(self)}


@dataclass(frozen=True)
class Attention:
    """Attention of one layer on one device, by the kernels of a library.

    A decode generates one token for each of `batch` sequences with `tokens` cached tokens. A prefill
    processes `batch` sequences of `tokens` tokens.
    """

    library: str
    decodes: bool
    batch: int
    tokens: int
    heads: int
    kv_heads: int
    kv_cache_dtype: str = "bfloat16"

    table = "attention"

    @property
    def op(self) -> str:
        return "generation_attention" if self.decodes else "context_attention"

    @property
    def kind(self) -> str:
        return f"{self.op} {self.library} {self.kv_cache_dtype}"

    @property
    def bytes(self) -> int:
        keys_and_values = 2 * self.kv_heads * DTYPES[self.kv_cache_dtype] * self.tokens
        queries_and_outputs = 2 * self.heads * 2 * (1 if self.decodes else self.tokens)
        return self.batch * HEAD_DIM * (keys_and_values + queries_and_outputs)

    @property
    def flop(self) -> float:
        pairs = self.tokens if self.decodes else self.tokens * (self.tokens + 1) / 2
        return 4.0 * self.batch * self.heads * HEAD_DIM * pairs

    def columns(self) -> dict[str, object]:
        """Return the columns that identify the kernel.

        The context of a decode is `isl + step`, including the new token.
        """
        return {
            "op": self.op,
            "batch_size": self.batch,
            "isl": 1 if self.decodes else self.tokens,
            "step": self.tokens - 1 if self.decodes else 0,
            "num_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": HEAD_DIM,
            "window_size": 0,
            "kv_cache_dtype": self.kv_cache_dtype,
        }


@dataclass(frozen=True)
class Traffic:
    """Memory traffic: `op` is read, write, copy or read_beside_copies.

    During read_beside_copies, `streams` other streams copy without pause.
    """

    op: str
    bytes: int
    """Bytes of the operation over the memory bus. A copy reads one half and writes the other half."""
    streams: int = 0

    table = "traffic"
    library = ""
    flop = 0.0

    @property
    def kind(self) -> str:
        return "traffic"

    def columns(self) -> dict[str, object]:
        return asdict(self)


Kernel = Gemm | Attention | Traffic


def kernels(memory_bytes: float, libraries: Mapping[str, Sequence[str]]) -> list[Kernel]:
    """Return all kernels that fit into the memory, in the order in which they are measured.

    Kinds alternate, and the order within a kind is random with a fixed seed. A run that ends early
    has measured kernels of every kind and of all sizes.

    Parameters
    ----------
    memory_bytes
        Memory that a kernel may use [bytes].
    libraries
        Names of the installed attention libraries, by op.
    """
    rng = random.Random(ORDER_SEED)
    kinds: dict[str, list[Kernel]] = {}
    for kernel in (*_traffic(), *_attention(libraries), *_gemms()):
        if kernel.bytes <= memory_bytes and kernel.flop <= MOST_FLOP:
            kinds.setdefault(kernel.kind, []).append(kernel)
    for several in kinds.values():
        rng.shuffle(several)
    turns = range(max(map(len, kinds.values()), default=0))
    return [several[turn] for turn in turns for several in kinds.values() if turn < len(several)]


def _gemms() -> Iterator[Gemm]:
    layers, heads = set(), set()
    for llama, parallel in product(LLAMAS, TENSOR_PARALLEL):
        hidden, queries, ffn = (
            llama.hidden,
            llama.heads * HEAD_DIM // parallel,
            llama.ffn // parallel,
        )
        keys_and_values = 2 * llama.kv_heads * HEAD_DIM // parallel
        layers |= {
            (queries + keys_and_values, hidden),
            (hidden, queries),
            (2 * ffn, hidden),
            (hidden, ffn),
        }
        heads.add((VOCABULARY // parallel, hidden))
    for (n, k), m in product(sorted(layers | heads), TOKENS):
        yield Gemm("bfloat16", m, n, k)
    for (n, k), m in product(sorted(layers), TOKENS):  # the output head has 16 bits
        yield Gemm("fp8", m, n, k)


def _attention(libraries: Mapping[str, Sequence[str]]) -> Iterator[Attention]:
    heads = sorted(
        {
            (llama.heads // parallel, llama.kv_heads // parallel)
            for llama, parallel in product(LLAMAS, TENSOR_PARALLEL)
        }
    )
    for library, dtype, (queries, keys), batch, tokens in product(
        libraries["generation_attention"], DTYPES, heads, BATCHES, CONTEXTS
    ):
        yield Attention(library, True, batch, tokens, queries, keys, dtype)
    for library, (queries, keys), batch, tokens in product(
        libraries["context_attention"], heads, BATCHES, PROMPTS
    ):
        if batch * tokens <= MOST_PROMPT_TOKENS:
            yield Attention(library, False, batch, tokens, queries, keys)


def _traffic() -> Iterator[Traffic]:
    for op, size in product(("read", "write", "copy"), COPIED_BYTES):
        yield Traffic(op, size)
    for streams in STREAMS:
        yield Traffic("read_beside_copies", 2**30, streams)
