"""Everything that asks AWS: confirmation, and the checks before a launch. Imported only by the commands that need it.

boto3 costs 39 MiB, and the daemon never loads it. One way, as everywhere: `client` calls AWS and returns values; checks
judge and never call; `diagnose` and `preflight` draw the conclusion.

* `model`         AWS's answers as values
* `client`        the one way to call AWS, with the table of every call; errors become values
* `queries`       one function for each question
* `credentials`   the credentials to call AWS with, and a check of those that IMDS serves
* `trust_policy`  whether a trust policy lets EC2 assume the role
* `checks`        what a check is: its outcome, and what it needs
"""

from __future__ import annotations
