"""A real Chromium, with a microphone that plays a file."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from dev import chromium

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Browser, Playwright

TRUSTED = "--unsafely-treat-insecure-origin-as-secure"


@asynccontextmanager
async def launched(
    playwright: Playwright,
    *,
    microphone: Path | None = None,
    program: Path | None = None,
    trusted: str | None = None,
) -> AsyncIterator[Browser]:
    """Run a browser until the block ends.

    Args:
        playwright: The driver.
        microphone: A WAV file that the microphone plays once; without it, it beeps.
        program: What starts the browser, where it is not to be started as it is.
        trusted: Address of a page that counts as secure though it has no certificate.
    """
    arguments = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--no-sandbox")
    if microphone is not None:
        arguments.append(f"--use-file-for-fake-audio-capture={microphone}%noloop")
    if trusted is not None:
        arguments.append(f"{TRUSTED}={trusted}")
    browser = await playwright.chromium.launch(
        executable_path=program or chromium.find_or_install(), args=arguments
    )
    try:
        yield browser
    finally:
        await browser.close()
