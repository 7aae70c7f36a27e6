"""Accounts, browser sessions and revoked tokens in the admin."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from . import api_tokens, audit, reasons
from .audit import DENIED, DONE, FAILED, REFUSED
from .models import ApiToken, AuditEvent, RevokedToken, User, WebhookDelivery, WebSession
from .roles import administers

# What an account may, and what a person's password is good for.
MIGHT = ("is_staff", "is_superuser", "groups", "user_permissions")
WRITTEN_DOWN = ("username", "is_active", *MIGHT)


def tell(request: HttpRequest, deed: str, *, outcome: str = DONE, **about: Any) -> None:
    """Write the event of a deed to one row: that of the page knows what was ticked, and no values."""
    audit.record(deed, actor=audit.actor_of(request), outcome=outcome, **about)


@admin.register(User)
class AccountAdmin(UserAdmin):
    """People and machines that sign in; roles are groups.

    Who was given accounts to keep, and is no superuser, makes nobody mightier, himself neither, and has no
    hand on the accounts of superusers and administrators: whose password one sets, one can be.
    """

    list_display = ("username", "email", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser")
    show_full_result_count = False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What accounts may is for superusers to say."""
        fixed = super().get_readonly_fields(request, obj)
        return fixed if request.user.is_superuser else (*fixed, *MIGHT)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and _is_in_reach(request.user, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and _is_in_reach(request.user, obj)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save, and write down who may what from now on."""
        super().save_related(request, form, formsets, change)
        changed = [
            {"field": name, "from": _brief(form.initial.get(name)), "to": _brief(form.cleaned_data[name])}
            for name in form.changed_data
            if name in WRITTEN_DOWN
        ]
        facts = {"account": form.instance.get_username(), "changed": changed}
        tell(
            request, "account.changed" if change else "account.made", item=str(form.instance.pk), facts=facts
        )

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What goes with the accounts: their tokens, too, which otherwise nobody deletes by hand."""
        shown, counts, missing, protected = super().get_deleted_objects(objs, request)
        return shown, counts, missing - {ApiToken._meta.verbose_name}, protected

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        """Delete, and write down whose account that was."""
        facts = {"account": obj.get_username()}
        tell(request, "account.deleted", item=str(obj.pk), facts=facts)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        """Each as if it were deleted alone."""
        for account in queryset:
            self.delete_model(request, account)


def _brief(value: Any) -> Any:
    return value if value is None or isinstance(value, str | bool) else sorted(map(str, value))


def _is_in_reach(user: Any, account: Any) -> bool:
    return bool(user.is_superuser or account is None or not administers(account))


admin.site.site_header = admin.site.site_title = "Lucid Sessions"
admin.site.index_title = "Administration"

OUTCOMES = (DONE, REFUSED, DENIED, FAILED)

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin


class Listed(ModelAdmin):
    """Rows that are only looked at: never added, changed or deleted by hand."""

    show_full_result_count = False

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """What is not shown is not to be had by asking, in the address, what it begins with."""
        hidden = lookup.partition("__")[0] in (self.exclude or ())
        return not hidden and super().lookup_allowed(lookup, value, request)

    def is_unexplained(self, request: HttpRequest, deed: str, *, name: str, **about: Any) -> bool:
        """True where the policy asks why and this user has not said so: the page and the audit tell of it."""
        if not reasons.is_missing(deed, user=request.user, session=about["session"], given=""):
            return False
        tell(request, deed, outcome=REFUSED, **about)
        self.message_user(request, f"{name}: the policy asks why. The console takes it.", messages.ERROR)
        return True


@admin.register(WebSession)
class WebSessionAdmin(Listed):
    """Signed-in browsers."""

    # The key is the browser's credential: neither shown, nor in a link, nor in a form.
    list_display = ("shortened", "expire_date")
    list_display_links = None
    actions = None
    ordering = ("-expire_date",)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    @admin.display(description="browser session")
    def shortened(self, session: WebSession) -> str:
        """Enough of the key to tell rows apart, too little to use it."""
        return f"{session.session_key[:6]}…"


@admin.register(RevokedToken)
class RevokedTokenAdmin(Listed):
    """Refresh tokens, and families of them, that may not be used again."""

    list_display = ("jti", "expires_at")
    ordering = ("-expires_at",)


@admin.register(ApiToken)
class ApiTokenAdmin(Listed):
    """Machines' tokens, for those who administer to end. Of their text only a hash exists."""

    list_display = ("name", "owner", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")
    exclude = ("digest",)
    ordering = ("-created_at", "-id")
    actions = ("revoke",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """May this user see everybody's tokens?"""
        return administers(request.user) or super().has_view_permission(request, obj)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_administer_permission(self, request: HttpRequest) -> bool:
        """May this user end what is another's?"""
        return administers(request.user)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[ApiToken]":
        """The tokens with their users, in two queries: rows are not joined."""
        rows: QuerySet[ApiToken] = super().get_queryset(request)
        return rows.prefetch_related("user")

    @admin.display(description="user")
    def owner(self, token: ApiToken) -> str:
        """The name of who made it. The column itself would bring a join."""
        return token.user.get_username()

    @admin.action(description="Revoke", permissions=["administer"])
    def revoke(self, request: HttpRequest, rows: "QuerySet[ApiToken]") -> None:
        """Each is good no more: one that got into the wrong hands is ended without its user."""
        for token in rows:
            api_tokens.revoke(token)
            facts = {"token": str(token.pk), "name": token.name, "of": token.user.get_username()}
            tell(request, "api-token.revoked", item=str(token.pk), facts=facts)
            self.log_change(request, token, "revoked")
            self.message_user(request, f"The token {token} of {token.user} is revoked.", messages.SUCCESS)


class Outcome(admin.SimpleListFilter):
    """What came of it. Named here: asking the table which there are would read all of it."""

    title = parameter_name = "outcome"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in OUTCOMES]

    def queryset(self, _request: HttpRequest, rows: "QuerySet[Any]") -> "QuerySet[Any]":
        return rows.filter(outcome=self.value()) if self.value() in OUTCOMES else rows


@admin.register(AuditEvent)
class AuditEventAdmin(Listed):
    """What was done, by whom, from where, why. Nobody changes it here."""

    list_display = ("when", "action", "outcome", "username", "address", "session", "why", "batch")
    exclude = ("salt",)
    ordering = ("-at_us", "-id")
    list_filter = (Outcome,)
    # Shows the search box; what is searched for is in `get_search_results`.
    search_fields = ("username",)
    search_help_text = "A whole user name, an action such as session.played, or the id of a session."

    def get_search_results(
        self, _request: HttpRequest, rows: "QuerySet[Any]", term: str
    ) -> tuple["QuerySet[Any]", bool]:
        """Exact matches only, each one look-up in an index: a part of a name would read every row."""
        term = term.strip()
        if not term:
            return rows, False
        return rows.filter(Q(username=term) | Q(action=term) | Q(session=term.lower())), False

    @admin.display(description="when")
    def when(self, event: AuditEvent) -> datetime:
        """The time of the event."""
        return datetime.fromtimestamp(event.at_us / 1_000_000, UTC)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(Listed):
    """What was sent to webhook endpoints, and what came of it."""

    list_display = ("created_at", "kind", "endpoint", "status", "attempts", "answer", "reason")
    ordering = ("-created_at", "-id")
