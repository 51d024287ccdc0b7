// SPDX-License-Identifier: Apache-2.0
// The rules of the house that a program can check: tidy <source folder> <rule>. Prints a line
// "file:line: what is wrong" for each breach, and fails if there is one. It reads files with
// regular expressions; a rule that needs a compiler is no rule for this place.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

struct source_file {
  std::string path;    // relative to the source folder, with '/'
  std::string header;  // as it is included, "millrace/base/time.hpp", if it lies in include/
  std::vector<std::string> lines;
};

struct inclusion {
  std::size_t line;
  std::string what;
};

bool starts_with(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

class project {
 public:
  explicit project(const fs::path& root) {
    for (const char* folder :
         {"include", "tests", "examples", "benchmarks", "docs", ".ci", ".cmake"}) {
      if (!fs::exists(root / folder)) continue;
      for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
        if (entry.is_regular_file()) read(root, entry.path());
      }
    }
    for (const auto& entry : fs::directory_iterator(root)) {
      if (entry.is_regular_file()) read(root, entry.path());
    }
    std::sort(files_.begin(), files_.end(),
              [](const auto& a, const auto& b) { return a.path < b.path; });
  }

  const std::vector<source_file>& files() const { return files_; }

  void complain(const source_file& file, std::size_t line, const std::string& what) {
    std::printf("%s:%zu: %s\n", file.path.c_str(), line, what.c_str());
    ++breaches_;
  }

  int breaches() const { return breaches_; }

 private:
  void read(const fs::path& root, const fs::path& path) {
    static const std::set<std::string> text = {".hpp", ".ipp", ".cpp",  ".cmake", ".in", ".txt",
                                               ".md",  ".sh",  ".json", ".toml",  ""};
    if (text.count(path.extension().string()) == 0) return;
    if (path.string().find("/fuzz/corpus/") != std::string::npos) return;
    source_file file;
    file.path = fs::relative(path, root).generic_string();
    if (starts_with(file.path, "include/")) file.header = file.path.substr(8);
    std::ifstream in(path, std::ios::binary);
    for (std::string line; std::getline(in, line);) file.lines.push_back(line);
    files_.push_back(std::move(file));
  }

  std::vector<source_file> files_;
  int breaches_ = 0;
};

bool is_library(const source_file& file) {
  return !file.header.empty() && (ends_with(file.path, ".hpp") || ends_with(file.path, ".ipp"));
}

bool is_cpp(const source_file& file) {
  return ends_with(file.path, ".hpp") || ends_with(file.path, ".ipp") ||
         ends_with(file.path, ".cpp");
}

// What a file includes, except .ipp and what they need in header-only mode if `compiled_only`.
std::vector<inclusion> inclusions(const source_file& file, bool compiled_only = false) {
  static const std::regex pattern(R"(^\s*#\s*include\s*[<"]([^>"]+)[>"])");
  std::vector<inclusion> found;
  std::smatch match;
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    if (compiled_only && file.lines[i] == "#if defined(MILLRACE_HEADER_ONLY)") break;
    if (std::regex_search(file.lines[i], match, pattern)) found.push_back({i + 1, match[1]});
  }
  return found;
}

// "millrace/net/url.hpp" -> "net"; files directly in millrace/ have the layer "".
std::string layer_of(const std::string& header) {
  const auto begin = header.find('/') + 1;
  const auto end = header.find('/', begin);
  return end == std::string::npos ? "" : header.substr(begin, end - begin);
}

// Rule: a layer includes only what stands to its left (docs/architecture.md).
void check_layers(project& all) {
  static const std::map<std::string, std::set<std::string>> allowed = {
      {"base", {"base"}},
      {"record", {"base", "record"}},
      {"codec", {"base", "record", "codec"}},
      {"state", {"base", "record", "state"}},
      {"windows", {"base", "record", "state", "windows"}},  // they save their own layout
      {"operators", {"base", "record", "codec", "state", "windows", "operators"}},
      {"runtime", {"base", "record", "codec", "state", "windows", "operators", "runtime"}},
      {"dsl", {"base", "record", "codec", "state", "windows", "operators", "runtime", "dsl"}},
      {"dashboard",  // it looks at a pipeline from outside; nothing of the library includes it
       {"base", "record", "codec", "state", "windows", "operators", "runtime", "dsl", "net",
        "dashboard"}},
      {"net", {"base", "net"}},
      {"connectors", {"base", "record", "codec", "net", "connectors"}},
      {"testing",
       {"base", "record", "codec", "state", "windows", "operators", "runtime", "dsl", "net",
        "connectors", "testing"}},
  };
  static const std::set<std::string> doors = {"millrace/operators/source.hpp",
                                              "millrace/operators/sink.hpp"};
  for (const auto& file : all.files()) {
    if (!is_library(file)) continue;
    const auto from = layer_of(file.header);
    if (from.empty()) continue;  // millrace.hpp and src.hpp gather everything
    const auto rule = allowed.find(from);
    if (rule == allowed.end()) {
      all.complain(file, 1, "the layer '" + from + "' is not in the list of layers");
      continue;
    }
    for (const auto& [line, what] : inclusions(file)) {
      if (!starts_with(what, "millrace/")) continue;
      if (from == "connectors" && doors.count(what) != 0) continue;
      if (rule->second.count(layer_of(what)) == 0) {
        all.complain(file, line, "a file of '" + from + "' must not include " + what);
      }
    }
  }
}

// Rule: a header or .ipp has at most 400 lines, a line at most 100 columns (UTF-8 characters).
void check_lengths(project& all) {
  for (const auto& file : all.files()) {
    if (is_library(file) && file.lines.size() > 400 && file.header != "millrace/src.hpp") {
      all.complain(file, 401, "more than 400 lines; split it by idea");
    }
    if (!is_cpp(file)) continue;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const auto& line = file.lines[i];
      const auto columns = std::count_if(line.begin(), line.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
      });
      if (columns > 100) all.complain(file, i + 1, "longer than 100 columns");
    }
  }
}

// Rule: SPDX line first, `#pragma once`, a file comment, no tabs, no trailing blanks.
void check_form(project& all) {
  const std::string spdx = "SPDX-License-Identifier: Apache-2.0";
  for (const auto& file : all.files()) {
    const auto has = [&file](const std::string& text) {
      return std::any_of(file.lines.begin(), file.lines.end(), [&](const std::string& line) {
        return line.find(text) != std::string::npos;
      });
    };
    if (is_cpp(file)) {
      if (file.lines.empty() || file.lines[0] != "// " + spdx) {
        all.complain(file, 1, "the first line must be // " + spdx);
      }
      if (!ends_with(file.path, ".cpp") && !has("#pragma once")) {
        all.complain(file, 1, "#pragma once is missing");
      }
      if (ends_with(file.path, ".hpp") && is_library(file) && !has("/// \\file")) {
        all.complain(file, 1, "the comment '/// \\file' that says what it is for is missing");
      }
    } else if (ends_with(file.path, ".cmake") || ends_with(file.path, "CMakeLists.txt") ||
               ends_with(file.path, ".sh")) {
      if (file.lines.size() < 2 ||
          (file.lines[0] + file.lines[1]).find(spdx) == std::string::npos) {
        all.complain(file, 1, "the SPDX line is missing");
      }
    }
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const auto& line = file.lines[i];
      if (!line.empty() && (line.back() == ' ' || line.back() == '\r' || line.back() == '\t')) {
        all.complain(file, i + 1, "blank at the end of the line");
      }
      if (is_cpp(file) && line.find('\t') != std::string::npos) all.complain(file, i + 1, "tab");
    }
  }
}

// Rule: the library never prints, exits or aborts. The console connector prints.
void check_printing(project& all) {
  static const std::regex pattern(
      R"(std::(cout|cerr|clog)\b|\bf?printf\s*\(|\bputs\s*\(|fmt::print\b|)"
      R"(#\s*include\s*<iostream>|)"
      R"((^|[^\w.>:])(std::)?(exit|_exit|quick_exit|abort|terminate)\s*\()");
  static const std::regex comment(R"(^\s*//|^\s*\*)");
  for (const auto& file : all.files()) {
    if (!is_library(file) || starts_with(file.header, "millrace/connectors/console")) continue;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const auto code = file.lines[i].substr(0, file.lines[i].find("//"));
      if (!std::regex_search(file.lines[i], comment) && std::regex_search(code, pattern)) {
        all.complain(file, i + 1, "the library does not print, exit or abort");
      }
    }
  }
}

// Rule: no marks of unfinished work, and no paths of the machine it was written on.
void check_marks(project& all) {
  // Put together, so that this file does not break its own rule.
  static const std::regex marks(
      "\\b(TO"
      "DO|FIX"
      "ME|XX"
      "X)\\b");
  static const std::regex paths(
      "(^|[^\\w.)}$])/(work|root|mnt|opt/boost\\d*)/"
      "\\w|/home/"
      "\\w");
  for (const auto& file : all.files()) {
    if (file.path == "LICENSE") continue;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      if (std::regex_search(file.lines[i], marks)) {
        all.complain(file, i + 1, "mark of unfinished work");
      }
      if (std::regex_search(file.lines[i], paths)) {
        all.complain(file, i + 1, "path of somebody's machine");
      }
    }
  }
}

// Rule: src.hpp includes every .ipp, and some header brings it along under MILLRACE_HEADER_ONLY.
void check_sources(project& all) {
  std::map<std::string, std::vector<inclusion>> graph;
  for (const auto& file : all.files()) {
    if (is_library(file)) graph[file.header] = inclusions(file);
  }
  std::set<std::string> in_src;
  for (const auto& found : graph["millrace/src.hpp"]) in_src.insert(found.what);
  std::set<std::string> reached;
  const std::function<void(const std::string&)> visit = [&](const std::string& header) {
    if (!reached.insert(header).second || graph.count(header) == 0) return;
    for (const auto& next : graph[header]) visit(next.what);
  };
  for (const auto& file : all.files()) {
    if (is_library(file) && ends_with(file.path, ".hpp") && file.header != "millrace/src.hpp") {
      visit(file.header);
    }
  }
  for (const auto& file : all.files()) {
    if (!is_library(file) || !ends_with(file.path, ".ipp")) continue;
    if (file.path.find("/impl/") == std::string::npos) {
      all.complain(file, 1, "an .ipp belongs into a folder impl/");
    }
    if (in_src.count(file.header) == 0) {
      all.complain(file, 1, "src.hpp does not include it; run .ci/update-src.sh");
    }
    if (reached.count(file.header) == 0) {
      all.complain(file, 1, "no header includes it under MILLRACE_HEADER_ONLY");
    }
  }
}

// Headers that are meant to bring Asio, Beast, simdjson or OpenSSL along, and say so.
const std::set<std::string>& heavy_by_design() {
  static const std::set<std::string> headers = {
      "millrace/base/asio.hpp",
      "millrace/net/dial.hpp",
      "millrace/net/http_awaitable.hpp",
      "millrace/net/tls_context.hpp",
      "millrace/net/transport_awaitable.hpp",
      "millrace/operators/awaitable.hpp",
      "millrace/src.hpp",
  };
  return headers;
}

// Rule: a public header that is not heavy by design reaches no heavy header, on whatever way. What
// lies in a folder detail/ is not public.
void check_weight(project& all) {
  static const std::regex heavy(R"(^(boost/asio|boost/beast|simdjson|openssl/))");
  std::map<std::string, std::vector<inclusion>> graph;
  for (const auto& file : all.files()) {
    if (is_library(file) && ends_with(file.path, ".hpp"))
      graph[file.header] = inclusions(file, true);
  }
  // The way from `header` to a heavy one, or nothing.
  std::map<std::string, std::string> ways;
  const std::function<std::string(const std::string&)> way = [&](const std::string& header) {
    const auto known = ways.find(header);
    if (known != ways.end()) return known->second;
    ways[header] = "";
    for (const auto& next : graph[header]) {
      if (std::regex_search(next.what, heavy)) return ways[header] = next.what;
      const auto rest = starts_with(next.what, "millrace/") ? way(next.what) : std::string{};
      if (!rest.empty()) return ways[header] = next.what + " -> " + rest;
    }
    return std::string{};
  };
  for (const auto& file : all.files()) {
    if (graph.count(file.header) == 0 || heavy_by_design().count(file.header) != 0) continue;
    if (file.header.find("/detail/") != std::string::npos) continue;
    const auto found = way(file.header);
    if (!found.empty()) all.complain(file, 1, "a light header reaches " + found);
  }
}

// Rule: a header that nothing includes (not the umbrella, no test, no example) is dead.
void check_dead(project& all) {
  std::set<std::string> included;
  for (const auto& file : all.files()) {
    if (!is_cpp(file)) continue;
    for (const auto& found : inclusions(file)) included.insert(found.what);
  }
  for (const auto& file : all.files()) {
    if (!is_library(file) || !ends_with(file.path, ".hpp") || layer_of(file.header).empty())
      continue;
    if (included.count(file.header) == 0) all.complain(file, 1, "nothing includes this header");
  }
}

// Rule: test cases stand in .cpp files of tests/: ctest runs them by the name of their file.
void check_tests(project& all) {
  static const std::regex test_case(R"(^\s*(TEMPLATE_(LIST_)?)?TEST_CASE\s*\()");
  for (const auto& file : all.files()) {
    if (!starts_with(file.path, "tests/") || !ends_with(file.path, ".hpp")) continue;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      if (std::regex_search(file.lines[i], test_case)) {
        all.complain(file, i + 1, "a test case in a header would not be run");
      }
    }
  }
}

// Rule: C++ in the documentation is cut from a file that is compiled. In front of each block stands
// <!-- from: PATH -->; its lines stand in that file one after the other, however indented.
void check_snippets(project& all) {
  static const std::regex from(R"(^<!-- from: (\S+) -->$)");
  const auto bare = [](const std::string& line) {
    const auto begin = line.find_first_not_of(' ');
    return begin == std::string::npos ? std::string{} : line.substr(begin);
  };
  for (const auto& file : all.files()) {
    if (!ends_with(file.path, ".md")) continue;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      if (file.lines[i] != "```cpp") continue;
      std::smatch match;
      if (i == 0 || !std::regex_match(file.lines[i - 1], match, from)) {
        all.complain(file, i + 1, "C++ without a line <!-- from: PATH --> in front of it");
        continue;
      }
      std::vector<std::string> snippet;
      for (std::size_t k = i + 1; k < file.lines.size() && file.lines[k] != "```"; ++k) {
        snippet.push_back(bare(file.lines[k]));
      }
      const auto source = std::find_if(all.files().begin(), all.files().end(),
                                       [&](const auto& other) { return other.path == match[1]; });
      std::vector<std::string> code;
      if (source != all.files().end()) {
        std::transform(source->lines.begin(), source->lines.end(), std::back_inserter(code), bare);
      }
      if (std::search(code.begin(), code.end(), snippet.begin(), snippet.end()) == code.end()) {
        all.complain(file, i + 1, "this block does not stand in " + match[1].str());
      }
    }
  }
}

// The names of all test cases, with adjacent literals put together.
std::set<std::string> test_names(const project& all) {
  static const std::regex start(R"(\b(TEMPLATE_(LIST_)?)?TEST_CASE\s*\()");
  std::set<std::string> names;
  for (const auto& file : all.files()) {
    if (!starts_with(file.path, "tests/") || !ends_with(file.path, ".cpp")) continue;
    std::string text;
    for (const auto& line : file.lines) text += line + "\n";
    for (std::sregex_iterator it(text.begin(), text.end(), start), end; it != end; ++it) {
      std::string name;
      auto at = static_cast<std::size_t>(it->position() + it->length());
      while ((at = text.find_first_not_of(" \n", at)) != std::string::npos && text[at] == '"') {
        for (++at; at < text.size() && text[at] != '"'; ++at) {
          if (text[at] == '\\') ++at;
          name += text[at];
        }
        ++at;
      }
      names.insert(name);
    }
  }
  return names;
}

// Rule: docs/semantics.md names a test for each rule: each row of its tables ends in a cell with
// names of test cases, "in quotation marks" (one that is cut off ends in " ..."), or paths below
// tests/; all of them exist.
void check_semantics(project& all) {
  static const std::regex quoted("\"([^\"]+)\"");
  static const std::regex path(R"(tests/[\w/]+\.\w+)");
  const auto names = test_names(all);
  std::set<std::string> paths;
  for (const auto& file : all.files()) paths.insert(file.path);
  const auto exists = [&](const std::string& name) {
    if (!ends_with(name, " ...")) return names.count(name) != 0;
    const auto begin = name.substr(0, name.size() - 4);
    const auto found = names.lower_bound(begin);
    return found != names.end() && starts_with(*found, begin);
  };
  for (const auto& file : all.files()) {
    if (file.path != "docs/semantics.md") continue;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const auto& line = file.lines[i];
      if (line.empty() || line[0] != '|' || starts_with(line, "| ---")) continue;
      const auto last = line.find_last_not_of(" |");
      const auto begin = line.rfind('|', last);
      const auto cell = line.substr(begin + 1, last - begin);
      if (cell == " test") continue;
      if (cell.find_first_not_of(' ') == std::string::npos || begin == 0) {
        all.complain(file, i + 1, "a rule without a test");
      }
      for (std::sregex_iterator it(cell.begin(), cell.end(), quoted), end; it != end; ++it) {
        if (!exists((*it)[1])) all.complain(file, i + 1, "no test is called " + it->str());
      }
      for (std::sregex_iterator it(cell.begin(), cell.end(), path), end; it != end; ++it) {
        if (paths.count(it->str()) == 0) all.complain(file, i + 1, "no file " + it->str());
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  static const std::map<std::string, void (*)(project&)> rules = {
      {"layers", check_layers},     {"lengths", check_lengths},     {"form", check_form},
      {"printing", check_printing}, {"marks", check_marks},         {"sources", check_sources},
      {"weight", check_weight},     {"dead", check_dead},           {"tests", check_tests},
      {"snippets", check_snippets}, {"semantics", check_semantics},
  };
  const auto rule = argc == 3 ? rules.find(argv[2]) : rules.end();
  if (rule == rules.end()) {
    std::fprintf(stderr, "usage: tidy <source folder> <rule>\nrules:");
    for (const auto& [name, check] : rules) std::fprintf(stderr, " %s", name.c_str());
    std::fprintf(stderr, "\n");
    return 2;
  }
  project all{fs::path{argv[1]}};
  if (all.files().empty()) {
    std::fprintf(stderr, "no files in %s\n", argv[1]);
    return 2;
  }
  rule->second(all);
  return all.breaches() == 0 ? 0 : 1;
}
