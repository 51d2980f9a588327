"""A real Chromium for the tests in a browser."""

import os
import platform
import shutil
import sys
from pathlib import Path

from dev.commands import DevError, main, output_of, run

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC_APPS = ("Chromium", "Google Chrome")
_PLAYWRIGHTS_OWN = (
    "from playwright.sync_api import sync_playwright\n"
    "with sync_playwright() as p: print(p.chromium.executable_path)"
)


def find_or_install() -> Path:
    """Return a Chromium or Chrome: the machine's, else Playwright's, else one installed now.

    Debian's package comes before Playwright's download: it brings the libraries it needs, from
    where the machine gets its other packages.

    Raises:
        DevError: When there is none and none can be installed.
    """
    found = _on_machine() or _playwrights_own()
    if found is None and _is_debian_root():
        _install_package()
        found = _on_machine()
    if found is None:
        _download()
        found = _playwrights_own()
    if found is None:
        raise DevError(
            "There is no Chromium for the browser tests and none could be installed; install "
            "Chromium or Google Chrome so that it is on PATH, then run make again."
        )
    return found


def _on_machine() -> Path | None:
    candidates = [found for name in _NAMES if (found := shutil.which(name))]
    if platform.system() == "Darwin":
        candidates += [f"/Applications/{app}.app/Contents/MacOS/{app}" for app in _MAC_APPS]
    # A stub that only tells to install something does not run.
    return next((Path(c) for c in candidates if output_of([c, "--version"])), None)


def _playwrights_own() -> Path | None:
    path = (output_of([sys.executable, "-c", _PLAYWRIGHTS_OWN]) or "").strip()
    return Path(path) if path and output_of([path, "--version"]) else None


def _is_debian_root() -> bool:
    # Ubuntu's package of this name is a stub for a snap.
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return False
    return release.get("ID") == "debian" and os.geteuid() == 0 and bool(shutil.which("apt-get"))


def _install_package() -> None:
    print("Installing Debian's Chromium for the browser tests.", flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
    try:
        run([*apt, "update"], failure="apt-get update failed (see above).", env=env)
        run(
            [*apt, "install", "--yes", "--no-install-recommends", "chromium"],
            failure="apt-get could not install chromium (see above).",
            env=env,
        )
    except DevError as error:
        print(f"{error} Trying Playwright's.", flush=True)


def _download() -> None:
    print("Fetching Playwright's Chromium for the browser tests.", flush=True)
    can_add_libraries = os.geteuid() == 0 and shutil.which("apt-get") is not None
    with_libraries = ["--with-deps"] if can_add_libraries else []
    command = [sys.executable, "-m", "playwright", "install", *with_libraries, "chromium"]
    try:
        run(command, failure="Playwright could not fetch its Chromium (see above).")
    except DevError as error:
        print(error, flush=True)


if __name__ == "__main__":
    main(lambda: print(find_or_install()))
