"""Everything goes wrong at once, on real parts, and in the end all is as it should be: `make chaos`.

Worker processes, PostgreSQL, MariaDB and the local cloud are processes of their own. Subscriptions come and go in several
projects; meanwhile workers are killed with -9, databases restart, lines to them are cut and slow, each AWS service
throttles, fails and loses answers, events are lost, come twice, late and in another order, and workers' clocks differ.
Then nothing fails any more, the queue runs empty, what was lost is reconciled, and everything is looked at from outside.
"""
