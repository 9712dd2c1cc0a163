"""Models named by a scenario: catalog names, config.json files, folders, files of one's own."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cluster_sim.errors import Fault, ScenarioError, shown
from cluster_sim.llm.config_files.config_experts import ACTIVATIONS, feed_forward_of
from cluster_sim.llm.config_files.config_keys import ConfigKeys
from cluster_sim.llm.config_files.config_quantisation import SIDE_FILES, quantisation_of
from cluster_sim.llm.config_files.config_shapes import HEAD_WIDTHS, shape_of, window_of
from cluster_sim.llm.config_files.kept_parts import with_kept_parts
from cluster_sim.llm.config_files.mixed import mixed_reader
from cluster_sim.llm.config_files.params_json import config_of_params
from cluster_sim.llm.config_files.refusals import refusals, unknown_keys
from cluster_sim.llm.model import Model
from cluster_sim.schema import Document, FromFile, catalog_names, find, named, read_json

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_MAY_BE_NULL = ("q_lora_rank", "n_shared_experts", "num_shared_experts", "head_dim")
"""Keys that a file must have although their value may be null, which stands for none."""
_OTHERWISE = {
    "num_experts": "num_local_experts",
    "num_shared_experts": "n_shared_experts",
    "first_k_dense_replace": "mlp_layer_types",
    "moe_layers_enum": "mlp_layer_types",
}
"""Keys in place of those that a file must have, as transformers 5 saves them."""
_NEVER_TIED = ("kimi_linear", "kimi_k3")
"""Families that the library does not tie whatever the file says."""
_AROUND = {
    "internvl": "tie_word_embeddings",
    "granite_speech": "tie_word_embeddings",
    "ovis2": "tie_word_embeddings",
    "voxtral": "head_dim",
}
"""Keys whose default is not the language model's own inside models of these names."""
_PICTURES = ("vision_config", "audio_config", "visual", "vision_tower", "mm_vision_tower")


def read_model(value: Any) -> Any:
    """Return what a model key stands for, ready to be validated as a `Model`.

    It is a catalog name, the path of a config.json (or of Mistral's params.json), of the folder
    that holds it or of a YAML file, or a mapping of Model's keys.

    Raises
    ------
    ValueError
        The value is none of these.
    ScenarioError
        A config.json is wrong.
    """
    if not isinstance(value, str) or value in catalog_names("models"):
        return named("models", value, read_model)
    path = find(value, folders=True)
    if path is None:
        if not value.endswith((".json", ".yaml", ".yml")) and _HUB_NAME.fullmatch(value):
            raise ValueError(
                f"no file {shown(value)}; expected a file, a folder or a name in the catalog: `hf download {value} config.json --local-dir FOLDER` "
                "gets the file of a model of that name, and its quantisation is in hf_quant_config.json beside it where there is one"
            )
        if value.endswith(".json"):
            raise ValueError(f"no file {shown(value)}")
        return named("models", value, read_model)
    if path.is_dir():
        path = _config_in(path, value)
    elif not value.endswith(".json"):
        return named("models", value, read_model)
    return FromFile(Document(_read(path), str(path)))


def _config_in(folder: Path, value: str) -> Path:
    """Return the config.json in a folder, or else Mistral's params.json.

    Raises ValueError where it has neither.
    """
    for name in ("config.json", "params.json"):
        if (folder / name).is_file():
            return folder / name
    raise ValueError(f"folder {shown(value)}: got no config.json in it; expected a config.json")


def _read(path: Path) -> dict[str, Any]:
    """Return the keys of a Model from a file and the side files about its precision."""
    name = path.parent.name if path.name in ("config.json", "params.json") else path.stem
    content = read_json(path)
    beside = {}
    if path.name == "config.json":
        beside = {
            side: read_json(path.parent / side)
            for side in SIDE_FILES
            if (path.parent / side).is_file()
        }
    try:
        if path.name == "params.json":
            content = config_of_params(content)
        return from_hugging_face(content, name, beside)
    except ScenarioError:
        raise
    except ValueError as fault:
        raise ScenarioError([Fault(str(path), line) for line in str(fault).splitlines()]) from fault


def from_hugging_face(
    config: Any, name: str, beside: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the keys of a `Model` from a Hugging Face `config.json`.

    Parameters
    ----------
    config
        Content of the file.
    name
        Name of the model where the file has none.
    beside
        Contents of the files beside it that hold its precision, by name.

    Raises
    ------
    ValueError
        Keys are missing or wrong, or layers are not simulated; one line per fault.
    """
    if not isinstance(config, dict):
        raise ValueError(
            f"got {shown(config)}; expected a mapping, as a Hugging Face config.json holds"
        )
    reader = ConfigKeys(config)
    if refused := list(refusals(reader)):
        raise ValueError("\n".join(refused))
    _required(reader)
    mixed = mixed_reader(reader)
    keys = {"name": str(reader.config.get("_name_or_path") or name)}
    keys |= _alike(reader) if mixed is None else mixed.read(reader)
    quantised = quantisation_of(reader, beside or {})
    reader.faults += unknown_keys(reader)
    if not reader.faults and quantised is not None:
        # where keys do not fit together, whoever validates them says so with the file's name
        with suppress(ValidationError):
            keys |= with_kept_parts(reader, Model.model_validate(keys), quantised)
    if reader.faults:
        raise ValueError("\n".join(reader.faults))
    _note_the_rest(reader)
    notes = {"notes": reader.notes} if reader.notes else {}
    return keys | notes | {"read_from": reader.read_from()}


def _alike(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model whose layers are alike, or have the whole context or a window."""
    shape = shape_of(reader)
    return shape | feed_forward_of(reader, shape["hidden"]) | window_of(reader, shape)


def _required(reader: ConfigKeys) -> None:
    """Note the keys that a file of its family must have, and has not."""
    family, kind = reader.family, reader.model_type or "an unknown architecture"
    outside = reader.outside
    if (key := _AROUND.get(outside, "")) and key not in reader.config:
        reader.fault(f"{key}: is missing; expected it in a file of {outside}")
    if reader.model_type in _NEVER_TIED and reader.config.get("tie_word_embeddings"):
        reader.fault(
            f"tie_word_embeddings: got true; expected false: libraries do not agree on tied embeddings of {kind}"
        )
    if family is None and not any(one in reader.config for one in ACTIVATIONS):
        reader.fault(f"{ACTIVATIONS[0]}: is missing; expected it in a file of {kind}")
    required = family.required if family is not None else ("tie_word_embeddings",)
    if family is not None and reader.has_class_of_its_own:
        required = (*required, "tie_word_embeddings")
        takes_heads = family.kv_as_heads or "num_key_value_heads" in family.defaults
        if takes_heads and not reader.given("kv_lora_rank"):
            required = (*required, "num_key_value_heads")
    for key in required:
        if key not in reader.config and not reader.given(_OTHERWISE.get(key, key)):
            reader.fault(f"{key}: is missing; expected it in a file of {kind}")
        elif key in reader.config and reader.config[key] is None and key not in _MAY_BE_NULL:
            reader.fault(f"{key}: got null; expected a value in a file of {kind}")


def _note_the_rest(reader: ConfigKeys) -> None:
    """Note what is left out of the model, and a family that is not known."""
    if any(reader.config.get(key) for key in _PICTURES):
        reader.notes.append("the parts of the file for images and sound are left out")
    if not reader.has_class_of_its_own:
        return
    what = shown(reader.model_type) if reader.model_type else "no model_type"
    like = "a model like Llama, since all its keys are known"
    if reader.family is not None:
        like = "its architectures say, with the defaults of that class"
    assumed = ""
    if reader.value(*HEAD_WIDTHS)[1] is None and not reader.given("kv_lora_rank"):
        assumed = f"; {HEAD_WIDTHS[0]} is missing and taken as hidden_size over the number of heads"
    reader.notes.append(
        f"model_type: got {what}, which is not known; the file is read as {like}{assumed}"
    )
