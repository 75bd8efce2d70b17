"""The API reference in a browser: drawn for a stranger, under the strict policy, without one violation of it."""

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.conftest import RunningStack

pytestmark = pytest.mark.e2e


def test_a_stranger_reads_the_reference_and_nothing_breaks_the_policy(browser: Browser, stack: RunningStack) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.add_init_script(
        "window.violations = [];"
        "document.addEventListener('securitypolicyviolation', (e) => window.violations.push("
        "`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber} ${e.sample}`))"
    )
    answer = page.goto(f"{stack.base_url}/api/docs/")
    assert answer is not None
    assert "unsafe-inline" not in answer.headers["content-security-policy"]
    operation = page.locator("#operations-frames-list_frames, [id$=list_frames]").first
    expect(operation).to_be_visible(timeout=30_000)
    operation.locator("button").first.click()
    expect(page.get_by_text("Newest frames first").first).to_be_visible()
    page.locator(".opblock.is-open").first.screenshot()
    assert page.evaluate("window.violations") == []
    assert troubles == []
    context.close()
