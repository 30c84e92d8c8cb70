"""What an answer of AWS means: the weather, a right to give, or no; and what nobody foresaw is never final."""

from __future__ import annotations

import gc
import weakref

import pytest
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError
from botocore.parsers import ResponseParserError
from types_aiobotocore_secretsmanager import SecretsManagerClient

from dzgrant.accounts import Accounts, AwsFailure, classify, code
from dzgrant.errors import DzgrantError, Misconfigured, Refused, Transient
from dzgrant.model import AccountId, Region
from dzgrant.settings import Settings

_URL = "https://glue.eu-central-1.amazonaws.com"


def answer(code: str, status: int = 400) -> ClientError:
    said = {"Error": {"Code": code, "Message": "as AWS puts it"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(said, "GetTable")  # type: ignore[arg-type]  # metadata that no test needs


@pytest.mark.parametrize(
    "error",
    [
        answer("ThrottlingException"),
        answer("TooManyRequestsException", 429),
        answer("ProvisionedThroughputExceededException"),
        answer("InternalServerException", 500),
        answer("NobodyKnowsThis", 503),
        answer("NobodyKnowsThis", 429),
        answer("NobodyKnowsThis", 408),
        answer("ConflictException", 409),
        # A clock that is off, or a role's session that just ended.
        answer("SignatureDoesNotMatch", 403),
        answer("InvalidSignatureException", 403),
        answer("RequestExpired"),
        answer("RequestTimeTooSkewed", 403),
        answer("ExpiredTokenException", 403),
        # No answer, or none that can be read.
        EndpointConnectionError(endpoint_url=_URL),
        ReadTimeoutError(endpoint_url=_URL),
        ResponseParserError("an HTML page"),
    ],
    ids=lambda error: code(error) or type(error).__name__,
)
@pytest.mark.parametrize("do", [None, "give the right"])
def test_the_weather_passes(error: AwsFailure, do: str | None) -> None:
    assert type(classify(error, "the table can't be read", do=do)) is Transient


@pytest.mark.parametrize(
    "error",
    [
        answer("AccessDeniedException", 403),
        answer("AccessDenied", 403),
        answer("KMSAccessDeniedException"),
        answer("UnrecognizedClientException"),
        NoCredentialsError(),
    ],
)
def test_a_right_that_lacks_is_for_a_person_to_give(error: ClientError | BotoCoreError) -> None:
    assert type(classify(error, "the table can't be read")) is Misconfigured


@pytest.mark.parametrize(
    ("found", "do", "meaning"),
    [
        ("ValidationException", None, Refused),
        ("ResourceNotFoundException", None, Refused),
        ("EntityNotFoundException", None, Refused),
        # Whoever calls knows what to do about it: then it can be put right.
        ("ValidationException", "correct the name", Misconfigured),
        ("ResourceNotFoundException", "put it back", Misconfigured),
        ("EntityNotFoundException", "put it back", Misconfigured),
        # A revoke must not be given up for it.
        ("NobodyKnowsThis", None, Misconfigured),
        ("NobodyKnowsThis", "look at it", Misconfigured),
        ("MalformedPolicyDocumentException", None, Misconfigured),
    ],
)
def test_no_is_final_only_where_aws_says_so_and_nothing_can_be_done(
    found: str, do: str | None, meaning: type[DzgrantError]
) -> None:
    error = classify(answer(found), "the table can't be read", do=do)
    assert type(error) is meaning
    assert str(error).startswith(f"the table can't be read: {found}: as AWS puts it; {do or 'report it'}")


@pytest.mark.parametrize(("seconds", "more"), [(0.0, (3, 4)), (600.0, (3, 4, 5, 6))], ids=["in time", "in number"])
async def test_clients_of_other_accounts_are_bounded_and_closed(
    monkeypatch: pytest.MonkeyPatch, seconds: float, more: tuple[int, ...]
) -> None:
    monkeypatch.setattr("dzgrant.accounts._MOST", 2)
    monkeypatch.setattr("dzgrant.accounts._AT_MOST_SECONDS", seconds)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    settings = Settings(
        queue_url="http://queue.invalid", table="ledger", producer_role_name="producer", consumer_role_name="consumer"
    )
    async with Accounts(settings) as accounts:

        async def opened(number: int) -> SecretsManagerClient:
            return await accounts.secrets("consumer", AccountId(f"{number:012}"), Region("eu-central-1"))

        kept, gone = await opened(1), weakref.ref(await opened(2))
        for number in more:
            assert await opened(1) is kept
            await opened(number)
        gc.collect()
        assert gone() is None
        assert await opened(1) is kept
        assert await accounts.dynamodb() is await accounts.dynamodb()
