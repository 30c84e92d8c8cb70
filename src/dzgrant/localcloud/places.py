"""The local cloud's geography: three accounts, one Region, and the names of what is provisioned in them."""

from __future__ import annotations

from dzgrant.model import AccountId, Region

GOVERNANCE = AccountId("111111111111")
PRODUCER = AccountId("222222222222")
CONSUMER = AccountId("333333333333")
ACCOUNTS = (GOVERNANCE, PRODUCER, CONSUMER)
REGION = Region("eu-central-1")
ORGANIZATION = "o-local12345"
"""That all of the accounts are in."""

DOMAIN = "dzd_local"
PRODUCER_PROJECT = "producer"
CONSUMER_PROJECT = "consumer"

NAME = "dzgrant"
"""The stacks' parameter `Name`, the prefix of what they make."""
QUEUE = f"{NAME}-events"
DEAD_LETTERS = f"{NAME}-events-dlq"
OUTCOMES = f"{NAME}-outcomes"
BUS = NAME
TABLE = f"{NAME}-ledger"
PRODUCER_ROLE = f"{NAME}-producer"
CONSUMER_ROLE = f"{NAME}-consumer"
KMS_KEY_ALIAS = f"alias/{NAME}"


def queue_url(endpoint: str, name: str, account: str = GOVERNANCE) -> str:
    return f"{endpoint}/{account}/{name}"


def credentials(account: AccountId) -> dict[str, str]:
    """The SDK's environment variables for an administrator of this account.

    The local cloud reads the account from the access key's last 12 digits; the secret key is not checked.
    """
    return {"AWS_ACCESS_KEY_ID": f"AKIA{account}", "AWS_SECRET_ACCESS_KEY": "local", "AWS_REGION": REGION}


def environment(endpoint: str) -> dict[str, str]:
    """What a worker, the CLI or any AWS SDK needs to know to live in the local cloud: AWS_* and DZGRANT_* variables."""
    return {
        **credentials(GOVERNANCE),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
        "DZGRANT_QUEUE_URL": queue_url(endpoint, QUEUE),
        "DZGRANT_TABLE": TABLE,
        "DZGRANT_PRODUCER_ROLE_NAME": PRODUCER_ROLE,
        "DZGRANT_CONSUMER_ROLE_NAME": CONSUMER_ROLE,
        "DZGRANT_KMS_KEY_ALIAS": KMS_KEY_ALIAS,
        "DZGRANT_EVENT_BUS": BUS,
    }
