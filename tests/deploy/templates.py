"""CloudFormation templates as data, and as much of CloudFormation as these tests ask: which parameters it refuses, and what
the resources become with those that it takes (CloudFormation user guide, "Template reference")."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cfnlint.api import lint_file

from dzgrant.localcloud.templates import parsed

Template = dict[str, Any]
DEPLOY = Path(__file__).parents[2] / "deploy"
ACCOUNT, REGION = "123456789012", "eu-central-1"
_PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": "dzgrant",
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/dzgrant/0",
    "AWS::URLSuffix": "amazonaws.com",
}
_NO_VALUE = object()


@cache
def load(path: Path) -> Template:
    """The template, short forms spelled out; nobody changes it."""
    return parsed(path.read_text())


def complaints(path: Path) -> list[str]:
    """What cfn-lint says of a template: errors and warnings, one line each."""
    return [str(match) for match in lint_file(path)]


def refusals(template: Template, given: Mapping[str, str]) -> list[str]:
    """Why CloudFormation would not take these parameters: the parameters' constraints, then the template's rules."""
    declared: dict[str, dict[str, Any]] = template.get("Parameters", {})
    found = [f"{name}: there is no such parameter" for name in given.keys() - declared.keys()]
    for name, parameter in declared.items():
        value = given.get(name, parameter.get("Default"))
        if value is None:
            found.append(f"{name}: is needed")
        else:
            found += [f"{name}: {why}" for why in _constraints(parameter, str(value))]
    return found or _broken_rules(template, given)


def _constraints(parameter: Mapping[str, Any], value: str) -> list[str]:
    kind = parameter["Type"]
    words = value.split(",") if kind == "CommaDelimitedList" or kind.startswith("List<") else [value]
    found = []
    if kind == "Number" and not re.fullmatch(r"-?\d+(\.\d+)?", value):
        return ["must be a number"]
    if kind == "Number" and not parameter.get("MinValue", float(value)) <= float(value) <= parameter.get(
        "MaxValue", float(value)
    ):
        found.append("out of range")
    allowed = [str(each) for each in parameter.get("AllowedValues", [])]
    if allowed and not all(word in allowed for word in words):
        found.append(f"must be one of {', '.join(allowed)}")
    # The pattern must fit the whole value, and in a list each one of it.
    if (pattern := parameter.get("AllowedPattern")) and not all(re.fullmatch(pattern, word.strip()) for word in words):
        found.append(parameter.get("ConstraintDescription", f"must match {pattern}"))
    if not parameter.get("MinLength", 0) <= len(value) <= parameter.get("MaxLength", len(value)):
        found.append("too short or too long")
    return found


def _broken_rules(template: Template, given: Mapping[str, str]) -> list[str]:
    stack = Stack.of(template, given)
    return [
        assertion["AssertDescription"]
        for rule in template.get("Rules", {}).values()
        if "RuleCondition" not in rule or stack.value(rule["RuleCondition"])
        for assertion in rule["Assertions"]
        # What is true of the account's own network, CloudFormation alone can ask.
        if "Fn::ValueOfAll" not in str(assertion["Assert"]) and not stack.value(assertion["Assert"])
    ]


def resources(template: Template, given: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The resources that these parameters make, by logical id, their functions evaluated."""
    stack = Stack.of(template, given)
    made = {name: each for name, each in template["Resources"].items() if stack.holds(each.get("Condition"))}
    return {name: stack.value({key: part for key, part in each.items() if key != "Condition"}) for name, each in made.items()}


@dataclass(frozen=True, slots=True)
class Stack:
    """A template with its parameters: what an expression in it means."""

    template: Template
    names: Mapping[str, Any]
    """What Ref gives for a parameter, or for a pseudo parameter."""

    @classmethod
    def of(cls, template: Template, given: Mapping[str, str]) -> Stack:
        names: dict[str, Any] = dict(_PSEUDO)
        for name, parameter in template.get("Parameters", {}).items():
            value = given.get(name, parameter.get("Default", ""))
            names[name] = str(value).split(",") if "List" in parameter["Type"] else str(value)
        return cls(template, names)

    def holds(self, condition: str | None) -> bool:
        return condition is None or bool(self.value(self.template["Conditions"][condition]))

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [each for each in map(self.value, node) if each is not _NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (name, argument), *_ = node.items()
            if name in _FUNCTIONS:
                return _FUNCTIONS[name](self, argument)
        return {key: each for key, each in ((key, self.value(part)) for key, part in node.items()) if each is not _NO_VALUE}

    def ref(self, name: str) -> Any:
        """Of a resource, its logical id in angle brackets: what it will be called is not known here."""
        return _NO_VALUE if name == "AWS::NoValue" else self.names.get(name, f"<{name}>")

    def sub(self, argument: Any) -> str:
        text, more = argument if isinstance(argument, list) else (argument, {})
        own = {name: self.value(each) for name, each in more.items()}

        def known(match: re.Match[str]) -> str:
            name = match[1]
            return f"${{{name[1:]}}}" if name.startswith("!") else str(own[name] if name in own else self.ref(name))

        return re.sub(r"\$\{([^}]+)\}", known, text)

    def chosen(self, argument: list[Any]) -> Any:
        condition, yes, no = argument
        return self.value(yes if self.holds(condition) else no)


_FUNCTIONS: dict[str, Callable[[Stack, Any], Any]] = {
    "Ref": Stack.ref,
    "Condition": lambda stack, name: stack.holds(name) if isinstance(name, str) else {"Condition": stack.value(name)},
    "Fn::Sub": Stack.sub,
    "Fn::If": Stack.chosen,
    "Fn::GetAtt": lambda _, path: f"<{'.'.join(path)}>",
    "Fn::Join": lambda stack, argument: argument[0].join(stack.value(argument[1])),
    "Fn::Split": lambda stack, argument: stack.value(argument[1]).split(argument[0]),
    "Fn::Select": lambda stack, argument: stack.value(argument[1])[int(argument[0])],
    "Fn::FindInMap": lambda stack, path: stack.template["Mappings"][path[0]][stack.value(path[1])][stack.value(path[2])],
    "Fn::Equals": lambda stack, pair: stack.value(pair[0]) == stack.value(pair[1]),
    "Fn::And": lambda stack, parts: all(map(stack.value, parts)),
    "Fn::Or": lambda stack, parts: any(map(stack.value, parts)),
    "Fn::Not": lambda stack, parts: not stack.value(parts[0]),
    "Fn::Contains": lambda stack, argument: stack.value(argument[1]) in stack.value(argument[0]),
    "Fn::EachMemberEquals": lambda stack, argument: all(each == stack.value(argument[1]) for each in stack.value(argument[0])),
    "Fn::EachMemberIn": lambda stack, argument: set(stack.value(argument[0])) <= set(stack.value(argument[1])),
}
