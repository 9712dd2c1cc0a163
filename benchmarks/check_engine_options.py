"""Check the table of engine options against packages of the engines.

    pip download --no-deps vllm==0.33.0 sglang==0.5.23 ai-dynamo==1.6.1
    python benchmarks/check_engine_options.py *.whl

Nothing is installed or imported: names of options are looked for in the files of the packages that
define them. A row that names the release of a package, and an option that is not in it, is a fault.
"""

from __future__ import annotations

import csv
import re
import sys
import zipfile
from pathlib import Path

from cluster_sim.schema import CATALOG

_ENGINES = {"vllm": "vllm", "sglang": "sglang", "ai_dynamo": "dynamo"}
_FILES = {
    "vllm": re.compile(r"vllm/(engine/arg_utils|entrypoints/.*cli_args)\.py"),
    "sglang": re.compile(r"sglang/srt/(server_args|arg_groups/fields/\w+)\.py"),
    "dynamo": re.compile(r"dynamo/(vllm|trtllm|sglang|common/configuration/groups)/\w*args\.py"),
}
_LITERAL = re.compile(r"[\"'](--[\w-]+|DYN_\w+)[\"']")
_FIELD = re.compile(r"^    ([a-z]\w*): ", re.MULTILINE)


def options_in(wheel: Path, engine: str) -> set[str]:
    """Return the names of options in the files of a package that define them."""
    found: set[str] = set()
    with zipfile.ZipFile(wheel) as package:
        for name in filter(_FILES[engine].fullmatch, package.namelist()):
            text = package.read(name).decode()
            found |= set(_LITERAL.findall(text))
            found |= {f"--{field.replace('_', '-')}" for field in _FIELD.findall(text)}
    return found


def faults(wheel: Path) -> list[str]:
    """Return the options of the table that a package lacks although the table has them verified."""
    package, release = wheel.name.split("-")[:2]
    engine = _ENGINES[package]
    found = options_in(wheel, engine)
    with (CATALOG / "engine_options.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["engine"] == engine]
    listed = [row["option"] for row in rows if release in row["verified"].split()]
    absent = [option for option in listed if option not in found]
    print(f"{wheel.name}: {len(listed)} of {len(rows)} options verified, {len(absent)} absent")
    newer = [
        row["option"] for row in rows if row["option"] in found and row["option"] not in listed
    ]
    if newer:
        print(f"  found but not listed for {release}: {', '.join(newer)}")
    return absent


def main() -> int:
    """Check the packages that the arguments name."""
    absent = [option for name in sys.argv[1:] for option in faults(Path(name))]
    print("\n".join(f"absent: {option}" for option in absent) or "OK")
    return 1 if absent else 0


if __name__ == "__main__":
    sys.exit(main())
