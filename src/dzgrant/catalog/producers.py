"""Producer accounts, read through the producer role: Glue tables and connections, and the admin's credentials.

Connections are asked for with HidePassword, except where the password inside one is what is wanted.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

from cachetools import TTLCache
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, SecretStr

from dzgrant import strict_json
from dzgrant.accounts import Accounts, AwsError, classify, code
from dzgrant.catalog import glue
from dzgrant.catalog.cache import Cache
from dzgrant.errors import Misconfigured, Refused
from dzgrant.model import AccountId, Admin, Asset, Credentials, Region

if TYPE_CHECKING:
    from types_aiobotocore_glue.type_defs import ConnectionTypeDef

_CACHED = 1024
_CONNECTION_SECONDS = 300.0
# RDS rotates its master secret every seven days by default; a refused login asks for it afresh anyway.
_CREDENTIALS_SECONDS = 300.0
_NOT_FOUND = "EntityNotFoundException"
# Not there, or scheduled for deletion.
_SECRET_GONE = frozenset({"ResourceNotFoundException", "InvalidRequestException"})


def _without_nul(password: SecretStr) -> SecretStr:
    if "\0" in password.get_secret_value():
        raise ValueError("NUL")
    return password


class _Login(BaseModel):
    """What a secret or a connection says; RDS's own secrets say no more than this."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    # Drivers end a text at NUL, and take what follows for something else.
    username: str = Field(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=256, validation_alias=AliasChoices("username", "USERNAME"))
    password: Annotated[SecretStr, AfterValidator(_without_nul)] = Field(
        min_length=1, validation_alias=AliasChoices("password", "PASSWORD")
    )


class Producers:
    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._connections: Cache[tuple[AccountId, Region, str], glue.Connection | None] = Cache(_CACHED, _CONNECTION_SECONDS)
        self._credentials: TTLCache[Admin, Credentials] = TTLCache(_CACHED, _CREDENTIALS_SECONDS)

    async def reference(self, asset: Asset) -> glue.Reference | None:
        """Where the asset's Glue table leads; None: it is no table of a JDBC connection.

        Raises `Refused` when the table is gone: publishing or crawling it again is a new decision, not a matter of time.
        """
        client = await self._accounts.glue(asset.account, asset.region)
        what = f"Glue table {asset.database}.{asset.table} in account {asset.account}"
        try:
            answer = await client.get_table(
                CatalogId=asset.catalog or asset.account, DatabaseName=asset.database, Name=asset.table
            )
        except AwsError as error:
            if code(error) == _NOT_FOUND:
                raise Refused(f"there is no {what}", do="crawl it again, or revoke the subscription") from error
            raise classify(
                error, f"{what} can't be read", do="give the producer role glue:GetTable, and DESCRIBE in Lake Formation"
            ) from error
        return glue.reference(answer["Table"])

    async def connection(self, account: AccountId, region: Region, name: str) -> glue.Connection | None:
        """The Glue connection, at most five minutes old; None: it leads to no relational database.

        Raises `Misconfigured` when it is gone: its tables are still there, and someone may put it back.
        """
        return await self._connections.get((account, region, name), partial(self._connection, account, region, name))

    async def _connection(self, account: AccountId, region: Region, name: str) -> glue.Connection | None:
        answer = await self._get_connection(account, region, name, hide_password=True)
        try:
            return glue.connection(answer)
        except Refused as error:
            error.about(source=f"Glue connection {name} in account {account}")
            raise

    async def credentials(self, admin: Admin, *, fresh: bool) -> Credentials:
        """The admin's credentials, at most five minutes old, or read again now.

        Raises `Misconfigured` when they are not there, not to be read, or not a username and a password.
        """
        if not fresh and (cached := self._credentials.get(admin)):
            return cached
        login = await self._login(admin)
        found = self._credentials[admin] = Credentials(username=login.username, password=login.password)
        return found

    async def _login(self, admin: Admin) -> _Login:
        if admin.secret is None:
            return await self._from_connection(admin)
        if (found := await self._from_secret(admin, admin.secret)) is not None:
            return found
        # The connection may name another secret since the grant: a revoke must not hang on the old one.
        connection = await self.connection(admin.account, admin.region, admin.connection)
        present = connection.secret if connection else None
        if present and present != admin.secret and (found := await self._from_secret(admin, present)) is not None:
            return found
        raise Misconfigured(
            f"there is no admin secret {present or admin.secret} of Glue connection {admin.connection}",
            do="put it back, or name another in the connection",
        )

    async def _from_secret(self, admin: Admin, secret: str) -> _Login | None:
        """None when the secret is gone, or about to be."""
        client = await self._accounts.secrets("producer", admin.account, admin.region)
        what = f"admin secret {secret} of Glue connection {admin.connection}"
        try:
            answer = await client.get_secret_value(SecretId=secret)
        except AwsError as error:
            if code(error) in _SECRET_GONE:
                return None
            do = "give the producer role secretsmanager:GetSecretValue and kms:Decrypt"
            raise classify(error, f"{what} can't be read", do=do) from error
        try:
            return _Login.model_validate(strict_json.read(answer.get("SecretString", "")))
        except ValueError:
            raise Misconfigured(
                f"{what} is not what is expected", do="let it be a JSON object with the texts username and password"
            ) from None

    async def _from_connection(self, admin: Admin) -> _Login:
        answer = await self._get_connection(admin.account, admin.region, admin.connection, hide_password=False)
        properties = answer.get("ConnectionProperties", {})
        if "ENCRYPTED_PASSWORD" in properties and "PASSWORD" not in properties:
            raise Misconfigured(
                f"Glue connection {admin.connection} holds only an encrypted password",
                do="put the credentials into a secret and name it in the connection's SECRET_ID",
            )
        try:
            return _Login.model_validate(properties)
        except ValueError:
            raise Misconfigured(
                f"Glue connection {admin.connection} holds neither a secret nor a username and a password",
                do="put the credentials into a secret and name it in the connection's SECRET_ID",
            ) from None

    async def _get_connection(self, account: AccountId, region: Region, name: str, *, hide_password: bool) -> ConnectionTypeDef:
        client = await self._accounts.glue(account, region)
        try:
            answer = await client.get_connection(CatalogId=account, Name=name, HidePassword=hide_password)
        except AwsError as error:
            raise classify(
                error,
                f"Glue connection {name} in account {account} can't be read",
                do="let it exist, and give the producer role glue:GetConnection",
            ) from error
        return answer["Connection"]
