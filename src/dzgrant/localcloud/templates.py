"""Parts of the stacks' templates, from which the local cloud makes what production has."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from dzgrant.errors import Misconfigured


def ledger() -> str:
    """A template of the ledger alone, with the parameters `Name` and `DeletionProtection`. Its table is `<Name>-ledger`."""
    return _part("ecs/governance.yaml", parameters=("Name", "DeletionProtection"), resources=("Ledger",))


def _part(path: str, *, parameters: Collection[str], resources: Collection[str]) -> str:
    whole = parsed(_text(path))
    return json.dumps(
        {
            "Parameters": {name: whole["Parameters"][name] for name in parameters},
            "Resources": {name: whole["Resources"][name] for name in resources},
        }
    )


def parsed(text: str) -> dict[str, Any]:
    """A template's text, its short forms spelled out."""
    template: dict[str, Any] = yaml.load(text, _Loader)  # noqa: S506  # derived from the safe one
    return template


def _text(path: str) -> str:
    """Beside this module where dzgrant is installed from a wheel, else in the repository."""
    here = Path(__file__)
    for place in (here.parent / "deploy" / path, here.parents[3] / "deploy" / path):
        if place.is_file():
            return place.read_text()
    raise Misconfigured(f"the template deploy/{path} is not there", do="install dzgrant again")


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Sub x` is `{"Fn::Sub": "x"}`."""


def _function(loader: _Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _function)
