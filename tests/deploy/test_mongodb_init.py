"""The one-shot `mongodb-init` against a real mongod with a key file, as Compose starts it.

The server is 6.0 (the wheel's), the image's is 8.0; the root account, which the image's entry point
makes, is made here through the localhost exception.
"""

from collections.abc import Iterator

import pytest
from pymongo.errors import OperationFailure

from tests.deploy import stores
from tests.deploy.stores import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    home = tmp_path_factory.mktemp("mongodb")
    with stores.mongodb(home, secrets=stores.make_secrets(home / "secrets")) as running:
        yield running


def test_the_health_check_needs_no_account(store: Store) -> None:
    assert store.answers()


def test_the_application_writes_with_majority_and_reads_with_its_url(store: Store) -> None:
    with store.client() as client:
        client.lucid_sessions.shelf.insert_one({"_id": 1})
        assert client.lucid_sessions.shelf.find_one({"_id": 1}) == {"_id": 1}
        assert client.write_concern.document == {"w": "majority", "j": True}


def test_the_application_can_use_a_transaction_and_a_snapshot(store: Store) -> None:
    with store.client() as client:
        client.lucid_sessions.shelf.create_index("number")
        with client.start_session() as session, session.start_transaction():
            client.lucid_sessions.shelf.insert_one({"_id": 2}, session=session)
        with client.start_session(snapshot=True) as session:
            assert client.lucid_sessions.shelf.find_one({"_id": 2}, session=session) == {"_id": 2}


def test_the_application_cannot_read_other_databases(store: Store) -> None:
    with store.client() as client, pytest.raises(OperationFailure, match="not authorized"):
        client.admin["system.users"].find_one()


def test_nobody_without_an_account_reads_anything(store: Store) -> None:
    with store.stranger() as client, pytest.raises(OperationFailure, match="requires authentication"):
        client.lucid_sessions.shelf.find_one()


def test_it_can_be_run_again_and_renews_the_password(store: Store) -> None:
    assert store.initialise() == ""
    with store.client() as client:
        assert client.lucid_sessions.command("ping")["ok"] == 1
