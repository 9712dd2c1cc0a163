"""What other rooms ask of an arrival process: each answers for itself, and refuses by its name."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from math import inf
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import TypeAdapter

from cluster_sim.workload.arrivals import (
    ARRIVAL_PROCESSES,
    ArrivalProcess,
    Arrivals,
    ClientLoad,
    OpenLoop,
    WaitingClients,
)
from cluster_sim.workload.arrivals.renewal import renewal_pieces
from tests.workload.test_arrivals import PROCESSES

ALL = PROCESSES | {"closed_loop": {"process": "closed_loop", "concurrency": 8, "think_time": "2 s"}}


def made(name: str, **changes: Any) -> Any:
    return TypeAdapter(Arrivals).validate_python(ALL[name] | changes)


class Constant(OpenLoop):
    """A process that nobody has told the other rooms of: equal gaps."""

    process: Literal["constant"] = "constant"
    rate_per_s: float

    def steady_pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        return renewal_pieces(lambda count: np.full(count, 1.0 / self.rate_per_s))

    def steady_rate_per_s(self) -> float:
        return self.rate_per_s

    def gamma_shape(self) -> float:
        return inf


def test_every_member_of_the_union_is_an_arrival_process_with_a_name_of_its_own() -> None:
    assert all(issubclass(member, ArrivalProcess) for member in ARRIVAL_PROCESSES)
    assert {member.name() for member in ARRIVAL_PROCESSES} == {
        keys["process"] for keys in ALL.values()
    }


@pytest.mark.parametrize("name", ALL)
def test_thinned_arrivals_have_a_share_of_the_rate_or_are_refused_by_name(name: str) -> None:
    process = made(name)
    if not process.can_be_thinned:
        with pytest.raises(TypeError, match=f"{process.name()} arrivals cannot be thinned"):
            process.thinned(4)
        return
    whole_per_s = process.mean_rate_per_s()  # asked first: nothing of it may stay with the share
    share = process.thinned(4)
    assert type(share) is type(process)
    if whole_per_s is not None:
        assert share.mean_rate_per_s() == pytest.approx(whole_per_s / 4, rel=1e-12)


def test_counts_that_grow_with_the_fleet_are_divided() -> None:
    clients = made("closed_loop", requests=40)
    assert clients.fleet_counts() == {"requests": 40, "concurrency": 8}
    assert clients.thinned(4).fleet_counts() == {"requests": 10, "concurrency": 2}
    assert clients.thinned(4).think_time_s == 2.0
    assert made("poisson", requests=12).thinned(4).requests == 3
    assert made("poisson").fleet_counts() == {}


def test_only_a_closed_loop_has_clients_that_wait() -> None:
    assert made("closed_loop").waiting_clients() == WaitingClients(8, 2.0)
    assert all(made(name).waiting_clients() is None for name in PROCESSES)
    with pytest.raises(TypeError, match="closed_loop arrivals wait for answers"):
        made("closed_loop").times(np.random.default_rng(1))


def test_only_a_queue_ends_by_itself() -> None:
    assert [name for name in ALL if made(name).ends_by_itself] == ["at_once"]


def test_no_rate_where_arrivals_follow_answers_or_come_at_once() -> None:
    assert [name for name in ALL if made(name).mean_rate_per_s() is None] == [
        "at_once",
        "closed_loop",
    ]


@pytest.mark.parametrize(
    ("name", "load"),
    [
        ("poisson", ClientLoad(rate_per_s=5.0, gamma_shape=1.0)),
        ("gamma", ClientLoad(rate_per_s=5.0, gamma_shape=1 / 9)),
        ("at_once", ClientLoad(queued=10)),
        ("closed_loop", ClientLoad(max_concurrency=8)),
        *((name, None) for name in ("weibull", "on_off", "mmpp", "clients", "diurnal", "burst")),
    ],
)
def test_a_client_has_parameters_for_gamma_gaps_queues_and_waiting_clients(
    name: str, load: ClientLoad | None
) -> None:
    assert made(name).client_load() == load


def test_a_rate_that_changes_is_no_load_of_a_client() -> None:
    """Poisson arrivals at a rate that doubles and halves are not Poisson arrivals at its mean."""
    assert made("curved").client_load() is None
    assert made("poisson", rate_curve={"peak_to_mean": 2}).client_load() is None


def test_a_new_process_answers_without_a_line_elsewhere() -> None:
    constant = Constant.model_validate({"rate": 4.0})
    assert list(islice(constant.times(np.random.default_rng(1)), 3)) == [0.25, 0.5, 0.75]
    assert constant.client_load() == ClientLoad(4.0, inf)
    assert constant.scaled(2.5).mean_rate_per_s(60.0) == 10.0
    assert constant.waiting_clients() is None
    with pytest.raises(TypeError, match="constant arrivals cannot be thinned"):
        constant.thinned(2)
