// SPDX-License-Identifier: Apache-2.0

#include "local_models.hpp"

#include <atomic>
#include <memory>

namespace bike_stations {

using namespace std::chrono_literals;
using millrace::testing::served_request;
using millrace::testing::served_response;

namespace {

/// No intelligence is needed to show the plumbing: a number that depends on the request.
std::string verdict(const served_request& request, const char* model) {
  std::size_t sum = 0;
  for (const char c : request.body) sum = sum * 31 + static_cast<unsigned char>(c);
  return std::string(R"({"model":")") + model + R"(","score":)" + std::to_string(sum % 1000) + "}";
}

}  // namespace

local_models::local_models(std::chrono::milliseconds newcomer_after)
    : newcomer_at_(std::chrono::steady_clock::now() + newcomer_after),
      weather_delay_(std::make_shared<std::atomic<std::chrono::milliseconds>>(40ms)) {
  quick_.route("POST", "/demand", [](const served_request& r) {
    return served_response{.body = verdict(r, "demand")};
  });
  slow_.route("POST", "/weather", [delay = weather_delay_](const served_request& r) {
    return served_response{.body = verdict(r, "weather"), .delay = delay->load()};
  });
  auto calls = std::make_shared<std::atomic<int>>(0);
  moody_.route("POST", "/repair", [calls](const served_request& r) {
    if (++*calls % 50 == 0) return served_response{.status = 503, .body = "not now"};
    return served_response{.body = verdict(r, "repair"), .delay = 2ms};
  });
  newcomer_.route("POST", "/battery", [](const served_request& r) {
    return served_response{.body = verdict(r, "battery"), .delay = 1ms};
  });
  registry_.route("GET", "/models", [this](const served_request&) {
    return served_response{.body = list(std::chrono::steady_clock::now() >= newcomer_at_)};
  });
}

std::string local_models::registry_url() const { return registry_.url("/models"); }

std::string local_models::list(bool with_newcomer) const {
  std::string out = R"({"endpoints":[{"demand":")" + quick_.url("/demand") + R"("},{"weather":")" +
                    slow_.url("/weather") + R"("},{"repair":")" + moody_.url("/repair") + R"("})";
  if (with_newcomer) {
    out += R"(,{"battery":")" + newcomer_.url("/battery") + R"(","types":"ebike_station"})";
  }
  return out + "]}";
}

}  // namespace bike_stations
