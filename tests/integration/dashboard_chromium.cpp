// SPDX-License-Identifier: Apache-2.0
// The dashboard of the running bike-station demo in a headless Chromium: what a person would see.
// With MILLRACE_SCREENSHOTS=FOLDER it leaves the pictures of the documentation there.
#include "city_pipeline.hpp"
#include "local_models.hpp"
#include "simulated_city.hpp"

#include <millrace/dashboard/dashboard.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/mqtt_broker.hpp>

#include "catch.hpp"
#include "support/browser.hpp"

#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>

using namespace millrace;
using namespace std::chrono_literals;
using millrace::testing::browser;

namespace {

/// The demo as examples/bike_stations runs it, with room for a slow model to be noticed.
struct demo {
  testing::mqtt_broker broker;
  bike_stations::local_models models{60s};
  pipeline p{"bike-stations"};
  testing::temporary_directory folder;
  std::optional<dashboard> board;
  std::optional<bike_stations::simulated_city> city;

  demo() {
    bike_stations::options o;
    o.broker = broker.url();
    o.models = models.registry_url();
    o.models_every = 1s;
    o.output = folder.path();
    o.in_flight = 64;
    o.parallelism = 2;
    o.window_size = 3s;
    o.window_slide = 1s;
    p.parallelism(o.parallelism);
    bike_stations::add_outputs(p, bike_stations::assemble(p, o), o);
    p.start();
    board.emplace(p, dashboard_options{.port = 0, .token = "a token of some length"});
    while (broker.statistics().subscriptions == 0 && !p.ended()) std::this_thread::sleep_for(5ms);
    city.emplace(broker, bike_stations::city_options{200, 400, 1});
  }
  ~demo() {
    models.set_weather_delay(1ms);
    city->stop();
    p.cancel();
  }
};

std::set<std::string> lines(const std::string& text) {
  std::set<std::string> all;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) all.insert(line);
  return all;
}

/// Takes a picture if pictures are wanted.
void picture(browser& page, const std::string& name) {
  if (const char* folder = std::getenv("MILLRACE_SCREENSHOTS")) {
    page.screenshot(std::string(folder) + "/" + name + ".png");
  }
}

/// The number of records that a node of the graph has taken in, from the open details.
constexpr const char* records_in =
    "return document.querySelector('#details td.number').textContent";

}  // namespace

TEST_CASE(
    "in a browser the demo's graph is complete, its numbers move, and a click opens details") {
  if (const auto missing = browser::missing(); !missing.empty()) MILLRACE_SKIP(missing);
  demo d;
  browser page;
  page.prefer("light");
  page.resize(1400, 1450);
  page.open(d.board->url());
  REQUIRE(page.wait_for("return document.querySelectorAll('.node').length > 0"));

  std::set<std::string> names;
  for (const auto& node : d.p.plan().nodes) names.insert(node.name);
  CHECK(lines(page.run("return [...document.querySelectorAll('.node')]"
                       ".map(n => n.dataset.name).join('\\n')")) == names);
  CHECK(page.run("return document.querySelectorAll('.edge').length") != "0");
  CHECK(page.run("return document.getElementById('state').textContent") == "running");
  CHECK(page.run("return document.title") == "bike-stations");

  const auto rate = "return document.querySelector('[data-name=stations] .rate').textContent";
  REQUIRE(page.wait_for(std::string(rate) + " !== '0/s'"));
  CHECK(
      page.wait_for("return document.getElementById('summary').textContent.includes('per second "
                    "from the sources')"));

  CHECK(page.run("return document.getElementById('details').hidden") == "true");
  page.click("[data-name=score]");
  REQUIRE(page.wait_for("return !document.getElementById('details').hidden"));
  CHECK(page.run("return document.querySelector('#details h2').textContent") == "score");
  const auto first = page.run(records_in);
  CHECK(page.wait_for(std::string(records_in) + " !== '" + first + "'"));
  CHECK(page.wait_for("return document.querySelectorAll('#details .chart').length >= 4"));
  CHECK(
      page.wait_for("return document.querySelector('#details').textContent"
                    ".includes('calls{lane=weather}')"));
  CHECK(page.run("return document.querySelector('#details .soft').textContent"
                 ".includes('in flight 64 per lane')") == "true");
  std::this_thread::sleep_for(std::getenv("MILLRACE_SCREENSHOTS") == nullptr ? 0s : 25s);
  picture(page, "dashboard_operator");
  page.click("#details .close");
  CHECK(page.wait_for("return document.getElementById('details').hidden"));

  // Broken reports are part of the simulated city.
  CHECK(page.wait_for("return document.getElementById('letters').textContent.length > 100"));
  picture(page, "dashboard");
  page.prefer("dark");
  picture(page, "dashboard_dark");

  page.resize(390, 1000);
  REQUIRE(
      page.wait_for("return document.querySelector('svg.graph').getBoundingClientRect().width "
                    "<= 390"));
  CHECK(page.run("return document.documentElement.scrollWidth <= 390") == "true");
  CHECK(lines(page.run("return [...document.querySelectorAll('.node')]"
                       ".map(n => n.dataset.name).join('\\n')")) == names);
  picture(page, "dashboard_phone");
  CHECK(page.console_errors().find("SEVERE") == std::string::npos);
}

TEST_CASE(
    "in a browser the bottleneck is named when a model becomes slow, and not any more later") {
  if (const auto missing = browser::missing(); !missing.empty()) MILLRACE_SKIP(missing);
  demo d;
  browser page;
  page.resize(1000, 900);
  page.open(d.board->url());
  const std::string sentence = "document.getElementById('bottleneck').textContent";
  REQUIRE(page.wait_for("return document.querySelectorAll('.node').length > 0"));
  REQUIRE(
      page.wait_for("return document.getElementById('bottleneck').hidden && "
                    "document.querySelector('[data-name=score] .rate').textContent !== '0/s'"));
  d.models.set_weather_delay(1900ms);
  REQUIRE(page.wait_for("return " + sentence + ".startsWith('score is the bottleneck: ') && " +
                        sentence + ".includes('weather answers in 1.9 s')"));
  // 64 on each of the two workers.
  CHECK(page.run("return / of (64|128) requests in flight, /.test(" + sentence + ")") == "true");
  CHECK(page.run("return document.querySelector('.node.bottleneck').dataset.name") == "score");
  CHECK(page.run("return document.getElementById('bottleneck').hidden") == "false");
  picture(page, "dashboard_bottleneck");
  d.models.set_weather_delay(1ms);
  CHECK(page.wait_for("return document.getElementById('bottleneck').hidden"));
}

TEST_CASE("in a browser the pipeline is stopped with the token, and not without") {
  if (const auto missing = browser::missing(); !missing.empty()) MILLRACE_SKIP(missing);
  demo d;
  browser page;
  page.open(d.board->url());
  REQUIRE(page.wait_for("return !document.getElementById('stop').hidden"));
  page.click("#stop");
  page.click("#do");
  REQUIRE(page.wait_for("return document.getElementById('answer').textContent.includes('token')"));
  CHECK_FALSE(d.p.status().stopping);
  page.run("document.getElementById('token').value = 'a token of some length'");
  page.click("#do");
  REQUIRE(page.wait_for("return document.getElementById('state').textContent !== 'running'"));
  CHECK(d.p.status().stopping);
}
