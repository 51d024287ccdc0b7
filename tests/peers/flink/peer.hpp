// SPDX-License-Identifier: Apache-2.0
/// \file
/// A random stream and what is to be done with it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace peer {

/// A record, or a watermark of its input.
struct item {
  int input = 0;
  bool mark = false;
  int key = 0;
  std::int64_t time = 0;
  int value = 0;
  int id = 0;
};

struct script {
  std::string job;
  std::map<std::string, std::int64_t> parameters;
  std::vector<item> items;

  std::int64_t get(const std::string& name) const { return parameters.at(name); }
};

/// What can be compared.
extern const std::vector<std::string> jobs;

/// What comes out, a line for each result; nothing when the job is unknown.
std::optional<std::vector<std::string>> run_one(const script& s);

}  // namespace peer
