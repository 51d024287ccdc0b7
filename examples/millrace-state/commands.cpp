// SPDX-License-Identifier: Apache-2.0
#include "commands.hpp"

#include <millrace/base/time_format.hpp>
#include <millrace/state/checkpoint_store.hpp>
#include <millrace/state/journal_log.hpp>
#include <millrace/state/journal_segment.hpp>

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

namespace state_tool {

using namespace millrace;

const char* const usage =
    "usage: millrace-state COMMAND FOLDER ...\n"
    "  list FOLDER              the checkpoints, or the segments of a journal\n"
    "  verify FOLDER            reads every byte and says what is damaged\n"
    "  inspect FOLDER [ID]      what a checkpoint holds (by default the newest)\n"
    "  diff FOLDER ID ID        what has changed between two checkpoints\n"
    "FOLDER may be that of a pipeline's checkpoints, a savepoint, or a journal. Nothing is "
    "changed.\n"
    "Status: 0 if all is well, 1 if something is damaged or differs, 2 for wrong usage.\n";

namespace {

std::string number(std::uint64_t n) { return std::to_string(n); }

std::string size_text(std::uint64_t bytes) {
  constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  auto whole = bytes;
  while (whole >= 10'240 && unit < 4) {
    whole /= 1024;
    ++unit;
  }
  return number(whole) + " " + units[unit];
}

outcome trouble(const error& why) { return {1, why.to_string() + "\n"}; }

bool is_journal(const std::string& folder) {
  const auto names = posix_file_system().list(folder);
  return names && std::any_of(names->begin(), names->end(), [](const std::string& name) {
           return first_offset_of_name(name).has_value();
         });
}

result<std::unique_ptr<checkpoint_store>> open_store(const std::string& folder) {
  return checkpoint_store::open(
      {.directory = folder, .access = store_access::read, .place = job_place::caller});
}

std::string headline(const checkpoint_manifest& m) {
  return std::string(m.kind == checkpoint_kind::savepoint ? "savepoint " : "checkpoint ") +
         number(m.id) + "  " + format_time(m.info.time, time_precision::milliseconds) + "  " +
         m.info.pipeline + "  parallelism " + number(m.info.parallelism) + " of " +
         number(m.info.max_parallelism) + ", " + number(m.parts.size()) + " parts, " +
         size_text(m.bytes()) + "\n";
}

outcome list_checkpoints(const std::string& folder) {
  const auto store = open_store(folder);
  if (!store) return trouble(store.error());
  outcome done;
  for (const auto& m : (*store)->list()) done.text += headline(m);
  for (const auto& problem : (*store)->problems()) {
    done.text += problem + "\n";
    done.status = 1;
  }
  if (done.text.empty()) done.text = "no checkpoint\n";
  return done;
}

outcome verify_checkpoints(const std::string& folder) {
  const auto store = open_store(folder);
  if (!store) return trouble(store.error());
  outcome done;
  for (const auto& m : (*store)->list()) {
    const auto wrong = (*store)->verify(m);
    if (wrong.empty()) done.text += headline(m);
    for (const auto& what : wrong) done.text += what + "\n";
    if (!wrong.empty()) done.status = 1;
  }
  for (const auto& problem : (*store)->problems()) {
    done.text += problem + "\n";
    done.status = 1;
  }
  done.text += done.status == 0 ? "all sound\n" : "DAMAGED\n";
  return done;
}

std::string part_text(const checkpoint_part& part) {
  std::string text = "  " + part.to_string() + ": " + size_text(part.bytes());
  if (part.chunks.size() > 1) {
    text += " in " + number(part.chunks.size()) + " chunks, from checkpoint " +
            number(part.chunks.front().checkpoint) + " on";
  }
  if (!part.type.empty()) text += "\n    " + part.type;
  return text + "\n";
}

std::string hexadecimal(std::string_view bytes) {
  constexpr const char* digits = "0123456789abcdef";
  std::string text;
  std::string readable;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += digits[byte >> 4];
    text += digits[byte & 15];
    text += ' ';
    readable += byte >= 32 && byte < 127 ? c : '.';
  }
  return text + " " + readable;
}

std::optional<std::uint64_t> parse_id(const std::string& text) {
  std::uint64_t id = 0;
  const auto* end = text.data() + text.size();
  const auto [stop, problem] = std::from_chars(text.data(), end, id);
  if (problem != std::errc{} || stop != end) return std::nullopt;
  return id;
}

result<checkpoint_manifest> choose(const checkpoint_store& store, const std::string& id) {
  const auto all = store.list();
  if (id.empty() && !all.empty()) return all.back();
  const auto wanted = parse_id(id);
  for (const auto& m : all) {
    if (wanted && m.id == *wanted) return m;
  }
  return error{errc::out_of_range, id.empty() ? "there is no checkpoint"
                                              : "there is no sound manifest of checkpoint " + id};
}

outcome inspect(const std::string& folder, const std::string& id) {
  const auto store = open_store(folder);
  if (!store) return trouble(store.error());
  const auto m = choose(**store, id);
  if (!m) return trouble(m.error());
  outcome done{0, headline(*m)};
  for (const auto& [name, value] : m->info.properties) {
    done.text += "  " + name + " = " + value + "\n";
  }
  constexpr std::size_t shown = 16;
  for (const auto& part : m->parts) {
    done.text += part_text(part);
    if (part.chunks.empty()) continue;
    const auto bytes = (*store)->read(part.chunks.back());
    if (bytes) {
      done.text += "    " + hexadecimal(std::string_view(*bytes).substr(0, shown)) +
                   (bytes->size() > shown ? "...\n" : "\n");
    } else {
      done.text += "    " + bytes.error().to_string() + "\n";
      done.status = 1;
    }
  }
  return done;
}

using part_key = std::tuple<std::string, std::string, std::uint32_t, std::uint32_t, std::uint32_t>;

std::map<part_key, checkpoint_part> by_key(const checkpoint_manifest& m) {
  std::map<part_key, checkpoint_part> all;
  for (const auto& p : m.parts) {
    all.emplace(part_key{p.operator_name, p.slot, p.first_group, p.end_group, p.instance}, p);
  }
  return all;
}

outcome diff(const std::string& folder, const std::string& from, const std::string& to) {
  const auto store = open_store(folder);
  if (!store) return trouble(store.error());
  const auto a = choose(**store, from);
  if (!a) return trouble(a.error());
  const auto b = choose(**store, to);
  if (!b) return trouble(b.error());
  outcome done{0, "- " + headline(*a) + "+ " + headline(*b)};
  const auto before = by_key(*a);
  const auto after = by_key(*b);
  const auto say = [&done](const std::string& line) {
    done.text += line + "\n";
    done.status = 1;
  };
  for (const auto& [key, part] : before) {
    if (after.count(key) == 0) say("- " + part.to_string() + ": " + size_text(part.bytes()));
  }
  for (const auto& [key, part] : after) {
    const auto old = before.find(key);
    if (old == before.end()) {
      say("+ " + part.to_string() + ": " + size_text(part.bytes()));
      continue;
    }
    if (old->second.type != part.type) {
      say("! " + part.to_string() + ": stored differently\n    - " + old->second.type + "\n    + " +
          part.type);
    }
    if (old->second.chunks == part.chunks) continue;
    std::uint64_t fresh = 0;
    for (const auto& chunk : part.chunks) {
      const auto& had = old->second.chunks;
      if (std::find(had.begin(), had.end(), chunk) == had.end()) fresh += chunk.length;
    }
    say("~ " + part.to_string() + ": " + size_text(old->second.bytes()) + " -> " +
        size_text(part.bytes()) + ", " + size_text(fresh) + " written anew");
  }
  if (done.status == 0) done.text += "the same state\n";
  return done;
}

outcome look_at_journal(const std::string& folder, bool all) {
  auto& files = posix_file_system();
  const auto found = read_journal_directory(files, folder);
  if (!found) return trouble(found.error());
  outcome done;
  std::uint64_t end = 0;
  for (std::size_t i = 0; i < found->segments.size(); ++i) {
    const auto& [path, header] = found->segments[i];
    const bool is_last = i + 1 == found->segments.size();
    const auto next = is_last ? found->begun : found->segments[i + 1].header.first_offset;
    auto line = path + "  from record " + number(header.first_offset) + ", begun " +
                format_time(header.created, time_precision::milliseconds);
    if (all || is_last) {
      const auto scan = scan_segment(files, path, header.first_offset, next);
      if (!scan) return trouble(scan.error());
      line += ", " + number(scan->records) + " records, " + size_text(scan->end_position);
      if (scan->torn_bytes > 0) {
        line += ", " + number(scan->torn_bytes) + " bytes at the end were not written completely";
      }
      for (const auto& gap : scan->gaps) {
        line += "\n  " + gap.to_string();
        done.status = 1;
      }
      end = scan->end_offset;
    }
    done.text += line + "\n";
  }
  if (found->segments.empty()) return {0, "an empty journal\n"};
  done.text += "records " + number(found->segments.front().header.first_offset) + " up to " +
               number(end) + (all ? done.status == 0 ? ", all sound\n" : ", DAMAGED\n" : "\n");
  return done;
}

}  // namespace

outcome run(const std::vector<std::string>& arguments) {
  const auto is = [&](const char* command, std::size_t least, std::size_t most) {
    return !arguments.empty() && arguments[0] == command && arguments.size() > least &&
           arguments.size() <= most + 1;
  };
  if (is("list", 1, 1)) {
    return is_journal(arguments[1]) ? look_at_journal(arguments[1], false)
                                    : list_checkpoints(arguments[1]);
  }
  if (is("verify", 1, 1)) {
    return is_journal(arguments[1]) ? look_at_journal(arguments[1], true)
                                    : verify_checkpoints(arguments[1]);
  }
  if (is("inspect", 1, 2)) return inspect(arguments[1], arguments.size() > 2 ? arguments[2] : "");
  if (is("diff", 3, 3)) return diff(arguments[1], arguments[2], arguments[3]);
  return {2, usage};
}

}  // namespace state_tool
