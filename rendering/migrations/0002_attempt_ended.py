from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rendering", "0001_initial")]

    operations = [
        migrations.AddIndex(
            model_name="renderattempt",
            index=models.Index(fields=["ended_at"], name="attempt_ended"),
        ),
    ]
