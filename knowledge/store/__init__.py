"""Where the points are: one interface, an embedded engine or a Qdrant server behind it."""

from knowledge.records import FOREVER
from knowledge.store.contract import (
    Close,
    Delete,
    DeleteDocument,
    Hit,
    KeepOnly,
    KnowledgeStore,
    Legs,
    Op,
    Point,
    Sparse,
    Stats,
    StoreAway,
    Upsert,
)
from knowledge.store.edge import EdgeStore

__all__ = [
    "FOREVER",
    "Close",
    "Delete",
    "DeleteDocument",
    "EdgeStore",
    "Hit",
    "KeepOnly",
    "KnowledgeStore",
    "Legs",
    "Op",
    "Point",
    "Sparse",
    "Stats",
    "StoreAway",
    "Upsert",
]
