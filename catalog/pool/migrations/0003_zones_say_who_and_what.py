import catalog.common.data
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pool', '0002_hosts_shared_by_affiliates'),
        ('tenancy', '0001_initial_tables'),
    ]

    operations = [
        migrations.AddField(
            model_name='zone',
            name='admission',
            field=models.CharField(choices=[('all', 'all affiliates'), ('chosen', 'chosen affiliates')], default='all', help_text='of shared and external zones', max_length=10),
        ),
        migrations.AddField(
            model_name='zone',
            name='admitted',
            field=models.ManyToManyField(blank=True, help_text='the chosen ones; in a local zone its guests', related_name='zones_as_guest', to='tenancy.tenant'),
        ),
        migrations.AddField(
            model_name='zone',
            name='closed_at',
            field=models.DateTimeField(blank=True, help_text='nothing new is placed here since then', null=True),
        ),
        migrations.AddField(
            model_name='zone',
            name='closed_reason',
            field=models.CharField(blank=True, help_text='shown to people', max_length=300),
        ),
        migrations.AddField(
            model_name='zone',
            name='data_classes',
            field=models.JSONField(default=catalog.common.data.ordinary, help_text='kinds of data its services may hold', validators=[catalog.common.data.check_data_classes]),
        ),
        migrations.AddField(
            model_name='zone',
            name='protected_outside',
            field=models.BooleanField(default=False, help_text='an external zone may hold protected data; somebody answers for that'),
        ),
        migrations.AddField(
            model_name='zone',
            name='worker_seen_at',
            field=models.DateTimeField(blank=True, help_text='last sign of life of one of its workers', null=True),
        ),
        migrations.AddField(
            model_name='zone',
            name='worker_state',
            field=models.CharField(choices=[('unknown', 'not looked up yet'), ('live', 'at work'), ('silent', 'silent')], default='unknown', max_length=10),
        ),
        migrations.AddConstraint(
            model_name='zone',
            constraint=models.CheckConstraint(condition=models.Q(('closed_at__isnull', True), models.Q(('closed_reason', ''), _negated=True), _connector='OR'), name='zone_closed_says_why', violation_error_message='A closed zone says why.'),
        ),
    ]
