# Written by Hangar (role warehouse). Changes made here are lost at the next run.
"""What is true in the database now: asked in one question, answered in plain records."""

import json
from dataclasses import dataclass
from typing import Any

Right = tuple[str, str]
"""Who holds it, and which: ("reader", "USAGE"). PUBLIC is `public`."""

QUESTION = """
with rights(place, who, what) as (
    select 'database ' || datname, grantee, privilege_type
        from pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) where grantee <> datdba
    union all
    select 'schema ' || nspname, grantee, privilege_type
        from pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) where grantee <> nspowner
    union all
    select 'function ' || p.oid::regprocedure, grantee, privilege_type
        from pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner)))
        where grantee <> proowner and p.pronamespace = 'pg_catalog'::regnamespace
            and proname in ('lo_create', 'lo_creat', 'lo_from_bytea')
    union all
    select 'tables of ' || pg_get_userbyid(defaclrole) || coalesce(' in ' || nspname, ''), grantee, privilege_type
        from pg_default_acl left join pg_namespace n on n.oid = defaclnamespace,
            aclexplode(defaclacl) where defaclobjtype = 'r' and grantee <> defaclrole
)
select json_build_object(
    'roles', (select json_object_agg(rolname, json_build_object(
        'superuser', rolsuper, 'createrole', rolcreaterole, 'createdb', rolcreatedb, 'replication', rolreplication,
        'bypassrls', rolbypassrls, 'inherit', rolinherit, 'login', rolcanlogin, 'connections', rolconnlimit,
        'expires', rolvaliduntil is not null and rolvaliduntil <> 'infinity', 'stored', rolpassword,
        'settings', coalesce((select to_json(setconfig) from pg_db_role_setting
            where setrole = r.oid and setdatabase = 0), '[]'),
        'elsewhere', coalesce((select json_agg(datname order by datname) from pg_db_role_setting
            join pg_database d on d.oid = setdatabase where setrole = r.oid), '[]')
        )) from pg_authid r where rolname !~ '^pg_'),
    'members', coalesce((select json_agg(json_build_array(
        pg_get_userbyid(roleid), pg_get_userbyid(member), pg_get_userbyid(grantor)))
        from pg_auth_members), '[]'),
    'schemas', (select json_object_agg(nspname, pg_get_userbyid(nspowner)) from pg_namespace),
    'rights', (select json_agg(json_build_array(
        place, case who when 0 then 'public' else pg_get_userbyid(who) end, what)) from rights),
    'tables', coalesce((select json_agg(json_build_array(nspname, grantee)) from (
        select distinct nspname, pg_get_userbyid(grantee) grantee
            from pg_class c join pg_namespace n on n.oid = relnamespace
            cross join pg_authid a(grantee)
            where nspname !~ '^(pg_|information_schema$)' and relkind in ('r', 'p', 'v', 'm', 'f')
                and rolcanlogin and not rolsuper
                and not has_table_privilege(a.grantee, c.oid, 'select')) unreadable), '[]')
)
"""


@dataclass(frozen=True)
class Facts:
    """`rights` by place ("schema raw", "database warehouse", "tables of dbt in gold"), owners' own left out.
    `unreadable` names the schemas with tables that a role cannot select from: (schema, role).
    """

    roles: dict[str, dict[str, Any]]
    members: list[tuple[str, str, str]]
    schemas: dict[str, str]
    rights: dict[str, set[Right]]
    unreadable: set[tuple[str, str]]


def read(answer: str) -> Facts:
    """Take the answer to QUESTION apart."""
    found = json.loads(answer)
    rights: dict[str, set[Right]] = {}
    for place, who, what in found["rights"]:
        rights.setdefault(place, set()).add((who, what))
    return Facts(
        roles=found["roles"],
        members=[(role, member, grantor) for role, member, grantor in found["members"]],
        schemas=found["schemas"],
        rights=rights,
        unreadable={(schema, role) for schema, role in found["tables"]},
    )
