"""`dzgrant import`: AWS's sample as it leaves a database, its tables and its secrets, and what becomes of them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from pydantic import SecretStr

from dzgrant.localcloud.places import CONSUMER, CONSUMER_PROJECT, GOVERNANCE, PRODUCER, REGION
from dzgrant.model import Credentials, Table
from dzgrant.passwords import new_password
from tests.engines import sample
from tests.system.commands import Commands
from tests.system.story import Story

_KEYS = {
    "sources": ("glue_connection_arn", "datazone_consumer_environment_id"),
    "secrets": ("shared_secret_arn",),
    "assets": ("datazone_consumer_environment_id", "datazone_asset_id"),
}

two_engines = pytest.mark.parametrize("engine", ["postgresql", "mariadb"], indirect=True)
one_engine = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


@dataclass(frozen=True, slots=True)
class Sample:
    """AWS's sample in the story's accounts."""

    story: Story
    names: dict[str, str] = field(default_factory=lambda: {which: f"sample-{which}-{secrets.token_hex(4)}" for which in _KEYS})

    @property
    def options(self) -> list[str]:
        return [word for which, name in self.names.items() for word in (f"--{which}-table", name)]

    def set_up(self) -> None:
        """The three tables, and the right of whoever runs the command to scan them, as the stack's SampleTables gives it."""
        dynamodb = self.story.cloud.client("dynamodb", GOVERNANCE)
        for which, keys in _KEYS.items():
            dynamodb.create_table(
                TableName=self.names[which],
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
                KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)],
            )
        variables = self.story.cloud.local.environment
        caller = boto3.client(
            "sts",
            endpoint_url=self.story.cloud.local.endpoint,
            region_name=REGION,
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=variables.get("AWS_SESSION_TOKEN"),
        )
        arn = caller.get_caller_identity()["Arn"]
        caller.close()
        if ":assumed-role/" in arn:
            tables = [f"arn:aws:dynamodb:{REGION}:{GOVERNANCE}:table/{name}" for name in self.names.values()]
            statement = {"Sid": "Sample", "Effect": "Allow", "Action": "dynamodb:Scan", "Resource": tables}
            self.story.cloud.client("iam", GOVERNANCE).put_role_policy(
                RoleName=arn.split("/")[1],
                PolicyName=self.names["sources"],
                PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
            )

    async def granted(self, environment: str, *tables: Table) -> Credentials:
        """What the sample leaves after it granted these tables to the environment."""
        story, play = self.story, self.story.play
        login = Credentials(username=f"dz_{environment}".lower(), password=new_password())
        await sample.make_login(play, login)
        for table in tables:
            await sample.grant(play, login, table)
        where = {"engine": play.server.engine, "host": play.server.host, "port": str(play.server.port)}
        value = json.dumps(
            where | {"db_name": play.database, "username": login.username, "password": login.password.get_secret_value()}
        )
        tags = {"Environment": environment, "Project": CONSUMER_PROJECT, "Domain": story.domain}
        shared, copy = (
            story.cloud.client("secretsmanager", account).create_secret(
                Name=f"dz-conn-{side}-{CONSUMER_PROJECT}-{environment}-{secrets.token_hex(16)}",
                SecretString=value,
                Tags=[{"Key": f"AmazonDataZone{name}", "Value": of} for name, of in tags.items()] if side == "c" else [],
            )
            for side, account in (("p", PRODUCER), ("c", CONSUMER))
        )
        place = {"owner_region": REGION, "last_updated": "2024-01-08T16:24:04"}
        consumer = {
            "datazone_consumer_environment_id": environment,
            "datazone_consumer_project_id": CONSUMER_PROJECT,
        }
        connection = f"{play.database}-{play.admin.username}-{play.server.port}"
        self._put(
            "sources",
            consumer
            | place
            | {
                "glue_connection_arn": f"arn:aws:glue:{REGION}:{PRODUCER}:connection/{connection}",
                "datazone_domain_id": story.domain,
                "secret_arn": shared["ARN"],
                "secret_name": shared["Name"],
                "data_assets": [f"{play.database}.{play.path(table).name}" for table in tables],
                "owner_account": PRODUCER,
            },
        )
        self._put(
            "secrets",
            consumer
            | place
            | {
                "shared_secret_arn": shared["ARN"],
                "secret_arn": copy["ARN"],
                "secret_name": copy["Name"],
                "datazone_domain": story.domain,
                "owner_account": CONSUMER,
            },
        )
        for table in tables:
            self._put(
                "assets",
                consumer
                | place
                | {
                    "datazone_domain_id": story.domain,
                    "datazone_asset_id": f"asset-{table.name}",
                    "datazone_asset_revision": "1",
                    "datazone_asset_type": "GlueTableAssetType",
                    "datazone_listing_id": f"listing-{table.name}",
                    "datazone_listing_revision": "1",
                    "datazone_listing_name": f"the {table.name} of the shop",
                    "secret_arn": copy["ARN"],
                    "secret_name": copy["Name"],
                    "owner_account": CONSUMER,
                },
            )
        return login

    def _put(self, which: str, item: dict[str, Any]) -> None:
        values = {
            name: {"L": [{"S": one} for one in value]} if isinstance(value, list) else {"S": value}
            for name, value in item.items()
        }
        self.story.cloud.client("dynamodb", GOVERNANCE).put_item(TableName=self.names[which], Item=values)

    def new_secret(self) -> Credentials:
        """What dzgrant gives the story's first environment."""
        client = self.story.cloud.client("secretsmanager", CONSUMER)
        name = f"dzgrant/consumer/{self.story.principal().id}"
        value = json.loads(client.get_secret_value(SecretId=name)["SecretString"])
        return Credentials(username=value["username"], password=SecretStr(value["password"]))


@pytest.fixture
def sample_of(story: Story) -> Sample:
    it = Sample(story)
    it.set_up()
    return it


@pytest.fixture
def commands(story: Story, ca_bundle: Path) -> Commands:
    return Commands(story, ca_bundle)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "plan.json"


def parsed(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def write(file: Path, plan: dict[str, Any]) -> None:
    """As a person who cuts it."""
    file.write_text(json.dumps(plan))


def approved(story: Story, *tables: Table) -> list[str]:
    """Subscriptions of which no event came: dzgrant is not installed yet."""
    return [story.approve(story.publish(table), events=False) for table in tables]


async def readable(story: Story, login: Credentials, tables: Sequence[Table]) -> list[Table]:
    return [table for table in tables if await story.play.can_read(login, table)]


@two_engines
async def test_what_the_plan_names_moves_and_nothing_else(
    story: Story, sample_of: Sample, commands: Commands, file: Path
) -> None:
    play = story.play
    orders, items, left = [await play.create_table(name) for name in ("orders", "items", "left")]
    tables, other = (orders, items, left), story.add_environment()
    [subscription, _] = approved(story, orders, items)
    old = await sample_of.granted(story.environment, orders, left)
    others = await sample_of.granted(other, orders, left)
    foreign = Credentials(username="dz_" + secrets.token_hex(6), password=new_password())
    await sample.make_login(play, foreign)

    planned = await commands("import", "--domain", story.domain, "--plan", str(file), *sample_of.options)
    assert planned.returncode == 0, planned.stderr
    plan = parsed(file)
    [mine] = [one for one in plan["logins"] if one["login"] == old.username]
    assert mine["stays"].keys() == {play.path(orders).name, play.path(items).name}
    assert mine["stays"][play.path(orders).name] == [subscription]
    assert (mine["ends"], mine["source"]) == ([play.path(left).name], str(play.source))
    assert mine["listings"] == ["the left of the shop", "the orders of the shop"]
    for word in (old.username, others.username, "nothing was changed"):
        assert word in planned.stdout
    assert story.items() == []
    assert await readable(story, old, tables) == [orders, left]

    forged = mine | {"login": foreign.username, "environment": foreign.username.removeprefix("dz_")}
    write(file, plan | {"logins": [mine, forged]})
    done = await commands("import", "--apply", str(file))
    assert done.returncode == 1
    assert f"the sample's tables know no login {foreign.username}" in done.stdout

    write(file, plan | {"logins": [mine]})
    new = sample_of.new_secret()
    again = await commands("import", "--apply", str(file))
    assert again.returncode == 0, again.stdout
    assert "opens until" in again.stdout
    assert sample_of.new_secret() == new
    assert await readable(story, old, tables) == [orders, items]
    assert await readable(story, new, tables) == [orders, items]
    assert story.principal_state() == "ACTIVE"
    assert await readable(story, others, tables) == [orders, left]
    assert await play.can_log_in(foreign)
    assert story.items(other) == []

    story.revoke(subscription)
    await story.cloud.settled()
    assert await readable(story, old, tables) == [items]
    assert await readable(story, new, tables) == [items]


@pytest.mark.parametrize("engine", ["mariadb"], indirect=True)
async def test_at_its_time_the_old_login_goes_and_the_new_one_reads_on(
    story: Story, sample_of: Sample, commands: Commands, file: Path
) -> None:
    orders = await story.play.create_table("orders")
    approved(story, orders)
    old = await sample_of.granted(story.environment, orders)
    await commands("import", "--domain", story.domain, "--plan", str(file), "--open-days", "0", *sample_of.options)
    for _ in range(2):
        done = await commands("import", "--apply", str(file))
        assert done.returncode == 0, done.stdout
        assert done.stdout.count("aws secretsmanager delete-secret") == 2
        assert not await story.play.can_log_in(old)
        new = sample_of.new_secret()
        assert await readable(story, new, [orders]) == [orders]
        assert await story.logins() == {new.username}


@one_engine
async def test_a_login_without_an_approval_is_dropped(story: Story, sample_of: Sample, commands: Commands, file: Path) -> None:
    orders = await story.play.create_table("orders")
    story.publish(orders)
    old = await sample_of.granted(story.environment, orders)
    await commands("import", "--domain", story.domain, "--plan", str(file), *sample_of.options)
    done = await commands("import", "--apply", str(file))
    assert done.returncode == 0, done.stdout
    assert "nothing is approved" in done.stdout
    await story.nothing_left(old)
    assert old.username not in await story.logins()
    assert story.principal_state() == "REMOVED"


@one_engine
async def test_what_is_wrong_is_one_line(story: Story, sample_of: Sample, commands: Commands, file: Path) -> None:
    write(file, {})
    for arguments, said in (
        (("--domain", story.domain, "--sources-table", "nowhere"), "the sample's table nowhere can't be read"),
        (("--apply", str(file)), f"{file} is no plan"),
        ((), "plan or apply?"),
    ):
        done = await commands("import", *arguments)
        assert done.returncode == 2
        [line] = done.stderr.splitlines()
        assert said in line
