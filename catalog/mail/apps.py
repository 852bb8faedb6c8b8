from django.apps import AppConfig


class MailConfig(AppConfig):
    name = "catalog.mail"
    label = "mail"
