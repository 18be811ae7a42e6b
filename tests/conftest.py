"""Fixtures of every suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import Running, running_server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: their driver keeps an event loop open, beside which no other test can have its own."""
    items.sort(key=lambda item: "/tests/browser/" in str(item.path))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One demo server for all tests that only talk to it: starting one costs a model."""
    folder: Path = tmp_path_factory.mktemp("demo")
    limits = {
        "PARLOUR_CONNECTS_PER_MINUTE": "100000",
        "PARLOUR_MAX_SOCKETS_PER_ADDRESS": "10000",
        "PARLOUR_OPERATOR_TOKEN": "operator-for-tests",
    }
    with running_server(folder / "data", environ=limits) as running:
        yield running
