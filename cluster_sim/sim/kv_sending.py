"""Assignment of prefilled requests to decode replicas, and sending of their KV cache."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simpy import Environment, Event, Timeout

from cluster_sim.request import Request
from cluster_sim.results.recorder import Recorder
from cluster_sim.sim.able_decoders import AbleDecoders
from cluster_sim.sim.decode_capacity import DecodeCapacity
from cluster_sim.sim.decode_replica import DecodeReplica
from cluster_sim.sim.decoder_turns import DecoderTurns
from cluster_sim.sim.ending_transfers import EndingTransfers
from cluster_sim.sim.fabric import Fabric
from cluster_sim.sim.kv_paths import KvEnd
from cluster_sim.sim.prefilled_request import PrefilledRequest
from cluster_sim.sim.replica_events import PromptSource, ReplicaEvents
from cluster_sim.sim.transfer import Parties, Transfer
from cluster_sim.sim.transfer_policy import TransferPolicy
from cluster_sim.topology import ParallelPaths


@dataclass(frozen=True)
class KvPaths:
    """Paths and sizes of KV transfers between replicas."""

    between: Callable[[KvEnd, KvEnd], ParallelPaths]
    """Function that returns the present paths between two attention ranks of replicas; the same
    object for the same routes, as long as transfers use them."""
    kv_bytes: Callable[[int, int], float]
    """Function of a replica's number and a number of tokens that returns the size of their KV cache
    over all devices [B]."""
    layers: Callable[[int], int]
    """Function that returns the number of layers of a replica's model, given its number."""
    end: Callable[[Request, int], KvEnd] = lambda _, number: KvEnd(number)
    """Function that returns the attention rank of a replica that holds a request's KV cache, given
    the replica's number."""


class KvSending(ReplicaEvents):
    """KV transfers without the loss of replicas or links, and without cancellation.

    Requests are assigned in order, as soon as a decode replica has capacity. With `layers`, a
    request is assigned when its prefill begins, or later if no replica has capacity. The KV cache
    of each layer of a step is sent while the next layer is computed: evenly from the time at which
    the first layer is ready; all layers but the last are sent by the end of the step. Otherwise a
    request is assigned when its prefill is over. The prefill replica keeps the KV cache until it
    has arrived.
    """

    def __init__(  # noqa: PLR0913 - wires replicas of two roles to the fabric
        self,
        env: Environment,
        decoders: Sequence[DecodeReplica],
        capacity: DecodeCapacity,
        policy: TransferPolicy,
        paths: KvPaths,
        recorder: Recorder,
        fabric: Fabric,
    ) -> None:
        self._env, self._decoders, self._capacity = env, decoders, capacity
        self._able, self._turns = AbleDecoders(decoders), DecoderTurns(decoders)
        self._policy, self._paths, self._recorder, self._fabric = policy, paths, recorder, fabric
        self._waiting: deque[PrefilledRequest] = deque()
        self._prefilled: dict[int, PrefilledRequest] = {}
        self._ending = EndingTransfers()
        self._reaches: Callable[[int, int], bool] | None = None

    @property
    def waiting(self) -> int:
        """Number of requests that wait for a decode replica."""
        return sum(self._is_here(prefilled) for prefilled in self._waiting)

    @property
    def has_decoder(self) -> bool:
        """Whether any decode replica accepts requests."""
        return self._capacity.longest > 0

    def step_began(
        self, source: PromptSource, chunks: Sequence[tuple[Request, int]], step_s: float
    ) -> None:
        """Send the KV cache of a step's layers while the step runs."""
        if self._policy.kv_transfer != "layers":
            return
        parts = []
        for request, tokens in chunks:
            if request.generated + 1 < request.output_tokens:
                prefilled = self._prefilled.get(request.number)
                if prefilled is None:
                    prefilled = self._enqueue(request, source, request.known_tokens)
                self._make_ready(prefilled, request.prefilled, 0.0)
                parts.append((prefilled, tokens))
        if parts and (layers := self._paths.layers(source.number)) > 1:
            first = Timeout(self._env, step_s / layers, (parts, step_s))
            first.callbacks.append(self._first_layer)
        self._assign()

    def _first_layer(self, event: Event) -> None:
        """Begin to send the KV cache of a step, whose first layer is ready."""
        parts, step_s = event.value  # type: ignore[misc]  # SimPy says Any or None
        for prefilled, tokens in parts:
            if self._is_here(prefilled):
                self._make_ready(prefilled, prefilled.tokens, tokens / step_s)

    def _is_here(self, prefilled: PrefilledRequest) -> bool:
        """Return whether the KV cache of a request is still at its prefill replica."""
        return self._prefilled.get(prefilled.request.number) is prefilled

    def _make_ready(self, prefilled: PrefilledRequest, tokens: float, tokens_per_s: float) -> None:
        """Record the tokens whose KV cache can be sent now, and the rate of further tokens."""
        prefilled.tokens, prefilled.tokens_per_s = tokens, tokens_per_s
        prefilled.since_s = self._env.now
        if prefilled.target is not None:
            self._supply(prefilled)

    def prefilled(self, request: Request, source: PromptSource) -> None:
        """Assign a request whose prefill is over to a decode replica."""
        request.read_s = now_s = self._env.now
        prefilled = self._prefilled.get(request.number)
        if prefilled is None:
            prefilled = self._enqueue(request, source, request.known_tokens - 1)
        prefilled.is_whole = True
        if prefilled.target is not None:
            request.sending_s, request.prefill_replica = now_s, source.number
        self._make_ready(prefilled, prefilled.total_tokens, 0.0)
        if prefilled.is_hopeless:
            self._queue(prefilled)
        self._assign()

    def _enqueue(self, request: Request, source: PromptSource, tokens: int) -> PrefilledRequest:
        prefilled = PrefilledRequest(request, source, tokens)
        self._prefilled[request.number] = prefilled
        self._queue(prefilled)
        return prefilled

    def load_changed(self, number: int) -> None:
        """Record that a decode replica may be able to take more requests."""
        self._able.changed(number)

    def capacity_freed(self, number: int) -> None:
        """Assign waiting requests, since a decode replica may be able to take more requests."""
        self._able.changed(number)
        self._assign()

    def _assign(self) -> None:
        """Assign waiting requests in order, as long as a replica can take the first of them."""
        while self._waiting and (prefilled := self._take_first()) is not None:
            request, tokens = prefilled.request, prefilled.total_tokens
            target = prefilled.target
            assert target is not None
            target.promise(request, tokens)
            if prefilled.is_whole:
                request.sending_s = self._env.now
                request.prefill_replica = prefilled.source.number
            if self._policy.kv_transfer == "off":
                self._sent(prefilled, 0.0)
            else:
                prefilled.kv_bytes = self._paths.kv_bytes(tokens, target.number)
                self._supply(prefilled)

    def _take_first(self) -> PrefilledRequest | None:
        """Take the first waiting request, with its decode replica, if a replica can take it.

        Only a request whose prefill replica is cut off from replicas lets others pass.
        """
        reaches = self._reaches
        if not self._policy.asks:
            return self._turns.take_first(self._waiting, reaches)
        for place, prefilled in enumerate(self._waiting):
            able = self._able.able(prefilled)
            if reaches is not None:
                source = prefilled.source.number
                able = [decoder for decoder in able if reaches(source, decoder.number)]
            if able:
                del self._waiting[place]
                prefilled.target = self._policy.choose(able)
                return prefilled
            if reaches is None:
                break
        return None

    def _queue(self, prefilled: PrefilledRequest) -> None:
        """Let a request wait for a decode replica, if an available replica can ever hold it.

        Otherwise the request is lost as soon as its prefill is over.
        """
        request = prefilled.request
        prefilled.is_hopeless = not self._capacity.holds(request)
        if not prefilled.is_hopeless:
            self._waiting.append(prefilled)
        elif prefilled.is_whole:
            del self._prefilled[request.number]
            prefilled.source.give_up(request)

    def _supply(self, prefilled: PrefilledRequest) -> None:
        """Report the part of a request's KV cache that can be sent to the fabric."""
        target = prefilled.target
        assert target is not None
        if self._policy.kv_transfer == "off":
            return
        elapsed_s = self._env.now - prefilled.since_s
        tokens = prefilled.tokens + prefilled.tokens_per_s * elapsed_s
        if prefilled.transfer is None:
            if not tokens and not prefilled.tokens_per_s:
                return
            prefilled.transfer = self._begin(prefilled, target)
        token_bytes = prefilled.kv_bytes / prefilled.total_tokens
        self._fabric.supply(
            prefilled.transfer,
            token_bytes * tokens,
            token_bytes * prefilled.tokens_per_s,
            is_whole=prefilled.is_whole,
        )

    def _begin(self, prefilled: PrefilledRequest, target: DecodeReplica) -> Transfer:
        request, source = prefilled.request, prefilled.source
        ends = self._paths.end(request, source.number), self._paths.end(request, target.number)
        paths = self._paths.between(*ends)
        latency_s = paths.latency_s
        parties = Parties(source.number, target.number, request.number)
        return self._fabric.begin("kv", paths, parties, lambda: self._sent(prefilled, latency_s))

    def _sent(self, prefilled: PrefilledRequest, latency_s: float) -> None:
        """Let the last byte, which was sent, arrive after the latency."""
        prefilled.is_sent = True
        arrival = Timeout(self._env, latency_s, (prefilled, prefilled.attempt))
        arrival.callbacks.append(self._arrived)

    def _arrived(self, event: Event) -> None:
        """Let a request decode, unless its source or target was lost during the transfer."""
        prefilled, attempt = event.value  # type: ignore[misc]  # SimPy says Any or None
        if not self._is_here(prefilled) or prefilled.attempt != attempt:
            if self._ending.arrived(prefilled):
                self._assign()
            return
        request, target, now_s = prefilled.request, prefilled.target, self._env.now
        del self._prefilled[request.number]
        request.landed_s = now_s
        self._recorder.events.append(
            (now_s, "handed_over", target.number, request.number, now_s - request.read_s)
        )
        prefilled.source.release(request)
        target.land(request)
