"""Oracle's error texts, in English and German, from "Database Error Messages" 19c: nobody may decide by them.

Inside the model an error is a `Fault`: a number and what it is about. Its text is only made where it leaves a session.
"""

from __future__ import annotations

from typing import Literal

from tests.doubles.oracle.seam import OracleError

Language = Literal["AMERICAN", "GERMAN"]


class Fault(Exception):
    """A refusal: ORA-`code`, the values of its text, and where in the statement it was found (characters)."""

    def __init__(self, code: int, *values: object, offset: int = 0) -> None:
        super().__init__(code, *values)
        self.code = code
        self.values = values
        self.offset = offset

    def said_in(self, language: Language) -> OracleError:
        english, german = _TEXTS.get(self.code, ("{0}", "{0}"))
        text = german if language == "GERMAN" else english
        return OracleError(self.code, text.format(*self.values or ("",)), self.offset)


_TEXTS: dict[int, tuple[str, str]] = {
    26: ("missing or invalid session ID", "Session-ID fehlt oder ist ungültig"),
    27: ("cannot kill current session", "Aktuelle Session kann nicht abgebrochen werden"),
    28: ("your session has been killed", "Ihre Session wurde abgebrochen"),
    30: ("User session ID does not exist.", "Benutzersession-ID nicht vorhanden."),
    31: ("session marked for kill", "Session zum Abbrechen vorgemerkt"),
    54: (
        "resource busy and acquire with NOWAIT specified or timeout expired",
        "Versuch, mit NOWAIT eine bereits belegte Ressource anzufordern, oder Timeout abgelaufen",
    ),
    60: ("deadlock detected while waiting for resource", "Deadlock beim Warten auf Ressource festgestellt"),
    900: ("invalid SQL statement", "Ungültige SQL-Anweisung"),
    901: ("invalid CREATE command", "Ungültiger CREATE-Befehl"),
    902: ("invalid datatype", "Ungültiger Datentyp"),
    903: ("invalid table name", "Ungültiger Tabellenname"),
    904: ("{0}: invalid identifier", "{0}: ungültiger Bezeichner"),
    905: ("missing keyword", "Schlüsselwort fehlt"),
    906: ("missing left parenthesis", "Linke Klammer fehlt"),
    907: ("missing right parenthesis", "Rechte Klammer fehlt"),
    909: ("invalid number of arguments", "Ungültige Anzahl von Argumenten"),
    911: ("invalid character", "Ungültiges Zeichen"),
    913: ("too many values", "Zu viele Werte"),
    917: ("missing comma", "Komma fehlt"),
    918: ("column ambiguously defined", "Spalte nicht eindeutig definiert"),
    920: ("invalid relational operator", "Ungültiger relationaler Operator"),
    922: ("missing or invalid option", "Option fehlt oder ist ungültig"),
    923: ("FROM keyword not found where expected", "Schlüsselwort FROM nicht an erwarteter Stelle gefunden"),
    925: ("missing INTO keyword", "Schlüsselwort INTO fehlt"),
    926: ("missing VALUES keyword", "Schlüsselwort VALUES fehlt"),
    928: ("missing SELECT keyword", "Schlüsselwort SELECT fehlt"),
    932: ("inconsistent datatypes: expected {0} got {1}", "Inkonsistente Datentypen: {0} erwartet, {1} erhalten"),
    933: ("SQL command not properly ended", "SQL-Befehl wurde nicht korrekt beendet"),
    936: ("missing expression", "Ausdruck fehlt"),
    937: ("not a single-group group function", "keine Gruppenfunktion für eine einzelne Gruppe"),
    940: ("invalid ALTER command", "Ungültiger ALTER-Befehl"),
    942: ("table or view does not exist", "Tabelle oder View nicht vorhanden"),
    947: ("not enough values", "Anzahl der Werte reicht nicht aus"),
    950: ("invalid DROP option", "Ungültige DROP-Option"),
    955: ("name is already used by an existing object", "Es gibt bereits ein Objekt mit diesem Namen"),
    957: ("duplicate column name", "Doppelter Spaltenname"),
    959: ("tablespace '{0}' does not exist", "Tablespace '{0}' nicht vorhanden"),
    967: ("missing WHERE keyword", "Schlüsselwort WHERE fehlt"),
    971: ("missing SET keyword", "Schlüsselwort SET fehlt"),
    972: ("identifier is too long", "Bezeichner ist zu lang"),
    969: ("missing ON keyword", "Schlüsselwort ON fehlt"),
    976: ("Specified pseudocolumn or operator not allowed here.", "Angegebene Pseudospalte hier nicht zulässig."),
    979: ("not a GROUP BY expression", "kein GROUP BY-Ausdruck"),
    987: ("missing or invalid username(s)", "Benutzername(n) fehlt bzw. ungültig"),
    988: ("missing or invalid password(s)", "Passwort/Passwörter fehlt bzw. ungültig"),
    990: ("missing or invalid privilege", "Berechtigung fehlt oder ungültig"),
    998: ("must name this expression with a column alias", "Dieser Ausdruck muss mit einem Spaltenalias benannt werden"),
    1008: ("not all variables bound", "Nicht alle Variablen sind gebunden"),
    1013: ("user requested cancel of current operation", "Der Benutzer hat den Abbruch des aktuellen Vorgangs angefordert"),
    1017: ("invalid username/password; logon denied", "Benutzername/Kennwort ungültig; Anmeldung abgelehnt"),
    1027: (
        "bind variables not allowed for data definition operations",
        "Bind-Variablen bei Datendefinitionsoperationen nicht zulässig",
    ),
    1031: ("insufficient privileges", "Nicht ausreichende Berechtigungen"),
    1045: (
        "user {0} lacks CREATE SESSION privilege; logon denied",
        "Benutzer {0} hat keine CREATE SESSION-Berechtigung; Anmeldung abgelehnt",
    ),
    1403: ("no data found", "Keine Daten gefunden"),
    1427: ("single-row subquery returns more than one row", "Unterabfrage für eine Zeile liefert mehr als eine Zeile"),
    1435: ("user does not exist", "Benutzer ist nicht vorhanden"),
    1720: ("grant option does not exist for '{0}'", "Grant-Option für '{0}' nicht vorhanden"),
    1722: ("invalid number", "Ungültige Zahl"),
    1730: ("invalid number of column names specified", "Angegebene Anzahl der Spaltennamen ungültig"),
    1735: ("invalid ALTER TABLE option", "Ungültige ALTER TABLE-Option"),
    1740: ("missing double quote in identifier", "Fehlendes doppeltes Anführungszeichen im Bezeichner"),
    1741: ("illegal zero-length identifier", "Unzulässiger Bezeichner der Länge Null"),
    1749: (
        "you may not GRANT/REVOKE privileges to/from yourself",
        "Sie können keine Berechtigungen an sich selbst vergeben oder sich selbst entziehen",
    ),
    1750: (
        "UPDATE/REFERENCES may only be REVOKEd from the whole table, not by column",
        "UPDATE/REFERENCES kann nur für die ganze Tabelle entzogen werden, nicht spaltenweise",
    ),
    1756: ("quoted string not properly terminated", "Anführungsstrich fehlt bei Zeichenfolge"),
    1830: ("date format picture ends before converting entire input string", "Datumsformatstruktur endet vorzeitig"),
    1840: ("input value not long enough for date format", "Eingabewert für Datumsformat nicht lang genug"),
    1843: ("not a valid month", "Kein gültiger Monat"),
    1858: ("a non-numeric character was found where a numeric was expected", "Nicht numerisches Zeichen statt numerischem"),
    1861: ("literal does not match format string", "Literal stimmt nicht mit Formatzeichenfolge überein"),
    1917: ("user or role '{0}' does not exist", "Benutzer oder Rolle '{0}' nicht vorhanden"),
    1918: ("user '{0}' does not exist", "Benutzer '{0}' nicht vorhanden"),
    1919: ("role '{0}' does not exist", "Rolle '{0}' nicht vorhanden"),
    1920: (
        "user name '{0}' conflicts with another user or role name",
        "Benutzername '{0}' steht in Konflikt mit einem anderen Benutzer- oder Rollennamen",
    ),
    1921: (
        "role name '{0}' conflicts with another user or role name",
        "Rollenname '{0}' steht in Konflikt mit einem anderen Benutzer- oder Rollennamen",
    ),
    1922: ("CASCADE must be specified to drop '{0}'", "CASCADE muss angegeben werden, um '{0}' zu löschen"),
    1927: (
        "cannot REVOKE privileges you did not grant",
        "Sie können keine Berechtigungen entziehen (REVOKE), die Sie nicht vergeben haben",
    ),
    1931: ("cannot grant {0} to a role", "{0} kann keiner Rolle zugeteilt werden"),
    1932: ("ADMIN option not granted for role '{0}'", "ADMIN-Option für Rolle '{0}' nicht zugeteilt"),
    1935: ("missing user or role name", "Benutzer- oder Rollenname fehlt"),
    1940: (
        "cannot drop a user that is currently connected",
        "Ein Benutzer, der gerade angemeldet ist, kann nicht gelöscht werden",
    ),
    1950: ("no privileges on tablespace '{0}'", "Keine Berechtigungen für Tablespace '{0}'"),
    1951: ("ROLE '{0}' not granted to '{1}'", "ROLE '{0}' wurde '{1}' nicht zugeteilt"),
    1952: ("system privileges not granted to '{0}'", "System-Berechtigungen wurden '{0}' nicht zugeteilt"),
    2019: ("connection description for remote database not found", "Verbindungsbeschreibung nicht gefunden"),
    2248: ("invalid option for ALTER SESSION", "Ungültige Option für ALTER SESSION"),
    2289: ("sequence does not exist", "Sequence ist nicht vorhanden"),
    2376: ("invalid or redundant resource", "Ressource ungültig oder redundant"),
    2377: ("invalid profile limit {0}", "Profilgrenzwert {0} ungültig"),
    2379: ("profile {0} already exists", "Profil {0} ist bereits vorhanden"),
    2380: ("profile {0} does not exist", "Profil {0} nicht vorhanden"),
    2382: (
        "profile {0} has users assigned, cannot drop without CASCADE",
        "Profil {0} sind Benutzer zugewiesen; Löschen nur mit CASCADE möglich",
    ),
    3001: ("unimplemented feature", "Nicht implementiertes Feature"),
    4021: (
        "timeout occurred while waiting to lock object {0}",
        "Timeout beim Warten auf das Sperren des Objekts {0}",
    ),
    4042: (
        "procedure, function, package, or package body does not exist",
        "Prozedur, Funktion, Package oder Package-Body nicht vorhanden",
    ),
    4063: ('view "{0}" has errors', 'View "{0}" enthält Fehler'),
    6502: ("PL/SQL: numeric or value error{0}", "PL/SQL: numerischer oder Wertefehler{0}"),
    6550: ("line 1, column {0}:\n{1}", "Zeile 1, Spalte {0}:\n{1}"),
    16000: (
        "database or pluggable database open for read-only access",
        "Datenbank oder integrierbare Datenbank für Lesezugriff geöffnet",
    ),
    22275: ("invalid LOB locator specified", "Ungültiger LOB-Positionsanzeiger angegeben"),
    24344: ("success with compilation error", "Erfolgreich mit Kompilierungsfehler"),
    28000: ("The account is locked.", "Der Account ist gesperrt."),
    28001: ("the password has expired", "Kennwort ist abgelaufen"),
    28003: (
        "password verification for the specified password failed\nORA-20001: Password length less than {0}",
        "Kennwort-Verifizierung für angegebenes Kennwort nicht erfolgreich\nORA-20001: Kennwort kürzer als {0}",
    ),
    28007: ("the password cannot be reused", "Das Kennwort kann nicht wiederverwendet werden"),
    28009: ("connection as SYS should be as SYSDBA or SYSOPER", "Anmeldung als SYS nur als SYSDBA oder SYSOPER"),
    65094: ("invalid local user or role name", "Ungültiger lokaler Benutzer- oder Rollenname"),
    65096: ("invalid common user or role name", "Ungültiger gemeinsamer Benutzer- oder Rollenname"),
    68: ("invalid value for parameter", "Ungültiger Parameterwert"),
    600: ("internal error code, arguments: [{0}]", "Interner Fehlercode, Argumente: [{0}]"),
    908: ("missing NULL keyword", "Schlüsselwort NULL fehlt"),
    910: ("specified length too long for its datatype", "Angegebene Länge für diesen Datentyp zu groß"),
    924: ("missing BY keyword", "Schlüsselwort BY fehlt"),
    927: ("missing equal sign", "Gleichheitszeichen fehlt"),
    1109: ("database not open", "Datenbank ist nicht geöffnet"),
    1424: (
        "missing or illegal character following the escape character",
        "Zeichen nach dem Escape-Zeichen fehlt oder ungültig",
    ),
    1780: ("string literal required", "Zeichenfolgenliteral erforderlich"),
    1785: (
        "ORDER BY item must be the number of a SELECT-list expression",
        "Element von ORDER BY muss die Nummer eines Ausdrucks der SELECT-Liste sein",
    ),
    1789: ("query block has incorrect number of result columns", "Abfrageblock hat falsche Anzahl von Ergebnisspalten"),
    1821: ("date format not recognized", "Datumsformat nicht erkannt"),
    1926: ("cannot GRANT to a role WITH GRANT OPTION", "GRANT an eine Rolle WITH GRANT OPTION nicht möglich"),
    1937: ("missing or invalid role name", "Rollenname fehlt oder ungültig"),
    2003: ("invalid USERENV parameter", "Ungültiger USERENV-Parameter"),
    2017: ("integer value required", "Ganzzahliger Wert erforderlich"),
    2065: ("illegal option for ALTER SYSTEM", "Unzulässige Option für ALTER SYSTEM"),
    2187: ("invalid quota specification", "Ungültige Quotenangabe"),
    2204: ("ALTER, INDEX and EXECUTE not allowed for views", "ALTER, INDEX und EXECUTE für Views nicht zulässig"),
    2224: ("EXECUTE privilege not allowed for tables", "EXECUTE-Berechtigung für Tabellen nicht zulässig"),
    2381: ("cannot drop PUBLIC_DEFAULT profile", "Profil PUBLIC_DEFAULT kann nicht gelöscht werden"),
    4043: ("object {0} does not exist", "Objekt {0} nicht vorhanden"),
    4050: ("invalid or missing procedure, function, or package name", "Prozedur-, Funktions- oder Packagename ungültig"),
    4079: ("invalid trigger specification", "Ungültige Trigger-Angabe"),
    4080: ("trigger '{0}' does not exist", "Trigger '{0}' nicht vorhanden"),
    7443: ("function {0} not found", "Funktion {0} nicht gefunden"),
    12705: ("Cannot access NLS data files or invalid environment specified", "Kein Zugriff auf NLS-Dateien"),
    12733: ("regular expression too long", "regulärer Ausdruck zu lang"),
    12899: ("value too large for column", "Wert zu groß für Spalte"),
    21000: ("error number argument to raise_application_error is out of range", "Fehlernummer außerhalb des Bereichs"),
    28014: ("cannot drop administrative user or role", "Administrativer Benutzer kann nicht gelöscht werden"),
    32038: (
        "number of WITH clause column names does not match number of elements in select list",
        "Falsche Spaltenzahl in WITH",
    ),
    32039: ("recursive WITH clause must have column alias list", "Rekursive WITH-Klausel braucht eine Spaltenliste"),
    32044: ("cycle detected while executing recursive WITH query", "Zyklus bei rekursiver WITH-Abfrage"),
    44003: ("invalid SQL name", "Ungültiger SQL-Name"),
    65011: ("Pluggable database does not exist.", "Integrierbare Datenbank nicht vorhanden."),
    65019: ("pluggable database already open", "Integrierbare Datenbank bereits geöffnet"),
}
