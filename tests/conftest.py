"""Settings of every test.

Tests have no deadlines, since a shared machine may stand still for a while. Linear algebra uses one
thread per process: matrices are small, and the threads of several test processes would wait for
each other.
"""

import os
import signal
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is imported

import pytest
from hypothesis import settings

from tests.commands import BURST

# A shell that starts the tests in the background has Ctrl-C ignored, by the commands of tests too
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# the same examples in every run; `--hypothesis-profile random` draws new ones
settings.register_profile("random", deadline=None)
settings.register_profile("cluster-sim", deadline=None, derandomize=True)
settings.load_profile("cluster-sim")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `tests/fuzz`: the number of damaged files, and the seed."""
    parser.addoption("--fuzz", type=int, default=300, metavar="N", help="damage N files")
    parser.addoption("--fuzz-seed", type=int, default=0, metavar="S", help="others than usual")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every long test is slow too, so that `-m "not slow"` leaves it out."""
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Give tests the names by which pytest-xdist keeps a group in one process.

    NOTE: pytest 9.2 does not read the field that pytest-xdist 3.8 writes (its issue 1386). Without
    this, what a group shares is computed in every process.
    """
    for item in session.items:
        name = getattr(item, "_nodeid", item.nodeid)
        if name != item.nodeid:
            item._id = type(item._id).parse(name)


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty folder the working folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the pictures out of pages: drawing them is most of the time of a page.

    For tests of other parts of a page, and of its file; `tests/report` and `tests/figures` draw.
    """
    monkeypatch.setattr("cluster_sim.report.page._pictures", lambda results: [])


@pytest.fixture
def scenario(tmp_path: Path, empty_folder: None) -> Path:
    """The path of a small scenario in an empty folder, which is the working folder."""
    path = tmp_path / "small.yaml"
    path.write_text(BURST)
    return path
