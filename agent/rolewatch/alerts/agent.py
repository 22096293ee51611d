"""The alerts about rolewatch itself: what nobody watches cannot be told. And the recording rules."""

from __future__ import annotations

from typing import Tuple

from rolewatch.alerts.nouns import CRITICAL, INSTANCE, WARNING, Alert, Options, Recording


def recording_rules(options: Options) -> Tuple[Recording, ...]:
    """Return the series that the alerts of the fleet and the dashboards share, as *options* select."""
    of = "{" + options.selector + "}"
    return (
        Recording("job:rolewatch_up:avg", f"avg by (job) (up{of})"),
        Recording("job:rolewatch_up:count", f"count by (job) (up{of})"),
        Recording("job_fault:rolewatch_fault_active:sum", f"sum by (job, fault) (rolewatch_fault_active{of})"),
        Recording("job:rolewatch_credentials_usable:avg", f"avg by (job) (rolewatch_credentials_usable{of})"),
    )


def agent_alerts(options: Options) -> Tuple[Alert, ...]:
    """Return the alerts that say that an instance, or the fleet, is not watched."""
    of = "{" + options.selector + "}"
    return (
        Alert(
            "RolewatchDown",
            f"up{of} == 0",
            WARNING,
            f"rolewatch on {INSTANCE} cannot be scraped.",
            f"rolewatch on {INSTANCE} has not answered a scrape for 10 minutes, so nothing is heard of its "
            "role's credentials. Cause: the service does not run, a security group or the socket's address filter "
            "drops the scrape, the certificate of its port has ended, or the host is in trouble. Fix: on the host, "
            "systemctl status rolewatch.service rolewatch.socket; from Prometheus, curl the target's /-/healthy.",
            "RolewatchDown",
            wait="10m",
            why="Longer than a boot, a restart and the refresh of the discovery: scaling in never fires.",
        ),
        Alert(
            "RolewatchFleetDown",
            f"(job:rolewatch_up:avg < {1 - options.down:g} and job:rolewatch_up:count >= {options.fleet_hosts})\n"
            f"or\nabsent(up{of}) - 1",
            CRITICAL,
            "Too many of the rolewatch agents cannot be scraped.",
            "Only {{ $value | humanizePercentage }} of the agents answer; of the rest nobody watches the credentials. "
            "Cause: a change of the network, of the discovery or of the package, since hosts do not fail together. "
            "Fix: look at the targets page of Prometheus for the error of the scrapes, and at what was rolled out "
            "last.",
            "RolewatchFleetDown",
            wait="15m",
            why="A share with a floor, so that small fleets keep to RolewatchDown; absent() covers a job that is gone.",
        ),
        Alert(
            "RolewatchPollStale",
            f"time() - rolewatch_poll_last_timestamp_seconds{of}\n"
            f"  > clamp_min(5 * rolewatch_poll_interval_seconds{of}, 300)",
            WARNING,
            f"rolewatch on {INSTANCE} has stopped polling.",
            f"What is told of {INSTANCE} is {{{{ $value | humanizeDuration }}}} old. Cause: the loop hangs, or, in "
            "text file mode, the daemon or timer is dead and its file stays. Fix: systemctl restart rolewatch.service, "
            "and read journalctl -u rolewatch for the stacks that the watchdog left.",
            "RolewatchPollStale",
            why="Scales with the interval, and only grows until a poll ends. The one sign of a dead agent where "
            "node_exporter serves its file.",
        ),
        Alert(
            "RolewatchCrashLooping",
            f"changes(process_start_time_seconds{of}[1h]) > 3",
            WARNING,
            f"rolewatch on {INSTANCE} keeps restarting.",
            f"rolewatch on {INSTANCE} has restarted {{{{ $value }}}} times within an hour. Cause: a crash, a memory "
            "limit, or a watchdog that is not answered. Fix: journalctl -u rolewatch says with which status it ended; "
            "settings are checked by rolewatch config check.",
            "RolewatchCrashLooping",
            wait="0m",
            hold="30m",
            why="One upgrade or one reboot is one.",
        ),
        Alert(
            "RolewatchConfigReloadFailed",
            f"rolewatch_config_last_reload_successful{of} == 0",
            WARNING,
            f"rolewatch on {INSTANCE} runs on old settings.",
            f"The last reload on {INSTANCE} was refused, and the settings from before are in force; the next restart "
            "will fail. Cause: a mistake in /etc/rolewatch. Fix: rolewatch config check names the file, the line and "
            "the remedy; then systemctl reload rolewatch. It takes effect at once.",
            "RolewatchConfigReloadFailed",
            wait="10m",
        ),
        Alert(
            "RolewatchPollErrors",
            f"sum without (reason) (increase(rolewatch_poll_failures_total{of}[30m]))\n"
            f"  / increase(rolewatch_polls_total{of}[30m])\n"
            f"  > {options.poll_failures:g}\n"
            f"unless on (job, instance)\n"
            f'max_over_time(rolewatch_fault_active{{{options.selector}, fault=~"imds_.+"}}[30m]) == 1',
            WARNING,
            f"Many of the polls of IMDS fail on {INSTANCE}.",
            f"On {INSTANCE} {{{{ $value | humanizePercentage }}}} of the polls of the last half hour gave no usable "
            "answer. Cause: throttling, resets or time-outs that are too short to be a fault of their own; "
            "applications meet them, too. Fix: see what asks IMDS so often: journalctl -u rolewatch has the reasons, "
            "and ethtool -S the counter linklocal_allowance_exceeded.",
            "RolewatchPollErrors",
            wait="15m",
            why="A share over a window catches what comes and goes too fast for a fault. What was a fault in that "
            "window is told already, and would be told again after it was mended.",
        ),
    )
