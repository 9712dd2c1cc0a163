"""YAML files -> frozen descriptions, with every fault of a file in one message, each with its line.

The room knows nothing of the domain. It reads files, merges mappings, records the line of each
value, and turns pydantic's errors into sentences.
"""

from cluster_sim.schema.base import Description, describe
from cluster_sim.schema.catalog import (
    CATALOG,
    KINDS,
    Named,
    catalog_data,
    catalog_entry,
    catalog_figures,
    catalog_kinds,
    catalog_names,
    catalog_sources,
    engine_releases,
    find,
    looking_in,
    named,
    second_names,
)
from cluster_sim.schema.compiled_yaml import yaml_text
from cluster_sim.schema.documents import LIKE, Document, Trail, path_text, under
from cluster_sim.schema.examples import (
    EXAMPLE,
    example_names,
    example_path,
    examples_folder,
    user_file,
)
from cluster_sim.schema.file_names import file_name_fault, folder_name, same_folder
from cluster_sim.schema.json_files import parse_json, read_json
from cluster_sim.schema.like import ENTRY_KINDS, FromFile, entry_name, opened
from cluster_sim.schema.overrides import keys_of, overridden, override
from cluster_sim.schema.renamed_keys import NewNames, RenamedKeyWarning, with_new_names
from cluster_sim.schema.sourced_figures import Figure, bare, figures
from cluster_sim.schema.yaml_files import parse_yaml, read_text, read_yaml

__all__ = [
    "CATALOG",
    "ENTRY_KINDS",
    "EXAMPLE",
    "KINDS",
    "LIKE",
    "Description",
    "Document",
    "Figure",
    "FromFile",
    "Named",
    "NewNames",
    "RenamedKeyWarning",
    "Trail",
    "bare",
    "catalog_data",
    "catalog_entry",
    "catalog_figures",
    "catalog_kinds",
    "catalog_names",
    "catalog_sources",
    "describe",
    "engine_releases",
    "entry_name",
    "example_names",
    "example_path",
    "examples_folder",
    "figures",
    "file_name_fault",
    "find",
    "folder_name",
    "keys_of",
    "looking_in",
    "named",
    "opened",
    "overridden",
    "override",
    "parse_json",
    "parse_yaml",
    "path_text",
    "read_json",
    "read_text",
    "read_yaml",
    "same_folder",
    "second_names",
    "under",
    "user_file",
    "with_new_names",
    "yaml_text",
]
