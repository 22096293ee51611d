"""Scrapers, as Prometheus is one: a connection for each, gzip accepted."""

from __future__ import annotations

import asyncio
import statistics
import urllib.request
from urllib.parse import urlsplit

from bench.figures import Figure

BOUND_AT_10 = 25.0
"""Milliseconds for the slowest of a hundred scrapes by ten at once."""


def scrape(url: str, clients: int = 1, rounds: int = 1) -> tuple[list[float], int]:
    """Scrape *url* with each of *clients* at once, *rounds* times; return the times in ms, and how many got no page."""
    return asyncio.run(_scrape(url, clients, rounds))


async def _scrape(url: str, clients: int, rounds: int) -> tuple[list[float], int]:
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n".encode("ascii")
    loop = asyncio.get_running_loop()
    times: list[float] = []
    refused = 0

    async def client() -> None:
        nonlocal refused
        for _ in range(rounds):
            begun = loop.time()
            try:
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
                writer.write(request)
                page = await reader.read(-1)
                writer.close()
            except OSError:
                page = b""
            refused += b" 200 OK" not in page[:16]
            times.append((loop.time() - begun) * 1000)

    await asyncio.gather(*(client() for _ in range(clients)))
    return times, refused


def scrape_text(url: str) -> str:
    """Return the page at *url*, on loopback."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as page:
        return str(page.read(), "utf-8")


def latencies(subject: str, url: str, rounds: int, *, bounds: bool = False) -> list[Figure]:
    """Measure scrapes of *url* by 1, 10 and 100 at once, *rounds* times over."""
    figures = []
    for clients, each in ((1, 200), (10, 50), (100, 5)):
        medians, slowest, refused = [], [], []
        for _ in range(rounds):
            times, failed = scrape(url, clients, each)
            medians.append(statistics.median(times))
            slowest.append(sorted(times)[int(len(times) * 0.99) - 1])
            refused.append(float(failed))
        bound = BOUND_AT_10 if bounds and clients == 10 else None
        figures += [
            Figure(subject, f"scrape p50, {clients} at once", "ms", medians),
            Figure(subject, f"scrape p99, {clients} at once", "ms", slowest, bound),
            Figure(subject, f"scrapes refused, {clients} at once", "", refused, 0 if bounds else None, steady=True),
        ]
    return figures
