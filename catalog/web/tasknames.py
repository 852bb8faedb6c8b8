"""The names of tasks in the reader's language: those of the house's playbooks from here, those of a service from its manifest.

A name that is in neither is shown as it is written.
"""

from collections.abc import Mapping

from django.utils.translation import get_language, gettext, gettext_noop

NAMES = frozenset(
    {
        gettext_noop("Gathering Facts"),
        gettext_noop("Ask the name server for your service"),
        gettext_noop("Give your service its name"),
        gettext_noop("Take the name of the service away"),
        gettext_noop("Look whether the service's name is still known"),
        gettext_noop("End what an earlier attempt left working on the host"),
        gettext_noop("Put the packages on the host"),
        gettext_noop("Install the packages"),
        gettext_noop("Finish what an interrupted installation left"),
        gettext_noop("Fetch the package lists and install the packages"),
        gettext_noop("Open the port to the allowed networks only"),
        gettext_noop("Fence the slice in"),
        gettext_noop("Keep the packages from starting a web server of their own"),
        gettext_noop("Put the web server on the host"),
        gettext_noop("Fetch what you serve and unpack it"),
        gettext_noop("Make sure that it was fetched"),
        gettext_noop("Ask for your pages as their readers will"),
        gettext_noop("Make sure your service answers, and keeps its page for the right password"),
        gettext_noop("Stop the service and remove everything it kept"),
        gettext_noop("Look for anything the service left behind"),
        gettext_noop("Report what was looked at and what was found"),
        gettext_noop("Stop the service and start it with the data it had"),
        gettext_noop("Start the service with the data it had"),
        gettext_noop("Stop the service so that it stays stopped, and keep its data"),
        gettext_noop("Take the name away before the service"),
        gettext_noop("Take the service off the host"),
        gettext_noop("Ask whether the name is gone"),
        gettext_noop("Check the host against the residue list"),
        gettext_noop("Restart the service"),
        gettext_noop("Start the service"),
        gettext_noop("Stop the service"),
        gettext_noop("Look at the service"),
        gettext_noop("Read the state of the service, its log and its use of the host"),
        gettext_noop("Report what was read"),
    }
)

_ANSIBLES_CHECK = "Validating arguments against arg spec"
"""How Ansible names the check of a role's arguments; what follows is the role's description."""


def translated(name: str, in_korean: Mapping[str, str]) -> str:
    """The name of a task in the reader's language; what a role's name puts before it is left out.

    :param in_korean: names of the service's own tasks → the same in Korean.
    """
    _role, _colon, plain = name.rpartition(" : ")
    if plain.startswith(_ANSIBLES_CHECK):
        return gettext("Check what this step was given")
    if plain in in_korean and get_language() == "ko":
        return in_korean[plain]
    return gettext(plain) if plain in NAMES else plain
