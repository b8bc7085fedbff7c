from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('flags', '0004_disabled_before_a_kill'),
    ]

    operations = [
        migrations.AddField(
            model_name='allocationepoch',
            name='about_key',
            field=models.CharField(blank=True, default='', help_text="and its key, for example an incident's id", max_length=64),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='allocationepoch',
            name='about_kind',
            field=models.CharField(blank=True, default='', help_text='why a variant was killed: the kind of a subject', max_length=40),
            preserve_default=False,
        ),
    ]
