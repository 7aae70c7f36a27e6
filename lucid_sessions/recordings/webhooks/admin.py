"""Webhook endpoints in Django's admin: made, disabled, given new secrets, tried. Begin with the list."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest

from lucid_sessions.access.admin import tell
from lucid_sessions.access.models import WebhookEndpoint
from lucid_sessions.access.roles import administers
from lucid_sessions.errors import LucidError

from .. import events
from . import endpoints

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[WebhookEndpoint]
    ModelForm = forms.ModelForm[WebhookEndpoint]
else:
    ModelAdmin = admin.ModelAdmin
    ModelForm = forms.ModelForm


class EndpointForm(ModelForm):
    """What is chosen when an endpoint is made."""

    events = forms.MultipleChoiceField(
        choices=[(kind, kind) for kind in events.KINDS],
        required=False,
        help_text="The kinds that it is told of; none: all of them.",
    )

    class Meta:
        model = WebhookEndpoint
        fields = ("url", "description", "events")

    def clean_url(self) -> str:
        """The address, if anything may be sent there, and there is room for one more."""
        url: str = self.cleaned_data["url"]
        try:
            endpoints.require_open(url)
            endpoints.require_room()
        except LucidError as error:
            raise forms.ValidationError(str(error)) from error
        return url


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ModelAdmin):
    """Endpoints. Secrets are shown once, when they are made; nobody can read them later."""

    form = EndpointForm
    list_display = ("url", "description", "enabled", "failures", "reason", "created_by", "created_at")
    ordering = ("-created_at", "-id")
    show_full_result_count = False
    actions = ("enable", "disable", "new_secret", "ping")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return administers(request.user)

    def has_view_permission(self, request: HttpRequest, _obj: Any = None) -> bool:
        return administers(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return administers(request.user)

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, _obj: Any = None) -> bool:
        return administers(request.user)

    def save_model(self, request: HttpRequest, obj: WebhookEndpoint, _form: Any, _change: bool) -> None:
        """Make it, and show its secret."""
        by = request.user.get_username()
        row, secret = endpoints.create(obj.url, kinds=obj.events, description=obj.description, by=by)
        obj.pk = row.pk
        _tell(request, "created", row)
        self.message_user(request, f"The secret, shown this once: {secret}", messages.WARNING)

    def delete_model(self, request: HttpRequest, obj: WebhookEndpoint) -> None:
        """It and its log are gone."""
        _tell(request, "deleted", obj)
        endpoints.delete(obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        """They and their logs are gone."""
        for row in queryset:
            self.delete_model(request, row)

    @admin.action(description="Enable", permissions=["add"])
    def enable(self, request: HttpRequest, rows: Any) -> None:
        """They are told again."""
        self._each(request, rows, "changed", lambda row: f"{endpoints.change(row, enabled=True)} is enabled.")

    @admin.action(description="Disable", permissions=["add"])
    def disable(self, request: HttpRequest, rows: Any) -> None:
        """They are told nothing, and nothing is kept for them."""
        self._each(
            request, rows, "changed", lambda row: f"{endpoints.change(row, enabled=False)} is disabled."
        )

    @admin.action(description="New secret", permissions=["add"])
    def new_secret(self, request: HttpRequest, rows: Any) -> None:
        """Each gets a new secret, shown once."""
        said = "{}: the new secret, shown this once: {}"
        self._each(request, rows, "secret-rotated", lambda row: said.format(row, endpoints.rotate(row)))

    @admin.action(description="Send a test event", permissions=["add"])
    def ping(self, request: HttpRequest, rows: Any) -> None:
        """A test event is on its way to each."""
        by = request.user.get_username()
        said = "A test event goes to {}: {}."
        self._each(request, rows, "pinged", lambda row: said.format(row, endpoints.ping(row, by=by).pk))

    def _each(
        self, request: HttpRequest, rows: Any, done: str, act: Callable[[WebhookEndpoint], str]
    ) -> None:
        for row in rows:
            try:
                self.message_user(request, act(row), messages.WARNING)
                _tell(request, done, row)
            except LucidError as error:
                self.message_user(request, f"{row}: {error}", messages.ERROR)


def _tell(request: HttpRequest, done: str, row: WebhookEndpoint) -> None:
    """The event that it would have over the API: who is told of what, and where."""
    facts = {"webhook": str(row.pk), "url": row.url, "events": row.events, "enabled": row.enabled}
    tell(request, f"webhook.{done}", item=str(row.pk), facts=facts)
