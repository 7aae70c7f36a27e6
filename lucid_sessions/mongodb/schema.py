"""Changes of the schema that go on where a run that was killed left them.

No transaction holds them, and a migration is noted as applied only after its last step. So its steps
may find themselves done, by a run that was killed or by another beside this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django_mongodb_backend.schema import DatabaseSchemaEditor as StockEditor
from pymongo.errors import OperationFailure

INDEX_NOT_FOUND, COLLECTION_EXISTS = 27, 48


class DatabaseSchemaEditor(StockEditor):
    def create_model(self, model: Any) -> None:
        with _done_already(COLLECTION_EXISTS):
            # Upstream's asks whether it exists, and refuses.
            self.get_database().create_collection(model._meta.db_table, check_exists=False)
        # The server passes over an index that is there.
        self._create_model_indexes(model)
        for field in model._meta.local_many_to_many:
            if field.remote_field.through._meta.auto_created:
                self.create_model(field.remote_field.through)

    def remove_index(self, model: Any, index: Any) -> None:
        with _done_already(INDEX_NOT_FOUND):
            super().remove_index(model, index)


@contextmanager
def _done_already(code: int) -> Iterator[None]:
    try:
        yield
    except OperationFailure as failure:
        if failure.code != code:
            raise
