"""What a message, a form or a name may be in the worst case: a corpus, to which each finding is added."""

from __future__ import annotations

import json

from tests.envelopes import subscription

_EVENT = json.dumps(subscription())

BODIES = {
    "empty": "",
    "space": " \n\t",
    "prose": "hello",
    "list": "[]",
    "null": "null",
    "number": "1e999",
    "bare string": '"Subscription Created"',
    "nothing": "{}",
    "half": _EVENT[:-1],
    "twice": _EVENT * 2,
    "byte order mark": "\ufeff" + _EVENT,
    "UTF-16": _EVENT.encode("utf-16").decode("latin-1"),
    "double encoded": json.dumps(_EVENT),
    "deep list": "[" * 200_000,
    "deep object": '{"a":' * 100_000,
    "deep and closed": "[" * 100_000 + "]" * 100_000,
    "deep below a known key": _EVENT[:-1] + ', "x": ' + "[" * 5_000 + "]" * 5_000 + "}",
    "duplicate key": _EVENT[:-1] + ', "source": "aws.datazone"}',
    "duplicate id": _EVENT.replace('"id": "sub1"', '"id": "sub1", "id": "sub2"'),
    "escaped duplicate": _EVENT.replace('"id": "sub1"', '"id": "sub1", "\\u0069d": "sub2"'),
    "lone surrogate": _EVENT.replace('"sub1"', '"sub1\\ud800"'),
    "lone surrogate elsewhere": _EVENT[:-1] + ', "note": "\\udfff"}',
    "NUL": _EVENT.replace('"sub1"', '"sub1\\u0000"'),
    "newline at the end of an id": _EVENT.replace('"sub1"', '"sub1\\n"'),
    "terminal escape": _EVENT.replace('"sub1"', '"\\u001b[31msub1"'),
    "right to left": _EVENT.replace('"sub1"', '"\\u202esub1"'),
    "digits of another script": _EVENT.replace('"111111111111"', '"' + "\u0661" * 12 + '"'),
    "path": _EVENT.replace('"sub1"', '"../../domains"'),
    "SQL": _EVENT.replace('"sub1"', '"x\'; DROP TABLE y; --"'),
    "NaN": _EVENT.replace('"sub1"', "NaN"),
    "huge integer": _EVENT.replace('"sub1"', "9" * 5_000),
    "infinite time": _EVENT.replace('"2024-01-08T16:24:04Z"', "1e999"),
    "time before all": _EVENT.replace('"2024-01-08T16:24:04Z"', '"0000-01-01T00:00:00Z"'),
    "long kind": _EVENT.replace('"Subscription Created"', json.dumps("x" * 300)),
    "no account": _EVENT.replace('"account"', '"accounts"'),
    "account as a number": _EVENT.replace('"111111111111"', "111111111111"),
}
"""None is an event: all are `Malformed`."""

NAMES = (
    "",
    "\0",
    "a\0b",
    "a\nb.c\nd",
    "\x1b[2J",
    "\x9b31m",
    "\ud800.\udfff",
    "'; DROP TABLE users; --.x",
    '"; DROP TABLE users; --.x',
    "`; DROP TABLE users; --.x",
    "]; DROP TABLE users; --.x",
    "%s.%(x)s",
    "{0}.{password}",
    "$1.:name",
    "../../etc/passwd",
    "\u202egnp.exe",
    "x" * 10_000,
    "ß" * 500 + ".t",
    "ΐ" * 300 + ".t",
    "日本語.テーブル",
)
"""Names that are not possible, and some that are, and must stay what they are."""
