"""The page on 8080: a process of its own, which sees the queue as any other client does.

__main__  told what to do by one line on stdin; ends with its parent
server    waitress, bounded and with a clean end
guard     around everything: which hosts and methods are answered, and the headers of every answer
app       the routes
reader    one look at the queue for all viewers at once, never for long
text      the original's page
preview   payloads, as much of them as fits into a cell
"""
