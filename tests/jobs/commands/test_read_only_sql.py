"""A query only reads: what a statement may begin with, and what may not hide inside."""

from __future__ import annotations

import pytest

from lakesift.jobs.commands.sql import written_by

READS = [
    "select 1",
    "  \n(select * from t) union all (select * from u)",
    "-- delete from t\nselect 1",
    "/* insert into t */ SELECT 'delete from t', \"update t set a = 1\", `insert into`",
    "with a as (select 'merge into t') select * from a",
    "WITH a AS (SELECT update, insert, delete, x FROM t) SELECT * FROM a",
    r"with a as (select 'it\'s, insert into t') select * from a",
    r"with a as (select r'\', ' insert into t ') select * from a",
    "from t select id",
    "values (1), (2)",
    "table t",
    "show tables",
    "describe history delta.`/x`",
    "desc t",
    "explain insert into t select 1",
]
WRITES = {
    "delete from t": "DELETE",
    "DELETE\nFROM t": "DELETE",
    "/* select */ drop table t": "DROP",
    "-- select\rdelete from t": "DELETE",
    "insert into t select 1": "INSERT",
    "with a as (select 1) insert into t select * from a": "INSERT",
    "with a as (select 1) insert /* here */ overwrite t select * from a": "INSERT",
    r"with a as (select r'\' as b) insert into t select * from a -- '": "INSERT",
    "from a insert into t select *": "INSERT",
    "with a as (select 1) merge into t using a on true when matched then delete": "MERGE",
    "with a as (select 1) update t set x = 1": "UPDATE",
    "with a as (select 1) delete from t": "DELETE",
    "merge into t using u on t.id = u.id when matched then delete": "MERGE",
    "optimize t": "OPTIMIZE",
    "vacuum t": "VACUUM",
    "set spark.sql.ansi.enabled = false": "SET",
    "execute immediate 'delete from t'": "EXECUTE",
    "begin delete from t; end": "BEGIN",
    "call x()": "CALL",
    "cache table t": "CACHE",
    "create or replace temp view v as select 1": "CREATE",
    "restore table t to version as of 1": "RESTORE",
    "select java_method('java.lang.System', 'setProperty', 'a', 'b')": "JAVA_METHOD",
    "select reflect ('java.lang.System', 'exit', 1)": "REFLECT",
    "": "",
}


@pytest.mark.parametrize("sql", READS)
def test_what_only_reads_is_let_through(sql: str) -> None:
    assert written_by(sql) is None


@pytest.mark.parametrize("sql", WRITES)
def test_what_may_write_is_named(sql: str) -> None:
    assert str(written_by(sql)).upper() == WRITES[sql]
