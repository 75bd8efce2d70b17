"""Django's admin for the plant, its people and its machines' keys. What was seen and said can be looked at only."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from aivd_web.kernel.errors import Unprocessable
from inspections.models import (
    ApiToken,
    ClassThreshold,
    Decision,
    DefectClass,
    Description,
    Detection,
    Event,
    Frame,
    Line,
    Membership,
    PolicyChange,
    Review,
    Site,
    Station,
    Step,
)
from inspections.services import lines, tokens, vocabulary
from inspections.services.vocabulary import ClassName
from scheduling.services import policies

admin.site.site_header = admin.site.site_title = "AIVD"
admin.site.index_title = "Administration"


class LookOnly:
    """Rows that are written once, by a service; here they are read."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


# -- plant ------------------------------------------------------------------------------------------


@admin.register(Site)
class SiteAdmin(admin.ModelAdmin):
    list_display = ["name", "timezone"]
    search_fields = ["name"]


class StationInline(admin.TabularInline):
    model = Station
    fields = ["name", "product", "bit_depth", "deadline_ms", "min_score", "describe", "max_regions"]
    extra = 0
    show_change_link = True


class DefectClassForm(forms.ModelForm):
    """A class that is typed here is held to the rule of one that comes by REST."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        # What stands there from before does not keep the rest of the page from being saved.
        if "name" in cleaned and {"name", "title"} & set(self.changed_data):
            try:
                (entry,) = vocabulary.checked([ClassName(cleaned["name"], cleaned.get("title", ""))])
            except Unprocessable as error:
                raise forms.ValidationError(f"{error.detail} {error.hint}".strip()) from None
            cleaned |= {"name": entry.name, "title": entry.title}
        return cleaned


class DefectClassInline(admin.TabularInline):
    model = DefectClass
    form = DefectClassForm
    fields = ["position", "name", "title", "colour_index"]
    extra = 0


class MembershipInline(admin.TabularInline):
    model = Membership
    fields = ["user", "role"]
    autocomplete_fields = ["user"]
    extra = 0


class PolicyChangeInline(LookOnly, admin.TabularInline):
    model = PolicyChange
    fields = ["before", "after", "by", "at"]
    readonly_fields = ["at"]
    extra = 0


class LineForm(forms.ModelForm):
    """Each policy is offered with its sentence."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "policy" in self.fields:
            choices = [(each["name"], f"{each['name']}: {each['about']}") for each in policies.described()]
            self.fields["policy"].widget = forms.Select(choices=choices)


@admin.register(Line)
class LineAdmin(admin.ModelAdmin):
    form = LineForm
    list_display = ["name", "site", "policy", "stations_count"]
    list_filter = ["site", "policy"]
    search_fields = ["name", "site__name"]
    inlines = [StationInline, DefectClassInline, MembershipInline, PolicyChangeInline]

    def save_model(self, request: HttpRequest, obj: Line, form: Any, change: bool) -> None:
        """Another policy goes by the service, which keeps who chose it and tells those who watch."""
        chosen = obj.policy
        if change and "policy" in form.changed_data:
            obj.policy = form.initial["policy"]
        super().save_model(request, obj, form, change)
        if change:
            lines.set_policy(line=obj, policy=chosen, by=request.user.get_username())

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Line]":
        return super().get_queryset(request).select_related("site").annotate(count=Count("stations"))

    @admin.display(description="stations", ordering="count")
    def stations_count(self, line: Any) -> int:
        return int(line.count)


class ThresholdInline(admin.TabularInline):
    model = ClassThreshold
    fields = ["defect_class", "min_score"]
    extra = 0

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Only the vocabulary of the station's own line."""
        station_id = request.resolver_match.kwargs.get("object_id") if request.resolver_match else None
        if db_field.name == "defect_class" and station_id:
            kwargs["queryset"] = DefectClass.objects.filter(line__stations=station_id)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


@admin.register(Station)
class StationAdmin(admin.ModelAdmin):
    list_display = ["name", "line", "product", "deadline_ms", "min_score", "describe", "max_regions", "has_template"]
    list_filter = ["line__site", "line", "describe"]
    list_select_related = ["line__site"]
    search_fields = ["name", "line__name"]
    readonly_fields = ["template_sha256"]
    inlines = [ThresholdInline]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """A station stays on its line: frames and decisions keep the line that they were made on."""
        return [*self.readonly_fields, *(["line"] if obj else [])]

    @admin.display(boolean=True, description="template")
    def has_template(self, station: Station) -> bool:
        return bool(station.template_sha256)


# -- access -----------------------------------------------------------------------------------------


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin):
    list_display = ["user", "role", "line"]
    list_filter = ["role", "line"]
    list_select_related = ["user", "line__site"]
    autocomplete_fields = ["user", "line"]
    search_fields = ["user__username"]


class NewTokenForm(forms.ModelForm):
    scopes = forms.MultipleChoiceField(
        choices=ApiToken.Scope.choices, widget=forms.CheckboxSelectMultiple, initial=["ingest"]
    )

    class Meta:
        model = ApiToken
        fields = ["name", "line", "station", "scopes", "expires_at"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        line, station = cleaned.get("line"), cleaned.get("station")
        if line and station and station.line_id != line.pk:
            self.add_error("station", "This station is not on that line.")
        return cleaned


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """A token is made here and shown once; afterwards it can only be revoked."""

    form = NewTokenForm
    list_display = ["name", "prefix", "line", "station", "scope_words", "expires_at", "state", "created_by"]
    list_filter = ["line", "revoked_at"]
    list_select_related = ["line__site", "station__line__site", "created_by"]
    search_fields = ["name", "prefix"]
    actions = ["revoke"]

    @admin.display(description="scopes")
    def scope_words(self, token: ApiToken) -> str:
        return ", ".join(token.scopes)

    @admin.display(description="state")
    def state(self, token: ApiToken) -> str:
        if token.revoked_at:
            return "revoked"
        return "usable" if token.is_usable else "expired"

    @admin.action(description="Revoke the chosen tokens", permissions=["delete"])
    def revoke(self, request: HttpRequest, chosen: "QuerySet[ApiToken]") -> None:
        for token in chosen:
            tokens.revoke(token=token)
        self.message_user(request, f"Revoked: {', '.join(str(token) for token in chosen)}.")

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        said = form.cleaned_data
        issued = tokens.issue(
            name=said["name"],
            line=said["line"],
            station=said["station"],
            scopes=said["scopes"],
            by=request.user,  # type: ignore[arg-type]  # the admin is for people who are signed in
            expires_at=said["expires_at"],
        )
        obj.pk, obj.prefix, obj.digest = issued.token.pk, issued.token.prefix, issued.token.digest
        obj._state.adding = False
        self.message_user(request, f"Copy this token now, it cannot be shown again: {issued.text}", messages.WARNING)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Gives the right to revoke; rows stay, so that it is known who sent what."""
        return obj is None and super().has_delete_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions


# -- what was seen and said -------------------------------------------------------------------------


class StepInline(LookOnly, admin.TabularInline):
    model = Step
    fields = ["kind", "state", "attempts", "node", "lease_until", "error_code", "error_detail"]
    extra = 0


class DetectionInline(LookOnly, admin.TabularInline):
    model = Detection
    fields = ["index", "defect_class", "score", "counts", "served_model", "node"]
    extra = 0


class ReviewInline(LookOnly, admin.TabularInline):
    model = Review
    fields = ["verdict", "reviewer", "note", "created_at"]
    readonly_fields = ["created_at"]
    extra = 0


class UndecidedFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("undecided", "undecided"), ("overdue", "overdue"), ("open", "decided, not complete")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "undecided":
            return queryset.filter(decided_at__isnull=True)
        if self.value() == "overdue":
            return queryset.overdue(Now())
        if self.value() == "open":
            return queryset.filter(decided_at__isnull=False, completed_at__isnull=True)
        return queryset


@admin.register(Frame)
class FrameAdmin(LookOnly, admin.ModelAdmin):
    list_display = ["id", "station", "outcome", "size", "received_at", "decided_at", "completed_at"]
    list_filter = [UndecidedFilter, "decision__outcome", "line", "station"]
    list_select_related = ["station__line__site", "decision"]
    search_fields = ["id", "sha256", "name", "inspection__part_id"]
    show_full_result_count = False
    inlines = [StepInline, DetectionInline, ReviewInline]

    @admin.display(description="decision")
    def outcome(self, frame: Frame) -> str:
        decision = getattr(frame, "decision", None)
        return decision.outcome if decision else "-"

    @admin.display(description="pixels")
    def size(self, frame: Frame) -> str:
        return f"{frame.width} x {frame.height}"


@admin.register(Step)
class StepAdmin(LookOnly, admin.ModelAdmin):
    """The queue and, by the filter `failed`, the dead letters."""

    list_display = ["id", "kind", "state", "frame", "attempts", "node", "lease_until", "error_code"]
    list_filter = ["state", "kind", "error_code", "node"]
    list_select_related = ["frame"]
    show_full_result_count = False


@admin.register(Decision)
class DecisionAdmin(LookOnly, admin.ModelAdmin):
    list_display = ["frame", "outcome", "code", "reason", "latency_ms", "decided_at"]
    list_filter = ["outcome", "code"]
    list_select_related = ["frame"]
    show_full_result_count = False


@admin.register(Description)
class DescriptionAdmin(LookOnly, admin.ModelAdmin):
    list_display = ["id", "detection", "valid", "served_model", "node", "tokens", "latency_ms", "created_at"]
    list_filter = ["valid", "node", "prompt_version"]
    list_select_related = ["detection__defect_class", "served_model"]
    show_full_result_count = False


@admin.register(Review)
class ReviewAdmin(LookOnly, admin.ModelAdmin):
    list_display = ["frame", "verdict", "reviewer", "note", "created_at"]
    list_filter = ["verdict", "frame__line"]
    list_select_related = ["frame", "reviewer"]
    search_fields = ["reviewer__username", "note"]


@admin.register(Event)
class EventAdmin(LookOnly, admin.ModelAdmin):
    list_display = ["line", "seq", "type", "frame_id", "at"]
    list_filter = ["line", "type"]
    list_select_related = ["line__site"]
    show_full_result_count = False
