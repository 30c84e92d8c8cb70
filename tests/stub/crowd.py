"""Many principals that nobody has to grant one by one: copies of one that was."""

from __future__ import annotations

import json

from pydantic import BaseModel

from tests.fakes.cloud import Cloud
from tests.fakes.dynamodb import Item


class Crowd(BaseModel):
    """`count` copies of all that the ledger has of one environment and one subscription, with ids of their own."""

    environment: str
    subscription: str
    count: int
    first: int = 0
    """The number of the first one."""

    def join(self, cloud: Cloud) -> None:
        now = cloud.clock()
        partitions = {f"ENVIRONMENT#{self.environment}", f"SUBSCRIPTION#{self.subscription}"}
        texts = [json.dumps(item) for key, item in cloud.ledger.items.items() if key[0] in partitions]
        for number in range(self.first, self.first + self.count):
            for text in texts:
                copied = text.replace(self.environment, f"e{number:013}").replace(self.subscription, f"s{number:013}")
                item: Item = json.loads(copied)
                cloud.ledger.put((item["pk"]["S"], item["sk"]["S"]), item, now)
