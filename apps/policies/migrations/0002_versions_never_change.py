"""A version that incidents pin must never change, not even by a mistake in our own code or by hand."""

from django.db import migrations

FIELDS = ("id", "pack_id", "number", "text", "document", "checksum", "note", "created_at")

POSTGRESQL = (
    """
    CREATE FUNCTION policy_version_never_changes() RETURNS trigger AS $$
    BEGIN
        RAISE EXCEPTION 'A policy version never changes: import a new one.' USING ERRCODE = 'restrict_violation';
    END $$ LANGUAGE plpgsql
    """,
    f"""
    CREATE TRIGGER policy_version_never_changes BEFORE UPDATE OF {", ".join(f'"{name}"' for name in FIELDS)}
    ON policies_policyversion FOR EACH ROW EXECUTE FUNCTION policy_version_never_changes()
    """,
)
SQLITE = (
    f"""
    CREATE TRIGGER policy_version_never_changes BEFORE UPDATE OF {", ".join(f'"{name}"' for name in FIELDS)}
    ON policies_policyversion BEGIN SELECT RAISE(ABORT, 'A policy version never changes: import a new one.'); END
    """,
)


def forbid(apps, schema_editor):
    """`author_id` may become NULL when the account goes; everything else is written once."""
    for statement in POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement)


def allow(apps, schema_editor):
    on = " ON policies_policyversion" if schema_editor.connection.vendor == "postgresql" else ""
    schema_editor.execute(f"DROP TRIGGER IF EXISTS policy_version_never_changes{on}")
    if on:
        schema_editor.execute("DROP FUNCTION IF EXISTS policy_version_never_changes()")


class Migration(migrations.Migration):

    dependencies = [("policies", "0001_initial")]

    operations = [migrations.RunPython(forbid, allow)]
