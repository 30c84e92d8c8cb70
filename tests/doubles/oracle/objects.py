"""CREATE, ALTER and DROP of tables and views, COMMENT. "SQL Statements", SQL Language Reference 19c.

A view works with what its owner was granted directly: a role counts neither when it is made nor when it is read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from tests.doubles.oracle import queries
from tests.doubles.oracle.acting import Acting
from tests.doubles.oracle.cursor import Cursor
from tests.doubles.oracle.datatypes import data_type
from tests.doubles.oracle.expressions import expression, listed
from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.reading import Reader
from tests.doubles.oracle.rights import Who, holds, privileges_on, reads, require, sees
from tests.doubles.oracle.seam import Column
from tests.doubles.oracle.state import Thing
from tests.doubles.oracle.syntax import Combined, Query, Ref, Select, Star, Type, relations


def create_table(acting: Acting, at: Cursor) -> None:
    owner, name = _new_name(acting, at)
    declared: tuple[tuple[str, Type], ...] = ()
    if at.take("("):
        declared = listed(at, _column)
        at.need(")", code=907)
    partitions = _partitions(at) if at.take("PARTITION", "BY") else ()
    query = queries.query(at) if at.take("AS") else None
    at.end(922)
    if not declared and query is None:
        raise Fault(906)
    _may_create(acting, owner, "TABLE")
    _need_free(acting, owner, name)
    answer = acting.reader.read(query) if query else None
    if answer and query:
        _need_names(query)
    columns = tuple(Column(name, type_.kind, type_.size) for name, type_ in declared) or (answer.columns if answer else ())
    _need_distinct(columns)
    thing = _new(acting, owner, name, "TABLE", columns)
    thing.partitions, thing.types = partitions, dict(declared)
    if answer and answer.rows:
        need_quota(acting, thing)
        thing.rows = list(answer.rows)
    acting.database.objects[owner, name] = thing


def create_view(acting: Acting, at: Cursor, text: str, *, replacing: bool) -> None:
    """Raises `Fault` 942 where the creator can't see what the view reads, 1031 where the view's owner may not read it."""
    owner, name = _new_name(acting, at)
    names: tuple[str, ...] = ()
    if at.take("("):
        names = listed(at, lambda at: at.name(904))
        at.need(")", code=907)
    at.need("AS")
    text = text[at.word.offset :]
    query = queries.query(at)
    if at.take("WITH") and not (at.take("READ", "ONLY") or at.take("CHECK", "OPTION")):
        raise at.fault(905)
    at.end()
    _may_create(acting, owner, "VIEW")
    old = acting.database.objects.get((owner, name))
    if old and not (replacing and old.kind == "VIEW"):
        raise Fault(955)
    columns = _columns_of_view(acting, owner, query, names)
    if old:
        acting.need_alone(old)
        old.columns, old.query, old.text = columns, query, text
        return
    view = _new(acting, owner, name, "VIEW", columns)
    view.query, view.text = query, text
    acting.database.objects[owner, name] = view


def drop(acting: Acting, at: Cursor, kind: Literal["TABLE", "VIEW"]) -> None:
    path = at.path(903)
    at.take("CASCADE", "CONSTRAINTS")
    if kind == "TABLE":
        at.take("PURGE")
    at.end()
    thing = acting.database.find(path, acting.presence.schema)
    allowed = thing and (thing.owner == acting.who.user or holds(acting.database, acting.who, f"DROP ANY {kind}"))
    if thing is None or thing.kind != kind or not (allowed or sees(acting.database, acting.who, thing)):
        raise Fault(942)
    if not allowed or thing.of_dictionary:
        raise Fault(1031)
    acting.need_alone(thing)
    acting.database.forget(thing)


def alter_table(acting: Acting, at: Cursor) -> None:
    """RENAME TO, which grants follow, and ADD (column type)."""
    thing = _own(acting, at.path(903), "ALTER ANY TABLE", "ALTER")
    database = acting.database
    if at.take("RENAME", "TO"):
        name = at.name(903)
        at.end(1735)
        _need_free(acting, thing.owner, name)
        acting.need_alone(thing)
        grants = [
            replace(one, name=name) if (one.owner, one.name) == (thing.owner, thing.name) else one
            for one in database.object_grants
        ]
        del database.objects[thing.owner, thing.name]
        database.objects[thing.owner, name] = replace(thing, name=name)
        database.object_grants = grants
        return
    at.need("ADD", code=1735)
    at.need("(", code=1735)
    declared = listed(at, _column)
    at.need(")", code=907)
    at.end(1735)
    acting.need_alone(thing)
    added = tuple(Column(name, type_.kind, type_.size) for name, type_ in declared)
    _need_distinct((*thing.columns, *added))
    thing.columns += added
    thing.types |= dict(declared)
    thing.rows = [(*row, *(None for _ in added)) for row in thing.rows]


def comment(acting: Acting, at: Cursor) -> None:
    at.need("ON")
    on = at.one_of("TABLE", "COLUMN")
    if on is None:
        raise at.fault(900)
    path = at.path(903)
    at.need("IS")
    text = at.string(1780)
    at.end()
    thing = _own(acting, path if on == "TABLE" else path[:-1], "COMMENT ANY TABLE", "ALTER")
    if on == "TABLE":
        thing.comment = text or None
    elif path[-1] not in {column.name for column in thing.columns}:
        raise Fault(904, f'"{path[-1]}"')


def need_quota(acting: Acting, thing: Thing) -> None:
    owner = acting.database.users.get(thing.owner)
    unlimited = (thing.owner, "UNLIMITED TABLESPACE") in acting.database.system_grants
    if not unlimited and owner and not owner.quotas.get("USERS"):
        raise Fault(1950, "USERS")


def _columns_of_view(acting: Acting, owner: str, query: Query, names: tuple[str, ...]) -> tuple[Column, ...]:
    database = acting.database
    theirs = Who(owner)
    known = {one.name for one in query.named}
    for path in relations(query):
        thing = database.find(path, owner)
        if path[-1] == "DUAL" or (len(path) == 1 and path[0] in known):
            continue
        if thing is None or not (sees(database, acting.who, thing) or sees(database, theirs, thing)):
            raise Fault(942)
        if not reads(database, theirs, thing):
            raise Fault(1031 if sees(database, acting.who, thing) and acting.who.user != owner else 942)
    reader: Reader = replace(acting.reader, who=theirs, schema=owner, values=())
    columns = reader.read(query).columns
    if names and len(names) != len(columns):
        raise Fault(1730)
    if not names:
        _need_names(query)
    columns = tuple(replace(column, name=name) for column, name in zip(columns, names, strict=True)) if names else columns
    _need_distinct(columns)
    return columns


def _need_names(query: Query) -> None:
    body: Select | Combined = query.body
    while isinstance(body, Combined):
        body = body.left
    for item in body.items:
        if not item.aliased and not isinstance(item.value, Ref | Star):
            raise Fault(998)


def _need_distinct(columns: tuple[Column, ...]) -> None:
    names = [column.name for column in columns]
    if len(set(names)) < len(names):
        raise Fault(957)


def _new_name(acting: Acting, at: Cursor) -> tuple[str, str]:
    path = at.path(903)
    if len(path) > 2:
        raise at.fault(903)
    owner = path[0] if len(path) == 2 else acting.presence.schema
    return owner, path[-1]


def _may_create(acting: Acting, owner: str, kind: Literal["TABLE", "VIEW"]) -> None:
    own = (f"CREATE {kind}",) if owner == acting.who.user else ()
    require(acting.database, acting.who, f"CREATE ANY {kind}", *own)
    acting.database.user(owner)


def _need_free(acting: Acting, owner: str, name: str) -> None:
    if (owner, name) in acting.database.objects:
        raise Fault(955)


def _new(acting: Acting, owner: str, name: str, kind: Literal["TABLE", "VIEW"], columns: tuple[Column, ...]) -> Thing:
    return Thing(owner, name, kind, next(acting.database.numbers), acting.database.now(), columns)


def _own(acting: Acting, path: tuple[str, ...], any_privilege: str, privilege: str) -> Thing:
    """An object that the user may alter."""
    thing = acting.database.find(path, acting.presence.schema)
    allowed = thing and not thing.of_dictionary and holds(acting.database, acting.who, any_privilege)
    if thing is None or not (allowed or sees(acting.database, acting.who, thing)):
        raise Fault(942)
    if not allowed and privilege not in privileges_on(acting.database, acting.who, thing):
        raise Fault(1031)
    return thing


def _column(at: Cursor) -> tuple[str, Type]:
    name = at.name(904)
    type_ = data_type(at)
    if at.take("DEFAULT"):
        expression(at)
    while at.take("NOT", "NULL") or at.take("NULL") or at.take("PRIMARY", "KEY") or at.take("UNIQUE"):
        pass
    return name, type_


def _partitions(at: Cursor) -> tuple[str, ...]:
    how = at.one_of("RANGE", "LIST", "HASH")
    if how is None:
        raise at.fault(922)
    at.need("(", code=906)
    listed(at, lambda at: at.name(904))
    at.need(")", code=907)
    if how == "HASH":
        at.need("PARTITIONS", code=922)
        return tuple(f"SYS_P{number + 1}" for number in range(at.number(922)))
    at.need("(", code=906)
    names = listed(at, lambda at: _partition(at, how))
    at.need(")", code=907)
    return names


def _partition(at: Cursor, how: str) -> str:
    at.need("PARTITION")
    name = at.name(922)
    at.need("VALUES")
    if how == "RANGE":
        at.need("LESS", "THAN")
    at.need("(", code=906)
    if not (at.take("MAXVALUE") or at.take("DEFAULT")):
        listed(at, expression)
    at.need(")", code=907)
    return name
