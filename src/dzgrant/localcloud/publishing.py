"""The command `publish`: a table's Glue database, connection and table in the producer account, as a crawler makes them, and
its listing in DataZone."""

from __future__ import annotations

import json
from typing import Any

from dzgrant.localcloud import connections
from dzgrant.localcloud.aws import Aws
from dzgrant.localcloud.commands import Publish, Published
from dzgrant.localcloud.places import PRODUCER, REGION
from dzgrant.localcloud.state import Asset, Listing, Project, State, new_id

_GLUE_DATABASE = "sales"
_URLS = {
    "postgresql": "jdbc:postgresql://{host}:{port}/{database}",
    "mysql": "jdbc:mysql://{host}:{port}/{database}",
    "oracle": "jdbc:oracle:thin://@{host}:{port}/{database}",
    "sqlserver": "jdbc:sqlserver://{host}:{port};databaseName={database}",
}


def publish(aws: Aws, state: State, command: Publish) -> Published:
    """Afterwards the table is in Glue and its listing in DataZone; a connection that is there already is kept.

    The caller holds the state's lock.
    """
    project = state.get(Project, command.domain, command.project)
    connection = command.connection or f"{command.engine}-{command.host}-{command.port}-{command.database}"
    secret = _connection(aws, command, connection)
    table = _table(aws, command, connection)
    arn = f"arn:aws:glue:{REGION}:{PRODUCER}:table/{_GLUE_DATABASE}/{table}"
    asset = Asset(id=new_id(), forms=_forms(command, table, arn))
    listing = state.add(Listing(id=new_id(), domain=command.domain, project=project.id, name=table, asset=asset))
    return Published(listing=listing.id, asset=asset.id, table_arn=arn, connection=connection, secret_arn=secret)


def _connection(aws: Aws, command: Publish, name: str) -> str | None:
    """Makes the Glue connection unless it is there. Gives the ARN or name of the admin's secret, where there is one."""
    secret = command.secret
    properties, authentication = _properties(command), {}
    if command.credentials == "inline":
        password = command.password.get_secret_value() if command.password else ""
        properties |= {"USERNAME": command.username or "", "PASSWORD": password}
    else:
        secret = secret or _secret(aws, command, name)
        if command.credentials == "secret_id":
            properties |= {"SECRET_ID": secret}
        else:
            authentication = {"AuthenticationConfiguration": {"AuthenticationType": "BASIC", "SecretArn": secret}}
    if not connections.exists(PRODUCER, REGION, name):
        made = {"Name": name, "ConnectionType": "JDBC", "ConnectionProperties": properties, **authentication}
        aws.ask(PRODUCER, "glue", "AWSGlue.CreateConnection", ConnectionInput=made)
    return secret


def _properties(command: Publish) -> dict[str, str]:
    place = {"host": command.host, "port": str(command.port), "database": command.database}
    if command.form == "properties":
        return {name.upper(): value for name, value in place.items()}
    return {"JDBC_CONNECTION_URL": command.url or _URLS[command.engine].format(**place), "JDBC_ENFORCE_SSL": "true"}


def _secret(aws: Aws, command: Publish, connection: str) -> str:
    """The admin's secret, one for each connection, with the credentials that the command gives."""
    name = f"admin/{connection}"
    password = command.password.get_secret_value() if command.password else ""
    value = json.dumps({"username": command.username, "password": password})
    known = aws.ask(PRODUCER, "secretsmanager", "secretsmanager.ListSecrets", Filters=[{"Key": "name", "Values": [name]}])
    for secret in known["SecretList"]:
        if secret["Name"] == name:
            aws.ask(PRODUCER, "secretsmanager", "secretsmanager.PutSecretValue", SecretId=name, SecretString=value)
            return str(secret["ARN"])
    # As its owner marks it, so that dzgrant may read it (deploy/member-account).
    tags = [{"Key": "dzgrant-admin", "Value": "true"}]
    made = aws.ask(PRODUCER, "secretsmanager", "secretsmanager.CreateSecret", Name=name, SecretString=value, Tags=tags)
    return str(made["ARN"])


def _table(aws: Aws, command: Publish, connection: str) -> str:
    """Makes the Glue table and gives its name. Glue's names are in lower case; the Location alone keeps the source's."""
    name = f"{command.database}_{command.table}_{new_id()}".lower().replace(".", "_")
    parameters: dict[str, str | None] = {
        "classification": command.engine,
        "connectionName": connection,
        "typeOfData": "view" if command.view else "table",
        "compressionType": "none",
        "UPDATED_BY_CRAWLER": "jdbc",
        **command.parameters,
    }
    kept = {key: value for key, value in parameters.items() if value is not None}
    table = {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "StorageDescriptor": {
            "Columns": [{"Name": "id", "Type": "int"}],
            "Location": command.location or f"{command.database}.{command.table}",
            "Parameters": kept,
        },
        "Parameters": kept,
    }
    databases = aws.ask(PRODUCER, "glue", "AWSGlue.GetDatabases")["DatabaseList"]
    if _GLUE_DATABASE not in {database["Name"] for database in databases}:
        aws.ask(PRODUCER, "glue", "AWSGlue.CreateDatabase", DatabaseInput={"Name": _GLUE_DATABASE})
    aws.ask(PRODUCER, "glue", "AWSGlue.CreateTable", DatabaseName=_GLUE_DATABASE, TableInput=table)
    return name


def _forms(command: Publish, table: str, arn: str) -> str:
    """The JSON text of a listing's forms, with the keys that are no forms, as on a live listing."""
    forms: dict[str, Any] = {
        "GlueTableForm": {
            "catalogId": PRODUCER,
            "region": REGION,
            "databaseName": _GLUE_DATABASE,
            "tableName": table,
            "tableArn": arn,
            "sourceClassification": command.engine,
            "columns": [{"columnName": "id", "dataType": "int"}],
        },
        "AssetCommonDetailsForm": {},
        "hasAttached": False,
        "__DataZoneGlossaryTerms": [],
    }
    return json.dumps(forms)
