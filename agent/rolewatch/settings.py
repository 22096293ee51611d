"""The settings in force: values only. `config` reads them, and every other room gets them as an argument.

The field names are the keys of ``rolewatch.toml``: ``settings.poll.interval`` is ``interval`` in ``[poll]``, and
``settings.metrics.tls.key_file`` is ``key_file`` in ``[metrics.tls]``.
Durations are seconds. The manual and docs/configuration.md are generated from the attribute docstrings.
"""

from __future__ import annotations

from dataclasses import dataclass, field

IPV4 = "http://169.254.169.254"
IPV6 = "http://[fd00:ec2::254]"
"""The well-known addresses of IMDS (EC2 user guide, 2026)."""


@dataclass(frozen=True)
class ImdsSettings:
    """``[imds]``: where IMDS is and how long to wait for it."""

    endpoint: str = ""
    """URL of IMDS. Empty: the well-known address of `endpoint_mode`. Only link-local and loopback addresses are
    accepted, unless `allow_any_endpoint` is true."""
    endpoint_mode: str = "auto"
    """``ipv4`` (169.254.169.254), ``ipv6`` (fd00:ec2::254), or ``auto``: IPv4, and IPv6 on a host without IPv4."""
    timeout: float = 2.0
    """Longest wait for a connection or for the next bytes of a response."""
    attempts: int = 1
    """Number of attempts for a request that gets no response, before the poll fails. The next poll is the better
    retry. An HTTP error status is a response."""
    deadline: float = 10.0
    """Longest time that one whole poll may take."""
    allow_any_endpoint: bool = False
    """Accept an endpoint that is neither link-local nor loopback. rolewatch reads secrets from it."""
    accept_responder: tuple[str, ...] = ()
    """What may answer in the place of this instance's own IMDS without being the fault `imds_intercepted`, as long as
    it serves usable credentials: ``not_ec2`` (a role proxy, an emulator), ``local_address``, ``other_instance``,
    ``proxy`` (one that shows itself in its answers)."""
    disabled: bool = False
    """Do not poll IMDS, and report that. SDKs call it AWS_EC2_METADATA_DISABLED."""


@dataclass(frozen=True)
class PollSettings:
    """``[poll]``: how often IMDS is polled."""

    interval: float = 30.0
    """Time between two polls."""
    confirm_interval: float = 10.0
    """Time between two polls while a fault is debounced, before it is raised or cleared."""
    max_interval: float = 120.0
    """Longest time between two polls when IMDS throttles."""


@dataclass(frozen=True)
class ExpectSettings:
    """``[expect]``: which role and instance profile the instance should have."""

    role: tuple[str, ...] = ()
    """Expected role names; ``*``, ``?`` and ``[…]`` are wildcards. Empty: any role."""
    instance_profile: tuple[str, ...] = ()
    """Expected instance profile names, likewise."""
    none: bool = False
    """The instance is to have no instance profile, as with Systems Manager's Default Host Management Configuration:
    none is ``ok``, and any is `role_mismatch`."""
    role_tag: str = ""
    """Key of the instance tag that names the expected role, read through IMDS (needs instance metadata tags).
    `role` overrides it. The value ``-`` is like `none`. If the instance has no such tag, any role is accepted."""
    instance_profile_tag: str = ""
    """Key of the instance tag that names the expected instance profile, likewise."""
    containers: bool = False
    """Containers with a network of their own run on this host and use its role: a hop limit that is too low for them is
    a fault."""
    container_hop_limit: int = 2
    """Hop limit that these containers need: 2 behind one bridge, and one more for each further bridge or router. The
    limit is measured up to this, with a token request an hour for each value from 2 on."""


@dataclass(frozen=True)
class LimitSettings:
    """``[limits]``: when something is a fault, and how often it is repeated."""

    boot_grace: float = 300.0
    """Time after launch or start in which missing credentials are no fault."""
    clock_skew: float = 60.0
    """Largest accepted offset between the local clock and the clock of IMDS."""
    reminder: float = 3600.0
    """Time between two reminders of an active fault in the journal."""


@dataclass(frozen=True)
class TlsSettings:
    """``[metrics.tls]``: TLS at the HTTP endpoint. The files are read at start and at each reload."""

    cert_file: str = ""
    """PEM file with the certificate of the endpoint and its intermediate certificates. Empty: plain HTTP."""
    key_file: str = ""
    """PEM file with the private key of that certificate, without a passphrase."""
    client_ca_file: str = ""
    """PEM file with the CAs of client certificates. Clients without a certificate of these CAs are refused. Empty:
    every client that can connect is accepted."""
    min_version: str = "tls12"
    """Oldest accepted version of TLS: ``tls12`` or ``tls13``."""

    def __bool__(self) -> bool:
        """Whether the endpoint speaks TLS."""
        return bool(self.cert_file)


@dataclass(frozen=True)
class MetricsSettings:
    """``[metrics]``: the HTTP endpoint. A socket passed by systemd overrides `listen`."""

    listen: tuple[str, ...] = ("127.0.0.1:10169",)
    """Addresses to listen on: ``HOST:PORT``, ``[IPV6]:PORT``, or ``*:PORT`` for all. Empty: no HTTP endpoint."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names in requests for the page and ``/status.json`` that are accepted, besides IP addresses, ``localhost``
    and the host's own names; ``*.DOMAIN`` is every name in a domain. Other names get 421, against DNS rebinding. Read
    at start and at each reload."""
    role_info: bool = True
    """Whether the names of role and instance profile are exported as labels."""
    tls: TlsSettings = field(default_factory=TlsSettings)


@dataclass(frozen=True)
class TextfileSettings:
    """``[textfile]``: the metrics as a file for node_exporter, in addition to the port or instead of it."""

    path: str = ""
    """File to write after each poll; node_exporter reads files that end in ``.prom``. Empty: none is written."""


@dataclass(frozen=True)
class LogSettings:
    """``[log]``: where events are logged."""

    format: str = "auto"
    """``journal``, ``json``, ``console``, or ``auto``: the journal if stderr is connected to it, ``console`` on a
    terminal, otherwise ``json``."""
    level: str = "info"
    """Least important level that is logged: ``error``, ``warning``, ``notice``, ``info`` or ``debug``."""


@dataclass(frozen=True)
class StateSettings:
    """``[state]``: what survives a restart."""

    directory: str = ""
    """Directory of the state file. Empty: ``$STATE_DIRECTORY``, as systemd sets it; without that no state is kept."""


@dataclass(frozen=True)
class ConfirmSettings:
    """``[confirm]``: the evidence that rolewatch-confirm.service gets from AWS, and when it runs."""

    file: str = "/run/rolewatch-confirm/result/evidence.json"
    """File with the evidence of a confirmation (`rolewatch diagnose --output`). It need not exist. Empty: none is
    read."""
    request: str = ""
    """File that the daemon touches to request a confirmation. Empty: ``confirm`` in ``$RUNTIME_DIRECTORY``, as systemd
    sets it; without that it requests none."""
    interval: float = 21600.0
    """Time between two confirmations without a request. Evidence that is twice as old is ignored."""
    spread: float = 300.0
    """Longest wait from a fault to the request for a confirmation. It spreads the requests of a fleet that fails at
    once. Also the shortest time between two requests."""


@dataclass(frozen=True)
class Settings:
    """All settings."""

    imds: ImdsSettings = field(default_factory=ImdsSettings)
    poll: PollSettings = field(default_factory=PollSettings)
    expect: ExpectSettings = field(default_factory=ExpectSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    textfile: TextfileSettings = field(default_factory=TextfileSettings)
    log: LogSettings = field(default_factory=LogSettings)
    state: StateSettings = field(default_factory=StateSettings)
    confirm: ConfirmSettings = field(default_factory=ConfirmSettings)
