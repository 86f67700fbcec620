"""An HTTP proxy that knows CONNECT only (RFC 9110 section 9.3.6): `proxy.py ADDRESS PORT`.

Says on stdout where it was asked to lead to.
"""
import socket
import sys
import threading

LONGEST_HEAD = 8192


def pass_on(source, sink):
    """Until one end closes."""
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client):
    """One tunnel."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < LONGEST_HEAD:
        data = client.recv(4096)
        if not data:
            return
        head += data
    method, target, *_ = head.split(b" ", 2)
    if method != b"CONNECT":
        client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
        return client.close()
    host, _, port = target.decode().rpartition(":")
    print(target.decode(), flush=True)
    try:
        there = socket.create_connection((host.strip("[]"), int(port)), 10)
    except OSError:
        client.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
        return client.close()
    there.settimeout(None)
    for end in (client, there):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    threading.Thread(target=pass_on, args=(there, client), daemon=True).start()
    pass_on(client, there)


def main():
    with socket.create_server((sys.argv[1], int(sys.argv[2]))) as listener:
        print("ready", flush=True)
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client,), daemon=True).start()


if __name__ == "__main__":
    main()
