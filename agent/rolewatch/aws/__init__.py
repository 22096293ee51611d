"""Everything that asks AWS: confirmation, and the checks before a launch. Imported only by the commands that need it.

boto3 costs 39 MiB and never comes into the daemon. Inside, one way as everywhere: `api` asks, and answers are values;
`judge` and `trust` judge and never ask; `diagnosis` draws the conclusion.

* `answers`            what AWS said, as values; `refusals` turns botocore's errors into them
* `api`                the one door to AWS, with the table of every call; `reads` are the questions
* `served`, `session`  the credentials to ask with; `proof` tries those that IMDS serves
* `host`, `shadow`     what this host itself says, without a packet
* `checks`             the framework: a check, its outcome, what it needs
"""

from __future__ import annotations
