// SPDX-License-Identifier: Apache-2.0
/// \file
/// A real mosquitto, for the time of a measurement. For one thread.
#pragma once

#include "harness/process.hpp"
#include "replayer/replayer.hpp"

#include <pwd.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>

namespace bench {

/// A mosquitto with its own configuration, on a free port.
class broker_process {
 public:
  broker_process() {
    folder_ =
        std::filesystem::temp_directory_path() / ("millrace-bench-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
    { port_ = replayer::server().port(); }
    const passwd* user = getpwuid(geteuid());
    std::ofstream(folder_ / "mosquitto.conf")
        << "listener " << port_ << " 127.0.0.1\nallow_anonymous true\nlog_dest none\nuser "
        << (user == nullptr ? "root" : user->pw_name) << "\n";
    for (const char* path : {"/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"}) {
      if (!std::filesystem::exists(path)) continue;
      process_.emplace(child::of_program({path, "-c", (folder_ / "mosquitto.conf").string()}));
      break;
    }
    if (!process_) throw std::runtime_error("no mosquitto (Debian's package: mosquitto)");
    replayer::connect_to(port_);
  }
  broker_process(const broker_process&) = delete;
  broker_process& operator=(const broker_process&) = delete;
  ~broker_process() {
    process_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  std::uint16_t port() const noexcept { return port_; }
  std::uint64_t processor_time() const { return processor_time_of(process_->id()); }

 private:
  std::filesystem::path folder_;
  std::uint16_t port_ = 0;
  std::optional<child> process_;
};

}  // namespace bench
