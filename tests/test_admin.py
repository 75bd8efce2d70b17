"""The admin: every page opens, keys are shown once, and what was seen cannot be changed."""

import pytest
from django.contrib import admin
from django.forms import modelform_factory
from django.urls import reverse

from inspections.admin import DefectClassInline
from inspections.models import ApiToken, DefectClass, Event, Frame
from tests.cast import finished_frame, token_for

pytestmark = [pytest.mark.stack, pytest.mark.django_db]
OURS = ("inspections", "scheduling")
PAGES = sorted(
    f"{model._meta.app_label}_{model._meta.model_name}"
    for model in admin.site._registry
    if model._meta.app_label in OURS
)


@pytest.mark.parametrize("page", PAGES)
def test_each_list_opens_with_rows_on_it(cast, client, page):
    finished_frame(cast.station)
    token_for(cast.line, "read")
    client.force_login(cast.ada)
    assert client.get(reverse(f"admin:{page}_changelist")).status_code == 200


def test_a_new_token_is_shown_once_and_kept_as_a_digest(cast, client):
    client.force_login(cast.ada)
    form = {"name": "camera", "line": cast.line.pk, "station": cast.station.pk, "scopes": ["ingest"]}
    page = client.post(
        reverse("admin:inspections_apitoken_add"),
        form | {"expires_at_0": "", "expires_at_1": ""},
        follow=True,
    )
    token = ApiToken.objects.get()
    assert (token.created_by, token.scopes) == (cast.ada, ["ingest"])
    assert f"aivd_{token.prefix}_" in page.content.decode()
    again = client.get(reverse("admin:inspections_apitoken_changelist"))
    assert f"aivd_{token.prefix}_" not in again.content.decode()


def test_tokens_are_revoked_not_deleted(cast, client):
    token_for(cast.line, "read")
    token = ApiToken.objects.get()
    client.force_login(cast.ada)
    url = reverse("admin:inspections_apitoken_changelist")
    client.post(url, {"action": "delete_selected", "_selected_action": [token.pk], "post": "yes"})
    client.post(url, {"action": "revoke", "_selected_action": [token.pk]})
    token.refresh_from_db()
    assert token.revoked_at is not None


@pytest.mark.parametrize("model", [Frame, Event])
def test_what_was_seen_can_only_be_looked_at(cast, client, model):
    frame = finished_frame(cast.station)
    client.force_login(cast.ada)
    label = f"inspections_{model._meta.model_name}"
    assert client.get(reverse(f"admin:{label}_add")).status_code == 403
    if model is Frame:
        assert client.get(reverse(f"admin:{label}_change", args=[frame.pk])).status_code == 200
        assert client.post(reverse(f"admin:{label}_delete", args=[frame.pk]), {"post": "yes"}).status_code == 403
        assert Frame.objects.exists()


def test_staff_without_permissions_sees_nothing(cast, client):
    cast.vera.is_staff = True
    cast.vera.save()
    client.force_login(cast.vera)
    assert client.get(reverse("admin:inspections_frame_changelist")).status_code == 403


def class_form(cast, **typed):
    """The admin's own form of one class of a line, as it is sent back with what was typed."""
    inline = DefectClassInline(type(cast.line), admin.site)
    values = {"position": 1, "colour_index": 0, "title": ""} | typed
    return _form_of(inline)(values, instance=DefectClass(line=cast.line))


def _form_of(inline):
    return modelform_factory(DefectClass, form=inline.form, fields=inline.fields)


@pytest.mark.parametrize(
    "name",
    ["", " ", "\u200b", "a\u200bb", "\ufeffopen", "a\u202eb", "\u2066x", "a\x00b", "a\x07b", "a\nb", "\ud800", "x" * 61,
     "\u00ad", "\ue000", "\u2060"],
)  # fmt: skip
@pytest.mark.parametrize("field", ["name", "title"])
def test_a_class_is_typed_here_under_the_rule_of_rest(cast, name, field):
    form = class_form(cast, **{"name": "gap", field: name})
    harmless = field == "title" and not name.strip()  # a title is then made from the name
    harmless |= field == "title" and name == "a\nb"  # runs of blanks in a title become one
    assert form.is_valid() == harmless, form.errors


def test_a_typed_class_is_spelled_one_way_and_gets_a_title(cast):
    form = class_form(cast, name="  pe\u0301-hole ")
    assert form.is_valid(), form.errors
    made = form.save()
    assert (made.name, made.title) == ("p\u00e9-hole", "P\u00e9-hole")


def test_an_old_name_keeps_nobody_from_changing_its_place(cast):
    old = DefectClass.objects.create(line=cast.line, name="a\u200bb", title="Old")
    inline = DefectClassInline(type(cast.line), admin.site)
    values = {"name": old.name, "title": old.title, "position": 3, "colour_index": 0}
    form = _form_of(inline)(values, instance=old)
    assert form.is_valid(), form.errors
