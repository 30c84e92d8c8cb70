"""A table whose approvals are filtered, and what the consumer reads of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dzgrant.localcloud import commands as c
from dzgrant.model import Table
from tests.engines.playground import SAID_NO
from tests.system.story import Story

Row = tuple[Any, ...]

ROWS: list[Row] = [(1, "Paris", 100), (2, "Rome", 200), (3, None, 300)]


def rows_where(operator: str, *, sensitive: bool = False, **what: object) -> dict[str, Any]:
    expression = {"expression": {operator: {"columnName": "city", **what}}}
    return {"rowConfiguration": {"rowFilter": expression, "sensitive": sensitive}}


def columns(*names: str) -> dict[str, Any]:
    return {"columnConfiguration": {"includedColumnNames": list(names)}}


IN_PARIS = rows_where("equalTo", value="Paris")
IN_ROME = rows_where("equalTo", value="Rome")


@dataclass(slots=True, kw_only=True)
class Orders:
    """A published table of orders with the columns `id`, `city` and `salary`, and its asset filters."""

    story: Story
    table: Table
    publication: c.Published

    @property
    def _asset(self) -> dict[str, str]:
        return {"domainIdentifier": self.story.domain, "assetIdentifier": self.publication.asset}

    @property
    def _datazone(self) -> Any:
        return self.story.cloud.client("datazone")

    def filter(self, configuration: dict[str, Any]) -> str:
        """A new asset filter."""
        made = self._datazone.create_asset_filter(**self._asset, name="filter", configuration=configuration)
        return str(made["id"])

    def change(self, identifier: str, configuration: dict[str, Any]) -> None:
        self._datazone.update_asset_filter(**self._asset, identifier=identifier, configuration=configuration)

    def delete(self, identifier: str) -> None:
        self._datazone.delete_asset_filter(**self._asset, identifier=identifier)

    async def approve(self, *filters: str) -> str:
        """A subscription that is approved with these filters, and dealt with."""
        subscription = self.story.approve(self.publication.listing, filters=filters)
        await self.story.cloud.settled()
        return subscription

    async def revoke(self, subscription: str) -> None:
        self.story.revoke(subscription)
        await self.story.cloud.settled()

    async def look_again(self, subscription: str) -> None:
        """The subscription's own event once more: no event tells of a filter."""
        self.story.cloud.control.do(c.Repeat(id=subscription))
        await self.story.cloud.settled()

    @property
    def view(self) -> str | None:
        """What the consumer's secret says is to be read instead of the table."""
        return self.story.secret().objects.get(str(self.table))

    async def read(self, what: str = "*") -> list[Row]:
        """As the consumer, from what its secret says is to be read."""
        view = self.view
        place = self.table if view is None else Table(schema=view.split(".")[0], name=view.split(".")[1])
        return await self._select(what, place)

    async def readable(self, what: str = "*") -> bool:
        """Whether the consumer can read this of the table itself."""
        try:
            await self._select(what, self.table)
        except SAID_NO:
            return False
        return True

    async def _select(self, what: str, place: Table) -> list[Row]:
        login = self.story.secret().credentials
        found = await self.story.play.run(f"SELECT {what} FROM {self.story.play.sql(place)}", login)
        return sorted((tuple(row) for row in found), key=str)

    def state(self) -> str:
        return self.story.tables()[str(self.table)]


async def made(story: Story) -> Orders:
    """The table with its rows, published."""
    table = await story.play.create_wide("orders", {"id": "int", "city": "text", "salary": "int"}, ROWS)
    return Orders(story=story, table=table, publication=story.publication(table))
