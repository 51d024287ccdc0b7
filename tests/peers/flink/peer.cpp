// SPDX-License-Identifier: Apache-2.0
// The library's side of the comparison with Flink: makes random scripts, and runs them.
//
//   flink_peer generate FOLDER COUNT SEED    writes COUNT files *.script
//   flink_peer run FOLDER                    writes a file *.millrace for each, lines sorted
//
// A script is a stream in which every watermark has its place:
//
//   job NAME                                 tumbling, sliding, session, timers, ...
//   set PARAMETER NUMBER
//   record INPUT TIME KEY VALUE ID
//   watermark INPUT TIME

#include "peer.hpp"

#include "oracle/random_stream.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace peer {

namespace {

void generate(const std::string& job, std::uint64_t seed, const fs::path& file) {
  oracle::random_source random(seed);
  script s{job, {}, {}};
  const bool two = job == "interval_join" || job == "broadcast";
  const auto set = [&](const char* name, std::int64_t value) { s.parameters[name] = value; };
  const auto size = random.between(1, 60);
  set("size", size);
  set("slide", random.between(1, size));
  set("offset", random.between(-size + 1, size - 1));
  if (job == "sliding") set("offset", random.between(0, s.get("slide") - 1));
  set("gap", random.between(1, 25));
  set("lateness", random.one_in(2) ? 0 : random.between(1, 60));
  set("lower", random.between(-30, 10));
  set("upper", random.between(s.get("lower"), 30));
  const bool wide = s.get("upper") - s.get("lower") > 1;
  set("lower_exclusive", wide && random.one_in(3) ? 1 : 0);
  set("upper_exclusive", wide && random.one_in(3) ? 1 : 0);
  set("ahead", random.between(0, 40));
  set("behind", random.between(0, 40));
  set("again", random.between(1, 30));
  auto shape = oracle::random_shape(random);
  shape.records = static_cast<int>(random.between(20, 150));
  shape.start = random.between(-400, 400);  // the clocks have different ticks: no ends of time
  std::int64_t clock[2] = {shape.start, shape.start};
  std::int64_t watermark[2] = {INT64_MIN, INT64_MIN};
  for (int i = 0; i < shape.records; ++i) {
    const int input = two ? static_cast<int>(random.below(2)) : 0;
    clock[input] += random.between(0, shape.step);
    if (random.one_in(30)) clock[input] += shape.step * 20;
    s.items.push_back({.input = input,
                       .key = static_cast<int>(random.below(shape.keys)),
                       .time = clock[input] - random.between(0, shape.disorder),
                       .value = static_cast<int>(random.between(job == "broadcast" ? -30 : 0, 100)),
                       .id = i});
    if (!random.one_in(shape.watermark_every)) continue;
    const auto next = clock[input] - shape.lag - 1;
    if (next <= watermark[input]) continue;
    watermark[input] = next;
    s.items.push_back({.input = input, .mark = true, .time = next});
  }
  std::ofstream out(file);
  out << "job " << s.job << '\n';
  for (const auto& [name, value] : s.parameters) out << "set " << name << ' ' << value << '\n';
  for (const auto& e : s.items) {
    if (e.mark) {
      out << "watermark " << e.input << ' ' << e.time << '\n';
    } else {
      out << "record " << e.input << ' ' << e.time << ' ' << e.key << ' ' << e.value << ' ' << e.id
          << '\n';
    }
  }
}

script read(const fs::path& file) {
  script s;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string kind;
    words >> kind;
    if (kind == "job") {
      words >> s.job;
    } else if (kind == "set") {
      std::string name;
      words >> name;
      words >> s.parameters[name];
    } else {
      item e;
      e.mark = kind == "watermark";
      words >> e.input >> e.time;
      if (!e.mark) words >> e.key >> e.value >> e.id;
      s.items.push_back(e);
    }
  }
  return s;
}

int run(const fs::path& folder) {
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".script") continue;
    const script s = read(entry.path());
    auto lines = run_one(s);
    if (!lines) {
      std::fprintf(stderr, "%s: unknown job %s\n", entry.path().c_str(), s.job.c_str());
      return 2;
    }
    std::sort(lines->begin(), lines->end());
    std::ofstream out(fs::path(entry.path()).replace_extension(".millrace"));
    for (const auto& line : *lines) out << line << '\n';
    ++files;
  }
  std::printf("%d scripts\n", files);
  return files > 0 ? 0 : 2;
}

}  // namespace

}  // namespace peer

int main(int argc, char** argv) {
  const std::string what = argc > 2 ? argv[1] : "";
  if (what == "run") return peer::run(argv[2]);
  if (what != "generate" || argc != 5) {
    std::fprintf(stderr, "usage: flink_peer generate FOLDER COUNT SEED | run FOLDER\n");
    return 2;
  }
  fs::create_directories(argv[2]);
  const int count = std::stoi(argv[3]);
  const auto seed = std::stoull(argv[4]);
  for (int i = 0; i < count; ++i) {
    const auto& job = peer::jobs[static_cast<std::size_t>(i) % peer::jobs.size()];
    char name[64];
    std::snprintf(name, sizeof name, "%s_%04d.script", job.c_str(), i);
    peer::generate(job, seed + static_cast<std::uint64_t>(i), fs::path(argv[2]) / name);
  }
  return 0;
}
