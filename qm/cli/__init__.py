"""The programs. Their docstrings are their usage texts; each `main(argv)` gives an exit code.

qmanager    keeps the tasks: `serving` is what it runs, `signals` what stops it
qmclient    adds tasks and reads results: `commands` has a file for each
qmworker    runs tasks
qmsimulator sends random tasks and audits their results

`program` runs any of them: `flags` puts the original's flags into GNU's form, `arguments` turns words into
values, `exits` names the exit codes, `terminal` says what goes to people and what to pipes.
"""
