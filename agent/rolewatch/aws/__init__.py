"""Everything that calls the AWS API: `rolewatch diagnose` and `rolewatch preflight`. The daemon never imports it.

boto3 costs 39 MiB of memory; it is imported at the first call. `client` and `queries` call AWS and return values;
checks judge values and never call.

* `client`        calls AWS; errors become values; the table of calls
* `queries`       one function for each question, and its answer as a value
* `credentials`   the credentials to call AWS with, and a check of those that IMDS serves
* `trust_policy`  whether a trust policy lets EC2 assume the role
* `checks`        what a check is: its outcome, and what it needs
"""

from __future__ import annotations
