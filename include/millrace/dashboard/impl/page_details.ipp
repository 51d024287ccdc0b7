// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace millrace::detail {

/// What a click on an operator opens.
inline constexpr std::string_view page_details_text = R"page(
// ---- details ---------------------------------------------------------------------------------

// Lines over the last minutes. `series`: [[title, values], ...], up to three; null is a gap.
function chart(title, ages, series, format) {
  const width = 320;
  const height = 84;
  const known = series.flatMap(([, values]) => values.filter(v => v !== null));
  if (known.length < 2) return null;
  const top = Math.max(...known, 0) || 1;
  const low = Math.min(...known, 0);
  const first = ages[0];
  const span = Math.max(ages[ages.length - 1] - first, 1);
  const x = age => 2 + (age - first) / span * (width - 4);
  const y = value => height - 14 - (value - low) / (top - low) * (height - 28);
  const picture = svg('svg', { class: 'chart', viewBox: `0 0 ${width} ${height}` },
    svg('line', { class: 'frame', x1: 0, x2: width, y1: y(0), y2: y(0) }),
    svg('text', { x: 2, y: 10 }, format(top)),
    svg('text', { x: 2, y: height - 2 }, secondsText(span) + ' ago'),
    svg('text', { x: width - 2, y: height - 2, 'text-anchor': 'end' }, 'now'));
  series.forEach(([, values], i) => {
    let path = '';
    let pen = 'M';
    values.forEach((value, k) => {
      if (value === null) { pen = 'M'; return; }
      path += `${pen}${x(ages[k]).toFixed(1)},${y(value).toFixed(1)}`;
      pen = 'L';
    });
    picture.append(svg('path', { class: 'line ' + ['first', 'second', 'third'][i], d: path }));
  });
  const legend = html('p', { class: 'legend' });
  series.forEach(([name, values], i) => {
    const last = values[values.length - 1];
    legend.append(html('span', { class: 'key ' + ['first', 'second', 'third'][i] }),
      name + (last === null ? '' : ' ' + format(last)));
  });
  return html('div', {}, html('h3', {}, title), picture, legend);
}

// Bucket i counts what took less than 2^i microseconds.
function latencyChart(latency) {
  if (latency.count === 0) return null;
  const counts = latency.buckets;
  const first = Math.max(counts.findIndex(n => n > 0) - 1, 0);
  const last = counts.length - [...counts].reverse().findIndex(n => n > 0);
  const shown = counts.slice(first, last);
  const width = 320;
  const height = 84;
  const most = Math.max(...shown);
  const step = width / shown.length;
  const picture = svg('svg', { class: 'chart', viewBox: `0 0 ${width} ${height}` });
  shown.forEach((n, i) => {
    const tall = n / most * (height - 26);
    picture.append(svg('rect', { class: 'bar', x: i * step + 1, y: height - 14 - tall,
                                 width: Math.max(step - 2, 1), height: tall },
      svg('title', {}, '< ' + secondsText(2 ** (first + i) / 1e6) + ': ' + n)));
    if (i % Math.ceil(shown.length / 5) === 0) {
      picture.append(svg('text', { x: i * step + 2, y: height - 2 },
        '< ' + secondsText(2 ** (first + i) / 1e6)));
    }
  });
  return html('div', {}, html('h3', {}, 'Latency from source to here, since the start'), picture,
    html('p', { class: 'legend' }, `half below ${secondsText(latency.p50)}, 90 % below ` +
      `${secondsText(latency.p90)}, 99 % below ${secondsText(latency.p99)}; ` +
      `${latency.count} samples`));
}

function table(head, rows, numbers) {
  const cell = (tag, text, i) => html(tag, numbers.includes(i) ? { class: 'number' } : {}, text);
  const body = rows.map(row => html('tr', {}, ...row.map((text, i) => cell('td', text, i))));
  const title = head === null ? null
    : html('tr', {}, ...head.map((text, i) => cell('th', text, i)));
  return html('div', { class: 'scroll' }, html('table', {}, title, ...body));
}

function figuresTable(figures) {
  const rows = [
    ['Records in', countText(figures.records_in), rateText(figures.in)],
    ['Records out', countText(figures.records_out), rateText(figures.out)],
  ];
  for (const [name, value] of [['Filtered', figures.filtered], ['Late', figures.late],
                               ['Dead letters', figures.dead_letters]]) {
    if (value > 0) rows.push([name, countText(value), '']);
  }
  rows.push(['Busy', shareText(figures.busy), 'of a worker\'s time']);
  rows.push(['Blocked', shareText(figures.blocked), 'of the time']);
  if (figures.fill !== null) rows.push(['Queue', shareText(figures.fill), 'full']);
  if (figures.watermark !== null) {
    const time = new Date(figures.watermark * 1000);
    const text = Number.isNaN(time.valueOf()) ? '' : time.toISOString();
    rows.push(['Watermark', secondsText(figures.lag) + ' behind', text]);
  }
  if (figures.state_bytes !== null) rows.push(['State', bytesText(figures.state_bytes), '']);
  if (figures.checkpoint_bytes !== null) {
    rows.push(['Checkpoint', bytesText(figures.checkpoint_bytes), 'in the last one']);
  }
  return table(null, rows, [1]);
}

function lettersBlock(letters) {
  return letters.slice().reverse().flatMap(letter => [
    html('div', { class: 'soft' }, [letter.where, letter.topic,
      letter.time === null ? '' : new Date(letter.time * 1000).toISOString()]
      .filter(part => part !== '').join(' · ')),
    html('div', {}, letter.reason),
    letter.payload === '' ? null : html('pre', {}, letter.payload),
  ]);
}

function historyCharts(history) {
  const column = name => {
    const at = history.columns.indexOf(name);
    return history.samples.map(row => row[at]);
  };
  const ages = column('age');
  return [
    chart('Records per second', ages, [['in', column('in')], ['out', column('out')]], rateText),
    chart('Share of the time', ages, [['busy', column('busy')], ['held up', column('held_up')],
                                      ['blocked', column('blocked')]], shareText),
    chart('Queue', ages, [['fill', column('fill')]], shareText),
    chart('In flight', ages, [['in flight', column('in_flight')]], countText),
    chart('Lag of the watermark', ages, [['lag', column('lag')]], secondsText),
  ];
}

// The whole panel for a node; `history` may still be on its way.
function detailsPanel(plan, status, name, history) {
  const index = plan.nodes.findIndex(node => node.name === name);
  const node = plan.nodes[index];
  const figures = status.nodes[index];
  if (!node || !figures) return null;
  const instances = status.operators.filter(o => o.node === index);
  const facts = [node.kind, node.keyed_state ? 'keyed state' : '',
                 ...Object.entries(node.properties).map(([key, value]) => key + ' ' + value)];
  const close = html('button', { class: 'close', 'aria-label': 'Close' }, '×');
  close.addEventListener('click', () => { location.hash = ''; });
  const metrics = instances.flatMap(o => o.metrics.map(m => [m.name, String(m.value),
    instances.length > 1 ? o.name + '/' + o.worker : '']));
  const letters = status.last_dead_letters.filter(letter => letter.where === name);
  const parts = [close, html('h2', {}, name),
    html('div', { class: 'soft' }, facts.filter(fact => fact !== '').join(', ')),
    name === status.bottleneck_operator
      ? html('p', { class: 'finding bad' }, status.bottleneck) : null,
    name === status.stall_operator ? html('p', { class: 'finding waiting' }, status.stall) : null,
    figuresTable(figures), latencyChart(figures.latency)];
  const stalls = (status.stalls || []).filter(s => s.operator === name);
  if (stalls.length > 0) {
    parts.push(html('h3', {}, 'What it waits for'), ...stalls.map(s => html('p', {}, s.sentence)));
  }
  if (history !== null && history.operator === name) parts.push(...historyCharts(history));
  if (metrics.length > 0) parts.push(html('h3', {}, 'Its own metrics'), table(null, metrics, [1]));
  if (instances.length > 1) {
    parts.push(html('h3', {}, 'Instances and queue ends'),
      table(['', 'worker', 'in', 'out', 'queue'], instances.map(o => [o.name, String(o.worker),
        countText(o.records_in), countText(o.records_out),
        o.queue_fill === null ? '' : shareText(o.queue_fill)]), [1, 2, 3, 4]));
  }
  if (letters.length > 0) parts.push(html('h3', {}, 'Last dead letters'), ...lettersBlock(letters));
  return parts.filter(part => part !== null);
}
)page";

}  // namespace millrace::detail
