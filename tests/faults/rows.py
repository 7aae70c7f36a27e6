"""A pytest plugin: `--fault-row N` keeps the tests of one row of the matrix."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-row", type=int, default=0)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    row = config.getoption("--fault-row")
    marks = {item: item.get_closest_marker("fault") for item in items}
    items[:] = [item for item in items if not row or ((mark := marks[item]) and mark.args[0] == row)]
