"""Time of an engine step on wafers: layers in regions, tokens of different requests flowing through as a pipeline."""

from __future__ import annotations

from math import sqrt

from cluster_sim.hardware import Device, Wafer
from cluster_sim.model import Model
from cluster_sim.physics.ramp import ALWAYS, larger_line
from cluster_sim.physics.transformer import decode_flop_per_key, linear_flop_per_token, prefill_flop_per_pair


def layer_s(wafer: Wafer, side: float) -> float:
    """Seconds of one layer for one token in a region of `side` cores: work in the cores, and the collectives' way across.

    Each collective crosses the region twice its side, one hop a cycle: the PLMR view of wafers, in which latency grows with
    distance (WaferLLM, OSDI 2025, arXiv 2502.04563).
    """
    return wafer.core_s + wafer.collectives * 2.0 * side / wafer.clock_hz


def region_side(wafer: Wafer, wafers: int, layers: int) -> float:
    """Side of one layer's region in cores when `layers` share all cores of `wafers`; at most the wafer's shorter side."""
    return min(sqrt(wafer.columns * wafer.rows * wafers / layers), wafer.columns, wafer.rows)


def token_s(wafer: Wafer, wafers: int, layers: int, side: float) -> float:
    """Seconds of one token through all layers, alone: layers, hops between wafers, and the host's loop."""
    return wafer.token_s + layers * layer_s(wafer, side) + (wafers - 1) * wafer.wafer_hop_s


class WaferSteps:
    """Step times of one replica over wafers. In a step every sequence makes one token.

    Tokens follow each other through the regions, so a step takes a token's latency while the pipeline has places left;
    with more sequences than places the slowest station sets the pace (one layer time a token), or the arithmetic does.
    Prompts stream through the same stations behind the step's decoding tokens, one token a station time or as fast as the
    arithmetic allows. The formula with arithmetic alone is 4 to 5 times too fast on the public server-side prefill times;
    with the stations it is 1.5 to 3 times too fast, so prompts are still the least certain part.
    """

    def __init__(self, model: Model, device: Device, wafers: int) -> None:
        assert device.wafer is not None
        side = region_side(device.wafer, wafers, model.layers)
        self.station_s = layer_s(device.wafer, side)
        self.latency_s = token_s(device.wafer, wafers, model.layers, side)
        rate = wafers * device.peak.bf16_flop_per_s * device.wafer.compute
        window_layers = model.layers - model.full_layers
        self._token_s = linear_flop_per_token(model) / rate
        self._sampled_s = 2.0 * model.vocabulary * model.hidden / rate
        self._key_s = model.full_layers * decode_flop_per_key(model) / rate
        self._window_key_s = window_layers * decode_flop_per_key(model) / rate
        self._pair_s = model.full_layers * prefill_flop_per_pair(model) / rate
        self._window_pair_s = window_layers * prefill_flop_per_pair(model) / rate

    @property
    def slots(self) -> float:
        """Places in the pipeline: sequences that decode at once before they slow each other down."""
        return self.latency_s / self.station_s

    def parts(self, batch: int, context: int, windowed: int, prompt: int, sampled: int, pairs: int) -> dict[str, float]:
        """Share of a step's time by what it is spent on; counts as of `mixed`."""
        decode_s = self.decode(batch, context, windowed, 0)[0] if batch else self.latency_s
        stream_s = max(prompt * self.station_s, self._token_s * prompt + self._pair_s * pairs)
        full = batch * self.station_s >= self.latency_s
        return {"slowest station" if full else "latency of the pipeline": decode_s / (decode_s + stream_s), "prompts": stream_s / (decode_s + stream_s)}

    def decode(self, batch: int, context: float, windowed: int, growing: int) -> tuple[float, float, int]:
        """As GpuSteps.decode: (first_s, slope_s, steps for which that holds)."""
        compute_s = batch * (self._token_s + self._sampled_s) + self._key_s * context + self._window_key_s * windowed
        return larger_line(max(self.latency_s, batch * self.station_s), compute_s, self._key_s * batch + self._window_key_s * growing)

    def verify(
        self, each: int, batch: int, growth: float, context: float, prompt: int, sampled: int, pairs: int, pairs_growth: int
    ) -> tuple[float, float, int]:
        """As GpuSteps.verify. The tokens of a sequence follow each other through the stations, as those of all sequences do."""
        decode_s, decode_slope_s, decode_steps = self.latency_s, 0.0, ALWAYS
        if batch:
            checked = each * batch
            compute_s = checked * (self._token_s + self._sampled_s) + self._key_s * each * context
            flat_s = max(self.latency_s + (each - 1) * self.station_s, checked * self.station_s)
            decode_s, decode_slope_s, decode_steps = larger_line(flat_s, compute_s, self._key_s * each * growth)
        compute_s = self._token_s * prompt + self._sampled_s * (sampled - batch) + self._pair_s * pairs
        stream_s, stream_slope_s, stream_steps = larger_line(prompt * self.station_s, compute_s, self._pair_s * pairs_growth)
        return decode_s + stream_s, decode_slope_s + stream_slope_s, min(decode_steps, stream_steps)

    def mixed(
        self, batch: int, context: float, windowed: int, growing: int, prompt: int, sampled: int, pairs: int, windowed_pairs: int, pairs_growth: int
    ) -> tuple[float, float, int]:
        """As GpuSteps.mixed. Prompts pay their stream, as slow as the stations or as the arithmetic; alone, the way through as well."""
        decode_s, decode_slope_s, decode_steps = self.decode(batch, context, windowed, growing) if batch else (self.latency_s, 0.0, ALWAYS)
        compute_s = self._token_s * prompt + self._sampled_s * (sampled - batch) + self._pair_s * pairs + self._window_pair_s * windowed_pairs
        stream_s, stream_slope_s, stream_steps = larger_line(prompt * self.station_s, compute_s, self._pair_s * pairs_growth)
        return decode_s + stream_s, decode_slope_s + stream_slope_s, min(decode_steps, stream_steps)
