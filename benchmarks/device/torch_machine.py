"""Machine that measures kernels on one NVIDIA GPU with PyTorch."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from board import middle, reader
from machine import CannotError, Timing, copied, timing
from shapes import HEAD_DIM, Attention, Gemm, Kernel, Traffic
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

GRAPH_S = 5e-3  # minimum time of a graph, so that its start is negligible
MEASURED_S = 0.15  # time of all replays of a kernel, so that power can be read
BETWEEN_READINGS_S = 5e-3
REPLAYS = (3, 100)
MOST_LAUNCHES = 1024  # per graph
CACHES = 16  # total size of a kernel's buffers, as a multiple of the L2 cache
# share of the free memory for random numbers, of which inputs are slices; fp8 has another pool of
# half this size
POOL_SHARE = 0.3
PAGE_TOKENS = 16
STREAM_COPY_BYTES = 2**28
STREAM_COPIES = 64
READS = 7
WORKSPACE_BYTES = 2**28

_TORCH_DTYPES = {"bfloat16": torch.bfloat16, "fp8": torch.float8_e4m3fn}
_BACKENDS = {"sdpa-flash": SDPBackend.FLASH_ATTENTION, "sdpa-cudnn": SDPBackend.CUDNN_ATTENTION}
# Optional packages: name in tables -> name of the module.
_PACKAGES = {
    "flashinfer": "flashinfer",
    "flash-attn-3": "flash_attn_interface",
    "flash-attn-2": "flash_attn",
}

Launch = Callable[[], object]


class TorchMachine:
    """Implementation of `machine.Machine` for one NVIDIA GPU."""

    def __init__(self, device: str = "cuda") -> None:
        self.device = torch.device(device)
        about = torch.cuda.get_device_properties(self.device)
        self.system = about.name.lower().replace(" ", "_")
        self._name, self._cache_bytes = about.name, about.L2_cache_size
        self._has_fp8 = (about.major, about.minor) >= (8, 9) and hasattr(torch, "_scaled_mm")
        self._board, self._reads_with = reader(
            f"GPU-{about.uuid}" if hasattr(about, "uuid") else "0"
        )
        free_bytes, _ = torch.cuda.mem_get_info(self.device)
        self.memory_bytes = POOL_SHARE * free_bytes
        self._pools: dict[torch.dtype, Pool] = {}
        self._packages = {
            name: found
            for name, module in _PACKAGES.items()
            if (found := _imported(module)) is not None
        }
        self.libraries = {
            "generation_attention": (*self._packages, "sdpa-flash"),
            "context_attention": (
                *(name for name in self._packages if name != "flashinfer"),
                "sdpa-flash",
                "sdpa-cudnn",
            ),
        }
        self._workspace: torch.Tensor | None = None

    def describe(self) -> str:
        """Return one line about the GPU and the installed software."""
        missing = ", ".join(name for name in _PACKAGES if name not in self._packages) or "none"
        return (
            f"{self._name}, {self.version('')}; board read through {self._reads_with}; "
            f"attention libraries that are not installed: {missing}"
        )

    def version(self, library: str) -> str:
        own = f"torch {torch.__version__}"
        if library in self._packages:
            return f"{library} {getattr(self._packages[library], '__version__', '')} {own}".replace(
                "  ", " "
            )
        return f"{library} {own}".strip()

    def timed(self, kernel: Kernel) -> Timing:
        try:
            if isinstance(kernel, Traffic) and kernel.streams:
                return self._beside_copies(kernel)
            return self._graphed(self._launches(kernel))
        except CannotError:
            raise
        except Exception as error:  # libraries raise different errors for unsupported shapes
            torch.cuda.synchronize(self.device)  # a broken context raises again and ends the run
            torch.cuda.empty_cache()
            lines = str(error).strip().splitlines()
            raise CannotError(lines[0] if lines else type(error).__name__) from error

    def _launches(self, kernel: Kernel) -> list[Launch]:
        """Return launches of a kernel on enough sets of buffers that none is in the cache."""
        sets = min(math.ceil(CACHES * self._cache_bytes / kernel.bytes), MOST_LAUNCHES)
        if isinstance(kernel, Gemm):
            return [self._gemm(kernel) for _ in range(sets)]
        if isinstance(kernel, Traffic):
            return [self._traffic(kernel) for _ in range(sets)]
        make = self._decode(kernel) if kernel.decodes else self._prefill(kernel)
        return [make() for _ in range(sets)]

    def _gemm(self, kernel: Gemm) -> Launch:
        dtype = _TORCH_DTYPES[kernel.gemm_dtype]
        if kernel.gemm_dtype == "fp8" and not self._has_fp8:
            raise CannotError("this GPU or this PyTorch has no fp8 products")
        inputs, weights = (
            self._random(dtype, kernel.m, kernel.k),
            self._random(dtype, kernel.n, kernel.k).t(),
        )
        outputs = torch.empty(kernel.m, kernel.n, dtype=torch.bfloat16, device=self.device)
        if kernel.gemm_dtype == "bfloat16":
            return lambda: torch.mm(inputs, weights, out=outputs)
        one = torch.ones((), dtype=torch.float32, device=self.device)
        return lambda: torch._scaled_mm(
            inputs,
            weights,
            scale_a=one,
            scale_b=one,
            out_dtype=torch.bfloat16,
            use_fast_accum=True,
            out=outputs,
        )

    def _traffic(self, kernel: Traffic) -> Launch:
        if kernel.op == "read":
            numbers, total = (
                self._random(torch.bfloat16, kernel.bytes // 2).view(torch.float32),
                torch.empty((), device=self.device),
            )
            return lambda: torch.sum(numbers, dim=0, out=total)
        if kernel.op == "write":
            numbers = torch.empty(kernel.bytes // 4, dtype=torch.float32, device=self.device)
            return lambda: numbers.fill_(1.0)
        source = self._random(torch.bfloat16, kernel.bytes // 4)
        target = torch.empty_like(source)
        return lambda: target.copy_(source)

    def _prefill(self, kernel: Attention) -> Callable[[], Launch]:
        def make() -> Launch:
            queries = self._random(
                torch.bfloat16, kernel.batch, kernel.tokens, kernel.heads, HEAD_DIM
            )
            keys, values = (
                self._random(torch.bfloat16, kernel.batch, kernel.tokens, kernel.kv_heads, HEAD_DIM)
                for _ in range(2)
            )
            if kernel.library in _BACKENDS:
                return self._scaled_dot_product(kernel, queries, keys, values)
            package = self._packages[kernel.library]
            return lambda: package.flash_attn_func(queries, keys, values, causal=True)

        return make

    def _decode(self, kernel: Attention) -> Callable[[], Launch]:
        dtype = _TORCH_DTYPES[kernel.kv_cache_dtype]
        if kernel.library == "flashinfer":
            return self._paged_decode(kernel, dtype)
        if kernel.kv_cache_dtype != "bfloat16":
            raise CannotError("only FlashInfer's kernels are measured with an fp8 KV cache")

        def make() -> Launch:
            queries = self._random(torch.bfloat16, kernel.batch, 1, kernel.heads, HEAD_DIM)
            keys, values = (
                self._random(dtype, kernel.batch, kernel.tokens, kernel.kv_heads, HEAD_DIM)
                for _ in range(2)
            )
            if kernel.library in _BACKENDS:
                return self._scaled_dot_product(kernel, queries, keys, values)
            package = self._packages[kernel.library]
            lengths = torch.full(
                (kernel.batch,), kernel.tokens, dtype=torch.int32, device=self.device
            )
            return lambda: package.flash_attn_with_kvcache(
                queries, keys, values, cache_seqlens=lengths, causal=True
            )

        return make

    def _scaled_dot_product(self, kernel: Attention, *tokens_by_heads: torch.Tensor) -> Launch:
        queries, keys, values = (tensor.transpose(1, 2) for tensor in tokens_by_heads)
        backend = _BACKENDS[kernel.library]

        def launch() -> object:
            with sdpa_kernel(backend):
                grouped = kernel.heads != kernel.kv_heads
                return functional.scaled_dot_product_attention(
                    queries, keys, values, is_causal=not kernel.decodes, enable_gqa=grouped
                )

        return launch

    def _paged_decode(self, kernel: Attention, dtype: torch.dtype) -> Callable[[], Launch]:
        if self._workspace is None:
            self._workspace = torch.zeros(WORKSPACE_BYTES, dtype=torch.uint8, device=self.device)
        wrapper = self._packages["flashinfer"].BatchDecodeWithPagedKVCacheWrapper(
            self._workspace, "NHD", use_tensor_cores=kernel.heads >= 4 * kernel.kv_heads
        )
        pages = kernel.tokens // PAGE_TOKENS  # contexts are multiples of a page

        def integers(*bounds: int) -> torch.Tensor:
            return torch.arange(*bounds, dtype=torch.int32, device=self.device)

        first, table = integers(0, kernel.batch * pages + 1, pages), integers(kernel.batch * pages)
        in_last = torch.full((kernel.batch,), PAGE_TOKENS, dtype=torch.int32, device=self.device)
        shape = (kernel.heads, kernel.kv_heads, HEAD_DIM, PAGE_TOKENS)
        wrapper.plan(first, table, in_last, *shape, q_data_type=torch.bfloat16, kv_data_type=dtype)

        def make() -> Launch:
            queries = self._random(torch.bfloat16, kernel.batch, kernel.heads, HEAD_DIM)
            cache = self._random(
                dtype, kernel.batch * pages, 2, PAGE_TOKENS, kernel.kv_heads, HEAD_DIM
            )
            return lambda: wrapper.run(queries, cache)

        return make

    def _graphed(self, launches: Sequence[Launch]) -> Timing:
        for launch in launches[
            :2
        ]:  # compiles, chooses algorithms, or fails here and not in the capture
            launch()
        torch.cuda.synchronize(self.device)
        about_s = self._elapsed_s(launches[-1])
        rounds = max(
            1, min(math.ceil(GRAPH_S / (about_s * len(launches))), MOST_LAUNCHES // len(launches))
        )
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(rounds):
                for launch in launches:
                    launch()
        graph_s = self._elapsed_s(graph.replay)  # includes the upload of the graph
        least, most = REPLAYS
        replays = max(least, min(math.ceil(MEASURED_S / graph_s), most))
        events = [_event() for _ in range(replays + 1)]
        graph.replay()
        events[0].record()
        for event in events[1:]:
            graph.replay()
            event.record()
        readings = [self._board()]
        while not events[-1].query():
            time.sleep(BETWEEN_READINGS_S)
            readings.append(self._board())
        launched = rounds * len(launches)
        samples_s = [
            1e-3 * began.elapsed_time(ended) / launched for began, ended in pairwise(events)
        ]
        return timing(samples_s, middle(readings))

    def _beside_copies(self, kernel: Traffic) -> Timing:
        """Measure reads on one stream while other streams copy.

        If the copies end before the read, the measurement is repeated with more copies.
        """
        read = self._traffic(Traffic("read", kernel.bytes))
        copies = [
            self._traffic(Traffic("copy", 2 * STREAM_COPY_BYTES)) for _ in range(kernel.streams)
        ]
        streams = [torch.cuda.Stream(self.device) for _ in copies]
        read()
        count, samples_s, moved_bytes, readings = STREAM_COPIES, [], [], []
        while len(samples_s) < READS:
            torch.cuda.synchronize(self.device)
            zero, began, ended = _event(), _event(), _event()
            zero.record()
            ends = [
                self._copying(stream, copy, zero, count)
                for stream, copy in zip(streams, copies, strict=True)
            ]
            for of_stream in ends:
                of_stream[0].wait()  # all streams copy before the read begins
            began.record()
            read()
            ended.record()
            readings.append(self._board())
            torch.cuda.synchronize(self.device)
            began_s, ended_s = (1e-3 * zero.elapsed_time(event) for event in (began, ended))
            ends_s = [
                [1e-3 * zero.elapsed_time(event) for event in of_stream] for of_stream in ends
            ]
            if min(of_stream[-1] for of_stream in ends_s) < ended_s:
                if count > 16 * STREAM_COPIES:
                    raise CannotError(
                        "copies end before the read: the GPU runs these streams one after another"
                    )
                count *= 2
                continue
            samples_s.append(ended_s - began_s)
            moved_bytes.append(
                2
                * STREAM_COPY_BYTES
                * sum(copied(of_stream, began_s, ended_s) for of_stream in ends_s)
            )
        return timing(samples_s, middle(readings), sorted(moved_bytes)[READS // 2])

    def _copying(
        self, stream: torch.cuda.Stream, copy: Launch, zero: torch.cuda.Event, count: int
    ) -> list[torch.cuda.Event]:
        """Start `count` copies on a stream; return an event after each copy."""
        ends = []
        with torch.cuda.stream(stream):
            zero.wait()
            for _ in range(count):
                copy()
                ends.append(_event())
                ends[-1].record()
        return ends

    def _elapsed_s(self, run: Launch) -> float:
        began, ended = _event(), _event()
        began.record()
        run()
        ended.record()
        ended.synchronize()
        return 1e-3 * began.elapsed_time(ended)

    def _random(self, dtype: torch.dtype, *shape: int) -> torch.Tensor:
        if dtype not in self._pools:
            share = 1.0 if dtype == torch.bfloat16 else 0.5
            self._pools[dtype] = Pool(int(share * self.memory_bytes), dtype, self.device)
        return self._pools[dtype].cut(shape)


class Pool:
    """Pool of random numbers; inputs are consecutive slices of it, again from its start at its end.

    New random numbers for each kernel would take longer than the kernels.
    """

    def __init__(self, size_bytes: int, dtype: torch.dtype, device: torch.device) -> None:
        self._numbers = torch.empty(size_bytes // dtype.itemsize, dtype=dtype, device=device)
        for part in self._numbers.split(2**28):
            part.copy_(torch.randn(len(part), device=device, dtype=torch.bfloat16))
        self._at = 0

    def cut(self, shape: Sequence[int]) -> torch.Tensor:
        """Return the next numbers in a shape, from an address that every kernel accepts."""
        count = math.prod(shape)
        if self._at + count > len(self._numbers):
            self._at = 0
        numbers = self._numbers[self._at : self._at + count]
        if len(numbers) < count:
            raise CannotError("the kernel's buffers are larger than the free memory")
        self._at += math.ceil(count / 1024) * 1024
        return numbers.view(*shape)


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)


def _imported(module: str) -> Any:
    """Return a package; None if it is not installed or does not fit this PyTorch."""
    try:
        return importlib.import_module(module)
    except (ImportError, OSError, RuntimeError):
        return None
