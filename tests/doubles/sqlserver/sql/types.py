"""The values and types of T-SQL that the double has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

Value = None | bool | int | float | Decimal | str | bytes | datetime | date


@dataclass(frozen=True, slots=True)
class Type:
    """`length` is in characters (bytes, if binary); None: max. `precision` and `scale` belong to decimal and datetime2."""

    name: str
    length: int | None = None
    precision: int = 18
    scale: int = 0

    def __str__(self) -> str:
        return self.name


INT, BIGINT, SMALLINT, TINYINT, BIT = Type("int"), Type("bigint"), Type("smallint"), Type("tinyint"), Type("bit")
FLOAT, DATE, DATETIME2 = Type("float"), Type("date"), Type("datetime2", scale=7)
SYSNAME, NVARCHAR, VARBINARY = Type("nvarchar", 128), Type("nvarchar", 4000), Type("varbinary", 8000)
NVARCHAR_MAX = Type("nvarchar")


def type_of(value: Value) -> Type:
    """The type of a value about which nothing else is known."""
    match value:
        case bool():
            return BIT
        case int():
            return INT if -(2**31) <= value < 2**31 else BIGINT
        case float():
            return FLOAT
        case Decimal():
            return Type("decimal", precision=38, scale=max(0, -int(value.as_tuple().exponent)))
        case bytes():
            return VARBINARY if len(value) <= 8000 else Type("varbinary")
        case datetime():
            return DATETIME2
        case date():
            return DATE
        case str():
            return NVARCHAR if len(value) <= 4000 else NVARCHAR_MAX
        case None:
            return INT


def widest(found: list[Type]) -> Type:
    """One type that holds them all."""
    order = ["bit", "tinyint", "smallint", "int", "bigint", "decimal", "float", "date", "datetime2", "varbinary", "nvarchar"]
    best = max(found, key=lambda kind: order.index("nvarchar" if kind.name.endswith("char") else kind.name))
    return (
        NVARCHAR_MAX
        if best.name == "nvarchar" and any(kind.length is None for kind in found if kind.name == "nvarchar")
        else best
    )
