"""The page's CSS, and the Content-Security-Policy that allows it and nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

from rolewatch.vocabulary import State

COLOURS: Mapping[State, str] = {
    State.STARTING: "#46525f",
    State.OK: "#176a34",
    State.DEGRADED: "#8a4b00",
    State.FAILED: "#b1221b",
    State.UNKNOWN: "#5a3f9e",
}
"""The colour of each state, under white letters and on white."""

_OF_STATES = "".join(
    f"{':root' if state is State.STARTING else f'.{state.value}'} {{ --state: {colour}; --mark: {colour} }}\n"
    for state, colour in COLOURS.items()
)

STYLE = (
    "\n"
    + _OF_STATES
    + """\
:root {
  color-scheme: light dark;
  --back: #fff; --panel: #f4f5f7; --line: #d3d7dd; --text: #1b1f24; --quiet: #545c66; --link: #0a4fa8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #101418; --panel: #1a2027; --line: #39424c; --text: #e4e8ec; --quiet: #a3adb8; --link: #82b7ff;
    --mark: #9aa7b4;
  }
  .ok { --mark: #4cc077 }
  .degraded { --mark: #e0a040 }
  .failed { --mark: #ff7b72 }
  .unknown { --mark: #b59bf5 }
}
*, ::before { box-sizing: border-box }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100% }
body { margin: 0; background: var(--back); color: var(--text); font: 1rem/1.5 system-ui, sans-serif;
  overflow-wrap: anywhere }
header, main, footer { padding: 0 max(1rem, calc(50vw - 26rem)) }
a { color: var(--link); text-underline-offset: .15em }
a:focus-visible { outline: 3px solid currentColor; outline-offset: 2px; border-radius: 2px }
h1, h2, h3, p, dl, ol, ul, pre { margin: 0 }
code { font: .9em/1.5 ui-monospace, "DejaVu Sans Mono", Consolas, monospace }
time, .one { white-space: nowrap }
header { background: var(--state); color: #fff; padding-top: 1rem; padding-bottom: 1.25rem;
  border-bottom: 1px solid transparent }
header a { color: #fff }
.bar-top { display: flex; flex-wrap: wrap; gap: 0 1.5rem; justify-content: space-between; font-size: .9rem }
h1 { display: flex; align-items: center; gap: .4em; margin-top: .75rem; font-size: 2.75rem; line-height: 1.15 }
h1 svg { flex: none; width: .9em; height: .9em; fill: none; stroke: #fff; stroke-width: 3; stroke-linecap: round;
  stroke-linejoin: round }
.say { margin-top: .25rem; font-size: 1.2rem }
.faults { margin-top: .75rem; padding-left: 1.2rem; font-weight: 600 }
.stuck { margin-top: .75rem; padding: .5rem .75rem; background: #fff; color: #1b1f24; font-weight: 600 }
section { padding-top: 2rem }
h2 { margin-bottom: .75rem; font-size: 1.35rem; line-height: 1.3 }
article { padding: 1rem 1rem 1.25rem; background: var(--panel); border-left: 4px solid var(--mark) }
article + article { margin-top: 1rem }
h3 { font-size: 1.1rem; line-height: 1.35 }
.meta { margin-bottom: .5rem; color: var(--quiet) }
.tag { padding: 0 .4em; border: 1px solid; border-radius: 3px; font-size: .85em }
dl > div { padding-top: .6rem }
dt { color: var(--quiet); font-size: .9rem }
dd { margin: 0 }
dd ol { padding-left: 1.4rem }
li + li { margin-top: .4rem }
pre { margin: .4rem 0 0 -1.4rem; padding: .5rem .75rem; background: var(--back); border: 1px solid var(--line);
  border-radius: 3px; white-space: pre-wrap }
pre code { -webkit-user-select: all; user-select: all; font-size: .85rem }
.note { color: var(--quiet) }
.time + .note { margin-top: 1rem }
.bar { display: block; overflow: visible; margin-top: .5rem }
.life { fill: var(--panel); stroke: var(--quiet) }
.passed { fill: var(--mark) }
.tick { stroke: var(--text); stroke-width: 2; fill: none }
.late { fill: var(--text) }
line.now { stroke: var(--text); stroke-width: 3 }
text.now { fill: var(--text); font: 600 13px system-ui, sans-serif }
.ends { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; font-size: .9rem }
.keys { margin: .75rem 0 .5rem; padding: 0; list-style: none }
.keys li { margin: 0; padding-left: 20px; text-indent: -20px }
.key { vertical-align: -.1em }
.time { padding: 0; list-style: none }
.time li { position: relative; padding: 0 0 .9rem 1.4rem; margin: 0 0 0 6px;
  border-left: 2px solid var(--line) }
.time li::before { content: ""; position: absolute; left: -7px; top: .4em; width: 12px; height: 12px;
  border: 2px solid var(--quiet); border-radius: 50%; background: var(--back) }
.time .bad::before { border-color: var(--text); background: var(--text); border-radius: 0 }
.time li:last-child { padding-bottom: 0 }
.time .meta { margin: 0 }
.links { padding-left: 1.2rem }
.links li + li { margin-top: 0 }
footer { margin-top: 2rem; padding-bottom: 2rem; color: var(--quiet); font-size: .9rem }
footer p { padding-top: 1rem; border-top: 1px solid var(--line) }
@media (min-width: 40rem) {
  article { padding: 1.25rem 1.5rem 1.5rem }
  dl > div { display: grid; grid-template-columns: 9rem 1fr; align-items: baseline }
  dl > .wide { display: block }
  pre { margin-left: 0 }
}
"""
)
"""One accent for each state; light and dark by the reader's preference; no colour that alone tells something."""

POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy: this style and no other, the icon in the page itself, and nothing else."""
