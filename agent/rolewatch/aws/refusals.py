"""From botocore's errors to values.

Codes are judged by tables. Messages are searched for AWS's own phrases, and never shown: they may quote the request.
"""

from __future__ import annotations

import re
from typing import Any, Mapping, Union

from rolewatch.aws.answers import Missing, Refused, Trouble

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9.]{2,63}")
"""The shape of an error code. What is not shaped so is not shown."""

MISSING = frozenset({"NoSuchEntity", "InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"})
"""Codes that are an answer: there is none."""

_TROUBLES: Mapping[str, Trouble] = {
    # IAM and STS say AccessDenied, EC2 says UnauthorizedOperation (EC2 API reference, error codes, 2026).
    "AccessDenied": Trouble.ACCESS_DENIED,
    "AccessDeniedException": Trouble.ACCESS_DENIED,
    "UnauthorizedOperation": Trouble.ACCESS_DENIED,
    "Throttling": Trouble.THROTTLED,
    "ThrottlingException": Trouble.THROTTLED,
    "RequestLimitExceeded": Trouble.THROTTLED,
    "TooManyRequestsException": Trouble.THROTTLED,
    "RequestThrottled": Trouble.THROTTLED,
    "OptInRequired": Trouble.REGION_NOT_ENABLED,
    "RegionDisabledException": Trouble.REGION_NOT_ENABLED,
    # An account that has not opted in to a Region gets these two there as well (aws-sdk-ruby#2850, steampipe#75).
    "InvalidClientTokenId": Trouble.REJECTED,
    "AuthFailure": Trouble.REJECTED,
    "UnrecognizedClientException": Trouble.REJECTED,
    "ExpiredToken": Trouble.REJECTED,
    "ExpiredTokenException": Trouble.REJECTED,
    "InvalidAccessKeyId": Trouble.REJECTED,
    "InvalidToken": Trouble.REJECTED,
    "SignatureDoesNotMatch": Trouble.REJECTED,
    "RequestExpired": Trouble.CLOCK,
    "RequestTimeTooSkewed": Trouble.CLOCK,
}

_SKEWED = ("signature expired", "signature not yet current")
"""What STS says in the Message of a SignatureDoesNotMatch that is about the time (AWS General Reference, SigV4)."""

_DENIALS = (
    ("explicit deny in a service control policy", "an explicit deny in a service control policy"),
    ("explicit deny in a resource control policy", "an explicit deny in a resource control policy"),
    ("explicit deny in a permissions boundary", "an explicit deny in a permissions boundary"),
    ("explicit deny in a session policy", "an explicit deny in a session policy"),
    ("explicit deny in a vpc endpoint policy", "an explicit deny in a VPC endpoint policy"),
    ("explicit deny in an identity-based policy", "an explicit deny in an identity-based policy"),
    ("no service control policy allows", "no service control policy allows it"),
    ("no permissions boundary allows", "no permissions boundary allows it"),
    ("no vpc endpoint policy allows", "no VPC endpoint policy allows it"),
    ("no session policy allows", "no session policy allows it"),
    ("no identity-based policy allows", "no identity-based policy allows it"),
)
"""AWS's phrases for why access is denied (IAM user guide, troubleshoot_access-denied, 2026)."""

_ERRORS: Mapping[str, Trouble] = {
    "NoCredentialsError": Trouble.NO_CREDENTIALS,
    "PartialCredentialsError": Trouble.NO_CREDENTIALS,
    "CredentialRetrievalError": Trouble.NO_CREDENTIALS,
    "ProfileNotFound": Trouble.NO_CREDENTIALS,
    "ConfigNotFound": Trouble.NO_CREDENTIALS,
    "ConfigParseError": Trouble.NO_CREDENTIALS,
    "TokenRetrievalError": Trouble.NO_CREDENTIALS,
    "UnauthorizedSSOTokenError": Trouble.NO_CREDENTIALS,
    "SSOTokenLoadError": Trouble.NO_CREDENTIALS,
    "InvalidConfigError": Trouble.NO_CREDENTIALS,
    "InfiniteLoopConfigError": Trouble.NO_CREDENTIALS,
    "NoRegionError": Trouble.NO_REGION,
    "EndpointConnectionError": Trouble.UNREACHABLE,
    "ConnectTimeoutError": Trouble.UNREACHABLE,
    "ReadTimeoutError": Trouble.UNREACHABLE,
    "ConnectionClosedError": Trouble.UNREACHABLE,
    "ProxyConnectionError": Trouble.UNREACHABLE,
    "SSLError": Trouble.UNREACHABLE,
    "HTTPClientError": Trouble.UNREACHABLE,
}
"""botocore's own errors, by the name of their class (botocore/exceptions.py, 1.26 to 1.44): it need not be imported."""

_DETAILS: Mapping[str, str] = {
    "ProfileNotFound": "the configuration has no profile of that name",
    "UnauthorizedSSOTokenError": "the SSO session has expired: log in again",
    "SSOTokenLoadError": "there is no SSO session: log in first",
    "ConfigParseError": "the AWS configuration file cannot be read",
    "ConnectTimeoutError": "no answer to the connection; a private network without a VPC endpoint looks like this",
    "ReadTimeoutError": "connected, and no answer in time",
    "ProxyConnectionError": "the proxy of the environment does not answer",
    "SSLError": "TLS failed; an intercepting proxy looks like this",
    "EndpointConnectionError": "no route, no name, or refused",
}


def refusal(error: BaseException, action: str) -> Union[Missing, Refused]:
    """Return what *error*, raised by botocore while it asked for *action*, means. Total."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return _answered(response, action)
    for kind in type(error).__mro__:
        if kind.__name__ in _ERRORS:
            detail = _DETAILS.get(type(error).__name__, "")
            return Refused(_ERRORS[kind.__name__], action, detail=detail)
    return Refused(Trouble.ERROR, action, detail=type(error).__name__)


def _answered(response: Mapping[str, Any], action: str) -> Union[Missing, Refused]:
    """Judge an error that AWS itself answered."""
    error = response.get("Error")
    told = error if isinstance(error, dict) else {}
    code = str(told.get("Code", ""))
    shown = code if _CODE.fullmatch(code) else ""
    if code in MISSING:
        return Missing(action, code)
    message = str(told.get("Message", "")).lower()
    trouble = _TROUBLES.get(code, Trouble.ERROR)
    if code == "SignatureDoesNotMatch" and any(phrase in message for phrase in _SKEWED):
        trouble = Trouble.CLOCK
    detail = ""
    if trouble is Trouble.ACCESS_DENIED:
        detail = next((words for phrase, words in _DENIALS if phrase in message), "")
    return Refused(trouble, action, shown, detail)
