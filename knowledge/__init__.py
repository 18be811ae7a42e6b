"""Retrieval: documents in, cited passages out. A library below the server: it imports nothing of it.

`library` is the door. Two parts run in processes of their own and are spoken to over Unix sockets: the encoder
(`python -m knowledge.embed`) and the embedded vector engine (`python -m knowledge.store`).
"""
