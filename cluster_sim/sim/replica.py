"""One replica: a process that runs engine steps, many of them in one sleep where they are alike."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol

from simpy import Environment, Event

from cluster_sim.hardware.operating_point import FULL_PACE, Pace
from cluster_sim.physics.ramp import Ramp
from cluster_sim.physics.step_times import StepTimes
from cluster_sim.request import Request
from cluster_sim.results.recorder import PACK_STRETCH, Recorder
from cluster_sim.serving.scheduler import DecodeScheduler, PrefillScheduler, Scheduler
from cluster_sim.sim.alarm import Alarm


class PowerCap(Protocol):
    """What keeps a replica's devices below their own power limit: sim.power_cap.Capped."""

    def slowed(
        self, scheduler: Scheduler, steps: int, pace: Pace, ramp_at: Callable[[Pace], Ramp]
    ) -> tuple[Pace, Ramp]: ...


class ToHost(Protocol):
    """The way between a replica's devices and their host: sim.fabric.HostWay."""

    def moved_s(self, alone_s: float) -> float:
        """How long it takes from now on to move what takes `alone_s` with nobody else about."""
        ...


class Replica:
    """Runs the steps that its batch schedules. It is a Load for the router."""

    def __init__(
        self,
        env: Environment,
        index: int,
        scheduler: Scheduler,
        step_times: StepTimes,
        recorder: Recorder,
        stepping: bool,
        on_finish: Callable[[Request], None] | None,
    ) -> None:
        self.times_at: Callable[[Pace], StepTimes]
        """How long its steps take at another pace than the full one, which `step_times` is for."""
        self.ready_s = 0.0
        """When its weights are loaded; set before the run begins."""
        self.to_host: ToHost | None = None
        """On which blocks that are swapped or fetched meet other traffic; None where nothing else
        uses it."""
        self.pace = FULL_PACE
        self.cap: PowerCap | None = None
        """Of its devices, where it is below their own limit."""
        self.on_busy: Callable[[], None] | None = None
        """Told when it was without requests and gets one."""
        self.on_lost: Callable[[Request], None]
        """Given each request that is here, or on its way here, when its devices are lost."""
        self.down = False
        """Whether its devices are lost."""
        self.number = index
        self.requests = 0
        self.longest = scheduler.longest
        """Tokens of the largest footprint that could be served here."""
        self._env, self._index, self._scheduler, self._times, self._recorder = (
            env,
            index,
            scheduler,
            step_times,
            recorder,
        )
        self._at_most = 1 if stepping else 1 << 62
        self._on_finish = on_finish
        self.shared: Callable[[bool], None] | None = None
        """Told before each stretch whether there is anything to run, while others use this
        replica's memory: see Fabric."""
        self._shares, self._warmth = (1.0, 1.0), (1.0, 1.0)
        self._beside: tuple[Ramp, Ramp, Ramp] | None = None
        """Of the stretch under way, while others use its memory: how long steps would take with the
        memory, and with its links too, for itself."""
        self._swap_s = 0.0
        """That blocks take which are swapped or fetched, before the stretch's first step."""
        self._alarm = Alarm(env)
        self._steps = (
            0  # of the stretch under way; 0 between stretches and where there is nothing to do
        )
        self._idle = False
        self._began_s, self._ramp = 0.0, Ramp(0.0)
        self._ran_at = FULL_PACE
        env.process(self._run())

    def holds(self, request: Request) -> bool:
        """Whether the request could ever be served here."""
        return request.footprint <= self.longest

    def expect(self, request: Request) -> None:
        """The router has sent this request here; it arrives when the network has brought it."""
        request.replica = self._index
        self.requests += 1
        self._scheduler.expect(request)
        if self.requests == 1 and self.on_busy is not None:
            self.on_busy()

    def pending_tokens(self) -> int:
        """Tokens still to process, as of this moment: steps of the stretch under way that have
        ended are taken off.
        """
        scheduler = self._scheduler
        return scheduler.pending_tokens - self._steps_so_far() * scheduler.tokens_per_step

    def pending_prompt_tokens(self) -> int:
        """Prompt tokens still to be read, as of this moment."""
        scheduler = self._scheduler
        return scheduler.pending_prompt_tokens - self._steps_so_far() * scheduler.work.prompt_tokens

    def waiting(self) -> int:
        """Requests that are in no batch: on their way, queued or preempted."""
        return self.requests - len(self._scheduler.running)

    def _steps_so_far(self) -> int:
        """Steps of the stretch under way that have ended, and that the batch does not know of yet."""
        if self._steps <= 1:
            return 0
        return min(self._ramp.steps_done(self._env.now - self._began_s), self._steps - 1)

    def receive(self, delivery: Event) -> None:
        """The request that `delivery` carries has arrived over the network."""
        request: Request = delivery.value  # type: ignore[assignment]  # SimPy says Any or None
        if self.down:
            self.on_lost(request)
        elif self._scheduler.enqueue(request):
            self._schedule_soon()

    def _schedule_soon(self) -> None:
        """There is something new to schedule: now, or when the step under way has ended."""
        if self._idle:
            self._idle = False
            self._alarm.sooner(0.0)
        elif self._steps > 1:
            self._end_with_this_step()

    @property
    def is_running(self) -> bool:
        """Whether a step is under way."""
        return self._steps > 0

    def set_shares(self, memory: float, links: float) -> None:
        """What other traffic leaves of the bandwidth of its memories and of its links, from the
        next step on.
        """
        self._shares = memory, links
        self._change_pace()

    def set_warmth(self, clock: float, refresh: float) -> None:
        """What the temperatures of its devices leave of their clock and of their memories'
        bandwidth, from the next step on.
        """
        self._warmth = clock, refresh
        self._change_pace()

    def _change_pace(self) -> None:
        (memory, links), (clock, refresh) = self._shares, self._warmth
        self.set_pace(Pace(clock, memory * refresh, links))

    def set_pace(self, pace: Pace) -> None:
        """From the next step on its devices run at `pace`; the slowest of them where they differ."""
        if pace != self.pace:
            self.pace = pace
            self._times = self.times_at(pace)
            if self._steps > 1:
                self._end_with_this_step()

    def fail(self) -> None:
        """Its devices are lost, and with them the step under way; every request goes to `on_lost`."""
        self.stop(self._env.now)
        self.down, self.requests = True, 0
        for request in self._scheduler.drain(self._env.now):
            self.on_lost(request)

    def under_way(self) -> bytes:
        """The row of the stretch under way, as far as the end of the step under way; empty where
        there is none.
        """
        return self._row(self._steps_so_far() + 1) if self._steps else b""

    def stop(self, now_s: float) -> None:
        """The run ends at `now_s`: record the steps of the stretch under way that have ended."""
        if self._steps:
            self._steps = min(self._ramp.steps_done(now_s - self._began_s), self._steps - 1)
            self._settle()

    def _end_with_this_step(self) -> None:
        """Something changed that the next step should know of; the step under way is finished, as
        engines do.
        """
        elapsed_s = self._env.now - self._began_s
        steps = self._ramp.steps_done(elapsed_s) + 1
        if steps < self._steps:
            self._steps = steps
            self._alarm.sooner(max(self._ramp.total_s(steps) - elapsed_s, 0.0))

    def _run(self) -> Generator[Event, Any, None]:
        alarm = self._alarm
        if self.ready_s:
            yield alarm.after(self.ready_s)
        while True:
            duration_s = self._foresee_s()
            yield alarm.after(duration_s) if duration_s else alarm.when_called()
            self._settle()

    def _foresee_s(self) -> float:
        """Schedule the next stretch; its length, or 0 where there is nothing to do."""
        if self.down:
            return 0.0
        scheduler, now_s = self._scheduler, self._env.now
        output = scheduler.schedule(now_s, self._at_most)
        steps = output.steps
        if output.preempted:
            for request in output.preempted:
                self._recorder.events.append(
                    (now_s, "preempted", self._index, request.number, float(request.generated))
                )
        if self.shared is not None:
            self.shared(steps > 0)
        if not steps:
            self._idle = True
            return 0.0
        self._swap_s = 0.0
        if output.swap_s:
            self._swap_s = (
                output.swap_s if self.to_host is None else self.to_host.moved_s(output.swap_s)
            )
        if self.cap is None:
            pace, ramp = self.pace, self._times.ramp(scheduler.work)
            if self._swap_s:
                ramp = ramp.delayed(self._swap_s)
        else:
            pace, ramp = self.cap.slowed(scheduler, steps, self.pace, self._ramp_at)
        self._beside = None
        if self.shared is not None:
            alone = Pace(pace.clock, self._warmth[1], pace.links)
            self._beside = (
                self._ramp_at(alone),
                self._ramp_at(alone._replace(links=1.0)),
                ramp,
            )
        if ramp.valid_steps < steps:
            steps = ramp.valid_steps
        self._steps, self._began_s, self._ramp, self._ran_at = steps, now_s, ramp, pace
        return ramp.total_s(steps)

    def _ramp_at(self, pace: Pace) -> Ramp:
        """Return how long the scheduled steps would take at this pace."""
        ramp = self.times_at(pace).ramp(self._scheduler.work)
        return ramp.delayed(self._swap_s) if self._swap_s else ramp

    def _row(self, steps: int) -> bytes:
        """So many steps of the stretch under way, as results.STRETCH_COLUMNS."""
        scheduler, work = self._scheduler, self._scheduler.work
        first_s, slope_s, _ = self._ramp
        return PACK_STRETCH(
            self._index, self._began_s, first_s, slope_s, steps, work.batch, scheduler.counted, work.prompt_tokens,
            work.sampled, work.context, work.growth, work.windowed, work.growing, work.pairs, work.window_pairs,
            scheduler.kv_tokens, len(scheduler.running), len(scheduler.waiting), *self._ran_at, *self._lost_s(steps),
        )  # fmt: skip

    def _lost_s(self, steps: int) -> tuple[float, float]:
        """By how much longer so many steps of the stretch took because others used its memory, and
        its links.
        """
        if self._beside is None:
            return 0.0, 0.0
        own_memory, own_links, shared = self._beside
        return (
            shared.longer_than(own_memory).total_s(steps),
            own_memory.longer_than(own_links).total_s(steps),
        )

    def _settle(self) -> None:
        """The stretch, as far as it was run, is over: record it and move the batch on."""
        steps = self._steps
        if not steps:
            return
        self._steps = 0
        scheduler = self._scheduler
        self._recorder.stretches += self._row(steps)
        now_s = self._env.now
        if finished := scheduler.advance(steps, now_s):
            self.requests -= len(finished)
            self._recorder.left += len(finished)
            if self._on_finish is not None:
                for request in finished:
                    self._on_finish(request)
        if scheduler.stalls:
            for request, gap_s in scheduler.stalls:
                self._recorder.events.append((now_s, "resumed", self._index, request.number, gap_s))


class PrefillReplica(Replica):
    """Reads prompts, makes first tokens, and offers the requests to be decoded elsewhere."""

    def __init__(
        self,
        env: Environment,
        index: int,
        scheduler: PrefillScheduler,
        step_times: StepTimes,
        recorder: Recorder,
        stepping: bool,
        on_finish: Callable[[Request], None] | None,
        longest_decoded: int,
    ) -> None:
        super().__init__(env, index, scheduler, step_times, recorder, stepping, on_finish)
        self._prompts, self._longest_decoded = scheduler, longest_decoded
        self.on_read: Callable[[Request, PrefillReplica], None]
        """Told of each request that is to be decoded elsewhere."""
        self._on_step: (
            Callable[[PrefillReplica, Sequence[tuple[Request, int]], float], None] | None
        ) = None
        self._longest_prompt = scheduler.longest
        self.longest = min(scheduler.longest, longest_decoded)

    def holds(self, request: Request) -> bool:
        """Whether its prompt could ever be read here, and all of it be held by a replica that
        decodes.
        """
        return request.prompt_tokens <= self._longest_prompt and (
            request.output_tokens == 1 or request.footprint <= self._longest_decoded
        )

    def tell_of_steps(
        self, on_step: Callable[[PrefillReplica, Sequence[tuple[Request, int]], float], None]
    ) -> None:
        """`on_step` is told of each step as it begins: which prompts it reads how much of, and how
        long it lasts. None spans several.
        """
        self._on_step, self._at_most = on_step, 1

    def _foresee_s(self) -> float:
        duration_s = super()._foresee_s()
        if duration_s and self._on_step is not None:
            self._on_step(self, self._prompts.output.chunks, duration_s)
        return duration_s

    def release(self, request: Request) -> None:
        """Its KV has been sent."""
        if self.down:
            return
        self.requests -= 1
        self._prompts.release(request)
        if self._idle and self._scheduler.waiting:
            self._schedule_soon()

    def _settle(self) -> None:
        super()._settle()
        for request in self._prompts.take_prefilled():
            self.on_read(request, self)


class DecodeReplica(Replica):
    """Decodes requests whose prompts were read elsewhere."""

    def __init__(
        self,
        env: Environment,
        index: int,
        scheduler: DecodeScheduler,
        step_times: StepTimes,
        recorder: Recorder,
        stepping: bool,
        on_finish: Callable[[Request], None] | None,
    ) -> None:
        super().__init__(env, index, scheduler, step_times, recorder, stepping, on_finish)
        self._room = scheduler
        self.on_room: Callable[[], None]
        """Called when there may be more room than before."""
        self._asleep = False

    def kv_share(self) -> float:
        """Share of its KV room that is taken or promised, as of this moment."""
        return self._room.kv_share(self._steps_so_far())

    def can_take(self, request: Request) -> bool:
        """Whether there is room for it, as of this moment."""
        return (
            not self.down
            and self.holds(request)
            and self._room.can_take(request, self._steps_so_far())
        )

    def promise(self, request: Request) -> None:
        """Its KV is going to be sent here."""
        request.replica = self._index
        self.requests += 1
        if self.requests == 1 and self.on_busy is not None:
            self.on_busy()
        self._room.promise(request)
        if self._asleep and self._steps > 1 and self._room.steps_within(self._steps) < self._steps:
            self._end_with_this_step()

    def land(self, request: Request) -> None:
        """Its KV is here."""
        if self.down:
            self.on_lost(request)
            return
        self._room.land(request)
        self._schedule_soon()

    def _foresee_s(self) -> float:
        duration_s = super()._foresee_s()
        if self.down:
            return duration_s
        self._asleep = False
        self.on_room()
        self._asleep = True
        if self._steps > 1 and (steps := self._room.steps_within(self._steps)) < self._steps:
            self._steps = steps
            return self._ramp.total_s(steps)
        return duration_s

    def _settle(self) -> None:
        self._asleep = False
        super()._settle()
