"""The page on 8080: a process of its own, which sees the queue as any other client does.

__main__  told what to do by one line on stdin; ends with its parent
server    waitress, bounded and with a clean end
guard     around everything: which hosts and methods are answered, and the headers of every answer
app       the routes: the page, its files, its health
api       the routes of the page's scripts: overview, rows and story are their answers
answers   how an answer is said: text, JSON, errors, "nothing new"
parameters  what an address may ask for, and its bounds
reader    the queue for all viewers at once: looks, never for long; rate, of the tasks that end
text      the original's page
preview   payloads, as much of them as fits into a cell
files     views/ and static/: one HTML page, and the scripts that fill it by `textContent` alone
"""
