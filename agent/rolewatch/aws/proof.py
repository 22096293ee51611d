"""Try the credentials that IMDS serves: one ``sts:GetCallerIdentity`` at the Region's own endpoint, within 2 seconds.

The keys are read for that call, handed to it, and let go of.
"""

from __future__ import annotations

from typing import Optional, Union

from rolewatch.aws import reads
from rolewatch.aws.answers import Caller, Refused
from rolewatch.aws.api import PROOF, Api
from rolewatch.aws.session import Fetch, bare


def prove(fetch: Fetch, region: Optional[str]) -> Union[Caller, Refused, None]:
    """Return whose the served credentials are, as AWS sees it, or how AWS refuses them. None where none are served."""
    keys = fetch()
    if keys is None:
        return None
    door = Api(bare(), region=region, patience=PROOF, **keys.for_boto3())
    try:
        return reads.caller(door)
    finally:
        del keys
        door.forget()
