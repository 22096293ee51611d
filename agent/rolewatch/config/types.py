"""Value types of settings: each turns a value from TOML, the environment or a flag into a setting's value.

A value type is called with the raw value. It returns the setting's value or raises `UnusableError`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, Protocol, Union

from rolewatch.authority import MAX_NAME, host_name, host_of, is_ip, join_address, split_address
from rolewatch.aws_names import empty_range, name_pattern, parse_arn
from rolewatch.text import format_duration, is_printable, parse_duration, printable

Value = Union[str, float, bool, tuple[str, ...]]
"""The value of a setting. An ``int`` is a ``float`` to the type checker."""

_LONGEST_SHOWN = 60
_HUGE = 1e9
_HUGE_BITS = 64
_PASSWORD = re.compile(r"//[^/]*@")
_SEPARATORS = re.compile(r"[,\s]+")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?")
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class UnusableError(ValueError):
    """A value cannot be used. The text follows the name of the setting: "is 2s; it must be …"."""

    def __init__(self, complaint: str, *, item: int | None = None) -> None:
        """Complain about the whole value, or about the item of a list with the index *item*."""
        super().__init__(complaint)
        self.item = item


class ValueType(Protocol):
    """Reads the value of a setting."""

    @property
    def expects(self) -> str:
        """What is accepted, for the documentation: "duration, 5s to 1h"."""

    def from_text(self, text: str) -> object:
        """Return what *text*, from the environment, would be in TOML; *text* itself if that is not clear."""

    def __call__(self, raw: object) -> Value:
        """Return the value. Raise `UnusableError` if *raw* has the wrong type or is out of bounds."""


def shown(raw: object) -> str:
    """Return *raw* as a message may show it: on one line, cut to 60 characters, without a password."""
    if isinstance(raw, bool):
        return str(raw).lower()
    if isinstance(raw, str):
        if _PASSWORD.search(raw):
            return "a text that is not shown, because it may contain a password"
        cut = raw if len(raw) <= _LONGEST_SHOWN else raw[:_LONGEST_SHOWN] + "…"
        return f'"{printable(cut)}"'
    if isinstance(raw, int):
        return str(raw) if raw.bit_length() <= _HUGE_BITS else "a number of many digits"
    if isinstance(raw, float):
        return repr(raw)
    return "a list" if isinstance(raw, (list, tuple)) else "a table" if isinstance(raw, dict) else "a date or time"


@dataclass(frozen=True)
class Duration:
    """A duration between two bounds, in seconds. Numbers are seconds."""

    least: float
    most: float

    @property
    def _bounds(self) -> str:
        return f"{format_duration(self.least)} to {format_duration(self.most)}"

    @property
    def expects(self) -> str:
        """What is accepted."""
        return f"duration, {self._bounds}"

    def from_text(self, text: str) -> object:
        """Return the seconds if *text* is a bare number."""
        bare = text.strip()
        return float(bare) if _NUMBER.fullmatch(bare) else text

    def __call__(self, raw: object) -> float:
        """Return the seconds."""
        seconds = parse_duration(raw) if isinstance(raw, str) else raw
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise UnusableError(f'is {shown(raw)}; write a duration, as in 30 (seconds), "30s", "1h30m" or "250ms"')
        if not self.least <= seconds <= self.most:
            # Huge, infinite and negative numbers have no form as a duration; every comparison with NaN is false.
            found = format_duration(seconds) if 0 <= seconds < _HUGE else shown(raw)
            raise UnusableError(f"is {found}; it must be {self._bounds}")
        return float(seconds)


@dataclass(frozen=True)
class Whole:
    """A whole number between two bounds."""

    least: int
    most: int

    @property
    def expects(self) -> str:
        """What is accepted."""
        return f"whole number, {self.least} to {self.most}"

    def from_text(self, text: str) -> object:
        """Return the number if *text* has only digits."""
        bare = text.strip()
        return int(bare) if _INTEGER.fullmatch(bare) else text

    def __call__(self, raw: object) -> int:
        """Return the number."""
        if isinstance(raw, bool) or not isinstance(raw, int):
            without_quotes = isinstance(raw, str) and _INTEGER.fullmatch(raw)
            hint = f" without quotes: {raw}" if without_quotes else f", as in {self.least}"
            raise UnusableError(f"is {shown(raw)}; write a whole number{hint}")
        if not self.least <= raw <= self.most:
            raise UnusableError(f"is {shown(raw)}; it must be {self.least} to {self.most}")
        return raw


@dataclass(frozen=True)
class Switch:
    """True or false."""

    expects: str = "true or false"

    def from_text(self, text: str) -> object:
        """Return the boolean if *text* is a word that people write in an environment: ``yes``, ``off``, ``1``."""
        return _WORDS.get(text.strip().lower(), text)

    def __call__(self, raw: object) -> bool:
        """Return the boolean."""
        if not isinstance(raw, bool):
            meant = _WORDS.get(raw.lower() if isinstance(raw, str) else shown(raw))
            hint = "true or false" if meant is None else str(meant).lower()
            raise UnusableError(f"is {shown(raw)}; write {hint}, without quotes")
        return raw


@dataclass(frozen=True)
class Text:
    """A text that *parse* accepts, in its canonical form."""

    expects: str
    parse: Callable[[str], str]
    optional: bool = False
    """Whether the empty text is accepted, as it is."""

    def from_text(self, text: str) -> object:
        """Return *text*."""
        return text

    def __call__(self, raw: object) -> str:
        """Return the text in its canonical form."""
        if not isinstance(raw, str):
            raise UnusableError(f"is {shown(raw)}; write a text in quotes")
        return raw if self.optional and not raw else self.parse(raw)


@dataclass(frozen=True)
class Several:
    """A list of texts without duplicates. A single text is a list of one."""

    item: Text

    @property
    def expects(self) -> str:
        """What is accepted."""
        return f"list: {self.item.expects}"

    def from_text(self, text: str) -> object:
        """Split *text* at commas and white space."""
        return [word for word in _SEPARATORS.split(text) if word]

    def __call__(self, raw: object) -> tuple[str, ...]:
        """Return the items, each in its canonical form."""
        items = [raw] if isinstance(raw, str) else raw
        if not isinstance(items, (list, tuple)):
            raise UnusableError(f'is {shown(raw)}; write a list of texts, as in ["one", "two"]')
        values = []
        for number, item in enumerate(items):
            try:
                values.append(self.item(item))
            except UnusableError as error:
                raise UnusableError(str(error), item=number) from None
        return tuple(dict.fromkeys(values))


# What follows are the texts that name something.

_TRUSTED = ("169.254.0.0/16", "127.0.0.0/8", "fe80::/10", "fd00:ec2::/32", "::1/128")
"""Link-local, loopback, and the range that EC2 uses for its link-local services over IPv6."""
_HOST = r"\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[\w.-]+"
_URL = re.compile(rf"(?i:http)://(?P<host>{_HOST})(?::(?P<port>[0-9]{{1,5}}))?/?", re.ASCII)
_HARMLESS = re.compile(r"[\w.:/\[\]%-]*", re.ASCII)
_HIGHEST_PORT = 65535
_AS_IN = "as in http://127.0.0.1:1338"
_TAG_KEY = re.compile(r"[\w+=.,:@-]{1,128}", re.ASCII)
_NOT_A_TAG = (".", "..", "_index")


def endpoint(text: str) -> str:
    """Return the URL of an IMDS as ``http://HOST[:PORT]``. `is_trusted` says whether it may be polled.

    Raise `UnusableError` if *text* is no such URL.
    """
    match = _URL.fullmatch(text)
    if match is None:
        raise UnusableError(_why_no_endpoint(text))
    host, port = match["host"], match["port"]
    if port is not None and not 0 < int(port) <= _HIGHEST_PORT:
        raise UnusableError(f"has the port {port}; it must be 1 to {_HIGHEST_PORT}")
    looks_like_ip = host.startswith("[") or host.replace(".", "").isdigit()
    is_valid = is_ip(host_of(host) or "") if looks_like_ip else True
    if len(host) > MAX_NAME or not (all(host.split(".")) and is_valid):
        raise UnusableError(f"has the host {shown(host)}, which is neither an IP address nor a name")
    return f"http://{host.lower()}" + (f":{int(port)}" if port else "")


def _why_no_endpoint(text: str) -> str:
    """Explain why *text* is no endpoint, and show only what cannot be a secret."""
    if "@" in text:
        return f"has a user or a password before an @, and is not shown; write a plain URL, {_AS_IN}"
    if text.lower().startswith("https:"):
        return f"is an https URL; IMDS speaks plain http, {_AS_IN}"
    if not text.lower().startswith("http://"):
        found = f"is {shown(text)}" if _HARMLESS.fullmatch(text) else "is no http URL"
        return f"{found}; write a URL, {_AS_IN}"
    if not _HARMLESS.fullmatch(text) or "/" in text[len("http://") :].rstrip("/"):
        return f"has more than scheme, host and port; write these alone, {_AS_IN}"
    return f"is {shown(text)}; write http://HOST or http://HOST:PORT, an IPv6 address in brackets"


def is_trusted(url: str) -> bool:
    """Return whether the host of *url* (as `endpoint` returns it) is link-local or loopback."""
    host = host_of(url[len("http://") :]) or ""
    if host == "localhost" or not is_ip(host):
        return host == "localhost"
    import ipaddress  # noqa: PLC0415 - only if an endpoint is set

    return any(ipaddress.ip_address(host) in ipaddress.ip_network(network) for network in _TRUSTED)


def listen(text: str) -> str:
    """Return an address to listen on as ``HOST:PORT``, ``[IPV6]:PORT`` or ``*:PORT``. The kernel replaces port 0.

    Raise `UnusableError` if *text* is no such address.
    """
    found = split_address(f"*{text}" if text.startswith(":") else text)
    if found is None:
        raise UnusableError(_why_no_address(text))
    host, port = found
    if host not in ("*", "localhost") and (len(host) > MAX_NAME or not is_ip(host.partition("%")[0])):
        raise UnusableError(f"has {shown(text)}, whose host is no IP address, localhost, or * for every address")
    return join_address(host, port)


def _why_no_address(text: str) -> str:
    if text.isascii() and text.isdigit():
        return f"has {shown(text)}; write the host, too: 127.0.0.1:{text[:5]}, or *:{text[:5]} for every address"
    if "://" in text:
        return f"has {shown(text)}; write HOST:PORT, not a URL"
    if text.count(":") > 1 and "[" not in text:
        return f"has {shown(text)}; write an IPv6 address in brackets, as in [::1]:10169"
    return f"has {shown(text)}; write HOST:PORT with a port up to {_HIGHEST_PORT}, as in 127.0.0.1:10169 or [::1]:10169"


def choice(*words: str) -> Text:
    """Return the type of a text that is one of *words*, in any case."""
    listed = ", ".join(words[:-1]) + f" or {words[-1]}"

    def parse(text: str) -> str:
        if text.lower() not in words:
            raise UnusableError(f"is {shown(text)}; write {listed}")
        return text.lower()

    return Text(expects=listed, parse=parse)


def pattern_of(kind: str, called: str, *, longest: int) -> Text:
    """Return the type of patterns that match names of *kind*, as ARNs spell it; *called* is "a role", for people.

    A name has *longest* characters at most. An ARN is cut to its name: IMDS serves no path, and the account is always
    the instance's own.
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
    """Return the key of an instance tag that IMDS can serve. Raise `UnusableError` for any other text.

    Only letters, digits and ``+ - = . , _ : @``, no space, no slash, not ``.``, ``..`` or ``_index`` (EC2 user guide,
    "View tags for your EC2 instances using instance metadata", 2026).
    """
    if not _TAG_KEY.fullmatch(text) or text in _NOT_A_TAG:
        raise UnusableError(
            f"is {shown(text)}, which IMDS cannot serve; the key of a tag has at most 128 letters, digits and "
            "+-=.,_:@ there, no spaces and no slashes"
        )
    return text


def allowed_host(text: str) -> str:
    """Return a host name or ``*.DOMAIN`` in lower case, without a trailing dot. Raise `UnusableError` if it is none."""
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


def absolute_path(text: str) -> str:
    """Return *text* if it is an absolute path of printable characters, else raise `UnusableError`."""
    if not text.startswith("/") or not is_printable(text):
        raise UnusableError(f"is {shown(text)}; write an absolute path, as in /var/lib/rolewatch")
    return text


def prom_file(text: str) -> str:
    """Return the absolute path of a file that node_exporter would read. Raise `UnusableError` for any other text."""
    if not absolute_path(text).endswith(".prom"):
        raise UnusableError(f"is {shown(text)}; node_exporter reads files that end in .prom only, as in rolewatch.prom")
    return text
