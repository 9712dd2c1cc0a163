"""Lifecycle of a replica: it is started, loads its weights, drains, is lost and comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from simpy import Environment, Timeout

from cluster_sim.results.recorder import Recorder, StateRow
from cluster_sim.sim.replica import Replica
from cluster_sim.sim.replica_events import ReplicaEvents

State = Literal["off", "starting", "loading", "asleep", "ready", "draining", "lost"]
"""State of a replica. off: its devices are switched off or given back. starting: its node boots.
loading: its weights are loaded. asleep: its weights are in the host's memory, and it accepts no
requests. ready: it accepts requests. draining: it finishes its requests and accepts no new ones.
lost: its devices failed."""


class Lifecycle(ReplicaEvents):
    """State of one replica, with the changes that failures and scaling ask for.

    Parameters
    ----------
    env
        Environment of the simulation.
    replica
        Replica, which accepts requests.
    load_s
        Time to load the weights on a start or after a loss [s].
    recorder
        Recorder of the changes.
    """

    def __init__(
        self, env: Environment, replica: Replica[Any], load_s: float, recorder: Recorder
    ) -> None:
        self._env, self._load_s, self._recorder = env, load_s, recorder
        self.replica = replica
        """Replica, which accepts requests while it is ready."""
        self.state: State = "ready"
        self.faults = 0
        """Number of faults that have not been repaired."""
        self._goes_off = self._goes_to_sleep = False
        self._has_weights = True  # whether lost devices still have the weights
        self._is_reclaimed = False  # whether a replica that is off starts after the last repair
        self._changes = 0  # a timer is void if the state has changed since its start
        replica.subscribe(self)

    @property
    def number(self) -> int:
        """Number of the replica among all replicas."""
        return self.replica.number

    @property
    def is_wanted(self) -> bool:
        """Whether the replica is ready, or is started to become ready."""
        state = self.state
        return state == "ready" or (state in ("starting", "loading") and not self._goes_to_sleep)

    @property
    def is_warm(self) -> bool:
        """Whether the replica is asleep, or is started to go to sleep."""
        state = self.state
        return state == "asleep" or (state in ("starting", "loading") and self._goes_to_sleep)

    @property
    def will_be_warm(self) -> bool:
        """Whether the replica is or becomes a member of the warm pool."""
        return self.is_warm or (self.state == "draining" and self._goes_to_sleep)

    def begin_as(self, state: Literal["off", "asleep"]) -> None:
        """Begin the run in another state than ready."""
        self._enter(state, "initial")
        self._goes_to_sleep = state == "asleep"
        self.replica.fail()

    def expect_loss(self) -> None:
        """Accept no more requests: the replica is about to be lost, together with others."""
        if self.state == "ready":
            self.replica.close()

    def lose(self, cause: str, *, keeps_weights: bool = False) -> None:
        """Record one more fault; with the first one the replica loses its devices and requests.

        Parameters
        ----------
        cause
            Kind of event, such as `node_failure`; it is recorded with the change of state.
        keeps_weights
            Whether the devices work on and are only out of reach.
        """
        if not keeps_weights or (not self.faults and self.state not in ("ready", "draining")):
            self._has_weights = False
        self.faults += 1
        if self.faults == 1 and self.state != "off":
            self._enter("lost", cause)
            if not self.replica.down:
                self.replica.fail()

    def repair(self) -> None:
        """Record the repair of one fault; after the last one, weights that were lost are loaded."""
        self.faults -= 1
        if self.faults:
            return
        has_weights, self._has_weights = self._has_weights, True
        if self.state == "lost" and has_weights:
            self._be_ready("repaired")
        elif self.state == "lost":
            self._load("repaired")
        elif self._is_reclaimed:
            self._is_reclaimed = False
            self.switch_on(0.0, "repaired", then_sleep=self._goes_to_sleep)

    def reclaim(self) -> None:
        """Switch the devices of a spot instance off; `repair` ends the fault and starts them."""
        if self.state != "off":
            self._is_reclaimed = True
            self.switch_off("spot_reclaim")
        self.lose("spot_reclaim")

    def switch_on(
        self, provision_s: float, cause: str = "scaled_up", *, then_sleep: bool = False
    ) -> None:
        """Start a replica that is off: after `provision_s` [s] it loads its weights.

        It is ready then, or asleep if `then_sleep`.
        """
        assert self.state == "off" and not self.faults
        self._goes_to_sleep = then_sleep
        self._enter("starting", cause)
        self._after(provision_s, lambda: self._load(cause))

    def wake(self, wake_s: float) -> None:
        """Let a replica of the warm pool become ready: after `wake_s` [s] if it is asleep."""
        assert self.is_warm
        self._goes_to_sleep = False
        if self.state == "asleep":
            self._enter("loading", "scaled_up")
            self._after(wake_s, lambda: self._be_ready("scaled_up"))

    def switch_off(self, cause: str = "scaled_down") -> None:
        """Switch the devices off now; requests that are still there are lost."""
        self._enter("off", cause)
        if not self.replica.down:
            self.replica.fail()

    def go_to_sleep(self) -> None:
        """Move the weights to the host's memory; requests that are still there are lost."""
        self._goes_to_sleep = True
        self._enter("asleep", "scaled_down")
        self.replica.fail()

    def close(
        self, cause: str = "scaled_down", *, then_off: bool = True, then_sleep: bool = False
    ) -> None:
        """Accept no new requests; after the last one go to sleep or switch the devices off.

        Without `then_off` and `then_sleep` the devices stay on.
        """
        assert self.state == "ready"
        self._goes_off, self._goes_to_sleep = then_off, then_sleep
        self._enter("draining", cause)
        self.replica.close()

    def emptied(self, number: int) -> None:
        """Switch a drained replica off, or let it sleep."""
        if self.state != "draining":
            return
        if self._goes_to_sleep:
            self.go_to_sleep()
        elif self._goes_off:
            self.switch_off()

    def _load(self, cause: str) -> None:
        self._enter("loading", cause)
        self._after(self._load_s, lambda: self._be_ready(cause))

    def _be_ready(self, cause: str) -> None:
        if self._goes_to_sleep:
            self._enter("asleep", cause)
            return
        self._enter("ready", cause)
        self.replica.come_back()

    def _after(self, delay_s: float, change: Callable[[], None]) -> None:
        """Make a change after a delay [s], unless the state changes before."""
        changes = self._changes
        if not delay_s:
            change()
            return

        def act(_: Any) -> None:
            if self._changes == changes:
                change()

        Timeout(self._env, delay_s).callbacks.append(act)

    def _enter(self, state: State, cause: str) -> None:
        self.state = state
        self._changes += 1
        self._recorder.states.append(StateRow(self._env.now, self.number, state, cause))
