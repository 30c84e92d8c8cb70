"""Every JDBC URL form that a Glue connection may hold; no server is needed to read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dzgrant.catalog import jdbc
from dzgrant.errors import DzgrantError, Unsupported
from dzgrant.model import Source

RDS = "shop.cluster-abc123.us-east-1.rds.amazonaws.com"

# The Glue developer guide's own list ("JDBC connection URL"), with real values for its placeholders.
GLUE_GUIDE = {
    f"jdbc:mysql://{RDS}:3306/employee": ("mysql", RDS, 3306, "employee"),
    f"jdbc:postgresql://{RDS}:5432/employee": ("postgresql", RDS, 5432, "employee"),
    f"jdbc:oracle:thin://@{RDS}:1521/employee": ("oracle", RDS, 1521, "EMPLOYEE"),
    "jdbc:oracle:thin://@host:1521/service_name": ("oracle", "host", 1521, "SERVICE_NAME"),
    "jdbc:oracle:thin://@host:1521:orcl": ("oracle", "host", 1521, "SID:ORCL"),
    f"jdbc:sqlserver://{RDS}:1433;databaseName=employee": ("sqlserver", RDS, 1433, "employee"),
    "jdbc:sqlserver://server_name:1433;database=db_name": ("sqlserver", "server_name", 1433, "db_name"),
    "jdbc:sqlserver://server_name:1433;databaseName=db_name": ("sqlserver", "server_name", 1433, "db_name"),
    r"jdbc:sqlserver://server_name\instance:1433;databaseName=employee": ("sqlserver", "server_name", 1433, "employee"),
}
# Forms that AWS's own code reads (the sagemaker-studio library, AWS's sample), or that drivers document.
IN_THE_FIELD = {
    "jdbc:oracle:thin:@//db:1521/svc": ("oracle", "db", 1521, "SVC"),
    "jdbc:oracle:thin:@//db:1521:sid": ("oracle", "db", 1521, "SID:SID"),
    "jdbc:oracle:thin:@db:1521:sid": ("oracle", "db", 1521, "SID:SID"),
    "jdbc:oracle:thin:@db/svc": ("oracle", "db", 1521, "SVC"),
    "jdbc:oracle:oci:@db:1522/svc": ("oracle", "db", 1522, "SVC"),
    "jdbc:oracle:oci8:@db:1522/svc": ("oracle", "db", 1522, "SVC"),
    "jdbc:oracle:kprb:@//db:1521/svc": ("oracle", "db", 1521, "SVC"),
    "jdbc:oracle:thin:scott/tiger@//db:1521/svc": ("oracle", "db", 1521, "SVC"),
    "jdbc:oracle:thin:@tcps://db:2484/svc.example.com?wallet_location=/x": ("oracle", "db", 2484, "SVC.EXAMPLE.COM"),
    "jdbc:oracle:thin:@//db:1521/svc:dedicated/inst1": ("oracle", "db", 1521, "SVC"),
    "jdbc:oracle://db:1521/svc": ("oracle", "db", 1521, "SVC"),
    "jdbc:oracle:thin:@(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=Db.Example)(PORT=1522))"
    "(CONNECT_DATA=(SERVER=DEDICATED)(SERVICE_NAME=svc)))": ("oracle", "db.example", 1522, "SVC"),
    "jdbc:oracle:thin:@ ( description = ( address = (host = db) ) (connect_data = (sid = orcl)))": (
        "oracle",
        "db",
        1521,
        "SID:ORCL",
    ),
    "jdbc:oracle:thin:@//[2001:db8::1]:1521/svc": ("oracle", "2001:db8::1", 1521, "SVC"),
    "jdbc:sqlserver://db:1433/shop": ("sqlserver", "db", 1433, "shop"),
    "jdbc:sqlserver://db:1433/shop/": ("sqlserver", "db", 1433, "shop"),
    "jdbc:sqlserver://localhost:1433/%": ("sqlserver", "localhost", 1433, ""),
    "jdbc:sqlserver://db;databaseName=shop": ("sqlserver", "db", 1433, "shop"),
    "jdbc:sqlserver://db:1433;encrypt=true; DATABASE = my shop ;user=x": ("sqlserver", "db", 1433, "my shop"),
    "jdbc:sqlserver://db:1433;password={a;b}};database=no};databaseName={my;shop}}}": ("sqlserver", "db", 1433, "my;shop}"),
    "jdbc:sqlserver://;serverName=db;portNumber=1444;database=shop": ("sqlserver", "db", 1444, "shop"),
    r"jdbc:sqlserver://;serverName=db\inst;port=1444;database=shop": ("sqlserver", "db", 1444, "shop"),
    "jdbc:sqlserver://db;instanceName=inst:1444;database=shop": ("sqlserver", "db", 1444, "shop"),
    "jdbc:sqlserver://[::1]:1433;databaseName=shop": ("sqlserver", "::1", 1433, "shop"),
    "jdbc:sqlserver://;serverName=3ffe:8311:eeee:f70f:0:5eae:10.203.31.9;database=shop": (
        "sqlserver",
        "3ffe:8311:eeee:f70f:0:5eae:acb:1f09",
        1433,
        "shop",
    ),
    "jdbc:mysql://example.com/exampledatabase": ("mysql", "example.com", 3306, "exampledatabase"),
    "jdbc:mysql://db:3307/shop?useSSL=true&user=a@b": ("mysql", "db", 3307, "shop"),
    "jdbc:mysql://db:3306": ("mysql", "db", 3306, ""),
    "jdbc:mysql://db:3306/": ("mysql", "db", 3306, ""),
    "jdbc:mysql://user:p%40ss@db:3306/shop": ("mysql", "db", 3306, "shop"),
    "jdbc:mariadb://db/shop": ("mysql", "db", 3306, "shop"),
    "jdbc:mariadb:aurora://db/shop/": ("mysql", "db", 3306, "shop"),
    "jdbc:aws-wrapper:mysql://db/shop": ("mysql", "db", 3306, "shop"),
    "jdbc:postgresql://db/shop?sslmode=verify-full": ("postgresql", "db", 5432, "shop"),
    "jdbc:postgresql://db:5432/%": ("postgresql", "db", 5432, ""),
    "jdbc:postgresql://db/my%20shop%25": ("postgresql", "db", 5432, "my shop%"),
    "jdbc:postgresql://[2001:DB8:0:0::1]:5433/shop": ("postgresql", "2001:db8::1", 5433, "shop"),
    "  JDBC:PostgreSQL://DB.Example.COM.:5432/Shop  ": ("postgresql", "db.example.com", 5432, "Shop"),
}


@pytest.mark.parametrize(("url", "expected"), [*GLUE_GUIDE.items(), *IN_THE_FIELD.items()])
def test_each_form_names_its_source(url: str, expected: tuple[str, str, int, str]) -> None:
    engine, host, port, database = expected
    assert jdbc.parse(url) == Source(engine=engine, host=host, port=port, database=database)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "jdbc",
        "postgresql://db/shop",
        "jdbc:db2://db:50000/shop",
        "jdbc:mysql://db1,db2/shop",
        "jdbc:postgresql://db1:5432,db2:5432/shop",
        "jdbc:mysql:replication://db1/shop",
        "jdbc:mysql://address=(host=db)(port=1)/shop",
        "jdbc:postgresql:shop",
        "jdbc:postgresql:///shop",
        "jdbc:postgresql://db/a/b",
        "jdbc:postgresql://db/shop%00",
        "jdbc:postgresql://db/%FF",
        "jdbc:postgresql://db:0/shop",
        "jdbc:postgresql://db:65536/shop",
        "jdbc:postgresql://db:\u0665\u0664\u0663\u0662/shop",
        "jdbc:postgresql://[::g]/shop",
        "jdbc:postgresql://d b/shop",
        "jdbc:oracle:thin:@alias",
        "jdbc:oracle:thin:@db:1521",
        "jdbc:oracle:thin:@db:sid",
        "jdbc:oracle:thin:@//db:1521/%",
        "jdbc:oracle:thin:@(DESCRIPTION=(ADDRESS=(HOST=a)(PORT=1))(ADDRESS=(HOST=b)(PORT=1))(CONNECT_DATA=(SID=x)))",
        r"jdbc:sqlserver://db\instance;databaseName=shop",
        "jdbc:sqlserver://db;instanceName=inst;databaseName=shop",
        "jdbc:sqlserver://db;databaseName=shop;database=other",
        "jdbc:sqlserver://db;databaseName={shop",
    ],
)
def test_what_names_no_single_server_is_refused(url: str) -> None:
    with pytest.raises(Unsupported):
        jdbc.parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "jdbc:mysql://scott:tiger1@a,b/shop",
        "jdbc:mysql://scott:tig?er1@db:x/shop",
        "jdbc:postgresql://scott:ti/ger1@db/shop",
        "jdbc:postgresql://a,b/shop?user=scott&password=tiger1",
        "jdbc:postgresql:shop?password=tiger1",
        "jdbc:oracle:thin:scott/tiger1@alias",
        "jdbc:oracle:thin:scott/tiger1",
        "jdbc:sqlserver://db;password=tiger1;instanceName=i",
        "jdbc:sqlserver://db;password={p@ss;tiger1};instanceName=i",
        "jdbc:mysql://address=(host=h)(password=tiger1)/x",
        "scott/tiger1",
    ],
)
def test_a_refusal_shows_no_credentials(url: str) -> None:
    with pytest.raises(Unsupported) as refused:
        jdbc.parse(url)
    # A password that holds `?`, `/`, `;` or `@` must not leak in part either.
    assert not any(part in str(refused.value) for part in ("scott", "tig", "ger1", "ss;"))


def test_two_ways_to_write_one_server_are_one_source() -> None:
    one = jdbc.parse(f"jdbc:mysql://{RDS.upper()}/employee?useSSL=true")
    other = jdbc.source("MYSQL", RDS, "3306", "employee")
    assert one == other
    assert one.key == other.key


@pytest.mark.parametrize(
    ("word", "host", "port"), [("snowflake", "db", "1"), ("mysql", "", "1"), ("mysql", "db", "x"), ("", "db", "")]
)
def test_a_connection_without_a_usable_server_is_refused(word: str, host: str, port: str) -> None:
    with pytest.raises(Unsupported):
        jdbc.source(word, host, port, "shop")


PIECES = st.one_of(
    st.sampled_from("/:;@?=(){}[]%,.\\ \x00\né\ud800"),
    st.sampled_from(["jdbc:", "mysql", "postgresql", "oracle", "sqlserver", "mariadb", "thin", "aurora", "//", "db", "1521"]),
    st.sampled_from(["databaseName=", "serverName=", "(HOST=", "(SID=", "::1", "%00", "%25"]),
    st.text(max_size=5),
)
URLS = st.one_of(
    st.lists(PIECES, max_size=24).map("".join),
    st.tuples(
        st.sampled_from(["mysql", "postgresql", "oracle:thin", "oracle", "sqlserver", "mariadb"]), st.lists(PIECES, max_size=16)
    ).map(lambda parts: f"jdbc:{parts[0]}:{''.join(parts[1])}"),
)


@given(URLS)
def test_any_text_is_a_source_in_normal_form_or_an_error_of_dzgrant(url: str) -> None:
    try:
        found = jdbc.parse(url)
    except DzgrantError:
        return
    assert found.engine in jdbc.PORTS
    assert found.host
    assert found.host == found.host.lower()
    assert 0 < found.port < 65536
    assert found.database.isprintable()
    assert jdbc.source(found.engine, found.host, str(found.port), found.database) == found
