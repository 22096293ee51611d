r"""Texts that name something: patterns of IAM names, tag keys, one word of a few, host names, directories.

What IAM allows in a name: CreateRole and CreateInstanceProfile, ``[\w+=,.@-]+``, at most 64 and 128 characters (IAM
API reference and quotas, 2026).
"""

from __future__ import annotations

import re

from rolewatch.authority import host_name, is_ip
from rolewatch.aws_names import empty_range, name_pattern, parse_arn
from rolewatch.config.types import Text, UnusableError, shown
from rolewatch.text import is_printable

_TAG_KEY = re.compile(r"[\w+=.,:@-]{1,128}", re.ASCII)
_NOT_A_TAG = (".", "..", "_index")


def words(*choices: str) -> Text:
    """Return the reader of one word of *choices*, in any case."""
    listed = ", ".join(choices[:-1]) + f" or {choices[-1]}"

    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise UnusableError(f"is {shown(text)}; write {listed}")
        return text.lower()

    return Text(expects=listed, parse=parse)


def pattern_of(kind: str, called: str, *, longest: int) -> Text:
    """Return the reader of patterns of names of *kind*, as ARNs say it, which people say as *called* ("a role").

    An ARN is cut down to the name: IMDS tells no path, and the account is always the instance's own.
    """

    def parse(text: str) -> str:
        name = text
        if text.startswith("arn:"):
            arn = parse_arn(text, any_account=True)
            if arn is None or arn.service != "iam" or arn.kind != kind or not arn.path:
                form = f"arn:aws:iam::ACCOUNT:{kind}/NAME"
                raise UnusableError(f"has {shown(text)}, which is not the ARN of {called} ({form})")
            name = arn.name
        if not name:
            raise UnusableError(f"has an empty text; write the name of {called}")
        if name_pattern(name, longest=longest) is None:
            raise UnusableError(_why_no_pattern(name, called, longest))
        return name

    return Text(expects=f"name of {called}, with wildcards; or its ARN", parse=parse)


def _why_no_pattern(name: str, called: str, longest: int) -> str:
    if "/" in name:
        return f"has {shown(name)}; write the name alone, without its path, or the whole ARN"
    if any(c.isspace() for c in name):
        return f'has {shown(name)}, and no name has a space; several are written as a list: ["one", "two"]'
    if empty_range(name):
        return f"has {shown(name)}, whose range {empty_range(name)} is empty: write the lower character first"
    if name_pattern(name, longest=len(name)):
        return f"has {shown(name)}, and {called} has a name of at most {longest} characters: it would match none"
    if "[" in name or "]" in name:
        return f"has {shown(name)}, whose brackets are no set of characters, as in [abc], [a-c] or [!a-c]"
    return (
        f"has {shown(name)}; the name of {called} has letters, digits and _+=,.@- only; the wildcards are *, ? and […]"
    )


def tag_key(text: str) -> str:
    """Return *text*, the key of an instance tag that IMDS can serve.

    Only letters, digits and ``+ - = . , _ : @``, no space, no slash, not ``.``, ``..`` or ``_index`` (EC2 user guide,
    "View tags for your EC2 instances using instance metadata", 2026).
    """
    if not _TAG_KEY.fullmatch(text) or text in _NOT_A_TAG:
        raise UnusableError(
            f"is {shown(text)}, which IMDS cannot serve; a tag's key is there made of at most 128 letters, digits and "
            "+-=.,_:@ without spaces and slashes"
        )
    return text


def allowed_host(text: str) -> str:
    """Return *text*, a host name or ``*.DOMAIN``, in lower case and without a trailing dot."""
    name = host_name(text.removeprefix("*."))
    if name is None or is_ip(name):
        raise UnusableError(_why_no_host(text))
    return f"*.{name}" if text.startswith("*.") else name


def _why_no_host(text: str) -> str:
    if is_ip(text.strip("[]")):
        return f"has {shown(text)}; IP addresses are always allowed; write host names"
    if ":" in text or "/" in text:
        return f"has {shown(text)}; write the host name alone, without scheme, port and path"
    if not text.isascii():
        return f"has {shown(text)}; write the name as browsers send it, beginning with xn--"
    if "*" in text:
        return f"has {shown(text)}; write * for the first label only, as in *.example.com"
    return f"has {shown(text)}, which is no host name; write one, as in app-1.example.com or *.example.com"


def directory(text: str) -> str:
    """Return *text*, an absolute path."""
    if not text.startswith("/") or not is_printable(text):
        raise UnusableError(f"is {shown(text)}; write an absolute path, as in /var/lib/rolewatch")
    return text


def prom_file(text: str) -> str:
    """Return *text*, an absolute path of a file that node_exporter would read."""
    if not directory(text).endswith(".prom"):
        raise UnusableError(f"is {shown(text)}; node_exporter reads files that end in .prom only, as in rolewatch.prom")
    return text
