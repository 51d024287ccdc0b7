// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace millrace::detail {

/// Helpers, and the graph: laid out once per plan and orientation, then only brought up to date.
inline constexpr std::string_view page_graph_text = R"page('use strict';

// ---- helpers -------------------------------------------------------------------------------

const byId = id => document.getElementById(id);

// Text goes in as text only: names and payloads come from strangers.
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  for (const child of children) if (child !== null && child !== undefined) element.append(child);
  return element;
}
const html = (tag, attributes, ...children) =>
  fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);

function countText(n) {
  if (n >= 1e9) return (n / 1e9).toFixed(1) + ' G';
  if (n >= 1e6) return (n / 1e6).toFixed(1) + ' M';
  if (n >= 1e4) return (n / 1e3).toFixed(n >= 1e5 ? 0 : 1) + ' k';
  return n >= 100 || Number.isInteger(n) ? String(Math.round(n)) : n.toFixed(1);
}
const rateText = n => countText(n) + '/s';
function secondsText(s) {
  if (s === null || s === undefined) return '–';
  const sign = s < 0 ? '−' : '';
  const t = Math.abs(s);
  if (t < 0.001) return sign + Math.round(t * 1e6) + ' µs';
  if (t < 1) return sign + (t * 1e3).toPrecision(t < 0.1 ? 2 : 3) + ' ms';
  if (t < 10) return sign + t.toFixed(1) + ' s';
  if (t < 120) return sign + Math.round(t) + ' s';
  if (t < 7200) return sign + Math.round(t / 60) + ' min';
  return sign + Math.round(t / 3600) + ' h';
}
const shareText = x => Math.round(x * 100) + ' %';
function bytesText(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  for (; n >= 1024 && i < 4; ++i) n /= 1024;
  return (i === 0 ? n : n.toFixed(1)) + ' ' + units[i];
}
const cut = (text, most) => text.length > most ? text.slice(0, most - 1) + '…' : text;

// ---- layout ----------------------------------------------------------------------------------

// A layer is the longest way from a source; sources stand close to what they feed. An edge over
// several layers gets a place of its own in each of them, so that it does not cross boxes.
function makeLayers(nodes) {
  const depth = nodes.map(() => 0);
  nodes.forEach((node, i) => {
    for (const input of node.inputs) depth[i] = Math.max(depth[i], depth[input.from] + 1);
  });
  nodes.forEach((node, i) => {
    if (node.inputs.length > 0) return;
    const fed = nodes.flatMap((n, k) => n.inputs.some(e => e.from === i) ? [depth[k] - 1] : []);
    if (fed.length > 0) depth[i] = Math.min(...fed);
  });
  const layers = [];
  const place = item => {
    while (layers.length <= item.layer) layers.push([]);
    layers[item.layer].push(item);
    return item;
  };
  const items = nodes.map((node, i) => place({ node: i, layer: depth[i], before: [], after: [] }));
  const edges = [];
  nodes.forEach((node, i) => node.inputs.forEach(input => {
    const way = [items[input.from]];
    for (let layer = depth[input.from] + 1; layer < depth[i]; ++layer) {
      way.push(place({ node: null, layer, before: [], after: [] }));
    }
    way.push(items[i]);
    for (let k = 1; k < way.length; ++k) {
      way[k].before.push(way[k - 1]);
      way[k - 1].after.push(way[k]);
    }
    edges.push({ input, to: i, way });
  }));
  return { layers, items, edges };
}

// Each item goes to the middle of its neighbours, forth and back a few times (Sugiyama, 1981).
function orderLayers(layers) {
  const number = layer => layer.forEach((item, i) => { item.order = i; });
  layers.forEach(number);
  const sort = (layer, side) => {
    for (const item of layer) {
      const near = item[side];
      item.wish = near.length === 0 ? item.order
        : near.reduce((sum, n) => sum + n.order, 0) / near.length;
    }
    layer.sort((a, b) => a.wish - b.wish || a.order - b.order);
    number(layer);
  };
  for (let round = 0; round < 6; ++round) {
    for (let l = 1; l < layers.length; ++l) sort(layers[l], 'before');
    for (let l = layers.length - 2; l >= 0; --l) sort(layers[l], 'after');
  }
}

// `down`: layers from top to bottom, for narrow screens. Sets x, y (centres); returns the size.
function placeItems(layers, down) {
  const box = down ? { w: 164, h: 76 } : { w: 176, h: 76 };
  const along = down ? box.h + 54 : box.w + 96;
  const size = item => item.node === null ? 22 : (down ? box.w : box.h) + 18;
  const widths = layers.map(layer => layer.reduce((sum, item) => sum + size(item), 0));
  const most = Math.max(...widths);
  layers.forEach((layer, l) => {
    let at = (most - widths[l]) / 2;
    for (const item of layer) {
      const across = at + size(item) / 2;
      const forward = l * along + (down ? box.h : box.w) / 2 + 8;
      item.x = down ? across : forward;
      item.y = down ? forward : across;
      at += size(item);
    }
  });
  const length = (layers.length - 1) * along + (down ? box.h : box.w) + 16;
  return { box, width: down ? most : length, height: down ? length : most };
}

function edgePath(way, box, down) {
  const half = down ? box.h / 2 : box.w / 2;
  // Beside boxes it runs straight, so that it touches none.
  const point = (item, side) =>
    down ? [item.x, item.y + side * half] : [item.x + side * half, item.y];
  let [x, y] = point(way[0], 1);
  let path = `M${x},${y}`;
  let middle = null;
  for (let k = 1; k < way.length; ++k) {
    const [nx, ny] = point(way[k], -1);
    const mx = (x + nx) / 2;
    const my = (y + ny) / 2;
    path += down ? `C${x},${my} ${nx},${my} ${nx},${ny}` : `C${mx},${y} ${mx},${ny} ${nx},${ny}`;
    middle = [mx, my];
    [x, y] = point(way[k], 1);
    if (way[k].node === null) path += `L${x},${y}`;
  }
  return { path, middle };
}

// ---- the picture -----------------------------------------------------------------------------

function drawGraph(plan, down, select) {
  const { layers, items, edges } = makeLayers(plan.nodes);
  orderLayers(layers);
  const { box, width, height } = placeItems(layers, down);
  const root = svg('svg', {
    class: 'graph', width, height, viewBox: `0 0 ${width} ${height}`, role: 'group',
  });
  const drawnEdges = edges.map(edge => {
    const { path, middle } = edgePath(edge.way, box, down);
    const line = svg('path', { class: 'edge', d: path });
    const text = dy => svg('text', { class: 'edge-label', x: middle[0], y: middle[1] + dy });
    const label = text(-5);
    const queue = text(11);
    root.append(line);
    return { ...edge, line, label, queue };
  });
  const drawnNodes = plan.nodes.map((node, i) => {
    const { x, y } = items[i];
    const left = -box.w / 2 + 10;
    const text = (name, dy, content) => svg('text', { class: name, x: left, y: dy }, content || '');
    const rate = text('rate', 14);
    const more = text('more', 14);
    more.setAttribute('x', box.w / 2 - 10);
    more.setAttribute('text-anchor', 'end');
    const bar = (name, dy) =>
      svg('rect', { class: name, x: left, y: dy, width: 0, height: 4, rx: 2 });
    const track = bar('track', 22);
    track.setAttribute('width', box.w - 20);
    const busy = bar('busy', 22);
    const blocked = bar('blocked', 22);
    const kind = node.kind + (node.instances > 1 ? ' ×' + node.instances : '');
    const group = svg('g', {
      class: 'node', transform: `translate(${x},${y})`, tabindex: 0, role: 'button',
      'data-name': node.name, 'aria-label': node.name,
    },
      svg('rect', { class: 'box', x: -box.w / 2, y: -box.h / 2, width: box.w, height: box.h,
                    rx: node.inputs.length === 0 ? 20 : 6 }),
      text('title', -18, cut(node.name, 20)), text('kind', -3, cut(kind, 26)),
      rate, more, track, busy, blocked,
      svg('title', {}, node.name + ' (' + node.kind + ')'));
    group.addEventListener('click', () => select(node.name));
    group.addEventListener('keydown', event => {
      if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); select(node.name); }
    });
    root.append(group);
    return { node, group, rate, more, busy, blocked, room: box.w - 20 };
  });
  for (const edge of drawnEdges) root.append(edge.label, edge.queue);
  return { root, width, nodes: drawnNodes, edges: drawnEdges };
}

function updateGraph(drawn, plan, status, selected) {
  status.nodes.forEach((figures, i) => {
    const d = drawn.nodes[i];
    if (!d) return;
    const isSource = d.node.inputs.length === 0;
    d.rate.textContent = rateText(isSource || figures.out > 0 ? figures.out : figures.in);
    d.more.textContent = figures.in_flight > 0 ? countText(figures.in_flight) + ' in flight'
      : figures.lag !== null ? 'lag ' + secondsText(figures.lag) : '';
    d.busy.setAttribute('width', d.room * Math.min(figures.busy, 1));
    const blocked = d.room * Math.min(figures.blocked, 1);
    d.blocked.setAttribute('width', blocked);
    d.blocked.setAttribute('x', -d.room / 2 + d.room - blocked);
    const set = (name, on) => d.group.classList.toggle(name, on);
    set('bottleneck', d.node.name === status.bottleneck_operator);
    set('waits', d.node.name === status.stall_operator || d.node.name === status.stall_cause);
    set('selected', d.node.name === selected);
    set('finished', figures.finished);
  });
  for (const edge of drawn.edges) {
    const from = status.nodes[edge.input.from];
    const to = status.nodes[edge.to];
    if (!from || !to) continue;
    // What a node takes from one of several inputs is not counted apart.
    const rate = plan.nodes[edge.to].inputs.length === 1 ? to.in : from.out;
    const full = to.fill !== null && edge.input.route !== 'same_thread' ? to.fill : null;
    const pressure = Math.max(full || 0, to.blocked, Math.min(from.held_up, to.held_up));
    edge.label.textContent = (edge.input.output === '' ? '' : edge.input.output + ' ') +
      rateText(rate);
    edge.queue.textContent = full === null ? '' : 'queue ' + shareText(full);
    edge.queue.classList.toggle('full', full > 0.5);
    edge.line.setAttribute('stroke-width', 1.5 + Math.min(Math.log10(1 + rate), 5));
    edge.line.setAttribute('class', 'edge' + (edge.input.auxiliary ? ' auxiliary' : '') +
      (edge.input.route === 'same_thread' ? '' : ' crosses') +
      (pressure > 0.5 ? ' hot' : pressure > 0.1 ? ' warm' : ''));
  }
}
)page";

}  // namespace millrace::detail
