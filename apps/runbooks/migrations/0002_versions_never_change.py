"""A version that executions pin must never change, not even by a mistake in our own code or by hand."""

from django.db import migrations

FIELDS = (
    "id",
    "runbook_id",
    "number",
    "text",
    "content",
    "checksum",
    "note",
    "author_id",
    "author_name",
    "created_at",
)

POSTGRESQL = (
    """
    CREATE FUNCTION runbook_version_never_changes() RETURNS trigger AS $$
    BEGIN
        RAISE EXCEPTION 'A runbook version never changes: save a new one.' USING ERRCODE = 'restrict_violation';
    END $$ LANGUAGE plpgsql
    """,
    f"""
    CREATE TRIGGER runbook_version_never_changes BEFORE UPDATE OF {", ".join(f'"{name}"' for name in FIELDS)}
    ON runbooks_runbookversion FOR EACH ROW EXECUTE FUNCTION runbook_version_never_changes()
    """,
)
SQLITE = (
    f"""
    CREATE TRIGGER runbook_version_never_changes BEFORE UPDATE OF {", ".join(f'"{name}"' for name in FIELDS)}
    ON runbooks_runbookversion BEGIN SELECT RAISE(ABORT, 'A runbook version never changes: save a new one.'); END
    """,
)


def forbid(apps, schema_editor):
    for statement in POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement)


def allow(apps, schema_editor):
    on = " ON runbooks_runbookversion" if schema_editor.connection.vendor == "postgresql" else ""
    schema_editor.execute(f"DROP TRIGGER IF EXISTS runbook_version_never_changes{on}")
    if on:
        schema_editor.execute("DROP FUNCTION IF EXISTS runbook_version_never_changes()")


class Migration(migrations.Migration):

    dependencies = [("runbooks", "0001_initial")]

    operations = [migrations.RunPython(forbid, allow)]
