"""Recorded faults: files of faults, and what is wrong with them."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.reliability import Fault, find_recorded, recorded_faults


def written(tmp_path: Path, text: str) -> tuple[Fault, ...]:
    path = tmp_path / "faults.csv"
    path.write_text(text)
    return recorded_faults(find_recorded(str(path)))


def test_a_file_gives_its_faults_in_order_of_time(tmp_path: Path) -> None:
    faults = written(
        tmp_path,
        "at_s,what,where,lasts_s,notice_s,factor\n"
        "600,node_failure,b200/1,3600,,\n"
        "20,link_degraded,b200/0/nic3 - leaf0,60,,0.25\n"
        "700,spot_reclaim,b200,,30,\n",
    )
    assert faults == (
        Fault(20.0, 60.0, "link_degraded", "b200/0/nic3 - leaf0", factor=0.25),
        Fault(600.0, 3600.0, "node_failure", "b200/1"),
        Fault(700.0, inf, "spot_reclaim", "b200", notice_s=30.0),
    )


def test_times_may_have_units(tmp_path: Path) -> None:
    faults = written(tmp_path, "at,lasts,what,where\n5 min,6 h,node_failure,a/0\n")
    assert faults == (Fault(300.0, 21_600.0, "node_failure", "a/0"),)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("at_s,what\n1,node_failure\n", "column 'where' is missing; got the columns at_s, what"),
        ("at_s,what,where,lasts_s,x\n1,node_failure,a,1,2\n", "unknown column 'x'"),
        (
            "at_s,what,where,lasts_s\n1,node_failed,a,1\n",
            "row 1: got what 'node_failed'; did you mean 'node_failure'?",
        ),
        ("at_s,what,where,lasts_s\n1,node_failure,,1\n", "row 1: got where"),
        (
            "at_s,what,where,lasts_s\n-1,node_failure,a,1\n",
            "row 1: got at -1 s; expected a time from 0 s on",
        ),
        ("at_s,what,where,lasts_s\n1,node_failure,a,0\n", "got lasts 0 s; expected more than 0 s"),
        ("at_s,what,where,lasts_s\n1,link_degraded,a,5\n", "got factor 0; expected a share below"),
        ("at_s,what,where,lasts_s\n", "the file has no faults"),
        (
            "at_s,what,where,lasts_s\n1,node_failure,a,inf\n",
            "or an empty value where there is no repair",
        ),
        ("at,at_s,what,where,lasts\n1 s,2,node_failure,a,6 h\n", "got the column 'at' twice"),
        (
            "at_s,what,where,lasts_s,notice_s\n1,node_failure,a,5,9\n",
            "got notice 9 s of node_failure; expected a notice of spot_reclaim only",
        ),
        ("at,lasts,what,where\n5,6 h,node_failure,a\n", "at: '5' has no unit"),
    ],
)
def test_a_file_that_is_wrong_is_refused_and_why(tmp_path: Path, text: str, wanted: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        written(tmp_path, text)
    assert wanted in str(caught.value)
    assert "faults.csv" in str(caught.value)


def test_the_events_of_a_run_give_its_faults(tmp_path: Path) -> None:
    """Values: repair time of a failure (0: none), share that a degraded link keeps, notice."""
    rows = [
        (5.0, "rejected", -1, 3, 20.0, None),
        (10.0, "node_failure", -1, -1, 60.0, "a/0"),
        (20.0, "link_degraded", -1, -1, 0.5, "a/0/nic0 - leaf0"),
        (30.0, "spot_notice", -1, -1, 15.0, "b"),
        (40.0, "repaired", -1, -1, 20.0, "a/0/nic0 - leaf0"),
        (45.0, "spot_reclaim", -1, -1, 0.0, "b"),
        (70.0, "repaired", -1, -1, 60.0, "a/0"),
        (80.0, "device_failure", -1, -1, 0.0, "a/1/device0"),
    ]
    names = ("at_s", "what", "replica", "request", "value", "where")
    table = pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)})
    pa.parquet.write_table(table, tmp_path / "events.parquet")
    assert recorded_faults(find_recorded(str(tmp_path))) == (
        Fault(10.0, 60.0, "node_failure", "a/0"),
        Fault(20.0, 20.0, "link_degraded", "a/0/nic0 - leaf0", factor=0.5),
        Fault(30.0, inf, "spot_reclaim", "b", notice_s=15.0),
        Fault(80.0, inf, "device_failure", "a/1/device0"),
    )
