"""Servers: the command of one replica, for each engine, and the settings that a command stands for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cluster_sim.errors import ScenarioError
from cluster_sim.export.deploy import sglang_serve, trtllm_serve, vllm_serve
from cluster_sim.export.deploy.arguments import Reading, options_of, words_of
from cluster_sim.export.deploy.facts import profile_of
from cluster_sim.export.deploy.keys import Keys
from cluster_sim.export.deploy.option_table import with_known
from cluster_sim.export.deploy.served import Served
from cluster_sim.hardware.engine_releases import maker
from cluster_sim.llm.model_names import known_model
from cluster_sim.schema import parse_yaml

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_QUIET = ("--host", "--port", "--served-model-name", "--trust-remote-code", "--seed")
_QUIET_ON_NODES = (
    "--headless",
    "--node-rank",
    "--master-addr",
    "--master-port",
    "--dist-init-addr",
    "--backend",
)
ENGINES = {"vllm": "vLLM", "sglang": "SGLang", "trtllm": "TensorRT-LLM"}
"""Names of the engines for which arguments can be written, by the name of the target."""


class Launch(NamedTuple):
    """Command that starts one replica."""

    command: list[str]
    """Program and its first words."""
    options: list[list[str]]
    """Options, each with its values."""
    files: dict[str, dict[str, Any]] = {}  # noqa: RUF012 - shared and never changed
    """Content of the YAML files that the options name."""

    @property
    def words(self) -> list[str]:
        """All words behind the program, in order."""
        return [word for option in self.options for word in option]


def target_of(served: Served) -> str | None:
    """Return the name of the target of a pool's engine; None if there is none for it."""
    name = maker(served.engine.profile)
    return next((target for target, engine in ENGINES.items() if engine == name), None)


def _options(served: Served) -> tuple[str, dict[str, Any]]:
    """Return the target of a pool's engine, and the options that its release has."""
    target = target_of(served)
    assert target is not None
    write = {"vllm": vllm_serve, "sglang": sglang_serve, "trtllm": trtllm_serve}[target].options
    written = write(served, profile_of(served.plan.engine))
    return target, with_known(target, served.plan.engine, written)


def launch(served: Served) -> Launch:
    """Return the command that starts one replica of a pool with its own engine."""
    target, options = _options(served)
    if target == "vllm":
        return Launch(["vllm", "serve", options.pop("")], list(words_of(options)))
    if target == "sglang":
        return Launch(["python", "-m", "sglang.launch_server"], list(words_of(options)))
    file, settings = f"{served.deployment.name}.yaml", options
    options = {"--extra_llm_api_options": file}
    if (role := trtllm_serve.ROLES.get(served.plan.role)) is not None:
        options["--server_role"] = role
    command = ["trtllm-serve", trtllm_serve.model(served)]
    return Launch(command, list(words_of(options)), {file: settings})


def launch_in_dynamo(served: Served) -> Launch:
    """Return the command of a worker of Dynamo, which wraps the pool's engine.

    Source: ai-dynamo 1.6.1, `dynamo/{vllm,sglang,trtllm}/backend_args.py`.
    """
    target, options = _options(served)
    role = served.plan.role
    mode = {} if role == "both" else {"--disaggregation-mode": role}
    program = ["python3", "-m", f"dynamo.{target}"]
    if target == "vllm":
        options = {"--model": options.pop("")} | options | mode
        options.pop("--nnodes", None)  # the operator sets it
    elif target == "sglang":
        options.pop("--nnodes", None)
    else:
        named = {"--model-path": trtllm_serve.model(served), "--override-engine-args": options}
        options = named | mode
    return Launch(program, list(words_of(options)))


def find(words: Sequence[str]) -> tuple[str, list[str]] | None:
    """Return the target of a command and the words behind its program; None for other commands.

    Examples
    --------
    >>> find(["CUDA_VISIBLE_DEVICES=0", "vllm", "serve", "m", "--max-num-seqs", "8"])
    ('vllm', ['m', '--max-num-seqs', '8'])
    """
    rest = list(words)
    while rest and (_ASSIGNMENT.match(rest[0]) or rest[0] in ("exec", "env", "nohup")):
        rest = rest[1:]
    program = [re.sub(r"^.*/", "", word) for word in rest[:3]]
    if program[:2] == ["vllm", "serve"]:
        return "vllm", rest[2:]
    if program[:1] == ["trtllm-serve"]:
        return "trtllm", rest[2:] if program[1:2] == ["serve"] else rest[1:]
    if program[:1] in (["python"], ["python3"]) and program[1:2] == ["-m"]:
        module = program[2] if len(program) > 2 else ""
        if module in ("sglang.launch_server", "dynamo.sglang"):
            return "sglang", rest[3:]
        if module in ("dynamo.vllm", "vllm.entrypoints.openai.api_server"):
            return "vllm", rest[3:]
        if module == "dynamo.trtllm":
            return "trtllm", rest[3:]
    return None


def read(target: str, words: Sequence[str], files: Mapping[str, str], where: str) -> Keys:
    """Return the keys of a pool that the words behind a program stand for.

    Parameters
    ----------
    target
        Engine whose program it is.
    words
        Words behind the program.
    files
        Texts of YAML files that the words may name.
    where
        Place of the command, for messages.

    Raises
    ------
    ScenarioError
        A value is none of its option, or a file that is named is missing.
    """
    first, options = options_of(words)
    reading = Reading(options, where)
    name = first[0] if first else None
    mode = reading.text("--disaggregation-mode")
    if target == "vllm":
        keys = vllm_serve.keys_of(name, reading)
    elif target == "sglang":
        keys = sglang_serve.keys_of(reading)
    else:
        settings = _settings(reading, files, where)
        keys = trtllm_serve.keys_of(
            reading.text("--model-path", "--model") or name,
            settings,
            reading.text("--server-role"),
            where,
        )
    if mode in ("prefill", "decode"):
        keys.put("replica.role", mode)
    known = None if keys.model is None else known_model(keys.model)
    if known is not None and known.weights is not None:
        keys.values.setdefault("replica.weights", known.weights)
    reading.has(*_QUIET, *_QUIET_ON_NODES)
    if left := reading.left():
        keys.notes.append(f"options that are not read: {', '.join(left)}")
    return keys


_TRTLLM_OPTIONS = {
    "--tp-size": "tensor_parallel_size",
    "--tensor-parallel-size": "tensor_parallel_size",
    "--pp-size": "pipeline_parallel_size",
    "--pipeline-parallel-size": "pipeline_parallel_size",
    "--ep-size": "moe_expert_parallel_size",
    "--expert-parallel-size": "moe_expert_parallel_size",
    "--max-batch-size": "max_batch_size",
    "--max-num-tokens": "max_num_tokens",
    "--max-seq-len": "max_seq_len",
}
"""Keys of the YAML file by the options of the command line that stand for them."""


def _settings(reading: Reading, files: Mapping[str, str], where: str) -> dict[str, Any]:
    """Return the settings of TensorRT-LLM; those of the file replace those of the command line."""
    settings: dict[str, Any] = {}
    for option, key in _TRTLLM_OPTIONS.items():
        if (value := reading.whole(option)) is not None:
            settings[key] = value
    if (share := reading.number("--kv-cache-free-gpu-memory-fraction")) is not None:
        settings["kv_cache_config"] = {"free_gpu_memory_fraction": share}
    names = ("--extra-llm-api-options", "--config", "--extra-engine-args")
    if (file := reading.text(*names)) is not None:
        if file not in files:
            raise ScenarioError.at(
                where,
                f"names the file {file}, which is not in this text; expected it in a here-document before the command",
            )
        settings |= parse_yaml(files[file], f"{where}, {file}").data
    if overrides := reading.mapping("--override-engine-args"):
        settings |= json.loads(json.dumps(overrides))
    return settings
