"""The parts that run as our own child processes when nobody provides them: owned, supervised, gone when we are."""

from server.embedded.children import Child, ChildFailed, Children
from server.embedded.parts import (
    Owner,
    Sockets,
    embedded_children,
    local_model_child,
    local_port_file,
    make_folders,
    sockets_of,
    worker_child,
)

__all__ = [
    "Child",
    "ChildFailed",
    "Children",
    "Owner",
    "Sockets",
    "embedded_children",
    "local_model_child",
    "local_port_file",
    "make_folders",
    "sockets_of",
    "worker_child",
]
