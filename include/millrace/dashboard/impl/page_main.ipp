// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace millrace::detail {

/// Asks once a second, while somebody looks.
inline constexpr std::string_view page_main_text = R"page(
// ---- main ------------------------------------------------------------------------------------

let plan = null;
let drawn = null;
let history = null;
let status = null;
const selected = () => decodeURIComponent(location.hash.slice(1));
const select = name => {
  location.hash = selected() === name ? '' : encodeURIComponent(name);
};

async function ask(path) {
  const response = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(5000) });
  if (!response.ok) throw new Error(path + ': ' + response.status);
  return response.json();
}

// From left to right where that is readable, else from top to bottom.
function draw() {
  const room = byId('graph').clientWidth;
  drawn = drawGraph(plan, false, select);
  if (drawn.width * 0.7 > room) drawn = drawGraph(plan, true, select);
  drawn.room = room;
  byId('graph').replaceChildren(drawn.root);
}

function showFinding(id, text) {
  byId(id).hidden = text === '';
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

function checkpointsText(all) {
  if (all === null) return '';
  const failed = all.failed === 0 ? '' : `, ${countText(all.failed)} failed`;
  const now = all.under_way === 0 ? '' : ', one is under way';
  const saved = all.save_failure !== '' ? '; no savepoint: ' + all.save_failure
    : all.saved_to !== '' ? '; saved to ' + all.saved_to : '';
  if (all.completed === 0) return 'No checkpoint yet' + failed + now;
  const last = `Checkpoint ${all.last_id}, ${secondsText(all.age)} old`;
  return `${last}: ${bytesText(all.last_bytes)} in ${secondsText(all.last_seconds)}; ` +
    `${countText(all.completed)} complete` + failed + now + saved;
}

function show() {
  if (status === null || plan === null) return;
  byId('name').textContent = document.title = status.pipeline;
  byId('state').textContent = status.state;
  byId('state').className = 'chip ' + status.state.replace(' ', '-');
  byId('summary').textContent = status.summary;
  showFinding('bottleneck', status.bottleneck);
  showFinding('stall', status.stall);
  showFinding('checkpoint', status.checkpoint);
  showFinding('checkpoints', checkpointsText(status.checkpoints));
  byId('stop').hidden = byId('savepoint').hidden = !status.writable || status.state !== 'running';
  const panel = selected() === '' ? null : detailsPanel(plan, status, selected(), history);
  byId('details').hidden = panel === null;
  byId('details').replaceChildren(...(panel || []));
  if (byId('graph').clientWidth !== drawn.room) draw();
  updateGraph(drawn, plan, status, selected());
  const letters = status.last_dead_letters;
  byId('letters').hidden = letters.length === 0 || panel !== null;
  byId('letters').replaceChildren(html('h3', {}, 'Last dead letters'),
    ...lettersBlock(letters.slice(-5)).filter(part => part !== null));
}

async function refresh() {
  try {
    const name = selected();
    const [next, past] = await Promise.all([ask('/status.json'),
      name === '' ? null : ask('/history.json?operator=' + encodeURIComponent(name))]);
    if (plan === null || plan.nodes.length !== next.nodes.length) {
      plan = await ask('/plan?format=json');
      draw();
    }
    status = next;
    history = past;
    show();
  } catch (problem) {
    byId('state').textContent = 'unreachable';
    byId('state').className = 'chip unreachable';
  }
}

async function loop() {
  if (!document.hidden) await refresh();
  setTimeout(loop, 1000);
}

function askFor(path, question) {
  byId('question').textContent = question;
  byId('answer').textContent = '';
  byId('do').onclick = async event => {
    event.preventDefault();
    const headers = { Authorization: 'Bearer ' + byId('token').value };
    const response = await fetch(path, { method: 'POST', headers });
    byId('answer').textContent = await response.text();
    if (response.ok) byId('ask').close();
    refresh();
  };
  byId('ask').showModal();
}

byId('stop').addEventListener('click',
  () => askFor('/stop', 'Sources end, what is on its way is delivered, then the pipeline ends.'));
byId('savepoint').addEventListener('click',
  () => askFor('/savepoint', 'Writes a savepoint; the pipeline goes on.'));
addEventListener('hashchange', () => { history = null; show(); refresh(); });
document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });
addEventListener('resize', () => { if (plan !== null) show(); });
loop();
)page";

}  // namespace millrace::detail
