"""The protocol `mutual`, told by docs/wire_formats.md. Keys are bytes."""

import hmac
import secrets
import socket
import struct

GREETING = b"sockauth\1"


def mac(key, message, digest="sha256"):
    return hmac.new(key, message, digest).digest()


def proof(key, role, server_nonce, client_nonce):
    fields = (b"sockserv mutual authentication 1", role, server_nonce, client_nonce, b"", b"")
    return mac(key, b"".join(struct.pack("!I", len(field)) + field for field in fields))


def authenticate_as_client(client, key):
    """Proves the key to a server; true if the server has proved the same."""
    greeting = client.recv(41, socket.MSG_WAITALL)
    assert greeting[:9] == GREETING, greeting
    theirs, ours = greeting[9:], secrets.token_bytes(32)
    client.sendall(ours + proof(key, b"client", theirs, ours))
    return client.recv(32, socket.MSG_WAITALL) == proof(key, b"server", theirs, ours)


def pretend_to_be_server(connection, key):
    """Takes whatever a client proves, and then proves this key."""
    ours = secrets.token_bytes(32)
    connection.sendall(GREETING + ours)
    theirs = connection.recv(64, socket.MSG_WAITALL)[:32]
    connection.sendall(proof(key, b"server", ours, theirs))
