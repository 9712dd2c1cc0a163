"""KV on its way from the replicas that read prompts to those that decode."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from simpy import Environment, Event, Timeout

from cluster_sim.request import Request
from cluster_sim.sim.recorder import Recorder
from cluster_sim.sim.replica import DecodeReplica, PrefillReplica
from cluster_sim.topology import Way


@dataclass(slots=True)
class End:
    """One end of a way, where transfers queue: the ports of a replica's devices in one direction. It works without pause, in order.

    KV of all layers but the last may be sent while the prompt is being read, that of the last layer only afterwards: two
    backlogs, and a transfer has ended when both have been worked off as far as its own part.
    """

    all_s: float = 0.0
    """When everything that it was given so far could have been sent."""
    last_s: float = 0.0
    """The same for what can only be sent after the prompts have been read."""

    def sent_s(self, from_s: float, now_s: float, whole_s: float, last_s: float) -> float:
        """When the KV of a prompt that has now been read is through, which takes `whole_s`, of it `last_s` for the last layer.

        from_s: since when the first layer was ready to be sent.
        """
        self.all_s = max(self.all_s, from_s) + whole_s
        self.last_s = max(self.last_s, now_s) + last_s
        return max(self.all_s, self.last_s)


@dataclass(frozen=True)
class Links:
    """How KV gets from one replica to another."""

    way: Callable[[int, int], Way]
    """Between two replicas by their numbers."""
    kv_bytes: Callable[[int, int], float]
    """Of so many tokens in the cache of the replica with this number, over all of its devices."""
    layers: int
    """Of the model."""


@dataclass(slots=True)
class HandOver:
    """Gives requests whose prompts have been read to replicas that decode, in order, as soon as one of them has room.

    Until then, and until its KV has been sent, a request keeps its room where it was read. What was sent while the prompt was
    read counts as sent, to whichever replica is chosen when that has ended. One event for each transfer, when it ends.
    """

    env: Environment
    decoders: Sequence[DecodeReplica]
    choose: Callable[[Sequence[DecodeReplica]], DecodeReplica]
    transfer: str
    links: Links
    recorder: Recorder
    _waiting: deque[tuple[Request, PrefillReplica]] = field(default_factory=deque)
    _ends: dict[tuple[int, str, bool], End] = field(default_factory=dict)
    _ways: dict[tuple[int, int], Way] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for decoder in self.decoders:
            decoder.on_room = self.try_next

    def offer(self, request: Request, source: PrefillReplica) -> None:
        """A prompt has been read."""
        request.read_s = self.env.now
        self._waiting.append((request, source))
        if len(self._waiting) == 1:
            self.try_next()

    def try_next(self) -> None:
        """Some replica may have room for the first of those that wait."""
        while self._waiting:
            request, source = self._waiting[0]
            able = [decoder for decoder in self.decoders if decoder.can_take(request)]
            if not able:
                return
            self._waiting.popleft()
            target = self.choose(able)
            target.promise(request)
            after_s = self._sent_s(request, source, target) - self.env.now
            Timeout(self.env, after_s, (request, source, target)).callbacks.append(self._arrived)

    def _sent_s(self, request: Request, source: PrefillReplica, target: DecodeReplica) -> float:
        """When its KV, which may be sent from now on, will have arrived."""
        now_s, layers = self.env.now, self.links.layers
        request.sending_s, request.prefill_replica = now_s, source.number
        if self.transfer == "off":
            return now_s
        pair = source.number, target.number
        way = self._ways.get(pair)
        if way is None:
            way = self._ways[pair] = self.links.way(*pair)
        moved = self.links.kv_bytes(request.prompt_tokens, target.number)
        count, total = self.recorder.kv_moved.get(pair, (0, 0.0))
        self.recorder.kv_moved[pair] = count + 1, total + moved
        # Layer by layer, the first of them is ready when one of so many parts of the time of reading has passed.
        overlaps = self.transfer == "layers" and request.read_s == now_s
        from_s = request.admitted_s + (now_s - request.admitted_s) / layers if overlaps else now_s
        last = moved / layers if overlaps else moved
        sent_s = max(from_s + moved / way.bytes_per_s, now_s + last / way.bytes_per_s)
        for replica, place, rate, outwards in (
            (source.number, way.path.places[1], way.out_bytes_per_s, True),
            (target.number, way.path.places[-2], way.in_bytes_per_s, False),
        ):
            end = self._ends.setdefault((replica, place, outwards), End())
            sent_s = max(sent_s, end.sent_s(from_s, now_s, moved / rate, last / rate))
        return sent_s + way.path.latency_s

    def _arrived(self, event: Event) -> None:
        request, source, target = event.value  # type: ignore[misc]  # SimPy says Any or None
        now_s = self.env.now
        request.landed_s = now_s
        self.recorder.events.append((now_s, "handed_over", target.number, request.number, now_s - request.read_s))
        source.release(request)
        target.land(request)
