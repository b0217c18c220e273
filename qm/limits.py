"""Bounds that every floor shares. None is a setting: each is a constant with its reason beside it."""

from __future__ import annotations

#: One input, output or error. Larger data belongs in a file or an object store, and its address in the task.
PAYLOAD_MAX = 1024 * 1024

#: Bytes that sealing (`qm.sealing`) adds to a payload at most. The bound above is for what stands inside: a
#: value that fits does so with and without keys.
SEALING_MAX = 256

#: Payload bytes that one take or one list hands out; it always hands out at least one task.
BATCH_BYTES = 1024 * 1024

#: A frame on the wire: the largest payload three times over (input, output, error) and room for the rest.
FRAME_MAX = 4 * 1024 * 1024

#: Tasks in one frame of a bulk add: small enough that the manager never works on one call for long. With half
#: as many an add in bulk is a tenth slower, and a single one beside it no faster.
ADD_CHUNK = 500

#: Payload bytes in one frame of a bulk add; one task may be larger and then travels alone.
ADD_BYTES = 1024 * 1024

#: Tasks that one take can lease: what a slot's page (`qm.worker.page`) has room for.
TAKE_MAX = 256

#: Ids that one get, cancel, requeue or forget names: bounds the parameters of one SQL statement.
IDS_MAX = 1000

#: Items of any list in a call, whatever its verb takes in earnest: a frame has room for a million short
#: texts, which would be made into objects of twenty times its size before anybody counted them.
ITEMS_MAX = 10_000

#: Tasks on one page of a list.
PAGE_MAX = 500

#: Attempts in one answer; a task that is taken and given back again and again has many.
RECORDS_MAX = 500

#: Types and pools in one answer of status, and types of one of these pools: a frame has room for no more of
#: the longest names, and nobody reads as many.
STATUS_TYPES_MAX = 1000
STATUS_POOLS_MAX = 500
STATUS_POOL_TYPES_MAX = 20

#: A list carries payloads up to this size whole and of larger ones only the size; `get` has the whole.
PREVIEW_MAX = 4096

#: Seconds that one blocking call may wait in the manager. Clients chain calls for longer waits, so that a
#: connection that died without a word is found within this time.
WAIT_MAX = 30.0

#: Priority is a 16-bit signed number, higher first.
PRIORITY_MIN, PRIORITY_MAX = -32768, 32767

#: Failures that a task may be allowed.
ATTEMPTS_MAX = 1000

#: Seconds until a task may first run: ten years, so that a unit mistake (milliseconds) is caught.
DELAY_MAX = 10 * 366 * 86400.0

#: Processes of one pool: more than any host starts, and few enough to be summed up.
PROCESSES_MAX = 100_000

#: Seconds without a renewal after which a session ends and its tasks go to others.
SESSION_TERM = 30.0

#: Seconds that a session has left once the connection of its renewal was lost: its pool was killed, or it
#: redials at once (the longest pause between its tries is half a second).
SUSPECT_TERM = 2.0

#: Characters of an error's message and traceback; the tail of a traceback says most, so its head is cut.
MESSAGE_MAX, TRACEBACK_MAX = 4096, 32768

#: Bytes of output and log that are kept of an attempt: its last ones, which say most.
LOG_MAX = 65536

#: ... of one that ended well: a million chatty tasks must not outgrow their results.
LOG_MAX_OK = 4096

#: An authkey has at least 256 bits, the strength of the HMAC-SHA256 that it keys.
KEY_MIN = 32

#: Connections at once, where the limit of descriptors allows as many: a thread and some 30 KiB each.
CONNECTIONS_MAX = 10_000

#: ... of which so many may have proved nothing yet. Beyond these the oldest is closed, so that silent sockets
#: neither lock out honest workers nor limit how many of them one host may have.
UNPROVED_MAX = 64
