"""The JSON Schema of scenario files, with which editors check and complete them."""

from __future__ import annotations

from typing import Any

from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.study_spec import StudySections


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of scenario files.

    With `variants` the base may be incomplete: each variant adds the rest.
    """
    schema = Scenario.model_json_schema(by_alias=True)
    required = schema.pop("required")
    schema["properties"].pop("variant")
    schema["properties"]["variants"] = {
        "type": "object",
        "description": "Changes of each variant, by its name. Mappings are merged over the base, lists are replaced as a whole, and null removes a key. Default: no variants.",
        "additionalProperties": {"type": ["object", "null"]},
    }
    questions = StudySections.model_json_schema(by_alias=True)
    schema.setdefault("$defs", {}).update(questions.get("$defs", {}))
    schema["properties"].update(questions["properties"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cluster-sim scenario",
        **{key: value for key, value in schema.items() if key != "title"},
        "if": {"required": ["variants"]},
        "else": {"required": required},
    }
