// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace millrace::detail {

/// Colours first: light, then dark; everything else refers to them.
inline constexpr std::string_view page_style_text = R"page(
:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --card: #ffffff; --ink: #1b2330; --soft: #5d6879; --line: #c6cdd8;
  --flow: #8a97aa; --good: #1f7a4d; --warm: #c27803; --hot: #c2281d; --busy: #2f6fde;
  --select: #2f6fde; --bad-ground: #fdeceb; --wait-ground: #fdf4e0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12161c; --card: #1c222b; --ink: #e8ecf2; --soft: #9aa6b6; --line: #3a4453;
    --flow: #6b7a8f; --good: #4cc38a; --warm: #f0b04a; --hot: #ff6b5e; --busy: #6ea3ff;
    --select: #6ea3ff; --bad-ground: #3a1a19; --wait-ground: #36290f;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body {
  margin: 0; padding: 0.75rem; background: var(--ground); color: var(--ink);
  font: 15px/1.4 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
header { display: flex; flex-wrap: wrap; gap: 0.5rem 0.8rem; align-items: baseline; }
h1 { font-size: 1.3rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 0; overflow-wrap: anywhere; }
h3 { font-size: 0.85rem; margin: 1rem 0 0.3rem; color: var(--soft); font-weight: 600; }
#summary { color: var(--soft); }
.actions { margin-left: auto; }
.chip {
  border-radius: 1rem; padding: 0 0.6rem; font-size: 0.85rem; color: var(--card);
  background: var(--soft);
}
.chip.running { background: var(--good); }
.chip.stopping { background: var(--warm); }
.chip.failed, .chip.unreachable { background: var(--hot); }
.finding { margin: 0.6rem 0 0; padding: 0.5rem 0.8rem; border-left: 4px solid; border-radius: 4px; }
.finding.bad { border-color: var(--hot); background: var(--bad-ground); }
.finding.waiting { border-color: var(--warm); background: var(--wait-ground); }
button {
  font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; padding: 0.2rem 0.8rem; cursor: pointer;
}
main { display: flex; flex-wrap: wrap; gap: 0.75rem; margin-top: 0.75rem; align-items: flex-start; }
#graph {
  flex: 3 1 30rem; min-width: 0; overflow: auto; background: var(--card);
  border: 1px solid var(--line); border-radius: 8px; padding: 0.5rem;
}
#details {
  flex: 1 1 20rem; max-width: 34rem; min-width: 0; background: var(--card);
  border: 1px solid var(--line); border-radius: 8px; padding: 0.8rem;
}
@media (max-width: 700px) {
  body { padding: 0.5rem; }
  #details { max-width: none; flex-basis: 100%; }
  .actions { margin-left: 0; }
}
svg.graph { display: block; margin: auto; max-width: 100%; height: auto; }
svg text { fill: var(--ink); font-family: inherit; }
.node { cursor: pointer; outline: none; }
.node rect.box { fill: var(--card); stroke: var(--line); stroke-width: 1.5; }
.node:hover rect.box, .node:focus-visible rect.box { stroke: var(--select); }
.node.selected rect.box { stroke: var(--select); stroke-width: 2.5; }
.node.waits rect.box { stroke: var(--warm); stroke-width: 3; }
.node.bottleneck rect.box { stroke: var(--hot); stroke-width: 3; fill: var(--bad-ground); }
.node.finished { opacity: 0.6; }
.node .title { font-weight: 600; font-size: 14px; }
.node .kind, .node .more { font-size: 11px; fill: var(--soft); }
.node .rate { font-size: 12px; }
.node .track { fill: var(--line); opacity: 0.5; }
.node .busy { fill: var(--busy); }
.node .blocked { fill: var(--hot); }
.edge { fill: none; stroke: var(--flow); stroke-linejoin: round; }
.edge.crosses { stroke-dasharray: 8 3; }
.edge.auxiliary { stroke-dasharray: 2 4; }
.edge.warm { stroke: var(--warm); }
.edge.hot { stroke: var(--hot); }
.edge-label {
  font-size: 11px; text-anchor: middle; paint-order: stroke; stroke: var(--card); stroke-width: 4px;
}
.edge-label.full { fill: var(--hot); font-weight: 600; }
#details .close { float: right; }
#details .soft, .soft { color: var(--soft); font-size: 0.85rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.85rem; }
td, th { text-align: left; padding: 0.1rem 0.6rem 0.1rem 0; vertical-align: top; }
td { overflow-wrap: anywhere; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
.chart { display: block; width: 100%; height: auto; }
.chart .frame { stroke: var(--line); fill: none; }
.chart text { font-size: 10px; fill: var(--soft); }
.chart .line { fill: none; stroke-width: 1.5; stroke: var(--busy); }
.chart .line.second { stroke: var(--warm); }
.chart .line.third { stroke: var(--hot); }
.chart .bar { fill: var(--busy); }
.legend { font-size: 0.8rem; color: var(--soft); margin: 0; }
.legend .key { display: inline-block; width: 0.8em; height: 0.2em; margin: 0 0.3em 0.25em 0.8em; }
.legend .key.first { background: var(--busy); }
.legend .key.second { background: var(--warm); }
.legend .key.third { background: var(--hot); }
pre {
  margin: 0.1rem 0 0.5rem; padding: 0.4rem; background: var(--ground); border-radius: 4px;
  white-space: pre-wrap; overflow-wrap: anywhere; font-size: 0.8rem; max-height: 9rem;
  overflow: auto;
}
#letters {
  margin-top: 0.75rem; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 0.8rem;
}
dialog { color: var(--ink); background: var(--card); border: 1px solid var(--line); }
footer { margin-top: 0.75rem; font-size: 0.85rem; }
footer a { color: var(--soft); margin-right: 0.6rem; }
)page";

}  // namespace millrace::detail
