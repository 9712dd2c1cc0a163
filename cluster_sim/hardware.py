"""What a data sheet says: devices, the nodes that hold them, the links between those."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Literal, NamedTuple, Self, TypeVar

from pydantic import BeforeValidator, Field, model_validator

from cluster_sim.errors import ScenarioError
from cluster_sim.prices import Prices
from cluster_sim.reading import Description, Document, describe, named
from cluster_sim.units import (
    BytesPerSecond,
    Celsius,
    FlopPerSecond,
    Hertz,
    JoulesPerByte,
    JoulesPerFlop,
    JoulesPerKelvin,
    Kelvin,
    KelvinPerWatt,
    PositiveBytes,
    PositiveKelvinPerWatt,
    PositiveSeconds,
    Quantity,
    Seconds,
    Watts,
)

Precision = Literal["bf16", "fp8", "fp4"]
Share = Annotated[float, Field(gt=0.0, le=1.0)]


class Memory(Description):
    """The memory that weights and KV cache live in: HBM of a GPU, SRAM of a wafer."""

    capacity_bytes: PositiveBytes
    """What software can use, before any reserve."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Peak, both directions together."""
    reachable: Share = 1.0
    """Share of the peak that all traffic together can reach; kernels alone reach what their own figures say."""
    stream_loss: Annotated[float, Field(ge=0.0, lt=0.2)] = 0.0
    """Share of the bandwidth that is lost at each doubling of the streams of traffic that cross it: 1 - loss x log2(streams) are left."""
    mix_loss: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    """Of reading and writing by turns: 1 - loss x w (1 - w) are left where the share w of the bytes is written."""


class WeightMemory(Memory):
    """A memory beside that of the KV cache, for weights and what is between layers: SRAM of a machine that has HBM as well."""

    overlap: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Of reading KV cache and of all else in a step, the share of the shorter that hides behind the longer."""


class Systolic(Description):
    """Arrays of multipliers that keep weights while tokens stream through, see `physics.systolic`; small products leave parts of them empty."""

    rows: Annotated[int, Field(gt=0)]
    """Inputs of a product that one array sums over."""
    columns: Annotated[int, Field(gt=0)]
    """Outputs of a product that it makes."""
    arrays: Annotated[int, Field(gt=0)] = 1
    """As many work side by side, and reach the device's peak together."""
    load_cycles: Annotated[int, Field(gt=0)] | None = None
    """To fill one array with weights, which hides behind the tokens of the weights before; default: one row a cycle."""


class Peak(Description):
    """Dense peak compute rate by precision; a precision that is left out has no hardware of its own."""

    bf16_flop_per_s: FlopPerSecond
    fp8_flop_per_s: FlopPerSecond | None = None
    fp4_flop_per_s: FlopPerSecond | None = None

    def of(self, precision: Precision) -> tuple[Precision, float]:
        """The precision that `precision` computes in here, and its peak: weights without hardware are widened to bf16."""
        rate = {"bf16": self.bf16_flop_per_s, "fp8": self.fp8_flop_per_s, "fp4": self.fp4_flop_per_s}[precision]
        return (precision, rate) if rate is not None else ("bf16", self.bf16_flop_per_s)


class ByPrecision(Description):
    """A number for each precision; fp8 and fp4 fall back to the wider one where they are left out."""

    bf16: Annotated[float, Field(gt=0.0)]
    fp8: Annotated[float, Field(gt=0.0)] | None = None
    fp4: Annotated[float, Field(gt=0.0)] | None = None

    def of(self, precision: Precision) -> float:
        """The number for `precision`."""
        return _or_wider(precision, self.bf16, self.fp8, self.fp4)


def _or_wider(precision: Precision, bf16: float, fp8: float | None, fp4: float | None) -> float:
    """That of `precision`, or of the next wider one that is given."""
    fp8 = bf16 if fp8 is None else fp8
    return {"bf16": bf16, "fp8": fp8, "fp4": fp8 if fp4 is None else fp4}[precision]


class Efficiency(Description):
    """What a GPU's kernels reach of its peaks, where no `kernels` tell their times."""

    weight_bandwidth: ByPrecision
    """Share of peak bandwidth at which weights are read in decoding."""
    expert_bandwidth: Share
    """The same for the weights of experts."""
    kv_bandwidth: Share
    """Share of peak bandwidth at which decode attention reads KV cache."""
    compute: ByPrecision
    """Share of peak compute of the dense GEMMs of a large step."""
    expert_compute: Share
    """Share that the grouped GEMMs of experts reach of the peak of the next wider format: of fp8 for nvfp4, of bf16 for others."""
    attention_compute: Share
    """Share of the bf16 peak that prefill attention reaches."""
    knee: Annotated[float, Field(ge=1.0)] = 4.0
    """How sharply a product turns from reading to computing: its time is the p-norm of the two, a corner where p is large."""


class Pace(NamedTuple):
    """What a device has, as shares, each above 0 and at most 1, of what it has cool and alone."""

    clock: float = 1.0
    """Of its highest clock."""
    memory: float = 1.0
    """Of the bandwidth of its memory: what other traffic and refreshing leave."""
    links: float = 1.0
    """Of the bandwidth of the links that its group's collectives cross."""


FULL_PACE = Pace()

CLOCK_ON_BANDWIDTH = 0.13
"""Power of the clock that reading memory follows: at 0.795 of its clock a bandwidth-bound decode ran at 0.95 (RTX 3090), where a tenth of
it is held to be starts of kernels, which go as the clock (estimate)."""

Kernel = TypeVar("Kernel", bound=Description)


def _scaled(fit: Kernel, scales: Mapping[str, float]) -> Kernel:
    """`fit` with those of its numbers multiplied that are in `scales`; what it leaves out stays so."""
    known = ((name, getattr(fit, name, None), scale) for name, scale in scales.items())
    return fit.model_copy(update={name: value * scale for name, value, scale in known if value is not None})


def _at_clock(fit: Kernel, clock: float, memory: float) -> Kernel:
    """A fit of kernels at `clock` (share of the highest, above 0) with the share `memory` of the memory bus (above 0).

    Times grow by 1 / clock and rates of computing fall with it, those of partial sums too, which stay in the cache; rates of
    memory fall with clock^0.13 and with the share of the bus.
    """
    if clock == memory == 1.0:
        return fit
    reading = memory * clock**CLOCK_ON_BANDWIDTH
    scales = {"bandwidth_bytes_per_s": reading, "tile_bandwidth_bytes_per_s": reading}
    scales |= {"compute_flop_per_s": clock, "partial_bandwidth_bytes_per_s": clock}
    scales |= {name: 1.0 / clock for name in type(fit).model_fields if name.endswith("_s") and not name.endswith("_per_s")}
    return _scaled(fit, scales)


class GemmFit(Description):
    """Time of one matrix product alone on a device, as `physics.gemm.gemm_s` puts these together; one fit a precision."""

    processors: Annotated[int, Field(gt=0)]
    """Streaming multiprocessors: how many tiles of the output are worked on at a time."""
    element_bytes: PositiveBytes
    """Of one weight, its share of the scales included: 0.5625 B for nvfp4."""
    launch_s: PositiveSeconds
    """The smallest product's time."""
    bandwidth_bytes_per_s: BytesPerSecond
    """At which weights, inputs and outputs move."""
    compute_flop_per_s: FlopPerSecond
    """Of a short kernel with tiles without end."""
    overlap: Annotated[float, Field(ge=1.0)]
    """How well moving and computing hide each other: the exponent of the norm that joins them; 1 for not at all."""
    tile_overhead: Annotated[float, Field(ge=0.0)]
    """What a tile costs at each of its inputs beside its elements, in elements: loads and latency of the main loop."""
    epilogue_s: Seconds
    """To write out one element of a tile once it is summed."""
    split_s: Seconds
    """To join the parts of a product whose k was split, by the square root of the parts."""
    partial_bandwidth_bytes_per_s: BytesPerSecond
    """At which the parts' sums are added up, 4 B each."""
    slowdown: Annotated[float, Field(ge=0.0)]
    """How much longer a long kernel takes than short ones tell, presumably by the device's power limit."""
    row_s: Seconds
    """What a token costs on its own: a kernel that quantises it."""
    activation_s: Seconds
    """To quantise one element of the inputs."""

    def at(self, clock: float, memory: float = 1.0) -> Self:
        """These kernels at a share of the highest clock, with a share of the memory bus left: see `_at_clock`."""
        return _at_clock(self, clock, memory)


class Overhead(Description):
    """What a serving engine adds on a device to reading, computing and communicating."""

    request_s: Seconds = 0.0
    """From a request's arrival at the server until the scheduler sees it: HTTP, tokenising, queues between processes."""
    step_s: Seconds
    """Host and sampling time of one step that no kernel hides."""
    sequence_s: Seconds = 0.0
    """The same for each sequence that a step makes a token for."""
    layer_s: Seconds
    """Launches of a layer's element-wise kernels: norms, rotary embedding, activation; what they move is counted apart."""
    expert_layer_s: Seconds = 0.0
    """Launches of routing and sorting in a layer of experts."""
    latent_layer_s: Seconds = 0.0
    """Launches of a layer of latent attention beyond those of a plain one: norms and copies of latent vectors, quantising."""
    eager_layer_s: Seconds = 0.0
    """Least time of one layer in a step that reads prompts: such steps run outside CUDA graphs, and the host launches their
    kernels one by one."""
    launch_overlap: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of a kernel's start that hides behind the one before it, in a CUDA graph, of kernels that were measured alone."""
    gemm: ByPrecision = Field(default_factory=lambda: ByPrecision(bf16=1.0))
    """Time of the engine's matrix products relative to those that `kernels` or `efficiency` tell, by the weights' precision."""
    experts: Annotated[float, Field(gt=0.0)] = 1.0
    """The same of its grouped products of experts, where computing bounds them."""
    attention: Annotated[float, Field(gt=0.0)] = 1.0
    """The same of its decode attention."""
    collective: Annotated[float, Field(gt=0.0)] = 1.0
    """The same of its all-reduces: waiting for the slowest, copies, fusion."""


class GenerationAttentionFit(Description):
    """Time of one decode-attention kernel, see `physics.attention`; one fit a precision of the KV cache.

    A unit is one KV head of one sequence.
    """

    start_s: Seconds
    """Of a kernel of few short sequences with heads of no width."""
    value_s: Seconds
    """More for each value of a head's width (`head_dim`)."""
    head_s: Seconds
    """More for each query head of each sequence."""
    sequence_s: Seconds
    """More for each sequence of up to 512: kernels that plan their work ahead walk over them first."""
    free_units: Annotated[float, Field(ge=0.0)]
    """Units that run side by side at no cost: about one wave of thread blocks."""
    unit_s: Seconds
    """Of each unit beyond those, without its bytes."""
    tile_bandwidth_bytes_per_s: BytesPerSecond
    """At which the first tile of keys of a unit is read; a kernel reads a whole tile however few keys there are."""
    short_keys: Annotated[int, Field(ge=0)]
    """Keys a sequence up to which the time does not depend on them."""
    long_start_s: Seconds
    """The start with longer sequences, which are split over several blocks and combined."""
    long_unit_s: Seconds
    """Of each unit beyond the free ones in such a kernel."""
    window_s: Seconds
    """More where a window cuts the sequences."""
    bandwidth_bytes_per_s: BytesPerSecond
    """At which keys and values are read when there are units enough."""
    half_units: Annotated[float, Field(ge=0.0)]
    """Units with which half of that bandwidth is reached: the limit of splitting one sequence."""

    def at(self, clock: float, memory: float = 1.0) -> Self:
        """These kernels at a share of the highest clock, with a share of the memory bus left: see `_at_clock`."""
        return _at_clock(self, clock, memory)


class ContextAttentionFit(Description):
    """Time of one prefill-attention kernel, see `physics.attention`; one fit a precision of the KV cache.

    A head is one query head of one sequence.
    """

    start_s: Seconds
    """Of a kernel of few short prompts with heads of no width."""
    value_s: Seconds
    """More for each value of a head's width (`head_dim`)."""
    head_s: Seconds
    """Of each head of prompts that fit into one tile."""
    kv_head_s: Seconds
    """The same of each KV head."""
    long_start_s: Seconds
    """The start with longer prompts."""
    compute_flop_per_s: FlopPerSecond
    """Rate of the two products with very wide heads."""
    extra_values: Annotated[float, Field(ge=0.0)]
    """What the softmax of a pair takes, in values of a head's width."""
    wide: Annotated[float, Field(ge=0.0)]
    """How much more a value beyond the 128th of a head takes than one before: smaller tiles."""
    extra_keys: Annotated[float, Field(ge=0.0)]
    """Keys that a token takes beyond those it sees: masked parts of tiles, reading queries, writing outputs."""
    tile_tokens: Annotated[float, Field(ge=0.0)]
    """More of them by the tokens that one tile spans where each query head has its own KV head; where g share one, a tile packs
    their queries and spans a g-th, and so is its ragged edge."""
    window_keys: Annotated[float, Field(ge=0.0)]
    """More of them for a token whose view a window cuts: a second ragged edge, on top of another `tile_tokens / g`."""
    key_s: Seconds
    """Of each key of one sequence: a block walks over them one tile after another, and the longest walk shows."""
    bandwidth_bytes_per_s: BytesPerSecond
    """At which cached keys and values are read; not fitted, but the device's peak: new ones are read while others are computed."""

    def at(self, clock: float, memory: float = 1.0) -> Self:
        """These kernels at a share of the highest clock, with a share of the memory bus left: see `_at_clock`."""
        return _at_clock(self, clock, memory)


class Kernels(Description):
    """Kernels alone on a device, fitted to measured ones by `cluster-sim calibrate`.

    By the precision of the weights or of the KV cache; `fp8_vllm` and the like where an engine has kernels of its own.
    """

    gemm: dict[str, GemmFit] = Field(default_factory=dict)
    """Matrix products."""
    generation: dict[str, GenerationAttentionFit] = Field(default_factory=dict)
    """Attention of decoding."""
    context: dict[str, ContextAttentionFit] = Field(default_factory=dict)
    """Attention of prefill."""

    def at(self, clock: float, memory: float = 1.0) -> Self:
        """All of them at a share of the highest clock, with a share of the memory bus left."""
        return self.model_copy(update={
            kind: {name: fit.at(clock, memory) for name, fit in getattr(self, kind).items()} for kind in type(self).model_fields
        })  # fmt: skip


Fit = TypeVar("Fit")


def of_engine(fits: Mapping[str, Fit], precision: str, engine: str) -> Fit | None:
    """The engine's own fit of a precision, or else the one of all engines; None where there is neither."""
    return fits.get(f"{precision}_{engine.lower()}", fits.get(precision))


class OneShotFit(Description):
    """An all-reduce in which each rank reads the tensors of all others: best for small ones."""

    start_s: PositiveSeconds
    """The smallest tensor's time, before ranks are counted."""
    rank_s: Seconds = 0.0
    """More for each rank beyond the first."""
    bandwidth_bytes_per_s: BytesPerSecond
    """At which a rank reads the others' tensors."""
    overlap: Annotated[float, Field(ge=1.0, le=8.0)] = 1.0
    """How well start and reading hide each other: the exponent of the norm that joins them; 1 for not at all."""


class CollectiveFit(Description):
    """Time of one kind of collective, as `physics.collectives` puts these together; a start and a bandwidth are enough."""

    largest: Annotated[int, Field(ge=2)] = 8
    """Most ranks that were measured."""
    start_s: PositiveSeconds
    """The smallest tensor's time, before ranks are counted."""
    rank_s: Seconds = 0.0
    """More for each rank beyond the first: steps of the ring."""
    link_bandwidth_bytes_per_s: BytesPerSecond
    """At which large tensors cross the links of a rank, one direction; a fit, which may lie on either side of the wire's."""
    copy_bandwidth_bytes_per_s: BytesPerSecond | None = None
    """At which the whole tensor is gone through besides, whatever the ranks."""
    in_switch: Annotated[float, Field(ge=1.0)] = 1.0
    """How much less crosses the links of a group so large that the switches make the sums."""
    climb_s: Seconds = 0.0
    """Time on the links up to which the bandwidth is less than half of what it climbs to."""
    climb_exponent: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    """With which the time on the links grows with the size well below that."""
    one_shot: OneShotFit | None = None
    """Of an all-reduce: what small tensors take."""

    def at(self, links: float) -> Self:
        """This kind with a share (above 0) of the links' bandwidth left; its starts stay."""
        slower = _scaled(self, {"link_bandwidth_bytes_per_s": links, "copy_bandwidth_bytes_per_s": links})
        one_shot = self.one_shot and _scaled(self.one_shot, {"bandwidth_bytes_per_s": links})
        return slower.model_copy(update={"one_shot": one_shot})


Collective = Literal["all_reduce", "all_reduce_vllm", "nccl_all_reduce", "all_gather", "reduce_scatter", "all_to_all"]


class Collectives(Description):
    """Collectives of devices that are linked as inside a node, in CUDA graphs, fitted by `cluster-sim calibrate`."""

    all_reduce: CollectiveFit | None = None
    """By TensorRT-LLM's kernel, which stands in for engines without one of their own."""
    all_reduce_vllm: CollectiveFit | None = None
    """By vLLM's own kernel."""
    nccl_all_reduce: CollectiveFit | None = None
    all_gather: CollectiveFit | None = None
    """This and those below by NCCL."""
    reduce_scatter: CollectiveFit | None = None
    all_to_all: CollectiveFit | None = None

    def all_reduce_of(self, engine: str) -> CollectiveFit | None:
        """That of the kernel that the engine called `engine` runs."""
        return self.all_reduce_vllm if engine.lower() == "vllm" and self.all_reduce_vllm is not None else self.all_reduce

    def at(self, links: float) -> Self:
        """All of them with a share (above 0) of the links' bandwidth left; their starts stay."""
        fits = ((name, getattr(self, name)) for name in type(self).model_fields)
        return self.model_copy(update={name: fit.at(links) for name, fit in fits if fit is not None})


class FlopEnergy(Description):
    """Energy of one FLOP by precision, at the highest clock; fp8 and fp4 fall back to the wider one where they are left out."""

    bf16_j_per_flop: JoulesPerFlop
    fp8_j_per_flop: JoulesPerFlop | None = None
    fp4_j_per_flop: JoulesPerFlop | None = None
    attention_j_per_flop: JoulesPerFlop | None = None
    """Of attention, its softmax included; default: as bf16."""

    def of(self, precision: Precision) -> float:
        """That of a matrix product of weights in `precision` [J]."""
        return _or_wider(precision, self.bf16_j_per_flop, self.fp8_j_per_flop, self.fp4_j_per_flop)

    @property
    def of_attention(self) -> float:
        """That of attention [J]."""
        return self.bf16_j_per_flop if self.attention_j_per_flop is None else self.attention_j_per_flop


class Power(Description):
    """What a device draws, as `physics.power` puts it together; of the whole board, memory included."""

    limit_w: Watts
    """The board's power limit, which its clock is lowered to keep."""
    idle_w: Watts
    """Without a context."""
    loaded_idle_w: Watts
    """With a model loaded, while nothing runs."""
    busy_w: Watts
    """While kernels run that do next to nothing: clocks are up."""
    active_w: Annotated[float, Quantity("W", "170 W", least=0.0)] = 0.0
    """More while the processors hold work, at the highest clock, whatever the work moves and computes."""
    memory_j_per_byte: JoulesPerByte
    """Of a byte that crosses the memory bus, on its way to the registers included."""
    flop: FlopEnergy
    """Of the arithmetic."""
    memory_idle_w: Watts | None = None
    """Share of the idle power that warms the memory; left out where it is no part of its own, as on a wafer."""
    memory_part_j_per_byte: JoulesPerByte = 0.0
    """Share of a byte's energy that warms the memory."""


class Limits(Description):
    """Temperatures at which a device protects itself."""

    operating_c: Celsius
    """Highest it is meant to run at; above, software lowers the clock."""
    slowdown_c: Celsius
    """At which hardware halves the clock at once."""
    shutdown_c: Celsius
    """At which it is lost."""
    memory_c: Celsius | None = None
    """Highest of the memory; above, software lowers the clock as well."""


class Refresh(Description):
    """What refreshing warm memory more often leaves of its bandwidth."""

    double_c: Celsius
    """Above it memory is refreshed twice as often."""
    double_share: Share
    """Share of the bandwidth that is left then."""
    quadruple_c: Celsius
    """Above it four times."""
    quadruple_share: Share
    """What is left then."""


class Governor(Description):
    """How a device changes its clock to keep its limits."""

    clock_hz: Hertz
    """The highest."""
    floor_hz: Hertz
    """The lowest that heat or power bring it to."""
    step_hz: Hertz
    """By which it changes at a time."""
    power_period_s: PositiveSeconds
    """Between steps that keep the power limit."""
    fall_period_s: PositiveSeconds
    """Between steps down while it is above the operating limit."""
    rise_period_s: PositiveSeconds
    """Between steps up once it has cooled."""
    hysteresis_kelvin: Kelvin
    """How far below the operating limit that is."""
    slowdown_factor: Share
    """Of the clock at the slowdown limit."""
    slowdown_hold_s: Seconds
    """How long that lasts at least."""


class Cooling(Description):
    """How the heat of one device leaves it: a linear network of die, memory and heat sink (or cold plate), see `physics.thermal`."""

    medium: Literal["air", "liquid"]
    die_to_sink_k_per_w: PositiveKelvinPerWatt
    memory_to_sink_k_per_w: PositiveKelvinPerWatt | None = None
    """Left out, with the two others of memory, where memory is on the die."""
    die_to_memory_k_per_w: PositiveKelvinPerWatt | None = None
    sink_to_coolant_k_per_w: PositiveKelvinPerWatt
    coolant_rise_k_per_w: KelvinPerWatt
    """By which a device warms the coolant that flows past it."""
    preheat_k_per_w: KelvinPerWatt = 0.0
    """By which the coolant of a device in the rear is warmer for each watt of the one in front of it."""
    die_j_per_k: JoulesPerKelvin
    memory_j_per_k: JoulesPerKelvin | None = None
    sink_j_per_k: JoulesPerKelvin
    coolant_lag_s: PositiveSeconds
    """Time constant with which the coolant follows."""
    front: Annotated[int, Field(gt=0)] | None = None
    """Devices that the coolant reaches first; as many stand behind them. Left out where none stands behind another."""

    @model_validator(mode="after")
    def _memory_is_whole(self) -> Cooling:
        if len({part is None for part in (self.memory_to_sink_k_per_w, self.die_to_memory_k_per_w, self.memory_j_per_k)}) > 1:
            raise ValueError("wanted 'memory_to_sink', 'die_to_memory' and 'memory' together, or none of them")
        return self


class Surroundings(Description):
    """What a node draws beside its devices: processors, switches, fans or pumps, losses of its supplies."""

    base_w: Watts
    """With its devices idle."""
    most_w: Watts
    """With every device at its limit."""


class Wafer(Description):
    """A wafer-scale device: a grid of cores with local SRAM, layers in regions of it, tokens flowing through as a pipeline."""

    columns: Annotated[int, Field(gt=0)]
    rows: Annotated[int, Field(gt=0)]
    clock_hz: Hertz
    weight_fill: Share
    """Share of the SRAM that weights may take."""
    memory_fill: Share
    """Share of the SRAM that weights and KV cache may take together."""
    core_s: Seconds
    """Compute and issue time of one layer for one token, distance left out."""
    collectives: Annotated[float, Field(ge=0.0)]
    """Mesh collectives of one layer, each crossing the layer's region twice its side at one hop a cycle."""
    token_s: Seconds
    """Sampling, embedding and host loop of one token."""
    wafer_hop_s: Seconds
    """From one wafer to the next, for one token."""
    compute: Share
    """Share of the dense peak that prefill and full pipelines reach."""


class Device(Description):
    """One accelerator: a GPU where `efficiency` is given, a wafer where `wafer` is."""

    name: str
    memory: Memory
    peak: Peak
    efficiency: Efficiency | None = None
    overheads: dict[str, Overhead] = Field(default_factory=dict)
    """Of a GPU: by the name of the engine; `default` for all others."""
    kernels: Kernels | None = None
    """What its kernels take alone, where they were measured; kinds that were not are taken from `efficiency`."""
    weight_memory: WeightMemory | None = None
    """Where weights lie, where that is not `memory`, which then holds the KV cache alone."""
    systolic: Systolic | None = None
    """What multiplies matrices; `efficiency.compute` is then what is left once the shapes of products are counted. Left out, shapes do not matter."""
    wafer: Wafer | None = None
    collectives: Collectives = Collectives()
    """Between devices of one node."""
    peer_latency_s: Seconds = 0.0
    """Start of a transfer from device to device inside a node."""
    peer_bandwidth_bytes_per_s: BytesPerSecond | None = None
    """Device to device inside a node, one direction."""
    power: Power | None = None
    """What it draws; left out, runs say nothing of energy."""
    limits: Limits | None = None
    """Temperatures at which it protects itself."""
    refresh: Refresh | None = None
    """How its memory is refreshed when warm."""
    governor: Governor | None = None
    """How it lowers its clock."""

    @model_validator(mode="after")
    def _is_one_kind(self) -> Device:
        if (self.efficiency is None) == (self.wafer is None):
            raise ValueError("wanted either 'efficiency' (a GPU) or 'wafer'")
        if self.efficiency is not None and "default" not in self.overheads:
            raise ValueError("'overheads' has no 'default'")
        if self.wafer is not None:
            for name in ("weight_memory", "systolic"):
                if getattr(self, name) is not None:
                    raise ValueError(f"came '{name}' beside 'wafer'; wanted it with 'efficiency' only")
        return self

    @property
    def fast_memory(self) -> Memory:
        """Where weights lie, and what is between layers."""
        return self.weight_memory or self.memory

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """Peak of all its memories together."""
        return self.memory.bandwidth_bytes_per_s + (self.weight_memory.bandwidth_bytes_per_s if self.weight_memory else 0.0)

    @property
    def measured(self) -> bool:
        """Whether step times rest on measured kernels, or on a fit to measured runs as a wafer's; not on a data sheet alone."""
        return self.wafer is not None or self.kernels is not None

    def overhead(self, engine: str) -> Overhead:
        """What the engine called `engine` adds on this device."""
        return self.overheads.get(engine, self.overheads["default"])

    def at(self, pace: Pace) -> Self:
        """This device at `pace`: what its kernels, its peaks and its links come to then; what its host does takes as long as before."""
        if pace == FULL_PACE:
            return self
        clock, memory, links = pace
        reading, starts = memory * clock**CLOCK_ON_BANDWIDTH, 1.0 / clock
        return self.model_copy(update={
            "memory": _scaled(self.memory, {"bandwidth_bytes_per_s": reading}),
            "peak": _scaled(self.peak, dict.fromkeys(Peak.model_fields, clock)),
            "overheads": {name: _scaled(one, dict.fromkeys(("layer_s", "expert_layer_s", "latent_layer_s"), starts)) for name, one in self.overheads.items()},
            "kernels": self.kernels and self.kernels.at(clock, memory),
            "wafer": self.wafer and _scaled(self.wafer, {"clock_hz": clock, "core_s": starts}),
            "collectives": self.collectives.at(links),
            "peer_bandwidth_bytes_per_s": self.peer_bandwidth_bytes_per_s and self.peer_bandwidth_bytes_per_s * links,
        })  # fmt: skip


def device_named(came: str) -> Device:
    """The device of a catalog name or of the path of a device file. Raises ScenarioError where there is none, or a wrong one."""
    try:
        return describe(Device, Document(named("devices", came), came))
    except ScenarioError:
        raise
    except ValueError as fault:
        raise ScenarioError.at("--device", str(fault)) from fault


class Link(Description):
    """A connection of two places of the topology, as wide in one direction as in the other.

    Inside a node: `host` (its processors), `device` (stands for each of them), `nic`, or names of the file's own such as `switch`.
    In a network: `front_door`, `node` (stands for each of them), `pool/0` (that one), or names of the file's own; the bandwidth
    of a node is shared evenly by its NICs, and is its host's where it has none.
    """

    between: tuple[str, str]
    kind: str
    bandwidth_bytes_per_s: BytesPerSecond
    """In one direction."""
    latency_s: Seconds
    duplex: Literal["full", "half"] = "full"
    """half: both directions share one bandwidth, as reads and writes of a memory do."""


class Fabric(Description):
    """Leaf and spine switches that are as many as the nodes need, instead of links written one by one.

    A leaf has at most `oversubscription` times as many ports for NICs as it has cables to spines; every leaf has as many cables to
    each spine, which are held to be one link as wide as all of them. The front door has a port on every spine. A node without NICs
    has one port, its host's.
    """

    shape: Literal["rail_optimised", "fat_tree"]
    """rail_optimised: the first NICs of all nodes meet on one leaf, the second ones on the next, and so on; fat_tree: all NICs of a
    node are on one leaf, as far as it has ports."""
    kind: str
    radix: Annotated[int, Field(ge=2)]
    """Ports of a switch."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Of a port, in one direction."""
    latency_s: Seconds
    """From a NIC to its leaf, or from the front door to a spine."""
    switch_latency_s: Seconds
    """From a leaf to a spine."""
    oversubscription: Annotated[float, Field(ge=1.0)] = 1.0
    """What NICs can send to a leaf by what it can send on to the spines; 1: nothing is ever short."""


class Network(Description):
    """How the front door reaches the nodes, and these each other: links, a fabric of switches, or both."""

    name: str = "as written"
    links: tuple[Link, ...] = ()
    """Beside a fabric they may end at its switches too: leaf0, spine0 and so on."""
    fabric: Fabric | None = None

    @model_validator(mode="after")
    def _has_links(self) -> Network:
        if "links" not in self.model_fields_set and self.fabric is None:
            raise ValueError("wanted 'links' or 'fabric'")
        return self


class Node(Description):
    """A machine that is bought as one: its devices, and the links inside it."""

    name: str
    device: Annotated[Device, BeforeValidator(partial(named, "devices"))]
    """A catalog name, the path of a device file, or a mapping with its keys."""
    devices: Annotated[int, Field(gt=0)]
    places: dict[str, Annotated[int, Field(gt=0)]] = Field(default_factory=dict)
    """How many it has of other ends of its links: `nic: 8` are nic0 to nic7. Of those left out there is one, without a number.
    A link between two of which there are several joins them in order."""
    links: tuple[Link, ...]
    network: Annotated[Network, BeforeValidator(partial(named, "links"))]
    """How it is reached where the scenario does not say."""
    power: Surroundings | None = None
    """What it draws beside its devices; left out, nothing."""
    cooling: Cooling | None = None
    """Of each of its devices."""
    prices: Annotated[Prices, BeforeValidator(partial(named, "prices"), json_schema_input_type=str | Prices)] | None = None
    """What it costs where the scenario does not say; left out, runs say nothing of money."""
