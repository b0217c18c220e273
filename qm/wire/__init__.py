"""The bytes on 8090, shared by both ends.

frames   length-prefixed messages over a socket, bounded in size and time
auth     both ends prove that they know the key, and neither says it
verbs    what can be called: one Protocol per served object, and how its arguments and answers are packed
codec    the envelope around a call and its answer
address  host:port, and sockets that are tuned for short messages
remote   the client's end: a `BaseManager` whose static proxies call through a pool of connections
roles    whose key a connection proved, and what such a key may do
keys     the file of keys; `keyfile` changes it
tls      TLS 1.3 with a socket's methods; `servertls` is the manager's side of it, `trust` the client's,
         `certificate` makes one
"""
