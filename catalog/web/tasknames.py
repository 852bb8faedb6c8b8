"""The names of our playbooks' tasks, so that they can be translated. A name that is not here is shown as it is written."""

from django.utils.translation import gettext, gettext_noop

NAMES = frozenset(
    {
        gettext_noop("Gathering Facts"),
        gettext_noop("End what an earlier attempt left working on the host"),
        gettext_noop("Keep the packages from making a database of their own"),
        gettext_noop("Put the PostgreSQL packages on the host"),
        gettext_noop("Put the packages on the host"),
        gettext_noop("Install the packages"),
        gettext_noop("Finish what an interrupted installation left"),
        gettext_noop("Fetch the package lists and install the packages"),
        gettext_noop("Fence the slice in"),
        gettext_noop("Create and start your PostgreSQL server"),
        gettext_noop("Create your database and its user"),
        gettext_noop("Make sure the database was created"),
        gettext_noop("Report the certificate of your server"),
        gettext_noop("Connect as you will, write a row, read it back and remove it"),
        gettext_noop("Make sure your database answers, and only to the right password"),
        gettext_noop("Keep the packages from starting a server of their own"),
        gettext_noop("Put the Redis packages on the host"),
        gettext_noop("Set up and start your Redis server"),
        gettext_noop("Make sure the server runs"),
        gettext_noop("Report what was built"),
        gettext_noop("Connect as you will, write a key, read it back and remove it"),
        gettext_noop("Make sure your server answers, and only to the right password"),
        gettext_noop("Open the port to the allowed networks only"),
        gettext_noop("Give your service its name"),
        gettext_noop("Find the service by its name"),
        gettext_noop("Ask the name server for your service"),
        gettext_noop("Take the name away before the service"),
        gettext_noop("Take the name of the service away"),
        gettext_noop("Ask whether the name is gone"),
        gettext_noop("Look whether the service's name is still known"),
        gettext_noop("Stop the service and remove everything it kept"),
        gettext_noop("Look for anything the service left behind"),
        gettext_noop("Report what was looked at and what was found"),
        gettext_noop("Take the PostgreSQL database off the host"),
        gettext_noop("Check the host against the residue list"),
        gettext_noop("Try the delivered database"),
        gettext_noop("Take the Redis server off the host"),
        gettext_noop("Try the delivered server"),
        gettext_noop("Stop the PostgreSQL database"),
        gettext_noop("Start the PostgreSQL database"),
        gettext_noop("Stop the Redis server"),
        gettext_noop("Start the Redis server"),
        gettext_noop("Stop the service so that it stays stopped, and keep its data"),
        gettext_noop("Start the service with the data it had"),
    }
)

_ANSIBLES_CHECK = "Validating arguments against arg spec"
"""How Ansible names the check of a role's arguments; what follows is the role's description."""


def translated(name: str) -> str:
    """The name of a task in the reader's language; what a role's name puts before it is left out."""
    _role, _colon, plain = name.rpartition(" : ")
    if plain.startswith(_ANSIBLES_CHECK):
        return gettext("Check what this step was given")
    return gettext(plain) if plain in NAMES else plain
