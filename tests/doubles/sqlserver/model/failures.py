"""SQL Server's errors by number, in English and German: nobody may decide by their text.

Numbers, severities and English texts: "Database Engine events and errors" of the SQL Server documentation (sys.messages).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar

german: ContextVar[bool] = ContextVar("german", default=False)

_BABELFISH = 33557097

_ENGLISH: dict[int, tuple[int, str]] = {
    102: (15, "Incorrect syntax near '{}'."),
    103: (15, "The identifier that starts with '{}' is too long. Maximum length is 128."),
    105: (15, "Unclosed quotation mark after the character string '{}'."),
    111: (15, "'{}' must be the first statement in a query batch."),
    137: (15, 'Must declare the scalar variable "{}".'),
    156: (15, "Incorrect syntax near the keyword '{}'."),
    195: (15, "'{}' is not a recognized built-in function name."),
    201: (16, "Procedure or function '{}' expects parameter '{}', which was not supplied."),
    206: (16, "Operand type clash: {} is incompatible with {}"),
    207: (16, "Invalid column name '{}'."),
    208: (16, "Invalid object name '{}'."),
    209: (16, "Ambiguous column name '{}'."),
    213: (16, "Column name or number of supplied values does not match table definition."),
    226: (16, "{} statement not allowed within multi-statement transaction."),
    229: (14, "The {} permission was denied on the object '{}', database '{}', schema '{}'."),
    230: (14, "The {} permission was denied on the column '{}' of the object '{}', database '{}', schema '{}'."),
    245: (16, "Conversion failed when converting the {} value '{}' to data type {}."),
    262: (14, "{} permission denied in database '{}'."),
    297: (16, "The user does not have permission to perform this action."),
    300: (14, "{} permission was denied on object '{}', database '{}'."),
    512: (16, "Subquery returned more than 1 value."),
    911: (16, "Database '{}' does not exist. Make sure that the name is entered correctly."),
    916: (14, 'The server principal "{}" is not able to access the database "{}" under the current security context.'),
    942: (14, "Database '{}' cannot be opened because it is offline."),
    1088: (16, 'Cannot find the object "{}" because it does not exist or you do not have permissions.'),
    1205: (13, ("Transaction (Process ID {}) was deadlocked on lock resources with another process and has been chosen as the "
                "deadlock victim. Rerun the transaction.")),
    1222: (16, "Lock request time out period exceeded."),
    1801: (16, "Database '{}' already exists. Choose a different database name."),
    2714: (16, "There is already an object named '{}' in the database."),
    2760: (16, "The specified schema name \"{}\" either does not exist or you do not have permission to use it."),
    2812: (16, "Could not find stored procedure '{}'."),
    3701: (11, "Cannot drop the {} '{}', because it does not exist or you do not have permission."),
    3729: (16, "Cannot drop schema '{}' because it is being referenced by object '{}'."),
    3902: (16, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION."),
    3903: (16, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION."),
    3906: (16, "Failed to update database \"{}\" because the database is read-only."),
    4060: (11, 'Cannot open database "{}" requested by the login. The login failed.'),
    4606: (16, "Granted or revoked privilege {} is not compatible with object."),
    4611: (16, "To revoke or deny grantable privileges, specify the CASCADE option."),
    4613: (16, "Grantor does not have GRANT permission."),
    4624: (16, "Cannot grant, deny, or revoke permissions to sa, dbo, entity owner, information_schema, sys, or yourself."),
    6101: (16, "Process ID {} is not a valid process ID. Choose a number between 1 and 2048."),
    6102: (14, "User does not have permission to use the KILL statement."),
    6104: (16, "Cannot use KILL to kill your own process."),
    6106: (16, "Process ID {} is not an active process ID."),
    6115: (16, "KILL command cannot be used inside user transactions."),
    15007: (16, "'{}' is not a valid login or you do not have permission."),
    15023: (16, "User, group, or role '{}' already exists in the current database."),
    15025: (16, "The server principal '{}' already exists."),
    15063: (16, "The login already has an account under a different user name."),
    15116: (16, ("Password validation failed. The password does not meet the operating system policy requirements "
                "because it is too short.")),
    15118: (16, ("Password validation failed. The password does not meet the operating system policy requirements "
                "because it is not complex enough.")),
    15122: (16, "The CHECK_EXPIRATION option cannot be used when CHECK_POLICY is OFF."),
    15135: (16, "Object is invalid. Extended properties are not permitted on '{}', or the object does not exist."),
    15138: (16, "The database principal owns a {} in the database, and cannot be dropped."),
    15151: (16, "Cannot {} the {} '{}', because it does not exist or you do not have permission."),
    15173: (16, "Server principal '{}' has granted one or more permission(s). Revoke the permission(s) before dropping it."),
    15174: (16, "Login '{}' owns one or more database(s). Change the owner of the database(s) before dropping the login."),
    15217: (16, "Property cannot be updated or deleted. Property '{}' does not exist for '{}'."),
    15233: (16, "Property cannot be added. Property '{}' already exists for '{}'."),
    15247: (16, "User does not have permission to perform this action."),
    15284: (16, "The database principal has granted or denied permissions to objects in the database and cannot be dropped."),
    15421: (16, "The database principal owns a database role and cannot be dropped."),
    15433: (16, "Supplied parameter sid is in use."),
    15434: (16, "Could not drop login '{}' as the user is currently logged in."),
    16915: (16, "A cursor with the name '{}' already exists."),
    16916: (16, "A cursor with the name '{}' does not exist."),
    16917: (16, "Cursor is not open."),
    18456: (14, "Login failed for user '{}'."),
    18470: (14, "Login failed for user '{}'. Reason: The account is disabled."),
    33557097: (16, "{}"),
}  # fmt: skip
_GERMAN: dict[int, str] = {
    102: "Falsche Syntax in der Nähe von '{}'.",
    208: "Ungültiger Objektname '{}'.",
    229: "Die {}-Berechtigung wurde für das {}-Objekt, {}-Datenbank, {}-Schema, verweigert.",
    1222: "Das Zeitlimit für die Sperranforderung wurde überschritten.",
    4060: "Die von der Anmeldung angeforderte {}-Datenbank kann nicht geöffnet werden. Fehler bei der Anmeldung.",
    15007: "'{}' ist kein gültiger Anmeldename, oder Sie besitzen keine Berechtigung.",
    15023: "Der Benutzer, die Gruppe oder die Rolle '{}' ist bereits in der aktuellen Datenbank vorhanden.",
    15025: "Der Serverprinzipal '{}' ist bereits vorhanden.",
    15118: "Fehler bei der Kennwortüberprüfung. Das Kennwort ist nicht komplex genug.",
    15151: "{} ist für {} '{}' nicht möglich, da das Objekt nicht vorhanden ist oder Sie nicht die Berechtigung haben.",
    15247: "Der Benutzer besitzt nicht die Berechtigung zum Ausführen dieser Aktion.",
    15434: "Der Anmeldename '{}' konnte nicht gelöscht werden, da der Benutzer zurzeit angemeldet ist.",
    18456: "Fehler bei der Anmeldung für den Benutzer '{}'.",
    18470: "Fehler bei der Anmeldung für den Benutzer '{}'. Ursache: Das Konto ist deaktiviert.",
}

# What ends the whole batch, not the statement alone: errors of the text, of names that are looked up late, and victims.
_ENDS_BATCH = frozenset({102, 103, 105, 111, 137, 156, 195, 206, 207, 208, 209, 245, 1205, 2812})


class SqlError(Exception):
    """One error of the server; `before`: one that it sends first, as 4060 before 18456."""

    def __init__(self, number: int, *names: object, state: int = 1, line: int = 1, before: SqlError | None = None) -> None:
        self.number = number
        self.severity, english = _ENGLISH.get(number, (16, "{}"))
        text = _GERMAN.get(number, english) if german.get() else english
        self.text = text.format(*names)
        self.state, self.line, self.before = state, line, before
        super().__init__(f"{number}: {self.text}")

    @property
    def ends_batch(self) -> bool:
        return self.number in _ENDS_BATCH

    def chain(self) -> Iterator[SqlError]:
        if self.before is not None:
            yield from self.before.chain()
        yield self

    def in_babelfish(self) -> SqlError:
        """As Babelfish says nearly every one of them: the number is 33557097. What its own front end finds keeps its own."""
        if self.number in (18456, 4060, 911):
            return self
        return SqlError(_BABELFISH, self.text, line=self.line)


def raised(number: int, text: str, state: int = 1, severity: int = 16) -> SqlError:
    """What THROW and RAISERROR raise."""
    error = SqlError(number, state=state)
    error.text, error.severity = text, severity
    return error
