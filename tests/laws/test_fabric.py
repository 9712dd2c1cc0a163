"""What holds of every fabric: links carry no more than they can, nothing is lost, and nobody waits
while there is room.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from simpy import Environment, Timeout

from cluster_sim.results.recorder import Recorder
from cluster_sim.sim.fabric import Fabric
from cluster_sim.sim.memory_bus import MemoryBus
from cluster_sim.sim.tenants import Links
from cluster_sim.sim.transfer import Channel, Parties
from cluster_sim.topology import ParallelPaths, Route

CAPACITIES = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 7.0, "m": 4.0, "n": 5.0}
BUSES = {"m": MemoryBus(4.0, stream_loss=0.1), "n": MemoryBus(5.0, mix_loss=0.3)}

seconds = st.integers(0, 50).map(lambda sixteenths: sixteenths / 16)  # as exact as the clock
ways = st.lists(st.sampled_from("abcdmn"), min_size=2, max_size=4, unique=True)
supplies = st.lists(
    st.tuples(seconds, st.sampled_from([0.0, 0.3, 1.0, 2.5, 8.0])), min_size=1, max_size=4
)  # (after, bytes a second until the next)
sendings = st.lists(
    st.tuples(seconds, ways, st.integers(1, 3), supplies, st.floats(0.1, 9.0)),
    min_size=1,
    max_size=9,
)
pauses = st.lists(seconds, max_size=6)


class Replica:
    """Runs steps and pauses by turns."""

    def __init__(self) -> None:
        self.on_turn: Callable[[bool], None] | None = None
        self.is_running = True

    def share_memory(self, on_turn: Callable[[bool], None] | None) -> None:
        self.on_turn = on_turn

    def set_shares(self, memory: float, links: float, rails: float) -> None:
        assert 0.0 < memory <= 1.0 and 0.0 < links <= 1.0


class Watched(Fabric):
    """Looks at every rate whenever they have changed."""

    def _foresee_s(self) -> float:
        ahead_s = super()._foresee_s()
        for resource in CAPACITIES:
            load, room = self._sharing.load(resource), self._sharing.capacity(resource)
            assert load <= room * (1 + 1e-9)
            assert load == pytest.approx(
                sum(lanes * flow.rate for flow, lanes in self._sharing.flows_on(resource).items()),
                abs=1e-9,
            )
        for channel in self._channels:
            if channel.is_sharing and channel.rate < channel.limit * (1 - 1e-9):
                assert any(
                    self._sharing.load(resource) >= self._sharing.capacity(resource) * (1 - 1e-9)
                    for resource, _ in channel.uses
                )
            assert isinstance(channel, Channel) and channel.moved <= channel.supplied * (1 + 1e-9)
        return ahead_s


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@example(  # bytes that come into being as those before them have all been moved
    sent=[(0.0, ["a", "b"], 1, [(0.0, 8.0), (0.25, 0.0), (0.75, 0.0)], 1.0)], pauses=[]
)
@given(sendings, pauses)
def test_no_link_is_overfull_nothing_is_lost_and_nobody_waits_for_nothing(
    sent: list[tuple[float, list[str], int, list[tuple[float, float]], float]], pauses: list[float]
) -> None:
    env, recorder, replica = Environment(), Recorder(), Replica()
    fabric = Watched(env, lambda resource: CAPACITIES[str(resource)], BUSES, recorder)
    fabric.join(replica, "m", Links(("a",)))
    known: dict[tuple[str, int], ParallelPaths] = {}
    sizes = {}

    def way(path: list[str], lanes: int) -> ParallelPaths:
        route = Route(tuple(path), tuple(pairwise(path)), 0.0, 1.0)
        return known.setdefault(
            ("".join(path), lanes),
            ParallelPaths([route] * lanes, dict.fromkeys(path, lanes), (path[0], path[-1])),
        )

    def send(
        number: int,
        at_s: float,
        path: list[str],
        lanes: int,
        parts: list[tuple[float, float]],
        last: float,
    ) -> Generator[Timeout, None, None]:
        yield env.timeout(at_s)
        transfer, total, coming = (
            fabric.begin("kv", way(path, lanes), Parties(0, 1, number), lambda: None),
            0.0,
            0.0,
        )
        for after_s, rate in parts:
            yield env.timeout(after_s)
            total, coming = total + coming * after_s, rate
            fabric.supply(transfer, total, coming, is_whole=False)
        yield env.timeout(1.0)
        sizes[number] = total + coming + last
        fabric.supply(transfer, sizes[number])

    def pause() -> Generator[Timeout, None, None]:
        for after_s in pauses:
            yield env.timeout(after_s)
            replica.is_running = not replica.is_running
            if replica.on_turn is not None:
                replica.on_turn(replica.is_running)

    for number, one in enumerate(sent):
        env.process(send(number, *one))
    env.process(pause())
    env.run()
    assert {row[3]: row[4] for row in recorder.transfers} == pytest.approx(sizes)
    for *_, began_s, ended_s, alone_s in recorder.transfers:
        assert ended_s >= began_s + alone_s - 1e-9 * (1 + ended_s)
