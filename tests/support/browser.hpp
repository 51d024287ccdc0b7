// SPDX-License-Identifier: Apache-2.0
/// \file
/// A headless Chromium, driven through ChromeDriver by the WebDriver protocol (W3C). `missing()`
/// says what is not installed. Not thread safe.
#pragma once

#include "support/child_process.hpp"
#include "support/raw_client.hpp"
#include "support/temporary_directory.hpp"

#include <millrace/codec/json_writer.hpp>

#include <simdjson.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

namespace millrace::testing {

class browser {
 public:
  /// Empty if everything is there; else what to install.
  static std::string missing() {
    if (run_program({"chromedriver", "--version"}, std::chrono::seconds{30}) != 0) {
      return "no chromedriver: apt install chromium chromium-driver";
    }
    if (run_program({"chromium", "--version"}, std::chrono::seconds{60}) != 0) {
      return "no chromium: apt install chromium chromium-driver";
    }
    return {};
  }

  browser() : driver_({"chromedriver", "--port=0", "--log-level=WARNING"}, folder_.file("log")) {
    constexpr std::string_view announcement = "successfully on port ";
    while (port_ == 0) {
      const auto line = driver_.read_line(std::chrono::seconds{60});
      if (!line) throw std::runtime_error("chromedriver does not start: " + folder_.read("log"));
      const auto at = line->find(announcement);
      if (at == std::string::npos) continue;
      port_ = static_cast<std::uint16_t>(std::stoi(line->substr(at + announcement.size())));
    }
    const auto made = command(
        "POST", "/session",
        R"({"capabilities":{"alwaysMatch":{"browserName":"chrome","goog:chromeOptions":{"args":[)"
        R"("--headless=new","--no-sandbox","--disable-gpu","--disable-dev-shm-usage",)"
        R"("--hide-scrollbars","--window-size=1400,900","--user-data-dir=)" +
            folder_.file("profile") + R"("]}}}})");
    session_ = "/session/" + text_at(made, "/value/sessionId");
  }
  ~browser() {
    try {
      command("DELETE", session_, "");
    } catch (const std::exception&) {  // it is killed with its driver then
    }
    driver_.signal(SIGTERM);
    driver_.wait(std::chrono::seconds{10});
  }

  void open(const std::string& url) { post("/url", "url", url); }

  /// Runs the body of a function in the page; what it returns, as text.
  std::string run(std::string_view script) {
    std::string body;
    json_writer w(body);
    w.begin_object().member("script", "return String((() => {" + std::string(script) + "})())");
    w.key("args").begin_array().end_array().end_object();
    return text_at(command("POST", session_ + "/execute/sync", body), "/value");
  }

  /// Waits until a script returns "true".
  bool wait_for(std::string_view script, std::chrono::seconds patience = std::chrono::seconds{30}) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (run(script) != "true") {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds{100});
    }
    return true;
  }

  /// A click as a person makes it, into the middle of the element.
  void click(const std::string& selector) {
    std::string body;
    json_writer w(body);
    w.begin_object().member("using", "css selector").member("value", selector).end_object();
    const auto found = command("POST", session_ + "/element", body);
    // The key is fixed by the protocol.
    const auto id = text_at(found, "/value/element-6066-11e4-a52e-4f735466cecf");
    command("POST", session_ + "/element/" + id + "/click", "{}");
  }

  void resize(int width, int height) {
    cdp("Emulation.setDeviceMetricsOverride", R"({"width":)" + std::to_string(width) +
                                                  R"(,"height":)" + std::to_string(height) +
                                                  R"(,"deviceScaleFactor":1,"mobile":false})");
  }

  /// "light" or "dark"
  void prefer(const std::string& scheme) {
    cdp("Emulation.setEmulatedMedia",
        R"({"features":[{"name":"prefers-color-scheme","value":")" + scheme + R"("}]})");
  }

  void screenshot(const std::string& path) {
    const auto coded = text_at(command("GET", session_ + "/screenshot", ""), "/value");
    std::ofstream out(path, std::ios::binary);
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : coded) {
      const auto digit = base64.find(c);
      if (digit == std::string_view::npos) break;
      bits = bits << 6U | static_cast<std::uint32_t>(digit);
      count += 6;
      if (count < 8) continue;
      count -= 8;
      out.put(static_cast<char>(bits >> static_cast<unsigned>(count) & 0xFFU));
    }
  }

  /// Errors that the page has written to the console, such as breaches of its own policy.
  std::string console_errors() {
    return command("POST", session_ + "/se/log", R"({"type":"browser"})");
  }

 private:
  static constexpr std::string_view base64 =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

  void post(const std::string& path, std::string_view name, std::string_view value) {
    std::string body;
    json_writer(body).begin_object().member(name, value).end_object();
    command("POST", session_ + path, body);
  }

  void cdp(std::string_view name, std::string_view parameters) {
    std::string body;
    json_writer w(body);
    w.begin_object().member("cmd", name).key("params").raw(parameters).end_object();
    command("POST", session_ + "/goog/cdp/execute", body);
  }

  std::string command(const std::string& method, const std::string& path, const std::string& body) {
    raw_client client(port_, 0, 120);
    client.send(method + " " + path + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port_) +
                "\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body);
    const auto response = client.read_response();
    if (status_of(response) != 200) {
      throw std::runtime_error(method + " " + path + ": " + response.substr(0, 2000));
    }
    return body_of(response);
  }

  static std::string text_at(const std::string& document, std::string_view pointer) {
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    std::string_view text;
    if (parser.parse(document).get(root) != simdjson::SUCCESS ||
        root.at_pointer(pointer).get(text) != simdjson::SUCCESS) {
      throw std::runtime_error("no text at " + std::string(pointer) + " in " +
                               document.substr(0, 500));
    }
    return std::string(text);
  }

  temporary_directory folder_;
  child_process driver_;
  std::uint16_t port_ = 0;
  std::string session_;
};

}  // namespace millrace::testing
