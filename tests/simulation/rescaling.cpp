// SPDX-License-Identifier: Apache-2.0
// Every kind of operator with state goes on from a checkpoint that was taken at another
// parallelism, again and again, and gives what it gives without crashes, each result once.

#include <millrace/millrace.hpp>

#include "catch.hpp"
#include "simulation/operator_cases.hpp"

#include <span>
#include <string>

using namespace random_pipelines;

TEST_CASE("windows go on at another parallelism") {
  run({
      {"slices",
       [](const setting& s) {
         s.counts(s.keyed()
                      .window(s.given.windows)
                      .allowed_lateness(s.given.lateness)
                      .aggregate("op", sums()));
       }},
      {"records of slices",
       [](const setting& s) {
         s.keyed()
             .window(s.given.windows)
             .apply("op",
                    [](const int& key, const window& w, std::span<const window_record<event>> all) {
                      int sum = 0;
                      for (const auto& r : all) sum += r.value.value;
                      return text(key) + " " + text(w) + " " + text(sum);
                    })
             .to("out", s.out);
       }},
      {"sessions",
       [](const setting& s) {
         s.counts(s.keyed()
                      .window(session{duration{25}})
                      .allowed_lateness(s.given.lateness)
                      .aggregate("op", sums()));
       }},
      {"triggers",
       [](const setting& s) {
         s.counts(s.keyed()
                      .window(s.given.windows)
                      .trigger(on_count{3})
                      .evictor(count_evictor{4})
                      .aggregate("op", sums()));
       }},
      {"global windows",
       [](const setting& s) {
         s.counts(s.keyed().window(global{}).trigger(purging(on_count{4})).aggregate("op", sums()));
       }},
      {"windows of records counted",
       [](const setting& s) {
         s.counts(s.keyed().window(count_window{.size = 5, .slide = 2}).aggregate("op", sums()));
       }},
      {"the best of windows",
       [](const setting& s) {
         auto results = s.keyed().window(s.given.windows).aggregate("op", sums());
         using result = typename decltype(results)::value_type;
         results
             .top_of_windows("top", [](const result& r) { return std::get<1>(r.value); }, {.n = 3})
             .map([](const ranked<result>& r) {
               return std::to_string(r.rank) + " " + text(r.value.key) + " " + text(r.value.window);
             })
             .to("out", s.out);
       }},
  });
}

TEST_CASE("joins go on at another parallelism") {
  run({
      {"interval",
       [](const setting& s) {
         auto [l, r] = s.both();
         s.pairs(l.interval_join<join_kind::full>("op", r, {duration{-20}, duration{30}}));
       }},
      {"window",
       [](const setting& s) {
         auto [l, r] = s.both();
         s.pairs(l.window_join<join_kind::full>("op", r, s.given.windows, s.given.lateness));
       }},
      {"session window",
       [](const setting& s) {
         auto [l, r] = s.both();
         s.pairs(l.window_join<join_kind::full>("op", r, session{duration{15}}));
       }},
      {"as of",
       [](const setting& s) {
         auto [l, r] = s.both();
         s.pairs(l.as_of_join<join_kind::left>(
             "op", r, {.direction = as_of::nearest, .tolerance = duration{40}}));
       }},
      {"temporal",
       [](const setting& s) {
         auto [l, r] = s.both();
         s.pairs(l.temporal_join<join_kind::left>("op", r, {.valid_for = duration{90}}));
       }},
      {"latest",
       [](const setting& s) {
         auto [l, r] = s.both();
         s.pairs(l.join_latest("op", r, {.without_partner = s.given.without_partner}));
       }},
      {"latest, left",
       [](const setting& s) {
         auto [l, r] = s.both();
         s.pairs(l.left_join_latest("op", r));
       }},
  });
}
