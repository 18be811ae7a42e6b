"""Where the points are: one interface, an embedded engine or a Qdrant server behind it."""

from knowledge.store.contract import (
    FOREVER,
    Close,
    Delete,
    DeleteDocument,
    Hit,
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
    "KnowledgeStore",
    "Legs",
    "Op",
    "Point",
    "Sparse",
    "Stats",
    "StoreAway",
    "Upsert",
]
