import catalog.common.data
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('offerings', '0002_plans_say_isolation_and_roles'),
    ]

    operations = [
        migrations.AddField(
            model_name='plan',
            name='data_classes',
            field=models.JSONField(blank=True, default=list, help_text='kinds of data it may hold, among those of the manifest; empty: all of them', validators=[catalog.common.data.check_data_classes]),
        ),
    ]
