"""Docker's health check of a service: ``python healthy.py URL [FILE...]``.

A service is healthy if the URL answers 200 and each file exists. This uses only the standard
library, because it runs every few seconds.
"""

from __future__ import annotations

import http.client
import sys
from pathlib import Path
from urllib.parse import urlsplit

ANSWER_S = 4.0


def problem(url: str, files: list[str]) -> str | None:
    """Return what is wrong; ``None`` if the service is healthy."""
    missing = [file for file in files if not Path(file).exists()]
    if missing:
        return f"{missing[0]} is not there"
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=ANSWER_S)
    try:
        connection.request("GET", address.path or "/")
        response = connection.getresponse()
        body = response.read(500)
    except OSError as error:
        return error.strerror or type(error).__name__
    except http.client.HTTPException as error:
        return type(error).__name__
    finally:
        connection.close()
    if response.status != http.client.OK:
        return f"{response.status} {body.decode(errors='replace')}"
    return None


if __name__ == "__main__":
    sys.exit(problem(sys.argv[1], sys.argv[2:]))
