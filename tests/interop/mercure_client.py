"""Prints each update that a Python client gets from a hub, as a line of JSON: mercure_client.py CLIENT OPTIONS.

OPTIONS is JSON: url, token. Its clients know streams and no reconnection, so they are called again and again with the
last id, as their documentation has it.
"""

from __future__ import annotations

import json
import sys

import httpx
import httpx_sse
import requests
import sseclient

SECONDS = 20


def read_by_httpx_sse(url: str, headers: dict[str, str | bytes]) -> None:
    with httpx.Client(trust_env=False, timeout=SECONDS) as client:
        while True:
            try:
                with httpx_sse.connect_sse(client, "GET", url, headers=headers) as source:
                    for event in source.iter_sse():
                        headers["Last-Event-ID"] = event.id.encode()
                        show(event.event, event.id, event.data)
            except httpx.TransportError:
                continue


def read_by_sseclient_py(url: str, headers: dict[str, str | bytes]) -> None:
    with requests.Session() as session:
        session.trust_env = False
        while True:
            try:
                with session.get(url, stream=True, headers=headers, timeout=SECONDS) as response:
                    response.raise_for_status()
                    for event in sseclient.SSEClient(response.iter_content(chunk_size=None)).events():
                        headers["Last-Event-ID"] = (event.id or "").encode()
                        show(event.event, event.id, event.data)
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                continue


def show(kind: str, event_id: str | None, data: str) -> None:
    sys.stdout.write(json.dumps({"type": kind, "id": event_id, "data": data}) + "\n")


if __name__ == "__main__":
    options = json.loads(sys.argv[2])
    read = {"httpx-sse": read_by_httpx_sse, "sseclient-py": read_by_sseclient_py}[sys.argv[1]]
    read(options["url"], {"Authorization": f"Bearer {options['token']}"})
