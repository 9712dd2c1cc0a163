"""Models that a scenario names: catalog names, config.json files, folders, YAML files."""

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
"""Keys that a file must have although their value may be null, which means that the part is absent.
"""
_OTHERWISE = {
    "num_experts": "num_local_experts",
    "num_shared_experts": "n_shared_experts",
    "first_k_dense_replace": "mlp_layer_types",
    "moe_layers_enum": "mlp_layer_types",
}
"""Alternatives to required keys, as transformers 5 writes them."""
_NEVER_TIED = ("kimi_linear", "kimi_k3")
"""Families whose embeddings libraries never tie, whatever the file says."""
_AROUND = {
    "internvl": "tie_word_embeddings",
    "granite_speech": "tie_word_embeddings",
    "ovis2": "tie_word_embeddings",
    "voxtral": "head_dim",
}
"""Keys whose default in models of these names differs from that of the language model alone."""
_PICTURES = ("vision_config", "audio_config", "visual", "vision_tower", "mm_vision_tower")


def read_model(value: Any) -> Any:
    """Return the content of a `model` key, ready to be validated as a `Model`.

    The value is one of: a catalog name; the path of a config.json, of Mistral's params.json, of
    their folder or of a YAML file; a mapping with the keys of a Model.

    Parameters
    ----------
    value
        Value of the key in a scenario.

    Returns
    -------
    Any
        Mapping with the keys of a Model, or the value itself if it is a mapping.

    Raises
    ------
    ValueError
        There is no such file, folder or catalog entry.
    ScenarioError
        A config.json has faults.

    Examples
    --------
    >>> read_model({"name": "tiny", "layers": 2})
    {'name': 'tiny', 'layers': 2}
    """
    if not isinstance(value, str) or value in catalog_names("models"):
        return named("models", value, read_model)
    path = find(value, folders=True)
    if path is None:
        if not value.endswith((".json", ".yaml", ".yml")) and _HUB_NAME.fullmatch(value):
            raise ValueError(
                f"no file {shown(value)}; expected a file, a folder or a catalog name. To get the file of a model on the Hugging Face hub: `hf download {value} config.json --local-dir FOLDER` "
                "(and hf_quant_config.json too, if the model has one)"
            )
        if value.endswith(".json"):
            raise ValueError(f"no file {shown(value)}; expected the path of a config.json")
        return named("models", value, read_model)
    if path.is_dir():
        path = _config_in(path, value)
    elif not value.endswith(".json"):
        return named("models", value, read_model)
    return FromFile(Document(_read(path), str(path)))


def _config_in(folder: Path, value: str) -> Path:
    """Return the config.json of a folder, or else Mistral's params.json.

    Raises ValueError if the folder has neither file.
    """
    for name in ("config.json", "params.json"):
        if (folder / name).is_file():
            return folder / name
    raise ValueError(
        f"folder {shown(value)}: got no config.json in it; expected a config.json or params.json"
    )


def _read(path: Path) -> dict[str, Any]:
    """Return the keys of a Model from a file and the side files with its precision."""
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
        Name of the model, if the file has none.
    beside
        Contents of the side files with the precision of the weights, by name of the file.

    Returns
    -------
    dict
        Keys of a Model.

    Raises
    ------
    ValueError
        Keys are missing or at fault, or layers are not simulated. The message has one line per fault.
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
        # if keys contradict each other, the later validation reports that with the name of the file
        with suppress(ValidationError):
            keys |= with_kept_parts(reader, Model.model_validate(keys), quantised)
    if reader.faults:
        raise ValueError("\n".join(reader.faults))
    _note_the_rest(reader)
    notes = {"notes": reader.notes} if reader.notes else {}
    return keys | notes | {"read_from": reader.read_from()}


def _alike(reader: ConfigKeys) -> dict[str, Any]:
    """Return the keys of a Model whose layers are alike, or differ only by a window."""
    shape = shape_of(reader)
    return shape | feed_forward_of(reader, shape["hidden"]) | window_of(reader, shape)


def _required(reader: ConfigKeys) -> None:
    """Note the keys that a file of the family must have but lacks."""
    family, kind = reader.family, reader.model_type or "an unknown architecture"
    outside = reader.outside
    if (key := _AROUND.get(outside, "")) and key not in reader.config:
        reader.fault(f"{key}: is missing; files of {outside} must have this key")
    if reader.model_type in _NEVER_TIED and reader.config.get("tie_word_embeddings"):
        reader.fault(
            f"tie_word_embeddings: got true; expected false: libraries disagree about tied embeddings of {kind}"
        )
    if family is None and not any(one in reader.config for one in ACTIVATIONS):
        reader.fault(f"{ACTIVATIONS[0]}: is missing; files of {kind} must have this key")
    required = family.required if family is not None else ("tie_word_embeddings",)
    if family is not None and reader.has_class_of_its_own:
        required = (*required, "tie_word_embeddings")
        takes_heads = family.kv_as_heads or "num_key_value_heads" in family.defaults
        if takes_heads and not reader.given("kv_lora_rank"):
            required = (*required, "num_key_value_heads")
    for key in required:
        if key not in reader.config and not reader.given(_OTHERWISE.get(key, key)):
            reader.fault(f"{key}: is missing; files of {kind} must have this key")
        elif key in reader.config and reader.config[key] is None and key not in _MAY_BE_NULL:
            reader.fault(f"{key}: got null; expected a value in a file of {kind}")


def _note_the_rest(reader: ConfigKeys) -> None:
    """Note the parts of a file that are not simulated, and an unknown family."""
    if any(reader.config.get(key) for key in _PICTURES):
        reader.notes.append("the parts of the file for images and sound are not simulated")
    if not reader.has_class_of_its_own:
        return
    what = shown(reader.model_type) if reader.model_type else "no model_type"
    like = "a model like Llama, because all of its keys are known"
    if reader.family is not None:
        like = "its architectures say, with the defaults of that class"
    assumed = ""
    if reader.value(*HEAD_WIDTHS)[1] is None and not reader.given("kv_lora_rank"):
        assumed = (
            f"; {HEAD_WIDTHS[0]} is missing; hidden_size divided by the number of heads is used"
        )
    reader.notes.append(
        f"model_type: got {what}, which is not known; the file is read as {like}{assumed}"
    )
