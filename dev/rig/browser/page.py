"""The page, as a person uses it: what is on it, and what can be done there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from playwright.async_api import expect

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page

WAIT_MS = 60_000
"""How long a person would wait before giving up; never a measure of speed."""

_READ_TURNS = """
elements => elements.map(element => ({
  role: element.dataset.role,
  text: element.querySelector('[data-testid=turn-text]').textContent,
  seq: element.dataset.seq ? Number(element.dataset.seq) : null,
  saved: element.dataset.saved === 'true',
  draft: element.dataset.draft === 'true',
}))
"""


@dataclass(frozen=True)
class Bubble:
    """One turn as the page shows it."""

    role: str
    text: str
    seq: int | None
    saved: bool
    draft: bool


class TalkPage:
    """One tab."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.set_default_timeout(WAIT_MS)
        self.problems: list[str] = []
        self.crashes: list[str] = []
        """Errors that nothing has caught; those of the network are told in ``problems`` alone."""
        page.on("pageerror", self._on_crash)
        page.on("console", self._on_console)

    @classmethod
    async def open(cls, context: BrowserContext, address: str) -> TalkPage:
        """Open the page in a new tab."""
        tab = cls(await context.new_page())
        await tab.page.goto(address)
        return tab

    async def reload(self) -> None:
        """Reload, as a person does."""
        await self.page.reload()

    async def type(self, text: str) -> None:
        """Type a message and send it."""
        box = self.page.get_by_test_id("message-input")
        await box.fill(text)
        await box.press("Enter")

    async def press(self, name: str) -> None:
        """Press a button by its test id."""
        await self.page.get_by_test_id(name).click(timeout=WAIT_MS)

    async def state(self, word: str) -> None:
        """Wait until the page shows this state."""
        await expect(self.page.get_by_test_id("status")).to_have_attribute(
            "data-state", re.compile(word, re.IGNORECASE), timeout=WAIT_MS
        )

    async def says(self, text: str, role: str = "assistant", *, within_ms: int = WAIT_MS) -> None:
        """Wait until a recorded turn with these words is shown, and saved."""
        bubble = self.page.locator(
            f"[data-testid=turn][data-role={role}][data-draft=false][data-saved=true]"
        )
        await expect(bubble.filter(has_text=text).first).to_be_visible(timeout=within_ms)

    async def notice(self, text: str) -> None:
        """Wait until the line above the text field says this."""
        await expect(self.page.get_by_test_id("notice")).to_contain_text(text, timeout=WAIT_MS)

    async def no_notice(self) -> None:
        """Wait until that line is empty."""
        await expect(self.page.get_by_test_id("notice")).to_be_hidden(timeout=WAIT_MS)

    async def noted(self, text: str, note: str) -> None:
        """Wait until the turn with these words has this note below it."""
        bubble = self.page.get_by_test_id("turn").filter(has_text=text).last
        await expect(bubble.locator(".turn-note")).to_have_text(note, timeout=WAIT_MS)

    async def aside(self, text: str) -> None:
        """Wait until the page says that the conversation is not here, and why."""
        await expect(self.page.locator("#resume")).to_contain_text(text, timeout=WAIT_MS)

    async def is_listening(self) -> None:
        """Wait until the assistant has finished speaking."""
        await expect(self.page.get_by_test_id("agent-state")).to_have_text(
            "Listening", timeout=WAIT_MS
        )

    async def bubbles(self) -> list[Bubble]:
        """Return all turns that are shown."""
        turns: list[dict[str, Any]] = await self.page.eval_on_selector_all(
            "[data-testid=turn]", _READ_TURNS
        )
        return [Bubble(**turn) for turn in turns]

    async def texts(self, role: str) -> list[str]:
        """Return what one side said, in order."""
        return [bubble.text for bubble in await self.bubbles() if bubble.role == role]

    async def identity(self) -> str:
        """Return the page's secret id."""
        stored: str = await self.page.evaluate("localStorage.getItem('rejoin.identity')")
        return stored

    def _on_crash(self, error: Any) -> None:
        self.crashes.append(str(error))
        self.problems.append(str(error))

    def _on_console(self, message: Any) -> None:
        # Chromium warns that sound waits for a gesture; the page shows a button for that.
        if message.type == "error":
            self.problems.append(message.text)
