"""The ledger: what dzgrant has done, for whom, since when and why, in one DynamoDB table. It alone is enough to revoke.

`keys` says where each item lies, `items` how it is written, `writes` what a transaction consists of, `lease` and
`ledger` who may write and when, `listing` how people look things up. The schema is in deploy/ecs/governance.yaml.
"""

from dzgrant.ledger.lease import Lease
from dzgrant.ledger.ledger import Ledger
from dzgrant.ledger.records import Claim, GrantOutcome, HistoryRecord, Refusal, Settlement
from dzgrant.ledger.sweeps import SweepLease, Sweeps

__all__ = [
    "Claim",
    "GrantOutcome",
    "HistoryRecord",
    "Lease",
    "Ledger",
    "Refusal",
    "Settlement",
    "SweepLease",
    "Sweeps",
]
