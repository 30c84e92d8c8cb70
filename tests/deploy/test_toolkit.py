"""The toolkit: what its products become with what a person gives them, and that no launch role may do more than make that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import boto3
import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from dzgrant.catalog.jdbc import parse
from dzgrant.localcloud.places import CONSUMER, REGION
from dzgrant.localcloud.process import LocalCloud, running
from dzgrant.model import Source
from tests.deploy.templates import ACCOUNT, DEPLOY, complaints, load, refusals, resources

TOOLKIT = DEPLOY / "toolkit"
PORTFOLIO = TOOLKIT / "portfolio.yaml"
PRODUCTS = {name: TOOLKIT / f"{name}.yaml" for name in ("athena", "glue-connection", "glue-crawler")}
GIVEN: dict[str, str] = {
    it["ParameterKey"]: it["ParameterValue"] for it in json.loads((TOOLKIT / "parameters.example.json").read_text())
}
# What the account's parameters hold, which CloudFormation reads where the products' defaults name them.
DEFAULTS = {
    "Name": "dzgrant",
    "Subnets": "subnet-1,subnet-2",
    "SecurityGroups": "sg-1",
    "AvailabilityZone": "eu-central-1a",
    "SpillBucket": f"dzgrant-spill-{ACCOUNT}-eu-central-1",
    "ConnectorImages": "292517598671.dkr.ecr.eu-central-1.amazonaws.com/athena-federation-repository-",
    "ConnectorVersion": "2026.24.1",
}
SECRET = "dzgrant/consumer/9ab_C-d/0807124d6b3ad890"
ATHENA = {"Engine": "postgresql", "Secret": SECRET, "Catalog": "shop_0a1b2c"}
CONNECTION = {
    "ConnectionName": "shop",
    "Engine": "postgresql",
    "Host": "shop.example.com",
    "Port": "5432",
    "Database": "shop",
    "AdminSecret": "shop/admin",
}
CRAWLER = CONNECTION | {"GlueDatabase": "sales_pub_db"}
ASKED: dict[str, dict[str, str]] = {"athena": ATHENA, "glue-connection": CONNECTION, "glue-crawler": CRAWLER}
LAUNCHES = {"athena": "LaunchAthena", "glue-connection": "LaunchConnection", "glue-crawler": "LaunchCrawler"}


def several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def known(product: str, **asked: str) -> dict[str, str]:
    """All the parameters of a product, those of the account with what they stand for."""
    declared = load(PRODUCTS[product])["Parameters"]
    return {name: value for name, value in (DEFAULTS | ASKED[product] | asked).items() if name in declared}


def product(name: str, **asked: str) -> dict[str, dict[str, Any]]:
    return {id_: it["Properties"] for id_, it in resources(load(PRODUCTS[name]), known(name, **asked)).items()}


@pytest.fixture(scope="module")
def made() -> dict[str, dict[str, Any]]:
    return {name: it["Properties"] for name, it in resources(load(PORTFOLIO), GIVEN).items()}


def statements(made: Mapping[str, Mapping[str, Any]], role: str) -> list[dict[str, Any]]:
    """All that a role may do, in its own policies and in those that name it."""
    own = made[role].get("Policies", [])
    attached = [it for it in made.values() if f"<{role}>" in it.get("Roles", [])]
    return [statement for it in (*own, *attached) for statement in it["PolicyDocument"]["Statement"]]


@pytest.mark.parametrize("path", [PORTFOLIO, *PRODUCTS.values()], ids=lambda path: path.stem)
def test_the_linter_has_nothing_to_say(path: Any) -> None:
    assert complaints(path) == []
    assert len(path.read_bytes()) <= 51_200


@pytest.mark.parametrize("path", [PORTFOLIO, *PRODUCTS.values()], ids=lambda path: path.stem)
def test_whatever_is_asked_for_or_given_is_said(path: Any) -> None:
    template = load(path)
    for name, parameter in template["Parameters"].items():
        assert parameter["Description"], name
        bounded = {"AllowedPattern", "AllowedValues", "MinValue"} & parameter.keys() or "AWS::" in parameter["Type"]
        assert bounded, f"{name} takes anything"
        assert ("AllowedPattern" in parameter) == ("ConstraintDescription" in parameter), name
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sorted(name for it in groups for name in it["Parameters"]) == sorted(template["Parameters"])
    assert all(it["Description"] for it in template["Outputs"].values())


def test_the_example_is_taken() -> None:
    assert refusals(load(PORTFOLIO), GIVEN) == []
    for name, path in PRODUCTS.items():
        assert refusals(load(path), known(name)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Name", "Dzgrant"),
        ("AccountKind", "governance"),
        ("HomeRegion", "Frankfurt"),
        ("ProducerRoles", "*"),
        ("ConsumerRoles", "*"),
        ("TemplateBucket", "https://bucket"),
        ("TemplatePath", "dzgrant/"),
        ("Version", "1/2"),
        ("ConnectorImages", "docker.io/somebody/athena-federation-repository-"),
        ("ConnectorVersion", "a tag"),
    ],
)
def test_what_cannot_be_right_is_refused(name: str, value: str) -> None:
    assert refusals(load(PORTFOLIO), GIVEN | {name: value})


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("athena", {"Engine": "redshift"}),
        ("athena", {"Secret": "dzgrant/producer/e/0807124d6b3ad890"}),
        ("athena", {"Secret": "rds!db-admin"}),
        # Nothing that would end the reference to the secret, and begin another.
        ("athena", {"Secret": f"{SECRET}:SecretString:password}}}}"}),
        ("athena", {"Catalog": "shop-orders"}),
        ("glue-connection", {"Host": "shop.example.com/other?"}),
        ("glue-connection", {"Port": "0"}),
        ("glue-connection", {"Database": "shop;user=me"}),
        ("glue-connection", {"AdminSecret": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x"}),
        ("glue-connection", {"Certificate": "https://example.com/ca.pem"}),
        ("glue-crawler", {"GlueDatabase": "Sales"}),
        ("glue-crawler", {"Include": "a/b/c"}),
        ("glue-crawler", {"Schedule": "daily"}),
    ],
)
def test_what_a_person_gives_and_cannot_be_right_is_refused(name: str, asked: dict[str, str]) -> None:
    assert refusals(load(PRODUCTS[name]), known(name, **asked))


# Athena user guide, the connectors' pages, "Example connection string with secret name"; TLS as athena.yaml says.
_LOGIN = f"${{{SECRET}}}"
STRINGS = {
    "postgresql": "postgres://jdbc:postgresql://db.example.com:1234/shop"
    f"?sslmode=verify-full&sslfactory=org.postgresql.ssl.DefaultJavaSSLFactory&{_LOGIN}",
    "mysql": f"mysql://jdbc:mysql://db.example.com:1234/shop?sslMode=VERIFY_IDENTITY&{_LOGIN}",
    "sqlserver": "sqlserver://jdbc:sqlserver://db.example.com:1234;databaseName=shop"
    f";encrypt=true;trustServerCertificate=false;{_LOGIN}",
    "oracle": f"oracle://jdbc:oracle:thin:{_LOGIN}@tcps://db.example.com:1234/shop",
}
# How the connectors read it (awslabs/aws-athena-query-federation, DatabaseConnectionConfigBuilder): the engine's word before
# the driver's own string, and the secret's name within.
_STRING = re.compile(r"([a-zA-Z0-9]+)://(.*)")
_SECRET = re.compile(r"\$\{(([a-z-]+!)?[a-zA-Z0-9:/_+=.@-]+)}")
_WORDS = {"postgresql": "postgres", "mysql": "mysql", "sqlserver": "sqlserver", "oracle": "oracle"}


def resolved(text: str, secret: Mapping[str, str | int]) -> str:
    """CloudFormation's dynamic references to the one secret, resolved."""
    return re.sub(r"\{\{resolve:secretsmanager:(.+?):SecretString:(\w+)\}\}", lambda it: str(secret[it[2]]), text)


@pytest.mark.parametrize("word", STRINGS)
def test_each_engine_has_the_connection_string_of_its_connector(word: str) -> None:
    text = product("athena", Engine=word)["Connector"]["Environment"]["Variables"]["default"]
    assert set(re.findall(r"resolve:secretsmanager:(.+?):SecretString:", text)) == {SECRET}
    text = resolved(text, {"host": "db.example.com", "port": 1234, "dbname": "shop"})
    assert text == STRINGS[word]
    found = _STRING.fullmatch(text)
    assert found
    assert found[1] == _WORDS[word]
    [(name, _)] = _SECRET.findall(found[2])
    assert name == SECRET


@pytest.mark.parametrize("word", STRINGS)
def test_the_page_has_the_same_strings(word: str) -> None:
    page = (DEPLOY.parent / "docs" / "toolkit.md").read_text()
    database = "SERVICE" if word == "oracle" else "DB"
    parts = {"db.example.com": "HOST", "1234": "PORT", SECRET: "SECRET", "shop": database}
    shown = re.sub("|".join(map(re.escape, parts)), lambda it: parts[it[0]], STRINGS[word])
    assert f"| {word} | `{shown}` |" in page


def test_whoever_names_a_secret_makes_a_connector_of_its_environment() -> None:
    made = product("athena")
    tag = {"Key": "AmazonDataZoneEnvironment", "Value": "9ab_C-d"}
    assert [it["Tags"] for it in made.values()] == [[tag]] * 3
    assert made["Connector"]["Environment"]["Variables"]["spill_prefix"] == "datazone/9ab_C-d"


@pytest.mark.parametrize("policy", ["EnvironmentPolicy", "EnvironmentBoundary"])
def test_environments_may_use_what_the_product_makes(policy: str) -> None:
    member = load(DEPLOY / "member-account" / "member.yaml")
    rights = resources(member, {"GovernanceAccount": "111111111111", "OrganizationId": "o-a1b2c3d4e5"})[policy]
    athena = product("athena")["Connector"]
    spill = athena["Environment"]["Variables"]
    asked = {
        "lambda:InvokeFunction": f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:{athena['FunctionName']}",
        "s3:GetObject": f"arn:aws:s3:::{spill['spill_bucket']}/{spill['spill_prefix']}/query/1",
        "athena:GetDataCatalog": f"arn:aws:athena:eu-central-1:{ACCOUNT}:datacatalog/{ATHENA['Catalog']}",
        "servicecatalog:ProvisionProduct": f"arn:aws:catalog:eu-central-1:{ACCOUNT}:product/prod-1",
    }
    allowed = [it for it in rights["Properties"]["PolicyDocument"]["Statement"] if it["Effect"] == "Allow"]
    for action, arn in asked.items():
        assert [
            it["Sid"]
            for it in allowed
            if any(fnmatchcase(action, pattern) for pattern in several(it["Action"]))
            and any(
                fnmatchcase(arn, re.sub(r"\$\{aws:PrincipalTag/\w+\}", "9ab_C-d", pattern))
                for pattern in several(it["Resource"])
            )
        ], action


def test_environments_may_use_nothing_of_another_environment() -> None:
    member = load(DEPLOY / "member-account" / "member.yaml")
    policy = resources(member, {"GovernanceAccount": "111111111111", "OrganizationId": "o-a1b2c3d4e5"})["EnvironmentPolicy"]
    own = {"StringEquals": {"aws:ResourceTag/AmazonDataZoneEnvironment": "${aws:PrincipalTag/AmazonDataZoneEnvironment}"}}
    reached = [
        it
        for it in policy["Properties"]["PolicyDocument"]["Statement"]
        if {action.partition(":")[0] for action in several(it["Action"])} <= {"lambda", "athena", "secretsmanager", "s3"}
        and it["Action"] != "s3:GetBucketLocation"
    ]
    assert len(reached) == 4
    for statement in reached:
        assert statement.get("Condition") == own or "${aws:PrincipalTag/" in statement["Resource"], statement["Sid"]


@pytest.mark.parametrize("word", _WORDS)
@pytest.mark.parametrize("name", ["glue-connection", "glue-crawler"])
def test_dzgrant_reads_the_connection_that_a_producer_made(name: str, word: str) -> None:
    [connection] = [it for id_, it in product(name, Engine=word).items() if id_ == "Connection"]
    properties = connection["ConnectionInput"]["ConnectionProperties"]
    database = "SHOP" if word == "oracle" else "shop"
    assert parse(properties["JDBC_CONNECTION_URL"]) == Source(
        engine=word, host="shop.example.com", port=5432, database=database
    )
    assert properties["SECRET_ID"] == "shop/admin"
    assert properties["JDBC_ENFORCE_SSL"] == "true"


def test_the_two_products_make_the_same_connection() -> None:
    one, other = load(PRODUCTS["glue-connection"]), load(PRODUCTS["glue-crawler"])
    assert one["Resources"]["Connection"] == other["Resources"]["Connection"]
    assert one["Mappings"] == other["Mappings"]
    assert one["Parameters"].items() <= other["Parameters"].items()


def test_a_crawler_runs_on_a_schedule_or_when_it_is_started() -> None:
    assert "Schedule" not in product("glue-crawler")["Crawler"]
    crawler = product("glue-crawler", Schedule="cron(15 3 * * ? *)", Include="public/%")["Crawler"]
    assert crawler["Schedule"] == {"ScheduleExpression": "cron(15 3 * * ? *)"}
    [target] = crawler["Targets"]["JdbcTargets"]
    assert target == {"ConnectionName": "dzgrant-shop", "Path": "shop/public/%"}


@pytest.mark.parametrize(("kind", "portfolios"), [("producer", {"ProducerPortfolio"}), ("consumer", {"ConsumerPortfolio"})])
def test_an_account_of_one_kind_has_one_portfolio(kind: str, portfolios: set[str]) -> None:
    found = resources(load(PORTFOLIO), GIVEN | {"AccountKind": kind})
    assert {name for name, it in found.items() if it["Type"] == "AWS::ServiceCatalog::Portfolio"} == portfolios
    assert ("SpillBucket" in found) is (kind == "consumer")


def test_another_region_has_portfolios_without_roles() -> None:
    found = resources(load(PORTFOLIO), GIVEN | {"HomeRegion": "eu-west-1"})
    assert not [name for name, it in found.items() if it["Type"].startswith("AWS::IAM::")]
    assert found["AthenaLaunch"]["Properties"]["RoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/dzgrant-launch-athena"


def test_every_product_is_launched_with_its_own_role_by_datazones_users(made: dict[str, dict[str, Any]]) -> None:
    for product_, launch, role, template in (
        ("AthenaProduct", "AthenaLaunch", "LaunchAthena", "athena"),
        ("ConnectionProduct", "ConnectionLaunch", "LaunchConnection", "glue-connection"),
        ("CrawlerProduct", "CrawlerLaunch", "LaunchCrawler", "glue-crawler"),
    ):
        assert made[launch]["RoleArn"] == f"<{role}.Arn>"
        assert made[launch]["ProductId"] == f"<{product_}>"
        [version] = made[product_]["ProvisioningArtifactParameters"]
        url = f"https://bucket-with-templates.s3.amazonaws.com/dzgrant/toolkit/1/{template}.yaml"
        assert version == {"Name": "1", "Info": {"LoadTemplateFromURL": url}}
        [trust] = made[role]["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "servicecatalog.amazonaws.com"}
    for principals in ("ProducerPrincipals", "ConsumerPrincipals"):
        # Service Catalog's form of a pattern has no account.
        assert made[principals]["PrincipalARN"] == "arn:aws:iam:::role/datazone_usr_*"
        assert made[principals]["PrincipalType"] == "IAM_PATTERN"


# Statements that are for every resource, because what they allow knows no narrower one; the template says so at each.
_EVERYTHING = {"ReadTemplates", "ReadStackTemplates", "LookAtNetwork", "AskLakeFormation"}


def test_no_right_is_for_everything(made: dict[str, dict[str, Any]]) -> None:
    policies = [made["ConnectorPolicy"]["PolicyDocument"]["Statement"]]
    roles = (*LAUNCHES.values(), "CrawlerRole")
    every = [it for part in (*policies, *(statements(made, role) for role in roles)) for it in part]
    allowed = [it for it in every if it["Effect"] == "Allow"]
    assert not [action for it in allowed for action in several(it["Action"]) if "*" in action]
    assert {it["Sid"] for it in allowed if "*" in several(it["Resource"])} == _EVERYTHING


def test_policies_are_no_longer_than_iam_takes(made: dict[str, dict[str, Any]]) -> None:
    def length(document: Any) -> int:
        return len(json.dumps(document, separators=(",", ":")))

    assert length(made["ConnectorPolicy"]["PolicyDocument"]) <= 6_144
    for role in (*LAUNCHES.values(), "CrawlerRole"):
        assert sum(map(length, statements(made, role))) <= 10_000


# What CloudFormation's own handlers may need for these types, and these templates do not, since they have nothing of the kind.
_NOT_HERE = {
    "AWS::Lambda::Function": {
        "elasticfilesystem:DescribeMountTargets",
        "kms:CreateGrant",
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:Encrypt",
        "kms:GenerateDataKey",
        "lambda:AssociateRuntimeAlias",
        "lambda:DeleteFunctionCodeSigningConfig",
        "lambda:DeleteFunctionConcurrency",
        "lambda:GetCodeSigningConfig",
        "lambda:GetLayerVersion",
        "lambda:PassCapacityProvider",
        "lambda:PublishVersion",
        "lambda:PutFunctionCodeSigningConfig",
        "lambda:PutFunctionConcurrency",
        "lambda:PutFunctionRecursionConfig",
        "lambda:PutFunctionScalingConfig",
        "lambda:PutRuntimeManagementConfig",
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3files:ListMountTargets",
    },
    # No policy of its own, no boundary, and trust and description that never change.
    "AWS::IAM::Role": {
        "iam:DeleteRolePermissionsBoundary",
        "iam:DeleteRolePolicy",
        "iam:PutRolePermissionsBoundary",
        "iam:PutRolePolicy",
        "iam:UpdateAssumeRolePolicy",
        "iam:UpdateRole",
        "iam:UpdateRoleDescription",
    },
}
# What Service Catalog takes for any product (administrator guide, "Add a launch constraint"), and the defaults.
_STACKS = {
    "cloudformation:CreateStack",
    "cloudformation:DeleteStack",
    "cloudformation:DescribeStackEvents",
    "cloudformation:DescribeStacks",
    "cloudformation:GetTemplateSummary",
    "cloudformation:SetStackPolicy",
    "cloudformation:UpdateStack",
    "cloudformation:ValidateTemplate",
    "s3:GetObject",
    "ssm:GetParameters",
}
# What it takes beside the handlers: dynamic references, and the image, which Lambda pulls in the caller's name.
_BESIDE = {
    "athena": {"secretsmanager:GetSecretValue", "kms:Decrypt", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"},
    "glue-connection": set[str](),
    "glue-crawler": set[str](),
}


def handlers(kind: str) -> set[str]:
    """What CloudFormation's handlers of a resource type call, by the type's own schema."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema
    called = [name for handler in ("create", "read", "update", "delete") for name in schema["handlers"][handler]["permissions"]]
    # Everything else that a data catalogue's handlers may call, they call for FEDERATED ones.
    return {
        name
        for name in (*called, *schema["tagging"].get("permissions", []))
        if kind != "AWS::Athena::DataCatalog" or name.startswith("athena:")
    } - _NOT_HERE.get(kind, set())


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_launch_role_may_do_what_its_product_takes_and_no_more(made: dict[str, dict[str, Any]], name: str) -> None:
    kinds = {it["Type"] for it in load(PRODUCTS[name])["Resources"].values()}
    needed = {action for kind in kinds for action in handlers(kind)} | _BESIDE[name] | _STACKS
    assert {action for it in statements(made, LAUNCHES[name]) for action in several(it["Action"])} == needed


def test_a_connector_can_be_given_one_policy_alone(made: dict[str, dict[str, Any]]) -> None:
    mine = {it["Sid"]: it for it in statements(made, "LaunchAthena")}
    assert mine["AttachConnectorPolicy"]["Condition"] == {"ArnEquals": {"iam:PolicyARN": "<ConnectorPolicy>"}}
    [policy] = product("athena")["Role"]["ManagedPolicyArns"]
    assert policy == f"arn:aws:iam::{ACCOUNT}:policy/{made['ConnectorPolicy']['ManagedPolicyName']}"
    own = {"aws:ResourceTag/AmazonDataZoneEnvironment": "${aws:PrincipalTag/AmazonDataZoneEnvironment}"}
    read = made["ConnectorPolicy"]["PolicyDocument"]["Statement"][0]
    assert read["Action"] == "secretsmanager:GetSecretValue"
    assert read["Condition"] == {"StringEquals": own}


# The launch roles' patterns fit what the products make, by name.
_MAKES = {
    "athena": {
        "lambda:CreateFunction": "arn:aws:lambda:eu-central-1:{account}:function:dzgrant-connector-shop_0a1b2c",
        "iam:CreateRole": "arn:aws:iam::{account}:role/dzgrant-connector/SC-1-pp-2-Role-3",
        "iam:PassRole": "arn:aws:iam::{account}:role/dzgrant-connector/SC-1-pp-2-Role-3",
        "athena:CreateDataCatalog": "arn:aws:athena:eu-central-1:{account}:datacatalog/shop_0a1b2c",
        "secretsmanager:GetSecretValue": f"arn:aws:secretsmanager:eu-central-1:{{account}}:secret:{SECRET}-AbCdEf",
        "ssm:GetParameters": "arn:aws:ssm:eu-central-1:{account}:parameter/dzgrant/toolkit/spill-bucket",
        "ecr:BatchGetImage": "arn:aws:ecr:eu-central-1:292517598671:repository/athena-federation-repository-postgresql",
        "cloudformation:CreateStack": "arn:aws:cloudformation:eu-central-1:{account}:stack/SC-{account}-pp-abc/uuid",
    },
    "glue-connection": {"glue:CreateConnection": "arn:aws:glue:eu-central-1:{account}:connection/dzgrant-shop"},
    "glue-crawler": {
        "glue:CreateConnection": "arn:aws:glue:eu-central-1:{account}:connection/dzgrant-shop",
        "glue:CreateCrawler": "arn:aws:glue:eu-central-1:{account}:crawler/dzgrant-shop",
    },
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_the_patterns_fit_what_the_products_make(made: dict[str, dict[str, Any]], name: str) -> None:
    for action, arn in _MAKES[name].items():
        patterns = [
            p for it in statements(made, LAUNCHES[name]) if action in several(it["Action"]) for p in several(it["Resource"])
        ]
        assert [p for p in patterns if p != "*" and fnmatchcase(arn.format(account=ACCOUNT), p)], action


# ... and nothing else that the same account has.
_OTHERS = {
    "LaunchAthena": {
        "lambda:UpdateFunctionCode": "arn:aws:lambda:eu-central-1:{account}:function:payments",
        "iam:CreateRole": "arn:aws:iam::{account}:role/admin",
        "iam:AttachRolePolicy": "arn:aws:iam::{account}:role/datazone_usr_1",
        "iam:PassRole": "arn:aws:iam::{account}:role/dzgrant-consumer",
        "secretsmanager:GetSecretValue": "arn:aws:secretsmanager:eu-central-1:{account}:secret:dzgrant/producer/e/1-AbCdEf",
        "ssm:GetParameters": "arn:aws:ssm:eu-central-1:{account}:parameter/payments",
        "ecr:BatchGetImage": "arn:aws:ecr:eu-central-1:{account}:repository/payments",
        "cloudformation:DeleteStack": "arn:aws:cloudformation:eu-central-1:{account}:stack/dzgrant-member/uuid",
    },
    "LaunchConnection": {"glue:DeleteConnection": "arn:aws:glue:eu-central-1:{account}:connection/payments"},
    "LaunchCrawler": {
        "glue:DeleteCrawler": "arn:aws:glue:eu-central-1:{account}:crawler/payments",
        "iam:PassRole": "arn:aws:iam::{account}:role/admin",
    },
    "CrawlerRole": {"glue:GetConnection": "arn:aws:glue:eu-central-1:{account}:connection/payments"},
    "ConnectorPolicy": {
        "s3:PutObject": "arn:aws:s3:::dzgrant-spill-{account}-eu-central-1/datazone/another/query",
        "secretsmanager:GetSecretValue": "arn:aws:secretsmanager:eu-central-1:{account}:secret:dzgrant/producer/e/1-AbCdEf",
        "logs:PutLogEvents": "arn:aws:logs:eu-central-1:{account}:log-group:/aws/lambda/payments",
    },
}


@pytest.mark.parametrize("who", _OTHERS)
def test_the_patterns_fit_nothing_of_others(made: dict[str, dict[str, Any]], who: str) -> None:
    mine = made[who]["PolicyDocument"]["Statement"] if who == "ConnectorPolicy" else statements(made, who)
    for action, arn in _OTHERS[who].items():
        found = [it for it in mine if action in several(it["Action"])]
        assert found, action
        patterns = [pattern for it in found for pattern in several(it["Resource"])]
        assert not [it for it in patterns if fnmatchcase(arn.format(account=ACCOUNT), it)], action


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with running() as cloud:
        yield cloud


def client(cloud: LocalCloud, service: str) -> Any:
    key = {"aws_access_key_id": f"AKIA{CONSUMER}", "aws_secret_access_key": "local"}
    return boto3.client(service, endpoint_url=cloud.endpoint, region_name=REGION, **key)


def launch(cloud: LocalCloud, stack: str, path: Any, given: Mapping[str, str]) -> None:
    parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()]
    client(cloud, "cloudformation").create_stack(
        StackName=stack, TemplateBody=path.read_text(), Parameters=parameters, Capabilities=["CAPABILITY_NAMED_IAM"]
    )


def test_the_stacks_deployed_one_upon_the_other(cloud: LocalCloud) -> None:
    """moto's CloudFormation makes parameters, roles, policies, bucket and function of these; Glue, Athena and Service Catalog
    it does not know as resources."""
    secrets = client(cloud, "secretsmanager")
    secrets.create_secret(Name=SECRET, SecretString=json.dumps({"host": "db.example.com", "port": 1234, "dbname": "shop"}))
    launch(cloud, "dzgrant-toolkit", PORTFOLIO, GIVEN)
    launch(cloud, f"SC-{CONSUMER}-pp-abc", PRODUCTS["athena"], ATHENA)

    function = client(cloud, "lambda").get_function(FunctionName="dzgrant-connector-shop_0a1b2c")
    variables = function["Configuration"]["Environment"]["Variables"]
    secret = json.loads(secrets.get_secret_value(SecretId=SECRET)["SecretString"])
    assert resolved(variables["default"], secret) == STRINGS["postgresql"]
    buckets = [it["Name"] for it in client(cloud, "s3").list_buckets()["Buckets"]]
    assert variables["spill_bucket"] in buckets
    assert function["Configuration"]["VpcConfig"]["SubnetIds"] == GIVEN["Subnets"].split(",")

    iam = client(cloud, "iam")
    arn = function["Configuration"]["Role"]
    assert arn.startswith(f"arn:aws:iam::{CONSUMER}:role/dzgrant-connector/")
    role = arn.rpartition("/")[2]
    assert iam.list_role_tags(RoleName=role)["Tags"] == [{"Key": "AmazonDataZoneEnvironment", "Value": "9ab_C-d"}]
    # It attaches no managed policies; the one that is named is there.
    assert iam.get_policy(PolicyArn=f"arn:aws:iam::{CONSUMER}:policy/dzgrant-connector")["Policy"]["IsAttachable"]
    assert iam.list_role_policies(RoleName="dzgrant-launch-athena")["PolicyNames"] == ["stacks", "connectors"]
    assert iam.list_role_policies(RoleName="dzgrant-launch-connection")["PolicyNames"] == ["stacks", "connections"]


def test_glue_and_athena_take_what_the_products_make(cloud: LocalCloud) -> None:
    """By their APIs, whose shapes CloudFormation's properties have, less the places of tags."""
    glue, crawling = client(cloud, "glue"), product("glue-crawler", Environment="9ab_C-d", Schedule="cron(15 3 * * ? *)")
    glue.create_connection(ConnectionInput=crawling["Connection"]["ConnectionInput"], Tags=crawling["Connection"]["Tags"])
    crawler = crawling["Crawler"]
    glue.create_crawler(**crawler | {"Schedule": crawler["Schedule"]["ScheduleExpression"]})
    assert glue.get_connection(Name="dzgrant-shop")["Connection"]["ConnectionProperties"]["SECRET_ID"] == "shop/admin"
    assert glue.get_crawler(Name="dzgrant-shop")["Crawler"]["DatabaseName"] == "sales_pub_db"

    athena, catalogue = client(cloud, "athena"), product("athena")["DataCatalog"]
    athena.create_data_catalog(**catalogue)
    assert athena.get_data_catalog(Name="shop_0a1b2c")["DataCatalog"]["Type"] == "LAMBDA"
