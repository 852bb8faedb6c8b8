from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('instances', '0001_initial_tables'),
    ]

    operations = [
        migrations.AddField(
            model_name='serviceinstance',
            name='data_class',
            field=models.CharField(choices=[('public', 'public data'), ('internal', 'internal data'), ('personal-credit', 'personal credit data'), ('unique-id', 'unique identifiers')], default='internal', help_text='the most protected data it holds', max_length=20),
        ),
    ]
