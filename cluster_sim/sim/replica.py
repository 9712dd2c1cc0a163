"""Replica: a process that runs engine steps; a run of equal steps is a single sleep."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, cast

from simpy import Environment, Event

from cluster_sim.hardware.operating_point import OperatingPoint
from cluster_sim.physics.ramp import Ramp
from cluster_sim.physics.step_times import StepTimes
from cluster_sim.request import Request
from cluster_sim.results.recorder import PACK_STRETCH, Recorder
from cluster_sim.serving.scheduler import SchedulerOutput
from cluster_sim.sim.alarm import Alarm
from cluster_sim.sim.departures import DROPPED, Departures
from cluster_sim.sim.operating_state import OperatingState
from cluster_sim.sim.replica_events import Listeners, ReplicaEvents
from cluster_sim.sim.replica_figures import ReplicaFigures, SomeScheduler
from cluster_sim.sim.replica_options import PLAIN, ReplicaOptions

_NOTHING_LOST = (0.0, 0.0)


class Replica(ReplicaFigures[SomeScheduler]):
    """Process that runs the steps of a scheduler. The router uses it as a Load."""

    is_entry = True
    """Whether the router sends requests to this replica."""

    def __init__(  # noqa: PLR0913 - wires one process to its parts
        self,
        env: Environment,
        number: int,
        scheduler: SomeScheduler,
        times_at: Callable[[OperatingPoint], StepTimes],
        recorder: Recorder,
        options: ReplicaOptions = PLAIN,
    ) -> None:
        super().__init__(env, number, scheduler)
        self.down = False
        """Whether the devices do not work: they are lost, switched off, or being started."""
        self.is_open = True
        """Whether the replica accepts new requests."""
        self.incarnation = 0
        """Number of times that the devices were lost or switched off."""
        self._recorder, self._options = recorder, options
        self._listeners = Listeners()
        self._on_load = self._listeners.load_changed
        self._on_turn: Callable[[bool], None] | None = None
        self._state = OperatingState(times_at)
        self._alarm = Alarm(env)
        self._idle = False
        self._arrived: list[Request] = []  # during a step, when the next one is prepared already
        self._departures = Departures(number, recorder)
        env.process(self._run())

    def subscribe(self, listener: ReplicaEvents) -> None:
        """Report events of this replica to `listener` from now on."""
        self._listeners.add(listener)

    def share_memory(self, on_turn: Callable[[bool], None] | None) -> None:
        """Record that other traffic begins or ceases to use this replica's memory.

        Parameters
        ----------
        on_turn
            Function that is called before each stretch with whether there are steps to run; None if
            other traffic ceases.
        """
        self._on_turn = on_turn

    # Arrival of requests

    def expect(self, request: Request) -> None:
        """Expect a request that the router has sent here; the network delivers it later."""
        request.replica, request.incarnation = self.number, self.incarnation
        request.rank = request.prefill_rank = 0
        self._scheduler.expect(request)
        self.requests += 1
        if self.requests == 1:
            self._tell_busy()

    def _tell_busy(self) -> None:
        for tell in self._listeners.became_busy:
            tell()

    def _tell_load_changed(self) -> None:
        for tell in self._on_load:
            tell(self.number)

    def receive(self, delivery: Event) -> None:
        """Accept the request in `delivery`, which the network has delivered."""
        request: Request = delivery.value  # type: ignore[assignment]  # SimPy says Any or None
        if request.incarnation != self.incarnation:
            if request.incarnation != DROPPED:
                self.lose(request)
        elif self._options.prepares_ahead and self._stretch.steps:
            self._arrived.append(request)
            self._schedule_soon()
        elif self._scheduler.enqueue(request):
            self._schedule_soon()

    def _schedule_soon(self) -> None:
        """Schedule new requests: now, or when the step in progress has ended."""
        if self._idle:
            self._idle = False
            self._alarm.sooner(0.0)
        elif self._stretch.steps > 1:
            self._stretch.end_with_this_step(self._env.now, self._alarm)

    def cancel(self, request: Request) -> None:
        """Remove a request whose client has left; it is not served any further.

        A request in the batch leaves when the step in progress has ended, and other requests at
        once; one on its way here is dropped on arrival. With asynchronous scheduling the next step
        is prepared already, and engines discard the output for the request; here that step runs
        without it.
        """
        if request in self._departures.requests:
            return
        if self._stretch.steps and request in self._scheduler.running:
            self._departures.requests.append(request)
        else:
            was_counted = self._scheduler.cancel(request) or self._drop(request)
            self._recorder.cancels(request, self._env.now, self.number)
            if was_counted:
                self._leave(1)
                self._tell_load_changed()
        self._schedule_soon()

    def _drop(self, request: Request) -> bool:
        """Expect a request no longer that is on its way here, or waits for the next step.

        Returns whether it counts as a request of this replica; it does not after a loss.
        """
        was_expected = request.incarnation == self.incarnation
        if was_expected:
            self._scheduler.unexpect(request)
        if request in self._arrived:
            self._arrived.remove(request)
        request.incarnation = DROPPED
        return was_expected

    def _leave(self, requests: int) -> None:
        """Count requests that have left."""
        self.requests -= requests
        if not self.is_open:
            self._tell_if_empty()

    # Changes from outside

    @property
    def operating_point(self) -> OperatingPoint:
        """Operating point from the next step on."""
        return self._state.point

    def set_shares(self, memory: float, links: float, rails: float) -> None:
        """Set the shares of bandwidth that other traffic leaves from the next step on.

        They are those of the memory, of links inside nodes, and of links between the nodes of a
        group.
        """
        if self._state.set_shares(memory, links, rails):
            self._point_changed()

    def keep_links(self, inside: float, rails: float = 1.0) -> None:
        """Let links among the devices keep shares of their bandwidth from the next step on.

        They are those of links inside nodes and between them.
        """
        if self._state.keep_links(inside, rails):
            self._point_changed()

    def set_throttle(self, clock: float, refresh: float) -> None:
        """Set the shares of the clock and the memory bandwidth that throttling leaves.

        The shares hold from the next step on.
        """
        if self._state.set_throttle(clock, refresh):
            self._point_changed()

    def cap_power(self, watts: float | None) -> None:
        """Cap the power of each device from the next step on [W]; None for no cap."""
        control = self._options.device_clock
        assert control is not None
        if control.set_cap(watts, self._env.now):
            self._point_changed()

    @property
    def is_power_capped(self) -> bool:
        """Whether a power cap lowers the clock, as far as the sensor has reported."""
        control = self._options.device_clock
        return control is not None and control.is_capped(self._env.now)

    @property
    def capped_s(self) -> float:
        """Length of the steps so far whose clock a power cap or clock lock lowered [s]."""
        control = self._options.device_clock
        return 0.0 if control is None else control.lowered_s

    def lock_clock(self, cause: str, share: float) -> None:
        """Lock the clock of the devices from the next step on.

        Parameters
        ----------
        cause
            Name of whoever locks the clock. The lowest lock of all causes holds.
        share
            Highest clock that the lock allows, as a share of the highest clock; 1 releases it.
        """
        control = self._options.device_clock
        assert control is not None
        if control.set_lock(cause, share):
            self._recorder.clocks.append((self._env.now, self.number, control.lock))
            self._point_changed()

    def set_operating_point(self, point: OperatingPoint) -> None:
        """Run at an operating point from the next step on."""
        if self._state.move_to(point):
            self._point_changed()

    def _point_changed(self) -> None:
        if self._stretch.steps > 1:
            self._stretch.end_with_this_step(self._env.now, self._alarm)

    def close(self) -> None:
        """Accept no new requests; those that are here or on their way here are still served."""
        if self.is_open:
            self.is_open = False
            for tell in self._listeners.closed:
                tell(self.number)
            self._tell_if_empty()

    def reopen(self) -> None:
        """Accept new requests again."""
        if not self.is_open:
            self.is_open = True
            for tell in self._listeners.opened:
                tell(self.number)

    def _tell_if_empty(self) -> None:
        """Report the departure of the last request if the replica is closed."""
        if not self.is_open and not self.requests and not self.down:
            for tell in self._listeners.emptied:
                tell(self.number)

    def come_back(self) -> None:
        """Begin anew on devices that work again, with an empty KV cache; accept new requests."""
        rebuild = self._options.rebuild
        assert self.down and rebuild is not None
        self._scheduler = cast(SomeScheduler, rebuild())
        self.down = False
        self.reopen()

    def fail(self) -> None:
        """Lose the devices, the step in progress and every request.

        Listeners are told of the devices first, so that their transfers end.
        """
        last_token_s = self._stretch.last_end_s(self._env.now)
        self._end_steps(self._env.now)
        self.down, self.requests = True, 0
        self.incarnation += 1
        if self._on_turn is not None:
            self._on_turn(self.is_running)
        self.close()
        lost = [*self._scheduler.drain(last_token_s), *self._arrived]
        self._arrived = []
        self._idle = False
        self._alarm.wake()
        for tell in self._listeners.devices_lost:
            tell(self.number)
        for request in self._departures.survivors(lost, self._env.now):
            self.lose(request)

    def lose(self, request: Request) -> None:
        """Report that a request and its KV cache are lost."""
        for tell in self._listeners.lost:
            tell(request, self.number)

    def under_way(self) -> bytes:
        """Return the row of the stretch in progress up to the end of its present step.

        The row is empty if there is no stretch.
        """
        return self._row(self._steps_ended() + 1) if self._stretch.steps else b""

    def stop(self, now_s: float) -> None:
        """End the run: record the ended steps of the stretch in progress."""
        self._end_steps(now_s)
        self._departures.stop(self._scheduler, now_s)

    def _end_steps(self, now_s: float) -> None:
        """End the stretch in progress with its last step that has ended."""
        if self._stretch.steps:
            self._stretch.steps = self._stretch.steps_ended(now_s)
            self._settle()

    # The process

    def _run(self) -> Generator[Event, Any, None]:
        alarm = self._alarm
        if self._options.ready_s:
            yield alarm.after(self._options.ready_s)
        while True:
            duration_s = self._foresee_s()
            yield alarm.after(duration_s) if duration_s else alarm.when_called()
            self._settle()

    def _foresee_s(self) -> float:
        """Begin the next stretch; return its length [s], or 0 if there is no work."""
        if self.down:
            self._idle = True
            return 0.0
        scheduler, stretch, now_s = self._scheduler, self._stretch, self._env.now
        output = scheduler.schedule(now_s, 1 if self._arrived else self._options.max_steps)
        if self._arrived:
            output = self._admit_arrived(output)
        steps = output.steps
        if output.preempted or output.on_rank:
            self._record_decision(output)
        if self._on_turn is not None:
            self._on_turn(steps > 0)
        if not steps:
            self._idle = True
            return 0.0
        waits = output.swap_s or output.fetches
        stretch.swap_s = self._swapped_s(output) if waits else 0.0
        point = self._state.point
        if (control := self._options.device_clock) is None:
            ramp = self._state.times.ramp(scheduler.work)
            if stretch.swap_s:
                ramp = ramp.delayed(stretch.swap_s)
        else:
            point, ramp = control.begin(now_s, scheduler.work, steps, point, stretch.swap_s)
        stretch.own_memory = stretch.own_links = None
        if self._on_turn is not None:
            alone = self._state.with_own_memory(point)
            stretch.own_memory = self._ramp_at(alone)
            stretch.own_links = self._ramp_at(self._state.with_own_links(alone))
        duration_s = stretch.begin(steps, now_s, ramp, point)
        if self._on_load:
            self._tell_load_changed()
        return duration_s

    def _record_decision(self, output: SchedulerOutput) -> None:
        """Record which requests were preempted, and on which ranks sequences hold still."""
        now_s, events, number = self._env.now, self._recorder.events, self.number
        for request in output.preempted:
            generated = float(request.generated)
            events.append((now_s, "preempted", number, request.number, generated))
        for request, since_s in output.held:
            events.append((now_s, "held", number, request.number, since_s))
        for what, noted in (("on_rank", output.on_rank), ("rank_held", output.rank_holds)):
            for request, value in noted:
                events.append((now_s, what, number, request.number, float(value)))

    def _admit_arrived(self, prepared: SchedulerOutput) -> SchedulerOutput:
        """Let requests wait that arrived during the last step; return the content of the next one.

        It was prepared without them, unless there was nothing to prepare.
        """
        for request in self._arrived:
            self._scheduler.enqueue(request)
        self._arrived.clear()
        if prepared.steps:
            return prepared
        return self._scheduler.schedule(self._env.now, self._options.max_steps)

    def _swapped_s(self, output: SchedulerOutput) -> float:
        """Return the time to move swapped or fetched blocks before the first step [s]."""
        path, own_s = self._options.host_path, output.swap_s
        if own_s and path is not None:
            own_s = path.moved_s(own_s)
        if not output.fetches:
            return own_s
        fetches, alone_s = output.take_fetches()
        store = self._options.store_path
        return own_s + (alone_s if store is None else store.fetched_s(fetches))

    def _ramp_at(self, point: OperatingPoint) -> Ramp:
        """Return the durations of the scheduled steps at an operating point."""
        ramp, swap_s = self._state.times_at(point).ramp(self._scheduler.work), self._stretch.swap_s
        return ramp.delayed(swap_s) if swap_s else ramp

    def _depart(self, finished: list[Request]) -> list[Request]:
        """Let cancelled requests leave after a step; return the others that finished."""
        leaving = len(self._departures.requests)
        others = self._departures.settle(self._scheduler, finished, self._env.now)
        self._leave(leaving)
        return others

    def _row(self, steps: int) -> bytes:
        """Return the row of the first `steps` steps of the stretch, as results.STRETCH_COLUMNS."""
        stretch, scheduler = self._stretch, self._scheduler
        work, (first_s, slope_s, _) = scheduler.work, stretch.ramp
        lost_s = _NOTHING_LOST if stretch.own_memory is None else stretch.lost_s(steps)
        return PACK_STRETCH(
            self.number, stretch.began_s, first_s, slope_s, steps, work.batch, work.counted, work.prompt_tokens,
            work.sampled, work.context, work.growth, work.windowed, work.growing, work.pairs, work.window_pairs,
            scheduler.kv_tokens, len(scheduler.running), scheduler.queued, *stretch.point.shares, *lost_s,
            work.rank_tokens,
        )  # fmt: skip

    def _tell_finished(self, finished: list[Request]) -> None:
        """Report the last tokens of requests."""
        self._recorder.left += len(finished)
        for tell in self._listeners.finished:
            for request in finished:
                tell(request)
        if not self.is_open:
            self._tell_if_empty()

    def _settle(self) -> None:
        """Record the part of the stretch that was run, and advance the scheduler."""
        stretch = self._stretch
        steps = stretch.steps
        if (control := self._options.device_clock) is not None:
            control.ran(steps)
        if not steps:
            return
        stretch.steps = 0
        scheduler, now_s = self._scheduler, self._env.now
        self._recorder.stretches += self._row(steps)
        finished = scheduler.advance(steps, now_s)
        if self._departures.requests:
            finished = self._depart(finished)
        self.requests -= len(finished)
        if self._on_load:
            self._tell_load_changed()
        for tell in self._listeners.first_token:
            for request, _ in scheduler.output.chunks:
                if request.first_token_s == now_s:
                    tell(request)
        if finished:
            self._tell_finished(finished)
        if scheduler.stalls:
            for request, gap_s in scheduler.stalls:
                self._recorder.events.append((now_s, "resumed", self.number, request.number, gap_s))
