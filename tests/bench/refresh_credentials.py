"""A loop that keeps the role's credentials fresh as botocore does, every 30 s. Started by the bench, never by hand.

``python3 refresh_credentials.py ENDPOINT``: prints a line after the first poll.
"""

from __future__ import annotations

import sys
import time

from botocore.credentials import InstanceMetadataProvider
from botocore.utils import InstanceMetadataFetcher

INTERVAL = 30

fetcher = InstanceMetadataFetcher(base_url=sys.argv[1] + "/", env={}, config={"ec2_metadata_v1_disabled": True})
credentials = InstanceMetadataProvider(fetcher).load()
print("ready" if credentials else "none", flush=True)
while credentials:
    credentials.get_frozen_credentials()
    time.sleep(INTERVAL)
