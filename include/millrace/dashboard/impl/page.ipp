// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/dashboard/detail/page.hpp>
#include <millrace/dashboard/impl/page_details.ipp>
#include <millrace/dashboard/impl/page_graph.ipp>
#include <millrace/dashboard/impl/page_main.ipp>
#include <millrace/dashboard/impl/page_style.ipp>

#include <string_view>

namespace millrace::detail {

inline constexpr std::string_view page_html_text = R"page(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>millrace</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/page.css">
</head>
<body>
<header>
  <h1 id="name">millrace</h1>
  <span id="state" class="chip">connecting</span>
  <span id="summary"></span>
  <span class="actions">
    <button id="savepoint" hidden>Savepoint</button>
    <button id="stop" hidden>Stop</button>
  </span>
</header>
<p id="bottleneck" class="finding bad" role="status" hidden></p>
<p id="stall" class="finding waiting" role="status" hidden></p>
<p id="checkpoint" class="finding waiting" role="status" hidden></p>
<p id="checkpoints" class="soft" hidden></p>
<main>
  <section id="graph" aria-label="Graph of the pipeline"></section>
  <aside id="details" aria-label="Operator" hidden></aside>
</main>
<section id="letters" hidden></section>
<dialog id="ask">
  <form method="dialog">
    <p id="question"></p>
    <label>Token <input id="token" type="password" autocomplete="off"></label>
    <p id="answer" role="alert"></p>
    <button value="cancel">Cancel</button> <button id="do" value="do">Do it</button>
  </form>
</dialog>
<footer>
  <a href="/metrics">metrics</a> <a href="/status.json">status</a>
  <a href="/plan">plan</a> <a href="/plan?format=mermaid">mermaid</a>
  <a href="/plan?format=dot">dot</a> <a href="/ready">ready</a>
</footer>
<noscript>This page needs JavaScript; /metrics and /plan do not.</noscript>
<script src="/page.js"></script>
</body>
</html>
)page";

MILLRACE_DECL std::string page_html() { return std::string(page_html_text); }

MILLRACE_DECL std::string page_style() { return std::string(page_style_text); }

MILLRACE_DECL std::string page_script() {
  return std::string(page_graph_text).append(page_details_text).append(page_main_text);
}

}  // namespace millrace::detail
