"""Signing in and out, and what a person likes: language and theme."""

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from catalog.common import clock
from catalog.people import sessions
from catalog.tenancy.models import User
from catalog.tenancy.policy import actor_for

THEMES = ("auto", "light", "dark")
THEME_COOKIE = "theme"
_YEAR = 365 * 86_400
_LANGUAGES = tuple(code for code, _name in settings.LANGUAGES)


def _keep(response: HttpResponse, name: str, value: str, *, httponly: bool) -> None:
    response.set_cookie(
        name, value, max_age=_YEAR, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE, httponly=httponly
    )


class SignIn(LoginView):
    """The sign-in page. A language chosen there is kept with the person; otherwise theirs is taken up."""

    template_name = "web/login.html"
    redirect_authenticated_user = True

    def form_valid(self, form: object) -> HttpResponse:
        response = super().form_valid(form)  # type: ignore[arg-type]  # the stubs want AuthenticationForm, which it is
        user = self.request.user
        assert isinstance(user, User)
        sessions.came_in(user, source=self.request.META.get("REMOTE_ADDR", ""), via="portal", now=clock.now())
        chosen = self.request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME)
        if chosen in _LANGUAGES and chosen != user.language:
            user.language = chosen
            user.save(update_fields=["language"])
        _keep(response, settings.LANGUAGE_COOKIE_NAME, user.language, httponly=True)
        return response


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    if isinstance(request.user, User):
        now = clock.now()
        sessions.went(
            actor_for(request.user, now=now, source=request.META.get("REMOTE_ADDR", "")), via="portal", now=now
        )
    logout(request)
    return redirect(settings.LOGOUT_REDIRECT_URL)


def _back(request: HttpRequest) -> HttpResponseRedirect:
    target = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return HttpResponseRedirect(target if safe else "/")


@require_POST
def choose_language(request: HttpRequest) -> HttpResponse:
    """Read the portal in another language from now on. An unknown language changes nothing."""
    response = _back(request)
    wanted = request.POST.get("language")
    if wanted in _LANGUAGES:
        if isinstance(request.user, User):
            request.user.language = wanted
            request.user.save(update_fields=["language"])
        _keep(response, settings.LANGUAGE_COOKIE_NAME, wanted, httponly=True)
    return response


@require_POST
def choose_theme(request: HttpRequest) -> HttpResponse:
    """Light, dark, or as the device says. An unknown theme changes nothing."""
    response = _back(request)
    wanted = request.POST.get("theme")
    if wanted in THEMES:
        # The page's first script reads it, so that no light page flashes in the dark.
        _keep(response, THEME_COOKIE, wanted, httponly=False)
    return response
