"""Signing in: what a person sees who may not come in yet."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import RunningStack

pytestmark = [pytest.mark.stack, pytest.mark.e2e]


@pytest.fixture
def stranger(browser: Browser) -> Page:
    """A page of somebody who has not signed in."""
    return browser.new_context(viewport={"width": 1366, "height": 768}).new_page()


def test_a_stranger_is_led_to_sign_in_and_then_to_where_they_wanted(stranger: Page, stack: RunningStack) -> None:
    stranger.goto(f"{stack.base_url}/fleet/")
    expect(stranger.get_by_role("heading", name="Sign in")).to_be_visible()
    stranger.get_by_label("Username").fill(stack.username)
    stranger.get_by_label("Password").fill(stack.password)
    stranger.get_by_role("button", name="Sign in").click()
    expect(stranger.get_by_role("heading", name="Fleet")).to_be_visible()
    stranger.get_by_role("button", name="Sign out").click()
    expect(stranger.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_wrong_password_is_answered_in_a_sentence(stranger: Page, stack: RunningStack) -> None:
    stranger.goto(f"{stack.base_url}/sign-in/")
    stranger.get_by_label("Username").fill(stack.username)
    stranger.get_by_label("Password").fill("not this one")
    stranger.get_by_role("button", name="Sign in").click()
    expect(stranger.get_by_role("alert")).to_contain_text("Wrong username or password.")


def test_an_empty_form_names_what_is_missing(stranger: Page, stack: RunningStack) -> None:
    stranger.goto(f"{stack.base_url}/sign-in/")
    stranger.get_by_role("button", name="Sign in").click()
    expect(stranger.get_by_text("Enter your username.")).to_be_visible()
    expect(stranger.get_by_text("Enter your password.")).to_be_visible()
