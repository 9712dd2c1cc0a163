"""Parse emitted serve arguments with the parser of an installed engine.

    python benchmarks/parse_emitted.py write vllm arguments.jsonl       # where cluster-sim is installed
    python benchmarks/parse_emitted.py parse vllm arguments.jsonl       # where vLLM is installed
    python benchmarks/parse_emitted.py write vllm new.jsonl --release 0.28

Each line holds the arguments of one drawn pool. vLLM parses them without a GPU if it is told to
assume one, which `parse` does. An option that the release does not have is a fault there.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

_COUNT = 80


def write(engine: str, path: Path, release: str | None) -> None:
    """Write the arguments of drawn pools, or of those whose engine has a release."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from cluster_sim.deployment.fleet import resolve
    from cluster_sim.export.deploy.option_table import release_of
    from cluster_sim.export.deploy.served import Served
    from cluster_sim.export.deploy.servers import launch
    from tests.export.test_deployments import drawn, special

    lines = []
    for scenario in [*drawn(engine, _COUNT), *special(engine)]:
        for deployment in resolve(scenario).deployments:
            own = ".".join(map(str, release_of(deployment.pool.replica.engine)))
            started = launch(Served(deployment))
            model = ["--model", *started.command[2:]] if engine == "vllm" else []
            if release in (None, own):
                lines.append(json.dumps([*model, *started.words]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote {path}: {len(lines)} pools")


def parser_of(engine: str) -> Any:
    """Return the parser of an installed engine."""
    if engine == "sglang":
        from sglang.srt.server_args import ServerArgs

        parser = argparse.ArgumentParser()
        ServerArgs.add_cli_args(parser)
        return parser
    import vllm.platforms
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    vllm.platforms.current_platform.device_type = "cuda"
    try:
        from vllm.entrypoints.common.cli_args import make_arg_parser
    except ImportError:  # before 0.33
        from vllm.entrypoints.openai.cli_args import make_arg_parser
    return make_arg_parser(FlexibleArgumentParser())


def parse(engine: str, path: Path) -> int:
    """Parse every line; return 1 if one was refused."""
    parser, refused = parser_of(engine), 0
    lines = path.read_text(encoding="utf-8").splitlines()
    for line in lines:
        try:
            found = parser.parse_args(json.loads(line))
            if engine == "vllm":
                from vllm.engine.arg_utils import AsyncEngineArgs

                AsyncEngineArgs.from_cli_args(found)
        except SystemExit:  # the parser has said why
            refused += 1
            print(f"refused: {line}")
    print(f"{len(lines) - refused} of {len(lines)} parsed")
    return 1 if refused else 0


def main() -> int:
    """Write or parse, as the arguments say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("do", choices=("write", "parse"))
    parser.add_argument("engine", choices=("vllm", "sglang"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--release")
    chosen = parser.parse_args()
    if chosen.do == "parse":
        return parse(chosen.engine, chosen.file)
    write(chosen.engine, chosen.file, chosen.release)
    return 0


if __name__ == "__main__":
    sys.exit(main())
