"""Every page and address at which passwords are guessed has nginx's limit for that."""

import re
from pathlib import Path

import pytest
from django.urls import reverse

CONF = Path(__file__).resolve().parents[2] / "deploy" / "nginx" / "nginx.conf"


@pytest.mark.parametrize("name", ["console:sign-in", "admin:login", "api:token", "api:refresh"])
def test_where_one_signs_in_nginx_counts_logins(name: str) -> None:
    (limited,) = re.findall(r"location ~ (\S+) \{\s*limit_req zone=logins", CONF.read_text())
    assert re.search(limited, reverse(name))
