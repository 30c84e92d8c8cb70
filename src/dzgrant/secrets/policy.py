"""The resource policy by which one consumer role reads a producer secret."""

from __future__ import annotations

import json

from dzgrant.model import Arn


def shared(role: Arn) -> str:
    """Lets exactly this role read."""
    statement = {
        "Sid": "DzgrantConsumer",
        "Effect": "Allow",
        "Principal": {"AWS": role},
        "Action": ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"],
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def same(one: str, other: str) -> bool:
    """Whether two policies say the same, in whatever order; AWS may write one name for a list of one."""
    return _plain(json.loads(one)) == _plain(json.loads(other))


def _plain(value: object) -> object:
    parts = value if isinstance(value, list) else [value]
    return sorted(map(_part, parts), key=repr)


def _part(value: object) -> object:
    return [(name, _plain(value[name])) for name in sorted(value)] if isinstance(value, dict) else value
