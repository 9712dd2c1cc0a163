"""KV on its way from the replicas that read prompts to those that decode."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from simpy import Environment, Event, Timeout

from cluster_sim.request import Request
from cluster_sim.results.recorder import Recorder
from cluster_sim.sim.fabric import Fabric, Transfer
from cluster_sim.sim.replica import DecodeReplica, PrefillReplica
from cluster_sim.topology import ParallelPaths


@dataclass(frozen=True)
class Links:
    """How KV gets from one replica to another."""

    lanes: Callable[[int, int], ParallelPaths]
    """Between two replicas by their numbers."""
    kv_bytes: Callable[[int, int], float]
    """Of so many tokens in the cache of the replica with this number, over all of its devices."""
    layers: int
    """Of the model."""


@dataclass(slots=True, eq=False)
class Reading:
    """A request whose prompt is being read or has been read, until its KV is where it decodes."""

    request: Request
    source: PrefillReplica
    tokens: float = 0.0
    """Whose KV could be sent at the time `since_s`."""
    tokens_per_s: float = 0.0
    """That are added from then on, layer by layer."""
    since_s: float = 0.0
    is_read: bool = False
    target: DecodeReplica | None = None
    transfer: Transfer | None = None
    whole: float = 0.0
    """Bytes of the KV of its prompt."""


@dataclass(slots=True)
class HandOver:
    """Gives requests to replicas that decode, in order, as soon as one of them has room, and has
    their KV moved there.

    With `layers` a request is given away when the reading of its prompt begins, or later where
    nobody has room, and the KV of each layer of what a step reads is sent while the next one is
    computed: evenly from when the first is ready, all but the last by the end of the step.
    Otherwise it is given away when its prompt has been read. It keeps its room there until its KV
    has been sent.
    """

    env: Environment
    decoders: Sequence[DecodeReplica]
    choose: Callable[[Sequence[DecodeReplica]], DecodeReplica]
    transfer: str
    links: Links
    recorder: Recorder
    fabric: Fabric
    _waiting: deque[Reading] = field(default_factory=deque)
    _readings: dict[int, Reading] = field(default_factory=dict)
    _lanes: dict[tuple[int, int], ParallelPaths] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for decoder in self.decoders:
            decoder.on_room = self.try_next

    def take_from(self, source: PrefillReplica) -> None:
        """What this replica reads is decoded by others."""
        source.on_read = self.offer
        if self.transfer == "layers":
            source.tell_of_steps(self._reads)

    def _reads(
        self, source: PrefillReplica, chunks: Sequence[tuple[Request, int]], step_s: float
    ) -> None:
        """A step begins that reads these parts of prompts."""
        parts = []
        for request, tokens in chunks:
            if request.output_tokens > 1:
                reading = self._readings.get(request.number)
                if reading is None:
                    reading = self._enqueue(request, source)
                reading.source = source  # another one, where the first has lost its devices
                self._ready(reading, request.prefilled, 0.0)
                parts.append((reading, tokens))
        if parts and self.links.layers > 1:
            Timeout(self.env, step_s / self.links.layers, (parts, step_s)).callbacks.append(
                self._first_layer
            )
        self.try_next()

    def _first_layer(self, event: Event) -> None:
        """The first layer of what a step reads is ready to be sent."""
        parts, step_s = event.value  # type: ignore[misc]  # SimPy says Any or None
        for reading, tokens in parts:
            self._ready(reading, reading.tokens, tokens / step_s)

    def _ready(self, reading: Reading, tokens: float, tokens_per_s: float) -> None:
        """The KV of so many tokens could have been sent by now, and that of so many more could a
        second.
        """
        reading.tokens, reading.tokens_per_s, reading.since_s = tokens, tokens_per_s, self.env.now
        if reading.target is not None:
            self._supply(reading)

    def offer(self, request: Request, source: PrefillReplica) -> None:
        """A prompt has been read."""
        request.read_s = now_s = self.env.now
        reading = self._readings.get(request.number) or self._enqueue(request, source)
        reading.is_read = True
        if reading.target is not None:
            request.sending_s, request.prefill_replica = now_s, source.number
        self._ready(reading, request.prompt_tokens, 0.0)
        self.try_next()

    def _enqueue(self, request: Request, source: PrefillReplica) -> Reading:
        reading = self._readings[request.number] = Reading(request, source)
        self._waiting.append(reading)
        return reading

    def try_next(self) -> None:
        """Some replica may have room for the first of those that wait."""
        while self._waiting:
            reading = self._waiting[0]
            request = reading.request
            able = [decoder for decoder in self.decoders if decoder.can_take(request)]
            if not able:
                return
            self._waiting.popleft()
            reading.target = target = self.choose(able)
            target.promise(request)
            if reading.is_read:
                request.sending_s, request.prefill_replica = self.env.now, reading.source.number
            if self.transfer == "off":
                self._sent(reading, 0.0)
            else:
                reading.whole = self.links.kv_bytes(request.prompt_tokens, target.number)
                self._supply(reading)

    def _supply(self, reading: Reading) -> None:
        """Tell the fabric what of a request's KV can be sent to its target."""
        request, target = reading.request, reading.target
        assert target is not None
        if self.transfer == "off":
            return
        tokens = reading.tokens + reading.tokens_per_s * (self.env.now - reading.since_s)
        if reading.transfer is None:
            if not tokens and not reading.tokens_per_s:
                return
            pair = reading.source.number, target.number
            lanes = self._lanes.get(pair)
            if lanes is None:
                lanes = self._lanes[pair] = self.links.lanes(*pair)
            latency_s = lanes.latency_s
            reading.transfer = self.fabric.begin(
                "kv", lanes, (*pair, request.number), lambda: self._sent(reading, latency_s)
            )
        token_bytes = reading.whole / request.prompt_tokens
        self.fabric.supply(
            reading.transfer,
            token_bytes * tokens,
            token_bytes * reading.tokens_per_s,
            reading.is_read,
        )

    def _sent(self, reading: Reading, latency_s: float) -> None:
        """The last byte has left."""
        del self._readings[reading.request.number]
        Timeout(self.env, latency_s, reading).callbacks.append(self._arrived)

    def _arrived(self, event: Event) -> None:
        reading: Reading = event.value  # type: ignore[assignment]  # SimPy says Any or None
        request, target, now_s = reading.request, reading.target, self.env.now
        assert target is not None
        request.landed_s = now_s
        self.recorder.events.append(
            (now_s, "handed_over", target.number, request.number, now_s - request.read_s)
        )
        reading.source.release(request)
        target.land(request)
