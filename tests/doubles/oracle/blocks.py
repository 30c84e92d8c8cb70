"""Anonymous PL/SQL blocks: variables, assignments, IF, calls of packages, EXECUTE IMMEDIATE, RAISE_APPLICATION_ERROR.

A block is read whole before any of it runs: what is wrong with it is ORA-06550 and nothing has happened. There are no
OUT binds, since the wire has none. "Language Elements", PL/SQL Language Reference 19c.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.doubles.oracle.acting import Acting
from tests.doubles.oracle.changes import evaluate
from tests.doubles.oracle.cursor import Cursor
from tests.doubles.oracle.datatypes import data_type
from tests.doubles.oracle.expressions import condition, expression, listed
from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.routines import CONSTANTS, Routine, find
from tests.doubles.oracle.seam import Value
from tests.doubles.oracle.syntax import Call, Case, Condition, Constant, Expression, Ref

Step = Callable[[Acting], None]
_TYPES_OF_ITS_OWN = ("PLS_INTEGER", "BINARY_INTEGER", "BOOLEAN", "SIMPLE_INTEGER")


@dataclass(frozen=True, slots=True)
class Compiler:
    """`acting` is who compiles; `dynamic` runs the text of an EXECUTE IMMEDIATE."""

    acting: Acting
    dynamic: Callable[[Acting, str], object]

    def compile(self, at: Cursor) -> Step:
        """A whole block, to be run. Raises `Fault` 6550."""
        try:
            block = self._block(at)
            at.end()
        except Fault as fault:
            if fault.code == 6550:
                raise
            raise _wrong(at, f'PLS-00103: Encountered the symbol "{at.word.raw or "end-of-file"}"') from None
        return block

    def _block(self, at: Cursor) -> Step:
        declared: list[Step] = []
        if at.take("DECLARE"):
            while not at.sees("BEGIN"):
                declared.append(self._declaration(at))
        at.need("BEGIN")
        steps = self._steps(at, "END")
        at.need("END")
        at.need(";")
        return _all([*declared, steps])

    def _declaration(self, at: Cursor) -> Step:
        name = at.name(6550)
        at.take("CONSTANT")
        if not at.one_of(*_TYPES_OF_ITS_OWN):
            data_type(at)
        value: Expression = expression(at) if at.take(":=") else Constant(None, "varchar2")
        at.need(";")
        self.acting.variables[name] = None
        return self._assignment(name, value, at)

    def _steps(self, at: Cursor, *ends: str) -> Step:
        steps = [self._step(at)]
        while not at.done and not any(at.sees(end) for end in ends):
            steps.append(self._step(at))
        return _all(steps)

    def _step(self, at: Cursor) -> Step:
        if at.sees("DECLARE") or at.sees("BEGIN"):
            return self._block(at)
        if at.take("IF"):
            return self._if(at)
        if at.take("NULL", ";"):
            return lambda acting: None
        if at.take("EXECUTE"):
            at.need("IMMEDIATE")
            return self._execute_immediate(at)
        target = expression(at)
        if at.take(":="):
            value = expression(at)
            at.need(";")
            if not isinstance(target, Ref) or target.parts[-1] not in self.acting.variables:
                raise _wrong(at, "PLS-00201: identifier must be declared")
            return self._assignment(target.parts[-1], value, at)
        at.need(";")
        return self._call(at, target)

    def _if(self, at: Cursor) -> Step:
        branches: list[tuple[Condition, Step]] = []
        otherwise: Step = _all([])
        while True:
            when = condition(at)
            at.need("THEN")
            branches.append((when, self._steps(at, "ELSIF", "ELSE", "END")))
            if not at.take("ELSIF"):
                break
        if at.take("ELSE"):
            otherwise = self._steps(at, "END")
        at.need("END", "IF")
        at.need(";")

        def run(acting: Acting) -> None:
            next((step for when, step in branches if _holds(acting, when)), otherwise)(acting)

        return run

    def _execute_immediate(self, at: Cursor) -> Step:
        text = expression(at)
        using = listed(at, expression) if at.take("USING") else ()
        at.need(";")

        def run(acting: Acting) -> None:
            (statement,) = evaluate(acting, (text,))
            self.dynamic(replace(acting, values=evaluate(acting, using) if using else (), variables={}), str(statement))

        return run

    def _assignment(self, name: str, value: Expression, at: Cursor) -> Step:
        routine = self._routine(value, at) if isinstance(value, Call) and len(value.path) > 1 else None

        def run(acting: Acting) -> None:
            if routine and isinstance(value, Call):
                acting.variables[name] = routine.run(acting, _arguments(acting, routine, value))
            else:
                (acting.variables[name],) = evaluate(acting, (value,))

        return run

    def _call(self, at: Cursor, it: Expression) -> Step:
        if isinstance(it, Call) and it.path == ("RAISE_APPLICATION_ERROR",) and len(it.arguments) >= 2:
            return lambda acting: _raise(acting, it)
        if not isinstance(it, Call) or not (routine := self._routine(it, at)) or routine.returns:
            raise _wrong(at, "PLS-00221: this is not a procedure or is undefined")
        out = self._out(at, it, routine)

        def run(acting: Acting) -> None:
            found = routine.run(acting, _arguments(acting, routine, it))
            if out:
                acting.variables[out] = found

        return run

    def _out(self, at: Cursor, it: Call, routine: Routine) -> str | None:
        """The variable that takes what the procedure gives back."""
        if routine.out is None:
            return None
        given = dict(zip(routine.defaults, it.arguments, strict=False)) | dict(it.named)
        target = given.get(routine.out)
        if not isinstance(target, Ref) or target.parts[-1] not in self.acting.variables:
            raise _wrong(at, "PLS-00363: expression cannot be used as an assignment target")
        return target.parts[-1]

    def _routine(self, it: Call, at: Cursor) -> Routine | None:
        if routine := find(self.acting, it.path):
            if len(it.arguments) > len(routine.defaults) or routine.arguments(_shape(routine, it)) is None:
                raise _wrong(at, f"PLS-00306: wrong number or types of arguments in call to '{it.path[-1]}'")
            return routine
        if len(it.path) > 1 and it.path[0] != "DBMS_ASSERT":
            raise _wrong(at, f"PLS-00201: identifier '{'.'.join(it.path[:-1])}' must be declared")
        return None


def _shape(routine: Routine, it: Call) -> dict[str, Value]:
    return dict.fromkeys((*list(routine.defaults)[: len(it.arguments)], *(name for name, _ in it.named)))


def _arguments(acting: Acting, routine: Routine, it: Call) -> dict[str, Value]:
    given = dict(zip(routine.defaults, it.arguments, strict=False)) | dict(it.named)
    values = evaluate(acting, tuple(given.values())) if given else ()
    found = routine.arguments(dict(zip(given, values, strict=True)))
    return found or {}


def _holds(acting: Acting, it: Condition) -> bool:
    one, none = Constant(1, "number"), Constant(0, "number")
    return evaluate(acting, (Case(None, ((it, one),), none),)) == (1,)


def _raise(acting: Acting, it: Call) -> None:
    code, text = evaluate(acting, it.arguments[:2])
    if not isinstance(code, int) or not -20999 <= code <= -20000:
        raise Fault(21000)
    raise Fault(-code, text)


def _all(steps: list[Step]) -> Step:
    def run(acting: Acting) -> None:
        for step in steps:
            step(acting)

    return run


def _wrong(at: Cursor, text: str) -> Fault:
    return Fault(6550, at.word.offset + 1, text)


def run(acting: Acting, at: Cursor, dynamic: Callable[[Acting, str], object]) -> None:
    acting.variables.update(CONSTANTS)
    Compiler(acting, dynamic).compile(at)(acting)
